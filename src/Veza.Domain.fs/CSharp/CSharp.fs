namespace Veza.Domain

open System
open System.Runtime.CompilerServices
open Veza.Domain.Disputes
open Veza.Domain.Ledger
open Veza.Domain.Licenses
open Veza.Domain.Orders
open Veza.Domain.Payouts
open Veza.Domain.Deposits
open Veza.Domain.Refunds
open Veza.Domain.Specifications
open Veza.Domain.Subscriptions
open Veza.Domain.Transfers

/// How C# asks. Each Match names every case, so a new case stops every caller from compiling.
[<Sealed; AbstractClass; Extension>]
type CSharp =

    [<Extension>]
    static member Match(result: Result<'t, 'error>, ok: Func<'t, 'answer>, error: Func<'error, 'answer>) =
        match result with
        | Ok value -> ok.Invoke value
        | Error why -> error.Invoke why

    [<Extension>]
    static member Match
        (
            outcome: Outcome<'next, 'why>,
            advanced: Func<'next, 'answer>,
            unchanged: Func<'answer>,
            refused: Func<'why, 'answer>
        ) =
        match outcome with
        | Advanced next -> advanced.Invoke next
        | Unchanged -> unchanged.Invoke()
        | Refused why -> refused.Invoke why

    [<Extension>]
    static member Match
        (outcome: Outcome<'next, 'why>, advanced: Action<'next>, unchanged: Action, refused: Action<'why>)
        =
        match outcome with
        | Advanced next -> advanced.Invoke next
        | Unchanged -> unchanged.Invoke()
        | Refused why -> refused.Invoke why

    /// What has become of an aggregate in a step.
    [<Extension>]
    static member Match
        (
            next: Aggregate,
            order: Func<Order, 'answer>,
            refund: Func<Refund, 'answer>,
            license: Func<License, 'answer>,
            transfer: Func<Transfer, 'answer>,
            payout: Func<Payout, 'answer>,
            subscription: Func<Subscription, 'answer>,
            deposit: Func<Deposit, 'answer>,
            dispute: Func<Dispute, 'answer>
        ) =
        match next with
        | Aggregate.Order next -> order.Invoke next
        | Aggregate.Refund next -> refund.Invoke next
        | Aggregate.License next -> license.Invoke next
        | Aggregate.Transfer next -> transfer.Invoke next
        | Aggregate.Payout next -> payout.Invoke next
        | Aggregate.Subscription next -> subscription.Invoke next
        | Aggregate.Deposit next -> deposit.Invoke next
        | Aggregate.Dispute next -> dispute.Invoke next

    // Answers

    [<Extension>]
    static member Shown(answer) = Answer.shown answer

    // Transfers

    [<Extension>]
    static member Match
        (
            duty: TransferDuty,
            sendTransfer: Func<int64, IdempotencyKey, 'answer>,
            findTransfer: Func<IdempotencyKey, 'answer>,
            sendReversal: Func<StripeTransferId, int64, IdempotencyKey, 'answer>,
            findReversal: Func<StripeTransferId, IdempotencyKey, 'answer>,
            reportMissingId: Func<'answer>
        ) =
        match duty with
        | SendTransfer(amount, key) -> sendTransfer.Invoke(amount, key)
        | FindTransfer key -> findTransfer.Invoke key
        | SendReversal(stripeId, amount, key) -> sendReversal.Invoke(stripeId, amount, key)
        | FindReversal(stripeId, key) -> findReversal.Invoke(stripeId, key)
        | ReportMissingId -> reportMissingId.Invoke()

    [<Extension>]
    static member Decide(transfer, rules, now, signal) = Decide.transfer rules now signal transfer

    [<Extension>]
    static member Claimed(transfer, rules, now) = Transfer.claimed rules now transfer

    [<Extension>]
    static member Duty(transfer) = Transfer.duty transfer

    [<Extension>]
    static member Hear(transfer, rules, now, asked, signal) =
        Decide.transferHeard rules now asked signal transfer

    [<Extension>]
    static member ToRow(transfer) = TransferRow.toRow transfer

    [<Extension>]
    static member ToReversalRows(transfer) = TransferRow.reversals transfer

    [<Extension>]
    static member ToTransfer(row, reversals) = TransferRow.ofRow row reversals

    [<Extension>]
    static member Word(status) = TransferWords.status status

    [<Extension>]
    static member Word(signal) = TransferWords.signal signal

    // Orders

    [<Extension>]
    static member Match
        (
            why: OrderRefusal,
            notPayable: Func<'answer>,
            notPaid: Func<'answer>,
            notCancellable: Func<'answer>,
            notRefundable: Func<'answer>,
            moreThanIsLeft: Func<int64, 'answer>,
            moreThanSellersPart: Func<SellerId, int64, int64, 'answer>,
            nothingPaid: Func<'answer>,
            unknownLine: Func<LineId, 'answer>,
            lineAlreadyRefunded: Func<LineId, 'answer>
        ) =
        match why with
        | OrderRefusal.NotPayable -> notPayable.Invoke()
        | NotPaid -> notPaid.Invoke()
        | NotCancellable -> notCancellable.Invoke()
        | NotRefundable -> notRefundable.Invoke()
        | OrderRefusal.MoreThanIsLeft left -> moreThanIsLeft.Invoke left
        | MoreThanSellersPart(seller, asked, left) -> moreThanSellersPart.Invoke(seller, asked, left)
        | NothingPaid -> nothingPaid.Invoke()
        | UnknownLine line -> unknownLine.Invoke line
        | LineAlreadyRefunded line -> lineAlreadyRefunded.Invoke line

    [<Extension>]
    static member Decide(order, signal) = Decide.order signal order

    [<Extension>]
    static member PlanRefund(order, request) = Order.planRefund request order

    [<Extension>]
    static member ToRow(order) = OrderRow.toRow order

    [<Extension>]
    static member ToLineRows(order) = OrderRow.lines order

    [<Extension>]
    static member ToLegRows(order) = OrderRow.legs order

    [<Extension>]
    static member ToOrder(row, lines, legs) = OrderRow.ofRow row lines legs

    [<Extension>]
    static member Word(status) = OrderWords.status status

    [<Extension>]
    static member Word(signal) = OrderWords.signal signal

    // Refunds

    [<Extension>]
    static member Match
        (
            status: RefundStatus,
            pending: Func<'answer>,
            submitted: Func<'answer>,
            succeeded: Func<'answer>,
            failed: Func<Refusal, 'answer>
        ) =
        match status with
        | RefundStatus.Pending _ -> pending.Invoke()
        | RefundStatus.Submitted _ -> submitted.Invoke()
        | RefundStatus.Succeeded -> succeeded.Invoke()
        | RefundStatus.Failed(refusal, _) -> failed.Invoke refusal

    [<Extension>]
    static member Decide(refund, rules, now, signal) = Decide.refund rules now signal refund

    [<Extension>]
    static member IsToBeSentAgain(refund, rules, now) = Refund.duty rules now true refund = Some SendAgain

    [<Extension>]
    static member ToRow(refund) = Refund.toRow refund

    [<Extension>]
    static member ToRefund(row) = Refund.ofRow row

    [<Extension>]
    static member Word(status) = Refund.statusWord status

    [<Extension>]
    static member Word(signal) = Refund.signalWord signal

    // Licenses and books

    [<Extension>]
    static member ToRow(license) = License.toRow license

    [<Extension>]
    static member ToLicense(row) = License.ofRow row

    [<Extension>]
    static member Word(status) = License.statusWord status

    [<Extension>]
    static member Word(account) = Ledger.name account

    // Settlement

    [<Extension>]
    static member Match
        (
            verdict: Verdict<'effect>,
            settled: Func<'effect, 'answer>,
            alreadyKnown: Func<'answer>,
            mustBeAsked: Func<'answer>,
            quarantined: Func<Doubtful, 'answer>
        ) =
        match verdict with
        | Settled effect -> settled.Invoke effect
        | AlreadyKnown -> alreadyKnown.Invoke()
        | MustBeAsked -> mustBeAsked.Invoke()
        | Quarantined why -> quarantined.Invoke why

    [<Extension>]
    static member Word(doubtful) = Doubtful.word doubtful

    // What Stripe says unasked

    [<Extension>]
    static member Hear(transfer, rules, now, fact) = TransferReport.heard rules now fact transfer

    [<Extension>]
    static member Notice(transfer, rules, now, key: IdempotencyKey | null, sight) =
        TransferReport.noticed rules now (Option.ofObj key) sight transfer

    /// The transfer at Stripe whose reversals can be looked into, and the key that tells ours from others'.
    [<Extension>]
    static member TrySighting
        (
            transfer,
            [<Runtime.InteropServices.Out>] stripeId: byref<StripeTransferId>,
            [<Runtime.InteropServices.Out>] key: byref<IdempotencyKey | null>
        ) =
        match Transfer.sighting transfer with
        | ValueSome struct (found, under) ->
            stripeId <- found
            key <- Option.toObj under
            true
        | ValueNone -> false

    // Payouts

    [<Extension>]
    static member Match
        (
            duty: PayoutDuty,
            sendPayout: Func<IdempotencyKey, 'answer>,
            findPayout: Func<IdempotencyKey, 'answer>,
            askAbout: Func<StripePayoutId, 'answer>
        ) =
        match duty with
        | SendPayout key -> sendPayout.Invoke key
        | FindPayout key -> findPayout.Invoke key
        | PayoutDuty.AskAbout id -> askAbout.Invoke id

    [<Extension>]
    static member Match
        (
            verdict: PayoutVerdict,
            tell: Func<PayoutSignal, 'answer>,
            saysOtherwise: Func<PayoutSight, 'answer>,
            severalShown: Func<PayoutSight list, 'answer>,
            notThisOne: Func<'answer>,
            nameMissing: Func<'answer>,
            endingMissing: Func<'answer>
        ) =
        match verdict with
        | Tell signal -> tell.Invoke signal
        | SaysOtherwise sight -> saysOtherwise.Invoke sight
        | SeveralShown sights -> severalShown.Invoke sights
        | NotThisOne -> notThisOne.Invoke()
        | NameMissing -> nameMissing.Invoke()
        | EndingMissing -> endingMissing.Invoke()

    [<Extension>]
    static member Judge(payout, said, look) = PayoutSettlement.judge said look payout

    [<Extension>]
    static member IsInDoubt(payout) = Payout.isInDoubt payout

    /// What the outside sees.
    [<Extension>]
    static member Shown(status) = PayoutWords.shown status

    [<Extension>]
    static member Decide(payout, rules, now, signal) = Decide.payout rules now signal payout

    [<Extension>]
    static member Hear(payout, rules, now, report) = PayoutReport.heard rules now report payout

    [<Extension>]
    static member Duty(payout) = Payout.duty payout

    [<Extension>]
    static member Claimed(payout, rules, now) = Payout.claimed rules now payout

    [<Extension>]
    static member ToRow(payout) = PayoutRow.toRow payout

    [<Extension>]
    static member ToPayout(row) = PayoutRow.ofRow row

    [<Extension>]
    static member Word(status) = PayoutWords.status status

    [<Extension>]
    static member Word(signal) = PayoutWords.signal signal

    // Subscriptions

    [<Extension>]
    static member Match
        (duty: SubscriptionDuty, chargePeriod: Func<PaymentId, 'answer>, askAbout: Func<PaymentId, 'answer>)
        =
        match duty with
        | ChargePeriod payment -> chargePeriod.Invoke payment
        | SubscriptionDuty.AskAbout payment -> askAbout.Invoke payment

    [<Extension>]
    static member Decide(subscription, rules, now, signal) = Decide.subscription rules now signal subscription

    [<Extension>]
    static member Duty(subscription, now) = Subscription.duty now subscription

    [<Extension>]
    static member ToRow(subscription) = Subscription.toRow subscription

    [<Extension>]
    static member ToSubscription(row) = Subscription.ofRow row

    [<Extension>]
    static member Word(status) = SubscriptionWords.status status

    [<Extension>]
    static member Word(signal) = SubscriptionWords.signal signal

    [<Extension>]
    static member Word(refusal) = SubscriptionWords.refusal refusal

    // Providers' words

    [<Extension>]
    static member Match
        (meaning: RefundMeaning, ``open``: Func<'answer>, isDone: Func<'answer>, isNotDone: Func<'answer>)
        =
        match meaning with
        | RefundOpen -> ``open``.Invoke()
        | RefundDone -> isDone.Invoke()
        | RefundNotDone -> isNotDone.Invoke()

    [<Extension>]
    static member Match
        (
            meaning: PayoutMeaning,
            pending: Func<'answer>,
            onItsWay: Func<'answer>,
            arrived: Func<'answer>,
            stopped: Func<'answer>,
            returned: Func<'answer>
        ) =
        match meaning with
        | PayoutPending -> pending.Invoke()
        | PayoutOnItsWay -> onItsWay.Invoke()
        | PayoutArrived -> arrived.Invoke()
        | PayoutStopped -> stopped.Invoke()
        | PayoutReturned -> returned.Invoke()

    // Deposits

    [<Extension>]
    static member Match(duty: DepositDuty, confirmPayment: Func<'answer>, askAboutReturn: Func<'answer>) =
        match duty with
        | ConfirmPayment -> confirmPayment.Invoke()
        | AskAboutReturn -> askAboutReturn.Invoke()

    [<Extension>]
    static member Decide(deposit, rules, now, signal) = Decide.deposit rules now signal deposit

    [<Extension>]
    static member IsConfirmedBy(deposit, meaning, amount) = Deposit.isConfirmedBy meaning amount deposit

    [<Extension>]
    static member Duty(deposit) = Deposit.duty deposit

    [<Extension>]
    static member IsToBeSentAgain(deposit, rules, now) = Deposit.isToBeSentAgain rules now deposit

    [<Extension>]
    static member ToRow(deposit) = DepositRow.toRow deposit

    [<Extension>]
    static member ToDeposit(row) = DepositRow.ofRow row

    [<Extension>]
    static member Word(status) = DepositWords.status status

    [<Extension>]
    static member Word(signal) = DepositWords.signal signal

    [<Extension>]
    static member Word(refusal) = DepositWords.refusal refusal

    // Disputes

    [<Extension>]
    static member ToRow(dispute) = Dispute.toRow dispute

    [<Extension>]
    static member ToDispute(row) = Dispute.ofRow row

    [<Extension>]
    static member Polled(dispute, rules, now) = Dispute.polled rules now dispute

    [<Extension>]
    static member Word(status) = DisputeWords.status status

    [<Extension>]
    static member Word(ruling) = DisputeWords.ruling ruling

    // The specification

    [<Extension>]
    static member Match
        (
            response: Response,
            becomes: Func<string, 'answer>,
            notes: Func<string list, 'answer>,
            unchanged: Func<'answer>,
            refused: Func<string, 'answer>
        ) =
        match response with
        | Response.Becomes status -> becomes.Invoke status
        | Response.Notes noted -> notes.Invoke noted
        | Response.Unchanged -> unchanged.Invoke()
        | Response.Refused why -> refused.Invoke why
