using Veza.Adapters.Hyperswitch;
using Veza.Adapters.Storage;
using Veza.Domain;
using Veza.Domain.Subscriptions;

namespace Veza.Host.Settling;

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
sealed partial class SubscriptionDesk(
    Settings settings,
    IStore store,
    Conflicts conflicts,
    HyperswitchClient hyperswitch,
    ObservationDesk observations,
    TimeProvider clock,
    ILogger<SubscriptionDesk> log
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
        var made = await conflicts.DecideAgain(async () =>
        {
            await using var session = await store.Begin(cancellation);
            if ((await session.Subscriptions([id], cancellation)).Count > 0)
            {
                return null;
            }

            var now = clock.GetUtcNow();
            var asked = SubscriptionModule.subscribe(SubscriptionId.Of(id), subscriber, plan, now);
            var changes = new Changes();
            changes.Save(null, asked, "requested", new Cause(actor));
            return await Send(session, changes, new Versioned<Subscription>(asked, 0), actor, cancellation);
        });
        // From here on the caller's disconnect changes nothing: the payment is on its way.
        return made is null ? new SubscribeAnswer.Open() : await Charge(made, actor, CancellationToken.None);
    }

    /// <summary>Null if there is no such subscription.</summary>
    public Task<Subscription?> Cancel(Guid id, string actor, CancellationToken cancellation) =>
        conflicts.DecideAgain(async () =>
        {
            await using var session = await store.Begin(cancellation);
            if (!(await session.Subscriptions([id], cancellation)).TryGetValue(id, out var stored))
            {
                return null;
            }

            var now = clock.GetUtcNow();
            var signal = SubscriptionSignal.CancelRequested;
            return await stored
                .Value.Apply(settings.SubscriptionRules, now, signal)
                .Match<Task<Subscription?>>(
                    advanced: async next =>
                    {
                        var changes = new Changes();
                        changes.Save(stored, next, signal.Word(), new Cause(actor));
                        await session.Write(changes, now, cancellation);
                        await session.Commit(cancellation);
                        return next;
                    },
                    unchanged: () => Task.FromResult<Subscription?>(stored.Value),
                    refused: _ => Task.FromResult<Subscription?>(stored.Value)
                );
        });

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
        var (subscription, payment) = await conflicts.DecideAgain(async () =>
        {
            await using var session = await store.Begin(cancellation);
            var stored = (await session.Subscriptions([id], cancellation))[id];
            var now = clock.GetUtcNow();
            if (stored.Value.ToRow().DueAt is not { } due || due > now)
            {
                return (null, null);
            }

            var duty = stored.Value.Duty(now)?.Value;
            PaymentId? asked = null;
            var sent = duty is null
                ? null
                : await duty.Match(
                    chargePeriod: _ => Send(session, new Changes(), stored, "worker", cancellation),
                    askAbout: payment =>
                    {
                        asked = payment;
                        return Wait(session, stored, cancellation);
                    }
                );
            return (sent, asked);
        });
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
        conflicts.DecideAgain(async () =>
        {
            await using var session = await store.Begin(cancellation);
            var stored = (await session.Subscriptions([id], cancellation))[id];
            return
                stored.Value.Duty(clock.GetUtcNow())
                    is { Value: SubscriptionDuty.AskAbout { Payment: var asked } }
                && asked.Equals(missing)
                ? await Send(session, new Changes(), stored, "worker", cancellation)
                : null;
        });

    /// <summary>The charge is written down, and with it that it is being sent.</summary>
    async Task<Subscription?> Send(
        ITransaction session,
        Changes changes,
        Versioned<Subscription> stored,
        string actor,
        CancellationToken cancellation
    )
    {
        var next = await Save(session, changes, stored, SubscriptionSignal.ChargeSent, actor, cancellation);
        if (next is not null)
        {
            await session.IntendCharge(next, clock.GetUtcNow(), cancellation);
            await session.Commit(cancellation);
        }

        return next;
    }

    async Task<Subscription?> Wait(
        ITransaction session,
        Versioned<Subscription> stored,
        CancellationToken cancellation
    )
    {
        var signal = SubscriptionSignal.ProviderSilent;
        var next = await Save(session, new Changes(), stored, signal, "worker", cancellation);
        await session.Commit(cancellation);
        return next;
    }

    async Task<Subscription?> Save(
        ITransaction session,
        Changes changes,
        Versioned<Subscription> stored,
        SubscriptionSignal signal,
        string actor,
        CancellationToken cancellation
    )
    {
        var now = clock.GetUtcNow();
        var next = stored
            .Value.Apply(settings.SubscriptionRules, now, signal)
            .Match(advanced: Subscription? (next) => next, unchanged: () => null, refused: _ => null);
        if (next is not null)
        {
            changes.Save(stored, next, signal.Word(), new Cause(actor));
            await session.Write(changes, now, cancellation);
        }

        return next;
    }

    /// <summary>False if Hyperswitch has proven that it does not know the payment.</summary>
    async Task<bool> Ask(PaymentId payment, CancellationToken cancellation)
    {
        var answered = await hyperswitch.GetPayment(payment, cancellation);
        if (answered.Answer is Answer<ProviderPayment>.Accepted { Receipt: var seen })
        {
            await Observe(seen, new Cause("sweep", answered.RequestId));
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

        var cause = new Cause(actor, answered.RequestId);
        switch (answered.Answer)
        {
            case Answer<ProviderPayment>.Accepted { Receipt: var seen }:
                await Observe(seen, cause);
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
                    cause
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

    async Task Observe(ProviderPayment payment, Cause cause)
    {
        var conclusion = await observations.Settle(
            new Observation.OfPayment(payment, cause),
            CancellationToken.None
        );
        if (conclusion.State == EventState.Quarantined)
        {
            LogQuarantined(payment.PaymentId, conclusion.Reason);
        }
    }

    [LoggerMessage(LogLevel.Warning, "Payment {Payment} of subscription {Id} has no definite answer.")]
    partial void LogInDoubt(Guid id, string payment);

    [LoggerMessage(
        LogLevel.Error,
        "What Hyperswitch says of payment {Id} is not believed: {Why}. A person must look."
    )]
    partial void LogQuarantined(string id, string? why);
}
