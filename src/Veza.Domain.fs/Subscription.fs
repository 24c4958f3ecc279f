/// A buyer's standing order. Active only on a confirmed payment; each period is paid once, under its own payment id.
namespace Veza.Domain.Subscriptions

open System
open Veza.Domain

type Interval =
    | Day
    | Week
    | Month
    | Year

type Plan = { Code: string; Price: Money; Interval: Interval }

/// The payment of one period. A try that failed is followed by another one under an id of its own: the provider
/// never charges one id twice.
type Charge = {
    /// The first period is 1.
    Period: int
    /// Tries before this one.
    Retries: int
    /// When the provider is asked, or the next try is made.
    DueAt: DateTimeOffset
    /// Sent, with no definite answer yet.
    IsOpen: bool
}

/// Which try paid for which period.
type Payment = { Period: int; Try: int }

type SubscriptionStatus =
    /// The buyer has yet to pay for the first period.
    | PendingPayment of Charge: Charge
    /// Paid until then; the next period is charged when its time comes.
    | Active of Paid: Payment * Until: DateTimeOffset
    /// The last paid period is over and the next one is not paid yet.
    | PastDue of Charge: Charge * Since: DateTimeOffset
    | Canceled of Period: int
    /// The first payment never came, or the tries for a later one are used up.
    | Expired of Period: int

/// What the provider says of one period's payment.
type SubscriptionSignal =
    | PeriodPaid of Payment: Payment
    | PeriodFailed of Payment: Payment * Refusal: Refusal
    /// The charge is being sent, which is written down first.
    | ChargeSent
    | ProviderSilent
    | CancelRequested

type SubscriptionRefusal =
    | NothingToCharge
    /// The buyer has paid for something that has ended: it must be given back.
    | PaidAfterTheEnd
    /// Two tries for one period have both succeeded: one must be given back.
    | PaidTwice

type SubscriptionRules = { Charging: RetryPolicy; AskEvery: TimeSpan }

/// Begins with `subscribe`, changes through `apply`, returns from a row with `ofRow`: no other way.
type Subscription = private {
    id: SubscriptionId
    subscriber: string
    plan: Plan
    /// Every period is counted from here, so that the 31st stays the 31st after a February.
    since: DateTimeOffset
    status: SubscriptionStatus
} with

    member subscription.Id = subscription.id
    member subscription.Subscriber = subscription.subscriber
    member subscription.Plan = subscription.plan
    member subscription.Status = subscription.status

    /// The last period that was paid.
    member subscription.PaidPeriods =
        match subscription.status with
        | PendingPayment charge
        | PastDue(charge, _) -> charge.Period - 1
        | Active({ Period = period }, _)
        | Canceled period
        | Expired period -> period

type SubscriptionOutcome =
    | Advanced of Next: Subscription
    | Unchanged
    | Refused of Why: SubscriptionRefusal

type SubscriptionDuty =
    | ChargePeriod of Payment: PaymentId
    | AskAbout of Payment: PaymentId

type SubscriptionRow = {
    Id: Guid
    SubscriberId: string
    PlanCode: string
    Amount: int64
    Currency: string
    Interval: string
    Since: DateTimeOffset
    Status: string
    Period: int
    Retries: int
    IsOpen: bool
    DueAt: Nullable<DateTimeOffset>
    PastDueSince: Nullable<DateTimeOffset>
}

module SubscriptionWords =
    let interval interval =
        match interval with
        | Day -> "day"
        | Week -> "week"
        | Month -> "month"
        | Year -> "year"

    let everyInterval = [ Day; Week; Month; Year ]

    let status status =
        match status with
        | PendingPayment _ -> "pending_payment"
        | Active _ -> "active"
        | PastDue _ -> "past_due"
        | Canceled _ -> "canceled"
        | Expired _ -> "expired"

    let refusal refusal =
        match refusal with
        | NothingToCharge -> "nothing_to_charge"
        | PaidAfterTheEnd -> "paid_after_the_end"
        | PaidTwice -> "paid_twice"

    let signal signal =
        match signal with
        | PeriodPaid _ -> "period_paid"
        | PeriodFailed _ -> "period_failed"
        | ChargeSent -> "charge_sent"
        | ProviderSilent -> "provider_silent"
        | CancelRequested -> "cancel_requested"

