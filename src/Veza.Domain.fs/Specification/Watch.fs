/// Who moves whatever waits, when, and who is told if nothing moves. Nothing waits unwatched: a test walks every state
/// of every machine and asks.
namespace Veza.Domain

open System
open Veza.Domain.Disputes
open Veza.Domain.Orders
open Veza.Domain.Payouts
open Veza.Domain.Deposits
open Veza.Domain.Refunds
open Veza.Domain.Subscriptions
open Veza.Domain.Transfers

type Owner =
    | TransferWorker
    | ReversalWorker
    | PayoutWorker
    | SubscriptionWorker
    /// Asks the provider about what should have been heard of.
    | Sweeper
    | Operator

/// What somebody is told when a wait has become too long. Each has its runbook.
type Alarm =
    | TransferStuck
    | ReversalStuck
    | SellerFundsMissing
    | PlatformFundsMissing
    | TransferNeedsOperator
    | RefundUndecided
    | PaymentUndecided
    | PayoutStuck
    | PayoutNeedsOperator
    | SubscriptionUnpaid
    /// A payment belongs to nothing, and a person must say where it goes.
    | MoneyInSuspense
    | DisputeUndecided
    /// A webhook contradicts what is known, cannot be read, or waits for an object that does not come.
    | EventNeedsOperator
    /// The last reconciliation found a difference, or could not compare.
    | BooksDisagree

type Watch = {
    Owner: Owner
    /// When it is looked at next; where none stands here, with its payment (payments.due_at).
    Next: DateTimeOffset option
    /// Since when the alarm counts, which no try moves on; where none stands here, since it was made.
    Since: DateTimeOffset option
    /// How long it may wait from then on before the alarm rings.
    Patience: TimeSpan
    Alarm: Alarm
}

module Alarm =
    let word alarm =
        match alarm with
        | TransferStuck -> "transfer_stuck"
        | ReversalStuck -> "reversal_stuck"
        | SellerFundsMissing -> "seller_funds_missing"
        | PlatformFundsMissing -> "platform_funds_missing"
        | TransferNeedsOperator -> "transfer_needs_operator"
        | RefundUndecided -> "refund_undecided"
        | PaymentUndecided -> "payment_undecided"
        | PayoutStuck -> "payout_stuck"
        | PayoutNeedsOperator -> "payout_needs_operator"
        | SubscriptionUnpaid -> "subscription_unpaid"
        | MoneyInSuspense -> "money_in_suspense"
        | DisputeUndecided -> "dispute_undecided"
        | EventNeedsOperator -> "event_needs_operator"
        | BooksDisagree -> "books_disagree"

    let every = [
        TransferStuck
        ReversalStuck
        SellerFundsMissing
        PlatformFundsMissing
        TransferNeedsOperator
        RefundUndecided
        PaymentUndecided
        PayoutStuck
        PayoutNeedsOperator
        SubscriptionUnpaid
        MoneyInSuspense
        DisputeUndecided
        EventNeedsOperator
        BooksDisagree
    ]

    /// What no machine's state raises.
    let ofNoMachine = [ EventNeedsOperator; BooksDisagree ]

    /// How long something may wait, from when it began to, before somebody is told.
    let patience alarm =
        match alarm with
        | TransferStuck
        | ReversalStuck
        | PayoutStuck -> TimeSpan.FromMinutes 15.
        | PlatformFundsMissing
        | TransferNeedsOperator
        | PayoutNeedsOperator
        | MoneyInSuspense
        | EventNeedsOperator
        | BooksDisagree -> TimeSpan.Zero
        | RefundUndecided -> TimeSpan.FromDays 1.
        | PaymentUndecided -> TimeSpan.FromDays 2.
        | SellerFundsMissing
        | SubscriptionUnpaid -> TimeSpan.FromDays 7.
        | DisputeUndecided -> TimeSpan.FromDays 60.

