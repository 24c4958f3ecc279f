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

/// The last payment that counts, and until when it gives access.
type Paid = { Payment: Payment; Until: DateTimeOffset }

type SubscriptionStatus =
    /// The buyer has yet to pay for the first period.
    | PendingPayment of Charge: Charge
    /// Paid; the next period is charged when its time comes.
    | Active of Paid: Paid
    /// The last paid period is over and the next one is not paid yet.
    | PastDue of Charge: Charge * Paid: Paid
    /// Nothing is charged any more; what was paid gives access to its end.
    | Canceled of Paid: Paid option
    /// The first payment never came, or the tries for a later one are used up.
    | Expired of Paid: Paid option

/// What the provider says of one period's payment.
type SubscriptionSignal =
    | PeriodPaid of Payment: Payment
    | PeriodFailed of Payment: Payment * Refusal: Refusal
    /// The charge is being sent, which is written down first.
    | ChargeSent
    | ProviderSilent
    | CancelRequested
    /// The bank has taken this payment back for now, by a dispute.
    | PaymentDisputed of Payment: Payment
    /// All of this payment was refunded, or its dispute was lost.
    | PaymentLost of Payment: Payment
    /// The refund of this payment came back, or the bank gave it back.
    | PaymentRegained of Payment: Payment

type SubscriptionRefusal =
    | NothingToCharge
    /// The buyer has paid for something that has ended: it must be given back.
    | PaidAfterTheEnd
    /// Two tries for one period have both succeeded, or one for a period that was skipped: one must be given back.
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

    /// The last payment that counts.
    member subscription.Paid =
        match subscription.status with
        | PendingPayment _ -> None
        | Active paid
        | PastDue(_, paid) -> Some paid
        | Canceled paid
        | Expired paid -> paid

