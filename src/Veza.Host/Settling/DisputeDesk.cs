using System.Text.Json;
using Veza.Adapters;
using Veza.Adapters.Hyperswitch;
using Veza.Adapters.Storage;
using Veza.Adapters.Stripe;
using Veza.Domain;

namespace Veza.Host.Settling;

/// <summary>
/// Asks about open disputes: Stripe where its name for the dispute is known (<c>dp_…</c>), Hyperswitch otherwise.
/// </summary>
sealed class DisputeDesk(
    Settings settings,
    IStore store,
    HyperswitchClient hyperswitch,
    StripeBooks stripe,
    ObservationDesk observations,
    TimeProvider clock
)
{
    const int Most = 20;

    /// <summary>True if there may be more.</summary>
    public async Task<bool> AskAboutDue(CancellationToken cancellation)
    {
        var due = await store.ClaimDisputes(Most, clock.GetUtcNow(), settings.AskInterval, cancellation);
        await Task.WhenAll(due.Select(dispute => Ask(dispute.Value.Provider, cancellation)));
        return due.Count == Most;
    }

    async Task Ask(string name, CancellationToken cancellation)
    {
        if (await Find(name, cancellation) is { } seen)
        {
            await observations.Settle(
                new Observation.OfDispute(seen, new Cause("sweep")),
                CancellationToken.None
            );
        }
    }

    async Task<SeenDispute?> Find(string name, CancellationToken cancellation)
    {
        if (
            !name.StartsWith("dp_", StringComparison.Ordinal)
            && !name.StartsWith("du_", StringComparison.Ordinal)
        )
        {
            return
                (await hyperswitch.GetDispute(name, cancellation)).Answer
                    is Answer<SeenDispute>.Accepted { Receipt: var told }
                ? told
                : null;
        }

        try
        {
            return await stripe.Dispute(name, cancellation) is { } found ? StripeJson.Dispute(found) : null;
        }
        catch (Exception error) when (error is JsonException || StripeConnect.IsPassing(error, cancellation))
        {
            // Its time has been moved on: it is asked about again.
            return null;
        }
    }
}
