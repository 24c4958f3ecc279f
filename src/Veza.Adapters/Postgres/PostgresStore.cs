using Microsoft.Extensions.Logging;
using Npgsql;
using Veza.Adapters.Storage;
using Veza.Domain.Refunds;
using Veza.Domain.Transfers;

namespace Veza.Adapters.Postgres;

/// <summary>The store of a deployment: any number of hosts run against one database.</summary>
public sealed class PostgresStore(NpgsqlDataSource database, ILoggerFactory logs) : IStore
{
    readonly DueTransfers queue = new(database, logs.CreateLogger<DueTransfers>());
    readonly Inbox inbox = new(database);

    public async Task<ITransaction> Begin(CancellationToken cancellation) =>
        await Session.Begin(database, cancellation);

    public async Task<IReadOnlyList<Versioned<Transfer>>> ClaimTransfers(
        Work work,
        int most,
        DateTimeOffset now,
        TimeSpan lease,
        CancellationToken cancellation
    ) => await queue.Claim(work, most, now, lease, cancellation);

    public async Task<IReadOnlyList<Versioned<Refund>>> ClaimRefunds(
        int most,
        DateTimeOffset now,
        TimeSpan lease,
        CancellationToken cancellation
    ) => await RefundTable.Claim(database, most, now, lease, cancellation);

    public async Task<IReadOnlyList<Guid>> ClaimPayments(
        int most,
        DateTimeOffset now,
        TimeSpan after,
        CancellationToken cancellation
    ) => await PaymentTable.Claim(database, most, now, after, cancellation);

    public Task RecordEvents(
        IReadOnlyList<ReceivedEvent> events,
        DateTimeOffset now,
        CancellationToken cancellation
    ) => inbox.Record(events, now, cancellation);

    public Task<int> ReleaseParked(CancellationToken cancellation) => inbox.ReleaseParked(cancellation);

    public bool IsPassing(Exception fault) =>
        fault
            is ConcurrentChangeException
                or NpgsqlException { IsTransient: true }
                or PostgresException
                {
                    SqlState: PostgresErrorCodes.DeadlockDetected or PostgresErrorCodes.SerializationFailure
                };
}
