/// What one fact from a provider does to everything it concerns: all of it or nothing.
namespace Veza.Domain

open System
open Veza.Domain.Ledger
open Veza.Domain.Licenses
open Veza.Domain.Orders
open Veza.Domain.Refunds
open Veza.Domain.Transfers

/// A payment as Hyperswitch describes it, in a webhook or in an answer.
type PaymentFact = {
    Payment: string
    /// What was captured, in minor units.
    Amount: int64
    Currency: string
    /// Our order's id in the payment's metadata, where it was sent on.
    OrderNamed: string | null
}

/// A refund as Hyperswitch describes it.
type RefundReport = { Amount: int64; Currency: string; Payment: string; Says: RefundFact }

/// Why a fact was put before a person instead of being believed.
type Doubtful =
    | AmountDiffers
    | CurrencyDiffers
    | OrderDiffers
    | PaymentDiffers
    /// The order is not one that can be paid: cancelled, or never offered for payment.
    | OrderNotPayable
    /// The provider says that a refund failed which it had called succeeded.
    | RefundFailedAfterSuccess
    | RefundSucceededAfterFailure
    | OrderNotRefundable
    /// A leg's transfer refused its claim: more would be taken back than was sent.
    | ClaimRefused

/// Everything that changes together.
type Effect = {
    Order: Order option
    Refund: Refund option
    Granted: License list
    Revoked: License list
    Scheduled: Transfer list
    Claimed: (Transfer * Transfer) list
    Postings: Posting list
}

type Verdict =
    | Settled of Effect: Effect
    | AlreadyKnown
    | Quarantined of Why: Doubtful

