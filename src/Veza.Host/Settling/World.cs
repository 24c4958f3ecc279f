using Veza.Adapters;
using Veza.Adapters.Storage;
using Veza.Domain;
using Veza.Domain.Deposits;
using Veza.Domain.Disputes;
using Veza.Domain.Licenses;
using Veza.Domain.Orders;
using Veza.Domain.Payouts;
using Veza.Domain.Refunds;
using Veza.Domain.Subscriptions;
using Veza.Domain.Transfers;

namespace Veza.Host.Settling;

/// <summary>
/// Everything a batch of observations concerns, as it stands while the batch is being decided: a second
/// observation of an order sees what the first one did to it.
/// </summary>
sealed class World
{
    readonly Dictionary<string, Guid> orderByPayment = [];
    Dictionary<string, Guid> orderByDispute = [];
    readonly Dictionary<string, Versioned<Refund>> refundByName = [];
    Dictionary<Guid, Versioned<Order>> orders = [];
    Dictionary<Guid, Versioned<Transfer>> transfers = [];
    Dictionary<Guid, Versioned<Payout>> payouts = [];
    Dictionary<string, KnownCharge> charges = [];
    Dictionary<Guid, Versioned<Subscription>> subscriptions = [];
    readonly Dictionary<string, Versioned<Dispute>> disputes = [];
    Dictionary<string, Versioned<Deposit>> deposits = [];
    readonly Dictionary<Guid, Versioned<License>> licenses = [];
    readonly Dictionary<Guid, List<Guid>> licensesByOrder = [];

    public static async Task<World> Load(
        ITransaction session,
        IReadOnlyList<Observation> observations,
        CancellationToken cancellation
    )
    {
        // Refunds, orders, disputes, transfers, payouts, subscriptions, deposits: whoever locks in another order may have to
        // wait for itself. Disputes come after the orders, whose locks keep others from raising one meanwhile.
        var world = new World();
        await world.LoadRefunds(session, observations, cancellation);
        await world.FindOrders(session, observations, cancellation);
        var refunded = world.refundByName.Values.Select(refund => refund.Value.Order.Value).ToHashSet();
        var touched = refunded
            .Concat(world.orderByPayment.Values)
            .Concat(world.orderByDispute.Values)
            .ToHashSet();
        world.orders = await session.Orders(
            [.. touched.Concat(Named(observations)).Distinct()],
            cancellation
        );
        await world.LoadDisputes(session, touched, cancellation);
        var whole = refunded.Concat(world.Disputed(observations)).ToHashSet();
        if (whole.Count > 0)
        {
            foreach (var license in await session.LicensesOf(whole, cancellation))
            {
                world.Add(license);
            }
        }

        var sighted = observations
            .OfType<Observation.OfTransfer>()
            .Select(observation => observation.Transfer.TransferId)
            .OfType<Guid>()
            .ToHashSet();
        if (whole.Count + sighted.Count > 0)
        {
            world.transfers = await session.TransfersOf(
                [.. whole.Select(id => world.orders[id].Value)],
                sighted,
                cancellation
            );
        }

        var payouts = observations
            .OfType<Observation.OfPayout>()
            .Select(observation => observation.Payout.PayoutId)
            .OfType<Guid>()
            .ToHashSet();
        if (payouts.Count > 0)
        {
            world.payouts = await session.Payouts(payouts, cancellation);
        }

        await world.LoadSubscriptions(session, observations, cancellation);
        await world.LoadDeposits(session, observations, cancellation);
        return world;
    }

    public Versioned<Transfer>? Transfer(Guid id) => transfers.GetValueOrDefault(id);

    public Versioned<Payout>? Payout(Guid id) => payouts.GetValueOrDefault(id);

    /// <summary>The subscription's charge that a payment is, if it is one.</summary>
    public (Versioned<Subscription> Subscription, Payment Payment)? Charge(string paymentId) =>
        charges.TryGetValue(paymentId, out var charge)
            ? (subscriptions[charge.Subscription], charge.Payment)
            : null;

