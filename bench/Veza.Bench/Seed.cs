using Npgsql;
using NpgsqlTypes;
using Veza.Domain;

namespace Veza.Bench;

/// <summary>An order of two sellers as the bench lays it into the database, ready to be paid.</summary>
sealed record SeededOrder(Guid Id, Guid Refund)
{
    public const long Total = 10_000;

    public string PaymentId => Veza.Domain.PaymentId.For(OrderId.Of(Id)).Value;

    public string RefundName => ProviderRefundId.For(RefundId.Of(Refund)).Value;

    public string PaidEvent(string id) =>
        $$$"""{"merchant_id":"m","event_id":"{{{id}}}","event_type":"payment_succeeded","content":{"type":"payment_details","object":{"payment_id":"{{{PaymentId}}}","status":"succeeded","amount":{{{Total}}},"amount_received":{{{Total}}},"currency":"EUR","metadata":{"order_id":"{{{Id}}}"},"description":"{{{Padding}}}"}},"timestamp":"2026-11-23T12:00:00.000Z"}""";

    public string RefundedEvent(string id) =>
        $$$"""{"merchant_id":"m","event_id":"{{{id}}}","event_type":"refund_succeeded","content":{"type":"refund_details","object":{"refund_id":"{{{RefundName}}}","payment_id":"{{{PaymentId}}}","status":"succeeded","amount":{{{Total}}},"currency":"EUR","reason":"{{{Padding}}}"}},"timestamp":"2026-11-23T12:00:00.000Z"}""";

    /// <summary>Real events are about 1.2 kB.</summary>
    static readonly string Padding = new('x', 800);
}

/// <summary>Lays rows into the database as Veza itself would have, faster than its API would.</summary>
static class Seed
{
    public static async Task<List<SeededOrder>> Orders(NpgsqlConnection database, int count)
    {
        var now = DateTimeOffset.UnixEpoch.AddYears(56);
        var orders = Enumerable
            .Range(0, count)
            .Select(_ => new SeededOrder(Guid.CreateVersion7(), Guid.CreateVersion7()))
            .ToList();
        await Execute(
            database,
            """
            insert into sellers (id, stripe_account_id, created_at, updated_at)
            values ('ada', 'acct_ada', now(), now()), ('bob', 'acct_bob', now(), now()) on conflict do nothing
            """
        );
        await Copy(
            database,
            "orders (id, buyer_id, currency, total, fee_policy, status, created_at, updated_at)",
            orders,
            order =>
                [order.Id, "buyer", "EUR", SeededOrder.Total, "proportional", "awaiting_payment", now, now]
        );
        await Copy(
            database,
            "payments (order_id, payment_id, client_secret, provider_status, created_at, updated_at)",
            orders,
            order => [order.Id, order.PaymentId, "secret", "requires_payment_method", now, now]
        );
        var halves = orders.SelectMany(order => new[] { (order, 0, "ada"), (order, 1, "bob") }).ToList();
        await Copy(
            database,
            "order_lines (order_id, position, id, license_id, product_id, seller_id, quantity, unit_amount, license_kind)",
            halves,
            half =>
                [
                    half.order.Id,
                    half.Item2,
                    Guid.CreateVersion7(),
                    Guid.CreateVersion7(),
                    "product",
                    half.Item3,
                    1,
                    SeededOrder.Total / 2,
                    "standard",
                ]
        );
        await Copy(
            database,
            "order_legs (order_id, position, seller_id, stripe_account_id, transfer_id, gross, fee)",
            halves,
            half =>
                [
                    half.order.Id,
                    half.Item2,
                    half.Item3,
                    $"acct_{half.Item3}",
                    Guid.CreateVersion7(),
                    SeededOrder.Total / 2,
                    SeededOrder.Total / 20,
                ]
        );
        return orders;
    }

    /// <summary>Every order's refund as submitted, its amount reserved, its transfers as sent.</summary>
    public static async Task Refunds(NpgsqlConnection database, List<SeededOrder> orders)
    {
        await Execute(
            database,
            """
            update seller_transfers set status = 'completed', stripe_transfer_id = 'tr_' || replace(id::text, '-', ''),
                generation = 0, sends = 0, first_sent_at = null, move = null, due_at = null, waiting_for = null;
            update order_legs set reserved = gross;
            """
        );
        await using var insert = new NpgsqlCommand(
            """
            insert into refunds (id, order_id, provider_refund_id, amount, currency, scope, line_ids, share_sellers,
                share_amounts, status, sent_at, sends, due_at, created_at, updated_at)
            select r.*, $4, 'EUR', 'rest', '{}', '{ada,bob}', array[$4 / 2, $4 / 2], 'submitted', now(), 1,
                now() + interval '1 day', now(), now()
            from unnest($1, $2, $3) as r
            """,
            database
        );
        insert.Parameters.AddWithValue(orders.Select(order => order.Refund).ToArray());
        insert.Parameters.AddWithValue(orders.Select(order => order.Id).ToArray());
        insert.Parameters.AddWithValue(orders.Select(order => order.RefundName).ToArray());
        insert.Parameters.AddWithValue(SeededOrder.Total);
        insert.CommandTimeout = 300;
        await insert.ExecuteNonQueryAsync();
    }

    /// <summary>Received and on disk, waiting for their effect.</summary>
    public static Task Events(
        NpgsqlConnection database,
        IEnumerable<(string Id, string Type, string Body)> events
    ) =>
        Copy(
            database,
            "webhook_events (provider, event_id, type, object_id, body, received_at)",
            [.. events],
            received =>
                [
                    "hyperswitch",
                    received.Id,
                    received.Type,
                    "",
                    received.Body,
                    DateTimeOffset.UnixEpoch.AddYears(56),
                ]
        );

    public static async Task Execute(NpgsqlConnection database, string sql)
    {
        await using var command = new NpgsqlCommand(sql, database) { CommandTimeout = 300 };
        await command.ExecuteNonQueryAsync();
    }

    public static async Task<long> Count(NpgsqlConnection database, string sql)
    {
        await using var command = new NpgsqlCommand(sql, database) { CommandTimeout = 300 };
        return await command.ExecuteScalarAsync() is long count ? count : 0;
    }

    static async Task Copy<T>(
        NpgsqlConnection database,
        string table,
        IReadOnlyList<T> rows,
        Func<T, object[]> columns
    )
    {
        await using var writer = await database.BeginBinaryImportAsync(
            $"copy {table} from stdin (format binary)"
        );
        foreach (var row in rows)
        {
            await writer.StartRowAsync();
            foreach (var value in columns(row))
            {
                await Write(writer, value);
            }
        }

        await writer.CompleteAsync();
    }

    static Task Write(NpgsqlBinaryImporter writer, object value) =>
        value switch
        {
            Guid id => writer.WriteAsync(id, NpgsqlDbType.Uuid),
            string text => writer.WriteAsync(text, NpgsqlDbType.Text),
            long number => writer.WriteAsync(number, NpgsqlDbType.Bigint),
            int number => writer.WriteAsync(number, NpgsqlDbType.Integer),
            DateTimeOffset time => writer.WriteAsync(time, NpgsqlDbType.TimestampTz),
            _ => throw new ArgumentOutOfRangeException(nameof(value)),
        };
}
