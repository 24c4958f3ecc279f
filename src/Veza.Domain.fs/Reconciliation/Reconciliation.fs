/// Two sets of books laid side by side, line by line: ours and a provider's. Why they differ is one of a closed list,
/// and only what is proven may be healed without a person.
namespace Veza.Domain.Reconciliation

open System
open Veza.Domain
open Veza.Domain.Deposits
open Veza.Domain.Disputes
open Veza.Domain.Orders
open Veza.Domain.Payouts
open Veza.Domain.Refunds
open Veza.Domain.Transfers

type Reason =
    /// The provider has it and we do not know of it.
    | MissingHere
    /// We say it happened and the provider does not know of it.
    | MissingThere
    | AmountDiffers
    | CurrencyDiffers
    | StatusDiffers
    /// The provider has more than one for one of ours.
    | Duplicate
    /// Made by somebody else, and it concerns one of ours.
    | Foreign
    /// Younger than the grace window, or on its way: it may be well in a moment.
    | Timing

/// What heals it without a person: the provider's word is told to the domain, as its webhook would have been.
type Remedy =
    | TellTheFact
    /// Somebody reversed it: its reversals are looked into.
    | LookIntoReversals
    | NeedsOperator

type Difference = { Reason: Reason; Remedy: Remedy; Ours: string; Theirs: string }

module Difference =
    let word reason =
        match reason with
        | MissingHere -> "missing_here"
        | MissingThere -> "missing_there"
        | AmountDiffers -> "amount"
        | CurrencyDiffers -> "currency"
        | StatusDiffers -> "status"
        | Duplicate -> "duplicate"
        | Foreign -> "foreign"
        | Timing -> "timing"

    let every = [
        MissingHere
        MissingThere
        AmountDiffers
        CurrencyDiffers
        StatusDiffers
        Duplicate
        Foreign
        Timing
    ]

    /// Whether a finding is for somebody to look at: not mended, not settled by a person, and not likely to be well in a
    /// moment. The database says the same (`ReconciliationRuns.Counts`).
    let counts reason isHealed isAcknowledged = not isHealed && not isAcknowledged && reason <> word Timing

    let remedyWord remedy =
        match remedy with
        | TellTheFact -> "tell_the_fact"
        | LookIntoReversals -> "look_into_reversals"
        | NeedsOperator -> "needs_operator"

/// Of ours: the aggregate, and when it last changed.
type Line<'line> = { Is: 'line; ChangedAt: DateTimeOffset }

/// A transfer at Stripe.
type StripeTransferLine = {
    Fact: TransferFact
    /// Ours, where its metadata names one.
    TransferId: TransferId option
    AmountReversed: int64
}

/// A payment at Hyperswitch; `HasSucceeded`: it says `succeeded`.
type PaymentLine = { Fact: PaymentFact; HasSucceeded: bool; Status: string }

