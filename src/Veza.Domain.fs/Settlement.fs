/// What one fact from a provider does to everything it concerns: all of it or nothing.
namespace Veza.Domain

open Veza.Domain.Ledger
open Veza.Domain.Licenses
open Veza.Domain.Orders
open Veza.Domain.Deposits
open Veza.Domain.Refunds
open Veza.Domain.Subscriptions
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

/// What Hyperswitch says of a payment. `Refusal`: why nothing was paid, where that is so.
type PaymentReport = { Fact: PaymentFact; Meaning: PaymentMeaning; Refusal: Refusal }

/// A refund as Hyperswitch describes it.
type RefundReport = { Amount: int64; Currency: string; Payment: string; Says: RefundFact }

/// Why a fact was put before a person instead of being believed.
type Doubtful =
    | AmountDiffers
    | CurrencyDiffers
    | OrderDiffers
    | PaymentDiffers
    /// The order was never offered for payment.
    | OrderNotPayable
    /// Less than was asked for was captured; it is in suspense.
    | PartiallyCaptured
    /// The bank has set the money aside and nobody captures it.
    | NotCaptured
    /// A person at Hyperswitch must decide on the payment.
    | PaymentInReview
    /// The payment was voided after it had been captured.
    | PaymentVoided
    /// Hyperswitch uses a word that Veza does not know.
    | UnknownStatus
    /// A late success of an order or a subscription, or a second one, part of which is gone: it cannot be sold.
    | PartlyTakenBack
    | RefundSucceededAfterFailure
    | OrderNotRefundable
    /// A leg's transfer refused its claim: more would be taken back than was sent.
    | ClaimRefused
    /// Stripe sent the money to another account than the order names.
    | DestinationDiffers
    /// Stripe names another transfer than the one we know: money may have moved twice.
    | AnotherTransfer
    /// Stripe names a reversal that no claim here explains.
    | AnotherReversal
    /// Stripe says money moved that we had proven unmoved.
    | MoneyMovedAfterAll
    /// Nothing in this transfer's state explains what Stripe says of it.
    | TransferUnexplained
    /// Stripe names another payout than the one we know: money may have moved twice.
    | AnotherPayout

/// Everything that changes together.
type Effect = {
    Order: Order option
    Refund: Refund option
    Granted: License list
    Revoked: License list
    Restored: License list
    Scheduled: Transfer list
    Claimed: (Transfer * Transfer) list
    Postings: Posting list
    Subscription: Subscription option
    /// The payment where it stands outside of an order's books; its postings follow from how it stood before.
    Deposit: Deposit option
    /// Booked, and put before a person all the same.
    Attention: Doubtful option
}

type Verdict<'effect> =
    | Settled of Effect: 'effect
    | AlreadyKnown
    /// A webhook contradicts what is known: the provider is asked, and its answer is followed.
    | MustBeAsked
    | Quarantined of Why: Doubtful

module Effect =
    let nothing = {
        Order = None
        Refund = None
        Granted = []
        Revoked = []
        Restored = []
        Scheduled = []
        Claimed = []
        Postings = []
        Subscription = None
        Deposit = None
        Attention = None
    }

/// Payments that stand outside of an order's books.
module PaymentHolding =
    let doubt stray =
        match stray with
        | LatePayment -> OrderNotPayable
        | SecondPayment -> OrderNotPayable
        | WrongAmount -> AmountDiffers
        | WrongCurrency -> CurrencyDiffers
        | WrongOrder -> OrderDiffers
        | CapturedInPart -> PartiallyCaptured

    /// What leaves by itself needs nobody's attention; what does not, as long as it is there.
    let private attention stray (deposit: Deposit) = if deposit.Status.IsHeld then Some(doubt stray) else None

    /// Booked to suspense once, however often it is reported.
    let held rules now (fact: PaymentFact) origin stray deposit =
        match deposit, Currency.parse (fact.Currency.ToUpperInvariant()) with
        | _, Error _ -> Quarantined CurrencyDiffers
        | None, Ok currency ->
            let amount = { Minor = fact.Amount; Currency = currency }
            let deposit = Deposit.hold now fact.Payment origin amount stray
            Settled { Effect.nothing with Deposit = Some deposit; Attention = attention stray deposit }
        | Some(known: Deposit), Ok currency when known.Amount.Currency <> currency ->
            Quarantined CurrencyDiffers
        | Some known, Ok _ ->
            match Deposit.apply rules now (AmountCaptured fact.Amount) known, attention stray known with
            | Deposits.Advanced next, _ ->
                Settled { Effect.nothing with Deposit = Some next; Attention = attention stray next }
            | (Deposits.Unchanged | Deposits.Refused _), None -> AlreadyKnown
            | (Deposits.Unchanged | Deposits.Refused _), Some why -> Quarantined why

    /// A void after the capture gives back all that is left, as a refund does.
    let voided rules now (deposit: Deposit) =
        let withdrawal = { Name = "void"; Amount = Deposit.left deposit; By = ByRefund Taken }
        match Deposit.apply rules now (WithdrawalSeen(withdrawal, ByAnswer)) deposit with
        | Deposits.Advanced next when withdrawal.Amount > 0L ->
            Settled { Effect.nothing with Deposit = Some next }
        | Deposits.Advanced _
        | Deposits.Unchanged
        | Deposits.Refused _ -> AlreadyKnown

