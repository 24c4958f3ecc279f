using Npgsql;
using Veza.Domain;
using Veza.Domain.Licenses;
using Veza.Domain.Refunds;

namespace Veza.Adapters.Postgres.Repositories;

/// <summary>Buyers' refunds.</summary>
static class RefundRepository
{
    internal const string Columns = """
        id, order_id, provider_refund_id, amount, currency, scope, line_ids, share_sellers, share_amounts, reason,
        status, sent_at, sends, due_at, failure_code, failure_message, undone, version
        """;

    internal static async Task<List<Versioned<Refund>>> Load(
        PostgresTransaction session,
        string where,
        NpgsqlParameter parameter,
        CancellationToken cancellation
    )
    {
        await using var batch = session.Batch();
        batch.BatchCommands.Add(
            new($"select {Columns} from refunds where {where} order by id for update")
            {
                Parameters = { parameter },
            }
        );
        await using var reader = await batch.ExecuteReaderAsync(cancellation);
        return await reader.All(From, cancellation);
    }

    /// <summary>Refunds that have heard nothing for too long, taken for the length of a lease.</summary>
    public static Task<List<Versioned<Refund>>> Claim(
        NpgsqlDataSource database,
        int most,
        DateTimeOffset now,
        TimeSpan lease,
        CancellationToken cancellation
    ) =>
        Leases.Take(
            database,
            "refunds",
            "status in ('pending', 'submitted')",
            Columns,
            From,
            most,
            now,
            lease,
            cancellation
        );

    internal static void Write(NpgsqlBatch batch, RowCountGuard guard, Changes changes, DateTimeOffset now)
    {
        foreach (var inserted in changes.Refunds.Values.Where(change => change.Before is null))
        {
            batch.BatchCommands.Add(Insert(inserted.After.ToRow(), now));
        }

        var updated = changes
            .Refunds.Values.Where(change => change.Before is not null)
            .Select(change => (Before: change.Before!, Row: change.After.ToRow()))
            .ToList();
        if (updated.Count == 0)
        {
            return;
        }

        var command = guard.Expecting(batch, "refund", updated.Count);
        command.CommandText = """
            update refunds r
            set status = c.status, sent_at = c.sent_at, sends = c.sends, due_at = c.due_at,
                failure_code = c.failure_code, failure_message = c.failure_message, undone = c.undone,
                version = r.version + 1, updated_at = $11
            from unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) as c
                (id, from_status, version, status, sent_at, sends, due_at, failure_code, failure_message, undone)
            where r.id = c.id and r.status = c.from_status and r.version = c.version
            """;
        new Columns<(Versioned<Refund> Before, RefundRow Row)>(command, updated)
            .Uuid(change => change.Row.Id)
            .Text(change => change.Before.Value.Status.Word())
            .Integer(change => change.Before.Version)
            .Text(change => change.Row.Status)
            .Time(change => change.Row.SentAt)
            .Integer(change => change.Row.Sends)
            .Time(change => change.Row.DueAt)
            .Text(change => change.Row.FailureCode)
            .Text(change => change.Row.FailureMessage)
            .Flag(change => change.Row.Undone);
        command.Parameters.Add(Reading.At(now));
    }

    static NpgsqlBatchCommand Insert(RefundRow row, DateTimeOffset now) =>
        new(
            """
            insert into refunds (id, order_id, provider_refund_id, amount, currency, scope, line_ids, share_sellers,
                share_amounts, reason, status, sent_at, sends, due_at, created_at, updated_at)
            values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $15)
            """
        )
        {
            Parameters =
            {
                new() { Value = row.Id },
                new() { Value = row.OrderId },
                new() { Value = row.ProviderRefundId },
                new() { Value = row.Amount },
                new() { Value = row.Currency },
                new() { Value = row.Scope },
                new() { Value = row.LineIds },
                new() { Value = row.ShareSellers },
                new() { Value = row.ShareAmounts },
                Reading.Text(row.Reason),
                new() { Value = row.Status },
                Reading.At(row.SentAt),
                new() { Value = row.Sends },
                Reading.At(row.DueAt),
                Reading.At(now),
            },
        };

