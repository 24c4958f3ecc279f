using Veza.Adapters.Storage;
using Veza.Domain;
using Veza.Domain.Licenses;
using Veza.Domain.Orders;
using Veza.Domain.Refunds;
using Veza.Domain.Transfers;

namespace Veza.Host.Settling;

/// <summary>
/// Everything a batch of observations concerns, as it stands while the batch is being decided: a second
/// observation of an order sees what the first one did to it.
/// </summary>
sealed class World
{
    readonly Dictionary<string, Guid> orderByPayment = [];
    readonly Dictionary<string, Versioned<Refund>> refundByName = [];
    Dictionary<Guid, Versioned<Order>> orders = [];
    Dictionary<Guid, Versioned<Transfer>> transfers = [];
    readonly Dictionary<Guid, Versioned<License>> licenses = [];
    readonly Dictionary<Guid, List<Guid>> licensesByOrder = [];

    public static async Task<World> Load(
        ITransaction session,
        IReadOnlyList<Observation> observations,
        CancellationToken cancellation
    )
    {
        var world = new World();
        await world.LoadRefunds(session, observations, cancellation);
        await world.FindOrders(session, observations, cancellation);
        var refunded = world.refundByName.Values.Select(refund => refund.Value.Order.Value).ToHashSet();
        world.orders = await session.Orders(
            [.. world.orderByPayment.Values.Concat(refunded).Distinct()],
            cancellation
        );
        if (refunded.Count > 0)
        {
            foreach (var license in await session.LicensesOf(refunded, cancellation))
            {
                world.Add(license);
            }

            world.transfers = await session.TransfersOf(
                [.. refunded.Select(id => world.orders[id].Value)],
                cancellation
            );
        }

        return world;
    }

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

        foreach (var license in effect.Granted)
        {
            changes.Save(null, license, "granted", cause);
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
            foreach (var refund in await session.RefundsNamed(names, cancellation))
            {
                refundByName.Add(ProviderRefundId.For(refund.Value.Id).Value, refund);
            }
        }
    }

    async Task FindOrders(
        ITransaction session,
        IReadOnlyList<Observation> observations,
        CancellationToken cancellation
    )
    {
        var names = observations
            .OfType<Observation.OfPayment>()
            .Select(observation => observation.Payment.PaymentId)
            .Distinct()
            .ToArray();
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
