namespace Veza.Domain.Orders

open System
open Veza.Domain

/// An order laid flat, as its rows keep it.
type OrderRow = {
    Id: Guid
    BuyerId: string
    Currency: string
    Total: int64
    FeePolicy: string
    Status: string
}

type LineRow = {
    Id: Guid
    Position: int
    LicenseId: Guid
    ProductId: string
    SellerId: string
    Quantity: int
    UnitAmount: int64
    LicenseKind: string
    LicenseExpiresAt: Nullable<DateTimeOffset>
    RefundedBy: Nullable<Guid>
}

type LegRow = {
    Position: int
    SellerId: string
    StripeAccountId: string
    TransferId: Guid
    Gross: int64
    Fee: int64
    Reserved: int64
    Refunded: int64
}

module OrderWords =
    let status status =
        match status with
        | Created -> "created"
        | AwaitingPayment -> "awaiting_payment"
        | Completed -> "completed"
        | PaymentFailed -> "payment_failed"
        | Cancelled -> "cancelled"
        | PartiallyRefunded -> "partially_refunded"
        | Refunded -> "refunded"

    let every = [ Created; AwaitingPayment; Completed; PaymentFailed; Cancelled; PartiallyRefunded; Refunded ]

    let signal signal =
        match signal with
        | PaymentRequested -> "payment_requested"
        | PaymentSucceeded -> "payment_succeeded"
        | PaymentHasFailed -> "payment_failed"
        | CancelRequested -> "cancel_requested"
        | RefundReserved _ -> "refund_reserved"
        | RefundReleased _ -> "refund_released"
        | RefundUndone _ -> "refund_undone"
        | RefundHasSucceeded _ -> "refund_succeeded"

    let feePolicy policy =
        match policy with
        | Proportional -> "proportional"
        | Keep -> "keep"

module OrderRow =
    let toRow (order: Order) : OrderRow = {
        Id = order.id.Value
        BuyerId = order.buyer
        Currency = order.currency.Code
        Total = order.Total
        FeePolicy = OrderWords.feePolicy order.feePolicy
        Status = OrderWords.status order.status
    }

    let lines (order: Order) : LineRow list =
        order.lines
        |> List.mapi (fun position line -> {
            Id = line.Id.Value
            Position = position
            LicenseId = line.License.Value
            ProductId = line.Product
            SellerId = line.Seller.Value
            Quantity = line.Quantity
            UnitAmount = line.UnitAmount
            LicenseKind = line.LicenseKind
            LicenseExpiresAt = Option.toNullable line.LicenseExpiresAt
            RefundedBy = line.RefundedBy |> Option.map _.Value |> Option.toNullable
        })

    let legs (order: Order) : LegRow list =
        order.legs
        |> List.mapi (fun position leg -> {
            Position = position
            SellerId = leg.Seller.Value
            StripeAccountId = leg.Account.Value
            TransferId = leg.Transfer.Value
            Gross = leg.Gross
            Fee = leg.Fee
            Reserved = leg.Reserved
            Refunded = leg.Refunded
        })

    let private lineOf (row: LineRow) =
        SellerId.Parse row.SellerId
        |> Result.map (fun seller -> {
            Id = LineId row.Id
            License = LicenseId row.LicenseId
            Product = row.ProductId
            Seller = seller
            Quantity = row.Quantity
            UnitAmount = row.UnitAmount
            LicenseKind = row.LicenseKind
            LicenseExpiresAt = Option.ofNullable row.LicenseExpiresAt
            RefundedBy = row.RefundedBy |> Option.ofNullable |> Option.map RefundId
        })

    let private legOf (row: LegRow) =
        match SellerId.Parse row.SellerId, StripeAccountId.Parse row.StripeAccountId with
        | Ok seller, Ok account ->
            Ok {
                Seller = seller
                Account = account
                Transfer = TransferId row.TransferId
                Gross = row.Gross
                Fee = row.Fee
                Reserved = row.Reserved
                Refunded = row.Refunded
            }
        | Error why, _
        | _, Error why -> Error why

    let private all read rows =
        (rows, Ok [])
        ||> Seq.foldBack (fun row rest ->
            rest |> Result.bind (fun tail -> read row |> Result.map (fun head -> head :: tail)))

    let private policyOf word =
        match word with
        | "proportional" -> Ok Proportional
        | "keep" -> Ok Keep
        | unknown -> Error $"No fee policy is called '{unknown}'."

    let private statusOf word =
        match OrderWords.every |> List.tryFind (fun status -> OrderWords.status status = word) with
        | Some status -> Ok status
        | None -> Error $"No order is '{word}'."

    /// The order that left these rows behind.
    let ofRow (row: OrderRow) (lines: LineRow seq) (legs: LegRow seq) =
        let lines = lines |> Seq.sortBy _.Position |> all lineOf
        let legs = legs |> Seq.sortBy _.Position |> all legOf

        match lines, legs, Currency.parse row.Currency, policyOf row.FeePolicy, statusOf row.Status with
        | Ok lines, Ok legs, Ok currency, Ok policy, Ok status ->
            let order = {
                id = OrderId row.Id
                buyer = row.BuyerId
                currency = currency
                feePolicy = policy
                lines = lines
                legs = legs
                status = status
            }
            if order.Total = row.Total then
                Ok order
            else
                Error $"The legs of order {row.Id} sum to {order.Total}, not to its total of {row.Total}."
        | Error why, _, _, _, _
        | _, Error why, _, _, _
        | _, _, Error why, _, _
        | _, _, _, Error why, _
        | _, _, _, _, Error why -> Error why