    /// <summary>
    /// The money that a payment has brought and that stands outside of an order's books, by Hyperswitch's name for the
    /// payment or by its connector's.
    /// </summary>
    public Versioned<Deposit>? DepositOf(string paymentId) => deposits.GetValueOrDefault(NameOf(paymentId));

    public Subscription? SubscriptionOf(Deposit deposit) =>
        deposit.Origin is Origin.OfPeriod { Subscription: var id }
            ? subscriptions.GetValueOrDefault(id.Value)?.Value
            : null;

    /// <summary>Hyperswitch's name for a payment.</summary>
    string NameOf(string payment) =>
        charges.TryGetValue(payment, out var charge) ? charge.PaymentId.Value
        : orderByPayment.TryGetValue(payment, out var order) ? PaymentId.For(OrderId.Of(order)).Value
        : payment;

    public Versioned<Dispute>? DisputeNamed(string name) => disputes.GetValueOrDefault(name);

    public bool Knows(Guid order) => orders.ContainsKey(order);

    public Microsoft.FSharp.Collections.FSharpList<Dispute> DisputesOf(OrderId order) =>
        [
            .. disputes
                .Values.Select(dispute => dispute.Value)
                .Where(dispute => dispute.Order.Value == order.Value),
        ];

    /// <summary>The refunds that an order's disputes have become.</summary>
    public Microsoft.FSharp.Collections.FSharpList<Refund> ImposedOn(OrderId order) =>
        [
            .. DisputesOf(order)
                .SelectMany(dispute => dispute.Refunds)
                .Select(taken => refundByName[ProviderRefundId.For(taken.Refund).Value].Value),
        ];

    /// <summary>An order with all that a refund or a dispute of it may touch.</summary>
    public Case Case(OrderId order) =>
        new(orders[order.Value].Value, LicensesOf(order), TransfersOf(orders[order.Value].Value));

    public Versioned<Order>? OrderOfPayment(string paymentId) =>
        orderByPayment.TryGetValue(paymentId, out var id) ? orders.GetValueOrDefault(id) : null;

    public Versioned<Refund>? RefundNamed(string providerId) => refundByName.GetValueOrDefault(providerId);

    public Versioned<Order> Order(OrderId id) => orders[id.Value];

    public Microsoft.FSharp.Collections.FSharpList<License> LicensesOf(OrderId order) =>
        [.. licensesByOrder.GetValueOrDefault(order.Value, []).Select(id => licenses[id].Value)];

    public Microsoft.FSharp.Collections.FSharpList<Transfer> TransfersOf(Order order) =>
        [
            .. transfers
                .Values.Select(transfer => transfer.Value)
                .Where(transfer => transfer.Order.Value == order.Id.Value),
        ];

    public void Take(Transfer transfer)
    {
        var before = transfers[transfer.Id.Value];
        transfers[transfer.Id.Value] = before with { Value = transfer };
    }

    public void Take(Payout payout)
    {
        var before = payouts[payout.Id.Value];
        payouts[payout.Id.Value] = before with { Value = payout };
    }

    public void Take(DisputeEffect effect, Changes changes, string signal, Cause cause)
    {
        var dispute = effect.Dispute;
        var known = disputes.GetValueOrDefault(dispute.Provider);
        changes.Save(known, dispute, signal, cause);
        disputes[dispute.Provider] = known is null
            ? new Versioned<Dispute>(dispute, 0)
            : known with
            {
                Value = dispute,
            };
        foreach (var step in effect.Steps)
        {
            if (step.Imposed is { Value: var imposed })
            {
                changes.Save(null, imposed, "imposed", cause);
                refundByName[ProviderRefundId.For(imposed.Id).Value] = new Versioned<Refund>(imposed, 0);
            }

            Take(step.Effect, changes, signal, cause);
            changes.Post(
                dispute.Order,
                dispute.Amount.Currency,
                "dispute",
                dispute.Id.Value,
                step.Effect.Postings,
                cause
            );
        }
    }