module Settlement =
    let internal nothing = Effect.nothing

    let doubtWord doubtful =
        match doubtful with
        | AmountDiffers -> "amount_differs"
        | CurrencyDiffers -> "currency_differs"
        | OrderDiffers -> "order_differs"
        | PaymentDiffers -> "payment_differs"
        | OrderNotPayable -> "order_not_payable"
        | PartiallyCaptured -> "partially_captured"
        | NotCaptured -> "not_captured"
        | PaymentInReview -> "payment_in_review"
        | PaymentVoided -> "payment_voided"
        | UnknownStatus -> "unknown_status"
        | PartlyTakenBack -> "partly_taken_back"
        | RefundSucceededAfterFailure -> "refund_succeeded_after_failure"
        | OrderNotRefundable -> "order_not_refundable"
        | ClaimRefused -> "claim_refused"
        | DestinationDiffers -> "destination_differs"
        | AnotherTransfer -> "another_transfer_exists"
        | AnotherReversal -> "another_reversal_exists"
        | MoneyMovedAfterAll -> "moved_after_all"
        | TransferUnexplained -> "transfer_unexplained"
        | AnotherPayout -> "another_payout_exists"

    /// Against the frozen intent: a payment of another amount, currency or order completes nothing.
    let private mismatch (fact: PaymentFact) (order: Order) =
        if not (isNull fact.OrderNamed) && fact.OrderNamed <> order.Id.Value.ToString "D" then
            Some WrongOrder
        elif not (order.Currency.HasCode fact.Currency) then
            Some WrongCurrency
        elif fact.Amount <> order.Total then
            Some WrongAmount
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

    let private isPaid (order: Order) =
        match order.Status with
        | OrderStatus.Completed
        | PartiallyRefunded
        | OrderStatus.Refunded -> true
        | Created
        | AwaitingPayment
        | PaymentFailed
        | OrderStatus.Cancelled -> false

    /// The buyer paid: the order is complete, its licenses are granted and every seller's transfer is owed.
    let private completed now hold (next: Order) deposit =
        Settled {
            nothing with
                Order = Some next
                Granted = granted next
                Scheduled = scheduled now hold next
                Postings = Ledger.ofPayment next
                Deposit = deposit
        }

    let private paid rules now hold fact (order: Order) (deposit: Deposit option) =
        match mismatch fact order, Order.apply PaymentSucceeded order with
        | Some stray, _ when isPaid order -> Quarantined(PaymentHolding.doubt stray)
        | Some stray, _ -> PaymentHolding.held rules now fact (OfOrder order.Id) stray deposit
        | None, Orders.Unchanged -> AlreadyKnown
        | None, Orders.Refused _ when order.Status.IsCancelled ->
            PaymentHolding.held rules now fact (OfOrder order.Id) LatePayment deposit
        | None, Orders.Refused _ -> Quarantined OrderNotPayable
        | None, Orders.Advanced next ->
            match deposit |> Option.map (Deposit.apply rules now OrderTookIt) with
            | None
            | Some Deposits.Unchanged -> completed now hold next None
            | Some(Deposits.Advanced adopted) -> completed now hold next (Some adopted)
            | Some(Deposits.Refused _) -> Quarantined PartlyTakenBack

    /// The payment failed, expired or was cancelled; the same payment may still be tried again.
    let private failed (order: Order) =
        match Order.apply PaymentHasFailed order with
        | Orders.Advanced next -> Settled { nothing with Order = Some next }
        | Orders.Unchanged -> AlreadyKnown
        | Orders.Refused _ -> Quarantined OrderNotPayable

    /// What Hyperswitch says of an order's payment: every word leads somewhere.
    let paymentReported rules now hold (report: PaymentReport) (order: Order) deposit =
        if report.Fact.Payment <> (PaymentId.For order.Id).Value then
            Quarantined PaymentDiffers
        else
            match report.Meaning with
            | AwaitsBuyer
            | BeingProcessed -> AlreadyKnown
            | PaidInFull -> paid rules now hold report.Fact order deposit
            // Late news of a payment that was captured to the end meanwhile.
            | (PaidInPart | Uncaptured) when isPaid order -> AlreadyKnown
            | PaidInPart ->
                PaymentHolding.held rules now report.Fact (OfOrder order.Id) CapturedInPart deposit
            | PaymentMeaning.NothingPaid -> failed order
            | PaidAndVoided ->
                match deposit with
                | Some deposit -> PaymentHolding.voided rules now deposit
                | None when isPaid order -> Quarantined PaymentVoided
                | None -> failed order
            | Uncaptured -> Quarantined NotCaptured
            | UnderReview -> Quarantined PaymentInReview
            | UnknownWord -> Quarantined UnknownStatus

    let private reservationOf (refund: Refund) = {
        Refund = refund.Id
        Scope = refund.Scope
        Shares = refund.Shares
    }

    /// The seller's share itself and what made good for refunds that failed, oldest first.
    let private ofLeg (leg: Leg) (transfers: Transfer list) =
        transfers
        |> List.filter (fun transfer -> transfer.Seller = leg.Seller)
        |> List.sortBy (fun transfer -> transfer.Id <> leg.Transfer, transfer.Id)

    /// What one leg gives back because of a refund.
    type private Part = { Leg: Leg; Amount: int64; OfFee: int64; OfSeller: int64; From: Transfer list }

    /// What each leg gives back because of a refund, or gets back when it is undone. The sums decide, not the
    /// steps, so any sequence of refunds and undone refunds ends exactly where one refund of the sum would.
    let private parts (refund: Refund) (before: Order) (after: Order) transfers = [
        for leg, next in List.zip before.Legs after.Legs do
            match refund.Shares |> List.tryFind (fun share -> share.Seller = leg.Seller) with
            | Some share ->
                let feeBefore, sellerBefore =
                    Allocation.givenBack before.FeePolicy leg.Gross leg.Fee leg.Refunded
                let feeAfter, sellerAfter =
                    Allocation.givenBack before.FeePolicy leg.Gross leg.Fee next.Refunded
                {
                    Leg = leg
                    Amount = share.Amount
                    OfFee = abs (feeAfter - feeBefore)
                    OfSeller = abs (sellerAfter - sellerBefore)
                    From = ofLeg leg transfers
                }
            | None -> ()
    ]

    /// By lines or of the rest: those lines' licenses. By amount: all of them, once nothing is left.
    let private revoked (refund: Refund) (order: Order) licenses = [
        for license: License in licenses do
            let isOfLine (line: Line) = line.Id = license.Line && line.RefundedBy = Some refund.Id
            if order.Status.IsRefunded || order.Lines |> List.exists isOfLine then
                match License.apply (LineRefunded refund.Id) license with
                | Licenses.Advanced next -> next
                | Licenses.Unchanged -> ()
    ]

    let private hears rules now signal (transfer: Transfer, movements) =
        match Transfer.apply rules now signal transfer with
        | Transfers.Advanced(next, moved) -> next, movements @ moved
        | Transfers.Unchanged
        | Transfers.Refused _ -> transfer, movements

    /// What the refund takes from one transfer: first what is on its way back for nobody, then what is free.
    let private claimedFrom rules now (refund: Refund) left (transfer: Transfer) =
        let resumed = min left transfer.Undoing
        let claimed = min (left - resumed) transfer.Unclaimed
        let resume (transfer: Transfer, movements) =
            match transfer.ToTake with
            | withdrawal :: _ ->
                let claim = { withdrawal with Amount = withdrawal.Amount + resumed }
                hears rules now (ClaimResized claim) (transfer, movements)
            | [] -> transfer, movements
        let claim step =
            if claimed > 0L then
                let claim = { Refund = refund.Id; Amount = claimed }
                hears rules now (TransferSignal.RefundSucceeded claim) step
            else
                step
        (transfer, []) |> resume |> claim, left - resumed - claimed

    /// One leg's claims, the oldest transfer first; an error if they come to less than is due.
    let private claimed rules now refund part =
        let steps, left = List.mapFold (claimedFrom rules now refund) part.OfSeller part.From
        if left = 0L then
            Ok [ for before, (after, movements) in List.zip part.From steps -> before, after, movements ]
        else
            Error ClaimRefused

    let private postings steps =
        steps |> List.collect (fun (_, next, movements) -> Ledger.ofMovements next movements)

    let private changed steps = [
        for before: Transfer, after, _ in steps do
            if after <> before then
                before, after
    ]

    let private booked parts = [
        for part in parts -> part.Leg.Seller, part.Amount, part.OfFee, part.OfSeller
    ]

    let internal refunded rules now (refund: Refund) (order: Order) licenses transfers =
        match Order.apply (RefundHasSucceeded(reservationOf refund)) order with
        | Orders.Refused _
        | Orders.Unchanged -> Quarantined OrderNotRefundable
        | Orders.Advanced next ->
            let parts = parts refund order next transfers
            let claims =
                (parts, Ok [])
                ||> List.foldBack (fun part rest ->
                    Result.bind
                        (fun tail -> claimed rules now refund part |> Result.map (fun head -> head @ tail))
                        rest)

            match claims with
            | Error why -> Quarantined why
            | Ok steps ->
                Settled {
                    nothing with
                        Order = Some next
                        Refund = Some refund
                        Revoked = revoked refund next licenses
                        Claimed = changed steps
                        Postings = Ledger.ofRefund (booked parts) @ postings steps
                }

    /// Licenses that no other refund covers: neither its line nor the whole order is refunded any more.
    let private restored (order: Order) (licenses: License list) = [
        for license in licenses do
            let isCovered =
                order.Status.IsRefunded
                || order.Lines |> List.exists (fun line -> line.Id = license.Line && line.RefundedBy.IsSome)
            if not isCovered then
                match License.apply LicenseSignal.RefundUndone license with
                | Licenses.Advanced next -> next
                | Licenses.Unchanged -> ()
    ]

    /// Takes so much off one transfer's claims, those of the undone refund first.
    let private resizedOn rules now (refund: Refund) left (transfer: Transfer) =
        let claims = transfer.Claims |> List.sortBy (fun claim -> claim.Refund <> refund.Id)
        let resize (step, left) (claim: Claim) =
            let less = min left claim.Amount
            if less = 0L then
                step, left
            else
                let claim = { claim with Amount = claim.Amount - less }
                hears rules now (ClaimResized claim) step, left - less
        List.fold resize ((transfer, []), left) claims

    /// Transfers from which the undone refund took something come first.
    let private resized rules now (refund: Refund) part =
        let from =
            part.From
            |> List.sortBy (fun transfer ->
                transfer.Claims |> List.forall (fun claim -> claim.Refund <> refund.Id))
        let steps, _ = List.mapFold (resizedOn rules now refund) part.OfSeller from
        [ for before, (after, movements) in List.zip from steps -> before, after, movements ]

    /// The refund had succeeded and failed after all: everything it did is undone, once, and each seller is made
    /// whole: by letting the claim go where nothing has moved, else by another transfer.
    let internal undone rules now (refund: Refund) (order: Order) licenses transfers =
        match Order.apply (OrderSignal.RefundUndone(reservationOf refund)) order with
        | Orders.Refused _
        | Orders.Unchanged -> Quarantined OrderNotRefundable
        | Orders.Advanced next ->
            let parts = parts refund order next transfers
            let steps = parts |> List.collect (resized rules now refund)
            Settled {
                nothing with
                    Order = Some next
                    Refund = Some refund
                    Restored = restored next licenses
                    Scheduled = [
                        for _, after, movements in steps do
                            yield! Transfer.compensations movements after now
                    ]
                    Claimed = changed steps
                    Postings = Ledger.ofRefundUndone (booked parts) @ postings steps
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
        source
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
        elif not (refund.Amount.Currency.HasCode report.Currency) then
            Quarantined CurrencyDiffers
        elif source = ByWebhook && Refund.isToBeAsked report.Says refund then
            MustBeAsked
        else
            match Refund.apply refundRules now (ProviderSays report.Says) refund with
            | Refunds.Refused SucceededAfterFailure -> Quarantined RefundSucceededAfterFailure
            | Refunds.Refused AlreadyDecided -> AlreadyKnown
            | Refunds.Unchanged -> AlreadyKnown
            | Refunds.Advanced next ->
                match next.Status with
                | RefundStatus.Succeeded -> refunded rules now next order licenses transfers
                | RefundStatus.Failed(_, false) -> released next order
                | RefundStatus.Failed(_, true) -> undone rules now next order licenses transfers
                | RefundStatus.Pending _
                | RefundStatus.Submitted _ -> Settled { nothing with Refund = Some next }