module Watch =
    let ownerWord owner =
        match owner with
        | TransferWorker -> "transfer worker"
        | ReversalWorker -> "reversal worker"
        | PayoutWorker -> "payout worker"
        | SubscriptionWorker -> "subscription worker"
        | Sweeper -> "sweeper"
        | Operator -> "operator"

    let private by owner alarm next since =
        Some {
            Owner = owner
            Next = Some next
            Since = since
            Patience = Alarm.patience alarm
            Alarm = alarm
        }

    /// Counted from when it was made.
    let private bySweeper alarm next =
        Some { Owner = Sweeper; Next = next; Since = None; Patience = Alarm.patience alarm; Alarm = alarm }

    let ofTransfer (transfer: Transfer) =
        let unless alarm missing = if transfer.LacksFunds then missing else alarm

        match transfer.Status with
        | TransferStatus.Pending attempt
        | TransferStatus.Failed attempt ->
            by TransferWorker (unless TransferStuck PlatformFundsMissing) attempt.DueAt transfer.Since
        | ReversalPending(_, taking) ->
            by ReversalWorker (unless ReversalStuck SellerFundsMissing) taking.Attempt.DueAt transfer.Since
        | PermanentlyFailed(SendingFailed attempt, _) ->
            by Operator TransferNeedsOperator attempt.DueAt transfer.Since
        | PermanentlyFailed(ReversingFailed(_, taking), _) ->
            by Operator TransferNeedsOperator taking.Attempt.DueAt transfer.Since
        | TransferStatus.Completed _
        | Reversed _
        | TransferStatus.Cancelled
        | WrittenOff _ -> None

    let ofRefund (refund: Refund) =
        match refund.Status with
        | RefundStatus.Pending inquiry
        | Submitted inquiry -> by Sweeper RefundUndecided inquiry.DueAt None
        | Succeeded
        | RefundStatus.Failed _ -> None

    /// A failed payment may still succeed: Hyperswitch can make another attempt on it.
    let ofOrder (order: Order) =
        match order.Status with
        | AwaitingPayment
        | PaymentFailed -> bySweeper PaymentUndecided None
        | Created
        | OrderStatus.Completed
        | OrderStatus.Cancelled
        | PartiallyRefunded
        | Refunded -> None

    let ofPayout (payout: Payout) =
        match payout.Status with
        | Requested attempt -> by PayoutWorker PayoutStuck attempt.DueAt payout.Since
        | PayoutStatus.Pending(_, due)
        | InTransit(_, due) -> by PayoutWorker PayoutStuck due payout.Since
        | PayoutStatus.InDoubt attempt -> by Operator PayoutNeedsOperator attempt.DueAt payout.Since
        | Paid _
        | PayoutStatus.Canceled _
        | PayoutStatus.Failed _ -> None

    let ofSubscription (subscription: Subscription) =
        match subscription.Status with
        | PendingPayment charge -> by SubscriptionWorker SubscriptionUnpaid charge.DueAt None
        | PastDue(charge, paid) -> by SubscriptionWorker SubscriptionUnpaid charge.DueAt (Some paid.Until)
        | Active paid -> by SubscriptionWorker SubscriptionUnpaid paid.Until (Some paid.Until)
        | SubscriptionStatus.Canceled _
        | Expired _ -> None

    /// How long a payment that belongs to nothing may take to leave by itself.
    let untilGivenBack = TimeSpan.FromDays 1.

    let private leaving due =
        by Sweeper MoneyInSuspense due None
        |> Option.map (fun watch -> { watch with Patience = untilGivenBack })

    let ofDeposit (deposit: Deposit) =
        match deposit.Status with
        | Held(_, since, _) -> by Operator MoneyInSuspense since (Some since)
        | ToConfirm(_, due) -> leaving due
        | Returning(_, inquiry, _) -> leaving inquiry.DueAt
        | Earned
        | Cleared _
        | Adopted -> None

    let ofDispute (dispute: Dispute) =
        match dispute.Status with
        | Open _ -> bySweeper DisputeUndecided dispute.DueAt
        | Won
        | Lost _ -> None
