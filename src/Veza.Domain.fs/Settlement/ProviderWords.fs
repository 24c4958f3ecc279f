/// Every word that a provider may use for where something stands, and what it means for the money. A word that is in no
/// table here is one that nobody has thought about: what carries it is shown to a person.
namespace Veza.Domain

open Veza.Domain.Disputes

type PaymentMeaning =
    /// The buyer has yet to act; nothing was taken.
    | AwaitsBuyer
    /// The provider or the bank is at it; nobody knows yet.
    | BeingProcessed
    /// All of it was taken.
    | PaidInFull
    /// Less than was asked for was taken; more may or may not follow.
    | PaidInPart
    /// Nothing was taken. Hyperswitch may make another attempt on the same payment.
    | NothingPaid
    /// It was taken, and given back by a void after the capture.
    | PaidAndVoided
    /// The bank has set it aside and somebody must capture it, which Veza has not asked for.
    | Uncaptured
    /// A person at the provider must decide, or the provider and its connector contradict each other.
    | UnderReview
    /// No word that Veza knows.
    | UnknownWord

type RefundMeaning =
    | RefundOpen
    | RefundDone
    | RefundNotDone

type PayoutMeaning =
    | PayoutPending
    | PayoutOnItsWay
    | PayoutArrived
    | PayoutStopped
    | PayoutReturned

module ProviderWords =
    /// Hyperswitch's `IntentStatus`.
    let payments = [
        "requires_payment_method", AwaitsBuyer
        "requires_confirmation", AwaitsBuyer
        "requires_customer_action", AwaitsBuyer
        "processing", BeingProcessed
        "succeeded", PaidInFull
        "partially_captured", PaidInPart
        "partially_captured_and_capturable", PaidInPart
        "partially_captured_and_processing", PaidInPart
        "failed", NothingPaid
        "cancelled", NothingPaid
        "expired", NothingPaid
        "cancelled_post_capture", PaidAndVoided
        "requires_capture", Uncaptured
        "partially_authorized_and_requires_capture", Uncaptured
        "requires_merchant_action", UnderReview
        "conflicted", UnderReview
        "review", UnderReview
    ]

    /// Hyperswitch's `RefundStatus`, as its objects have it and as its lists have it.
    let refunds = [
        "pending", RefundOpen
        "review", RefundOpen
        "manual_review", RefundOpen
        "succeeded", RefundDone
        "success", RefundDone
        "failed", RefundNotDone
        "failure", RefundNotDone
        "transaction_failure", RefundNotDone
    ]

    /// Hyperswitch's `DisputeStage`.
    let stages = [ for stage in DisputeWords.everyStage -> DisputeWords.stage stage, stage ]

    /// Hyperswitch's `DisputeStatus`. Expired and accepted: we did not answer, so the bank keeps it. Cancelled: the bank
    /// closed it without taking anything.
    let rulings = [
        "dispute_opened", Opened
        "dispute_challenged", Challenged
        "dispute_won", WonByUs
        "dispute_cancelled", WonByUs
        "dispute_lost", LostByUs
        "dispute_accepted", LostByUs
        "dispute_expired", LostByUs
    ]

    /// Stripe's `dispute.status`. Inquiries (`warning_…`) withdraw nothing: they stand before the dispute itself, and one
    /// that is closed or prevented is won.
    let stripeDisputes = [
        "warning_needs_response", { Stage = PreDispute; Ruling = Opened }
        "warning_under_review", { Stage = PreDispute; Ruling = Challenged }
        "warning_closed", { Stage = PreDispute; Ruling = WonByUs }
        "prevented", { Stage = PreDispute; Ruling = WonByUs }
        "needs_response", { Stage = Dispute; Ruling = Opened }
        "under_review", { Stage = Dispute; Ruling = Challenged }
        "won", { Stage = Dispute; Ruling = WonByUs }
        "lost", { Stage = Dispute; Ruling = LostByUs }
    ]

    /// Stripe's `refund.status`.
    let stripeRefunds = [
        "pending", RefundOpen
        "requires_action", RefundOpen
        "succeeded", RefundDone
        "failed", RefundNotDone
        "canceled", RefundNotDone
    ]

    /// Stripe's `payout.status`. Transfers and reversals have none: they are there or not.
    let stripePayouts = [
        "pending", PayoutPending
        "in_transit", PayoutOnItsWay
        "paid", PayoutArrived
        "canceled", PayoutStopped
        "failed", PayoutReturned
    ]

    let private find table (word: string) =
        table |> List.tryFind (fun (known, _) -> known = word) |> Option.map snd

    let payment word = find payments word |> Option.defaultValue UnknownWord
    let refund word = find refunds word
    let stage word = find stages word
    let ruling word = find rulings word
    let stripeDispute word = find stripeDisputes word
    let stripeRefund word = find stripeRefunds word
    let stripePayout word = find stripePayouts word

    let private words meanings = [
        for word, meaning in payments do
            if List.contains meaning meanings then
                word
    ]

    /// Words of a payment after which only a person at the provider gets it on.
    let needingPerson = words [ Uncaptured; UnderReview ]

    /// Words of a payment in which its buyer is to act.
    let untroubled = words [ AwaitsBuyer; NothingPaid ]

    /// Words of a payment with which nothing is there and nothing more is to come.
    let over = [ "cancelled"; "expired" ]
