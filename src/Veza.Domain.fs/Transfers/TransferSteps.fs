namespace Veza.Domain.Transfers

open System
open Veza.Domain
open Veza.Domain.Attempt

/// The steps that the table in TransferLife.fs is made of.
module internal TransferSteps =
    let stays status transfer = Advanced({ transfer with status = status }, [])

    let troubled refusal transfer = { transfer with trouble = Some refusal }

    let doubting (doubt: Doubt) transfer = transfer |> troubled (Doubt.shown doubt)

    let refusedFor message transfer = transfer |> troubled (Refusal.unclear message)

    let spent policy now (transfer: Transfer) waiting attempt =
        Attempt.spent policy now transfer.id.Value waiting attempt

    let settle claim settling transfer = {
        transfer with
            settled = transfer.settled @ [ { Claim = claim; Settling = settling; Kept = None } ]
    }

    /// The seller has the money, less what was taken back; the oldest waiting claim, if there is one, is next.
    let rec withTheSeller now receipt (transfer: Transfer) =
        let isWrittenOff = transfer.settled |> List.exists _.Settling.IsForgiven

        match transfer.queue, receipt with
        // Somebody else has taken it back already.
        | claim :: rest, _ when claim.Amount <= transfer.foreign ->
            { transfer with queue = rest; foreign = transfer.foreign - claim.Amount }
            |> settle claim (Returned(None, claim.Amount))
            |> withTheSeller now receipt
        | claim :: rest, _ ->
            let taking = { Claim = claim; Adopted = transfer.foreign; Attempt = startAt now Due; Kept = None }
            { transfer with status = ReversalPending(receipt, taking); queue = rest; foreign = 0L }
        | [], Named id when isWrittenOff -> { transfer with status = WrittenOff(Some id) }
        | [], _ when transfer.Withheld + transfer.Returned + transfer.foreign = transfer.amount.Minor -> {
            transfer with
                status = Reversed receipt
          }
        | [], (Named _ | Unnamed) -> { transfer with status = Completed receipt }

    let sent now stripeId transfer =
        Advanced(
            withTheSeller now (Named stripeId) { transfer with trouble = None },
            [ MoneySent(transfer.Sendable) ]
        )

    /// The claim's money is back. What refunds do not account for any more is owed to the seller once more.
    let givenBack now receipt taking settling transfer =
        let settled = { Claim = taking.Claim; Settling = settling; Kept = taking.Kept }
        let kept = Taking.counts taking
        let difference = { taking.Claim with Amount = taking.Claim.Amount - kept }
        Advanced(
            withTheSeller now receipt {
                transfer with
                    settled = transfer.settled @ [ settled ]
                    trouble = None
            },
            [
                // What others took back was posted when it was seen.
                if taking.Claim.Amount > taking.Adopted then
                    MoneyReturned(taking.Claim.Amount - taking.Adopted)
                if difference.Amount > 0L then
                    CompensationOwed(difference, kept)
            ]
        )

    /// Nothing of the claim has moved but what others took: what refunds still account for beyond that is asked for,
    /// under a new key.
    let letGo now receipt taking transfer =
        let claim = { taking.Claim with Amount = Taking.counts taking }
        if claim.Amount <= taking.Adopted then
            let next = {
                transfer with
                    trouble = None
                    foreign = transfer.foreign + taking.Adopted - claim.Amount
            }
            let next =
                if claim.Amount = 0L then
                    settle taking.Claim Dropped next
                else
                    settle claim (Returned(None, claim.Amount)) next
            Advanced(withTheSeller now receipt next, [])
        else
            let attempt = again Due now (renewed taking.Attempt)
            let taking = { taking with Claim = claim; Kept = None; Attempt = attempt }
            transfer |> stays (ReversalPending(receipt, taking))

    /// Takes the waiting claims off a transfer that certainly has not been sent.
    let withholding transfer =
        let settled = [ for claim in transfer.queue -> { Claim = claim; Settling = Withheld; Kept = None } ]
        let next = { transfer with settled = transfer.settled @ settled; queue = [] }
        let next =
            if next.Sendable = 0L then
                { next with status = Cancelled }
            else
                next
        next, [ for claim in transfer.queue -> ClaimWithheld claim.Amount ]

    let claiming claim transfer proceed =
        if
            transfer.settled |> List.exists (fun known -> known.Claim.Refund = claim.Refund)
            || transfer.Outstanding |> List.exists (fun known -> known.Refund = claim.Refund)
        then
            Unchanged
        elif claim.Amount > transfer.Unclaimed then
            Refused MoreThanIsLeft
        else
            proceed { transfer with queue = transfer.queue @ [ claim ] }

    /// Another amount is another request, so it needs another key.
    let private resized attempt (transfer: Transfer) =
        match transfer.status with
        | Pending _ -> { transfer with status = Pending(renewed attempt) }
        | Failed _ -> { transfer with status = Failed(renewed attempt) }
        | PermanentlyFailed(SendingFailed _, why) -> {
            transfer with
                status = PermanentlyFailed(SendingFailed(renewed attempt), why)
          }
        | PermanentlyFailed(ReversingFailed _, _)
        | Completed _
        | ReversalPending _
        | Reversed _
        | Cancelled
        | WrittenOff _ -> transfer

    /// Not sent: the transfer shrinks. Sent or in doubt: the claim waits for the transfer's outcome.
    let claimingUnsent claim attempt (transfer: Transfer) =
        claiming claim transfer (fun next ->
            if attempt.Operation.Certainty.IsUnsent then
                let next, movements = withholding next
                Advanced(resized attempt next, movements)
            else
                Advanced(next, []))

    let sendRefused rules now attempt refusal transfer =
        let next, movements = transfer |> troubled refusal |> withholding
        let attempt = renewed attempt

        let status =
            match refusal.Cause with
            | PlatformFunds
            | SellerFunds -> Failed(again ForPlatformFunds (now + rules.FundsInterval) attempt)
            | OtherCause when isExhausted rules.Sending attempt ->
                PermanentlyFailed(SendingFailed attempt, RetriesExhausted)
            | OtherCause -> Failed(spent rules.Sending now transfer ForRetry attempt)

        Advanced(
            (if next.status.IsCancelled then
                 next
             else
                 { next with status = status }),
            movements
        )

    let sendAnswered rules now attempt answer transfer =
        match Operation.next now attempt.Operation answer with
        | Done stripeId -> sent now stripeId transfer
        | Declined refusal -> sendRefused rules now attempt refusal transfer
        | Hindered(hindrance, message) ->
            transfer
            |> troubled (Hindrance.shown hindrance message)
            |> stays (Pending(hindered rules.Sending now hindrance attempt))
        | AskAgain doubt when isExhausted rules.Sending attempt ->
            doubting doubt transfer |> stays (Pending(lookingUp now attempt))
        | AskAgain doubt ->
            doubting doubt transfer |> stays (Pending(spent rules.Sending now transfer ForAnswer attempt))
        | LookUpFirst -> transfer |> stays (Pending(lookingUp now attempt))
        | LookUpRefusal message -> transfer |> refusedFor message |> stays (Pending(confirming now attempt))
        | Gone when Operation.isReplay attempt.Operation -> transfer |> stays (Pending(lookingUp now attempt))
        | Gone -> transfer |> stays (Pending(confirming now attempt))

    let sendSeen rules now attempt found transfer =
        match found with
        | [ stripeId ] -> sent now stripeId transfer
        | [] when attempt.Move.IsProve -> transfer |> stays (Pending(again Due now (renewed attempt)))
        | [] when isExhausted rules.Sending attempt ->
            transfer |> stays (PermanentlyFailed(SendingFailed(givenUp attempt), RetriesExhausted))
        | [] -> transfer |> stays (Pending(spent rules.Sending now transfer ForRetry (absent now attempt)))
        | _ :: _ :: _ -> transfer |> stays (PermanentlyFailed(SendingFailed attempt, SeveralFound))

    let private waiting receipt taking attempt = ReversalPending(receipt, { taking with Attempt = attempt })

    let reversalRefused rules now receipt taking refusal transfer =
        let attempt = renewed taking.Attempt
        let next = troubled refusal transfer

        match refusal.Cause with
        | SellerFunds
        | PlatformFunds ->
            next |> stays (waiting receipt taking (again ForSellerFunds (now + rules.FundsInterval) attempt))
        | OtherCause when isExhausted rules.Reversing attempt ->
            let failure = ReversingFailed(receipt, { taking with Attempt = attempt })
            next |> stays (PermanentlyFailed(failure, RetriesExhausted))
        | OtherCause ->
            next |> stays (waiting receipt taking (spent rules.Reversing now transfer ForRetry attempt))

    let reversalAnswered rules now receipt taking answer transfer =
        match Operation.next now taking.Attempt.Operation answer with
        | Done reversalId ->
            transfer |> givenBack now receipt taking (Returned(Some reversalId, taking.Adopted))
        // Where another claim would take a new key, one that shrank meanwhile is let go: nothing has moved.
        | Declined _ when taking.Kept.IsSome -> transfer |> letGo now receipt taking
        | Declined refusal -> transfer |> reversalRefused rules now receipt taking refusal
        | Hindered(hindrance, message) ->
            let attempt = hindered rules.Reversing now hindrance taking.Attempt
            if taking.Kept.IsSome && attempt.Operation.Certainty.IsUnsent then
                transfer |> letGo now receipt taking
            else
                transfer
                |> troubled (Hindrance.shown hindrance message)
                |> stays (waiting receipt taking attempt)
        | AskAgain doubt when isExhausted rules.Reversing taking.Attempt ->
            doubting doubt transfer |> stays (waiting receipt taking (lookingUp now taking.Attempt))
        | AskAgain doubt ->
            let attempt = spent rules.Reversing now transfer ForAnswer taking.Attempt
            doubting doubt transfer |> stays (waiting receipt taking attempt)
        | LookUpFirst -> transfer |> stays (waiting receipt taking (lookingUp now taking.Attempt))
        | LookUpRefusal message ->
            transfer |> refusedFor message |> stays (waiting receipt taking (confirming now taking.Attempt))
        | Gone -> transfer |> stays (PermanentlyFailed(ReversingFailed(receipt, taking), TransferMissing))

    /// Stripe's books do not show our reversal.
    let private reversalAbsent rules now receipt taking transfer =
        let attempt = taking.Attempt
        if taking.Kept.IsSome && isRenewedIfAbsent now attempt then
            transfer |> letGo now receipt taking
        elif attempt.Move.IsProve then
            transfer |> stays (waiting receipt taking (again Due now (renewed attempt)))
        elif isExhausted rules.Reversing attempt then
            let taking = { taking with Attempt = givenUp attempt }
            transfer |> stays (PermanentlyFailed(ReversingFailed(receipt, taking), RetriesExhausted))
        else
            let attempt = spent rules.Reversing now transfer ForRetry (absent now attempt)
            transfer |> stays (waiting receipt taking attempt)

    let private adoptedNow (transfer: Transfer) =
        transfer.UnderWay |> Option.map _.Adopted |> Option.defaultValue 0L

    /// What others have reversed for certain and nobody has seen before: no request of ours goes without a key.
    let private newWithoutKey (sight: ReversalSight) (transfer: Transfer) =
        let isKnown (reversal: KeylessReversal) =
            transfer.settled
            |> List.exists (fun settled ->
                match settled.Settling with
                | Returned(Some id, _) -> id = reversal.Reversal
                | Returned(None, _)
                | Withheld
                | Forgiven
                | Dropped -> false)
        let shown =
            List.sum [
                for reversal in sight.Keyless do
                    if not (isKnown reversal) then
                        reversal.Reversed
            ]
        let takenUp =
            List.sum [
                for settled in transfer.settled do
                    match settled.Settling with
                    | Returned(Some _, adopted) -> adopted
                    | Returned(None, _) -> settled.Claim.Amount
                    | Withheld
                    | Forgiven
                    | Dropped -> 0L
            ]
        shown - takenUp - transfer.foreign - adoptedNow transfer

    /// What Stripe's books show beyond what we know of is somebody else's doing. It is posted when it is seen, once;
    /// the claims take it up from there. What may be ours, because it is on the wire, is not called theirs, unless it
    /// carries no key.
    let private seeing (sight: ReversalSight) ours onTheWire (transfer: Transfer) =
        let known = transfer.Returned + transfer.foreign + adoptedNow transfer + ours
        let most = min sight.AmountReversed transfer.Sendable - known
        let probable = min sight.AmountReversed (transfer.Sendable - onTheWire) - known
        let unknown = max probable (min most (newWithoutKey sight transfer))
        if unknown > 0L then
            { transfer with foreign = transfer.foreign + unknown }, [ ReturnedUnasked unknown ]
        else
            transfer, []

    let private also movements outcome =
        match outcome with
        | Advanced(next, moved) -> Advanced(next, movements @ moved)
        | Unchanged
        | Refused _ -> outcome

    /// The claim takes up what others have reversed, as far as no earlier claim has.
    let private adopting now receipt taking stand (transfer: Transfer) otherwise =
        let left = taking.Claim.Amount - taking.Adopted
        let cover = if taking.Kept.IsSome then 0L else min transfer.foreign left
        let next = { transfer with foreign = transfer.foreign - cover }
        if cover > 0L && cover = left then
            let taking = { taking with Adopted = taking.Claim.Amount }
            next |> givenBack now receipt taking (Returned(None, taking.Claim.Amount))
        elif cover > 0L then
            let attempt = again Due now (renewed taking.Attempt)
            next |> stays (stand { taking with Adopted = taking.Adopted + cover; Attempt = attempt })
        else
            otherwise next

    let private ourShare taking (sight: ReversalSight) =
        if sight.Ours.IsSome then
            taking.Claim.Amount - taking.Adopted
        else
            0L

    /// "Already reversed" is decided here, from Stripe's books: ours is done, somebody else's is adopted, and what it
    /// does not cover is still to be taken back.
    let reversalSeen rules now receipt taking (sight: ReversalSight) transfer =
        let next, movements = transfer |> seeing sight (ourShare taking sight) 0L
        match sight.Ours with
        | Some reversalId -> next |> givenBack now receipt taking (Returned(Some reversalId, taking.Adopted))
        | None ->
            let stand taking = ReversalPending(receipt, taking)
            adopting now receipt taking stand next (reversalAbsent rules now receipt taking)
        |> also movements

    /// Nothing was asked, so a request of ours may be on the wire: only a claim that certainly is not may take up
    /// what others have reversed. `stand` puts the claim back where it stood.
    let noticedWhileTaking now receipt taking stand (sight: ReversalSight) transfer =
        let isUnsent = taking.Attempt.Operation.Certainty.IsUnsent
        let ours = ourShare taking sight
        let onTheWire =
            if isUnsent || sight.Ours.IsSome then
                0L
            else
                taking.Claim.Amount - taking.Adopted
        let next, movements = transfer |> seeing sight ours onTheWire
        match sight.Ours with
        | Some reversalId ->
            next |> givenBack now receipt taking (Returned(Some reversalId, taking.Adopted)) |> also movements
        | None when movements.IsEmpty -> Unchanged
        | None when isUnsent ->
            adopting now receipt taking stand next (stays (stand taking)) |> also movements
        | None -> Advanced({ next with status = stand taking }, movements)

    /// An operator has closed it; what others reverse is posted all the same.
    let noticedAfterWriteOff (sight: ReversalSight) transfer =
        let next, movements = transfer |> seeing sight 0L 0L
        if movements.IsEmpty then
            Unchanged
        else
            Advanced(next, movements)

    let noticedAtRest now receipt (sight: ReversalSight) transfer =
        let next, movements = transfer |> seeing sight 0L 0L
        if movements.IsEmpty then
            Unchanged
        else
            Advanced(withTheSeller now receipt next, movements)

    /// An operator gives up what is still to be taken back, as far as refunds account for it.
    let writtenOff (transfer: Transfer) receipt =
        let forgiving (transfer, movements) (asked: Claim, accounted: Claim) =
            if accounted.Amount = 0L then
                settle asked Dropped transfer, movements
            else
                settle accounted Forgiven transfer, movements @ [ ClaimForgiven accounted.Amount ]
        let claims = List.zip transfer.Outstanding transfer.ToTake
        // What others took of it is the seller's again, as a credit.
        let credited = { transfer with foreign = transfer.foreign + adoptedNow transfer }
        let next, movements = List.fold forgiving (credited, []) claims
        Advanced({ next with queue = []; status = WrittenOff receipt }, movements)

    let closedUnsent transfer =
        let next, movements = withholding transfer
        Advanced({ next with status = WrittenOff None }, movements @ [ SettledOutside(next.Sendable) ])

    /// Another account is another request, so it needs another key. What is on hold stays on hold.
    let redirected now account attempt (transfer: Transfer) =
        if attempt.Operation.Certainty.IsUnsent && account <> transfer.account then
            let next =
                match attempt.Waiting with
                | OnHold -> renewed attempt
                | Due
                | InFlight
                | ForAnswer
                | ForRetry
                | ForSellerFunds
                | ForPlatformFunds
                | ForProvider -> { again Due now (renewed attempt) with Retries = 0 }
            { transfer with account = account; trouble = None } |> stays (Pending next)
        else
            Refused NotRedirectable

    /// News of a transfer we know already.
    let isThe receipt stripeId transfer =
        match receipt with
        | Named known when known = stripeId -> Unchanged
        | Named _ -> Refused AnotherTransferExists
        | Unnamed -> transfer |> stays (Completed(Named stripeId))

    /// News of a reversal that nothing here is waiting for.
    let isKnownReversal reversalId transfer =
        let isThe settled =
            match settled.Settling with
            | Returned(Some known, _) -> known = reversalId
            | Returned(None, _)
            | Withheld
            | Forgiven
            | Dropped -> false
        if transfer.settled |> List.exists isThe then
            Unchanged
        else
            Refused AnotherReversalExists
