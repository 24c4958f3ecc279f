/// A seller's share of an order on its way to the seller and, after refunds, back.
namespace Veza.Domain.Transfers

open System
open Veza.Domain

/// Why a transfer waits. None but the doubt spends retries.
type Waiting =
    /// The worker takes it as soon as its time has come.
    | Due
    /// The marketplace holds sellers' money back for a while (TRANSFER_HOLD).
    | OnHold
    | InFlight
    | ForAnswer
    | ForRetry
    | ForSellerFunds
    | ForPlatformFunds
    /// Rate limit, open circuit, lock, refused credentials.
    | ForProvider

/// What the worker does when the time has come.
type Move =
    | Send
    | LookUp
    /// Look up, and if nothing is found start anew under a new key: an operator has asked for it, which is the
    /// proof by hand that Stripe's rules for a stored server error ask for.
    | Prove

/// One money-moving call in progress. The key follows from it, so a crash forgets nothing.
type Attempt = { Operation: Operation; Move: Move; Retries: int; DueAt: DateTimeOffset; Waiting: Waiting }

/// What names the money that left.
type Receipt =
    | Named of StripeId: StripeTransferId
    /// A row from before Stripe's ids were kept. It cannot be reversed until somebody finds its id.
    | Unnamed

/// The seller's part of one refund, to be taken back from this transfer.
type Claim = { Refund: RefundId; Amount: int64 }

/// How a claim was settled.
type Settling =
    /// It was taken off the transfer before the transfer was sent.
    | Withheld
    /// Stripe reversed it; `Adopted` of it was reversed by somebody else, in the dashboard for instance.
    | Returned of Reversal: StripeReversalId option * Adopted: int64
    /// An operator gave it up.
    | Forgiven

/// The claim that is being taken back now. One at a time: Stripe locks the transfer meanwhile.
type Taking = { Claim: Claim; Adopted: int64; Attempt: Attempt }

/// Why Veza stopped trying.
type GivenUp =
    | RetriesExhausted
    | TransferMissing
    | NoStripeId
    /// More than one transfer at Stripe carries our metadata; a person must choose.
    | SeveralFound

/// What an operator must look at.
type Failure =
    | SendingFailed of Attempt: Attempt
    | ReversingFailed of Receipt: Receipt * Taking: Taking

/// Where a transfer stands. Each case carries what is true in it, and nothing else.
type TransferStatus =
    /// Owed to the seller: on hold, due, on the wire or in doubt.
    | Pending of Attempt: Attempt
    /// Stripe refused; a later try may succeed.
    | Failed of Attempt: Attempt
    /// The seller has the money, less what was already taken back.
    | Completed of Receipt: Receipt
    | ReversalPending of Receipt: Receipt * Taking: Taking
    /// All of it came back.
    | Reversed of Receipt: Receipt
    | PermanentlyFailed of Failure: Failure * Why: GivenUp
    /// Refunded before any money left, proven.
    | Cancelled
    /// An operator closed it outside Stripe.
    | WrittenOff of StripeId: StripeTransferId option

/// What a look into Stripe's list of reversals shows.
type ReversalSight = {
    /// The reversal that carries our key in its metadata.
    Ours: StripeReversalId option
    /// Stripe's `amount_reversed`, whoever did it.
    AmountReversed: int64
}

/// What a transfer can be told.
type TransferSignal =
    | TransferAnswered of TransferAnswer: Answer<StripeTransferId>
    /// What a look-up by metadata found: nothing, one, or more than one.
    | TransferSeen of Found: StripeTransferId list
    | RefundSucceeded of Claim: Claim
    | ReversalAnswered of ReversalAnswer: Answer<StripeReversalId>
    | ReversalSeen of Sight: ReversalSight
    /// The look-up itself got no answer.
    | LookUpFailed
    /// The worker found nothing it could send.
    | StripeIdMissing
    | RetryRequested
    | WriteOffRequested

/// Why a signal could not be obeyed.
type TransferRefusal =
    | NothingSent
    | NothingToReverse
    | MoreThanIsLeft
    | NotRetryable
    /// Stripe names another transfer than the one we know: money may have moved twice.
    | AnotherTransferExists
    /// Stripe says money moved that we had proven unmoved.
    | MovedAfterAll

/// What the books must say about a step.
type Movement =
    | MoneySent of Amount: int64
    | MoneyReturned of Amount: int64
    | ClaimWithheld of Amount: int64
    | ClaimForgiven of Amount: int64
    | SettledOutside of Amount: int64

/// A seller's share of one order. It begins with `schedule`, changes through `apply`, returns from rows with
/// `ofRow`: no other way.
type Transfer = private {
    id: TransferId
    order: OrderId
    seller: SellerId
    account: StripeAccountId
    amount: Money
    status: TransferStatus
    /// Oldest first.
    settled: (Claim * Settling) list
    /// Claims behind the one being taken, oldest first.
    queue: Claim list
    trouble: Refusal option
} with

    member transfer.Id = transfer.id
    member transfer.Order = transfer.order
    member transfer.Seller = transfer.seller
    member transfer.Account = transfer.account
    /// The seller's whole share, frozen when the order was made.
    member transfer.Amount = transfer.amount
    member transfer.Status = transfer.status
    member transfer.Settled = transfer.settled
    member transfer.Queue = transfer.queue
    /// The provider's last refusal or doubt, for people.
    member transfer.Trouble = transfer.trouble

    /// Taken off before sending.
    member transfer.Withheld =
        List.sum [
            for claim, settling in transfer.settled do
                if settling.IsWithheld then
                    claim.Amount
        ]

    /// Taken back through Stripe.
    member transfer.Returned =
        List.sum [
            for claim, settling in transfer.settled do
                if settling.IsReturned then
                    claim.Amount
        ]

    /// What is, or was, to be sent.
    member transfer.Sendable = transfer.amount.Minor - transfer.Withheld

    /// What is being done now, if anything is.
    member transfer.Attempt =
        match transfer.status with
        | Pending attempt
        | Failed attempt
        | PermanentlyFailed(SendingFailed attempt, _) -> Some attempt
        | ReversalPending(_, taking)
        | PermanentlyFailed(ReversingFailed(_, taking), _) -> Some taking.Attempt
        | Completed _
        | Reversed _
        | Cancelled
        | WrittenOff _ -> None

    /// Claims not yet settled, the one being taken first.
    member transfer.Outstanding =
        match transfer.status with
        | ReversalPending(_, taking)
        | PermanentlyFailed(ReversingFailed(_, taking), _) -> taking.Claim :: transfer.queue
        | PermanentlyFailed(SendingFailed _, _)
        | Pending _
        | Failed _
        | Completed _
        | Reversed _
        | Cancelled
        | WrittenOff _ -> transfer.queue

    /// What no claim has asked for yet.
    member transfer.Unclaimed =
        transfer.amount.Minor
        - List.sum [ for claim, _ in transfer.settled -> claim.Amount ]
        - List.sum [ for claim in transfer.Outstanding -> claim.Amount ]

/// What became of a signal.
type TransferOutcome =
    | Advanced of Next: Transfer * Movements: Movement list
    | Unchanged
    | Refused of Why: TransferRefusal

/// What the world must now be asked. Asking again with the same key asks nothing new.
type TransferDuty =
    | SendTransfer of Amount: int64 * Key: IdempotencyKey
    | FindTransfer of Key: IdempotencyKey
    | SendReversal of StripeId: StripeTransferId * Amount: int64 * Key: IdempotencyKey
    | FindReversal of StripeId: StripeTransferId * Key: IdempotencyKey
    | ReportMissingId
