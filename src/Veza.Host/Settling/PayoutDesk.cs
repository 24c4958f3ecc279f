using Veza.Adapters.Storage;
using Veza.Adapters.Stripe;
using Veza.Domain;
using Veza.Domain.Payouts;
using Veza.Host.Workers;

namespace Veza.Host.Settling;

/// <summary>
/// Pays sellers' Stripe balances out. What is asked for is on disk before Stripe hears of it; what has no answer is asked
/// again under the same key, and looked up when the key is too old.
/// </summary>
sealed partial class PayoutDesk(
    Settings settings,
    IStore store,
    Conflicts conflicts,
    StripePayouts stripe,
    ObservationDesk observations,
    LeaseKeeper leases,
    TimeProvider clock,
    ILogger<PayoutDesk> log
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
        var now = clock.GetUtcNow();
        var asked = PayoutModule
            .request(PayoutId.Of(id), seller, account, amount, now)
            .Claimed(settings.PayoutRules, now);
        var isNew = await conflicts.DecideAgain(async () =>
        {
            await using var session = await store.Begin(cancellation);
            if ((await session.Payouts([id], cancellation)).Count > 0)
            {
                return false;
            }

            var changes = new Changes();
            changes.Save(null, asked, "requested", new Cause(actor));
            await session.Write(changes, now, cancellation);
            await session.Commit(cancellation);
            return true;
        });
        if (isNew)
        {
            // From here on the caller's disconnect changes nothing: the payout is on its way.
            await Move(new Versioned<Payout>(asked, 1), actor, CancellationToken.None);
        }

        return (await Stored(id, CancellationToken.None))!;
    }

    /// <summary>Moves payouts whose time has come one step each. True if there may be more.</summary>
    public async Task<bool> MoveDue(CancellationToken cancellation)
    {
        var due = await store.ClaimPayouts(Most, settings.PayoutRules, clock.GetUtcNow(), cancellation);
        await Task.WhenAll(due.Select(payout => Move(payout, "worker", cancellation)));
        return due.Count == Most;
    }

    /// <summary>What Stripe says of a payout, whoever asked.</summary>
    public Task<Conclusion> Observe(SeenPayout seen, Cause cause, CancellationToken cancellation) =>
        observations.Settle(new Observation.OfPayout(seen, cause), cancellation);

    async Task Move(Versioned<Payout> taken, string actor, CancellationToken cancellation)
    {
        var payout = taken.Value;
        if (payout.Duty() is not { Value: var duty })
        {
            return;
        }

        using var held = leases.Hold(Leased.Payout, payout.Id.Value, taken.Version);
        var heard = await stripe.Perform(payout, duty, cancellation);
        await conflicts.DecideAgain(async () =>
        {
            await using var session = await store.Begin(CancellationToken.None);
            var stored = (await session.Payouts([payout.Id.Value], CancellationToken.None))[payout.Id.Value];
            var now = clock.GetUtcNow();
            return await stored
                .Value.Apply(settings.PayoutRules, now, heard.Signal)
                .Match(
                    advanced: async next =>
                    {
                        var changes = new Changes();
                        changes.Save(stored, next, heard.Signal.Word(), new Cause(actor, heard.RequestId));
                        await session.Write(changes, now, CancellationToken.None);
                        await session.Commit(CancellationToken.None);
                        Tell(next);
                        return true;
                    },
                    unchanged: () => Task.FromResult(false),
                    refused: why =>
                    {
                        LogRefused(payout.Id.Value, heard.Signal.Word(), why);
                        return Task.FromResult(false);
                    }
                );
        });
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

    [LoggerMessage("Payout {Id} is {Status}: {Code}, {Message} It is taken up again at {Due:u}.")]
    partial void LogWaits(
        LogLevel level,
        Guid id,
        string status,
        string code,
        string message,
        DateTimeOffset due
    );

    [LoggerMessage(LogLevel.Error, "Payout {Id}: {Signal} is refused: {Why}. A person must look.")]
    partial void LogRefused(Guid id, string signal, PayoutRefusal why);
}
