using Veza.Domain;
using Veza.Domain.Subscriptions;

namespace Veza.Host.Subscriptions;

/// <summary>What became of a request for a subscription; in each case it is kept.</summary>
abstract record SubscribeAnswer
{
    /// <summary>Its first payment is there for the subscriber to confirm.</summary>
    public sealed record Open : SubscribeAnswer;

    /// <summary>Nobody knows whether Hyperswitch has the payment; it is asked.</summary>
    public sealed record InDoubt : SubscribeAnswer;

    /// <summary>Hyperswitch refused the payment; it is tried again later.</summary>
    public sealed record Refused(string Code, string Message) : SubscribeAnswer;
}

/// <summary>
/// Charges subscriptions, a period at a time. Each try is on disk under a name of its own before Hyperswitch hears of it,
/// and Hyperswitch never charges one name twice.
/// </summary>
sealed partial class SubscriptionService(
    Settings settings,
    IStore store,
    Decider decider,
    HyperswitchClient hyperswitch,
    ProviderReportService observations,
    TimeProvider clock,
    ILogger<SubscriptionService> log
)
{
    const int Most = 20;

    /// <param name="id">Chosen by the caller, so that a repeated request finds the subscription it made before.</param>
    public async Task<SubscribeAnswer> Subscribe(
        Guid id,
        string subscriber,
        Plan plan,
        string actor,
        CancellationToken cancellation
    )
    {
        var made = await decider.Transact(
            async work =>
            {
                if (await work.Subscription(id) is not null)
                {
                    return null;
                }

                var asked = Decide.subscribe(SubscriptionId.Of(id), subscriber, plan, work.Now);
                return Send(work, work.Add(asked, new Cause(actor)), actor, cancellation);
            },
            cancellation
        );
        // From here on the caller's disconnect changes nothing: the payment is on its way.
        return made is null ? new SubscribeAnswer.Open() : await Charge(made, actor, CancellationToken.None);
    }

    /// <summary>Null if there is no such subscription.</summary>
    public Task<Subscription?> Cancel(Guid id, string actor, CancellationToken cancellation) =>
        decider.Transact<Subscription, SubscriptionRefusal, Subscription?>(
            work => work.Subscription(id),
            (subscription, now) =>
                subscription.Decide(settings.SubscriptionRules, now, SubscriptionSignal.CancelRequested),
            _ => new Cause(actor),
            missing: () => null,
            (subscription, outcome) =>
                outcome.Match(
                    advanced: decision => decision.Next,
                    unchanged: () => subscription,
                    refused: _ => subscription
                ),
            cancellation
        );

    /// <summary>Charges what is due and asks about what has heard nothing. True if there may be more.</summary>
    public async Task<bool> MoveDue(CancellationToken cancellation)
    {
        var due = await store.DueSubscriptions(Most, clock.GetUtcNow(), cancellation);
        await Task.WhenAll(due.Select(id => Move(id, cancellation)));
        return due.Count == Most;
    }

    /// <summary>Its time is moved on before anybody is asked, so that no other host does the same.</summary>
    async Task Move(Guid id, CancellationToken cancellation)
    {
        var (subscription, payment) = await decider.Transact(
            async work =>
            {
                if (
                    await work.Subscription(id) is not { } stored
                    || stored.ToRow().DueAt is not { } due
                    || due > work.Now
                    || stored.Duty(work.Now) is not { Value: var duty }
                )
                {
                    return (null, null);
                }

                return duty.Match<(Subscription?, PaymentId?)>(
                    chargePeriod: _ => (Send(work, stored, "worker", cancellation), null),
                    askAbout: asked =>
                        (Tell(work, stored, SubscriptionSignal.ProviderSilent, "worker"), asked)
                );
            },
            cancellation
        );
        if (subscription is null)
        {
            return;
        }

        if (payment is null)
        {
            await Charge(subscription, "worker", cancellation);
        }
        else if (!await Ask(payment, cancellation) && await SendAgain(id, payment, cancellation) is { } again)
        {
            await Charge(again, "worker", cancellation);
        }
    }

    /// <summary>
    /// Proven not to have arrived: the same name cannot be charged twice. A period that is over meanwhile is skipped.
    /// </summary>
    Task<Subscription?> SendAgain(Guid id, PaymentId missing, CancellationToken cancellation) =>
        decider.Transact(
            async work =>
                await work.Subscription(id) is { } stored
                && stored.Duty(work.Now) is { Value: SubscriptionDuty.AskAbout { Payment: var asked } }
                && asked.Equals(missing)
                    ? Send(work, stored, "worker", cancellation)
                    : null,
            cancellation
        );

    /// <summary>The charge is written down, and with it that it is being sent.</summary>
    Subscription? Send(UnitOfWork work, Subscription stored, string actor, CancellationToken cancellation)
    {
        var next = Tell(work, stored, SubscriptionSignal.ChargeSent, actor);
        if (next is not null)
        {
            work.Afterwards(() => work.Session.IntendCharge(next, work.Now, cancellation));
        }

        return next;
    }

    /// <summary>Null where it changes nothing.</summary>
    Subscription? Tell(UnitOfWork work, Subscription stored, SubscriptionSignal signal, string actor) =>
        stored
            .Decide(settings.SubscriptionRules, work.Now, signal)
            .Match(
                advanced: Subscription? (decision) => work.Add(decision, new Cause(actor)),
                unchanged: () => null,
                refused: _ => null
            );

    /// <summary>False if Hyperswitch has proven that it does not know the payment.</summary>
    async Task<bool> Ask(PaymentId payment, CancellationToken cancellation)
    {
        var answered = await hyperswitch.GetPayment(payment, cancellation);
        if (answered.Answer is Answer<ProviderPayment>.Accepted { Receipt: var seen })
        {
            await Observe(seen, new Cause("sweep", answered.RequestId), cancellation);
        }

        return !answered.Answer.IsMissing;
    }

    async Task<SubscribeAnswer> Charge(
        Subscription subscription,
        string actor,
        CancellationToken cancellation
    )
    {
        var row = subscription.ToRow();
        var payment = PaymentId.ForPeriod(subscription.Id, row.Period, row.Retries);
        var answered = await hyperswitch.ChargePeriod(
            subscription,
            payment,
            await PaymentMethodOf(row.Id, cancellation),
            cancellation
        );
        if (answered.Answer.IsDuplicate)
        {
            answered = await hyperswitch.GetPayment(payment, cancellation);
        }

        // Hyperswitch has answered: the answer is stored even if the host stops meanwhile.
        cancellation = CancellationToken.None;
        var cause = new Cause(actor, answered.RequestId);
        switch (answered.Answer)
        {
            case Answer<ProviderPayment>.Accepted { Receipt: var seen }:
                await Observe(seen, cause, cancellation);
                return new SubscribeAnswer.Open();
            case Answer<ProviderPayment>.Denied { Refusal: var refusal }:
                var price = subscription.Plan.Price;
                await Observe(
                    new ProviderPayment(
                        payment.Value,
                        "failed",
                        price.Minor,
                        price.Currency.Code,
                        null,
                        null,
                        refusal.Code,
                        refusal.Message
                    ),
                    cause,
                    cancellation
                );
                return new SubscribeAnswer.Refused(refusal.Code, refusal.Message);
            default:
                LogInDoubt(row.Id, payment.Value);
                return new SubscribeAnswer.InDoubt();
        }
    }

    async Task<string?> PaymentMethodOf(Guid id, CancellationToken cancellation)
    {
        await using var session = await store.Begin(cancellation);
        return await session.PaymentMethodOf(id, cancellation);
    }

    async Task Observe(ProviderPayment payment, Cause cause, CancellationToken cancellation)
    {
        var conclusion = await observations.Settle(
            new ProviderReport.OfPayment(payment, cause),
            cancellation
        );
        if (conclusion.State == EventState.Quarantined)
        {
            LogQuarantined(payment.PaymentId, conclusion.Reason);
        }
    }

    [LoggerMessage(
        LogLevel.Warning,
        "Payment {Payment} of subscription {Id} has no definite answer. Hyperswitch will be polled."
    )]
    partial void LogInDoubt(Guid id, string payment);

    [LoggerMessage(
        LogLevel.Error,
        "Hyperswitch's answer about payment {Id} is quarantined: {Why}. An operator must look into it."
    )]
    partial void LogQuarantined(string id, string? why);
}
