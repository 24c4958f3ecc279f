/// Buyers' money outside of the books of orders: it has paid for a period of a subscription, or it belongs to nothing and
/// has to leave again. Refunds and disputes take from it, whoever made them.
namespace Veza.Domain.Deposits

open System
open Veza.Domain
open Veza.Domain.Disputes
open Veza.Domain.Refunds
open Veza.Domain.Subscriptions

/// Why a payment belongs to nothing.
type Stray =
    /// Its order was cancelled, or its subscription had ended, before it was paid.
    | LatePayment
    /// Its period is paid already, or is one that was skipped.
    | SecondPayment
    | WrongAmount
    | WrongCurrency
    /// It names another order.
    | WrongOrder
    /// Less than was asked for was captured.
    | CapturedInPart

/// What the payment was asked for.
type Origin =
    | OfOrder of Order: OrderId
    | OfPeriod of Subscription: SubscriptionId * Payment: Payment

/// How far a refund of it has come, whoever asked for it.
type RefundStand =
    | Waiting
    | Taken
    /// It failed; if it had taken the money before, that is back.
    | NotTaken

type Claimant =
    | ByRefund of Stand: RefundStand
    | ByDispute of Fact: DisputeFact

/// What takes from it, by the provider's name for that.
type Withdrawal = { Name: string; Amount: int64; By: Claimant }

type DepositStatus =
    /// It has paid for its period.
    | Earned
    /// It belongs to nothing and a person must say where it goes. `Trouble`: what the provider said to our own refund.
    | Held of Stray: Stray * Since: DateTimeOffset * Trouble: Refusal option
    /// It is to be given back once the provider, asked, confirms that it has it.
    | ToConfirm of Stray: Stray * DueAt: DateTimeOffset
    /// Our refund of it was sent, under an id of its own, for so much.
    | Returning of Stray: Stray * Inquiry: Inquiry * Amount: int64
    /// Nothing of it is left.
    | Cleared of Stray: Stray
    /// Its order has taken it after all: it stands in the order's books.
    | Adopted

type DepositSignal =
    /// So much of it has been captured by now.
    | AmountCaptured of Amount: int64
    | OrderTookIt
    | PeriodTookIt
    | WithdrawalSeen of Withdrawal: Withdrawal * Source: Source
    /// The provider confirms the payment: our refund is being sent, which is written down first.
    | PaymentConfirmed
    /// Proven absent: our refund is being sent again under the same id.
    | ReturnSentAgain
    | ReturnRefused of Refusal: Refusal
    | ProviderSilent
    /// An operator wants it given back.
    | ReturnRequested

type DepositRefusal =
    /// A final word contradicts another final word: the provider must be asked which one is true.
    | Contradicts
    /// The same refund or dispute, with another amount.
    | TakesAnotherAmount
    /// What was taken from it already cannot be sold.
    | PartlyTaken
    /// Nothing of it is in suspense.
    | NothingHeld
    /// A refund of it is on its way.
    | OnItsWay

/// Begins with `earn` or `hold`, changes through `apply`, returns from a row with `ofRow`: no other way.
type Deposit = private {
    id: DepositId
    payment: string
    origin: Origin
    amount: Money
    withdrawals: Withdrawal list
    /// How many of our own refunds of it were refused for good.
    refused: int
    status: DepositStatus
} with

    member deposit.Id = deposit.id
    /// Hyperswitch's name for the payment.
    member deposit.Payment = deposit.payment
    member deposit.Origin = deposit.origin
    member deposit.PaymentName =
        match deposit.origin with
        | OfOrder order -> PaymentId.For order
        | OfPeriod(subscription, payment) -> PaymentId.ForPeriod(subscription, payment.Period, payment.Try)
    /// What came in.
    member deposit.Amount = deposit.amount
    member deposit.Withdrawals = deposit.withdrawals
    member deposit.Status = deposit.status
    /// The refund by which Veza itself gives it back.
    member deposit.OwnRefund = ProviderRefundId.For(deposit.id.Return deposit.refused)

type DepositOutcome = Outcome<Deposit, DepositRefusal>

type DepositDuty =
    | ConfirmPayment
    | AskAboutReturn