    /// <summary>What the domain decided becomes the world, and the changes to be written.</summary>
    public void Take(Effect effect, Changes changes, string signal, Cause cause)
    {
        if (effect.Order is { Value: var order })
        {
            var before = orders[order.Id.Value];
            changes.Save(before, order, signal, cause);
            orders[order.Id.Value] = before with { Value = order };
        }

        if (effect.Refund is { Value: var refund })
        {
            var name = ProviderRefundId.For(refund.Id).Value;
            var before = refundByName[name];
            changes.Save(before, refund, signal, cause);
            refundByName[name] = before with { Value = refund };
        }

        if (effect.Subscription is { Value: var subscription })
        {
            var before = subscriptions[subscription.Id.Value];
            changes.Save(before, subscription, signal, cause);
            subscriptions[subscription.Id.Value] = before with { Value = subscription };
        }

        if (effect.Deposit is { Value: var deposit })
        {
            var before = deposits.GetValueOrDefault(deposit.Payment);
            changes.Save(before, deposit, signal, cause);
            deposits[deposit.Payment] = before is null
                ? new Versioned<Deposit>(deposit, 0)
                : before with
                {
                    Value = deposit,
                };
        }

        foreach (var license in effect.Granted)
        {
            changes.Save(null, license, "granted", cause);
            Add(new Versioned<License>(license, 0));
        }

        foreach (var license in effect.Revoked)
        {
            var before = licenses[license.Id.Value];
            changes.Save(before, license, "revoked", cause);
            licenses[license.Id.Value] = before with { Value = license };
        }

        foreach (var license in effect.Restored)
        {
            var before = licenses[license.Id.Value];
            changes.Save(before, license, "restored", cause);
            licenses[license.Id.Value] = before with { Value = license };
        }

        foreach (var transfer in effect.Scheduled)
        {
            changes.Save(null, transfer, "scheduled", cause);
            // A later observation of the same batch finds it here; its version counts once it is stored.
            transfers[transfer.Id.Value] = new Versioned<Transfer>(transfer, 0);
        }

        foreach (var (_, transfer) in effect.Claimed)
        {
            var before = transfers[transfer.Id.Value];
            changes.Save(before, transfer, signal, cause);
            transfers[transfer.Id.Value] = before with { Value = transfer };
        }
    }

    void Add(Versioned<License> license)
    {
        licenses.Add(license.Value.Id.Value, license);
        if (!licensesByOrder.TryGetValue(license.Value.Order.Value, out var ids))
        {
            licensesByOrder.Add(license.Value.Order.Value, ids = []);
        }

        ids.Add(license.Value.Id.Value);
    }

    /// <summary>Payments of no order may be those of subscriptions; hardly any batch has to ask.</summary>
    async Task LoadSubscriptions(
        ITransaction session,
        IReadOnlyList<Observation> observations,
        CancellationToken cancellation
    )
    {
        var names = PaymentNames(observations)
            .Concat(ClaimedNames(observations))
            .Where(name => !orderByPayment.ContainsKey(name))
            .ToHashSet();
        if (names.Count > 0)
        {
            charges = await session.ChargesNamed(names, cancellation);
        }

        if (charges.Count > 0)
        {
            var ids = charges.Values.Select(charge => charge.Subscription).ToHashSet();
            subscriptions = await session.Subscriptions(ids, cancellation);
        }
    }

    async Task LoadDeposits(
        ITransaction session,
        IReadOnlyList<Observation> observations,
        CancellationToken cancellation
    )
    {
        var names = PaymentNames(observations).Concat(ClaimedNames(observations)).Select(NameOf).ToHashSet();
        if (names.Count > 0)
        {
            deposits = await session.DepositsOf(names, cancellation);
        }
    }

