namespace Veza.Domain.Transfers

open Veza.Domain
open Veza.Domain.Attempt
open Veza.Domain.Transfers.TransferSteps

/// What becomes of a claim when refunds account for less of it than before, because one of them failed after it had
/// succeeded. What has not moved is let go; what has moved is made good by a transfer of its own; of what may have
/// moved only Stripe can tell, and until it does a later refund may still take it up again.
module internal TransferResizing =
    let private replaced refund settled transfer = {
        transfer with
            settled =
                transfer.settled
                |> List.map (fun known -> if known.Claim.Refund = refund then settled else known)
    }

    /// The claim itself becomes smaller, as if no more had ever been asked for.
    let private shrunk claim settled transfer =
        let settled =
            if claim.Amount = 0L then
                { settled with Settling = Dropped }
            else
                { settled with Claim = claim }
        replaced claim.Refund settled transfer

    /// What moved stays as it was; the difference is owed to the seller by another transfer.
    let private compensated claim settled transfer =
        let difference = { claim with Amount = SettledClaim.counts settled - claim.Amount }
        Advanced(
            transfer |> replaced claim.Refund { settled with Kept = Some claim.Amount },
            [ CompensationOwed(difference, claim.Amount) ]
        )

    /// A claim that was settled before: `unmoved` says what becomes of one that was only withheld.
    let private settledBefore claim transfer unmoved forgiven =
        match transfer.settled |> List.tryFind (fun settled -> settled.Claim.Refund = claim.Refund) with
        | None -> Unchanged
        | Some settled when claim.Amount = SettledClaim.counts settled -> Unchanged
        | Some settled when claim.Amount > SettledClaim.counts settled -> Refused MoreThanIsLeft
        | Some settled ->
            match settled.Settling with
            | Withheld -> unmoved settled
            | Returned _ -> transfer |> compensated claim settled
            | Forgiven -> forgiven settled
            | Dropped -> Unchanged

    let private queued claim (transfer: Transfer) otherwise =
        match transfer.queue |> List.tryFind (fun waiting -> waiting.Refund = claim.Refund) with
        | None -> otherwise ()
        | Some waiting when waiting.Amount = claim.Amount -> Unchanged
        | Some waiting when waiting.Amount < claim.Amount -> Refused MoreThanIsLeft
        | Some waiting when claim.Amount = 0L ->
            let queue = transfer.queue |> List.filter (fun other -> other <> waiting)
            Advanced(settle waiting Dropped { transfer with queue = queue }, [])
        | Some waiting ->
            let queue = transfer.queue |> List.map (fun other -> if other = waiting then claim else other)
            Advanced({ transfer with queue = queue }, [])

    let private never _ = Unchanged

    /// Withheld from a transfer that is still unsent: the transfer grows again.
    let unsent claim attempt (transfer: Transfer) =
        let grown settled =
            let next = transfer |> shrunk claim settled
            let status =
                match next.status with
                | Failed _ -> Failed(renewed attempt)
                | PermanentlyFailed(_, why) -> PermanentlyFailed(SendingFailed(renewed attempt), why)
                | Pending _
                | Completed _
                | ReversalPending _
                | Reversed _
                | Cancelled
                | WrittenOff _ -> Pending(renewed attempt)
            Advanced({ next with status = status }, [ ClaimRestored(settled.Claim.Amount - claim.Amount) ])

        let unmoved settled =
            if attempt.Operation.Certainty.IsUnsent then
                grown settled
            else
                transfer |> compensated claim settled

        queued claim transfer (fun () -> settledBefore claim transfer unmoved never)

    /// Nothing is under way.
    let atRest claim (transfer: Transfer) =
        settledBefore claim transfer (fun settled -> transfer |> compensated claim settled) never

    /// A claim that an operator had given up: the seller kept the money, so that much is no loss any more.
    let writtenOff now claim receipt (transfer: Transfer) =
        let forgiven settled =
            let next = transfer |> shrunk claim settled
            let next =
                match receipt with
                | Some id -> withTheSeller now (Named id) next
                | None -> next
            Advanced(next, [ ForgivenessUndone(settled.Claim.Amount - claim.Amount) ])
        settledBefore claim transfer (fun settled -> transfer |> compensated claim settled) forgiven

    /// The claim that is being taken back now.
    let whileTaking now claim receipt taking again (transfer: Transfer) =
        if taking.Claim.Refund <> claim.Refund then
            queued claim transfer (fun () -> atRest claim transfer)
        elif claim.Amount = Taking.counts taking then
            Unchanged
        elif claim.Amount > taking.Claim.Amount then
            Refused MoreThanIsLeft
        elif not taking.Attempt.Operation.Certainty.IsUnsent then
            let kept =
                if claim.Amount = taking.Claim.Amount then
                    None
                else
                    Some claim.Amount
            transfer |> stays (again { taking with Kept = kept })
        else
            transfer |> letGo now receipt { taking with Kept = Some claim.Amount }