module DepositWords =
    let stray stray =
        match stray with
        | LatePayment -> "late_payment"
        | SecondPayment -> "second_payment"
        | WrongAmount -> "amount_differs"
        | WrongCurrency -> "currency_differs"
        | WrongOrder -> "order_differs"
        | CapturedInPart -> "partially_captured"

    let everyStray = [ LatePayment; SecondPayment; WrongAmount; WrongCurrency; WrongOrder; CapturedInPart ]

    let status status =
        match status with
        | Earned -> "earned"
        | Held _ -> "held"
        | ToConfirm _ -> "to_confirm"
        | Returning _ -> "returning"
        | Cleared _ -> "cleared"
        | Adopted -> "adopted"

    let private stand stand =
        match stand with
        | Waiting -> "pending"
        | Taken -> "succeeded"
        | NotTaken -> "failed"

    let private facts = [
        for stage in DisputeWords.everyStage do
            for ruling in DisputeWords.everyRuling do
                { Stage = stage; Ruling = ruling }
    ]

    let claimant claimant =
        match claimant with
        | ByRefund found -> "refund/" + stand found
        | ByDispute fact -> $"dispute/{DisputeWords.stage fact.Stage}/{DisputeWords.ruling fact.Ruling}"

    let everyClaimant = List.map ByRefund [ Waiting; Taken; NotTaken ] @ List.map ByDispute facts

    let signal signal =
        match signal with
        | AmountCaptured _ -> "amount_captured"
        | OrderTookIt -> "order_took_it"
        | PeriodTookIt -> "period_took_it"
        | WithdrawalSeen({ By = ByRefund Waiting }, _) -> "refund_pending"
        | WithdrawalSeen({ By = ByRefund Taken }, _) -> "refund_succeeded"
        | WithdrawalSeen({ By = ByRefund NotTaken }, _) -> "refund_failed"
        | WithdrawalSeen({ By = ByDispute fact }, _) -> "dispute_" + DisputeWords.ruling fact.Ruling
        | PaymentConfirmed -> "payment_confirmed"
        | ReturnSentAgain -> "sent_again"
        | ReturnRefused _ -> "return_refused"
        | ProviderSilent -> "provider_silent"
        | ReturnRequested -> "return_requested"

    let refusal refusal =
        match refusal with
        | Contradicts -> "contradicts"
        | TakesAnotherAmount -> "takes_another_amount"
        | PartlyTaken -> "partly_taken"
        | NothingHeld -> "nothing_held"
        | OnItsWay -> "on_its_way"

