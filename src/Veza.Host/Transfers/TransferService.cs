using Veza.Domain;
using Veza.Domain.Transfers;

namespace Veza.Host.Transfers;

/// <summary>What became of what an operator told a transfer.</summary>
abstract record TransferTold
{
    public sealed record Done : TransferTold;

    public sealed record Refused(string TransferStatus) : TransferTold;

    public sealed record NoSuchTransfer : TransferTold;

    /// <summary>It is not what the caller has looked at any more; nothing was done.</summary>
    public sealed record Overtaken : TransferTold;
}

/// <summary>
/// What transfers are told by others than their worker: an operator, from the API and from the console alike, and
/// Stripe, unasked.
/// </summary>
sealed class TransferService(
    Settings settings,
    IStore store,
    Decider decider,
    StripeTransfers stripe,
    ProviderReportService observations,
    WorkSignals wakes,
    TimeProvider clock
)
{
    const int Most = 200;
    const int Looks = 5;

    /// <summary>
    /// A transfer has been reversed at Stripe, by whomever: its reversals are looked into, and the domain decides whose
    /// they are. Null if it kept moving meanwhile; then it is looked at again later.
    /// </summary>
    public async Task<EventResult?> Notice(SeenTransfer seen, Cause cause, CancellationToken cancellation)
    {
        // Stripe's word that it exists comes first: its own answer may never have been heard.
        if (seen.TransferId is not null || seen.OrderNamed is not null)
        {
            var known = await Observe(seen, cause, cancellation);
            if (known.State is EventState.Quarantined or EventState.Ignored)
            {
                return known;
            }
        }

        var name = seen.Fact.StripeId.Value;
        for (var look = 0; look < Looks; look++)
        {
            if (await Stored(name, cancellation) is not { } transfer)
            {
                return new(EventState.Ignored, "not_ours");
            }

            if (!transfer.TrySighting(out var stripeId, out var key))
            {
                return new(EventState.Quarantined, Doubtful.TransferUnexplained.Word());
            }

            var sight = await stripe.FindReversal(stripeId, key, cancellation);
            if (await Settle(transfer.Id.Value, key, sight, cause, cancellation) is { } conclusion)
            {
                return conclusion;
            }
        }

        return null;
    }

    /// <summary>A balance has been filled: what waits for it is due at once.</summary>
    /// <param name="account">The seller's; null for the platform's own.</param>
    public async Task<EventResult> FundsArrived(string? account, Cause cause, CancellationToken cancellation)
    {
        var woken = 0;
        IReadOnlyList<Guid> waiting;
        do
        {
            waiting = await store.WaitingForFunds(account, Most, clock.GetUtcNow(), cancellation);
            woken += waiting.Count;
            await decider.Transact(work => Wake(work, waiting, cause), cancellation);
        } while (waiting.Count == Most);

        wakes.Workers();
        return woken > 0
            ? new EventResult(EventState.Processed)
            : new EventResult(EventState.Known, "nothing_waits_for_it");
    }

    /// <summary>A transfer as Stripe describes it, told to ours as if its request had just been answered.</summary>
    public Task<EventResult> Observe(SeenTransfer seen, Cause cause, CancellationToken cancellation) =>
        observations.Settle(new ProviderReport.OfTransfer(seen, cause), cancellation);

    async Task<Transfer?> Stored(string stripeId, CancellationToken cancellation)
    {
        await using var session = await store.Begin(cancellation);
        return (await session.TransfersNamed([stripeId], cancellation)).TryGetValue(stripeId, out var id)
            ? (await session.Transfers([id], cancellation)).GetValueOrDefault(id)?.Value
            : null;
    }

    /// <summary>Null if the transfer has gone on to another key since it was looked at.</summary>
    async Task<EventResult?> Settle(
        Guid id,
        IdempotencyKey? key,
        ReversalSight sight,
        Cause cause,
        CancellationToken cancellation
    )
    {
        var conclusion = await decider.Transact(
            async work =>
            {
                if (
                    await work.Transfer(id) is not { } stored
                    || !stored.TrySighting(out _, out var current)
                    || current?.Value != key?.Value
                )
                {
                    return null;
                }

                return stored
                    .Notice(settings.TransferRules, work.Now, key, sight)
                    .Match<Effect, EventResult?>(
                        settled: effect =>
                        {
                            work.Changes.Add(effect, cause);
                            return new EventResult(EventState.Processed);
                        },
                        alreadyKnown: () => new(EventState.Known),
                        mustBeAsked: () => null,
                        quarantined: why => new(EventState.Quarantined, why.Word())
                    );
            },
            cancellation
        );
        wakes.Workers();
        return conclusion;
    }

    async Task<bool> Wake(UnitOfWork work, IReadOnlyList<Guid> waiting, Cause cause)
    {
        foreach (var stored in (await work.Transfers(waiting)).ToList())
        {
            work.Add(stored.Decide(settings.TransferRules, work.Now, TransferSignal.FundsArrived), cause);
        }

        return true;
    }

    /// <summary>What has not left goes to the seller's present account; both accounts stand in its history.</summary>
    public async Task<TransferTold> Redirect(
        Guid id,
        Func<SellerId, Task<StripeAccountId>> presentAccount,
        string actor,
        string note,
        int? seen,
        CancellationToken cancellation
    )
    {
        SellerId seller;
        await using (var session = await store.Begin(cancellation))
        {
            if (!(await session.Transfers([id], cancellation)).TryGetValue(id, out var transfer))
            {
                return new TransferTold.NoSuchTransfer();
            }

            seller = transfer.Value.Seller;
        }

        var account = await presentAccount(seller);
        return await Tell(
            id,
            TransferSignal.NewRedirectRequested(account),
            actor,
            transfer => $"{transfer.Account.Value} to {account.Value}: {note}",
            seen,
            cancellation
        );
    }

    /// <param name="seen">The version that the caller has looked at; null if any will do.</param>
    public Task<TransferTold> Tell(
        Guid id,
        TransferSignal signal,
        string actor,
        string? note,
        int? seen,
        CancellationToken cancellation
    ) => Tell(id, signal, actor, _ => note, seen, cancellation);

    async Task<TransferTold> Tell(
        Guid id,
        TransferSignal signal,
        string actor,
        Func<Transfer, string?> detail,
        int? seen,
        CancellationToken cancellation
    )
    {
        var told = await decider.Transact<TransferTold>(
            async work =>
            {
                if (await work.Transfer(id) is not { } transfer)
                {
                    return new TransferTold.NoSuchTransfer();
                }

                if (seen is { } version && version != work.Changes.Transfers.VersionOf(id))
                {
                    return new TransferTold.Overtaken();
                }

                var outcome = transfer.Decide(settings.TransferRules, work.Now, signal);
                work.Add(outcome, new Cause(actor, Detail: detail(transfer)));
                return outcome.Match<Decision<Transfer>, TransferRefusal, TransferTold>(
                    advanced: _ => new TransferTold.Done(),
                    unchanged: () => new TransferTold.Done(),
                    refused: _ => new TransferTold.Refused(transfer.Status.Word())
                );
            },
            cancellation
        );
        wakes.Workers();
        return told;
    }
}
