using Microsoft.FSharp.Collections;
using Veza.Domain;
using Veza.Domain.Deposits;
using Veza.Domain.Disputes;
using Veza.Domain.Ledger;
using Veza.Domain.Licenses;
using Veza.Domain.Orders;
using Veza.Domain.Payouts;
using Veza.Domain.Refunds;
using Veza.Domain.Subscriptions;
using Veza.Domain.Transfers;

namespace Veza.Adapters.Storage;

/// <summary>An aggregate as it was read, with the version that a guarded update must still find.</summary>
/// <param name="Correlation">Of what it is waiting for, where that is kept.</param>
public sealed record Versioned<T>(T Value, int Version, string? Correlation = null);

/// <summary>Who or what made a step, and which provider request it came from.</summary>
public sealed record Cause(string Actor, string? ProviderRequestId = null, string? Detail = null)
{
    public static Cause Worker => new("worker");

    public string? Correlation { get; init; } = Storage.Correlation.Current;
}

/// <summary>One step of one aggregate, for the history.</summary>
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

/// <summary>
/// All that one transaction writes: aggregates by their last state, every step for the history, every posting
/// for the books. Collected in memory, written by <see cref="ITransaction.Write"/> in a few statements.
/// </summary>
public sealed class Changes
{
    internal Dictionary<Guid, Change<Order>> Orders { get; } = [];
    internal Dictionary<Guid, Change<Refund>> Refunds { get; } = [];
    internal Dictionary<Guid, Change<License>> Licenses { get; } = [];
    internal Dictionary<Guid, Change<Transfer>> Transfers { get; } = [];
    internal Dictionary<Guid, Change<Payout>> Payouts { get; } = [];
    internal Dictionary<Guid, Change<Dispute>> Disputes { get; } = [];
    internal Dictionary<Guid, Change<Subscription>> Subscriptions { get; } = [];
    internal Dictionary<Guid, Change<Deposit>> Deposits { get; } = [];
    internal List<Transition> Transitions { get; } = [];
    internal List<Entry> Entries { get; } = [];

    /// <summary>For the history only: <see cref="ITransaction.InsertOrder"/> writes the order itself.</summary>
    public void Created(Order order, Cause cause) =>
        Note("order", order.Id.Value, order.Id, null, order.Status.Word(), "created", cause);

    public void Save(Versioned<Order> before, Order after, string signal, Cause cause)
    {
        var from = Keep(Orders, after.Id.Value, before, after)?.Status.Word();
        Note("order", after.Id.Value, after.Id, from, after.Status.Word(), signal, cause);
    }

    public void Save(Versioned<Refund>? before, Refund after, string signal, Cause cause)
    {
        var from = Keep(Refunds, after.Id.Value, before, after)?.Status.Word();
        Note("refund", after.Id.Value, after.Order, from, after.Status.Word(), signal, cause);
    }

    public void Save(Versioned<License>? before, License after, string signal, Cause cause)
    {
        var from = Keep(Licenses, after.Id.Value, before, after)?.Status.Word();
        Note("license", after.Id.Value, after.Order, from, after.Status.Word(), signal, cause);
    }

    public void Save(Versioned<Transfer>? before, Transfer after, string signal, Cause cause)
    {
        var from = Keep(Transfers, after.Id.Value, before, after)?.Status.Word();
        Transfers[after.Id.Value].Correlation = cause.Correlation;
        Note("transfer", after.Id.Value, after.Order, from, after.Status.Word(), signal, cause);
    }

    public void Save(Versioned<Payout>? before, Payout after, string signal, Cause cause)
    {
        var from = Keep(Payouts, after.Id.Value, before, after)?.Status.Word();
        Note("payout", after.Id.Value, null, from, after.Status.Word(), signal, cause);
    }

    public void Save(Versioned<Dispute>? before, Dispute after, string signal, Cause cause)
    {
        var from = Keep(Disputes, after.Id.Value, before, after)?.Status.Word();
        Note("dispute", after.Id.Value, after.Order, from, after.Status.Word(), signal, cause);
    }

    public void Save(Versioned<Subscription>? before, Subscription after, string signal, Cause cause)
    {
        var from = Keep(Subscriptions, after.Id.Value, before, after)?.Status.Word();
        Note("subscription", after.Id.Value, null, from, after.Status.Word(), signal, cause);
    }

    /// <summary>A step of a deposit with what it means for the books.</summary>
    public void Save(Versioned<Deposit>? before, Deposit after, string signal, Cause cause)
    {
        var known = Keep(Deposits, after.Id.Value, before, after);
        var order = after.Origin is Origin.OfOrder { Order: var found } ? found : (OrderId?)null;
        Note("deposit", after.Id.Value, order, known?.Status.Word(), after.Status.Word(), signal, cause);
        Post(order, after.Amount.Currency, "deposit", after.Id.Value, after.Postings(known), cause);
    }

    /// <summary>A step of a transfer with all that it means: its postings, and the transfers that it asks for.</summary>
    public void Save(
        Versioned<Transfer> before,
        Transfer after,
        FSharpList<Movement> movements,
        string signal,
        Cause cause,
        DateTimeOffset now
    )
    {
        Save(before, after, signal, cause);
        Post(
            after.Order,
            after.Amount.Currency,
            "transfer",
            after.Id.Value,
            after.Postings(movements),
            cause
        );
        foreach (var transfer in after.Compensations(movements, now))
        {
            Save(null, transfer, "scheduled", cause);
        }
    }

    public void Post(
        OrderId? order,
        Currency currency,
        string source,
        Guid sourceId,
        IEnumerable<Posting> postings,
        Cause cause
    )
    {
        foreach (var posting in postings)
        {
            Entries.Add(
                new Entry(
                    order?.Value,
                    source,
                    sourceId,
                    posting.Account.Word(),
                    currency.Code,
                    posting.Amount,
                    cause.Correlation
                )
            );
        }
    }

    /// <summary>Answers what the aggregate was before this step.</summary>
    static T? Keep<T>(Dictionary<Guid, Change<T>> kept, Guid id, Versioned<T>? before, T after)
        where T : class
    {
        if (kept.TryGetValue(id, out var change))
        {
            var previous = change.After;
            change.After = after;
            return previous;
        }

        kept.Add(id, new Change<T>(before, after));
        return before?.Value;
    }

    void Note(string entity, Guid id, OrderId? order, string? from, string to, string signal, Cause cause) =>
        Transitions.Add(new Transition(entity, id, order?.Value, from, to, signal, cause));
}
