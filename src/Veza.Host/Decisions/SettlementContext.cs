using Microsoft.FSharp.Collections;
using Veza.Domain;
using Veza.Domain.Deposits;
using Veza.Domain.Disputes;
using Veza.Domain.Licenses;
using Veza.Domain.Orders;
using Veza.Domain.Payouts;
using Veza.Domain.Refunds;
using Veza.Domain.Subscriptions;
using Veza.Domain.Transfers;

namespace Veza.Host.Decisions;

/// <summary>
/// Everything a batch of observations concerns, as it stands while the batch is being decided: a second
/// observation of an order sees what the first one did to it.
/// </summary>
sealed class SettlementContext
{
    readonly Dictionary<string, Guid> orderByPayment = [];
    Dictionary<string, Guid> orderByDispute = [];
    readonly Dictionary<string, Guid> refundByName = [];
    readonly Dictionary<string, Guid> depositByPayment = [];
    Dictionary<string, KnownCharge> charges = [];

    public Changes Changes { get; } = new();

    public static async Task<SettlementContext> Load(
        ITransaction session,
        IReadOnlyList<ProviderReport> observations,
        CancellationToken cancellation
    )
    {
        // Refunds, orders, disputes, transfers, payouts, subscriptions, deposits: whoever locks in another order may have to
        // wait for itself. Disputes come after the orders, whose locks keep others from raising one meanwhile.
        var world = new SettlementContext();
        await world.LoadRefunds(session, observations, cancellation);
        await world.FindOrders(session, observations, cancellation);
        var refunded = world.Changes.Refunds.All.Select(refund => refund.Order.Value).ToHashSet();
        var touched = refunded
            .Concat(world.orderByPayment.Values)
            .Concat(world.orderByDispute.Values)
            .ToHashSet();
        var orders = await session.Orders([.. touched.Concat(Named(observations)).Distinct()], cancellation);
        Read(world.Changes.Orders, orders);
        await world.LoadDisputes(session, touched, cancellation);
        var whole = refunded.Concat(world.Disputed(observations)).ToHashSet();
        if (whole.Count > 0)
        {
            foreach (var license in await session.LicensesOf(whole, cancellation))
            {
                world.Changes.Licenses.Read(license.Value.Id.Value, license);
            }
        }

        var sighted = observations
            .OfType<ProviderReport.OfTransfer>()
            .Select(observation => observation.Transfer.TransferId)
            .OfType<Guid>()
            .ToHashSet();
        if (whole.Count + sighted.Count > 0)
        {
            var touchedOrders = whole.Select(id => orders[id].Value).ToList();
            Read(world.Changes.Transfers, await session.TransfersOf(touchedOrders, sighted, cancellation));
        }

        var payouts = observations
            .OfType<ProviderReport.OfPayout>()
            .Select(observation => observation.Payout.PayoutId)
            .OfType<Guid>()
            .ToHashSet();
        if (payouts.Count > 0)
        {
            Read(world.Changes.Payouts, await session.Payouts(payouts, cancellation));
        }

        await world.LoadSubscriptions(session, observations, cancellation);
        await world.LoadDeposits(session, observations, cancellation);
        return world;
    }

    static void Read<T>(Tracked<T> tracked, Dictionary<Guid, Versioned<T>> found)
        where T : class
    {
        foreach (var (id, known) in found)
        {
            tracked.Read(id, known);
        }
    }

    public Transfer? Transfer(Guid id) => Changes.Transfers.Find(id);

    public Payout? Payout(Guid id) => Changes.Payouts.Find(id);

    /// <summary>The subscription's charge that a payment is, if it is one.</summary>
    public (Subscription Subscription, Payment Payment)? Charge(string paymentId) =>
        charges.TryGetValue(paymentId, out var charge)
            ? (Changes.Subscriptions.Find(charge.Subscription)!, charge.Payment)
            : null;

    /// <summary>
    /// The money that a payment has brought and that stands outside of an order's books, by Hyperswitch's name for the
    /// payment or by its connector's.
    /// </summary>
    public Deposit? DepositOf(string paymentId)
    {
        var name = NameOf(paymentId);
        return depositByPayment.TryGetValue(name, out var id)
            ? Changes.Deposits.Find(id)
            : Changes.Deposits.All.FirstOrDefault(begun => begun.Payment == name);
    }

    public Subscription? SubscriptionOf(Deposit deposit) =>
        deposit.Origin is Origin.OfPeriod { Subscription: var id }
            ? Changes.Subscriptions.Find(id.Value)
            : null;

    /// <summary>Hyperswitch's name for a payment.</summary>
    string NameOf(string payment) =>
        charges.TryGetValue(payment, out var charge) ? charge.PaymentId.Value
        : orderByPayment.TryGetValue(payment, out var order) ? PaymentId.For(OrderId.Of(order)).Value
        : payment;

    public Dispute? DisputeNamed(string name) =>
        Changes.Disputes.All.FirstOrDefault(dispute => dispute.Provider == name);

    /// <summary>The version of a dispute that is stored; 0 for one that is not.</summary>
    public int VersionOf(Dispute? dispute) =>
        dispute is null ? 0 : Changes.Disputes.VersionOf(dispute.Id.Value);

    public bool Knows(Guid order) => Changes.Orders.Find(order) is not null;

