/// What a provider's word on a subscription's payment does to the subscription and to the books: on the payment itself, on
/// its refunds and on its disputes, whoever made them. The same for a payment that belongs to nothing.
namespace Veza.Domain

open Veza.Domain.Disputes
open Veza.Domain.Deposits
open Veza.Domain.Refunds
open Veza.Domain.Subscriptions

module SubscriptionSettlement =
    let private mismatch fact (subscription: Subscription) =
        PaymentHolding.strayFrom subscription.Plan.Price fact

    let private isEarned (deposit: Deposit option) = deposit |> Option.exists _.Status.IsEarned

    /// More of it may have been captured since it was booked.
    let private captured rules now (fact: PaymentFact) (deposit: Deposit) =
        let signal = AmountCaptured fact.Amount
        match Deposit.apply rules now signal deposit with
        | Advanced next -> next, Effect.ofDeposit deposit signal next
        | Unchanged
        | Refused _ -> deposit, Effect.nothing

    /// The period is paid by what came in, which is in the books from now on as earned.
    let private earned rules now (fact: PaymentFact) origin paid deposit (subscription: Subscription) =
        match deposit with
        | None ->
            let deposit = Deposit.earn fact.Payment origin subscription.Plan.Price
            Settled(paid |> Effect.andThen (Effect.depositEarned deposit))
        | Some known ->
            let deposit, capture = captured rules now fact known
            match Deposit.apply rules now PeriodTookIt deposit with
            | Advanced next ->
                let taking = Effect.ofDeposit deposit PeriodTookIt next
                Settled(paid |> Effect.andThen capture |> Effect.andThen taking)
            | Unchanged -> AlreadyKnown
            | Refused _ -> Quarantined PartlyTakenBack

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
            let signal = PeriodPaid payment
            match Subscription.apply subscriptionRules now signal subscription with
            | Advanced next ->
                let paid = Effect.ofSteps [ Step.subscription subscription signal next ]
                earned rules now fact origin paid deposit subscription
            | Unchanged -> AlreadyKnown
            | Refused PaidTwice -> held SecondPayment deposit
            | Refused(PaidAfterTheEnd | NothingToCharge) -> held LatePayment deposit

    let private failed subscriptionRules now payment refusal subscription =
        let signal = PeriodFailed(payment, refusal)
        match Subscription.apply subscriptionRules now signal subscription with
        | Advanced next -> Settled(Effect.ofSteps [ Step.subscription subscription signal next ])
        | Unchanged
        | Refused _ -> AlreadyKnown

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
            ((subscription, []), signalsOf before after payment)
            ||> List.fold (fun (known, steps) signal ->
                match Subscription.apply subscriptionRules now signal known with
                | Advanced next -> next, steps @ [ Step.subscription known signal next ]
                | Unchanged
                | Refused _ -> known, steps)
            |> snd
        | OfPeriod _, _
        | OfOrder _, _ -> []

    let private taken rules subscriptionRules now withdrawal source (deposit: Deposit) subscription =
        let signal = WithdrawalSeen(withdrawal, source)
        match Deposit.apply rules now signal deposit with
        | Unchanged -> AlreadyKnown
        | Refused Contradicts -> MustBeAsked
        | Refused TakesAnotherAmount -> Quarantined AmountDiffers
        | Refused(PartlyTaken | NothingHeld | OnItsWay) -> AlreadyKnown
        | Advanced next ->
            let following = followed subscriptionRules now deposit next subscription
            Settled(Effect.ofDeposit deposit signal next |> Effect.andThen (Effect.ofSteps following))

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
