namespace Veza.Domain.Transfers

open Veza.Domain
open Veza.Domain.Attempt
open Veza.Domain.Transfers.TransferSteps

/// What becomes of a claim whose refund had succeeded and then failed. What has not moved is let go; what has
/// moved, or may have, is made good by a transfer of its own.
module internal TransferUndoing =
    let private replaced refund change transfer = {
        transfer with
            settled =
                transfer.settled
                |> List.map (fun settled ->
                    if settled.Claim.Refund = refund then
                        change settled
                    else
                        settled)
    }

    let private dropping settled = { settled with Settling = Dropped }
    let private compensating settled = { settled with Compensated = true }

    let private owedAnew claim transfer =
        Advanced(transfer |> replaced claim.Refund compensating, [ CompensationOwed claim ])

    /// A claim that was settled before its refund failed.
    let private settledBefore refund transfer proceed =
        match transfer.settled |> List.tryFind (fun settled -> settled.Claim.Refund = refund) with
        | None -> Unchanged
        | Some settled when settled.Compensated -> Unchanged
        | Some settled -> proceed settled

    let private unqueued refund transfer otherwise =
        match transfer.queue |> List.tryFind (fun claim -> claim.Refund = refund) with
        | Some claim ->
            let queue = transfer.queue |> List.filter (fun waiting -> waiting.Refund <> refund)
            Advanced(settle claim Dropped { transfer with queue = queue }, [])
        | None -> otherwise ()

    /// Withheld from a transfer that is still unsent: the transfer grows again. From one that is sent or in
    /// doubt, or closed: another transfer.
    let unsent refund attempt (transfer: Transfer) =
        unqueued refund transfer (fun () ->
            settledBefore refund transfer (fun settled ->
                match settled.Settling with
                | Withheld when attempt.Operation.Certainty.IsUnsent ->
                    let next = transfer |> replaced refund dropping
                    let status =
                        match next.status with
                        | Failed _ -> Failed(renewed attempt)
                        | PermanentlyFailed(_, why) ->
                            PermanentlyFailed(SendingFailed(renewed attempt), why)
                        | Pending _
                        | Completed _
                        | ReversalPending _
                        | Reversed _
                        | Cancelled
                        | WrittenOff _ -> Pending(renewed attempt)
                    Advanced({ next with status = status }, [ ClaimRestored settled.Claim.Amount ])
                | Withheld
                | Returned _ -> transfer |> owedAnew settled.Claim
                | Forgiven
                | Dropped -> Unchanged))

    /// Nothing is under way.
    let atRest refund (transfer: Transfer) =
        settledBefore refund transfer (fun settled ->
            match settled.Settling with
            | Withheld
            | Returned _ -> transfer |> owedAnew settled.Claim
            | Forgiven
            | Dropped -> Unchanged)

    /// A claim that an operator had given up: the seller kept the money, so nothing is lost any more.
    let writtenOff now refund receipt (transfer: Transfer) =
        settledBefore refund transfer (fun settled ->
            match settled.Settling with
            | Withheld
            | Returned _ -> transfer |> owedAnew settled.Claim
            | Forgiven ->
                let next = transfer |> replaced refund dropping
                let next =
                    match receipt with
                    | Some id -> withTheSeller now (Named id) next
                    | None -> next
                Advanced(next, [ ForgivenessUndone settled.Claim.Amount ])
            | Dropped -> Unchanged)

    /// The claim being taken: let go if it certainly was not sent, else only Stripe can tell.
    let whileTaking now refund receipt taking again (transfer: Transfer) =
        if taking.Claim.Refund <> refund then
            unqueued refund transfer (fun () -> atRest refund transfer)
        elif taking.Undone then
            Unchanged
        elif taking.Attempt.Operation.Certainty.IsUnsent then
            transfer |> dropped now receipt taking
        else
            transfer |> stays (again { taking with Undone = true })
