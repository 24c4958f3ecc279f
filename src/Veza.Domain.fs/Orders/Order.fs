/// What a buyer bought from several sellers at once, and how far it is paid and refunded.
namespace Veza.Domain.Orders

open System
open Veza.Domain
open Veza.Domain.Refunds

/// A field that breaks a rule.
type Fault = { Field: string; Code: string; Detail: string }

/// One position of an order; its license exists from the moment the order completes.
type Line = {
    Id: LineId
    License: LicenseId
    Product: string
    Seller: SellerId
    Quantity: int
    UnitAmount: int64
    LicenseKind: string
    LicenseExpiresAt: DateTimeOffset option
    /// The refund by lines, or of the rest, that gives this line back.
    RefundedBy: RefundId option
} with

    member line.Amount = int64 line.Quantity * line.UnitAmount

/// All that one seller sold in the order. Gross and fee never change.
type Leg = {
    Seller: SellerId
    Account: StripeAccountId
    Transfer: TransferId
    Gross: int64
    /// The platform's part of the gross.
    Fee: int64
    /// Asked back by refunds that have not failed.
    Reserved: int64
    /// Given back by refunds that have succeeded.
    Refunded: int64
} with

    member leg.Net = leg.Gross - leg.Fee
    member leg.Left = leg.Gross - leg.Reserved

/// What Veza has agreed with a seller at the time of the sale.
type SellerTerms = { Seller: SellerId; Account: StripeAccountId; FeeBps: int; Transfer: TransferId }

type OrderStatus =
    | Created
    | AwaitingPayment
    | Completed
    | PaymentFailed
    | Cancelled
    | PartiallyRefunded
    | Refunded

type Reservation = { Refund: RefundId; Scope: Scope; Shares: Share list }

type OrderSignal =
    | PaymentRequested
    | PaymentSucceeded
    | PaymentHasFailed
    | CancelRequested
    | RefundReserved of Reservation: Reservation
    /// The refund failed; its amount may be asked for again.
    | RefundReleased of Reservation: Reservation
    | RefundHasSucceeded of Reservation: Reservation
    /// The refund had succeeded and failed after all.
    | RefundUndone of Reservation: Reservation

type OrderRefusal =
    | NotPayable
    | NotPaid
    | NotCancellable
    | NotRefundable
    | MoreThanIsLeft of Left: int64
    /// The lines are worth more than is left of what this seller sold.
    | MoreThanSellersPart of Seller: SellerId * Asked: int64 * Left: int64
    /// The lines were free.
    | NothingPaid
    | UnknownLine of Line: LineId
    | LineAlreadyRefunded of Line: LineId

/// Begins with `create`, changes through `apply`, returns from rows with `ofRow`: no other way.
type Order = private {
    id: OrderId
    buyer: string
    currency: Currency
    feePolicy: FeeRefundPolicy
    lines: Line list
    legs: Leg list
    status: OrderStatus
} with

    member order.Id = order.id
    member order.Buyer = order.buyer
    member order.Currency = order.currency
    member order.FeePolicy = order.feePolicy
    member order.Lines = order.lines
    member order.Legs = order.legs
    member order.Status = order.status
    member order.Total = order.legs |> List.sumBy _.Gross
    /// What its payment is asked for.
    member order.Price: Money = { Minor = order.Total; Currency = order.currency }
    /// What may still be refunded.
    member order.Left = order.legs |> List.sumBy _.Left
    member order.Refunded = order.legs |> List.sumBy _.Refunded

type OrderOutcome = Outcome<Order, OrderRefusal>

/// What the caller of `POST /refunds` asked for.
type RefundRequest =
    | Amount of Minor: int64
    | Lines of Lines: LineId list
    | AllThatIsLeft

