using Veza.Domain;
using Veza.Domain.Orders;

namespace Veza.Host.Orders;

/// <summary>What became of a request to cancel an order.</summary>
abstract record CancelAnswer
{
    public sealed record Cancelled : CancelAnswer;

    public sealed record NotCancellable(string OrderStatus) : CancelAnswer;

    public sealed record NoSuchOrder : CancelAnswer;
}

/// <summary>Takes orders in, and takes them back as long as nobody is paying.</summary>
sealed class OrderService(Decider decider)
{
    /// <summary>A repeat of a request that crashed after its commit finds its order here and adds nothing.</summary>
    public Task Create(Order order, string metadata, string actor, CancellationToken cancellation) =>
        decider.Transact(
            async work =>
            {
                if (await work.Order(order.Id.Value) is not null)
                {
                    return false;
                }

                await work.Session.InsertOrder(order, metadata, work.Now, cancellation);
                work.Add(Decide.createOrder(order), new Cause(actor));
                return true;
            },
            cancellation
        );

    public Task<CancelAnswer> Cancel(Guid id, string actor, CancellationToken cancellation) =>
        decider.Transact<Order, OrderRefusal, CancelAnswer>(
            work => work.Order(id),
            (order, _) => order.Decide(OrderSignal.CancelRequested),
            _ => new Cause(actor),
            missing: () => new CancelAnswer.NoSuchOrder(),
            (order, outcome) =>
                outcome.Match<Decision<Order>, OrderRefusal, CancelAnswer>(
                    advanced: _ => new CancelAnswer.Cancelled(),
                    unchanged: () => new CancelAnswer.Cancelled(),
                    refused: _ => new CancelAnswer.NotCancellable(order.Status.Word())
                ),
            cancellation
        );
}
