using Veza.Domain;
using Veza.Domain.Deposits;
using Veza.Domain.Disputes;
using Veza.Domain.Licenses;
using Veza.Domain.Orders;
using Veza.Domain.Payouts;
using Veza.Domain.Refunds;
using Veza.Domain.Subscriptions;
using Veza.Domain.Transfers;

namespace Veza.Adapters.Ports;

/// <summary>An aggregate as it was read, with the version that a guarded update must still find.</summary>
/// <param name="Correlation">Of what it is waiting for, where that is kept.</param>
public sealed record Versioned<T>(T Value, int Version, string? Correlation = null);

/// <summary>Who or what made a step, and which provider request it came from.</summary>
public sealed record Cause(string Actor, string? ProviderRequestId = null, string? Detail = null)
{
    public static Cause Worker => new("worker");

    public string? Correlation { get; init; } = Ports.Correlation.Current;
}

/// <summary>One step of one aggregate, for the history, in the words of its machine.</summary>
sealed record Transition(
    string Entity,
    Guid EntityId,
    Guid? OrderId,
    string? From,
    string To,
    string Signal,
    Cause Cause
);

/// <param name="OrderId">Null for what no order has brought.</param>
sealed record Entry(
    Guid? OrderId,
    string Source,
    Guid SourceId,
    string Account,
    string Currency,
    long Amount,
    string? Correlation
);

/// <summary>What was first read of an aggregate in this transaction, and what it has become since.</summary>
sealed class Change<T>(Versioned<T>? before, T after)
{
    /// <summary>Null for one that is new.</summary>
    public Versioned<T>? Before { get; } = before;
    public T After { get; set; } = after;
    public string? Correlation { get; set; }
}

/// <summary>The aggregates of one kind in a transaction: as they were read, and as they have become since.</summary>
public sealed class Tracked<T>
    where T : class
{
    readonly Dictionary<Guid, Versioned<T>> read = [];

    internal Dictionary<Guid, Change<T>> Changed { get; } = [];
    internal Dictionary<Guid, Change<T>>.ValueCollection Values => Changed.Values;

    /// <summary>As each of them is now, those included that this transaction begins.</summary>
    public IEnumerable<T> All =>
        read.Where(known => !Changed.ContainsKey(known.Key))
            .Select(known => known.Value.Value)
            .Concat(Changed.Values.Select(change => change.After));

    public void Read(Guid id, Versioned<T> known) => read[id] = known;

    /// <summary>As it is now; null if it was neither read nor begun.</summary>
    public T? Find(Guid id) =>
        Changed.TryGetValue(id, out var change) ? change.After : read.GetValueOrDefault(id)?.Value;

    /// <summary>The version that was read; 0 for one that nobody has stored.</summary>
    public int VersionOf(Guid id) => read.GetValueOrDefault(id)?.Version ?? 0;

    internal Change<T> Become(Guid id, T next)
    {
        if (Changed.TryGetValue(id, out var change))
        {
            change.After = next;
            return change;
        }

        return Changed[id] = new Change<T>(read.GetValueOrDefault(id), next);
    }
}

/// <summary>
/// All that one transaction has read and writes: aggregates by their last state, every step for the history, every posting
/// for the books. Collected in memory, written by <see cref="ITransaction.Write"/> in a few statements.
/// </summary>
public sealed class Changes
{
    public Tracked<Order> Orders { get; } = new();
    public Tracked<Refund> Refunds { get; } = new();
    public Tracked<License> Licenses { get; } = new();
    public Tracked<Transfer> Transfers { get; } = new();
    public Tracked<Payout> Payouts { get; } = new();
    public Tracked<Dispute> Disputes { get; } = new();
    public Tracked<Subscription> Subscriptions { get; } = new();
    public Tracked<Deposit> Deposits { get; } = new();
    internal List<Transition> Transitions { get; } = [];
    internal List<Entry> Entries { get; } = [];

    public bool IsEmpty => Transitions.Count + Entries.Count == 0;

    /// <summary>What the domain has decided: everything that changes together.</summary>
    public void Add(Effect effect, Cause cause)
    {
        foreach (var step in effect.Steps)
        {
            Take(step, cause);
        }

        foreach (var booking in effect.Books)
        {
            Entries.AddRange(
                booking.Postings.Select(posting => new Entry(
                    booking.Order?.Value.Value,
                    booking.Source,
                    booking.SourceId,
                    posting.Account.Word(),
                    booking.Currency.Code,
                    posting.Amount,
                    cause.Correlation
                ))
            );
        }
    }

    void Take(Step step, Cause cause)
    {
        var (entity, id, order) = step.Next.Match<(string, Guid, OrderId?)>(
            order: next => ("order", Order(step, next), next.Id),
            refund: next => ("refund", Become(Refunds, next.Id.Value, next), next.Order),
            license: next => ("license", Become(Licenses, next.Id.Value, next), next.Order),
            transfer: next => ("transfer", Become(next, cause), next.Order),
            payout: next => ("payout", Become(Payouts, next.Id.Value, next), null),
            subscription: next => ("subscription", Become(Subscriptions, next.Id.Value, next), null),
            deposit: next => ("deposit", Become(Deposits, next.Id.Value, next), OrderOf(next)),
            dispute: next => ("dispute", Become(Disputes, next.Id.Value, next), next.Order)
        );
        Transitions.Add(new Transition(entity, id, order?.Value, step.From, step.To, step.Signal, cause));
    }

    /// <summary><see cref="ITransaction.InsertOrder"/> writes an order that begins.</summary>
    Guid Order(Step step, Order next) =>
        step.From is null ? next.Id.Value : Become(Orders, next.Id.Value, next);

    Guid Become(Transfer next, Cause cause)
    {
        Transfers.Become(next.Id.Value, next).Correlation = cause.Correlation;
        return next.Id.Value;
    }

    static Guid Become<T>(Tracked<T> tracked, Guid id, T next)
        where T : class
    {
        tracked.Become(id, next);
        return id;
    }

    static OrderId? OrderOf(Deposit deposit) =>
        deposit.Origin is Origin.OfOrder { Order: var order } ? order : null;
}