    public FSharpList<Dispute> DisputesOf(OrderId order) =>
        [.. Changes.Disputes.All.Where(dispute => dispute.Order.Value == order.Value)];

    /// <summary>The refunds that an order's disputes have become.</summary>
    public FSharpList<Refund> ImposedOn(OrderId order) =>
        [
            .. DisputesOf(order)
                .SelectMany(dispute => dispute.Refunds)
                .Select(taken => Changes.Refunds.Find(taken.Refund.Value)!),
        ];

    /// <summary>An order with all that a refund or a dispute of it may touch.</summary>
    public Case Case(OrderId order) => new(Order(order), LicensesOf(order), TransfersOf(order));

    public Order? OrderOfPayment(string paymentId) =>
        orderByPayment.TryGetValue(paymentId, out var id) ? Changes.Orders.Find(id) : null;

    public Refund? RefundNamed(string providerId) =>
        refundByName.TryGetValue(providerId, out var id) ? Changes.Refunds.Find(id) : null;

    public Order Order(OrderId id) => Changes.Orders.Find(id.Value)!;

    public FSharpList<License> LicensesOf(OrderId order) =>
        [.. Changes.Licenses.All.Where(license => license.Order.Value == order.Value)];

    public FSharpList<Transfer> TransfersOf(OrderId order) =>
        [.. Changes.Transfers.All.Where(transfer => transfer.Order.Value == order.Value)];

    /// <summary>Payments of no order may be those of subscriptions; hardly any batch has to ask.</summary>
    async Task LoadSubscriptions(
        ITransaction session,
        IReadOnlyList<ProviderReport> observations,
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
            Read(Changes.Subscriptions, await session.Subscriptions(ids, cancellation));
        }
    }

    async Task LoadDeposits(
        ITransaction session,
        IReadOnlyList<ProviderReport> observations,
        CancellationToken cancellation
    )
    {
        var names = PaymentNames(observations).Concat(ClaimedNames(observations)).Select(NameOf).ToHashSet();
        if (names.Count > 0)
        {
            foreach (var (payment, deposit) in await session.DepositsOf(names, cancellation))
            {
                depositByPayment.Add(payment, deposit.Value.Id.Value);
                Changes.Deposits.Read(deposit.Value.Id.Value, deposit);
            }
        }
    }

    async Task LoadRefunds(
        ITransaction session,
        IReadOnlyList<ProviderReport> observations,
        CancellationToken cancellation
    )
    {
        var names = observations
            .OfType<ProviderReport.OfRefund>()
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
            refundByName[ProviderRefundId.For(refund.Value.Id).Value] = refund.Value.Id.Value;
            Changes.Refunds.Read(refund.Value.Id.Value, refund);
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
            Changes.Disputes.Read(dispute.Value.Id.Value, dispute);
        }

        var imposed = Changes
            .Disputes.All.SelectMany(dispute => dispute.Refunds)
            .Select(taken => taken.Refund.Value)
            .ToList();
        if (imposed.Count > 0)
        {
            Add(await session.Refunds(imposed, cancellation));
        }
    }

    /// <summary>The orders of the disputes that were reported, and those of which a dispute wants more than it has got.</summary>
    IEnumerable<Guid> Disputed(IReadOnlyList<ProviderReport> observations) =>
        observations
            .OfType<ProviderReport.OfDispute>()
            .Select(observation => PaymentOf(observation.Dispute))
            .Where(orderByPayment.ContainsKey)
            .Select(payment => orderByPayment[payment])
            .Concat(orderByDispute.Values)
            .Concat(
                Changes
                    .Disputes.All.Where(dispute => dispute.Unmet > 0)
                    .Select(dispute => dispute.Order.Value)
            );

    static IEnumerable<string> PaymentNames(IReadOnlyList<ProviderReport> observations) =>
        observations.OfType<ProviderReport.OfPayment>().Select(observation => observation.Payment.PaymentId);

    /// <summary>The payments of disputes, and of refunds that are not ours.</summary>
    IEnumerable<string> ClaimedNames(IReadOnlyList<ProviderReport> observations) =>
        observations
            .OfType<ProviderReport.OfDispute>()
            .Select(observation => PaymentOf(observation.Dispute))
            .Where(payment => payment.Length > 0)
            .Concat(
                observations
                    .OfType<ProviderReport.OfRefund>()
                    .Where(observation => !refundByName.ContainsKey(observation.Refund.RefundId))
                    .Select(observation => observation.Refund.Report.Payment)
            );

    public static string PaymentOf(SeenDispute dispute) => dispute.Payment ?? dispute.ConnectorPayment ?? "";

    /// <summary>The orders that transfers name which are not ours.</summary>
    static IEnumerable<Guid> Named(IReadOnlyList<ProviderReport> observations) =>
        observations
            .OfType<ProviderReport.OfTransfer>()
            .Where(observation => observation.Transfer.TransferId is null)
            .Select(observation => observation.Transfer.OrderNamed)
            .OfType<Guid>();

    async Task FindOrders(
        ITransaction session,
        IReadOnlyList<ProviderReport> observations,
        CancellationToken cancellation
    )
    {
        var names = PaymentNames(observations).Concat(ClaimedNames(observations)).Distinct().ToArray();
        var disputed = observations
            .OfType<ProviderReport.OfDispute>()
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
