/// What a decision comes to: the steps of every aggregate it concerns and their postings, all of it or nothing.
namespace Veza.Domain

open System
open Veza.Domain.Deposits
open Veza.Domain.Disputes
open Veza.Domain.Ledger
open Veza.Domain.Licenses
open Veza.Domain.Orders
open Veza.Domain.Payouts
open Veza.Domain.Refunds
open Veza.Domain.Subscriptions
open Veza.Domain.Transfers

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

module Doubtful =
    let word doubtful =
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

/// An aggregate as it is after a step.
[<RequireQualifiedAccess>]
type Aggregate =
    | Order of Order
    | Refund of Refund
    | License of License
    | Transfer of Transfer
    | Payout of Payout
    | Subscription of Subscription
    | Deposit of Deposit
    | Dispute of Dispute

/// One step of one aggregate, in the words of its machine. `From` is null where it begins.
type Step = { Next: Aggregate; From: string | null; To: string; Signal: string }

module Step =
    /// What a signal makes of an aggregate, in the words of its machine.
    let private told aggregate (status: 't -> string) word (before: 't) signal (next: 't) : Step = {
        Next = aggregate next
        From = status before
        To = status next
        Signal = word signal
    }

    let order =
        told Aggregate.Order (fun (order: Order) -> OrderWords.status order.Status) OrderWords.signal

    let refund =
        told Aggregate.Refund (fun (refund: Refund) -> Refund.statusWord refund.Status) Refund.signalWord

    let license =
        told
            Aggregate.License
            (fun (license: License) -> License.statusWord license.Status)
            License.signalWord

    let transfer =
        told
            Aggregate.Transfer
            (fun (transfer: Transfer) -> TransferWords.status transfer.Status)
            TransferWords.signal

    let payout =
        told Aggregate.Payout (fun (payout: Payout) -> PayoutWords.status payout.Status) PayoutWords.signal

    let subscription =
        told
            Aggregate.Subscription
            (fun (subscription: Subscription) -> SubscriptionWords.status subscription.Status)
            SubscriptionWords.signal

    let deposit =
        told
            Aggregate.Deposit
            (fun (deposit: Deposit) -> DepositWords.status deposit.Status)
            DepositWords.signal

    let dispute =
        told
            Aggregate.Dispute
            (fun (dispute: Dispute) -> DisputeWords.status dispute.Status)
            DisputeWords.signal

    /// The word with which each aggregate begins.
    let private begun signal next status = { Next = next; From = null; To = status; Signal = signal }

    let orderCreated (order: Order) = begun "created" (Aggregate.Order order) (OrderWords.status order.Status)

    let refundRequested (refund: Refund) =
        begun "requested" (Aggregate.Refund refund) (Refund.statusWord refund.Status)

    /// The bank has taken it.
    let refundImposed (refund: Refund) =
        begun "imposed" (Aggregate.Refund refund) (Refund.statusWord refund.Status)

    let licenseGranted (license: License) =
        begun "granted" (Aggregate.License license) (License.statusWord license.Status)

    let transferScheduled (transfer: Transfer) =
        begun "scheduled" (Aggregate.Transfer transfer) (TransferWords.status transfer.Status)

    let payoutRequested (payout: Payout) =
        begun "requested" (Aggregate.Payout payout) (PayoutWords.status payout.Status)

    let subscriptionRequested (subscription: Subscription) =
        begun "requested" (Aggregate.Subscription subscription) (SubscriptionWords.status subscription.Status)

    let depositEarned (deposit: Deposit) =
        begun "earned" (Aggregate.Deposit deposit) (DepositWords.status deposit.Status)

    let depositHeld (deposit: Deposit) =
        begun "held" (Aggregate.Deposit deposit) (DepositWords.status deposit.Status)

    /// In the words of what the provider said first.
    let disputeRaised report (dispute: Dispute) =
        begun
            (DisputeWords.signal (ProviderReports(ByAnswer, report)))
            (Aggregate.Dispute dispute)
            (DisputeWords.status dispute.Status)

/// What one thing means for the books. `Order` is none where no order has brought it.
type Booking = {
    Order: OrderId option
    Source: string
    SourceId: Guid
    Currency: Currency
    Postings: Posting list
}

/// Everything that changes together, in its order.
type Effect = {
    Steps: Step list
    Books: Booking list
    /// Booked, and put before a person all the same.
    Attention: Doubtful option
}

/// What an aggregate becomes, with everything that changes together with it.
type Decision<'next> = { Next: 'next; Effect: Effect }

type Verdict<'effect> =
    | Settled of Effect: 'effect
    | AlreadyKnown
    /// A webhook contradicts what is known: the provider is asked, and its answer is followed.
    | MustBeAsked
    | Quarantined of Why: Doubtful

module Effect =
    let nothing = { Steps = []; Books = []; Attention = None }

    let ofSteps steps = { nothing with Steps = steps }

    /// First the one, then the other.
    let andThen (later: Effect) (sooner: Effect) = {
        Steps = sooner.Steps @ later.Steps
        Books = sooner.Books @ later.Books
        Attention = later.Attention |> Option.orElse sooner.Attention
    }

    let ofOrder (order: Order) source sourceId postings = {
        Order = Some order.Id
        Source = source
        SourceId = sourceId
        Currency = order.Currency
        Postings = postings
    }

    /// A step of a transfer with its postings and the transfers that it asks for.
    let ofTransfer now before signal (next: Transfer, movements) = {
        Steps =
            Step.transfer before signal next
            :: [
                for compensation in Transfer.compensations movements next now ->
                    Step.transferScheduled compensation
            ]
        Books = [
            {
                Order = Some next.Order
                Source = "transfer"
                SourceId = next.Id.Value
                Currency = next.Amount.Currency
                Postings = Ledger.ofMovements next movements
            }
        ]
        Attention = None
    }

    let private depositBooked before (next: Deposit) = {
        Order =
            (match next.Origin with
             | OfOrder order -> Some order
             | OfPeriod _ -> None)
        Source = "deposit"
        SourceId = next.Id.Value
        Currency = next.Amount.Currency
        Postings = Ledger.ofDeposit before next
    }

    let ofDeposit before signal next = {
        nothing with
            Steps = [ Step.deposit before signal next ]
            Books = [ depositBooked (Some before) next ]
    }

    let depositEarned deposit = {
        nothing with
            Steps = [ Step.depositEarned deposit ]
            Books = [ depositBooked None deposit ]
    }

    let depositHeld deposit = {
        nothing with
            Steps = [ Step.depositHeld deposit ]
            Books = [ depositBooked None deposit ]
    }

    /// The same, put before a person.
    let noticed attention effect = { effect with Attention = attention }