type SubscriptionOutcome = Outcome<Subscription, SubscriptionRefusal>

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
    PaidPeriod: Nullable<int>
    PaidTry: Nullable<int>
    PaidUntil: Nullable<DateTimeOffset>
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
        | PaymentDisputed _ -> "payment_disputed"
        | PaymentLost _ -> "payment_lost"
        | PaymentRegained _ -> "payment_regained"

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

    /// The first period from this one on that is not over. Those in between were missed, because no host ran or the tries
    /// took so long: they are never charged.
    let rec private notOver (now: DateTimeOffset) period (subscription: Subscription) =
        if endOf subscription period > now then
            period
        else
            notOver now (period + 1) subscription

    /// The charge that is to be sent now.
    let private current now (charge: Charge) (subscription: Subscription) =
        match subscription.status with
        | PastDue _ -> { charge with Period = notOver now charge.Period subscription }
        | PendingPayment _
        | Active _
        | Canceled _
        | Expired _ -> charge

    let private after now (paid: Paid) subscription : Charge = {
        Period = notOver now (paid.Payment.Period + 1) subscription
        Retries = 0
        DueAt = now
        IsOpen = false
    }

    let private paid (payment: Payment) (subscription: Subscription) =
        subscription |> becomes (Active { Payment = payment; Until = endOf subscription payment.Period })

    /// What is paid for after the first period is over begins with its payment, not with the request.
    let private begun (now: DateTimeOffset) (payment: Payment) (subscription: Subscription) =
        if now > endOf subscription payment.Period then
            { subscription with since = now } |> paid payment
        else
            subscription |> paid payment

    /// Access ends now, if it has not ended before.
    let private lost (now: DateTimeOffset) (paid: Paid) = Some { paid with Until = min now paid.Until }

    let private regained subscription (paid: Paid) =
        Some { paid with Until = endOf subscription paid.Payment.Period }

    /// One that has ended keeps its status; only its access may change.
    let private withAccess known access ended subscription =
        if access = known then
            Unchanged
        else
            subscription |> becomes (ended access)

    /// The whole life of a subscription: every status meets every signal.
    let apply rules (now: DateTimeOffset) signal subscription =
        let later (charge: Charge) = { charge with DueAt = now + rules.AskEvery }
        let sent (charge: Charge) = { later charge with IsOpen = true }

        match subscription.status, signal with
        | PendingPayment _, PeriodPaid payment -> subscription |> begun now payment
        | PastDue(charge, known), PeriodPaid payment ->
            if payment.Period >= charge.Period then
                subscription |> paid payment
            elif payment = known.Payment then
                Unchanged
            else
                Refused PaidTwice
        // Late news of an earlier try says nothing about this one.
        | (PendingPayment charge | PastDue(charge, _)), PeriodFailed(payment, _) when
            payment <> { Period = charge.Period; Try = charge.Retries } || not charge.IsOpen
            ->
            Unchanged
        | PendingPayment charge, PeriodFailed _ ->
            if charge.Retries >= rules.Charging.MaxRetries then
                subscription |> becomes (Expired None)
            else
                subscription |> becomes (PendingPayment(chargeAfter rules now subscription charge))
        | PastDue(charge, known), PeriodFailed _ ->
            if charge.Retries >= rules.Charging.MaxRetries then
                subscription |> becomes (Expired(Some known))
            else
                subscription |> becomes (PastDue(chargeAfter rules now subscription charge, known))
        | PendingPayment charge, ChargeSent -> subscription |> becomes (PendingPayment(sent charge))
        | PastDue(charge, known), ChargeSent ->
            subscription |> becomes (PastDue(sent (current now charge subscription), known))
        | PendingPayment charge, ProviderSilent -> subscription |> becomes (PendingPayment(later charge))
        | PastDue(charge, known), ProviderSilent -> subscription |> becomes (PastDue(later charge, known))
        | PendingPayment _, CancelRequested -> subscription |> becomes (Canceled None)
        | PastDue(_, known), CancelRequested -> subscription |> becomes (Canceled(Some known))
        | PendingPayment _, (PaymentDisputed _ | PaymentLost _ | PaymentRegained _) -> Unchanged

        // The next period is charged once this one is over; its service is past due until it is paid.
        | Active known, ChargeSent ->
            if now < known.Until then
                Refused NothingToCharge
            else
                subscription |> becomes (PastDue(sent (after now known subscription), known))
        | Active known, PeriodPaid payment ->
            if payment.Period > known.Payment.Period then
                subscription |> paid payment
            elif payment = known.Payment then
                Unchanged
            else
                Refused PaidTwice
        | Active _, (PeriodFailed _ | ProviderSilent) -> Unchanged
        | Active known, CancelRequested -> subscription |> becomes (Canceled(Some known))

        // Whoever has gone to their bank is not charged again, however the bank decides.
        | (Active known | PastDue(_, known)), PaymentDisputed _ ->
            subscription |> becomes (Canceled(Some known))
        | (Active known | PastDue(_, known)), PaymentLost payment ->
            if payment = known.Payment then
                subscription |> becomes (Canceled(lost now known))
            else
                Unchanged
        | (Active _ | PastDue _), PaymentRegained _ -> Unchanged

        | (Canceled known | Expired known), PeriodPaid payment ->
            if known |> Option.exists (fun known -> known.Payment = payment) then
                Unchanged
            else
                Refused PaidAfterTheEnd
        | (Canceled _ | Expired _), (PeriodFailed _ | ProviderSilent | CancelRequested | PaymentDisputed _) ->
            Unchanged
        | (Canceled _ | Expired _), ChargeSent -> Refused NothingToCharge
        | (Canceled None | Expired None), (PaymentLost _ | PaymentRegained _) -> Unchanged
        | (Canceled(Some known) | Expired(Some known)), (PaymentLost payment | PaymentRegained payment) when
            payment <> known.Payment
            ->
            Unchanged
        | Canceled(Some known), PaymentLost _ ->
            subscription |> withAccess (Some known) (lost now known) Canceled
        | Expired(Some known), PaymentLost _ ->
            subscription |> withAccess (Some known) (lost now known) Expired
        | Canceled(Some known), PaymentRegained _ ->
            subscription |> withAccess (Some known) (regained subscription known) Canceled
        | Expired(Some known), PaymentRegained _ ->
            subscription |> withAccess (Some known) (regained subscription known) Expired

    /// What is to be done once the time has come.
    let duty (now: DateTimeOffset) subscription =
        let charged (charge: Charge) =
            Some(ChargePeriod(PaymentId.ForPeriod(subscription.id, charge.Period, charge.Retries)))

        match subscription.status with
        | PendingPayment charge
        | PastDue(charge, _) when charge.IsOpen ->
            Some(AskAbout(PaymentId.ForPeriod(subscription.id, charge.Period, charge.Retries)))
        | PendingPayment charge
        | PastDue(charge, _) -> charged (current now charge subscription)
        | Active known when now >= known.Until -> charged (after now known subscription)
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
            Period = subscription.Paid |> Option.map _.Payment.Period |> Option.defaultValue 0
            Retries = 0
            IsOpen = false
            DueAt = Nullable()
            PastDueSince = Nullable()
            PaidPeriod = subscription.Paid |> Option.map _.Payment.Period |> Option.toNullable
            PaidTry = subscription.Paid |> Option.map _.Payment.Try |> Option.toNullable
            PaidUntil = subscription.Paid |> Option.map _.Until |> Option.toNullable
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
        | PastDue(charge, known) -> { charged charge with PastDueSince = Nullable known.Until }
        | Active known -> { row with Retries = known.Payment.Try; DueAt = Nullable known.Until }
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
        let paid =
            if row.PaidPeriod.HasValue && row.PaidTry.HasValue && row.PaidUntil.HasValue then
                Some {
                    Payment = { Period = row.PaidPeriod.Value; Try = row.PaidTry.Value }
                    Until = row.PaidUntil.Value
                }
            else
                None

        let status =
            match row.Status, row.DueAt.HasValue, row.PastDueSince.HasValue, paid with
            | "pending_payment", true, false, None -> Ok(PendingPayment(charge ()))
            | "past_due", true, true, Some paid -> Ok(PastDue(charge (), paid))
            | "active", true, false, Some paid -> Ok(Active { paid with Until = row.DueAt.Value })
            | "canceled", false, false, paid -> Ok(Canceled paid)
            | "expired", false, false, paid -> Ok(Expired paid)
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
