using Veza.Domain;
using Veza.Domain.Transfers;

namespace Veza.Host.Reconciliation;

/// <summary>What became of one transfer without a Stripe id.</summary>
/// <param name="Outcome"><c>found</c>, <c>written</c>, <c>not_found</c>, <c>several</c>, <c>taken</c> or <c>refused</c>.</param>
/// <param name="Matches">The transfers at Stripe that could be it; more than one is for a person to choose from.</param>
sealed record Backfilled(TransferWithoutStripeId Transfer, string Outcome, IReadOnlyList<string> Matches);

/// <summary>
/// Looks up the Stripe ids of transfers from before they were kept: by the order's transfer group, then by the account and
/// the time; by our metadata where there is any, else by amount, currency and account. What matches more than once is
/// reported and not chosen; an id that stands in another row already is not taken.
/// </summary>
sealed class TransferIdBackfill(
    TransfersWithoutStripeId nameless,
    ReconciliationQueries ours,
    StripeReader stripe,
    TransferService transfers
)
{
    const int Most = 100;

    /// <summary>Stripe made it within a day of our row; clocks and queues explain no more.</summary>
    static readonly TimeSpan Around = TimeSpan.FromDays(1);

    /// <summary>In the order of their ids, so that an interrupted run goes on after the last one it reported.</summary>
    public async IAsyncEnumerable<Backfilled> Run(
        DateTimeOffset? since,
        Guid? after,
        bool apply,
        string actor,
        [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellation
    )
    {
        IReadOnlyList<TransferWithoutStripeId> page;
        do
        {
            page = await nameless.Find(since, after, Most, cancellation);
            foreach (var transfer in page)
            {
                yield return await LookUp(transfer, apply, actor, cancellation);
                after = transfer.Id;
            }
        } while (page.Count == Most);
    }

    async Task<Backfilled> LookUp(
        TransferWithoutStripeId transfer,
        bool apply,
        string actor,
        CancellationToken cancellation
    )
    {
        var matches = await InGroup(transfer, cancellation);
        if (matches.Count == 0)
        {
            matches = await ByAccount(transfer, cancellation);
        }

        var names = matches.Select(match => match.Fact.StripeId.Value).ToList();
        switch (matches)
        {
            case []:
                return new(transfer, "not_found", names);
            case [var only]:
                if ((await ours.Transfers([], [], names, cancellation)).Count > 0)
                {
                    return new(transfer, "taken", names);
                }

                return apply
                    ? new(transfer, await Write(transfer, only, actor, cancellation), names)
                    : new(transfer, "found", names);
            default:
                return new(transfer, "several", names);
        }
    }

    /// <summary>Through the domain, like every other word of Stripe's: it completes the receipt and nothing else.</summary>
    async Task<string> Write(
        TransferWithoutStripeId transfer,
        SeenTransfer found,
        string actor,
        CancellationToken cancellation
    )
    {
        var told = await transfers.Tell(
            transfer.Id,
            TransferSignal.NewTransferSeen([found.Fact.StripeId]),
            actor,
            "backfilled",
            null,
            cancellation
        );
        return told is TransferTold.Done ? "written" : "refused";
    }

    async Task<List<SeenTransfer>> InGroup(TransferWithoutStripeId transfer, CancellationToken cancellation)
    {
        var found = new List<SeenTransfer>();
        string? after = null;
        do
        {
            var page = await stripe.TransfersOf(
                StripeTransfers.Group(OrderId.Of(transfer.OrderId)),
                after,
                cancellation
            );
            found.AddRange(page.Items.Select(StripeMapping.Transfer).Where(seen => IsIt(transfer, seen)));
            after = page.Last;
        } while (after is not null);

        return found;
    }

    async Task<List<SeenTransfer>> ByAccount(TransferWithoutStripeId transfer, CancellationToken cancellation)
    {
        var found = new List<SeenTransfer>();
        string? after = null;
        do
        {
            var page = await stripe.TransfersTo(
                transfer.StripeAccountId,
                transfer.CreatedAt - Around,
                transfer.CreatedAt + Around,
                after,
                cancellation
            );
            found.AddRange(page.Items.Select(StripeMapping.Transfer).Where(seen => IsIt(transfer, seen)));
            after = page.Last;
        } while (after is not null);

        // Our own metadata tells it from others of the same amount.
        var named = found
            .Where(seen => seen.TransferId == transfer.Id || seen.OrderNamed == transfer.OrderId)
            .ToList();
        return named.Count > 0 ? named : found;
    }

    static bool IsIt(TransferWithoutStripeId transfer, SeenTransfer seen) =>
        (seen.TransferId is null || seen.TransferId == transfer.Id)
        && (seen.OrderNamed is null || seen.OrderNamed == transfer.OrderId)
        && CurrencyModule.parse(transfer.Currency) is { IsOk: true, ResultValue: var currency }
        && TransferReport.carries(new(transfer.Amount, currency), transfer.StripeAccountId, seen.Fact);
}
