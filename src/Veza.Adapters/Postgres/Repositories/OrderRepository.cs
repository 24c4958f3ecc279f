using Npgsql;
using Veza.Domain;
using Veza.Domain.Orders;

namespace Veza.Adapters.Postgres.Repositories;

/// <summary>Orders with their lines and legs, many at a time.</summary>
static class OrderRepository
{
    /// <summary>Locked in the order of their ids, so that two batches never wait for each other.</summary>
    public static Task<Dictionary<Guid, Versioned<Order>>> Load(
        PostgresTransaction session,
        IReadOnlyCollection<Guid> ids,
        CancellationToken cancellation
    ) => Load(session, ids, "for update", cancellation);

    /// <summary>To look at and nothing else: nobody waits for it.</summary>
    public static Task<Dictionary<Guid, Versioned<Order>>> Peek(
        PostgresTransaction session,
        IReadOnlyCollection<Guid> ids,
        CancellationToken cancellation
    ) => Load(session, ids, "", cancellation);

    static async Task<Dictionary<Guid, Versioned<Order>>> Load(
        PostgresTransaction session,
        IReadOnlyCollection<Guid> ids,
        string locking,
        CancellationToken cancellation
    )
    {
        await using var batch = session.Batch();
        batch.BatchCommands.Add(
            new(
                $"""
                select id, buyer_id, currency, total, fee_policy, status, version
                from orders where id = any($1) order by id {locking}
                """
            )
            {
                Parameters = { Reading.Uuids(ids) },
            }
        );
        batch.BatchCommands.Add(
            new(
                """
                select order_id, id, position, license_id, product_id, seller_id, quantity, unit_amount,
                    license_kind, license_expires_at, refunded_by
                from order_lines where order_id = any($1)
                """
            )
            {
                Parameters = { Reading.Uuids(ids) },
            }
        );
        batch.BatchCommands.Add(
            new(
                """
                select order_id, position, seller_id, stripe_account_id, transfer_id, gross, fee, reserved, refunded
                from order_legs where order_id = any($1)
                """
            )
            {
                Parameters = { Reading.Uuids(ids) },
            }
        );
        await using var reader = await batch.ExecuteReaderAsync(cancellation);
        var rows = await reader.All(
            row =>
                (
                    Row: new OrderRow(
                        row.GetGuid(0),
                        row.GetString(1),
                        row.GetString(2),
                        row.GetInt64(3),
                        row.GetString(4),
                        row.GetString(5)
                    ),
                    Version: row.GetInt32(6)
                ),
            cancellation
        );

        var lines = await reader.Group(LineFrom, cancellation);
        var legs = await reader.Group(LegFrom, cancellation);
        return rows.ToDictionary(
            order => order.Row.Id,
            order =>
                order
                    .Row.ToOrder(
                        lines.GetValueOrDefault(order.Row.Id, []),
                        legs.GetValueOrDefault(order.Row.Id, [])
                    )
                    .Stored(order.Version)
        );
    }

    public static void Write(NpgsqlBatch batch, RowCountGuard guard, Changes changes, DateTimeOffset now)
    {
        var updated = changes.Orders.Values.Where(change => change.Before is not null).ToList();
        if (updated.Count > 0)
        {
            var command = guard.Expecting(batch, "order", updated.Count);
            command.CommandText = """
                update orders o
                set status = c.status, version = o.version + 1, updated_at = $5
                from unnest($1, $2, $3, $4) as c (id, status, from_status, version)
                where o.id = c.id and o.status = c.from_status and o.version = c.version
                """;
            new Columns<Change<Order>>(command, updated)
                .Uuid(change => change.After.Id.Value)
                .Text(change => change.After.Status.Word())
                .Text(change => change.Before!.Value.Status.Word())
                .Integer(change => change.Before!.Version);
            command.Parameters.Add(Reading.At(now));
            WriteLegs(batch, updated);
            WriteLines(batch, updated);
        }
    }

