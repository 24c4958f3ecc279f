using Veza.Domain;
using Veza.Domain.Deposits;
using Veza.Domain.Reconciliation;

namespace Veza.Host.Reconciliation;

/// <summary>
/// Payments of subscriptions and those that belong to nothing, line by line against Hyperswitch's books. What is still in
/// suspense is told whatever Hyperswitch says of it.
/// </summary>
sealed class DepositComparison(
    DepositQueries ours,
    HyperswitchClient hyperswitch,
    ProviderReportService observations
)
{
    const string Provider = "hyperswitch";
    const int Most = 200;

    /// <summary>Null if this payment is neither a subscription's nor outside of an order's books.</summary>
    public async Task<IReadOnlyList<Finding>?> OfPayment(
        Scope scope,
        ProviderPayment payment,
        CancellationToken cancellation
    )
    {
        var theirs = new PaymentLine(payment.ToFact(), payment.HasSucceeded, payment.Status);
        if ((await ours.Of([payment.PaymentId], cancellation)).TryGetValue(payment.PaymentId, out var line))
        {
            return await Healed(
                scope,
                Compare.deposit(scope.CutOff, line, theirs),
                new ProviderReport.OfPayment(payment, new Cause(scope.Actor)),
                line.Is,
                cancellation
            );
        }

        if (
            !(await ours.Charges([payment.PaymentId], cancellation)).TryGetValue(
                payment.PaymentId,
                out var charge
            )
        )
        {
            return null;
        }

        var findings = new List<Finding>();
        foreach (var difference in Compare.charge(scope.CutOff, charge.Line, theirs))
        {
            var healed = await scope.Mends(
                difference.Remedy.IsTellTheFact,
                async cause =>
                    await observations.Settle(new ProviderReport.OfPayment(payment, cause), cancellation)
            );
            findings.Add(
                Finding.Of(
                    difference,
                    "subscription",
                    charge.Subscription,
                    null,
                    Provider,
                    payment.PaymentId,
                    healed
                )
            );
        }

        return findings;
    }

    /// <summary>Null if the payment that this refund is of stands in an order's books, or is not ours.</summary>
    public async Task<IReadOnlyList<Finding>?> OfRefund(
        Scope scope,
        ProviderRefund refund,
        CancellationToken cancellation
    ) =>
        (await ours.Of([refund.Report.Payment], cancellation)).TryGetValue(
            refund.Report.Payment,
            out var line
        )
            ? await Healed(
                scope,
                Compare.withdrawal(scope.CutOff, line, refund.RefundId, refund.Report),
                new ProviderReport.OfRefund(refund, new Cause(scope.Actor)),
                line.Is,
                cancellation
            )
            : null;

    /// <summary>What has changed here and was in neither list, and what belongs to nothing.</summary>
    public async Task FromOurs(
        Scope scope,
        Compared compared,
        IReadOnlySet<string> seen,
        List<Finding> findings,
        CancellationToken cancellation
    )
    {
        Guid? after = null;
        IReadOnlyList<Line<Deposit>> page;
        do
        {
            page = await ours.Touched(scope.Since, after, Most, cancellation);
            foreach (var line in page)
            {
                if (line.Is.Status.IsHeld && line.ChangedAt <= scope.CutOff)
                {
                    findings.Add(InSuspense(line.Is));
                }

                if (!seen.Contains(line.Is.Payment))
                {
                    compared.AskedAbout++;
                    findings.AddRange(await AskAbout(scope, line.Is, cancellation));
                }
            }

            after = page.Count > 0 ? page[^1].Is.Id.Value : null;
        } while (page.Count == Most);
    }

    async Task<IReadOnlyList<Finding>> AskAbout(Scope scope, Deposit deposit, CancellationToken cancellation)
    {
        var answered = await hyperswitch.GetPayment(deposit.PaymentName, cancellation);
        if (answered.Answer is Answer<ProviderPayment>.Accepted { Receipt: var payment })
        {
            return await OfPayment(scope, payment, cancellation) ?? [];
        }

        return answered.Answer.IsMissing
            ?
            [
                Finding.Alone(
                    "missing_there",
                    "deposit",
                    deposit.Id.Value,
                    OrderOf(deposit),
                    Provider,
                    deposit.Payment,
                    deposit.Status.Word(),
                    ""
                ),
            ]
            : throw new CouldNotCompareException($"Hyperswitch does not tell: {answered.Answer}");
    }

    async Task<IReadOnlyList<Finding>> Healed(
        Scope scope,
        IEnumerable<Difference> differences,
        ProviderReport told,
        Deposit deposit,
        CancellationToken cancellation
    )
    {
        var findings = new List<Finding>();
        foreach (var difference in differences)
        {
            var healed = await scope.Mends(
                difference.Remedy.IsTellTheFact,
                async _ => await observations.Settle(told, cancellation)
            );
            findings.Add(
                Finding.Of(
                    difference,
                    "deposit",
                    deposit.Id.Value,
                    OrderOf(deposit),
                    Provider,
                    deposit.Payment,
                    healed
                )
            );
        }

        return findings;
    }

    static Finding InSuspense(Deposit deposit) =>
        Finding.Alone(
            "in_suspense",
            "deposit",
            deposit.Id.Value,
            OrderOf(deposit),
            Provider,
            deposit.Payment,
            $"{deposit.Amount.Display()} in suspense",
            ""
        );

    static Guid? OrderOf(Deposit deposit) =>
        deposit.Origin is Origin.OfOrder { Order: var order } ? order.Value : null;
}
