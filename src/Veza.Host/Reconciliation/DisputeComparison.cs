using System.Text.Json;
using Veza.Domain.Disputes;
using Veza.Domain.Reconciliation;

namespace Veza.Host.Reconciliation;

/// <summary>Banks' claims on orders, one by one against the provider that knows them: Stripe's list, then each of ours.</summary>
sealed class DisputeComparison(ReconciliationQueries ours, StripeReader stripe, DisputeService disputes)
{
    /// <summary>Every dispute at Stripe of the window. Answers which of ours were among them.</summary>
    public async Task<HashSet<Guid>> FromTheirs(
        Scope scope,
        Compared compared,
        List<Finding> findings,
        CancellationToken cancellation
    )
    {
        var seen = new HashSet<Guid>();
        string? after = null;
        do
        {
            var page = await stripe.Disputes(scope.Since, scope.CutOff, after, cancellation);
            var theirs = page
                .Items.Select(item => (Dispute: StripeMapping.Dispute(item), MadeAt: MadeAt(item)))
                .ToList();
            var known = (
                await ours.Disputes(theirs.Select(one => one.Dispute.Name), [], cancellation)
            ).ToDictionary(line => line.Is.Provider);
            var orders = await ours.OrdersOfPayments(
                [.. theirs.Select(one => SettlementContext.PaymentOf(one.Dispute)).Distinct()],
                cancellation
            );
            foreach (var (dispute, madeAt) in theirs)
            {
                if (known.TryGetValue(dispute.Name, out var line))
                {
                    seen.Add(line.Is.Id.Value);
                    compared.Disputes++;
                    findings.AddRange(await LayBeside(scope, line, dispute, cancellation));
                }
                else if (orders.TryGetValue(SettlementContext.PaymentOf(dispute), out var order))
                {
                    compared.Disputes++;
                    var differences = Compare.disputeUnknown(
                        scope.CutOff,
                        madeAt,
                        dispute.Report,
                        dispute.Currency
                    );
                    findings.AddRange(
                        await Found(scope, differences, "order", order, order, dispute.Name, cancellation)
                    );
                }
                else
                {
                    compared.NotOurs++;
                }
            }

            after = page.Last;
        } while (after is not null);

        return seen;
    }

    /// <summary>Disputes of ours that the list did not show: older than the window, or not Stripe's.</summary>
    public async Task FromOurs(
        Scope scope,
        Compared compared,
        IEnumerable<Line<Dispute>> lines,
        List<Finding> findings,
        CancellationToken cancellation
    )
    {
        foreach (var line in lines)
        {
            compared.AskedAbout++;
            compared.Disputes++;
            var (found, isMissing) = await disputes.Find(line.Is.Provider, cancellation);
            if (found is not null)
            {
                findings.AddRange(await LayBeside(scope, line, found, cancellation));
            }
            else if (isMissing)
            {
                findings.AddRange(
                    await Found(scope, Compare.disputeMissing(scope.CutOff, line), line.Is, cancellation)
                );
            }
            else
            {
                throw new CouldNotCompareException(
                    $"The provider does not tell about dispute {line.Is.Provider}."
                );
            }
        }
    }

    Task<List<Finding>> LayBeside(
        Scope scope,
        Line<Dispute> line,
        SeenDispute theirs,
        CancellationToken cancellation
    ) =>
        Found(
            scope,
            Compare.dispute(scope.CutOff, line, theirs.Report, theirs.Currency),
            line.Is,
            cancellation
        );

    Task<List<Finding>> Found(
        Scope scope,
        IEnumerable<Difference> differences,
        Dispute dispute,
        CancellationToken cancellation
    ) =>
        Found(
            scope,
            differences,
            "dispute",
            dispute.Id.Value,
            dispute.Order.Value,
            dispute.Provider,
            cancellation
        );

    /// <summary>Mended by asking the provider once more and following its answer, as after a webhook.</summary>
    async Task<List<Finding>> Found(
        Scope scope,
        IEnumerable<Difference> differences,
        string entity,
        Guid id,
        Guid order,
        string name,
        CancellationToken cancellation
    )
    {
        var findings = new List<Finding>();
        foreach (var difference in differences)
        {
            var healed = await scope.Mends(
                difference.Remedy.IsTellTheFact,
                cause => disputes.AskAbout(name, cause, cancellation)
            );
            findings.Add(
                Finding.Of(difference, entity, id, order, DisputeService.ProviderOf(name), name, healed)
            );
        }

        return findings;
    }

    static DateTimeOffset MadeAt(JsonElement dispute) =>
        DateTimeOffset.FromUnixTimeSeconds(dispute.GetProperty("created").GetInt64());
}
