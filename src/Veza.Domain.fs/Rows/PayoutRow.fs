namespace Veza.Domain.Payouts

open System
open Veza.Domain

/// A payout laid flat, as its row keeps it.
type PayoutRow = {
    Id: Guid
    SellerId: string
    StripeAccountId: string
    Amount: int64
    Currency: string
    Status: string
    StripePayoutId: string | null
    Generation: int
    Sends: int
    FirstSentAt: Nullable<DateTimeOffset>
    Move: string | null
    RetryCount: int
    DueAt: Nullable<DateTimeOffset>
    WaitingFor: string | null
    FailureCause: string | null
    FailureCode: string | null
    FailureMessage: string | null
    WaitingSince: Nullable<DateTimeOffset>
}

module PayoutRow =
    let private withAttempt attempt row =
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

    let toRow (payout: Payout) : PayoutRow =
        let row = {
            Id = payout.id.Value
            SellerId = payout.seller.Value
            StripeAccountId = payout.account.Value
            Amount = payout.amount.Minor
            Currency = payout.amount.Currency.Code
            Status = PayoutWords.status payout.status
            StripePayoutId = null
            Generation = 0
            Sends = 0
            FirstSentAt = Nullable()
            Move = null
            RetryCount = 0
            DueAt = Nullable()
            WaitingFor = null
            FailureCause = null
            FailureCode = null
            FailureMessage = null
            WaitingSince = Option.toNullable payout.since
        }
        let failing (refusal: Refusal) row = {
            row with
                FailureCause = RefusalCause.word refusal.Cause
                FailureCode = refusal.Code
                FailureMessage = refusal.Message
        }
        let row =
            match payout.trouble with
            | Some trouble -> failing trouble row
            | None -> row
        let named (id: StripePayoutId) row = { row with StripePayoutId = id.Value }

        match payout.status with
        | PayoutStatus.Requested attempt
        | PayoutStatus.InDoubt attempt -> withAttempt attempt row
        | Pending(id, due)
        | InTransit(id, due) -> named id { row with DueAt = Nullable due }
        | Paid id
        | Canceled(Some id) -> named id row
        | Canceled None -> row
        | Failed(id, refusal) ->
            failing refusal { row with StripePayoutId = id |> Option.map _.Value |> Option.toObj }

    let private attemptOf row =
        match
            AttemptWords.certainty row.Sends row.FirstSentAt,
            AttemptWords.parse "a move" AttemptWords.everyMove AttemptWords.move row.Move,
            AttemptWords.parse
                "a reason to wait"
                AttemptWords.everyWaiting
                AttemptWords.waiting
                row.WaitingFor
        with
        | Ok certainty, Ok move, Ok waiting when row.DueAt.HasValue ->
            Ok {
                Operation = { Generation = row.Generation; Certainty = certainty }
                Move = move
                Retries = row.RetryCount
                DueAt = row.DueAt.Value
                Waiting = waiting
            }
        | Ok _, Ok _, Ok _ -> Error "An attempt needs a time."
        | Error why, _, _
        | _, Error why, _
        | _, _, Error why -> Error why

    let private statusOf row =
        let named status = StripePayoutId.Parse row.StripePayoutId |> Result.map status

        match row.Status, row.DueAt.HasValue with
        | "requested", true -> attemptOf row |> Result.map Requested
        | "in_doubt", true -> attemptOf row |> Result.map PayoutStatus.InDoubt
        | "pending", true -> named (fun id -> Pending(id, row.DueAt.Value))
        | "in_transit", true -> named (fun id -> InTransit(id, row.DueAt.Value))
        | "paid", false -> named Paid
        | "canceled", false ->
            if isNull row.StripePayoutId then
                Ok(Canceled None)
            else
                named (Some >> Canceled)
        | "failed", false ->
            match
                row.StripePayoutId,
                AttemptWords.parse "a cause" RefusalCause.every RefusalCause.word row.FailureCause,
                row.FailureCode,
                row.FailureMessage
            with
            | null, Ok cause, NonNull code, NonNull message ->
                Ok(Failed(None, { Cause = cause; Code = code; Message = message }))
            | NonNull _, Ok cause, NonNull code, NonNull message ->
                named (fun id -> Failed(Some id, { Cause = cause; Code = code; Message = message }))
            | unknown -> Error $"No payout failed like %A{unknown}."
        | unknown -> Error $"No payout stands like %A{unknown}."

    let private troubleOf row =
        match row.Status, row.FailureCause, row.FailureCode, row.FailureMessage with
        | "failed", _, _, _
        | _, null, null, null -> Ok None
        | _, NonNull cause, NonNull code, NonNull message ->
            AttemptWords.parse "a cause" RefusalCause.every RefusalCause.word cause
            |> Result.map (fun cause -> Some { Cause = cause; Code = code; Message = message })
        | unknown -> Error $"No trouble looks like %A{unknown}."

    /// The payout that left this row behind.
    let ofRow row =
        match
            SellerId.Parse row.SellerId,
            StripeAccountId.Parse row.StripeAccountId,
            Currency.parse row.Currency,
            statusOf row,
            troubleOf row
        with
        | Ok seller, Ok account, Ok currency, Ok status, Ok trouble ->
            Ok {
                id = PayoutId row.Id
                seller = seller
                account = account
                amount = { Minor = row.Amount; Currency = currency }
                status = status
                trouble = trouble
                since = Option.ofNullable row.WaitingSince
            }
        | Error why, _, _, _, _
        | _, Error why, _, _, _
        | _, _, Error why, _, _
        | _, _, _, Error why, _
        | _, _, _, _, Error why -> Error why
