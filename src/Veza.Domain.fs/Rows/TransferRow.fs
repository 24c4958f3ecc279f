namespace Veza.Domain.Transfers

open System
open Veza.Domain

/// A transfer laid flat, as its row keeps it.
type TransferRow = {
    Id: Guid
    OrderId: Guid
    SellerId: string
    StripeAccountId: string
    Currency: string
    Amount: int64
    Compensates: Nullable<Guid>
    Status: string
    StripeTransferId: string | null
    Generation: int
    Sends: int
    FirstSentAt: Nullable<DateTimeOffset>
    Move: string | null
    RetryCount: int
    DueAt: Nullable<DateTimeOffset>
    WaitingFor: string | null
    GivenUp: string | null
    TroubleCause: string | null
    TroubleCode: string | null
    TroubleMessage: string | null
    /// The claim being taken: which of the reversals it is, and how much of it others have reversed.
    Taking: Nullable<Guid>
    Adopted: int64
    /// Reversed by others and taken up by no claim.
    Foreign: int64
    WaitingSince: Nullable<DateTimeOffset>
}

/// One claim on a transfer, as its row keeps it.
/// Statuses: pending, failed, reversed, withheld, written_off, cancelled.
type ReversalRow = {
    TransferId: Guid
    RefundId: Guid
    /// Claims are settled in this order.
    Position: int
    Amount: int64
    AdoptedAmount: int64
    Status: string
    StripeReversalId: string | null
    /// How much of it refunds account for, if that became less after it was settled or sent.
    Kept: Nullable<int64>
}