[<CompilationRepresentation(CompilationRepresentationFlags.ModuleSuffix)>]
module Deposit =
    /// A bank takes the money when its dispute opens and keeps it if that is lost. An inquiry takes nothing.
    let private has withdrawal =
        match withdrawal.By with
        | ByRefund Taken -> withdrawal.Amount
        | ByRefund(Waiting | NotTaken) -> 0L
        | ByDispute { Ruling = WonByUs } -> 0L
        | ByDispute { Stage = PreDispute; Ruling = Opened | Challenged } -> 0L
        | ByDispute { Ruling = Opened | Challenged | LostByUs } -> withdrawal.Amount

    /// What refunds and disputes have of it. More than came in is possible: a bank does not ask what was refunded.
    let taken (deposit: Deposit) = deposit.withdrawals |> List.sumBy has

    let left (deposit: Deposit) = max 0L (deposit.amount.Minor - taken deposit)

    /// What a refund that is on its way will take.
    let private claimed (deposit: Deposit) =
        deposit.withdrawals
        |> List.sumBy (fun withdrawal ->
            if withdrawal.By = ByRefund Waiting then
                withdrawal.Amount
            else
                0L)

    let isDisputed (deposit: Deposit) =
        deposit.withdrawals
        |> List.exists (fun withdrawal ->
            match withdrawal.By with
            | ByDispute { Stage = PreDispute; Ruling = Opened | Challenged | WonByUs } -> false
            | ByDispute { Ruling = Opened | Challenged | LostByUs | WonByUs } -> true
            | ByRefund _ -> false)

    /// Its buyer has got it back for good: all of it by refunds, or whatever a bank took by a dispute that was lost.
    let isGone (deposit: Deposit) =
        let isLost withdrawal =
            match withdrawal.By with
            | ByDispute { Ruling = LostByUs } -> true
            | ByDispute { Ruling = Opened | Challenged | WonByUs }
            | ByRefund _ -> false
        let refunded = deposit.withdrawals |> List.filter _.By.IsByRefund |> List.sumBy has
        List.exists isLost deposit.withdrawals || refunded >= deposit.amount.Minor

    let private idOf origin =
        match origin with
        | OfOrder order -> DepositId.OfOrder order
        | OfPeriod(subscription, payment) -> DepositId.OfPeriod(subscription, payment.Period, payment.Try)

    /// A period is paid.
    let earn payment origin amount = {
        id = idOf origin
        payment = payment
        origin = origin
        amount = amount
        withdrawals = []
        refused = 0
        status = Earned
    }

    /// What came too late or twice is given back without a person; whatever differs from what was asked for is not.
    let private waits now stray =
        match stray with
        | LatePayment
        | SecondPayment -> ToConfirm(stray, now)
        | WrongAmount
        | WrongCurrency
        | WrongOrder
        | CapturedInPart -> Held(stray, now, None)

    /// Money that belongs to nothing.
    let hold now payment origin amount stray = { earn payment origin amount with status = waits now stray }

    let private followed source =
        match source with
        | ByAnswer -> Ok true
        | ByWebhook -> Error Contradicts

    /// What contradicts or decides is asked about, and the answer followed: a webhook may only be old. An open dispute
    /// may be taken to a later stage by one, and a refund may succeed; that it failed would give its amount free.
    let private replaces source known next =
        match known, next with
        | known, next when known = next -> Ok false
        | ByRefund Waiting, ByRefund(Taken | Waiting) -> Ok true
        | ByRefund Waiting, ByRefund NotTaken -> followed source
        | ByRefund(Taken | NotTaken), ByRefund Waiting -> Ok false
        | ByRefund(Taken | NotTaken), ByRefund(Taken | NotTaken) -> followed source
        | ByDispute({ Ruling = Opened | Challenged } as before),
          ByDispute({ Ruling = Opened | Challenged } as after) when before.Stage <= after.Stage ->
            Ok(source = ByAnswer || after > before)
        | ByDispute _, ByDispute _ -> followed source
        | ByRefund _, ByDispute _
        | ByDispute _, ByRefund _ -> Error TakesAnotherAmount

    let private withWithdrawal withdrawal source (deposit: Deposit) =
        match deposit.withdrawals |> List.tryFind (fun known -> known.Name = withdrawal.Name) with
        | None when withdrawal.By = ByRefund NotTaken && source = ByWebhook -> Error Contradicts
        | None -> Ok(Some { deposit with withdrawals = deposit.withdrawals @ [ withdrawal ] })
        | Some known when known.Amount <> withdrawal.Amount && withdrawal.By.IsByRefund ->
            Error TakesAnotherAmount
        // The bank may claim more, or less, as the dispute goes on; nobody asks about this one every hour.
        | Some known when known.Amount <> withdrawal.Amount && source = ByWebhook -> Error Contradicts
        | Some known ->
            replaces source known.By withdrawal.By
            |> Result.map (fun isNews ->
                if isNews || (known.Amount <> withdrawal.Amount && known.By = withdrawal.By) then
                    let put found = if found.Name = withdrawal.Name then withdrawal else found
                    Some { deposit with withdrawals = List.map put deposit.withdrawals }
                else
                    None)

    /// Where it stands once something has been taken from it or has come back.
    let private settled now (withdrawal: Withdrawal) (deposit: Deposit) =
        let isLeft = left deposit > 0L
        let isOurs = withdrawal.Name = deposit.OwnRefund.Value
        let failed = {
            Cause = OtherCause
            Code = "refund_failed"
            Message = "Hyperswitch says that the refund has failed."
        }
        let status =
            match deposit.status with
            | Earned
            | Adopted -> deposit.status
            | Held(stray, _, _)
            | ToConfirm(stray, _) when not isLeft -> Cleared stray
            // Our refund is asked about until it is decided, whatever else has taken the money meanwhile.
            | Returning(stray, _, _) when isOurs && withdrawal.By <> ByRefund Waiting ->
                if not isLeft then
                    Cleared stray
                else
                    Held(
                        stray,
                        now,
                        (if withdrawal.By = ByRefund NotTaken then
                             Some failed
                         else
                             None)
                    )
            | Held _
            | ToConfirm _
            | Returning _ -> deposit.status
            | Cleared stray when isLeft -> Held(stray, now, None)
            | Cleared _ -> deposit.status
        { deposit with status = status }

    /// A refund's name is used once: what became of an earlier one says nothing of the next.
    let rec private underANewName (deposit: Deposit) =
        if deposit.withdrawals |> List.exists (fun known -> known.Name = deposit.OwnRefund.Value) then
            underANewName { deposit with refused = deposit.refused + 1 }
        else
            deposit

    /// Every status meets every signal.
    let apply rules (now: DateTimeOffset) signal (deposit: Deposit) =
        let becomes status = Advanced { deposit with status = status }
        // Each wait is half of the age: what stays undecided is asked about ever more rarely and never given up.
        let later (inquiry: Inquiry) = {
            inquiry with
                DueAt = now + max rules.SweepAfter (TimeSpan.FromTicks((now - inquiry.SentAt).Ticks / 2L))
        }

        match deposit.status, signal with
        | Adopted, WithdrawalSeen _ -> Unchanged
        | (Earned | Held _ | ToConfirm _ | Returning _ | Cleared _), WithdrawalSeen(withdrawal, source) ->
            match withWithdrawal withdrawal source deposit with
            | Error why -> Refused why
            | Ok None -> Unchanged
            | Ok(Some next) -> Advanced(settled now withdrawal next)

        | (Held _ | ToConfirm _ | Returning _ | Cleared _), AmountCaptured amount ->
            if amount > deposit.amount.Minor then
                let next = { deposit with amount = { deposit.amount with Minor = amount } }
                match deposit.status with
                | Cleared stray -> Advanced { next with status = waits now stray }
                | Earned
                | Held _
                | ToConfirm _
                | Returning _
                | Adopted -> Advanced next
            else
                Unchanged
        | (Earned | Adopted), AmountCaptured _ -> Unchanged

        | (Held _ | ToConfirm _), OrderTookIt ->
            if taken deposit + claimed deposit = 0L then
                becomes Adopted
            else
                Refused PartlyTaken
        | (Held _ | ToConfirm _), PeriodTookIt ->
            if taken deposit + claimed deposit = 0L then
                becomes Earned
            else
                Refused PartlyTaken
        | (Returning _ | Cleared _), (OrderTookIt | PeriodTookIt) -> Refused PartlyTaken
        | (Earned | Adopted), (OrderTookIt | PeriodTookIt) -> Unchanged

        | ToConfirm(stray, _), PaymentConfirmed ->
            let amount = left deposit - claimed deposit
            if amount > 0L then
                let inquiry: Inquiry = { SentAt = now; Sends = 1; DueAt = now + rules.SweepAfter }
                let sent = underANewName deposit
                Advanced { sent with status = Returning(stray, inquiry, amount) }
            else
                // Somebody's refund of it is on its way.
                becomes (ToConfirm(stray, now + rules.SweepAfter))
        | ToConfirm(stray, _), ProviderSilent -> becomes (ToConfirm(stray, now + rules.SweepAfter))
        | ToConfirm _, (ReturnSentAgain | ReturnRefused _ | ReturnRequested) -> Unchanged

        | Returning(stray, inquiry, amount), ReturnSentAgain ->
            becomes (Returning(stray, { later inquiry with SentAt = now; Sends = inquiry.Sends + 1 }, amount))
        | Returning(stray, _, _), ReturnRefused refusal -> becomes (Held(stray, now, Some refusal))
        | Returning(stray, inquiry, amount), ProviderSilent ->
            becomes (Returning(stray, later inquiry, amount))
        | Returning _, PaymentConfirmed -> Unchanged
        | Returning _, ReturnRequested -> Refused OnItsWay

        | Held(stray, _, trouble), ReturnRequested ->
            let refused = deposit.refused + Option.count trouble
            Advanced { deposit with status = ToConfirm(stray, now); refused = refused }
        | Held _, (PaymentConfirmed | ReturnSentAgain | ReturnRefused _ | ProviderSilent) -> Unchanged

        | (Earned | Cleared _ | Adopted), ReturnRequested -> Refused NothingHeld
        | (Earned | Cleared _ | Adopted),
          (PaymentConfirmed | ReturnSentAgain | ReturnRefused _ | ProviderSilent) -> Unchanged

    /// Whether the provider's word says that all of it is there, to be given back.
    let isConfirmedBy meaning amount (deposit: Deposit) =
        match meaning with
        | PaidInFull
        | PaidInPart -> amount = deposit.amount.Minor
        | AwaitsBuyer
        | BeingProcessed
        | NothingPaid
        | PaidAndVoided
        | Uncaptured
        | UnderReview
        | UnknownWord -> false

    /// What a worker does with it. Asking comes first.
    let duty (deposit: Deposit) =
        match deposit.status with
        | ToConfirm _ -> Some ConfirmPayment
        | Returning _ -> Some AskAboutReturn
        | Earned
        | Held _
        | Cleared _
        | Adopted -> None

    /// Our refund is proven absent, and "unknown" can no longer mean "not arrived yet".
    let isToBeSentAgain rules (now: DateTimeOffset) (deposit: Deposit) =
        match deposit.status with
        | Returning(_, inquiry, _) -> now - inquiry.SentAt >= rules.AbsentAfter
        | Earned
        | Held _
        | ToConfirm _
        | Cleared _
        | Adopted -> false
