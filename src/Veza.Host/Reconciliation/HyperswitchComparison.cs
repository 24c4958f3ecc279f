using Veza.Domain;
using Veza.Domain.Orders;
using Veza.Domain.Reconciliation;
using Veza.Domain.Refunds;

namespace Veza.Host.Reconciliation;

/// <summary>Buyers' payments and refunds, line by line against Hyperswitch's books.</summary>
sealed class HyperswitchComparison(
    ReconciliationQueries ours,
    HyperswitchClient hyperswitch,
    PaymentService payments,
    RefundService refunds,
    DepositComparison deposits
)
{
    const string Provider = "hyperswitch";

    /// <summary>Every payment at Hyperswitch of the window. Answers whose orders were among them.</summary>
    /// <param name="outside">Takes the names of those that stand outside of an order's books.</param>
    public async Task<HashSet<Guid>> Payments(
        Scope scope,
        Compared compared,
        HashSet<string> outside,
        List<Finding> findings,
        Action<string> progress,
        CancellationToken cancellation
    )
    {
        var seen = new HashSet<Guid>();
        string? after = null;
        do
        {
            var (page, last) = Sure(
                await hyperswitch.ListPayments(scope.Since, scope.CutOff, after, cancellation)
            );
            var orders = await ours.Orders(
                page.Select(payment => Guid.TryParse(payment.OrderId, out var id) ? id : Guid.Empty),
                page.Select(payment => payment.PaymentId),
                cancellation
            );
            var byPayment = orders.Values.ToDictionary(order => PaymentId.For(order.Is.Id).Value);
            foreach (var payment in page)
            {
                if (byPayment.TryGetValue(payment.PaymentId, out var order))
                {
                    seen.Add(order.Is.Id.Value);
                    findings.AddRange(await LayBeside(scope, order, payment, cancellation));
                }
                else if (Guid.TryParse(payment.OrderId, out var named) && orders.ContainsKey(named))
                {
                    // Another payment of an order of ours: somebody may have paid twice.
                    findings.Add(
                        OfOrder(
                            payment.HasSucceeded ? "duplicate" : "foreign",
                            named,
                            payment.PaymentId,
                            $"{Money.Display(payment.Amount, payment.Currency)} {payment.Status}"
                        )
                    );
                }
                else if (await deposits.OfPayment(scope, payment, cancellation) is { } found)
                {
                    outside.Add(payment.PaymentId);
                    findings.AddRange(found);
                }
                else
                {
                    compared.NotOurs++;
                }
            }

            compared.HyperswitchPayments += page.Count;
            progress($"{compared.HyperswitchPayments} payments at Hyperswitch");
            after = last;
        } while (after is not null);

        return seen;
    }

    /// <summary>Every refund at Hyperswitch of the window. Answers which of ours were among them.</summary>
    public async Task<HashSet<Guid>> Refunds(
        Scope scope,
        Compared compared,
        List<Finding> findings,
        Action<string> progress,
        CancellationToken cancellation
    )
    {
        var seen = new HashSet<Guid>();
        for (var offset = 0; ; )
        {
            var page = Sure(await hyperswitch.ListRefunds(scope.Since, scope.CutOff, offset, cancellation));
            var known = (
                await ours.Refunds(page.Select(refund => refund.RefundId), [], cancellation)
            ).ToDictionary(line => ProviderRefundId.For(line.Is.Id).Value);
            var orders = await ours.Orders([], page.Select(refund => refund.Report.Payment), cancellation);
            var byPayment = orders.Values.ToDictionary(order => PaymentId.For(order.Is.Id).Value);
            foreach (var refund in page)
            {
                if (known.TryGetValue(refund.RefundId, out var line))
                {
                    seen.Add(line.Is.Id.Value);
                    findings.AddRange(await LayBeside(scope, line, refund, cancellation));
                }
                else if (await deposits.OfRefund(scope, refund, cancellation) is { } found)
                {
                    findings.AddRange(found);
                }
                else if (byPayment.TryGetValue(refund.Report.Payment, out var order))
                {
                    // The buyer has money back that Veza knows nothing of.
                    findings.Add(
                        OfOrder(
                            "foreign",
                            order.Is.Id.Value,
                            refund.RefundId,
                            Money.Display(refund.Report.Amount, refund.Report.Currency)
                        )
                    );
                }
                else
                {
                    compared.NotOurs++;
                }
            }

            compared.HyperswitchRefunds += page.Count;
            progress($"{compared.HyperswitchRefunds} refunds at Hyperswitch");
            offset += page.Count;
            if (page.Count < HyperswitchClient.PageSize)
            {
                return seen;
            }
        }
    }

    /// <summary>Orders whose payment the list did not show: older than the window, or not there.</summary>
    public async Task FromOurOrders(
        Scope scope,
        Compared compared,
        IEnumerable<Line<Order>> lines,
        List<Finding> findings,
        CancellationToken cancellation
    )
    {
        foreach (var line in lines.Where(line => !line.Is.Status.IsCreated))
        {
            compared.AskedAbout++;
            var answered = await hyperswitch.GetPayment(PaymentId.For(line.Is.Id), cancellation);
            if (answered.Answer.IsMissing)
            {
                findings.AddRange(
                    Compare
                        .paymentMissing(scope.CutOff, line)
                        .Select(difference => Found(difference, line.Is, false))
                );
            }
            else
            {
                findings.AddRange(await LayBeside(scope, line, Sure(answered), cancellation));
            }
        }
    }

    /// <summary>Refunds that the list did not show: older than the window, or not there.</summary>
    public async Task FromOurRefunds(
        Scope scope,
        Compared compared,
        IEnumerable<Line<Refund>> lines,
        List<Finding> findings,
        CancellationToken cancellation
    )
    {
        foreach (var line in lines.Where(line => !line.Is.Scope.IsOfDispute))
        {
            compared.AskedAbout++;
            var name = ProviderRefundId.For(line.Is.Id);
            var answered = await hyperswitch.GetRefund(name, cancellation);
            if (answered.Answer.IsMissing)
            {
                findings.AddRange(
                    Compare
                        .refundMissing(scope.CutOff, line)
                        .Select(difference => Found(difference, line.Is, false))
                );
            }
            else
            {
                findings.AddRange(await LayBeside(scope, line, Sure(answered), cancellation));
            }
        }
    }

    /// <summary>What differs is read again from both, theirs first: whatever changed in between is young in ours.</summary>
    async Task<IEnumerable<Finding>> LayBeside(
        Scope scope,
        Line<Order> line,
        ProviderPayment payment,
        CancellationToken cancellation
    )
    {
        var differences = Compare.payment(scope.CutOff, line, LineOf(payment));
        if (differences.Any(difference => !difference.Reason.IsTiming))
        {
            payment = Sure(await hyperswitch.GetPayment(PaymentId.For(line.Is.Id), cancellation));
            line = (await ours.Orders([line.Is.Id.Value], [], cancellation))[line.Is.Id.Value];
            differences = Compare.payment(scope.CutOff, line, LineOf(payment));
        }

        // What the order has not taken stands beside its books, and is compared there.
        if (!differences.IsEmpty && await deposits.OfPayment(scope, payment, cancellation) is { } outside)
        {
            return outside;
        }

        var findings = new List<Finding>();
        foreach (var difference in differences)
        {
            var healed = await scope.Mends(
                difference.Remedy.IsTellTheFact,
                async cause => await payments.Observe(payment, cause, cancellation)
            );
            findings.Add(Found(difference, line.Is, healed));
        }

        return findings;
    }

    async Task<IEnumerable<Finding>> LayBeside(
        Scope scope,
        Line<Refund> line,
        ProviderRefund refund,
        CancellationToken cancellation
    )
    {
        var differences = Compare.refund(scope.CutOff, line, refund.Report);
        if (differences.Any(difference => !difference.Reason.IsTiming))
        {
            var name = ProviderRefundId.For(line.Is.Id);
            refund = Sure(await hyperswitch.GetRefund(name, cancellation));
            line = (await ours.Refunds([name.Value], [], cancellation))[0];
            differences = Compare.refund(scope.CutOff, line, refund.Report);
        }

        var findings = new List<Finding>();
        foreach (var difference in differences)
        {
            var healed = await scope.Mends(
                difference.Remedy.IsTellTheFact,
                async cause => await refunds.Observe(refund, cause)
            );
            findings.Add(Found(difference, line.Is, healed));
        }

        return findings;
    }

    static PaymentLine LineOf(ProviderPayment payment) =>
        new(payment.ToFact(), payment.HasSucceeded, payment.Status);

    static T Sure<T>(Answered<T> answered) =>
        answered.Answer is Answer<T>.Accepted { Receipt: var receipt }
            ? receipt
            : throw new CouldNotCompareException($"Hyperswitch does not tell: {answered.Answer}");

    static Finding Found(Difference difference, Refund refund, bool healed)
    {
        var name = ProviderRefundId.For(refund.Id).Value;
        return Finding.Of(difference, "refund", refund.Id.Value, refund.Order.Value, Provider, name, healed);
    }

    static Finding Found(Difference difference, Order order, bool healed)
    {
        var name = PaymentId.For(order.Id).Value;
        return Finding.Of(difference, "order", order.Id.Value, order.Id.Value, Provider, name, healed);
    }

    static Finding OfOrder(string reason, Guid order, string providerId, string theirs) =>
        Finding.Alone(reason, "order", order, order, Provider, providerId, "", theirs);
}
