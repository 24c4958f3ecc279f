using Veza.Domain;
using Veza.Domain.Deposits;
using Veza.Domain.Orders;
using Veza.Domain.Payouts;
using Veza.Domain.Refunds;
using Veza.Domain.Subscriptions;
using Veza.Domain.Transfers;

namespace Veza.Host.Decisions;

/// <summary>One decision in one transaction: what it reads, what the domain decides, and one commit.</summary>
sealed class UnitOfWork(ITransaction session, DateTimeOffset now, CancellationToken cancellation)
{
    readonly List<Func<Task>> afterwards = [];

    public ITransaction Session { get; } = session;

    /// <summary>When all of it happens.</summary>
    public DateTimeOffset Now { get; } = now;

    public Changes Changes { get; } = new();

    public async Task<Order?> Order(Guid id)
    {
        foreach (var (found, order) in await Session.Orders([id], cancellation))
        {
            Changes.Orders.Read(found, order);
        }

        return Changes.Orders.Find(id);
    }

    public async Task<Refund?> Refund(Guid id)
    {
        foreach (var refund in await Session.Refunds([id], cancellation))
        {
            Changes.Refunds.Read(id, refund);
        }

        return Changes.Refunds.Find(id);
    }

    public async Task<Transfer?> Transfer(Guid id)
    {
        await Transfers([id]);
        return Changes.Transfers.Find(id);
    }

    public async Task<IEnumerable<Transfer>> Transfers(IReadOnlyCollection<Guid> ids)
    {
        foreach (var (found, transfer) in await Session.Transfers(ids, cancellation))
        {
            Changes.Transfers.Read(found, transfer);
        }

        return Changes.Transfers.All;
    }

    public async Task<Payout?> Payout(Guid id)
    {
        foreach (var (found, payout) in await Session.Payouts([id], cancellation))
        {
            Changes.Payouts.Read(found, payout);
        }

        return Changes.Payouts.Find(id);
    }

    public async Task<Subscription?> Subscription(Guid id)
    {
        foreach (var (found, subscription) in await Session.Subscriptions([id], cancellation))
        {
            Changes.Subscriptions.Read(found, subscription);
        }

        return Changes.Subscriptions.Find(id);
    }

    public async Task<Deposit?> Deposit(Guid id)
    {
        foreach (var (found, deposit) in await Session.Deposits([id], cancellation))
        {
            Changes.Deposits.Read(found, deposit);
        }

        return Changes.Deposits.Find(id);
    }

    /// <summary>By Hyperswitch's name for its payment.</summary>
    public async Task<Deposit?> Deposit(string payment)
    {
        foreach (var deposit in (await Session.DepositsOf([payment], cancellation)).Values)
        {
            Changes.Deposits.Read(deposit.Value.Id.Value, deposit);
            return deposit.Value;
        }

        return null;
    }

    /// <summary>Nothing where the signal changes nothing or is refused.</summary>
    public void Add<T, TWhy>(Outcome<Decision<T>, TWhy> outcome, Cause cause) =>
        outcome.Match(advanced: decision => Add(decision, cause), unchanged: () => { }, refused: _ => { });

    /// <summary>What the aggregate has become.</summary>
    public T Add<T>(Decision<T> decision, Cause cause)
    {
        Changes.Add(decision.Effect, cause);
        return decision.Next;
    }

    /// <summary>To be written once the aggregates are.</summary>
    public void Afterwards(Func<Task> write) => afterwards.Add(write);

    public async Task Commit()
    {
        if (Changes.IsEmpty && afterwards.Count == 0)
        {
            return;
        }

        await Session.Write(Changes, Now, cancellation);
        foreach (var write in afterwards)
        {
            await write();
        }

        await Session.Commit(cancellation);
    }
}