module Order =
    let unknownSeller (place: int) (seller: string) = {
        Field = $"lines[{place}].seller_id"
        Code = "unknown_seller"
        Detail = $"No seller is registered as '{seller}'."
    }

    /// What is wrong with one line, whatever the others are.
    let lineFaults (place: int) (line: Line) (terms: SellerTerms seq) = [
        let fault field code detail = { Field = $"lines[{place}].{field}"; Code = code; Detail = detail }
        if line.Quantity < 1 then
            fault "quantity" "too_small" "quantity must be at least 1."
        if line.UnitAmount < 0L then
            fault "unit_amount" "too_small" "unit_amount must not be negative."
        elif bigint line.Quantity * bigint line.UnitAmount > bigint Minor.most then
            fault "unit_amount" "too_large" $"quantity × unit_amount must not exceed {Minor.most}."
        if terms |> Seq.forall (fun terms -> terms.Seller <> line.Seller) then
            unknownSeller place (string line.Seller)
    ]

    /// What is wrong with all lines together, each of which is in order.
    let private totalFaults (lines: Line list) =
        let total = lines |> List.sumBy (fun line -> bigint line.Quantity * bigint line.UnitAmount)
        [
            if List.isEmpty lines then
                { Field = "lines"; Code = "required"; Detail = "An order needs at least one line." }
            elif total > bigint Minor.most then
                { Field = "lines"; Code = "too_large"; Detail = $"The total must not exceed {Minor.most}." }
            elif total.IsZero then
                { Field = "lines"; Code = "too_small"; Detail = "The total must be more than zero." }
        ]

    /// All that is wrong with the lines of an order.
    let faults (lines: Line list) (terms: SellerTerms list) =
        match
            [
                for place, line in List.indexed lines do
                    yield! lineFaults place line terms
            ]
        with
        | [] -> totalFaults lines
        | faults -> faults

    /// Legs and fees are frozen here: fee = ⌊gross × bps ÷ 10 000⌋, the seller's transfer is the rest.
    let create id buyer currency feePolicy (lines: Line list) (terms: SellerTerms list) =
        match faults lines terms with
        | [] ->
            let legs = [
                for terms in terms do
                    let gross =
                        lines |> List.filter (fun line -> line.Seller = terms.Seller) |> List.sumBy _.Amount
                    {
                        Seller = terms.Seller
                        Account = terms.Account
                        Transfer = terms.Transfer
                        Gross = gross
                        Fee = Allocation.fee gross terms.FeeBps
                        Reserved = 0L
                        Refunded = 0L
                    }
            ]
            Ok {
                id = id
                buyer = buyer
                currency = currency
                feePolicy = feePolicy
                lines = lines
                legs = legs
                status = Created
            }
        | faults -> Error faults

    let private sharesOfLines (lines: Line list) (order: Order) = [
        for leg in order.legs do
            let amount = lines |> List.filter (fun line -> line.Seller = leg.Seller) |> List.sumBy _.Amount
            if amount > 0L then
                { Seller = leg.Seller; Amount = amount }
    ]

    let private withinLegs (shares: Share list) (order: Order) =
        shares
        |> List.forall (fun share ->
            order.legs |> List.exists (fun leg -> leg.Seller = share.Seller && share.Amount <= leg.Left))

    /// A share of which the seller's part has less left.
    let private beyondItsLeg (shares: Share list) (order: Order) =
        List.allPairs shares order.legs
        |> List.tryPick (fun (share, leg) ->
            if leg.Seller = share.Seller && share.Amount > leg.Left then
                Some(MoreThanSellersPart(share.Seller, share.Amount, leg.Left))
            else
                None)

    let private planOf request (order: Order) =
        match request with
        | Amount minor when minor > order.Left -> Error(MoreThanIsLeft order.Left)
        | Amount minor ->
            let parts = Allocation.spread minor [ for leg in order.legs -> leg.Left ]
            Ok(
                OfAmount,
                [
                    for leg, part in List.zip order.legs parts do
                        if part > 0L then
                            { Seller = leg.Seller; Amount = part }
                ]
            )
        | AllThatIsLeft when order.Left = 0L -> Error(MoreThanIsLeft 0L)
        | AllThatIsLeft ->
            Ok(
                OfRest,
                [
                    for leg in order.legs do
                        if leg.Left > 0L then
                            { Seller = leg.Seller; Amount = leg.Left }
                ]
            )
        | Lines ids ->
            let ids = List.distinct ids
            let found = order.lines |> List.filter (fun line -> List.contains line.Id ids)
            let unknown = ids |> List.tryFind (fun id -> found |> List.forall (fun line -> line.Id <> id))
            match unknown, found |> List.tryFind _.RefundedBy.IsSome with
            | Some id, _ -> Error(UnknownLine id)
            | None, Some line -> Error(LineAlreadyRefunded line.Id)
            | None, None ->
                let shares = sharesOfLines found order
                match shares, beyondItsLeg shares order with
                | [], _ -> Error NothingPaid
                | _ :: _, Some why -> Error why
                | _ :: _, None -> Ok(OfLines ids, shares)

    /// What a refund would take from each leg, or why it cannot be.
    let planRefund request (order: Order) =
        match order.status with
        | Completed
        | PartiallyRefunded -> planOf request order
        | Refunded -> Error(MoreThanIsLeft 0L)
        | Created
        | AwaitingPayment
        | PaymentFailed
        | Cancelled -> Error NotRefundable

    let private onLegs (change: Leg -> int64 -> Leg) (reservation: Reservation) (order: Order) = {
        order with
            legs = [
                for leg in order.legs do
                    match reservation.Shares |> List.tryFind (fun share -> share.Seller = leg.Seller) with
                    | Some share -> change leg share.Amount
                    | None -> leg
            ]
    }

    let private linesOf reservation (order: Order) =
        match reservation.Scope with
        | OfAmount
        | OfDispute -> []
        | OfLines ids -> ids
        | OfRest -> [ for line in order.lines -> line.Id ]

    let private marked reservation (order: Order) =
        let ids = linesOf reservation order
        {
            order with
                lines = [
                    for line in order.lines do
                        if line.RefundedBy.IsNone && List.contains line.Id ids then
                            { line with RefundedBy = Some reservation.Refund }
                        else
                            line
                ]
        }

    let private unmarked reservation (order: Order) = {
        order with
            lines = [
                for line in order.lines do
                    if line.RefundedBy = Some reservation.Refund then
                        { line with RefundedBy = None }
                    else
                        line
            ]
    }

    let private reserved reservation (order: Order) =
        if withinLegs reservation.Shares order then
            order
            |> onLegs (fun leg amount -> { leg with Reserved = leg.Reserved + amount }) reservation
            |> marked reservation
            |> Advanced
        else
            Refused(MoreThanIsLeft order.Left)

    let private released reservation (order: Order) =
        order
        |> onLegs (fun leg amount -> { leg with Reserved = leg.Reserved - amount }) reservation
        |> unmarked reservation
        |> Advanced

    let private refunded reservation (order: Order) =
        let next =
            order |> onLegs (fun leg amount -> { leg with Refunded = leg.Refunded + amount }) reservation
        Advanced {
            next with
                status =
                    (if next.Refunded = next.Total then
                         Refunded
                     else
                         PartiallyRefunded)
        }

    let private undone reservation (order: Order) =
        let next =
            order
            |> onLegs
                (fun leg amount -> {
                    leg with
                        Reserved = leg.Reserved - amount
                        Refunded = leg.Refunded - amount
                })
                reservation
            |> unmarked reservation
        Advanced { next with status = (if next.Refunded = 0L then Completed else PartiallyRefunded) }

    /// The whole life of an order: every status meets every signal.
    let apply signal (order: Order) : OrderOutcome =
        let becomes status = Advanced { order with status = status }

        match order.status, signal with
        | (Created | PaymentFailed), PaymentRequested -> becomes AwaitingPayment
        | AwaitingPayment, PaymentRequested -> Unchanged
        | (Completed | Cancelled | PartiallyRefunded | Refunded), PaymentRequested -> Refused NotPayable

        // Hyperswitch's `failed` is not final: a second attempt on the same payment may still succeed.
        | (AwaitingPayment | PaymentFailed), PaymentSucceeded -> becomes Completed
        | (Completed | PartiallyRefunded | Refunded), PaymentSucceeded -> Unchanged
        | (Created | Cancelled), PaymentSucceeded -> Refused NotPayable

        | AwaitingPayment, PaymentHasFailed -> becomes PaymentFailed
        | (PaymentFailed | Completed | PartiallyRefunded | Refunded | Cancelled), PaymentHasFailed ->
            Unchanged
        | Created, PaymentHasFailed -> Refused NotPaid

        | (Created | PaymentFailed), CancelRequested -> becomes Cancelled
        | Cancelled, CancelRequested -> Unchanged
        | (AwaitingPayment | Completed | PartiallyRefunded | Refunded), CancelRequested ->
            Refused NotCancellable

        | (Completed | PartiallyRefunded), RefundReserved reservation -> reserved reservation order
        | (Created | AwaitingPayment | PaymentFailed | Cancelled), RefundReserved _ -> Refused NotRefundable
        | Refunded, RefundReserved _ -> Refused(MoreThanIsLeft 0L)

        | (Completed | PartiallyRefunded), RefundReleased reservation -> released reservation order
        | (Created | AwaitingPayment | PaymentFailed | Cancelled | Refunded), RefundReleased _ ->
            Refused NotRefundable

        | (Completed | PartiallyRefunded), RefundHasSucceeded reservation -> refunded reservation order
        | (Created | AwaitingPayment | PaymentFailed | Cancelled | Refunded), RefundHasSucceeded _ ->
            Refused NotRefundable

        | (PartiallyRefunded | Refunded), RefundUndone reservation -> undone reservation order
        | (Created | AwaitingPayment | PaymentFailed | Cancelled | Completed), RefundUndone _ ->
            Refused NotRefundable
