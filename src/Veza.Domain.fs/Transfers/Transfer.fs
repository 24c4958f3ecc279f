/// A seller's share of an order on its way to the seller and, after refunds, back.
namespace Veza.Domain.Transfers

open System
open Veza.Domain

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
    /// No refund accounts for it any more, and nothing had moved.
    | Dropped

/// `Kept`: how much of it refunds still account for, if one failed after it had succeeded. The seller has been made
/// whole for the rest by another transfer.
type SettledClaim = { Claim: Claim; Settling: Settling; Kept: int64 option }

module SettledClaim =
    let counts settled =
        match settled.Settling, settled.Kept with
        | Dropped, _ -> 0L
        | (Withheld | Returned _ | Forgiven), Some kept -> kept
        | (Withheld | Returned _ | Forgiven), None -> settled.Claim.Amount

/// The claim that is being taken back now. One at a time: Stripe locks the transfer meanwhile.
/// `Kept`: refunds account for only so much of it by now, but the whole may already be back; only Stripe can tell.
type Taking = { Claim: Claim; Adopted: int64; Attempt: Attempt; Kept: int64 option }

module Taking =
    let counts taking = taking.Kept |> Option.defaultValue taking.Claim.Amount

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

/// A reversal at Stripe without a key of Veza's in its metadata. Every reversal that Veza asks for carries one.
type KeylessReversal = { Reversal: StripeReversalId; Reversed: int64 }

/// What a look into Stripe's list of reversals shows.
type ReversalSight = {
    /// The reversal that carries our key in its metadata.
    Ours: StripeReversalId option
    /// Stripe's `amount_reversed`, whoever did it.
    AmountReversed: int64
    /// Never a request of ours, however uncertain we are about ours.
    Keyless: KeylessReversal list
}

/// What a transfer can be told.
type TransferSignal =
    | TransferAnswered of TransferAnswer: Answer<StripeTransferId>
    /// What a look-up by metadata found: nothing, one, or more than one.
    | TransferSeen of Found: StripeTransferId list
    | RefundSucceeded of Claim: Claim
    /// Refunds account for this much of the claim, because one failed after it had succeeded, or because a later
    /// one takes up what is on its way back.
    | ClaimResized of Claim: Claim
    | ReversalAnswered of ReversalAnswer: Answer<StripeReversalId>
    | ReversalSeen of Sight: ReversalSight
    /// The same books, looked into because of a webhook or a reconciliation and not because a duty asked: a request
    /// of ours may be on the wire meanwhile.
    | ReversalsNoticed of Noticed: ReversalSight
    /// The balance that somebody's money comes from has been filled (Stripe's `balance.available`).
    | FundsArrived
    /// The look-up itself got no answer, or one that tells nothing.
    | LookUpFailed of Why: Refusal
    /// The worker found nothing it could send.
    | StripeIdMissing
    | RetryRequested
    | WriteOffRequested
    /// An operator sends what has not left to the seller's present account.
    | RedirectRequested of Account: StripeAccountId

/// Why a signal could not be obeyed.
type TransferRefusal =
    | NothingSent
    | NothingToReverse
    | MoreThanIsLeft
    | NotRetryable
    /// It has left, may have left, or stands where nothing leaves any more.
    | NotRedirectable
    /// Stripe names another transfer than the one we know: money may have moved twice.
    | AnotherTransferExists
    /// Stripe names a reversal that no claim here explains.
    | AnotherReversalExists
    /// Stripe says money moved that we had proven unmoved.
    | MovedAfterAll

/// What the books must say about a step.
type Movement =
    | MoneySent of Amount: int64
    | MoneyReturned of Amount: int64
    /// Somebody else reversed it at Stripe, and no refund had asked for it: the seller's credit against claims to come.
    | ReturnedUnasked of Amount: int64
    | ClaimWithheld of Amount: int64
    | ClaimForgiven of Amount: int64
    | SettledOutside of Amount: int64
    /// A claim that was withheld is owed to the seller again, by the same transfer.
    | ClaimRestored of Amount: int64
    /// What was taken for a refund that failed after all is owed to the seller again, by a transfer of its own.
    | CompensationOwed of Difference: Claim * Kept: int64
    /// So much of a claim that had been given up does not exist any more.
    | ForgivenessUndone of Amount: int64

