/// A deposit laid flat, as its row keeps it.
namespace Veza.Domain.Deposits

open System
open Veza.Domain
open Veza.Domain.Refunds
open Veza.Domain.Subscriptions

type DepositRow = {
    Id: Guid
    PaymentId: string
    OrderId: Nullable<Guid>
    SubscriptionId: Nullable<Guid>
    Period: Nullable<int>
    Try: Nullable<int>
    Amount: int64
    Currency: string
    WithdrawalNames: string array
    WithdrawalAmounts: int64 array
    WithdrawalWords: string array
    /// What refunds and disputes have of it now.
    Taken: int64
    Status: string
    Stray: string | null
    Since: Nullable<DateTimeOffset>
    Refused: int
    SentAt: Nullable<DateTimeOffset>
    Sends: int
    ReturnAmount: Nullable<int64>
    DueAt: Nullable<DateTimeOffset>
    TroubleCode: string | null
    TroubleMessage: string | null
}

module DepositRow =
    let toRow (deposit: Deposit) : DepositRow =
        let row = {
            Id = deposit.id.Value
            PaymentId = deposit.payment
            OrderId = Nullable()
            SubscriptionId = Nullable()
            Period = Nullable()
            Try = Nullable()
            Amount = deposit.amount.Minor
            Currency = deposit.amount.Currency.Code
            WithdrawalNames = [| for withdrawal in deposit.withdrawals -> withdrawal.Name |]
            WithdrawalAmounts = [| for withdrawal in deposit.withdrawals -> withdrawal.Amount |]
            WithdrawalWords = [|
                for withdrawal in deposit.withdrawals -> DepositWords.claimant withdrawal.By
            |]
            Taken = Deposit.taken deposit
            Status = DepositWords.status deposit.status
            Stray = null
            Since = Nullable()
            Refused = deposit.refused
            SentAt = Nullable()
            Sends = 0
            ReturnAmount = Nullable()
            DueAt = Nullable()
            TroubleCode = null
            TroubleMessage = null
        }

        let row =
            match deposit.origin with
            | OfOrder order -> { row with OrderId = Nullable order.Value }
            | OfPeriod(subscription, payment) -> {
                row with
                    SubscriptionId = Nullable subscription.Value
                    Period = Nullable payment.Period
                    Try = Nullable payment.Try
              }

        match deposit.status with
        | Earned
        | Adopted -> row
        | Cleared stray -> { row with Stray = DepositWords.stray stray }
        | ToConfirm(stray, due) -> { row with Stray = DepositWords.stray stray; DueAt = Nullable due }
        | Held(stray, since, trouble) -> {
            row with
                Stray = DepositWords.stray stray
                Since = Nullable since
                TroubleCode = trouble |> Option.map _.Code |> Option.toObj
                TroubleMessage = trouble |> Option.map _.Message |> Option.toObj
          }
        | Returning(stray, inquiry, amount) -> {
            row with
                Stray = DepositWords.stray stray
                SentAt = Nullable inquiry.SentAt
                Sends = inquiry.Sends
                DueAt = Nullable inquiry.DueAt
                ReturnAmount = Nullable amount
          }

    let private originOf (row: DepositRow) =
        match
            row.OrderId.HasValue, row.SubscriptionId.HasValue && row.Period.HasValue && row.Try.HasValue
        with
        | true, false -> Ok(OfOrder(OrderId row.OrderId.Value))
        | false, true ->
            Ok(
                OfPeriod(
                    SubscriptionId row.SubscriptionId.Value,
                    { Period = row.Period.Value; Try = row.Try.Value }
                )
            )
        | true, true
        | false, false -> Error $"Deposit {row.Id} is of nothing, or of two."

    let private withdrawalsOf (row: DepositRow) =
        let withdrawal (name, amount, word) =
            AttemptWords.parse "a withdrawal" DepositWords.everyClaimant DepositWords.claimant word
            |> Result.map (fun by -> { Name = name; Amount = amount; By = by })

        (Seq.zip3 row.WithdrawalNames row.WithdrawalAmounts row.WithdrawalWords, Ok [])
        ||> Seq.foldBack (fun found rest ->
            rest |> Result.bind (fun tail -> withdrawal found |> Result.map (fun head -> head :: tail)))

    let private statusOf (row: DepositRow) =
        let stray () =
            AttemptWords.parse "a stray payment" DepositWords.everyStray DepositWords.stray (string row.Stray)
        let trouble =
            row.TroubleCode
            |> Option.ofObj
            |> Option.map (fun code -> {
                Cause = OtherCause
                Code = code
                Message = string row.TroubleMessage
            })

        match row.Status, row.Since.HasValue, row.DueAt.HasValue, row.SentAt.HasValue with
        | "earned", false, false, false -> Ok Earned
        | "adopted", false, false, false -> Ok Adopted
        | "cleared", false, false, false -> stray () |> Result.map Cleared
        | "held", true, false, false ->
            stray () |> Result.map (fun stray -> Held(stray, row.Since.Value, trouble))
        | "to_confirm", false, true, false ->
            stray () |> Result.map (fun stray -> ToConfirm(stray, row.DueAt.Value))
        | "returning", false, true, true when row.ReturnAmount.HasValue ->
            let inquiry: Inquiry = { SentAt = row.SentAt.Value; Sends = row.Sends; DueAt = row.DueAt.Value }
            stray () |> Result.map (fun stray -> Returning(stray, inquiry, row.ReturnAmount.Value))
        | unknown -> Error $"No deposit stands like %A{unknown}."

    /// The deposit that left this row behind.
    let ofRow (row: DepositRow) =
        match originOf row, withdrawalsOf row, statusOf row, Currency.parse row.Currency with
        | Ok origin, Ok withdrawals, Ok status, Ok currency ->
            Ok {
                id = DepositId row.Id
                payment = row.PaymentId
                origin = origin
                amount = { Minor = row.Amount; Currency = currency }
                withdrawals = withdrawals
                refused = row.Refused
                status = status
            }
        | Error why, _, _, _
        | _, Error why, _, _
        | _, _, Error why, _
        | _, _, _, Error why -> Error why
