namespace Veza.Domain.Transfers

open System
open Veza.Domain

/// The steps that the table in TransferLife.fs is made of.
module internal TransferSteps =
    let attemptAt due waiting = {
        Operation = Operation.first
        Move = Send
        Retries = 0
        DueAt = due
        Waiting = waiting
    }

    // What an attempt becomes. Waiting for somebody else keeps the count; a refusal or a doubt spends a retry.

    let again waiting due attempt = { attempt with Waiting = waiting; DueAt = due }
    let renewed attempt = { attempt with Operation = Operation.renewed attempt.Operation; Move = Send }
    let lookingUp now attempt = { again ForAnswer now attempt with Move = LookUp }
    let isExhausted policy attempt = attempt.Retries >= policy.MaxRetries

    let spent policy (now: DateTimeOffset) (transfer: Transfer) waiting attempt =
        let due = now + Backoff.spread policy attempt.Retries transfer.id.Value
        again waiting due { attempt with Retries = attempt.Retries + 1 }

    /// Nothing happened this time. A key in use is another matter: somebody's request under it is still running.
    let hindered policy (now: DateTimeOffset) hindrance attempt =
        let operation =
            match hindrance with
            | RateLimited
            | CircuitOpen
            | Unreachable
            | ObjectLocked
            | Unauthorized -> Operation.unsending attempt.Operation
            | KeyInUse -> attempt.Operation
        again ForProvider (now + Backoff.delay policy 0) { attempt with Operation = operation }

    /// The look-up came to nothing: another one, later.
    let postponed policy (now: DateTimeOffset) attempt =
        again ForProvider (now + Backoff.delay policy attempt.Retries) attempt

    /// Proven absent. The key may be used again while it lives; after that only a new one is safe.
    let absent now attempt =
        if Operation.keyIsStale now attempt.Operation then
            renewed attempt
        else
            { attempt with Move = Send }

    /// An operator's fresh start. What is in doubt is looked up before anything is sent.
    let restarted now attempt =
        let move = if attempt.Operation.Certainty.IsUnsent then Send else Prove
        { again Due now attempt with Move = move; Retries = 0 }

    // What the transfer becomes.

    let stays status transfer = Advanced({ transfer with status = status }, [])

    let troubled refusal transfer = { transfer with trouble = Some refusal }

    let doubting (doubt: Doubt) transfer =
        transfer
        |> troubled { Cause = OtherCause; Code = "in_doubt"; Message = $"No definite answer (%A{doubt})." }

    /// The seller has the money, less what was taken back; the oldest waiting claim, if there is one, is next.
    let withTheSeller now receipt (transfer: Transfer) =
        let isWrittenOff = transfer.settled |> List.exists (fun (_, settling) -> settling.IsForgiven)

        match transfer.queue, receipt with
        | claim :: rest, _ ->
            let taking = { Claim = claim; Adopted = 0L; Attempt = attemptAt now Due }
            { transfer with status = ReversalPending(receipt, taking); queue = rest }
        | [], Named id when isWrittenOff -> { transfer with status = WrittenOff(Some id) }
        | [], _ when transfer.Withheld + transfer.Returned = transfer.amount.Minor -> {
            transfer with
                status = Reversed receipt
          }
        | [], (Named _ | Unnamed) -> { transfer with status = Completed receipt }

    let sent now stripeId transfer =
        Advanced(
            withTheSeller now (Named stripeId) { transfer with trouble = None },
            [ MoneySent(transfer.Sendable) ]
        )

    let givenBack now receipt taking settling transfer =
        let settled = transfer.settled @ [ taking.Claim, settling ]
        Advanced(
            withTheSeller now receipt { transfer with settled = settled; trouble = None },
            [ MoneyReturned taking.Claim.Amount ]
        )

    /// Takes the waiting claims off a transfer that certainly has not been sent.
    let withholding transfer =
        let settled = transfer.settled @ [ for claim in transfer.queue -> claim, Withheld ]
        let next = { transfer with settled = settled; queue = [] }
        let next =
            if next.Sendable = 0L then
                { next with status = Cancelled }
            else
                next
        next, [ for claim in transfer.queue -> ClaimWithheld claim.Amount ]

    let claiming claim transfer proceed =
        if
            transfer.settled |> List.exists (fun (known, _) -> known.Refund = claim.Refund)
            || transfer.Outstanding |> List.exists (fun known -> known.Refund = claim.Refund)
        then
            Unchanged
        elif claim.Amount > transfer.Unclaimed then
            Refused MoreThanIsLeft
        else
            proceed { transfer with queue = transfer.queue @ [ claim ] }

    /// Not sent: the transfer shrinks, under a new key because another amount is another request. Sent or in
    /// doubt: the claim waits for the transfer's outcome.
    let claimingUnsent claim attempt (transfer: Transfer) =
        claiming claim transfer (fun next ->
            if attempt.Operation.Certainty.IsUnsent then
                let next, movements = withholding next
                let status =
                    match next.status with
                    | Pending _ -> Pending(renewed attempt)
                    | Failed _ -> Failed(renewed attempt)
                    | PermanentlyFailed(SendingFailed _, why) ->
                        PermanentlyFailed(SendingFailed(renewed attempt), why)
                    | PermanentlyFailed(ReversingFailed _, _)
                    | Completed _
                    | ReversalPending _
                    | Reversed _
                    | Cancelled
                    | WrittenOff _ -> next.status
                Advanced({ next with status = status }, movements)
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
        | Hindered hindrance -> transfer |> stays (Pending(hindered rules.Sending now hindrance attempt))
        | AskAgain doubt when isExhausted rules.Sending attempt ->
            doubting doubt transfer |> stays (Pending(lookingUp now attempt))
        | AskAgain doubt ->
            doubting doubt transfer |> stays (Pending(spent rules.Sending now transfer ForAnswer attempt))
        | LookUpFirst
        | Gone -> transfer |> stays (Pending(lookingUp now attempt))

    let sendSeen rules now attempt found transfer =
        match found with
        | [ stripeId ] -> sent now stripeId transfer
        | [] when attempt.Move.IsProve -> transfer |> stays (Pending(again Due now (renewed attempt)))
        | [] when isExhausted rules.Sending attempt ->
            transfer |> stays (PermanentlyFailed(SendingFailed attempt, RetriesExhausted))
        | [] -> transfer |> stays (Pending(spent rules.Sending now transfer ForRetry (absent now attempt)))
        | _ :: _ :: _ -> transfer |> stays (PermanentlyFailed(SendingFailed attempt, SeveralFound))

    let reversalRefused rules now receipt taking refusal transfer =
        let attempt = renewed taking.Attempt
        let next = troubled refusal transfer
        let waiting attempt = ReversalPending(receipt, { taking with Attempt = attempt })

        match refusal.Cause with
        | SellerFunds
        | PlatformFunds -> next |> stays (waiting (again ForSellerFunds (now + rules.FundsInterval) attempt))
        | OtherCause when isExhausted rules.Reversing attempt ->
            let failure = ReversingFailed(receipt, { taking with Attempt = attempt })
            next |> stays (PermanentlyFailed(failure, RetriesExhausted))
        | OtherCause -> next |> stays (waiting (spent rules.Reversing now transfer ForRetry attempt))

    let reversalAnswered rules now receipt taking answer transfer =
        let waiting attempt = ReversalPending(receipt, { taking with Attempt = attempt })

        match Operation.next now taking.Attempt.Operation answer with
        | Done reversalId ->
            transfer |> givenBack now receipt taking (Returned(Some reversalId, taking.Adopted))
        | Declined refusal -> transfer |> reversalRefused rules now receipt taking refusal
        | Hindered hindrance ->
            transfer |> stays (waiting (hindered rules.Reversing now hindrance taking.Attempt))
        | AskAgain doubt when isExhausted rules.Reversing taking.Attempt ->
            doubting doubt transfer |> stays (waiting (lookingUp now taking.Attempt))
        | AskAgain doubt ->
            doubting doubt transfer
            |> stays (waiting (spent rules.Reversing now transfer ForAnswer taking.Attempt))
        | LookUpFirst -> transfer |> stays (waiting (lookingUp now taking.Attempt))
        | Gone -> transfer |> stays (PermanentlyFailed(ReversingFailed(receipt, taking), TransferMissing))

    /// "Already reversed" is decided here, from Stripe's books: ours is done, somebody else's is adopted as far
    /// as no earlier claim has adopted it, and what it does not cover is still to be taken back.
    let reversalSeen rules now receipt taking sight (transfer: Transfer) =
        let left = taking.Claim.Amount - taking.Adopted
        let foreign = sight.AmountReversed - transfer.Returned - taking.Adopted
        let cover = max 0L (min foreign left)
        let waiting taking attempt = ReversalPending(receipt, { taking with Attempt = attempt })

        match sight.Ours with
        | Some reversalId ->
            transfer |> givenBack now receipt taking (Returned(Some reversalId, taking.Adopted))
        | None when cover = left ->
            transfer |> givenBack now receipt taking (Returned(None, taking.Claim.Amount))
        | None when cover > 0L ->
            let taking = { taking with Adopted = taking.Adopted + cover }
            transfer |> stays (waiting taking (again Due now (renewed taking.Attempt)))
        | None when taking.Attempt.Move.IsProve ->
            transfer |> stays (waiting taking (again Due now (renewed taking.Attempt)))
        | None when isExhausted rules.Reversing taking.Attempt ->
            transfer |> stays (PermanentlyFailed(ReversingFailed(receipt, taking), RetriesExhausted))
        | None ->
            let attempt = spent rules.Reversing now transfer ForRetry (absent now taking.Attempt)
            transfer |> stays (waiting taking attempt)

    let writtenOff transfer receipt =
        let settled = transfer.settled @ [ for claim in transfer.Outstanding -> claim, Forgiven ]
        let movements = [ for claim in transfer.Outstanding -> ClaimForgiven claim.Amount ]
        Advanced({ transfer with settled = settled; queue = []; status = WrittenOff receipt }, movements)

    let closedUnsent transfer =
        let next, movements = withholding transfer
        Advanced({ next with status = WrittenOff None }, movements @ [ SettledOutside(next.Sendable) ])

    /// News of a transfer we know already.
    let isThe receipt stripeId transfer =
        match receipt with
        | Named known when known = stripeId -> Unchanged
        | Named _ -> Refused AnotherTransferExists
        | Unnamed -> transfer |> stays (Completed(Named stripeId))
