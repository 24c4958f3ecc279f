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

/// <summary>A guarded update found fewer rows than it should: somebody else was faster. Reload and decide again.</summary>
public sealed class ConcurrentChangeException(string entity)
    : Exception($"Another writer changed a {entity} first.");

/// <summary>Which transfers a worker takes.</summary>
public enum Work
{
    /// <summary>Owed and not yet sent, or refused and to be tried again.</summary>
    Sending,

    /// <summary>To be taken back, and nothing else.</summary>
    Reversing,
}

/// <summary>
/// Where everything is kept that must survive. PostgreSQL in the host; in the simulation a store in memory with
/// the same transactions and guards.
/// </summary>
public interface IStore
{
    Task<ITransaction> Begin(CancellationToken cancellation);

    /// <summary>
    /// Takes up to <paramref name="most"/> due transfers for the length of a lease, each for one worker at a time.
    /// </summary>
    Task<IReadOnlyList<Versioned<Transfer>>> ClaimTransfers(
        Work work,
        int most,
        DateTimeOffset now,
        TimeSpan lease,
        CancellationToken cancellation
    );

    /// <summary>Refunds that have heard nothing for too long, taken for the length of a lease.</summary>
    Task<IReadOnlyList<Versioned<Refund>>> ClaimRefunds(
        int most,
        DateTimeOffset now,
        TimeSpan lease,
        CancellationToken cancellation
    );

    /// <summary>
    /// The orders whose payments are to be asked about, taken for the length of a lease. Each wait until the next time
    /// is half of the payment's age, at least <paramref name="after"/>: what nobody ever pays is asked about ever more
    /// rarely and never given up.
    /// </summary>
    Task<IReadOnlyList<DuePayment>> ClaimPayments(
        int most,
        DateTimeOffset now,
        TimeSpan after,
        TimeSpan lease,
        CancellationToken cancellation
    );

    /// <summary>
    /// What is still as it was taken is due for others not before then. Never moves a time back.
    /// </summary>
    Task HoldUntil(IReadOnlyCollection<Lease> leases, DateTimeOffset until, CancellationToken cancellation);

    /// <summary>Payouts to be asked for or about, taken for the length of a lease.</summary>
    Task<IReadOnlyList<Versioned<Payout>>> ClaimPayouts(
        int most,
        PayoutRules rules,
        DateTimeOffset now,
        CancellationToken cancellation
    );

    /// <summary>Disputes whose time to be asked about has come, with their next one, taken for the length of a lease.</summary>
    Task<IReadOnlyList<Versioned<Dispute>>> ClaimDisputes(
        int most,
        DisputeRules rules,
        DateTimeOffset now,
        TimeSpan lease,
        CancellationToken cancellation
    );

    /// <summary>Deposits to be given back or asked about, taken for the length of a lease.</summary>
    Task<IReadOnlyList<Versioned<Deposit>>> ClaimDeposits(
        int most,
        DateTimeOffset now,
        TimeSpan lease,
        CancellationToken cancellation
    );

    /// <summary>
    /// The subscriptions whose time has come. Nothing is taken: whoever decides first moves their time on.
    /// </summary>
    Task<IReadOnlyList<Guid>> DueSubscriptions(int most, DateTimeOffset now, CancellationToken cancellation);

    /// <summary>Events about which a provider has to be asked, taken for the length of a lease.</summary>
    Task<IReadOnlyList<WaitingEvent>> ClaimEvents(
        int most,
        DateTimeOffset now,
        TimeSpan lease,
        CancellationToken cancellation
    );

    /// <summary>
    /// Transfers that wait for a balance: of this account, or of the platform where it is null. Up to
    /// <paramref name="most"/> of them, by their ids.
    /// </summary>
    Task<IReadOnlyList<Guid>> WaitingForFunds(
        string? account,
        int most,
        DateTimeOffset now,
        CancellationToken cancellation
    );

