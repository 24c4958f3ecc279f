using Veza.Adapters.Storage;
using Veza.Domain;
using Veza.Domain.Orders;

namespace Veza.Host.Settling;

/// <summary>What became of a request to cancel an order.</summary>
abstract record CancelAnswer
{
    public sealed record Cancelled : CancelAnswer;

    public sealed record NotCancellable(string OrderStatus) : CancelAnswer;

    public sealed record NoSuchOrder : CancelAnswer;
}

/// <summary>Takes orders in, and takes them back as long as nobody is paying.</summary>
sealed class OrderDesk(IStore store, Conflicts conflicts, TimeProvider clock)
{
    /// <summary>A repeat of a request that crashed after its commit finds its order here and adds nothing.</summary>
    public Task Create(Order order, string metadata, string actor, CancellationToken cancellation) =>
        conflicts.DecideAgain(async () =>
        {
            await using var session = await store.Begin(cancellation);
            if ((await session.Orders([order.Id.Value], cancellation)).Count > 0)
            {
                return false;
            }

            var now = clock.GetUtcNow();
            await session.InsertOrder(order, metadata, now, cancellation);
            var changes = new Changes();
            changes.Created(order, new Cause(actor));
            await session.Write(changes, now, cancellation);
            await session.Commit(cancellation);
            return true;
        });

    public Task<CancelAnswer> Cancel(Guid id, string actor, CancellationToken cancellation) =>
        conflicts.DecideAgain(async () =>
        {
            await using var session = await store.Begin(cancellation);
            if (!(await session.Orders([id], cancellation)).TryGetValue(id, out var order))
            {
                return new CancelAnswer.NoSuchOrder();
            }

            return await order
                .Value.Apply(OrderSignal.CancelRequested)
                .Match<Task<CancelAnswer>>(
                    advanced: async next =>
                    {
                        var changes = new Changes();
                        changes.Save(order, next, OrderSignal.CancelRequested.Word(), new Cause(actor));
                        await session.Write(changes, clock.GetUtcNow(), cancellation);
                        await session.Commit(cancellation);
                        return new CancelAnswer.Cancelled();
                    },
                    unchanged: () => Task.FromResult<CancelAnswer>(new CancelAnswer.Cancelled()),
                    refused: _ =>
                        Task.FromResult<CancelAnswer>(
                            new CancelAnswer.NotCancellable(order.Value.Status.Word())
                        )
                );
        });
}
