using System.Text.Json;
using Veza.Domain;
using Veza.Domain.Disputes;

namespace Veza.Host.Disputes;

/// <summary>
/// Asks about open disputes: Stripe where its name for the dispute is known (<c>dp_…</c>), Hyperswitch otherwise.
/// </summary>
sealed class DisputeService(
    Settings settings,
    IStore store,
    HyperswitchClient hyperswitch,
    StripeReader stripe,
    ProviderReportService observations,
    LeaseKeeper leases,
    TimeProvider clock
)
{
    const int Most = 20;

    /// <summary>Both providers report the same step: what one has changed, the other has to be asked about anew.</summary>
    const int MostQuestions = 3;

    /// <summary>True if there may be more.</summary>
    public async Task<bool> AskAboutDue(CancellationToken cancellation)
    {
        var due = await store.ClaimDisputes(
            Most,
            settings.DisputeRules,
            clock.GetUtcNow(),
            settings.LeaseTerm,
            cancellation
        );
        await Task.WhenAll(due.Select(dispute => Ask(dispute, cancellation)));
        return due.Count == Most;
    }

    /// <summary>When it is asked about next is written down once it has been asked about.</summary>
    async Task Ask(Versioned<Dispute> dispute, CancellationToken cancellation)
    {
        using var held = leases.Hold(Leased.Dispute, dispute.Value.Id.Value, dispute.Version);
        await Ask(dispute.Value.Provider, dispute.Version, new Cause("sweep"), cancellation);
        if (dispute.Value.ToRow().DueAt is { } next)
        {
            await held.PutOff(next, cancellation);
        }
    }

    /// <summary>A webhook contradicts what is known: the provider's answer is followed. Null if there is none now.</summary>
    public async Task<EventResult?> AskAbout(string name, Cause cause, CancellationToken cancellation)
    {
        for (var attempt = 1; ; attempt++)
        {
            var version = await VersionOf(name, cancellation);
            var conclusion = await Ask(name, version, cause, cancellation);
            if (conclusion is not { State: EventState.Asking })
            {
                return conclusion;
            }

            if (attempt == MostQuestions)
            {
                return null;
            }
        }
    }

    async Task<EventResult?> Ask(string name, int version, Cause cause, CancellationToken cancellation)
    {
        var (found, isMissing) = await Find(name, cancellation);
        if (isMissing)
        {
            return new(EventState.Quarantined, "dispute_missing");
        }

        if (found is null)
        {
            return null;
        }

        return await observations.Settle(new ProviderReport.OfDispute(found, cause, version), cancellation);
    }

    async Task<int> VersionOf(string name, CancellationToken cancellation)
    {
        await using var session = await store.Begin(cancellation);
        var orders = await session.OrdersOfDisputes([name], cancellation);
        var disputes = await session.DisputesOf(orders.Values, cancellation);
        return disputes.SingleOrDefault(dispute => dispute.Value.Provider == name)?.Version ?? 0;
    }

    /// <summary>Which provider knows the dispute by this name.</summary>
    public static string ProviderOf(string name) =>
        name.StartsWith("dp_", StringComparison.Ordinal) || name.StartsWith("du_", StringComparison.Ordinal)
            ? "stripe"
            : "hyperswitch";

    /// <summary>What the provider says now. Nothing and not missing: it does not say.</summary>
    public async Task<(SeenDispute? Found, bool IsMissing)> Find(string name, CancellationToken cancellation)
    {
        if (ProviderOf(name) == "hyperswitch")
        {
            var answer = (await hyperswitch.GetDispute(name, cancellation)).Answer;
            return (
                answer is Answer<SeenDispute>.Accepted { Receipt: var told } ? told : null,
                answer.IsMissing
            );
        }

        try
        {
            return await stripe.Dispute(name, cancellation) is { } found
                ? (StripeMapping.Dispute(found), false)
                : (null, true);
        }
        catch (Exception error)
            when (error is JsonException || StripeTransfers.IsPassing(error, cancellation))
        {
            // Its time has been moved on: it is asked about again.
            return (null, false);
        }
    }
}
