using Npgsql;
using Veza.Domain;
using Veza.Domain.Disputes;
using Veza.Domain.Reconciliation;

namespace Veza.Adapters.Postgres.Repositories;

/// <summary>Buyers' disputes.</summary>
static class DisputeRepository
{
    const string Columns = """
        d.id, d.order_id, d.provider_dispute_id, d.amount, d.currency, d.share_sellers, d.share_amounts, d.stage,
        d.ruling, d.status, d.since, d.due_at, d.refund_ids, d.refund_amounts, d.rounds, d.reason,
        d.respond_by, d.version
        """;

    public static async Task<Dictionary<string, Guid>> OrdersOf(
        PostgresTransaction session,
        IReadOnlyCollection<string> names,
        CancellationToken cancellation
    )
    {
        await using var command = session.Command(
            "select provider_dispute_id, order_id from disputes where provider_dispute_id = any($1)"
        );
        command.Parameters.Add(Reading.Texts(names));
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        var found = await reader.All(row => (Name: row.GetString(0), Order: row.GetGuid(1)), cancellation);
        return found.ToDictionary(dispute => dispute.Name, dispute => dispute.Order);
    }

    public static async Task<List<Versioned<Dispute>>> LoadOf(
        PostgresTransaction session,
        IReadOnlyCollection<Guid> orders,
        CancellationToken cancellation
    )
    {
        await using var command = session.Command(
            $"select {Columns} from disputes d where order_id = any($1) order by id for update"
        );
        command.Parameters.Add(Reading.Uuids(orders));
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        return await reader.All(From, cancellation);
    }

    /// <summary>By their names or their orders, without locks, and when each last changed.</summary>
    public static async Task<List<Line<Dispute>>> Lines(
        NpgsqlDataSource database,
        IEnumerable<string> names,
        IEnumerable<Guid> orders,
        CancellationToken cancellation
    )
    {
        await using var command = database.CreateCommand(
            $"""
            select {Columns}, d.updated_at from disputes d
            where provider_dispute_id = any($1) or order_id = any($2)
            """
        );
        command.Parameters.Add(Reading.Texts(names));
        command.Parameters.Add(Reading.Uuids(orders));
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        return await reader.All(row => new Line<Dispute>(From(row).Value, row.Time(18)), cancellation);
    }

    /// <summary>
    /// Disputes that the provider has to be asked about, with their next time; until they have been asked about, they are
    /// taken for the length of a lease.
    /// </summary>
    public static async Task<List<Versioned<Dispute>>> Claim(
        NpgsqlDataSource database,
        int most,
        DisputeRules rules,
        DateTimeOffset now,
        TimeSpan lease,
        CancellationToken cancellation
    )
    {
        await using var connection = await database.OpenConnectionAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        List<Versioned<Dispute>> due;
        await using (var command = connection.CreateCommand())
        {
            command.CommandText = $"""
                select {Columns} from disputes d where due_at <= $1
                order by due_at limit $2 for update skip locked
                """;
            command.Parameters.Add(Reading.At(now));
            command.Parameters.AddWithValue(most);
            await using var reader = await command.ExecuteReaderAsync(cancellation);
            due = await reader.All(From, cancellation);
        }

        if (due.Count == 0)
        {
            return due;
        }

        await using (var command = connection.CreateCommand())
        {
            command.CommandText = """
                update disputes d
                set due_at = case when n.due_at is not null then least(n.due_at, $3) end, version = d.version + 1
                from unnest($1::uuid[], $2::timestamptz[]) as n (id, due_at) where d.id = n.id
                """;
            var polled = due.Select(dispute => dispute.Value.Polled(rules, now).ToRow()).ToList();
            command.Parameters.Add(Reading.Uuids(polled.Select(row => row.Id)));
            command.Parameters.Add(
                new NpgsqlParameter<DateTimeOffset?[]> { TypedValue = [.. polled.Select(row => row.DueAt)] }
            );
            command.Parameters.Add(Reading.At(now + lease));
            await command.ExecuteNonQueryAsync(cancellation);
        }

        await transaction.CommitAsync(cancellation);
        return
        [
            .. due.Select(dispute => new Versioned<Dispute>(
                dispute.Value.Polled(rules, now),
                dispute.Version + 1
            )),
        ];
    }