    internal static Versioned<Refund> From(NpgsqlDataReader reader) =>
        new RefundRow(
            id: reader.GetGuid(0),
            orderId: reader.GetGuid(1),
            providerRefundId: reader.GetString(2),
            amount: reader.GetInt64(3),
            currency: reader.GetString(4),
            scope: reader.GetString(5),
            lineIds: reader.GetFieldValue<Guid[]>(6),
            shareSellers: reader.GetFieldValue<string[]>(7),
            shareAmounts: reader.GetFieldValue<long[]>(8),
            reason: reader.TextOrNull(9),
            status: reader.GetString(10),
            sentAt: reader.TimeOrNull(11),
            sends: reader.GetInt32(12),
            dueAt: reader.TimeOrNull(13),
            failureCode: reader.TextOrNull(14),
            failureMessage: reader.TextOrNull(15),
            undone: reader.GetBoolean(16)
        )
            .ToRefund()
            .Stored(reader.GetInt32(17));
}

/// <summary>Buyers' licenses.</summary>
static class LicenseRepository
{
    public static async Task<List<Versioned<License>>> Load(
        PostgresTransaction session,
        IReadOnlyCollection<Guid> orders,
        CancellationToken cancellation
    )
    {
        await using var batch = session.Batch();
        batch.BatchCommands.Add(
            new(
                """
                select id, order_id, line_id, buyer_id, product_id, kind, expires_at, status, revoked_by, version
                from licenses where order_id = any($1)
                """
            )
            {
                Parameters = { Reading.Uuids(orders) },
            }
        );
        await using var reader = await batch.ExecuteReaderAsync(cancellation);
        return await reader.All(From, cancellation);
    }

    static Versioned<License> From(NpgsqlDataReader reader) =>
        new LicenseRow(
            id: reader.GetGuid(0),
            orderId: reader.GetGuid(1),
            lineId: reader.GetGuid(2),
            buyerId: reader.GetString(3),
            productId: reader.GetString(4),
            kind: reader.GetString(5),
            expiresAt: reader.TimeOrNull(6),
            status: reader.GetString(7),
            revokedBy: reader.GuidOrNull(8)
        )
            .ToLicense()
            .Stored(reader.GetInt32(9));

    internal static void Write(NpgsqlBatch batch, RowCountGuard guard, Changes changes, DateTimeOffset now)
    {
        var inserted = changes
            .Licenses.Values.Where(change => change.Before is null)
            .Select(c => c.After.ToRow())
            .ToList();
        if (inserted.Count > 0)
        {
            var command = new NpgsqlBatchCommand(
                """
                insert into licenses (id, order_id, line_id, buyer_id, product_id, kind, expires_at, status,
                    created_at, updated_at)
                select c.*, $9, $9 from unnest($1, $2, $3, $4, $5, $6, $7, $8) as c
                """
            );
            new Columns<LicenseRow>(command, inserted)
                .Uuid(row => row.Id)
                .Uuid(row => row.OrderId)
                .Uuid(row => row.LineId)
                .Text(row => row.BuyerId)
                .Text(row => row.ProductId)
                .Text(row => row.Kind)
                .Time(row => row.ExpiresAt)
                .Text(row => row.Status);
            command.Parameters.Add(Reading.At(now));
            batch.BatchCommands.Add(command);
        }

        var updated = changes.Licenses.Values.Where(change => change.Before is not null).ToList();
        if (updated.Count > 0)
        {
            var command = guard.Expecting(batch, "license", updated.Count);
            command.CommandText = """
                update licenses l
                set status = c.status, revoked_by = c.revoked_by, version = l.version + 1, updated_at = $6
                from unnest($1, $2, $3, $4, $5) as c (id, from_status, version, status, revoked_by)
                where l.id = c.id and l.status = c.from_status and l.version = c.version
                """;
            new Columns<Change<License>>(command, updated)
                .Uuid(change => change.After.Id.Value)
                .Text(change => change.Before!.Value.Status.Word())
                .Integer(change => change.Before!.Version)
                .Text(change => change.After.ToRow().Status)
                .OptionalUuid(change => change.After.ToRow().RevokedBy);
            command.Parameters.Add(Reading.At(now));
        }
    }
}
