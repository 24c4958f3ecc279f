/// What the buyer may use because of an order's line.
namespace Veza.Domain.Licenses

open System
open Veza.Domain

type LicenseStatus =
    | Active
    | Revoked of By: RefundId

type LicenseSignal =
    | LineRefunded of By: RefundId
    /// The refund that revoked it failed after all, and no other one covers it.
    | RefundUndone

/// Begins with `grant`, changes through `apply`, returns from a row with `ofRow`: no other way.
type License = private {
    id: LicenseId
    order: OrderId
    line: LineId
    buyer: string
    product: string
    kind: string
    expiresAt: DateTimeOffset option
    status: LicenseStatus
} with

    member license.Id = license.id
    member license.Order = license.order
    member license.Line = license.line
    member license.Status = license.status

type LicenseRow = {
    Id: Guid
    OrderId: Guid
    LineId: Guid
    BuyerId: string
    ProductId: string
    Kind: string
    ExpiresAt: Nullable<DateTimeOffset>
    Status: string
    RevokedBy: Nullable<Guid>
}

module License =
    let grant id order line buyer product kind expiresAt = {
        id = id
        order = order
        line = line
        buyer = buyer
        product = product
        kind = kind
        expiresAt = expiresAt
        status = Active
    }

    /// None: nothing changes.
    let apply signal license =
        match license.status, signal with
        | Active, LineRefunded refund -> Some { license with status = Revoked refund }
        | Revoked _, LineRefunded _ -> None
        | Revoked _, RefundUndone -> Some { license with status = Active }
        | Active, RefundUndone -> None

    let statusWord status =
        match status with
        | Active -> "active"
        | Revoked _ -> "revoked"

    let signalWord signal =
        match signal with
        | LineRefunded _ -> "line_refunded"
        | RefundUndone -> "refund_undone"

    let toRow license : LicenseRow = {
        Id = license.id.Value
        OrderId = license.order.Value
        LineId = license.line.Value
        BuyerId = license.buyer
        ProductId = license.product
        Kind = license.kind
        ExpiresAt = Option.toNullable license.expiresAt
        Status = statusWord license.status
        RevokedBy =
            (match license.status with
             | Active -> Nullable()
             | Revoked refund -> Nullable refund.Value)
    }

    let ofRow (row: LicenseRow) =
        let found status =
            Ok {
                id = LicenseId row.Id
                order = OrderId row.OrderId
                line = LineId row.LineId
                buyer = row.BuyerId
                product = row.ProductId
                kind = row.Kind
                expiresAt = Option.ofNullable row.ExpiresAt
                status = status
            }

        match row.Status, row.RevokedBy.HasValue with
        | "active", false -> found Active
        | "revoked", true -> found (Revoked(RefundId row.RevokedBy.Value))
        | unknown -> Error $"No license looks like %A{unknown}."
