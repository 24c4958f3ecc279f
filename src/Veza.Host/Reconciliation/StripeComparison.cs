using Veza.Domain;
using Veza.Domain.Reconciliation;
using Veza.Domain.Transfers;

namespace Veza.Host.Reconciliation;

/// <summary>Sellers' transfers and payouts, line by line against Stripe's books.</summary>
sealed class StripeComparison(
    ReconciliationQueries ours,
    StripeReader stripe,
    TransferService transfers,
    PayoutService payouts
)
{
    const string Provider = "stripe";

    /// <summary>Every transfer at Stripe of the window. Answers which of ours were among them.</summary>
    public async Task<HashSet<Guid>> FromTheirs(
        Scope scope,
        Compared compared,
        List<Finding> findings,
        Action<string> progress,
        CancellationToken cancellation
    )
    {
        var seen = new HashSet<Guid>();
        string? after = null;
        do
        {
            var page = await stripe.Transfers(scope.Since, scope.CutOff, after, cancellation);
            var theirs = page.Items.Select(StripeMapping.Transfer).ToList();
            var known = await ours.Transfers(
                theirs.Select(line => line.TransferId).OfType<Guid>(),
                [],
                theirs.Select(line => line.Fact.StripeId.Value),
                cancellation
            );
            var orders = await ours.Orders(
                theirs.Where(line => line.TransferId is null).Select(line => line.OrderNamed).OfType<Guid>(),
                [],
                cancellation
            );
            foreach (var line in theirs)
            {
                var match = known.FirstOrDefault(one => IsTheSame(one.Is, line));
                if (match is not null)
                {
                    seen.Add(match.Is.Id.Value);
                    findings.AddRange(await LayBeside(scope, match, line, cancellation));
                }
                else if (line.TransferId is { } lost)
                {
                    findings.Add(OfStripe("missing_here", "transfer", lost, line));
                }
                else if (line.OrderNamed is { } order && orders.ContainsKey(order))
                {
                    findings.Add(OfStripe("foreign", "order", order, line));
                }
                else
                {
                    compared.NotOurs++;
                }
            }

            compared.StripeTransfers += theirs.Count;
            progress($"{compared.StripeTransfers} transfers at Stripe");
            after = page.Last;
        } while (after is not null);

        return seen;
    }

    /// <summary>Those of ours that Stripe's list did not show: older than the window, or not there.</summary>
    public async Task FromOurs(
        Scope scope,
        Compared compared,
        IEnumerable<Line<Transfer>> lines,
        List<Finding> findings,
        CancellationToken cancellation
    )
    {
        foreach (var line in lines)
        {
            if (line.Is.ToRow().StripeTransferId is not { Length: > 0 } id)
            {
                findings.AddRange(
                    Compare
                        .transferMissing(scope.CutOff, line)
                        .Select(difference => Found(difference, line.Is, null, false))
                );
                continue;
            }

            compared.AskedAbout++;
            if (await stripe.Transfer(id, cancellation) is { } found)
            {
                findings.AddRange(await LayBeside(scope, line, StripeMapping.Transfer(found), cancellation));
            }
            else
            {
                findings.AddRange(
                    Compare
                        .transferMissing(scope.CutOff, line)
                        .Select(difference => Found(difference, line.Is, id, false))
                );
            }
        }
    }

    public async Task Payouts(
        Scope scope,
        Compared compared,
        List<Finding> findings,
        CancellationToken cancellation
    )
    {
        foreach (var line in await ours.Payouts(scope.Since, cancellation))
        {
            var row = line.Is.ToRow();
            if (row.StripePayoutId is not { } id)
            {
                continue;
            }

            compared.Payouts++;
            var found = await stripe.Payout(row.StripeAccountId, id, cancellation);
            var seen = found is { } json ? StripeMapping.Payout(json, row.StripeAccountId) : null;
            var differences = seen is null
                ? Compare.payoutMissing(scope.CutOff, line)
                : Compare.payout(scope.CutOff, line, seen.Report);
            foreach (var difference in differences)
            {
                var healed = await scope.Mends(
                    seen is not null && difference.Remedy.IsTellTheFact,
                    async cause => await payouts.Observe(seen!, cause, cancellation)
                );
                findings.Add(Finding.Of(difference, "payout", row.Id, null, Provider, id, healed));
            }
        }
    }

    /// <summary>
    /// The page was read before our line, or after it: what differs is read again from both, theirs first, so that
    /// whatever changed in between is young in ours.
    /// </summary>
    async Task<IEnumerable<Finding>> LayBeside(
        Scope scope,
        Line<Transfer> line,
        SeenTransfer seen,
        CancellationToken cancellation
    )
    {
        var differences = Compare.transfer(scope.CutOff, line, LineOf(seen));
        if (differences.All(difference => difference.Reason.IsTiming))
        {
            return differences.Select(difference => Found(difference, line.Is, Name(seen), false));
        }

        if (await stripe.Transfer(Name(seen), cancellation) is { } fresh)
        {
            seen = StripeMapping.Transfer(fresh);
        }

        line = (await ours.Transfers([line.Is.Id.Value], [], [], cancellation))[0];
        var findings = new List<Finding>();
        foreach (var difference in Compare.transfer(scope.CutOff, line, LineOf(seen)))
        {
            var healed =
                await scope.Mends(
                    difference.Remedy.IsTellTheFact,
                    async cause => await transfers.Observe(seen, cause, cancellation)
                )
                || await scope.Mends(
                    difference.Remedy.IsLookIntoReversals,
                    cause => transfers.Notice(seen, cause, cancellation)
                );
            findings.Add(Found(difference, line.Is, Name(seen), healed));
        }

        return findings;
    }

    static bool IsTheSame(Transfer transfer, SeenTransfer seen) =>
        transfer.Id.Value == seen.TransferId || transfer.ToRow().StripeTransferId == Name(seen);

    static string Name(SeenTransfer seen) => seen.Fact.StripeId.Value;

    static StripeTransferLine LineOf(SeenTransfer seen) =>
        new(
            seen.Fact,
            seen.TransferId is { } id
                ? Microsoft.FSharp.Core.FSharpOption<TransferId>.Some(TransferId.Of(id))
                : Microsoft.FSharp.Core.FSharpOption<TransferId>.None,
            seen.AmountReversed
        );

    static Finding Found(Difference difference, Transfer transfer, string? stripeId, bool healed) =>
        Finding.Of(
            difference,
            "transfer",
            transfer.Id.Value,
            transfer.Order.Value,
            Provider,
            stripeId,
            healed
        );

    static Finding OfStripe(string reason, string entity, Guid id, SeenTransfer seen) =>
        Finding.Alone(
            reason,
            entity,
            id,
            seen.OrderNamed,
            Provider,
            Name(seen),
            "",
            $"{Money.Display(seen.Fact.Amount, seen.Fact.Currency)} to {seen.Fact.Destination}"
        );
}