    /// <summary>Keeps what Stripe says of an account on the sellers that use it. False if none does.</summary>
    Task<bool> SaveStanding(
        string account,
        AccountStanding standing,
        DateTimeOffset now,
        CancellationToken cancellation
    );

    /// <summary>
    /// Records the events that are new, and answers how many were. When this returns they are on disk.
    /// </summary>
    Task<int> RecordEvents(
        IReadOnlyList<ReceivedEvent> events,
        DateTimeOffset now,
        CancellationToken cancellation
    );

    /// <summary>
    /// Takes a walk through a provider's list for the length of a lease, and answers how far it has come; from
    /// <paramref name="start"/> on if there was none. Null if somebody else is walking.
    /// </summary>
    Task<DateTimeOffset?> BeginWalk(
        string name,
        DateTimeOffset start,
        DateTimeOffset now,
        TimeSpan lease,
        CancellationToken cancellation
    );

    /// <summary>How far it has come, what it saw, and how much of that nobody had brought.</summary>
    Task EndWalk(
        string name,
        DateTimeOffset until,
        int seen,
        int gaps,
        DateTimeOffset leaseUntil,
        DateTimeOffset now,
        CancellationToken cancellation
    );

    /// <summary>Events that were put aside until their time wait again if it has come.</summary>
    Task<int> ReleaseParked(CancellationToken cancellation);

    /// <summary>Whether what went wrong will go away by itself: a lost race, a deadlock, a lost connection.</summary>
    bool IsPassing(Exception fault);
}

/// <summary>
/// One transaction. Aggregates are loaded many at a time and written many at a time; nothing is called outside
/// the store while it is open, and what is not committed has not happened.
/// </summary>
public interface ITransaction : IAsyncDisposable
{
    /// <summary>Orders are locked until the transaction ends: refunds of one order are decided one at a time.</summary>
    Task<Dictionary<Guid, Versioned<Order>>> Orders(
        IReadOnlyCollection<Guid> ids,
        CancellationToken cancellation
    );

    Task InsertOrder(Order order, string metadata, DateTimeOffset now, CancellationToken cancellation);

    Task<Dictionary<Guid, Versioned<Transfer>>> Transfers(
        IReadOnlyCollection<Guid> ids,
        CancellationToken cancellation
    );

    /// <summary>
    /// The sellers' shares of these orders, what made good for refunds of theirs that failed, and others by their ids:
    /// all locked at once, in the order of their ids.
    /// </summary>
    Task<Dictionary<Guid, Versioned<Transfer>>> TransfersOf(
        IReadOnlyCollection<Order> orders,
        IReadOnlyCollection<Guid> others,
        CancellationToken cancellation
    );

    /// <summary>Which of our transfers these are at Stripe.</summary>
    Task<Dictionary<string, Guid>> TransfersNamed(
        IReadOnlyCollection<string> stripeIds,
        CancellationToken cancellation
    );

    Task<Dictionary<Guid, Versioned<Payout>>> Payouts(
        IReadOnlyCollection<Guid> ids,
        CancellationToken cancellation
    );

    Task<Dictionary<Guid, Versioned<Subscription>>> Subscriptions(
        IReadOnlyCollection<Guid> ids,
        CancellationToken cancellation
    );

    Task<Dictionary<Guid, Versioned<Deposit>>> Deposits(
        IReadOnlyCollection<Guid> ids,
        CancellationToken cancellation
    );

    /// <summary>By Hyperswitch's names for their payments.</summary>
    Task<Dictionary<string, Versioned<Deposit>>> DepositsOf(
        IReadOnlyCollection<string> paymentIds,
        CancellationToken cancellation
    );

    /// <summary>
    /// Which periods of which subscriptions these payments are for, by Hyperswitch's name for the payment or by its
    /// connector's.
    /// </summary>
    Task<Dictionary<string, KnownCharge>> ChargesNamed(
        IReadOnlyCollection<string> paymentIds,
        CancellationToken cancellation
    );