    /// <summary>A new order, in the transaction of whoever creates it.</summary>
    public static async Task Insert(
        PostgresTransaction session,
        Order order,
        string metadata,
        DateTimeOffset now,
        CancellationToken cancellation
    )
    {
        var row = order.ToRow();
        await using var batch = session.Batch();
        batch.BatchCommands.Add(
            new(
                """
                insert into orders (id, buyer_id, currency, total, fee_policy, status, metadata, created_at, updated_at)
                values ($1, $2, $3, $4, $5, $6, $7::jsonb, $8, $8)
                """
            )
            {
                Parameters =
                {
                    new() { Value = row.Id },
                    new() { Value = row.BuyerId },
                    new() { Value = row.Currency },
                    new() { Value = row.Total },
                    new() { Value = row.FeePolicy },
                    new() { Value = row.Status },
                    new() { Value = metadata },
                    Reading.At(now),
                },
            }
        );
        var lines = new NpgsqlBatchCommand(
            """
            insert into order_lines (order_id, id, position, license_id, product_id, seller_id, quantity,
                unit_amount, license_kind, license_expires_at)
            select * from unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
            """
        );
        new Columns<LineRow>(lines, [.. order.ToLineRows()])
            .Uuid(_ => row.Id)
            .Uuid(line => line.Id)
            .Integer(line => line.Position)
            .Uuid(line => line.LicenseId)
            .Text(line => line.ProductId)
            .Text(line => line.SellerId)
            .Integer(line => line.Quantity)
            .Bigint(line => line.UnitAmount)
            .Text(line => line.LicenseKind)
            .Time(line => line.LicenseExpiresAt);
        batch.BatchCommands.Add(lines);
        var legs = new NpgsqlBatchCommand(
            """
            insert into order_legs (order_id, position, seller_id, stripe_account_id, transfer_id, gross, fee)
            select * from unnest($1, $2, $3, $4, $5, $6, $7)
            """
        );
        new Columns<LegRow>(legs, [.. order.ToLegRows()])
            .Uuid(_ => row.Id)
            .Integer(leg => leg.Position)
            .Text(leg => leg.SellerId)
            .Text(leg => leg.StripeAccountId)
            .Uuid(leg => leg.TransferId)
            .Bigint(leg => leg.Gross)
            .Bigint(leg => leg.Fee);
        batch.BatchCommands.Add(legs);
        await batch.ExecuteNonQueryAsync(cancellation);
    }

    /// <summary>The order's lock and version guard its legs and lines.</summary>
    static void WriteLegs(NpgsqlBatch batch, List<Change<Order>> updated)
    {
        var moved = updated
            .SelectMany(change =>
                change
                    .After.ToLegRows()
                    .Except(change.Before!.Value.ToLegRows())
                    .Select(leg => (change.After.Id, leg))
            )
            .ToList();
        if (moved.Count == 0)
        {
            return;
        }

        var command = new NpgsqlBatchCommand(
            """
            update order_legs l set reserved = c.reserved, refunded = c.refunded
            from unnest($1, $2, $3, $4) as c (order_id, position, reserved, refunded)
            where l.order_id = c.order_id and l.position = c.position
            """
        );
        new Columns<(OrderId Order, LegRow Leg)>(command, moved)
            .Uuid(row => row.Order.Value)
            .Integer(row => row.Leg.Position)
            .Bigint(row => row.Leg.Reserved)
            .Bigint(row => row.Leg.Refunded);
        batch.BatchCommands.Add(command);
    }

    static void WriteLines(NpgsqlBatch batch, List<Change<Order>> updated)
    {
        var marked = updated
            .SelectMany(change =>
                change
                    .After.ToLineRows()
                    .Except(change.Before!.Value.ToLineRows())
                    .Select(line => (change.After.Id, line))
            )
            .ToList();
        if (marked.Count == 0)
        {
            return;
        }

        var command = new NpgsqlBatchCommand(
            """
            update order_lines l set refunded_by = c.refunded_by
            from unnest($1, $2, $3) as c (order_id, position, refunded_by)
            where l.order_id = c.order_id and l.position = c.position
            """
        );
        new Columns<(OrderId Order, LineRow Line)>(command, marked)
            .Uuid(row => row.Order.Value)
            .Integer(row => row.Line.Position)
            .OptionalUuid(row => row.Line.RefundedBy);
        batch.BatchCommands.Add(command);
    }

    static LineRow LineFrom(NpgsqlDataReader reader) =>
        new(
            reader.GetGuid(1),
            reader.GetInt32(2),
            reader.GetGuid(3),
            reader.GetString(4),
            reader.GetString(5),
            reader.GetInt32(6),
            reader.GetInt64(7),
            reader.GetString(8),
            reader.TimeOrNull(9),
            reader.GuidOrNull(10)
        );

    static LegRow LegFrom(NpgsqlDataReader reader) =>
        new(
            reader.GetInt32(1),
            reader.GetString(2),
            reader.GetString(3),
            reader.GetGuid(4),
            reader.GetInt64(5),
            reader.GetInt64(6),
            reader.GetInt64(7),
            reader.GetInt64(8)
        );
}
