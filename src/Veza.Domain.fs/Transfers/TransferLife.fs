namespace Veza.Domain.Transfers

open System
open Veza.Domain
open Veza.Domain.Attempt
open Veza.Domain.Transfers.TransferSteps

[<CompilationRepresentation(CompilationRepresentationFlags.ModuleSuffix)>]
module Transfer =
    /// Owed from now on, sent when the hold is over.
    let schedule id order seller account amount (now: DateTimeOffset) (hold: TimeSpan) = {
        id = id
        order = order
        seller = seller
        account = account
        amount = amount
        compensates = None
        status = Pending(startAt (now + hold) (if hold > TimeSpan.Zero then OnHold else Due))
        settled = []
        queue = []
        foreign = 0L
        trouble = None
        since = Some(now + hold)
    }

    /// Owed at once, because the refund for which it was taken from the seller failed after all.
    let private compensate (claim: Claim) kept (transfer: Transfer) now = {
        schedule
            (TransferId.Compensating(transfer.id, claim.Refund, kept))
            transfer.order
            transfer.seller
            transfer.account
            { transfer.amount with Minor = claim.Amount }
            now
            TimeSpan.Zero with
            compensates = Some claim.Refund
    }

    /// The transfers that a step's movements ask for.
    let compensations movements transfer now = [
        for movement in movements do
            match movement with
            | CompensationOwed(difference, kept) -> compensate difference kept transfer now
            | MoneySent _
            | MoneyReturned _
            | ReturnedUnasked _
            | ClaimWithheld _
            | ClaimForgiven _
            | SettledOutside _
            | ClaimRestored _
            | ForgivenessUndone _ -> ()
    ]

    let private sendKey transfer attempt =
        IdempotencyKey.Make("transfer", transfer.id.Value.ToString "D", attempt.Operation.Generation)

    let private reversalKey transfer taking =
        let id = $"""{transfer.id.Value.ToString "D"}:{taking.Claim.Refund.Value.ToString "D"}"""
        IdempotencyKey.Make("reverse", id, taking.Attempt.Operation.Generation)

    /// What it waits for. As long as that stays the same, it has waited since the same time, however often it is tried.
    type private Wait =
        | ForSending of LacksFunds: bool
        | ForReturn of Refund: RefundId * LacksFunds: bool
        | ForPerson

    let private waitOf (transfer: Transfer) =
        match transfer.status with
        | Pending _
        | Failed _ -> Some(ForSending transfer.LacksFunds)
        | ReversalPending(_, taking) -> Some(ForReturn(taking.Claim.Refund, transfer.LacksFunds))
        | PermanentlyFailed _ -> Some ForPerson
        | Completed _
        | Reversed _
        | Cancelled
        | WrittenOff _ -> None

    let private sinceOf now before after =
        match waitOf before, waitOf after with
        | _, None -> None
        | known, wait when known = wait -> before.since
        | _, Some _ -> Some now

    /// The whole life of a transfer: every status meets every signal.
    let private step rules now signal transfer =
        match transfer.status, signal with
        | (Pending attempt | Failed attempt), TransferAnswered answer ->
            transfer |> sendAnswered rules now attempt answer
        | (Pending attempt | Failed attempt), TransferSeen found ->
            transfer |> sendSeen rules now attempt found
        | (Pending attempt | Failed attempt), RefundSucceeded claim ->
            transfer |> claimingUnsent claim attempt
        | (Pending attempt | Failed attempt), ClaimResized claim ->
            transfer |> TransferResizing.unsent claim attempt
        | (Pending attempt | Failed attempt), LookUpFailed why ->
            transfer |> troubled why |> stays (Pending(postponed rules.Sending now attempt))
        | (Pending attempt | Failed attempt), RedirectRequested account ->
            transfer |> redirected now account attempt
        | Pending _, (RetryRequested | WriteOffRequested) -> Refused NotRetryable
        | Failed attempt, RetryRequested -> transfer |> stays (Failed(restarted now attempt))
        | Failed _, WriteOffRequested -> Refused NotRetryable
        | Failed attempt, FundsArrived when attempt.Waiting.IsForPlatformFunds ->
            transfer |> stays (Failed(again Due now attempt))
        | (Pending _ | Failed _), FundsArrived -> Unchanged
        | (Pending _ | Failed _), (ReversalAnswered _ | ReversalSeen _ | ReversalsNoticed _ | StripeIdMissing) ->
            Refused NothingSent

        | Completed receipt, (TransferAnswered(Accepted id) | TransferSeen [ id ]) ->
            transfer |> isThe receipt id
        | Completed receipt, RefundSucceeded claim ->
            claiming claim transfer (fun next -> Advanced(withTheSeller now receipt next, []))
        | (Completed _ | Reversed _), ClaimResized claim -> transfer |> TransferResizing.atRest claim
        | (Completed _ | Reversed _), (ReversalAnswered(Accepted id) | ReversalSeen { Ours = Some id }) ->
            transfer |> isKnownReversal id
        | (Completed receipt | Reversed receipt), ReversalsNoticed sight ->
            transfer |> noticedAtRest now receipt sight
        | Completed _, (TransferAnswered _ | TransferSeen _ | ReversalAnswered _ | ReversalSeen _) ->
            Unchanged
        | Completed _, (LookUpFailed _ | StripeIdMissing | FundsArrived) -> Unchanged
        | Completed _, (RetryRequested | WriteOffRequested) -> Refused NotRetryable
        | (Completed _ | Reversed _ | Cancelled | WrittenOff _ | PermanentlyFailed(ReversingFailed _, _)),
          RedirectRequested _ -> Refused NotRedirectable

        | ReversalPending(receipt, taking), ReversalAnswered answer ->
            transfer |> reversalAnswered rules now receipt taking answer
        | ReversalPending(receipt, taking), ReversalSeen sight ->
            transfer |> reversalSeen rules now receipt taking sight
        | ReversalPending(receipt, taking), LookUpFailed why ->
            let attempt = postponed rules.Reversing now taking.Attempt
            transfer |> troubled why |> stays (ReversalPending(receipt, { taking with Attempt = attempt }))
        | ReversalPending(receipt, taking), StripeIdMissing ->
            transfer |> stays (PermanentlyFailed(ReversingFailed(receipt, taking), NoStripeId))
        | ReversalPending _, RefundSucceeded claim -> claiming claim transfer (fun next -> Advanced(next, []))
        | ReversalPending(receipt, taking), ClaimResized claim ->
            transfer
            |> TransferResizing.whileTaking now claim receipt taking (fun taking ->
                ReversalPending(receipt, taking))
        | ReversalPending(receipt, taking), ReversalsNoticed sight ->
            let stand taking = ReversalPending(receipt, taking)
            transfer |> noticedWhileTaking now receipt taking stand sight
        | ReversalPending(receipt, taking), (RetryRequested | FundsArrived) when
            taking.Attempt.Waiting.IsForSellerFunds
            ->
            let attempt = again Due now taking.Attempt
            transfer |> stays (ReversalPending(receipt, { taking with Attempt = attempt }))
        | ReversalPending(Unnamed, taking), (TransferAnswered(Accepted id) | TransferSeen [ id ]) ->
            transfer |> stays (ReversalPending(Named id, taking))
        | ReversalPending(Named known, _), (TransferAnswered(Accepted id) | TransferSeen [ id ]) ->
            if known = id then
                Unchanged
            else
                Refused AnotherTransferExists
        | ReversalPending _, (TransferAnswered _ | TransferSeen _ | FundsArrived) -> Unchanged
        // The seller's debt is forgiven, with what waits behind it: it would wait for the same balance.
        | ReversalPending(Named id, taking), WriteOffRequested when taking.Attempt.Waiting.IsForSellerFunds ->
            writtenOff transfer (Some id)
        | ReversalPending _, (RetryRequested | WriteOffRequested) -> Refused NotRetryable
        | ReversalPending _, RedirectRequested _ -> Refused NotRedirectable

        | Reversed receipt, (TransferAnswered(Accepted id) | TransferSeen [ id ]) ->
            if receipt = Named id then
                Unchanged
            else
                Refused AnotherTransferExists
        | Reversed _, (TransferAnswered _ | TransferSeen _ | ReversalAnswered _ | ReversalSeen _) -> Unchanged
        | Reversed _, (LookUpFailed _ | StripeIdMissing | FundsArrived) -> Unchanged
        // Somebody else may have reversed what no refund had asked for yet.
        | Reversed receipt, RefundSucceeded claim ->
            claiming claim transfer (fun next -> Advanced(withTheSeller now receipt next, []))
        | Reversed _, (RetryRequested | WriteOffRequested) -> Refused NotRetryable

        | PermanentlyFailed(SendingFailed _, _), (TransferAnswered(Accepted id) | TransferSeen [ id ]) ->
            transfer |> sent now id
        | PermanentlyFailed(SendingFailed _, _),
          (TransferAnswered _ | TransferSeen _ | LookUpFailed _ | FundsArrived) -> Unchanged
        | PermanentlyFailed(SendingFailed attempt, _), RefundSucceeded claim ->
            transfer |> claimingUnsent claim attempt
        | PermanentlyFailed(SendingFailed attempt, _), ClaimResized claim ->
            transfer |> TransferResizing.unsent claim attempt
        | PermanentlyFailed(SendingFailed attempt, _), RetryRequested ->
            transfer |> stays (Pending(restarted now attempt))
        | PermanentlyFailed(SendingFailed _, _), WriteOffRequested -> closedUnsent transfer
        | PermanentlyFailed(SendingFailed attempt, _), RedirectRequested account ->
            transfer |> redirected now account attempt
        | PermanentlyFailed(SendingFailed _, _),
          (ReversalAnswered _ | ReversalSeen _ | ReversalsNoticed _ | StripeIdMissing) -> Refused NothingSent

        | PermanentlyFailed(ReversingFailed(receipt, taking), _),
          (ReversalAnswered(Accepted id) | ReversalSeen { Ours = Some id }) ->
            transfer |> givenBack now receipt taking (Returned(Some id, taking.Adopted))
        | PermanentlyFailed(ReversingFailed _, _), (ReversalAnswered _ | ReversalSeen _) -> Unchanged
        | PermanentlyFailed(ReversingFailed(receipt, taking), why), ReversalsNoticed sight ->
            let stand taking = PermanentlyFailed(ReversingFailed(receipt, taking), why)
            transfer |> noticedWhileTaking now receipt taking stand sight
        | PermanentlyFailed(ReversingFailed(Unnamed, taking), why),
          (TransferAnswered(Accepted id) | TransferSeen [ id ]) ->
            transfer |> stays (PermanentlyFailed(ReversingFailed(Named id, taking), why))
        | PermanentlyFailed(ReversingFailed(Named known, _), _),
          (TransferAnswered(Accepted id) | TransferSeen [ id ]) ->
            if known = id then
                Unchanged
            else
                Refused AnotherTransferExists
        | PermanentlyFailed(ReversingFailed _, _), (TransferAnswered _ | TransferSeen _) -> Unchanged
        | PermanentlyFailed(ReversingFailed _, _), (LookUpFailed _ | StripeIdMissing | FundsArrived) ->
            Unchanged
        | PermanentlyFailed(ReversingFailed _, _), RefundSucceeded claim ->
            claiming claim transfer (fun next -> Advanced(next, []))
        | PermanentlyFailed(ReversingFailed(receipt, taking), why), ClaimResized claim ->
            transfer
            |> TransferResizing.whileTaking now claim receipt taking (fun taking ->
                PermanentlyFailed(ReversingFailed(receipt, taking), why))
        | PermanentlyFailed(ReversingFailed(receipt, taking), _), RetryRequested ->
            let taking = { taking with Attempt = restarted now taking.Attempt }
            transfer |> stays (ReversalPending(receipt, taking))
        | PermanentlyFailed(ReversingFailed(Named id, _), _), WriteOffRequested ->
            writtenOff transfer (Some id)
        | PermanentlyFailed(ReversingFailed(Unnamed, _), _), WriteOffRequested -> writtenOff transfer None

        | Cancelled, (TransferAnswered(Accepted _) | TransferSeen(_ :: _)) -> Refused MovedAfterAll
        | Cancelled, (TransferAnswered _ | TransferSeen [] | LookUpFailed _ | FundsArrived) -> Unchanged
        | Cancelled, ClaimResized claim -> transfer |> TransferResizing.atRest claim
        | Cancelled, RefundSucceeded claim -> claiming claim transfer (fun _ -> Refused NothingToReverse)
        | Cancelled, (ReversalAnswered _ | ReversalSeen _ | ReversalsNoticed _ | StripeIdMissing) ->
            Refused NothingSent
        | Cancelled, (RetryRequested | WriteOffRequested) -> Refused NotRetryable

        | WrittenOff(Some known), (TransferAnswered(Accepted id) | TransferSeen [ id ]) ->
            if known = id then
                Unchanged
            else
                Refused AnotherTransferExists
        | WrittenOff None, (TransferAnswered(Accepted _) | TransferSeen(_ :: _)) -> Refused MovedAfterAll
        | WrittenOff _,
          (TransferAnswered _ | TransferSeen _ | LookUpFailed _ | StripeIdMissing | FundsArrived) -> Unchanged
        | WrittenOff(Some _), ReversalsNoticed sight -> transfer |> noticedAfterWriteOff sight
        | WrittenOff None, ReversalsNoticed _ -> Refused NothingSent
        | WrittenOff _, (ReversalAnswered(Accepted id) | ReversalSeen { Ours = Some id }) ->
            transfer |> isKnownReversal id
        | WrittenOff _, (ReversalAnswered _ | ReversalSeen _) -> Unchanged
        | WrittenOff(Some id), RefundSucceeded claim ->
            claiming claim transfer (fun next -> Advanced(withTheSeller now (Named id) next, []))
        | WrittenOff receipt, ClaimResized claim -> transfer |> TransferResizing.writtenOff now claim receipt
        | WrittenOff None, RefundSucceeded claim -> claiming claim transfer (fun next -> writtenOff next None)
        | WrittenOff _, (RetryRequested | WriteOffRequested) -> Refused NotRetryable

    let apply rules now signal transfer =
        match step rules now signal transfer with
        | Advanced(next, movements) -> Advanced({ next with since = sinceOf now transfer next }, movements)
        | Unchanged -> Unchanged
        | Refused why -> Refused why

    /// Read from where the transfer stands, not from how it got there, so a restart loses nothing.
    let duty transfer =
        match transfer.status with
        | Pending attempt
        | Failed attempt ->
            match attempt.Move with
            | Send -> Some(SendTransfer(transfer.Sendable, sendKey transfer attempt))
            | LookUp
            | Confirm
            | Prove -> Some(FindTransfer(sendKey transfer attempt))
        | ReversalPending(Named stripeId, taking) ->
            let key = reversalKey transfer taking
            match taking.Attempt.Move with
            | Send -> Some(SendReversal(stripeId, taking.Claim.Amount - taking.Adopted, key))
            | LookUp
            | Confirm
            | Prove -> Some(FindReversal(stripeId, key))
        | ReversalPending(Unnamed, _) -> Some ReportMissingId
        | Completed _
        | Reversed _
        | PermanentlyFailed _
        | Cancelled
        | WrittenOff _ -> None

    /// The transfer at Stripe whose reversals can be looked into, and the key that tells ours from others'. What is
    /// seen under one key must not be told to a transfer that has gone on to another.
    let sighting (transfer: Transfer) =
        let key = transfer.UnderWay |> Option.map (reversalKey transfer)

        match transfer.status with
        | Completed(Named id)
        | Reversed(Named id)
        | ReversalPending(Named id, _)
        | PermanentlyFailed(ReversingFailed(Named id, _), _)
        | WrittenOff(Some id) -> ValueSome struct (id, key)
        | Completed Unnamed
        | Reversed Unnamed
        | ReversalPending(Unnamed, _)
        | PermanentlyFailed(ReversingFailed(Unnamed, _), _)
        | PermanentlyFailed(SendingFailed _, _)
        | Pending _
        | Failed _
        | Cancelled
        | WrittenOff None -> ValueNone

    /// A worker takes the transfer for a while.
    let claimed rules (now: DateTimeOffset) transfer =
        let take = Attempt.claimed rules.Lease now

        match transfer.status with
        | Pending attempt -> { transfer with status = Pending(take attempt) }
        | Failed attempt -> { transfer with status = Failed(take attempt) }
        | ReversalPending(receipt, taking) ->
            let taking = { taking with Attempt = take taking.Attempt }
            { transfer with status = ReversalPending(receipt, taking) }
        | Completed _
        | Reversed _
        | PermanentlyFailed _
        | Cancelled
        | WrittenOff _ -> transfer

    let private keyOf duty =
        match duty with
        | Some(SendTransfer(_, key))
        | Some(FindTransfer key)
        | Some(SendReversal(_, _, key))
        | Some(FindReversal(_, key)) -> Some key
        | Some ReportMissingId
        | None -> None

    /// What a worker brings back from a duty it took on. An answer to an earlier question must not be taken for
    /// the answer to the present one; but news that money moved is never too late.
    let hear rules now asked signal transfer =
        if keyOf (duty transfer) = keyOf (Some asked) then
            apply rules now signal transfer
        else
            match signal with
            | TransferAnswered(Accepted _) -> apply rules now signal transfer
            | ReversalAnswered(Accepted id) -> isKnownReversal id transfer
            | TransferAnswered _
            | TransferSeen _
            | RefundSucceeded _
            | ClaimResized _
            | ReversalAnswered _
            | ReversalSeen _
            | ReversalsNoticed _
            | FundsArrived
            | LookUpFailed _
            | StripeIdMissing
            | RetryRequested
            | WriteOffRequested
            | RedirectRequested _ -> Unchanged
