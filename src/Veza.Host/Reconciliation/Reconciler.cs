using System.Text.Json;
using Npgsql;
using Veza.Domain;

namespace Veza.Host.Reconciliation;

/// <summary>
/// Lays our books beside both providers', line by line and from both sides: what they list of a window, and what of ours
/// has changed in it. Each order's own books are checked on the way.
/// </summary>
sealed class Reconciler(
    ReconciliationQueries ours,
    StripeComparison transfers,
    HyperswitchComparison buyers,
    DisputeComparison disputes,
    DepositComparison deposits
)
{
    const int Most = 200;

    /// <exception cref="CouldNotCompareException">A provider or the database does not tell.</exception>
    public async Task<Report> Run(Scope scope, Action<string> progress, CancellationToken cancellation)
    {
        try
        {
            return await Compare(scope, progress, cancellation);
        }
        catch (Exception error)
            when (error is NpgsqlException or JsonException or InvalidDataException
                || StripeTransfers.IsPassing(error, cancellation)
            )
        {
            throw new CouldNotCompareException(error.Message);
        }
    }

    async Task<Report> Compare(Scope scope, Action<string> progress, CancellationToken cancellation)
    {
        var compared = new Compared();
        var findings = new List<Finding>();
        var sent = await transfers.FromTheirs(scope, compared, findings, progress, cancellation);
        var outside = new HashSet<string>();
        var paid = await buyers.Payments(scope, compared, outside, findings, progress, cancellation);
        var refunded = await buyers.Refunds(scope, compared, findings, progress, cancellation);
        var disputed = await disputes.FromTheirs(scope, compared, findings, cancellation);
        await transfers.Payouts(scope, compared, findings, cancellation);
        await deposits.FromOurs(scope, compared, outside, findings, cancellation);

        Guid? after = null;
        IReadOnlyList<Guid> orders;
        do
        {
            orders = await ours.Touched(scope.Since, after, Most, cancellation);
            var lines = (await ours.Orders(orders, [], cancellation)).Values;
            await buyers.FromOurOrders(
                scope,
                compared,
                lines.Where(line => !paid.Contains(line.Is.Id.Value)),
                findings,
                cancellation
            );
            await buyers.FromOurRefunds(
                scope,
                compared,
                (await ours.Refunds([], orders, cancellation)).Where(line =>
                    !refunded.Contains(line.Is.Id.Value)
                ),
                findings,
                cancellation
            );
            await transfers.FromOurs(
                scope,
                compared,
                (await ours.Transfers([], orders, [], cancellation)).Where(line =>
                    !sent.Contains(line.Is.Id.Value)
                ),
                findings,
                cancellation
            );
            await disputes.FromOurs(
                scope,
                compared,
                (await ours.Disputes([], orders, cancellation)).Where(line =>
                    !disputed.Contains(line.Is.Id.Value)
                ),
                findings,
                cancellation
            );
            findings.AddRange((await ours.Broken(orders, cancellation)).Select(Found));
            compared.Orders += orders.Count;
            progress($"{compared.Orders} orders of ours");
            after = orders.Count > 0 ? orders[^1] : null;
        } while (orders.Count == Most);

        return new Report(scope, compared, findings);
    }

    static Finding Found(BrokenOrder broken) =>
        Finding.Alone(
            broken.Rule,
            "order",
            broken.OrderId,
            broken.OrderId,
            "veza",
            null,
            Money.Display(broken.Found, broken.Currency),
            Money.Display(broken.Expected, broken.Currency)
        );
}