    /// <summary>Written down before the charge that the subscription has come to is sent.</summary>
    Task IntendCharge(Subscription subscription, DateTimeOffset now, CancellationToken cancellation);

    /// <summary>Keeps the provider's own word on payments of subscriptions, and what they were paid with.</summary>
    Task WriteCharges(
        IReadOnlyList<ProviderPayment> payments,
        DateTimeOffset now,
        CancellationToken cancellation
    );

    /// <summary>Hyperswitch's name for what the subscriber has paid with; null before they have.</summary>
    Task<string?> PaymentMethodOf(Guid subscription, CancellationToken cancellation);

    /// <summary>Which orders these disputes are of, by the name under which the providers know them.</summary>
    Task<Dictionary<string, Guid>> OrdersOfDisputes(
        IReadOnlyCollection<string> names,
        CancellationToken cancellation
    );

    /// <summary>Every dispute of these orders. Read after the orders are locked: none can be raised meanwhile.</summary>
    Task<List<Versioned<Dispute>>> DisputesOf(
        IReadOnlyCollection<Guid> orders,
        CancellationToken cancellation
    );

    Task<List<Versioned<Refund>>> Refunds(IReadOnlyCollection<Guid> ids, CancellationToken cancellation);

    /// <summary>By the id under which Hyperswitch knows them.</summary>
    Task<List<Versioned<Refund>>> RefundsNamed(
        IReadOnlyCollection<string> providerIds,
        CancellationToken cancellation
    );

    Task<List<Versioned<License>>> LicensesOf(
        IReadOnlyCollection<Guid> orders,
        CancellationToken cancellation
    );

    /// <summary>Which orders these payments pay, by Hyperswitch's name for the payment or by its connector's.</summary>
    Task<Dictionary<string, Guid>> OrdersOfPayments(
        IReadOnlyCollection<string> paymentIds,
        CancellationToken cancellation
    );

    /// <summary>Written down before the payment is created. Where the buyer comes back to is kept as first said.</summary>
    Task IntendPayment(
        Order order,
        string? returnUrl,
        DateTimeOffset due,
        DateTimeOffset now,
        CancellationToken cancellation
    );

    /// <summary>With which the payment was made: empty for none; null if nobody has written it down.</summary>
    Task<string?> ReturnUrlOf(Guid orderId, CancellationToken cancellation);

    /// <summary>The payment, if Hyperswitch has already answered for it.</summary>
    Task<KnownPayment?> FindPayment(Guid orderId, CancellationToken cancellation);

    /// <summary>
    /// Keeps the provider's own word on its payments beside our decision. Called after the orders are written: a
    /// payment is asked about for as long as its order waits for it.
    /// </summary>
    Task WritePayments(
        IReadOnlyList<ProviderPayment> payments,
        DateTimeOffset now,
        CancellationToken cancellation
    );

    /// <summary>Takes waiting events for the length of the transaction.</summary>
    Task<List<WaitingEvent>> TakeEvents(int most, CancellationToken cancellation);

    /// <summary>Writes down what became of them, in the transaction of their effects.</summary>
    Task CloseEvents(IReadOnlyList<ClosedEvent> closed, DateTimeOffset now, CancellationToken cancellation);

    /// <exception cref="ConcurrentChangeException">Something here was changed since it was read.</exception>
    Task Write(Changes changes, DateTimeOffset now, CancellationToken cancellation);

    /// <summary>
    /// After an exception here nobody knows whether it was committed: reload and decide again, never assume.
    /// </summary>
    Task Commit(CancellationToken cancellation);
}

/// <summary>The payment of one period of a subscription.</summary>
public sealed record KnownCharge(Guid Subscription, Payment Payment)
{
    public PaymentId PaymentId =>
        PaymentId.ForPeriod(SubscriptionId.Of(Subscription), Payment.Period, Payment.Try);
}

/// <summary>What is known of a payment that was created.</summary>
public sealed record KnownPayment(string PaymentId, string ClientSecret, string? Status);