/// A seller's share of one order. It begins with `schedule`, changes through `apply`, returns from rows with
/// `ofRow`: no other way.
type Transfer = private {
    id: TransferId
    order: OrderId
    seller: SellerId
    account: StripeAccountId
    amount: Money
    /// The refund whose failure this transfer makes good; none for the seller's share itself.
    compensates: RefundId option
    status: TransferStatus
    /// Oldest first.
    settled: SettledClaim list
    /// Claims behind the one being taken, oldest first.
    queue: Claim list
    /// Reversed at Stripe by somebody else, in the dashboard for instance, and taken up by no claim yet.
    foreign: int64
    trouble: Refusal option
    /// Since when it waits for what it waits for now. No try moves it on, only progress; so alarms count from here.
    since: DateTimeOffset option
} with

    member transfer.Id = transfer.id
    member transfer.Order = transfer.order
    member transfer.Seller = transfer.seller
    member transfer.Account = transfer.account
    /// The seller's whole share, frozen when the order was made.
    member transfer.Amount = transfer.amount
    member transfer.Compensates = transfer.compensates
    member transfer.Status = transfer.status
    member transfer.Settled = transfer.settled
    member transfer.Queue = transfer.queue
    /// Reversed at Stripe by somebody else and taken up by no claim yet: the next claims come out of it.
    member transfer.Foreign = transfer.foreign
    /// The provider's last refusal or doubt, for people.
    member transfer.Trouble = transfer.trouble

    member transfer.Since = transfer.since

    /// Taken off before sending.
    member transfer.Withheld =
        List.sum [
            for settled in transfer.settled do
                if settled.Settling.IsWithheld then
                    settled.Claim.Amount
        ]

    /// Taken back through Stripe.
    member transfer.Returned =
        List.sum [
            for settled in transfer.settled do
                if settled.Settling.IsReturned then
                    settled.Claim.Amount
        ]

    /// What is, or was, to be sent.
    member transfer.Sendable = transfer.amount.Minor - transfer.Withheld

    member transfer.ToSend = { transfer.amount with Minor = transfer.Sendable }

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

    /// The claim that is being taken back, or was when Veza gave up.
    member transfer.UnderWay =
        match transfer.status with
        | ReversalPending(_, taking)
        | PermanentlyFailed(ReversingFailed(_, taking), _) -> Some taking
        | PermanentlyFailed(SendingFailed _, _)
        | Pending _
        | Failed _
        | Completed _
        | Reversed _
        | Cancelled
        | WrittenOff _ -> None

    /// Whether it waits for somebody's balance. One that is being tried just now still does.
    member transfer.LacksFunds =
        match transfer.Attempt with
        | None -> false
        | Some attempt ->
            match attempt.Waiting with
            | ForSellerFunds
            | ForPlatformFunds -> true
            | InFlight ->
                match transfer.trouble with
                | Some { Cause = SellerFunds | PlatformFunds } -> true
                | Some { Cause = OtherCause }
                | None -> false
            | Due
            | OnHold
            | ForAnswer
            | ForRetry
            | ForProvider -> false

    /// Claims not yet settled, the one being taken first.
    member transfer.Outstanding = [
        for taking in Option.toList transfer.UnderWay do
            taking.Claim
        yield! transfer.queue
    ]

    /// What no claim has asked for yet.
    member transfer.Unclaimed =
        transfer.amount.Minor
        - List.sum [
            for settled in transfer.settled do
                if not settled.Settling.IsDropped then
                    settled.Claim.Amount
        ]
        - List.sum [ for claim in transfer.Outstanding -> claim.Amount ]

    /// What is being taken back though no refund accounts for it any more: free for the next one, but not to be
    /// asked for once more until Stripe has told.
    member transfer.Undoing =
        match transfer.UnderWay with
        | Some taking -> taking.Claim.Amount - Taking.counts taking
        | None -> 0L

    /// The claims not yet settled, by what refunds account for.
    member transfer.ToTake = [
        for taking in Option.toList transfer.UnderWay do
            { taking.Claim with Amount = Taking.counts taking }
        yield! transfer.queue
    ]

    /// What left for the seller, whether its id at Stripe is known or not.
    member transfer.Sent =
        match transfer.status with
        | Completed _
        | Reversed _
        | ReversalPending _
        | PermanentlyFailed(ReversingFailed _, _)
        | WrittenOff(Some _) -> transfer.Sendable
        | Pending _
        | Failed _
        | PermanentlyFailed(SendingFailed _, _)
        | Cancelled
        | WrittenOff None -> 0L

    /// Of the claim under way, what somebody else had reversed before.
    member private transfer.Adopted =
        match transfer.UnderWay with
        | Some taking -> taking.Adopted
        | None -> 0L

    /// What we know to be reversed at Stripe, by whomever.
    member transfer.ReversedAtStripe = transfer.Returned + transfer.foreign + transfer.Adopted

    /// What refunds account for and is not back yet.
    member private transfer.StillToReverse =
        let underWay =
            match transfer.UnderWay with
            | Some taking -> max 0L (Taking.counts taking - taking.Adopted)
            | None -> 0L
        underWay + List.sum [ for claim in transfer.queue -> claim.Amount ]

    /// Whether what is still to be taken back cannot be: the seller's balance is empty, or Veza has given up.
    member private transfer.IsIndebted =
        match transfer.status with
        | PermanentlyFailed _ -> true
        | ReversalPending _ -> transfer.LacksFunds
        | Pending _
        | Failed _
        | Completed _
        | Reversed _
        | Cancelled
        | WrittenOff _ -> false

    /// Still to be taken back, and Veza goes on trying.
    member transfer.ReversalsPending = if transfer.IsIndebted then 0L else transfer.StillToReverse

    /// Still to be taken back, and it cannot be for now or for good.
    member transfer.Debt = if transfer.IsIndebted then transfer.StillToReverse else 0L

    /// All claims, by what refunds account for.
    member transfer.Claims =
        transfer.ToTake
        @ [
            for settled in transfer.settled do
                { settled.Claim with Amount = SettledClaim.counts settled }
        ]

/// What became of a signal.
type TransferOutcome = Outcome<Transfer * Movement list, TransferRefusal>

/// What the world must now be asked. Asking again with the same key asks nothing new.
type TransferDuty =
    | SendTransfer of Amount: int64 * Key: IdempotencyKey
    | FindTransfer of Key: IdempotencyKey
    | SendReversal of StripeId: StripeTransferId * Amount: int64 * Key: IdempotencyKey
    | FindReversal of StripeId: StripeTransferId * Key: IdempotencyKey
    | ReportMissingId
