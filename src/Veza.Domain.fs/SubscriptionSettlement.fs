/// What a provider's word on a subscription's payment does to the subscription and to the books: on the payment itself, on
/// its refunds and on its disputes, whoever made them. The same for a payment that belongs to nothing.
namespace Veza.Domain

open Veza.Domain.Disputes
open Veza.Domain.Deposits
open Veza.Domain.Refunds
open Veza.Domain.Subscriptions

module SubscriptionSettlement =
    let private mismatch (fact: PaymentFact) (subscription: Subscription) =
        if not (subscription.Plan.Price.Currency.HasCode fact.Currency) then
            Some WrongCurrency
        elif fact.Amount <> subscription.Plan.Price.Minor then
            Some WrongAmount
        else
            None

    let private isEarned (deposit: Deposit option) = deposit |> Option.exists _.Status.IsEarned

    let private earned rules now (fact: PaymentFact) origin next deposit (subscription: Subscription) =
        match deposit |> Option.map (Deposit.apply rules now PeriodTookIt) with
        | None ->
            let deposit = Deposit.earn fact.Payment origin subscription.Plan.Price
            Settled { Effect.nothing with Subscription = Some next; Deposit = Some deposit }
        | Some(Deposits.Advanced deposit) ->
            Settled { Effect.nothing with Subscription = Some next; Deposit = Some deposit }
        | Some Deposits.Unchanged -> AlreadyKnown
        | Some(Deposits.Refused _) -> Quarantined PartlyTakenBack

    /// A period is paid by exactly its price, once; anything else is in suspense.
    let private paid
        rules
        subscriptionRules
        now
        (fact: PaymentFact)
        (payment: Payment)
        (subscription: Subscription)
        (deposit: Deposit option)
        =
        let origin = OfPeriod(subscription.Id, payment)
        let held stray deposit = PaymentHolding.held rules now fact origin stray deposit
        match mismatch fact subscription with
        | Some stray when isEarned deposit -> Quarantined(PaymentHolding.doubt stray)
        | None when isEarned deposit -> AlreadyKnown
        | Some stray -> held stray deposit
        | None ->
            // More of it may have been captured since it was booked.
            let deposit =
                deposit
                |> Option.map (fun known ->
                    match Deposit.apply rules now (AmountCaptured fact.Amount) known with
                    | Deposits.Advanced next -> next
                    | Deposits.Unchanged
                    | Deposits.Refused _ -> known)
            match Subscription.apply subscriptionRules now (PeriodPaid payment) subscription with
            | Subscriptions.Advanced next -> earned rules now fact origin next deposit subscription
            | Subscriptions.Unchanged -> AlreadyKnown
            | Subscriptions.Refused PaidTwice -> held SecondPayment deposit
            | Subscriptions.Refused(PaidAfterTheEnd | NothingToCharge) -> held LatePayment deposit

    let private failed subscriptionRules now payment refusal subscription =
        match Subscription.apply subscriptionRules now (PeriodFailed(payment, refusal)) subscription with
        | Subscriptions.Advanced next -> Settled { Effect.nothing with Subscription = Some next }
        | Subscriptions.Unchanged
        | Subscriptions.Refused _ -> AlreadyKnown

    let private signalsOf (before: Deposit) (after: Deposit) payment = [
        if Deposit.isDisputed after && not (Deposit.isDisputed before) then
            PaymentDisputed payment
        if Deposit.isGone after && not (Deposit.isGone before) then
            PaymentLost payment
        if Deposit.isGone before && not (Deposit.isGone after) then
            PaymentRegained payment
    ]

    /// What was taken from a period's payment, or came back, changes what the period gives access to.
    let private followed subscriptionRules now (before: Deposit) (after: Deposit) subscription =
        match after.Origin, subscription with
        | OfPeriod(_, payment), Some subscription when after.Status.IsEarned ->
            let next =
                (subscription, signalsOf before after payment)
                ||> List.fold (fun known signal ->
                    match Subscription.apply subscriptionRules now signal known with
                    | Subscriptions.Advanced next -> next
                    | Subscriptions.Unchanged
                    | Subscriptions.Refused _ -> known)
            if next = subscription then None else Some next
        | OfPeriod _, _
        | OfOrder _, _ -> None

    let private taken rules subscriptionRules now withdrawal source (deposit: Deposit) subscription =
        match Deposit.apply rules now (WithdrawalSeen(withdrawal, source)) deposit with
        | Deposits.Unchanged -> AlreadyKnown
        | Deposits.Refused Contradicts -> MustBeAsked
        | Deposits.Refused TakesAnotherAmount -> Quarantined AmountDiffers
        | Deposits.Refused(PartlyTaken | NothingHeld | OnItsWay) -> AlreadyKnown
        | Deposits.Advanced next ->
            Settled {
                Effect.nothing with
                    Deposit = Some next
                    Subscription = followed subscriptionRules now deposit next subscription
            }

    let private voided rules subscriptionRules now (deposit: Deposit) subscription =
        let left = Deposit.left deposit
        if left = 0L then
            AlreadyKnown
        else
            let withdrawal = { Name = "void"; Amount = left; By = ByRefund Taken }
            taken rules subscriptionRules now withdrawal ByAnswer deposit (Some subscription)

    /// What Hyperswitch says of a period's payment: every word leads somewhere.
    let paymentReported
        rules
        subscriptionRules
        now
        (report: PaymentReport)
        payment
        (subscription: Subscription)
        deposit
        =
        match report.Meaning with
        | AwaitsBuyer
        | BeingProcessed -> AlreadyKnown
        | PaidInFull -> paid rules subscriptionRules now report.Fact payment subscription deposit
        // Late news of a payment that was captured to the end meanwhile.
        | (PaidInPart | Uncaptured) when isEarned deposit -> AlreadyKnown
        | PaidInPart ->
            let origin = OfPeriod(subscription.Id, payment)
            PaymentHolding.held rules now report.Fact origin CapturedInPart deposit
        | NothingPaid
        | PaidAndVoided ->
            match deposit with
            | Some deposit when report.Meaning.IsPaidAndVoided ->
                voided rules subscriptionRules now deposit subscription
            | Some _ -> AlreadyKnown
            | None -> failed subscriptionRules now payment report.Refusal subscription
        | Uncaptured -> Quarantined NotCaptured
        | UnderReview -> Quarantined PaymentInReview
        | UnknownWord -> Quarantined UnknownStatus

    /// Hyperswitch's word on a refund of a payment that stands outside of an order's books.
    let refundReported
        rules
        subscriptionRules
        now
        name
        (report: RefundReport)
        source
        (deposit: Deposit)
        subscription
        =
        let stand =
            match report.Says with
            | StillPending -> Waiting
            | HasSucceeded -> Taken
            | HasFailed _ -> NotTaken
        if not (deposit.Amount.Currency.HasCode report.Currency) then
            Quarantined CurrencyDiffers
        else
            let withdrawal = { Name = name; Amount = report.Amount; By = ByRefund stand }
            taken rules subscriptionRules now withdrawal source deposit subscription

    /// A provider's word on a dispute of such a payment.
    let disputeReported
        rules
        subscriptionRules
        now
        name
        (amount: int64)
        currency
        fact
        source
        (deposit: Deposit)
        subscription
        =
        if not (deposit.Amount.Currency.HasCode currency) then
            Quarantined CurrencyDiffers
        else
            let withdrawal = { Name = name; Amount = amount; By = ByDispute fact }
            taken rules subscriptionRules now withdrawal source deposit subscription