module TransferRow =
    let private nameOf receipt : string | null =
        match receipt with
        | Named id -> id.Value
        | Unnamed -> null

    let private withAttempt attempt (row: TransferRow) =
        let first, sends =
            match attempt.Operation.Certainty with
            | Unsent -> Nullable(), 0
            | Sent(first, sends) -> Nullable first, sends

        {
            row with
                Generation = attempt.Operation.Generation
                Sends = sends
                FirstSentAt = first
                Move = AttemptWords.move attempt.Move
                RetryCount = attempt.Retries
                DueAt = Nullable attempt.DueAt
                WaitingFor = AttemptWords.waiting attempt.Waiting
        }

    let private withTaking taking (row: TransferRow) = {
        withAttempt taking.Attempt row with
            Taking = Nullable taking.Claim.Refund.Value
            Adopted = taking.Adopted
    }

    let toRow (transfer: Transfer) : TransferRow =
        let trouble = transfer.trouble

        let row = {
            Id = transfer.id.Value
            OrderId = transfer.order.Value
            SellerId = transfer.seller.Value
            StripeAccountId = transfer.account.Value
            Currency = transfer.amount.Currency.Code
            Amount = transfer.amount.Minor
            Compensates = transfer.compensates |> Option.map _.Value |> Option.toNullable
            Status = TransferWords.status transfer.status
            StripeTransferId = null
            Generation = 0
            Sends = 0
            FirstSentAt = Nullable()
            Move = null
            RetryCount = 0
            DueAt = Nullable()
            WaitingFor = null
            GivenUp = null
            TroubleCause =
                trouble |> Option.map (fun refusal -> RefusalCause.word refusal.Cause) |> Option.toObj
            TroubleCode = trouble |> Option.map _.Code |> Option.toObj
            TroubleMessage = trouble |> Option.map _.Message |> Option.toObj
            Taking = Nullable()
            Adopted = 0L
            Foreign = transfer.foreign
            WaitingSince = Option.toNullable transfer.since
        }

        match transfer.status with
        | Pending attempt
        | Failed attempt -> withAttempt attempt row
        | Completed receipt
        | Reversed receipt -> { row with StripeTransferId = nameOf receipt }
        | ReversalPending(receipt, taking) -> withTaking taking { row with StripeTransferId = nameOf receipt }
        | PermanentlyFailed(SendingFailed attempt, why) -> {
            withAttempt attempt row with
                GivenUp = TransferWords.givenUp why
          }
        | PermanentlyFailed(ReversingFailed(receipt, taking), why) -> {
            withTaking taking { row with StripeTransferId = nameOf receipt } with
                GivenUp = TransferWords.givenUp why
          }
        | Cancelled -> row
        | WrittenOff receipt -> { row with StripeTransferId = receipt |> Option.map _.Value |> Option.toObj }

    /// Every claim on the transfer, oldest first.
    let reversals (transfer: Transfer) : ReversalRow list =
        let row position (claim: Claim) status adopted (stripeId: string | null) kept = {
            TransferId = transfer.id.Value
            RefundId = claim.Refund.Value
            Position = position
            Amount = claim.Amount
            AdoptedAmount = adopted
            Status = status
            StripeReversalId = stripeId
            Kept = Option.toNullable kept
        }

        let settled =
            transfer.settled
            |> List.mapi (fun position settled ->
                let row status adopted stripeId =
                    row position settled.Claim status adopted stripeId settled.Kept
                match settled.Settling with
                | Withheld -> row "withheld" 0L null
                | Returned(reversal, adopted) ->
                    row "reversed" adopted (reversal |> Option.map _.Value |> Option.toObj)
                | Forgiven -> row "written_off" 0L null
                | Dropped -> row "cancelled" 0L null)

        let outstanding =
            transfer.Outstanding
            |> List.mapi (fun offset claim ->
                let position = settled.Length + offset
                match transfer.status with
                | PermanentlyFailed(ReversingFailed(_, taking), _) when taking.Claim = claim ->
                    row position claim "failed" taking.Adopted null taking.Kept
                | ReversalPending(_, taking) when taking.Claim = claim ->
                    row position claim "pending" taking.Adopted null taking.Kept
                | PermanentlyFailed _
                | ReversalPending _
                | Pending _
                | Failed _
                | Completed _
                | Reversed _
                | Cancelled
                | WrittenOff _ -> row position claim "pending" 0L null None)

        settled @ outstanding

    // The way back. A row that no transfer could have left behind is an error, never a guess.

    let private attemptOf (row: TransferRow) =
        let certainty = AttemptWords.certainty row.Sends row.FirstSentAt
        let move = AttemptWords.parse "a move" AttemptWords.everyMove AttemptWords.move row.Move

        match certainty, move with
        | Ok certainty, Ok move ->
            match
                AttemptWords.parse
                    "a reason to wait"
                    AttemptWords.everyWaiting
                    AttemptWords.waiting
                    row.WaitingFor
            with
            | Ok waiting ->
                Ok {
                    Operation = { Generation = row.Generation; Certainty = certainty }
                    Move = move
                    Retries = row.RetryCount
                    DueAt =
                        (if row.DueAt.HasValue then
                             row.DueAt.Value
                         else
                             DateTimeOffset.MinValue)
                    Waiting = waiting
                }
            | Error why -> Error why
        | Error why, _
        | _, Error why -> Error why

    let private receiptOf (row: TransferRow) =
        match row.StripeTransferId with
        | null
        | "" -> Ok Unnamed
        | text -> StripeTransferId.Parse text |> Result.map Named

    let private claimOf (row: ReversalRow) = { Refund = RefundId row.RefundId; Amount = row.Amount }

    let private settlingOf (row: ReversalRow) =
        match row.Status, row.StripeReversalId with
        | "withheld", null -> Ok(Some Withheld)
        | "written_off", null -> Ok(Some Forgiven)
        | "cancelled", null -> Ok(Some Dropped)
        | "reversed", null -> Ok(Some(Returned(None, row.AdoptedAmount)))
        | "reversed", NonNull text ->
            StripeReversalId.Parse text |> Result.map (fun id -> Some(Returned(Some id, row.AdoptedAmount)))
        | ("pending" | "failed"), null -> Ok None
        | unknown -> Error $"No reversal looks like %A{unknown}."

    let private troubleOf (row: TransferRow) =
        match row.TroubleCause, row.TroubleCode, row.TroubleMessage with
        | NonNull cause, NonNull code, NonNull message ->
            AttemptWords.parse "a cause" RefusalCause.every RefusalCause.word cause
            |> Result.map (fun cause -> Some { Cause = cause; Code = code; Message = message })
        | null, null, null -> Ok None
        | unknown -> Error $"No trouble looks like %A{unknown}."

    let private takingOf (row: TransferRow) (claims: ReversalRow list) =
        match
            claims |> List.tryFind (fun claim -> row.Taking.HasValue && claim.RefundId = row.Taking.Value)
        with
        | Some claim ->
            attemptOf row
            |> Result.map (fun attempt -> {
                Claim = claimOf claim
                Adopted = row.Adopted
                Attempt = attempt
                Kept = Option.ofNullable claim.Kept
            })
        | None -> Error "The claim being taken is missing."

    let private withReceipt (row: TransferRow) status =
        receiptOf row |> Result.bind (fun receipt -> status receipt)

    let private statusOf (row: TransferRow) claims =
        match row.Status, row.GivenUp with
        | "pending", null -> attemptOf row |> Result.map Pending
        | "failed", null -> attemptOf row |> Result.map Failed
        | "completed", null -> withReceipt row (Completed >> Ok)
        | "reversed", null -> withReceipt row (Reversed >> Ok)
        | "reversal_pending", null ->
            withReceipt row (fun receipt ->
                takingOf row claims |> Result.map (fun taking -> ReversalPending(receipt, taking)))
        | "permanently_failed", NonNull why ->
            AttemptWords.parse "a reason to give up" TransferWords.everyGivenUp TransferWords.givenUp why
            |> Result.bind (fun why ->
                if row.Taking.HasValue then
                    withReceipt row (fun receipt ->
                        takingOf row claims
                        |> Result.map (fun taking ->
                            PermanentlyFailed(ReversingFailed(receipt, taking), why)))
                else
                    attemptOf row
                    |> Result.map (fun attempt -> PermanentlyFailed(SendingFailed attempt, why)))
        | "cancelled", null -> Ok Cancelled
        | "written_off", null ->
            withReceipt row (fun receipt ->
                match receipt with
                | Named id -> Ok(WrittenOff(Some id))
                | Unnamed -> Ok(WrittenOff None))
        | unknown -> Error $"No transfer stands like %A{unknown}."

    let private all results =
        (results, Ok [])
        ||> List.foldBack (fun result rest ->
            Result.bind (fun head -> Result.map (fun tail -> head :: tail) rest) result)

    /// The transfer that left these rows behind.
    let ofRow (row: TransferRow) (reversals: ReversalRow seq) =
        let claims = reversals |> Seq.sortBy _.Position |> List.ofSeq

        let settlings =
            claims
            |> List.map (fun claim -> settlingOf claim |> Result.map (fun settling -> claim, settling))
            |> all

        match settlings, statusOf row claims, troubleOf row with
        | Ok settlings, Ok status, Ok trouble ->
            match
                SellerId.Parse row.SellerId,
                StripeAccountId.Parse row.StripeAccountId,
                Currency.parse row.Currency
            with
            | Ok seller, Ok account, Ok currency ->
                Ok {
                    id = TransferId row.Id
                    order = OrderId row.OrderId
                    seller = seller
                    account = account
                    amount = { Minor = row.Amount; Currency = currency }
                    compensates = row.Compensates |> Option.ofNullable |> Option.map RefundId
                    status = status
                    settled = [
                        for claim, settling in settlings do
                            match settling with
                            | Some settling -> {
                                Claim = claimOf claim
                                Settling = settling
                                Kept = Option.ofNullable claim.Kept
                              }
                            | None -> ()
                    ]
                    queue = [
                        for claim, settling in settlings do
                            if
                                settling.IsNone
                                && not (row.Taking.HasValue && row.Taking.Value = claim.RefundId)
                            then
                                claimOf claim
                    ]
                    foreign = row.Foreign
                    trouble = trouble
                    since = Option.ofNullable row.WaitingSince
                }
            | Error why, _, _
            | _, Error why, _
            | _, _, Error why -> Error why
        | Error why, _, _
        | _, Error why, _
        | _, _, Error why -> Error why