module Settlement =
    let private nothing = {
        Order = None
        Refund = None
        Granted = []
        Revoked = []
        Scheduled = []
        Claimed = []
        Postings = []
    }

    let doubtWord doubtful =
        match doubtful with
        | AmountDiffers -> "amount_differs"
        | CurrencyDiffers -> "currency_differs"
        | OrderDiffers -> "order_differs"
        | PaymentDiffers -> "payment_differs"
        | OrderNotPayable -> "order_not_payable"
        | RefundFailedAfterSuccess -> "refund_failed_after_success"
        | RefundSucceededAfterFailure -> "refund_succeeded_after_failure"
        | OrderNotRefundable -> "order_not_refundable"
        | ClaimRefused -> "claim_refused"

    /// Against the frozen intent: a payment of another amount, currency or order completes nothing.
    let private mismatch (fact: PaymentFact) (order: Order) =
        if fact.Payment <> (PaymentId.For order.Id).Value then
            Some PaymentDiffers
        elif not (isNull fact.OrderNamed) && fact.OrderNamed <> order.Id.Value.ToString "D" then
            Some OrderDiffers
        elif not (String.Equals(fact.Currency, order.Currency.Code, StringComparison.OrdinalIgnoreCase)) then
            Some CurrencyDiffers
        elif fact.Amount <> order.Total then
            Some AmountDiffers
        else
            None

    let private granted (order: Order) = [
        for line in order.Lines ->
            License.grant
                line.License
                order.Id
                line.Id
                order.Buyer
                line.Product
                line.LicenseKind
                line.LicenseExpiresAt
    ]

    /// A leg of zero is closed without a transfer.
    let private scheduled now hold (order: Order) = [
        for leg in order.Legs do
            if leg.Net > 0L then
                let amount = { Minor = leg.Net; Currency = order.Currency }
                Transfer.schedule leg.Transfer order.Id leg.Seller leg.Account amount now hold
    ]

    /// The buyer paid: the order is complete, its licenses are granted and every seller's transfer is owed.
    let paymentSucceeded now hold fact (order: Order) =
        match mismatch fact order, Order.apply PaymentSucceeded order with
        | Some why, _ -> Quarantined why
        | None, Orders.Refused _ -> Quarantined OrderNotPayable
        | None, Orders.Unchanged -> AlreadyKnown
        | None, Orders.Advanced next ->
            Settled {
                nothing with
                    Order = Some next
                    Granted = granted next
                    Scheduled = scheduled now hold next
                    Postings = Ledger.ofPayment next
            }

    /// The payment failed, expired or was cancelled; the same payment may still be tried again.
    let paymentFailed (order: Order) =
        match Order.apply PaymentHasFailed order with
        | Orders.Advanced next -> Settled { nothing with Order = Some next }
        | Orders.Unchanged -> AlreadyKnown
        | Orders.Refused _ -> Quarantined OrderNotPayable

    let private reservationOf (refund: Refund) = {
        Refund = refund.Id
        Scope = refund.Scope
        Shares = refund.Shares
    }

    /// What each seller gives back because of this refund: (leg, part, of the fee, of the seller's money).
    let private givenBack (refund: Refund) (order: Order) = [
        for leg in order.Legs do
            match refund.Shares |> List.tryFind (fun share -> share.Seller = leg.Seller) with
            | Some share ->
                let givenBack = Allocation.givenBack order.FeePolicy leg.Gross leg.Fee
                let feeBefore, sellerBefore = givenBack leg.Refunded
                let feeAfter, sellerAfter = givenBack (leg.Refunded + share.Amount)
                leg, share.Amount, feeAfter - feeBefore, sellerAfter - sellerBefore
            | None -> ()
    ]

    /// By lines or of the rest: those lines' licenses. By amount: all of them, once nothing is left.
    let private revoked (refund: Refund) (order: Order) licenses =
        let isRevoked (license: License) =
            match refund.Scope with
            | OfLines lines -> order.Status.IsRefunded || List.contains license.Line lines
            | OfRest -> true
            | OfAmount -> order.Status.IsRefunded

        [
            for license in licenses do
                if isRevoked license then
                    match License.apply (LineRefunded refund.Id) license with
                    | Licenses.Advanced next -> next
                    | Licenses.Unchanged -> ()
        ]

    /// Each leg's claim on its transfer; an error if any transfer refuses it.
    let private claims rules now (refund: Refund) shares (transfers: Transfer list) =
        let claim (leg: Leg, _, _, sellerBack: int64) =
            match transfers |> List.tryFind (fun transfer -> transfer.Id = leg.Transfer) with
            | None -> if sellerBack = 0L then Ok None else Error ClaimRefused
            | Some _ when sellerBack = 0L -> Ok None
            | Some transfer ->
                let claim = { Refund = refund.Id; Amount = sellerBack }
                match Transfer.apply rules now (TransferSignal.RefundSucceeded claim) transfer with
                | Transfers.Advanced(next, movements) ->
                    Ok(Some(transfer, next, Ledger.ofMovements next movements))
                | Transfers.Unchanged -> Ok None
                | Transfers.Refused _ -> Error ClaimRefused

        (shares, Ok [])
        ||> List.foldBack (fun share rest ->
            rest
            |> Result.bind (fun tail ->
                claim share |> Result.map (fun claimed -> Option.toList claimed @ tail)))

    let private refunded rules now (refund: Refund) (order: Order) licenses transfers =
        let shares = givenBack refund order

        match Order.apply (RefundHasSucceeded(reservationOf refund)) order with
        | Orders.Refused _
        | Orders.Unchanged -> Quarantined OrderNotRefundable
        | Orders.Advanced next ->
            match claims rules now refund shares transfers with
            | Error why -> Quarantined why
            | Ok claimed ->
                Settled {
                    nothing with
                        Order = Some next
                        Refund = Some refund
                        Revoked = revoked refund next licenses
                        Claimed = [ for before, after, _ in claimed -> before, after ]
                        Postings =
                            Ledger.ofRefund [
                                for leg, part, fee, back in shares -> leg.Seller, part, fee, back
                            ]
                            @ List.collect (fun (_, _, postings) -> postings) claimed
                }

    let private released (refund: Refund) (order: Order) =
        match Order.apply (RefundReleased(reservationOf refund)) order with
        | Orders.Advanced next -> Settled { nothing with Order = Some next; Refund = Some refund }
        | Orders.Refused _
        | Orders.Unchanged -> Quarantined OrderNotRefundable

    /// The provider's word on a refund. Success settles the buyer's side at once, whatever Stripe's state.
    let refundReported
        refundRules
        rules
        now
        (report: RefundReport)
        (refund: Refund)
        order
        licenses
        transfers
        =
        if report.Payment <> (PaymentId.For refund.Order).Value then
            Quarantined PaymentDiffers
        elif report.Amount <> refund.Amount.Minor then
            Quarantined AmountDiffers
        elif
            not (
                String.Equals(
                    report.Currency,
                    refund.Amount.Currency.Code,
                    StringComparison.OrdinalIgnoreCase
                )
            )
        then
            Quarantined CurrencyDiffers
        else
            match Refund.apply refundRules now (ProviderSays report.Says) refund with
            | Refunds.Refused FailedAfterSuccess -> Quarantined RefundFailedAfterSuccess
            | Refunds.Refused SucceededAfterFailure -> Quarantined RefundSucceededAfterFailure
            | Refunds.Refused AlreadyDecided -> AlreadyKnown
            | Refunds.Unchanged -> AlreadyKnown
            | Refunds.Advanced next ->
                match next.Status with
                | RefundStatus.Succeeded -> refunded rules now next order licenses transfers
                | RefundStatus.Failed _ -> released next order
                | RefundStatus.Pending _
                | RefundStatus.Submitted _ -> Settled { nothing with Refund = Some next }
