using Npgsql;

namespace Veza.Adapters.Postgres.Repositories;

/// <summary>Takes what is due, and moves the time on at which what a host has in hand is due for others.</summary>
static class Leases
{
    /// <summary>The rows whose time has come, each taken by one host for the length of a lease.</summary>
    /// <param name="where">Which of the table's rows are ever due.</param>
    public static async Task<List<T>> Take<T>(
        NpgsqlDataSource database,
        string table,
        string where,
        string columns,
        Func<NpgsqlDataReader, T> read,
        int most,
        DateTimeOffset now,
        TimeSpan lease,
        CancellationToken cancellation
    )
    {
        await using var command = database.CreateCommand(
            $"""
            update {table} set due_at = $2, version = version + 1
            where id = any(array(
                select id from {table} where {where} and due_at <= $1
                order by due_at limit $3 for update skip locked))
            returning {columns}
            """
        );
        command.Parameters.Add(Reading.At(now));
        command.Parameters.Add(Reading.At(now + lease));
        command.Parameters.AddWithValue(most);
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        return await reader.All(read, cancellation);
    }

    /// <summary>
    /// Never back, and only for what is still as it was taken. A row that somebody is writing is left alone: it is being
    /// finished.
    /// </summary>
    public static async Task HoldUntil(
        NpgsqlDataSource database,
        IReadOnlyCollection<Lease> leases,
        DateTimeOffset until,
        CancellationToken cancellation
    )
    {
        await using var connection = await database.OpenConnectionAsync(cancellation);
        await using var batch = new NpgsqlBatch(connection);
        foreach (var kind in leases.GroupBy(lease => lease.What))
        {
            var command = new NpgsqlBatchCommand(Moving(kind.Key));
            new Columns<Lease>(command, [.. kind]).Text(lease => lease.Id).Integer(lease => lease.Version);
            command.Parameters.Add(Reading.At(until));
            batch.BatchCommands.Add(command);
        }

        await batch.ExecuteNonQueryAsync(cancellation);
    }

    static string Moving(Leased what)
    {
        var (table, isTheSame) = what switch
        {
            Leased.Transfer => ("seller_transfers", "row.id = c.id::uuid and row.version = c.version"),
            Leased.Payout => ("payouts", "row.id = c.id::uuid and row.version = c.version"),
            Leased.Refund => ("refunds", "row.id = c.id::uuid and row.version = c.version"),
            Leased.Deposit => ("deposits", "row.id = c.id::uuid and row.version = c.version"),
            Leased.Dispute => ("disputes", "row.id = c.id::uuid and row.version = c.version"),
            Leased.Payment => ("payments", "row.order_id = c.id::uuid"),
            Leased.Event => ("webhook_events", "row.seq = c.id::bigint and row.state = 'asking'"),
            Leased.Delivery => (
                "webhook_deliveries",
                "row.endpoint_id = split_part(c.id, ':', 1)::uuid and row.seq = split_part(c.id, ':', 2)::bigint"
            ),
            _ => throw new ArgumentOutOfRangeException(nameof(what), what, null),
        };
        return $"""
            update {table} set due_at = $3
            where ctid = any(array(
                select row.ctid from {table} row join unnest($1, $2) as c (id, version) on {isTheSame}
                where row.due_at < $3 for update of row skip locked))
            """;
    }
}