[<CompilationRepresentation(CompilationRepresentationFlags.ModuleSuffix)>]
module Subscription =
    /// The end of a period: so many intervals after the beginning.
    let private endOf (subscription: Subscription) period =
        match subscription.plan.Interval with
        | Day -> subscription.since + TimeSpan.FromDays(period: int)
        | Week -> subscription.since + TimeSpan.FromDays(7 * period: int)
        | Month -> subscription.since.AddMonths period
        | Year -> subscription.since.AddYears period

    let subscribe id subscriber plan (now: DateTimeOffset) = {
        id = id
        subscriber = subscriber
        plan = plan
        since = now
        status = PendingPayment { Period = 1; Retries = 0; DueAt = now; IsOpen = false }
    }

    let private becomes status subscription = Advanced { subscription with status = status }

    let private chargeAfter rules (now: DateTimeOffset) (subscription: Subscription) (charge: Charge) =
        let due = now + Backoff.spread rules.Charging charge.Retries subscription.id.Value
        { charge with Retries = charge.Retries + 1; DueAt = due; IsOpen = false }

    let private paid payment subscription =
        subscription |> becomes (Active(payment, endOf subscription payment.Period))

    /// The whole life of a subscription: every status meets every signal.
    let apply rules (now: DateTimeOffset) signal subscription =
        let later (charge: Charge) = { charge with DueAt = now + rules.AskEvery }
        let sent (charge: Charge) = { later charge with IsOpen = true }

        match subscription.status, signal with
        | (PendingPayment charge | PastDue(charge, _)), PeriodPaid payment ->
            if payment.Period = charge.Period then
                subscription |> paid payment
            else
                Unchanged
        // Late news of an earlier try says nothing about this one.
        | (PendingPayment charge | PastDue(charge, _)), PeriodFailed(payment, _) when
            payment <> { Period = charge.Period; Try = charge.Retries } || not charge.IsOpen
            ->
            Unchanged
        | (PendingPayment charge | PastDue(charge, _)), PeriodFailed _ when
            charge.Retries >= rules.Charging.MaxRetries
            ->
            subscription |> becomes (Expired(charge.Period - 1))
        | PendingPayment charge, PeriodFailed _ ->
            subscription |> becomes (PendingPayment(chargeAfter rules now subscription charge))
        | PastDue(charge, since), PeriodFailed _ ->
            subscription |> becomes (PastDue(chargeAfter rules now subscription charge, since))
        | PendingPayment charge, ChargeSent -> subscription |> becomes (PendingPayment(sent charge))
        | PastDue(charge, since), ChargeSent -> subscription |> becomes (PastDue(sent charge, since))
        | PendingPayment charge, ProviderSilent -> subscription |> becomes (PendingPayment(later charge))
        | PastDue(charge, since), ProviderSilent -> subscription |> becomes (PastDue(later charge, since))
        | (PendingPayment charge | PastDue(charge, _)), CancelRequested ->
            subscription |> becomes (Canceled(charge.Period - 1))

        // The next period is charged once this one is over; its service is past due until it is paid.
        | Active({ Period = period }, until), ChargeSent ->
            if now < until then
                Refused NothingToCharge
            else
                let charge = { Period = period + 1; Retries = 0; DueAt = now + rules.AskEvery; IsOpen = true }
                subscription |> becomes (PastDue(charge, until))
        | Active(known, _), PeriodPaid payment ->
            if payment.Period > known.Period then
                subscription |> paid payment
            elif payment.Period = known.Period && payment.Try <> known.Try then
                Refused PaidTwice
            else
                Unchanged
        | Active _, (PeriodFailed _ | ProviderSilent) -> Unchanged
        | Active({ Period = period }, _), CancelRequested -> subscription |> becomes (Canceled period)

        | (Canceled paidPeriod | Expired paidPeriod), PeriodPaid payment ->
            if payment.Period > paidPeriod then
                Refused PaidAfterTheEnd
            else
                Unchanged
        | (Canceled _ | Expired _), (PeriodFailed _ | ProviderSilent) -> Unchanged
        | (Canceled _ | Expired _), ChargeSent -> Refused NothingToCharge
        | Canceled _, CancelRequested -> Unchanged
        | Expired _, CancelRequested -> Unchanged

    /// What is to be done once the time has come.
    let duty (now: DateTimeOffset) subscription =
        match subscription.status with
        | PendingPayment charge
        | PastDue(charge, _) ->
            let payment = PaymentId.ForPeriod(subscription.id, charge.Period, charge.Retries)
            if charge.IsOpen then
                Some(AskAbout payment)
            else
                Some(ChargePeriod payment)
        | Active({ Period = period }, until) when now >= until ->
            Some(ChargePeriod(PaymentId.ForPeriod(subscription.id, period + 1, 0)))
        | Active _
        | Canceled _
        | Expired _ -> None

    let toRow (subscription: Subscription) : SubscriptionRow =
        let row = {
            Id = subscription.id.Value
            SubscriberId = subscription.subscriber
            PlanCode = subscription.plan.Code
            Amount = subscription.plan.Price.Minor
            Currency = subscription.plan.Price.Currency.Code
            Interval = SubscriptionWords.interval subscription.plan.Interval
            Since = subscription.since
            Status = SubscriptionWords.status subscription.status
            Period = subscription.PaidPeriods
            Retries = 0
            IsOpen = false
            DueAt = Nullable()
            PastDueSince = Nullable()
        }
        let charged (charge: Charge) = {
            row with
                Period = charge.Period
                Retries = charge.Retries
                IsOpen = charge.IsOpen
                DueAt = Nullable charge.DueAt
        }

        match subscription.status with
        | PendingPayment charge -> charged charge
        | PastDue(charge, since) -> { charged charge with PastDueSince = Nullable since }
        | Active(payment, until) -> { row with Retries = payment.Try; DueAt = Nullable until }
        | Canceled _
        | Expired _ -> row

    /// The subscription that left this row behind.
    let ofRow (row: SubscriptionRow) =
        let charge () : Charge = {
            Period = row.Period
            Retries = row.Retries
            DueAt = row.DueAt.Value
            IsOpen = row.IsOpen
        }

        let status =
            match row.Status, row.DueAt.HasValue, row.PastDueSince.HasValue with
            | "pending_payment", true, false -> Ok(PendingPayment(charge ()))
            | "past_due", true, true -> Ok(PastDue(charge (), row.PastDueSince.Value))
            | "active", true, false -> Ok(Active({ Period = row.Period; Try = row.Retries }, row.DueAt.Value))
            | "canceled", false, false -> Ok(Canceled row.Period)
            | "expired", false, false -> Ok(Expired row.Period)
            | unknown -> Error $"No subscription stands like %A{unknown}."
        let interval =
            AttemptWords.parse
                "an interval"
                SubscriptionWords.everyInterval
                SubscriptionWords.interval
                row.Interval

        match status, interval, Currency.parse row.Currency with
        | Ok status, Ok interval, Ok currency ->
            Ok {
                id = SubscriptionId row.Id
                subscriber = row.SubscriberId
                plan = {
                    Code = row.PlanCode
                    Price = { Minor = row.Amount; Currency = currency }
                    Interval = interval
                }
                since = row.Since
                status = status
            }
        | Error why, _, _
        | _, Error why, _
        | _, _, Error why -> Error why
