using Npgsql;
using Veza.Domain.Deposits;
using Veza.Domain.Disputes;
using Veza.Domain.Licenses;
using Veza.Domain.Orders;
using Veza.Domain.Payouts;
using Veza.Domain.Refunds;
using Veza.Domain.Subscriptions;
using Veza.Domain.Transfers;

namespace Veza.Adapters.Postgres;

/// <summary>Counts the rows that each guarded update of a batch must have changed.</summary>
sealed class RowCountGuard
{
    readonly List<(NpgsqlBatchCommand Command, string Entity, int Rows)> expected = [];

    public NpgsqlBatchCommand Expecting(NpgsqlBatch batch, string entity, int rows)
    {
        var command = new NpgsqlBatchCommand();
        batch.BatchCommands.Add(command);
        expected.Add((command, entity, rows));
        return command;
    }

    /// <exception cref="ConcurrentChangeException">One of them changed fewer.</exception>
    public void Check()
    {
        foreach (var (command, entity, rows) in expected)
        {
            if (command.RecordsAffected != rows)
            {
                throw new ConcurrentChangeException(entity);
            }
        }
    }
}

/// <summary>One transaction in PostgreSQL.</summary>
sealed class PostgresTransaction : ITransaction
{
    readonly NpgsqlConnection connection;
    readonly NpgsqlTransaction transaction;
    readonly Outbox outbox;

    /// <summary>What was written and counts once it is committed.</summary>
    readonly Dictionary<(string Entity, string Status), int> steps = [];

    PostgresTransaction(NpgsqlConnection connection, NpgsqlTransaction transaction, Outbox outbox)
    {
        this.connection = connection;
        this.transaction = transaction;
        this.outbox = outbox;
    }

    internal static async Task<PostgresTransaction> Begin(
        NpgsqlDataSource database,
        CancellationToken cancellation,
        Outbox? outbox = null
    )
    {
        var connection = await database.OpenConnectionAsync(cancellation);
        try
        {
            var transaction = await connection.BeginTransactionAsync(cancellation);
            return new PostgresTransaction(connection, transaction, outbox ?? new Outbox());
        }
        catch
        {
            await connection.DisposeAsync();
            throw;
        }
    }

    internal NpgsqlBatch Batch() => new(connection, transaction);

    internal NpgsqlCommand Command(string sql) => new(sql, connection, transaction);

    public Task<Dictionary<Guid, Versioned<Order>>> Orders(
        IReadOnlyCollection<Guid> ids,
        CancellationToken cancellation
    ) => OrderRepository.Load(this, ids, cancellation);

    public Task InsertOrder(
        Order order,
        string metadata,
        DateTimeOffset now,
        CancellationToken cancellation
    ) => OrderRepository.Insert(this, order, metadata, now, cancellation);

    public Task<Dictionary<Guid, Versioned<Transfer>>> Transfers(
        IReadOnlyCollection<Guid> ids,
        CancellationToken cancellation
    ) => TransferRepository.Load(this, ids, cancellation);

    public Task<Dictionary<Guid, Versioned<Transfer>>> TransfersOf(
        IReadOnlyCollection<Order> orders,
        IReadOnlyCollection<Guid> others,
        CancellationToken cancellation
    ) => TransferRepository.LoadOf(this, orders, others, cancellation);

    public Task<Dictionary<string, Guid>> TransfersNamed(
        IReadOnlyCollection<string> stripeIds,
        CancellationToken cancellation
    ) => TransferRepository.Named(this, stripeIds, cancellation);

    public Task<Dictionary<Guid, Versioned<Payout>>> Payouts(
        IReadOnlyCollection<Guid> ids,
        CancellationToken cancellation
    ) => PayoutRepository.Load(this, ids, cancellation);

    public Task<Dictionary<Guid, Versioned<Subscription>>> Subscriptions(
        IReadOnlyCollection<Guid> ids,
        CancellationToken cancellation
    ) => SubscriptionRepository.Load(this, ids, cancellation);

    public Task<Dictionary<Guid, Versioned<Deposit>>> Deposits(
        IReadOnlyCollection<Guid> ids,
        CancellationToken cancellation
    ) => DepositRepository.Load(this, ids, cancellation);

    public Task<Dictionary<string, Versioned<Deposit>>> DepositsOf(
        IReadOnlyCollection<string> paymentIds,
        CancellationToken cancellation
    ) => DepositRepository.LoadOf(this, paymentIds, cancellation);

    public Task<Dictionary<string, KnownCharge>> ChargesNamed(
        IReadOnlyCollection<string> paymentIds,
        CancellationToken cancellation
    ) => SubscriptionRepository.ChargesNamed(this, paymentIds, cancellation);

    public Task IntendCharge(Subscription subscription, DateTimeOffset now, CancellationToken cancellation) =>
        SubscriptionRepository.IntendCharge(this, subscription, now, cancellation);

    public Task WriteCharges(
        IReadOnlyList<ProviderPayment> payments,
        DateTimeOffset now,
        CancellationToken cancellation
    ) => SubscriptionRepository.WriteCharges(this, payments, now, cancellation);

    public Task<string?> PaymentMethodOf(Guid subscription, CancellationToken cancellation) =>
        SubscriptionRepository.PaymentMethod(this, subscription, cancellation);