    public static void Write(NpgsqlBatch batch, RowCountGuard guard, Changes changes, DateTimeOffset now)
    {
        var inserted = changes
            .Disputes.Values.Where(change => change.Before is null)
            .Select(change => change.After.ToRow())
            .ToList();
        foreach (var row in inserted)
        {
            batch.BatchCommands.Add(Insert(row, now));
        }

        foreach (var change in changes.Disputes.Values.Where(change => change.Before is not null))
        {
            var row = change.After.ToRow();
            var command = guard.Expecting(batch, "dispute", 1);
            command.CommandText = """
                update disputes set amount = $4, share_sellers = $5, share_amounts = $6, stage = $7, ruling = $8,
                    status = $9, since = $10, due_at = $11, refund_ids = $12, refund_amounts = $13, rounds = $14,
                    reason = $15, respond_by = $16, version = version + 1, updated_at = $17
                where id = $1 and status = $2 and version = $3
                """;
            command.Parameters.Add(new() { Value = row.Id });
            command.Parameters.Add(new() { Value = change.Before!.Value.Status.Word() });
            command.Parameters.Add(new() { Value = change.Before.Version });
            AddState(command, row);
            command.Parameters.Add(Reading.At(now));
        }
    }

    static NpgsqlBatchCommand Insert(DisputeRow row, DateTimeOffset now)
    {
        var command = new NpgsqlBatchCommand(
            """
            insert into disputes (id, order_id, provider_dispute_id, currency, amount, share_sellers, share_amounts,
                stage, ruling, status, since, due_at, refund_ids, refund_amounts, rounds, reason, respond_by, created_at,
                updated_at)
            values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $18)
            """
        );
        command.Parameters.Add(new() { Value = row.Id });
        command.Parameters.Add(new() { Value = row.OrderId });
        command.Parameters.Add(new() { Value = row.ProviderDisputeId });
        command.Parameters.Add(new() { Value = row.Currency });
        AddState(command, row);
        command.Parameters.Add(Reading.At(now));
        return command;
    }

    static void AddState(NpgsqlBatchCommand command, DisputeRow row)
    {
        command.Parameters.Add(new() { Value = row.Amount });
        command.Parameters.Add(new() { Value = row.ShareSellers });
        command.Parameters.Add(new() { Value = row.ShareAmounts });
        command.Parameters.Add(new() { Value = row.Stage });
        command.Parameters.Add(new() { Value = row.Ruling });
        command.Parameters.Add(new() { Value = row.Status });
        command.Parameters.Add(Reading.At(row.Since));
        command.Parameters.Add(Reading.At(row.DueAt));
        command.Parameters.Add(Reading.Uuids(row.RefundIds));
        command.Parameters.Add(new() { Value = row.RefundAmounts });
        command.Parameters.Add(new() { Value = row.Rounds });
        command.Parameters.Add(Reading.Text(row.Reason));
        command.Parameters.Add(Reading.At(row.RespondBy));
    }

    static Versioned<Dispute> From(NpgsqlDataReader reader) =>
        new DisputeRow(
            id: reader.GetGuid(0),
            orderId: reader.GetGuid(1),
            providerDisputeId: reader.GetString(2),
            amount: reader.GetInt64(3),
            currency: reader.GetString(4),
            shareSellers: reader.GetFieldValue<string[]>(5),
            shareAmounts: reader.GetFieldValue<long[]>(6),
            stage: reader.GetString(7),
            ruling: reader.GetString(8),
            status: reader.GetString(9),
            since: reader.Time(10),
            dueAt: reader.TimeOrNull(11),
            refundIds: reader.GetFieldValue<Guid[]>(12),
            refundAmounts: reader.GetFieldValue<long[]>(13),
            rounds: reader.GetInt32(14),
            reason: reader.TextOrNull(15),
            respondBy: reader.TimeOrNull(16)
        )
            .ToDispute()
            .Stored(reader.GetInt32(17));
}
