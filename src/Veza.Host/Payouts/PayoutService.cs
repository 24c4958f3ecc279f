using Veza.Domain;
using Veza.Domain.Payouts;

namespace Veza.Host.Payouts;

/// <summary>What became of what an operator said of a payout.</summary>
abstract record PayoutTold
{
    public sealed record Done : PayoutTold;

    public sealed record NoSuchPayout : PayoutTold;

    public sealed record NotInDoubt(string PayoutStatus) : PayoutTold;

    /// <summary>What was said is not enough, or not what Stripe shows; nothing was done.</summary>
    public sealed record Unsettled(PayoutVerdict Verdict) : PayoutTold;
}

/// <summary>
/// Pays sellers' Stripe balances out. What is asked for is on disk before Stripe hears of it; what has no answer is asked
/// again under the same key, and looked up when the key is too old.
/// </summary>
sealed partial class PayoutService(
    Settings settings,
    IStore store,
    Decider decider,
    StripePayouts stripe,
    ProviderReportService observations,
    LeaseKeeper leases,
    WorkSignals wakes,
    TimeProvider clock,
    ILogger<PayoutService> log
)
{
    const int Most = 20;

    /// <param name="id">Chosen by the caller, so that a repeated request finds the payout it made before.</param>
    public async Task<Payout> Request(
        Guid id,
        SellerId seller,
        StripeAccountId account,
        Money amount,
        string actor,
        CancellationToken cancellation
    )
    {
        var asked = Decide.requestPayout(
            settings.PayoutRules,
            clock.GetUtcNow(),
            PayoutId.Of(id),
            seller,
            account,
            amount
        );
        var isNew = await decider.Transact(
            async work =>
            {
                if (await work.Payout(id) is not null)
                {
                    return false;
                }

                work.Add(asked, new Cause(actor));
                return true;
            },
            cancellation
        );
        if (isNew)
        {
            // From here on the caller's disconnect changes nothing: the payout is on its way.
            cancellation = CancellationToken.None;
            await Move(new Versioned<Payout>(asked.Next, 1), actor, cancellation);
        }

        return (await Stored(id, cancellation))!;
    }

    /// <summary>Moves payouts whose time has come one step each. True if there may be more.</summary>
    public async Task<bool> MoveDue(CancellationToken cancellation)
    {
        var due = await store.ClaimPayouts(Most, settings.PayoutRules, clock.GetUtcNow(), cancellation);
        await Task.WhenAll(due.Select(payout => Move(payout, "worker", cancellation)));
        return due.Count == Most;
    }

    /// <summary>What Stripe says of a payout, whoever asked.</summary>
    public Task<EventResult> Observe(SeenPayout seen, Cause cause, CancellationToken cancellation) =>
        observations.Settle(new ProviderReport.OfPayout(seen, cause), cancellation);

    /// <summary>Looked up once more, and asked for under a new key if Stripe has none.</summary>
    public Task<PayoutTold> Retry(Guid id, string actor, string? note, CancellationToken cancellation) =>
        Tell(id, PayoutSignal.RetryRequested, new Cause(actor, Detail: note), cancellation);

    /// <summary>A person knows what became of it. Stripe is asked first, and its word counts where it gives one.</summary>
    /// <exception cref="Stripe.StripeException">Stripe does not answer.</exception>
    public async Task<PayoutTold> Settle(
        Guid id,
        PayoutSaid said,
        string actor,
        CancellationToken cancellation
    )
    {
        if (await Stored(id, cancellation) is not { } payout)
        {
            return new PayoutTold.NoSuchPayout();
        }

        if (!payout.IsInDoubt())
        {
            return new PayoutTold.NotInDoubt(payout.Status.Shown());
        }

        var verdict = payout.Judge(said, await stripe.Look(payout, said.Named?.Value, cancellation));
        return verdict is PayoutVerdict.Tell tell
            ? await Tell(id, tell.Signal, new Cause(actor, Detail: said.Note), cancellation)
            : new PayoutTold.Unsettled(verdict);
    }

    async Task<PayoutTold> Tell(Guid id, PayoutSignal signal, Cause cause, CancellationToken cancellation)
    {
        var told = await decider.Transact<Payout, PayoutRefusal, PayoutTold>(
            work => work.Payout(id),
            (payout, now) => payout.Decide(settings.PayoutRules, now, signal),
            _ => cause,
            missing: () => new PayoutTold.NoSuchPayout(),
            (payout, outcome) =>
                outcome.Match<Decision<Payout>, PayoutRefusal, PayoutTold>(
                    advanced: _ => new PayoutTold.Done(),
                    unchanged: () => new PayoutTold.Done(),
                    refused: _ => new PayoutTold.NotInDoubt(payout.Status.Shown())
                ),
            cancellation
        );
        wakes.Payouts.Tap();
        return told;
    }

    async Task Move(Versioned<Payout> taken, string actor, CancellationToken cancellation)
    {
        var payout = taken.Value;
        if (payout.Duty() is not { Value: var duty })
        {
            return;
        }

        using var held = leases.Hold(Leased.Payout, payout.Id.Value, taken.Version);
        var heard = await stripe.Perform(payout, duty, cancellation);
        var outcome = await decider.Transact<Payout, PayoutRefusal, Outcome<Decision<Payout>, PayoutRefusal>>(
            work => work.Payout(payout.Id.Value),
            (stored, now) => stored.Decide(settings.PayoutRules, now, heard.Signal),
            _ => new Cause(actor, heard.RequestId),
            missing: () => Outcome<Decision<Payout>, PayoutRefusal>.Unchanged,
            (_, outcome) => outcome,
            // Stripe has answered: the answer is stored even if the host stops meanwhile.
            CancellationToken.None
        );
        outcome.Match(
            advanced: decision => Tell(decision.Next),
            unchanged: () => { },
            refused: why => LogRefused(payout.Id.Value, heard.Signal.Word(), why)
        );
    }

    /// <summary>What did not go through, and what becomes of it.</summary>
    void Tell(Payout next)
    {
        if (next.Trouble is { Value: var trouble } && next.ToRow() is { DueAt: { } due, Status: var status })
        {
            var level = trouble.Code is "401" or "403" ? LogLevel.Error : LogLevel.Warning;
            LogWaits(level, next.Id.Value, status, trouble.Code, trouble.Message, due);
        }
    }

    async Task<Payout?> Stored(Guid id, CancellationToken cancellation)
    {
        await using var session = await store.Begin(cancellation);
        return (await session.Payouts([id], cancellation)).GetValueOrDefault(id)?.Value;
    }

    [LoggerMessage("Payout {Id} is {Status}: {Code}, {Message} It will be retried at {Due:u}.")]
    partial void LogWaits(
        LogLevel level,
        Guid id,
        string status,
        string code,
        string message,
        DateTimeOffset due
    );

    [LoggerMessage(LogLevel.Error, "Payout {Id}: {Signal} is refused: {Why}. An operator must look into it.")]
    partial void LogRefused(Guid id, string signal, PayoutRefusal why);
}
