using Microsoft.Extensions.Logging;
using Npgsql;
using Veza.Domain.Deposits;
using Veza.Domain.Disputes;
using Veza.Domain.Payouts;
using Veza.Domain.Refunds;
using Veza.Domain.Transfers;

namespace Veza.Adapters.Postgres;

/// <summary>The store of a deployment: any number of hosts run against one database.</summary>
public sealed class PostgresStore(NpgsqlDataSource database, ILoggerFactory logs) : IStore
{
    readonly DueTransfers queue = new(database, logs.CreateLogger<DueTransfers>());
    readonly Inbox inbox = new(database);
    readonly Outbox outbox = new();

    public async Task<ITransaction> Begin(CancellationToken cancellation) =>
        await PostgresTransaction.Begin(database, cancellation, outbox);

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
    ) => await RefundRepository.Claim(database, most, now, lease, cancellation);

    public async Task<IReadOnlyList<DuePayment>> ClaimPayments(
        int most,
        DateTimeOffset now,
        TimeSpan after,
        TimeSpan lease,
        CancellationToken cancellation
    ) => await PaymentRepository.Claim(database, most, now, after, lease, cancellation);

    public Task HoldUntil(
        IReadOnlyCollection<Lease> leases,
        DateTimeOffset until,
        CancellationToken cancellation
    ) => Leases.HoldUntil(database, leases, until, cancellation);

    public async Task<IReadOnlyList<Versioned<Payout>>> ClaimPayouts(
        int most,
        PayoutRules rules,
        DateTimeOffset now,
        CancellationToken cancellation
    ) => await PayoutRepository.Claim(database, most, rules, now, cancellation);

    public async Task<IReadOnlyList<Versioned<Dispute>>> ClaimDisputes(
        int most,
        DisputeRules rules,
        DateTimeOffset now,
        TimeSpan lease,
        CancellationToken cancellation
    ) => await DisputeRepository.Claim(database, most, rules, now, lease, cancellation);

    public async Task<IReadOnlyList<Versioned<Deposit>>> ClaimDeposits(
        int most,
        DateTimeOffset now,
        TimeSpan lease,
        CancellationToken cancellation
    ) => await DepositRepository.Claim(database, most, now, lease, cancellation);

    public async Task<IReadOnlyList<Guid>> DueSubscriptions(
        int most,
        DateTimeOffset now,
        CancellationToken cancellation
    ) => await SubscriptionRepository.Due(database, most, now, cancellation);

    public async Task<IReadOnlyList<WaitingEvent>> ClaimEvents(
        int most,
        DateTimeOffset now,
        TimeSpan lease,
        CancellationToken cancellation
    ) => await inbox.Claim(most, now, lease, cancellation);

    public async Task<IReadOnlyList<Guid>> WaitingForFunds(
        string? account,
        int most,
        DateTimeOffset now,
        CancellationToken cancellation
    ) => await TransferRepository.WaitingForFunds(database, account, most, now, cancellation);

    public Task<bool> SaveStanding(
        string account,
        AccountStanding standing,
        DateTimeOffset now,
        CancellationToken cancellation
    ) => SellerRepository.SaveStanding(database, account, standing, now, cancellation);

    public Task<int> RecordEvents(
        IReadOnlyList<ReceivedEvent> events,
        DateTimeOffset now,
        CancellationToken cancellation
    ) => inbox.Record(events, now, cancellation);

    public async Task<DateTimeOffset?> BeginWalk(
        string name,
        DateTimeOffset start,
        DateTimeOffset now,
        TimeSpan lease,
        CancellationToken cancellation
    )
    {
        await using var command = database.CreateCommand(
            """
            insert into walks as w (name, walked_until, lease_until, walked_at) values ($1, $2, $4, $3)
            on conflict (name) do update set lease_until = excluded.lease_until where w.lease_until <= $3
            returning walked_until
            """
        );
        command.Parameters.AddWithValue(name);
        command.Parameters.Add(Reading.At(start));
        command.Parameters.Add(Reading.At(now));
        command.Parameters.Add(Reading.At(now + lease));
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        return await reader.ReadAsync(cancellation) ? reader.Time(0) : null;
    }

    public async Task EndWalk(
        string name,
        DateTimeOffset until,
        int seen,
        int gaps,
        DateTimeOffset leaseUntil,
        DateTimeOffset now,
        CancellationToken cancellation
    )
    {
        await using var command = database.CreateCommand(
            """
            update walks set walked_until = greatest(walked_until, $2), events_seen = events_seen + $3,
                gaps_found = gaps_found + $4, lease_until = $5, walked_at = $6
            where name = $1
            """
        );
        command.Parameters.AddWithValue(name);
        command.Parameters.Add(Reading.At(until));
        command.Parameters.AddWithValue((long)seen);
        command.Parameters.AddWithValue((long)gaps);
        command.Parameters.Add(Reading.At(leaseUntil));
        command.Parameters.Add(Reading.At(now));
        await command.ExecuteNonQueryAsync(cancellation);
    }

    public Task<int> ReleaseParked(CancellationToken cancellation) => inbox.ReleaseParked(cancellation);

    public bool IsPassing(Exception fault) =>
        fault
            is ConcurrentChangeException
                or NpgsqlException { IsTransient: true }
                or PostgresException
                {
                    SqlState: PostgresErrorCodes.DeadlockDetected
                        or PostgresErrorCodes.SerializationFailure
                        // A primary that has become a standby meanwhile.
                        or PostgresErrorCodes.ReadOnlySqlTransaction
                };
}
