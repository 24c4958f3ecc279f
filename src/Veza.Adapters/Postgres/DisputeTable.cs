using Npgsql;
using Veza.Adapters.Storage;
using Veza.Domain;
using Veza.Domain.Disputes;

namespace Veza.Adapters.Postgres;

/// <summary>Buyers' disputes.</summary>
static class DisputeTable
{
    const string Columns = """
        d.id, d.order_id, d.provider_dispute_id, d.amount, d.currency, d.share_sellers, d.share_amounts, d.stage,
        d.ruling, d.status, d.due_at, d.refund_id, d.version
        """;

    public static async Task<Dictionary<string, Versioned<Dispute>>> LoadNamed(
        Session session,
        IReadOnlyCollection<string> names,
        CancellationToken cancellation
    )
    {
        await using var command = session.Command(
            $"select {Columns} from disputes d where provider_dispute_id = any($1) order by id for update"
        );
        command.Parameters.Add(Reading.Texts(names));
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        return (await reader.All(From, cancellation)).ToDictionary(dispute => dispute.Value.Provider);
    }

    /// <summary>Open disputes that have heard nothing for too long, taken for the length of a lease.</summary>
    public static async Task<List<Versioned<Dispute>>> Claim(
        NpgsqlDataSource database,
        int most,
        DateTimeOffset now,
        TimeSpan lease,
        CancellationToken cancellation
    )
    {
        await using var command = database.CreateCommand(
            $"""
            update disputes d set due_at = $2, version = d.version + 1
            where id = any(array(
                select id from disputes where status = 'open' and due_at <= $1
                order by due_at limit $3 for update skip locked))
            returning {Columns}
            """
        );
        command.Parameters.Add(Reading.At(now));
        command.Parameters.Add(Reading.At(now + lease));
        command.Parameters.AddWithValue(most);
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        return await reader.All(From, cancellation);
    }

    public static void Write(NpgsqlBatch batch, Guard guard, Changes changes, DateTimeOffset now)
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
                update disputes set share_sellers = $4, share_amounts = $5, stage = $6, ruling = $7, status = $8,
                    due_at = $9, refund_id = $10, version = version + 1, updated_at = $11
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
            insert into disputes (id, order_id, provider_dispute_id, amount, currency, share_sellers, share_amounts,
                stage, ruling, status, due_at, refund_id, created_at, updated_at)
            values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13)
            """
        );
        command.Parameters.Add(new() { Value = row.Id });
        command.Parameters.Add(new() { Value = row.OrderId });
        command.Parameters.Add(new() { Value = row.ProviderDisputeId });
        command.Parameters.Add(new() { Value = row.Amount });
        command.Parameters.Add(new() { Value = row.Currency });
        AddState(command, row);
        command.Parameters.Add(Reading.At(now));
        return command;
    }

    static void AddState(NpgsqlBatchCommand command, DisputeRow row)
    {
        command.Parameters.Add(new() { Value = row.ShareSellers });
        command.Parameters.Add(new() { Value = row.ShareAmounts });
        command.Parameters.Add(new() { Value = row.Stage });
        command.Parameters.Add(new() { Value = row.Ruling });
        command.Parameters.Add(new() { Value = row.Status });
        command.Parameters.Add(Reading.At(row.DueAt));
        command.Parameters.Add(Reading.Uuid(row.RefundId));
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
            dueAt: reader.TimeOrNull(10),
            refundId: reader.GuidOrNull(11)
        )
            .ToDispute()
            .Stored(reader.GetInt32(12));
}