    async Task LoadRefunds(
        ITransaction session,
        IReadOnlyList<Observation> observations,
        CancellationToken cancellation
    )
    {
        var names = observations
            .OfType<Observation.OfRefund>()
            .Select(observation => observation.Refund.RefundId)
            .ToHashSet();
        if (names.Count > 0)
        {
            Add(await session.RefundsNamed(names, cancellation));
        }
    }

    void Add(IEnumerable<Versioned<Refund>> refunds)
    {
        foreach (var refund in refunds)
        {
            refundByName[ProviderRefundId.For(refund.Value.Id).Value] = refund;
        }
    }

    /// <summary>The disputes of these orders, and the refunds that they have become: nobody else locks those.</summary>
    async Task LoadDisputes(ITransaction session, HashSet<Guid> of, CancellationToken cancellation)
    {
        if (of.Count == 0)
        {
            return;
        }

        foreach (var dispute in await session.DisputesOf(of, cancellation))
        {
            disputes.Add(dispute.Value.Provider, dispute);
        }

        var imposed = disputes
            .Values.SelectMany(dispute => dispute.Value.Refunds)
            .Select(taken => taken.Refund.Value)
            .ToList();
        if (imposed.Count > 0)
        {
            Add(await session.Refunds(imposed, cancellation));
        }
    }

    /// <summary>The orders of the disputes that were reported, and those of which a dispute wants more than it has got.</summary>
    IEnumerable<Guid> Disputed(IReadOnlyList<Observation> observations) =>
        observations
            .OfType<Observation.OfDispute>()
            .Select(observation => PaymentOf(observation.Dispute))
            .Where(orderByPayment.ContainsKey)
            .Select(payment => orderByPayment[payment])
            .Concat(orderByDispute.Values)
            .Concat(
                disputes
                    .Values.Where(dispute => dispute.Value.Unmet > 0)
                    .Select(dispute => dispute.Value.Order.Value)
            );

    static IEnumerable<string> PaymentNames(IReadOnlyList<Observation> observations) =>
        observations.OfType<Observation.OfPayment>().Select(observation => observation.Payment.PaymentId);

    /// <summary>The payments of disputes, and of refunds that are not ours.</summary>
    IEnumerable<string> ClaimedNames(IReadOnlyList<Observation> observations) =>
        observations
            .OfType<Observation.OfDispute>()
            .Select(observation => PaymentOf(observation.Dispute))
            .Where(payment => payment.Length > 0)
            .Concat(
                observations
                    .OfType<Observation.OfRefund>()
                    .Where(observation => !refundByName.ContainsKey(observation.Refund.RefundId))
                    .Select(observation => observation.Refund.Report.Payment)
            );

    public static string PaymentOf(SeenDispute dispute) => dispute.Payment ?? dispute.ConnectorPayment ?? "";

    /// <summary>The orders that transfers name which are not ours.</summary>
    static IEnumerable<Guid> Named(IReadOnlyList<Observation> observations) =>
        observations
            .OfType<Observation.OfTransfer>()
            .Where(observation => observation.Transfer.TransferId is null)
            .Select(observation => observation.Transfer.OrderNamed)
            .OfType<Guid>();

    async Task FindOrders(
        ITransaction session,
        IReadOnlyList<Observation> observations,
        CancellationToken cancellation
    )
    {
        var names = PaymentNames(observations).Concat(ClaimedNames(observations)).Distinct().ToArray();
        var disputed = observations
            .OfType<Observation.OfDispute>()
            .Select(observation => observation.Dispute.Name)
            .ToHashSet();
        if (disputed.Count > 0)
        {
            orderByDispute = await session.OrdersOfDisputes(disputed, cancellation);
        }

        if (names.Length == 0)
        {
            return;
        }

        foreach (var (payment, order) in await session.OrdersOfPayments(names, cancellation))
        {
            orderByPayment.Add(payment, order);
        }
    }
}