    public Task<Dictionary<string, Guid>> OrdersOfDisputes(
        IReadOnlyCollection<string> names,
        CancellationToken cancellation
    ) => DisputeRepository.OrdersOf(this, names, cancellation);

    public Task<List<Versioned<Dispute>>> DisputesOf(
        IReadOnlyCollection<Guid> orders,
        CancellationToken cancellation
    ) => DisputeRepository.LoadOf(this, orders, cancellation);

    public Task<List<Versioned<Refund>>> Refunds(
        IReadOnlyCollection<Guid> ids,
        CancellationToken cancellation
    ) => RefundRepository.Load(this, "id = any($1)", Reading.Uuids(ids), cancellation);

    public Task<List<Versioned<Refund>>> RefundsNamed(
        IReadOnlyCollection<string> providerIds,
        CancellationToken cancellation
    ) =>
        RefundRepository.Load(
            this,
            "provider_refund_id = any($1)",
            new NpgsqlParameter<string[]> { TypedValue = [.. providerIds] },
            cancellation
        );

    public Task<List<Versioned<License>>> LicensesOf(
        IReadOnlyCollection<Guid> orders,
        CancellationToken cancellation
    ) => LicenseRepository.Load(this, orders, cancellation);

    public Task<Dictionary<string, Guid>> OrdersOfPayments(
        IReadOnlyCollection<string> paymentIds,
        CancellationToken cancellation
    ) => PaymentRepository.OrdersOf(this, paymentIds, cancellation);

    public Task IntendPayment(
        Order order,
        string? returnUrl,
        DateTimeOffset due,
        DateTimeOffset now,
        CancellationToken cancellation
    ) => PaymentRepository.Intend(this, order, returnUrl, due, now, cancellation);

    public Task<string?> ReturnUrlOf(Guid orderId, CancellationToken cancellation) =>
        PaymentRepository.ReturnUrlOf(this, orderId, cancellation);

    public Task<KnownPayment?> FindPayment(Guid orderId, CancellationToken cancellation) =>
        PaymentRepository.Find(this, orderId, cancellation);

    public Task WritePayments(
        IReadOnlyList<ProviderPayment> payments,
        DateTimeOffset now,
        CancellationToken cancellation
    ) => PaymentRepository.Write(this, payments, now, cancellation);

    public Task<List<WaitingEvent>> TakeEvents(int most, CancellationToken cancellation) =>
        Inbox.Take(this, most, cancellation);

    public Task CloseEvents(
        IReadOnlyList<ClosedEvent> closed,
        DateTimeOffset now,
        CancellationToken cancellation
    ) => Inbox.Close(this, closed, now, cancellation);

    public async Task Write(Changes changes, DateTimeOffset now, CancellationToken cancellation)
    {
        await using var batch = Batch();
        var guard = new RowCountGuard();
        OrderRepository.Write(batch, guard, changes, now);
        RefundRepository.Write(batch, guard, changes, now);
        LicenseRepository.Write(batch, guard, changes, now);
        TransferRepository.Write(batch, guard, changes, now);
        PayoutRepository.Write(batch, guard, changes, now);
        DisputeRepository.Write(batch, guard, changes, now);
        SubscriptionRepository.Write(batch, guard, changes, now);
        DepositRepository.Write(batch, guard, changes, now);
        var told = changes.Transitions.Count > 0 ? outbox.Write(batch, changes.Transitions, now) : null;
        WriteEntries(batch, changes, now);
        if (changes.Transfers.Values.Any(change => change.After.Attempt?.Value.Waiting.IsDue == true))
        {
            batch.BatchCommands.Add(new($"select pg_notify('{DueTransfers.Channel}', '')"));
        }

        if (batch.BatchCommands.Count > 0)
        {
            await batch.ExecuteNonQueryAsync(cancellation);
            guard.Check();
            told?.Confirm();
        }

        foreach (var step in changes.Transitions)
        {
            steps[(step.Entity, step.To)] = steps.GetValueOrDefault((step.Entity, step.To)) + 1;
        }
    }

    public async Task Commit(CancellationToken cancellation)
    {
        await transaction.CommitAsync(cancellation);
        foreach (var (step, count) in steps)
        {
            var (entity, status) = step;
            Telemetry.StateChanges.Add(
                count,
                Telemetry.Tag("entity", entity),
                Telemetry.Tag("status", status)
            );
        }

        steps.Clear();
    }

    static void WriteEntries(NpgsqlBatch batch, Changes changes, DateTimeOffset now)
    {
        if (changes.Entries.Count == 0)
        {
            return;
        }

        var command = new NpgsqlBatchCommand(
            """
            insert into ledger_entries (order_id, source, source_id, account, currency, amount, correlation, at)
            select c.*, $8 from unnest($1, $2, $3, $4, $5, $6, $7) as c
            """
        );
        new Columns<Entry>(command, changes.Entries)
            .OptionalUuid(entry => entry.OrderId)
            .Text(entry => entry.Source)
            .Uuid(entry => entry.SourceId)
            .Text(entry => entry.Account)
            .Text(entry => entry.Currency)
            .Bigint(entry => entry.Amount)
            .Text(entry => entry.Correlation);
        command.Parameters.Add(Reading.At(now));
        batch.BatchCommands.Add(command);
    }

    public async ValueTask DisposeAsync()
    {
        await transaction.DisposeAsync();
        await connection.DisposeAsync();
    }
}