module Compare =
    let private differs reason remedy ours theirs = [
        { Reason = reason; Remedy = remedy; Ours = ours; Theirs = theirs }
    ]

    let private isYoung (cutOff: DateTimeOffset) line = line.ChangedAt > cutOff

    /// A difference that may be well in a moment is only a matter of time.
    let private unlessYoung isYoung differences =
        if isYoung then
            [ for difference in differences -> { difference with Reason = Timing; Remedy = NeedsOperator } ]
        else
            differences

    /// The same field of both, as a person reads money.
    let private amountDiffers (ours: Money) (theirs: int64) code =
        differs AmountDiffers NeedsOperator (ours.Display()) (Money.Display(theirs, code))

    /// Nothing if both are the same money; else whatever of the two differs.
    let private moneyDiffers (ours: Money) (theirs: int64) code = [
        if not (ours.Is(theirs, code)) then
            if ours.Minor <> theirs then
                yield! amountDiffers ours theirs code
            if not (ours.Currency.HasCode code) then
                yield! differs CurrencyDiffers NeedsOperator ours.Currency.Code code
    ]

    let private stripeIdOf (transfer: Transfer) =
        match transfer.Status with
        | TransferStatus.Completed(Named id)
        | Reversed(Named id)
        | ReversalPending(Named id, _)
        | PermanentlyFailed(ReversingFailed(Named id, _), _)
        | WrittenOff(Some id) -> Some id
        | TransferStatus.Completed Unnamed
        | Reversed Unnamed
        | ReversalPending(Unnamed, _)
        | PermanentlyFailed(ReversingFailed(Unnamed, _), _)
        | PermanentlyFailed(SendingFailed _, _)
        | TransferStatus.Pending _
        | TransferStatus.Failed _
        | TransferStatus.Cancelled
        | WrittenOff None -> None

    /// A worker has it, or will take it as soon as it is due.
    let private isMoving (transfer: Transfer) =
        match transfer.Status with
        | TransferStatus.Pending attempt
        | TransferStatus.Failed attempt -> not attempt.Operation.Certainty.IsUnsent
        | ReversalPending(_, taking) -> not taking.Attempt.Operation.Certainty.IsUnsent
        | TransferStatus.Completed _
        | Reversed _
        | PermanentlyFailed _
        | TransferStatus.Cancelled
        | WrittenOff _ -> false

    let private statusOf (transfer: Transfer) = TransferWords.status transfer.Status

    /// One of ours and the transfer at Stripe that is, or says it is, the same.
    let transfer cutOff (line: Line<Transfer>) (theirs: StripeTransferLine) =
        let ours = line.Is
        let id = theirs.Fact.StripeId.Value
        let money minor = { ours.Amount with Minor = minor }
        let reversed minor = $"{(money minor).Display()} reversed"
        unlessYoung (isYoung cutOff line || isMoving ours) [
            match stripeIdOf ours with
            // A superfluous one that somebody has taken back.
            | Some known when known.Value <> id && theirs.AmountReversed >= theirs.Fact.Amount -> ()
            | Some known when known.Value <> id -> yield! differs Duplicate NeedsOperator known.Value id
            | Some _ ->
                yield! moneyDiffers ours.ToSend theirs.Fact.Amount theirs.Fact.Currency
                if theirs.Fact.Destination <> ours.Account.Value then
                    yield! differs StatusDiffers NeedsOperator ours.Account.Value theirs.Fact.Destination
                let known = ours.ReversedAtStripe
                if theirs.AmountReversed > known then
                    yield!
                        differs
                            MissingHere
                            LookIntoReversals
                            (reversed known)
                            (reversed theirs.AmountReversed)
                elif theirs.AmountReversed < known then
                    yield!
                        differs MissingThere NeedsOperator (reversed known) (reversed theirs.AmountReversed)
            | None when theirs.TransferId = Some ours.Id ->
                let isProven =
                    theirs.Fact |> TransferReport.carries ours.ToSend ours.Account.Value
                    && not ours.Status.IsCancelled
                yield!
                    differs MissingHere (if isProven then TellTheFact else NeedsOperator) (statusOf ours) id
            | None -> yield! differs Foreign NeedsOperator (statusOf ours) id
        ]

    /// One of ours that Stripe, asked for it, does not know.
    let transferMissing cutOff (line: Line<Transfer>) =
        match stripeIdOf line.Is, line.Is.Status with
        | Some id, _ -> differs MissingThere NeedsOperator id.Value "" |> unlessYoung (isYoung cutOff line)
        | None, (TransferStatus.Completed _ | Reversed _ | ReversalPending _) ->
            differs MissingThere NeedsOperator "no Stripe id" "" |> unlessYoung (isYoung cutOff line)
        | None, TransferStatus.Pending _
        | None, TransferStatus.Failed _
        | None, PermanentlyFailed _
        | None, TransferStatus.Cancelled
        | None, WrittenOff _ -> []

    let private isPaid (order: Order) =
        match order.Status with
        | OrderStatus.Completed
        | PartiallyRefunded
        | Refunded -> true
        | Created
        | AwaitingPayment
        | PaymentFailed
        | OrderStatus.Cancelled -> false

    /// An order of ours and its payment at Hyperswitch.
    let payment cutOff (line: Line<Order>) (theirs: PaymentLine) =
        let ours = line.Is
        unlessYoung (isYoung cutOff line) [
            if theirs.HasSucceeded || isPaid ours then
                yield! moneyDiffers ours.Price theirs.Fact.Amount theirs.Fact.Currency
            match theirs.HasSucceeded, isPaid ours with
            | true, true -> ()
            | false, false ->
                // Money came in that stands in no account here.
                if (ProviderWords.payment theirs.Status).IsPaidInPart then
                    yield! differs StatusDiffers TellTheFact (OrderWords.status ours.Status) theirs.Status
            // Of a cancelled order too: it goes to suspense and is given back.
            | true, false ->
                yield! differs StatusDiffers TellTheFact (OrderWords.status ours.Status) theirs.Status
            | false, true ->
                yield! differs StatusDiffers NeedsOperator (OrderWords.status ours.Status) theirs.Status
        ]

    let private depositText (deposit: Deposit) = DepositWords.status deposit.Status

    /// A payment outside of an order's books and what Hyperswitch says of it.
    let deposit cutOff (line: Line<Deposit>) (theirs: PaymentLine) =
        let ours = line.Is
        let meaning = ProviderWords.payment theirs.Status
        unlessYoung (isYoung cutOff line) [
            if meaning.IsPaidInFull || meaning.IsPaidInPart then
                yield! moneyDiffers ours.Amount theirs.Fact.Amount theirs.Fact.Currency
            elif Deposit.left ours > 0L then
                let remedy =
                    if meaning.IsPaidAndVoided then
                        TellTheFact
                    else
                        NeedsOperator
                yield! differs StatusDiffers remedy (depositText ours) theirs.Status
        ]

    /// A payment of a period of ours that stands in no account here.
    let charge cutOff (line: Line<string>) (theirs: PaymentLine) =
        let meaning = ProviderWords.payment theirs.Status
        if meaning.IsPaidInFull || meaning.IsPaidInPart then
            differs MissingHere TellTheFact line.Is theirs.Status |> unlessYoung (isYoung cutOff line)
        else
            []

    /// A refund of such a payment, whoever made it.
    let withdrawal cutOff (line: Line<Deposit>) name (theirs: RefundReport) =
        let stand =
            match theirs.Says with
            | StillPending -> Waiting
            | HasSucceeded -> Taken
            | HasFailed _ -> NotTaken
        let text = DepositWords.claimant (ByRefund stand)
        unlessYoung (isYoung cutOff line) [
            match line.Is.Withdrawals |> List.tryFind (fun known -> known.Name = name), stand with
            | None, Taken -> yield! differs MissingHere TellTheFact (depositText line.Is) text
            | None, (Waiting | NotTaken) -> ()
            | Some known, _ when known.Amount <> theirs.Amount ->
                let ours = { line.Is.Amount with Minor = known.Amount }
                yield! amountDiffers ours theirs.Amount theirs.Currency
            | Some known, _ when known.By = ByRefund stand -> ()
            | Some known, _ -> yield! differs StatusDiffers TellTheFact (DepositWords.claimant known.By) text
        ]

    /// An order of ours whose payment Hyperswitch, asked for it, does not know.
    let paymentMissing cutOff (line: Line<Order>) =
        if isPaid line.Is then
            differs MissingThere NeedsOperator (OrderWords.status line.Is.Status) ""
            |> unlessYoung (isYoung cutOff line)
        else
            []

    /// A refund of ours and what Hyperswitch says of it. One that was undone because Stripe said so may still be called
    /// a success there.
    let refund cutOff (line: Line<Refund>) (theirs: RefundReport) =
        let ours = line.Is
        let words = Refund.statusWord ours.Status
        unlessYoung (isYoung cutOff line) [
            yield! moneyDiffers ours.Amount theirs.Amount theirs.Currency
            match ours.Status, theirs.Says with
            | (RefundStatus.Pending _ | Submitted _), StillPending
            | RefundStatus.Succeeded, HasSucceeded
            | RefundStatus.Failed(_, true), HasSucceeded
            | RefundStatus.Failed _, HasFailed _ -> ()
            | (RefundStatus.Pending _ | Submitted _), HasSucceeded ->
                yield! differs StatusDiffers TellTheFact words "succeeded"
            | (RefundStatus.Pending _ | Submitted _ | RefundStatus.Succeeded), HasFailed _ ->
                yield! differs StatusDiffers TellTheFact words "failed"
            | RefundStatus.Failed(_, false), HasSucceeded ->
                yield! differs StatusDiffers NeedsOperator words "succeeded"
            | (RefundStatus.Succeeded | RefundStatus.Failed _), StillPending ->
                yield! differs StatusDiffers NeedsOperator words "pending"
        ]

    /// A payout of ours and what Stripe says of it.
    let payout cutOff (line: Line<Payout>) (theirs: PayoutReport) =
        let ours = line.Is
        let shown = PayoutWords.shown ours.Status
        let says = PayoutWords.signal (PayoutReported theirs.Sight)
        unlessYoung (isYoung cutOff line) [
            yield! moneyDiffers ours.Amount theirs.Amount theirs.Currency
            if says <> $"payout_{shown}" then
                yield! differs StatusDiffers TellTheFact shown says
        ]

    /// A payout of ours that Stripe, asked for it, does not know.
    let payoutMissing cutOff (line: Line<Payout>) =
        differs MissingThere NeedsOperator (PayoutWords.shown line.Is.Status) ""
        |> unlessYoung (isYoung cutOff line)

    /// A refund of ours that Hyperswitch, asked for it, does not know. What was refused never was there, and what is
    /// undecided is the sweeper's.
    let refundMissing cutOff (line: Line<Refund>) =
        match line.Is.Status with
        | RefundStatus.Succeeded when line.Is.Scope <> OfDispute ->
            differs MissingThere NeedsOperator "succeeded" "" |> unlessYoung (isYoung cutOff line)
        | RefundStatus.Succeeded
        | RefundStatus.Pending _
        | Submitted _
        | RefundStatus.Failed _ -> []

    /// A dispute of ours and what the provider says of it. Of one that is won the amount means nothing any more.
    let dispute cutOff (line: Line<Dispute>) (theirs: DisputeReport) code =
        let ours = line.Is
        let status, says = DisputeWords.status ours.Status, DisputeWords.ruled theirs.Fact.Ruling
        let isInquiry stage = stage = PreDispute
        unlessYoung (isYoung cutOff line) [
            if not (ours.Amount.Currency.HasCode code) then
                yield! differs CurrencyDiffers NeedsOperator ours.Amount.Currency.Code code
            elif status <> says then
                yield! differs StatusDiffers TellTheFact status says
            elif not ours.Status.IsWon && isInquiry ours.Seen.Stage <> isInquiry theirs.Fact.Stage then
                let stage = DisputeWords.stage
                yield! differs StatusDiffers TellTheFact (stage ours.Seen.Stage) (stage theirs.Fact.Stage)
            elif not ours.Status.IsWon && ours.Amount.Minor <> theirs.Amount then
                yield!
                    differs
                        AmountDiffers
                        TellTheFact
                        (ours.Amount.Display())
                        (Money.Display(theirs.Amount, code))
        ]

    /// A dispute of ours that the provider, asked for it, does not know.
    let disputeMissing cutOff (line: Line<Dispute>) =
        differs MissingThere NeedsOperator (DisputeWords.status line.Is.Status) ""
        |> unlessYoung (isYoung cutOff line)

    /// A dispute at the provider, of an order of ours, of which we do not know.
    let disputeUnknown (cutOff: DateTimeOffset) madeAt (theirs: DisputeReport) code =
        let says = $"{Money.Display(theirs.Amount, code)} {DisputeWords.ruled theirs.Fact.Ruling}"
        differs MissingHere TellTheFact "" says |> unlessYoung (madeAt > cutOff)
