using Npgsql;
using Veza.Domain;
using Veza.Domain.Orders;

namespace Veza.Adapters.Postgres.Repositories;

/// <summary>What Hyperswitch answered for orders' payments, in its own words.</summary>
static class PaymentRepository
{
    public static async Task<List<DuePayment>> Claim(
        NpgsqlDataSource database,
        int most,
        DateTimeOffset now,
        TimeSpan after,
        TimeSpan lease,
        CancellationToken cancellation
    )
    {
        await using var command = database.CreateCommand(
            """
            update payments set due_at = $4
            where order_id = any(array(
                select order_id from payments where due_at <= $1 order by due_at limit $3 for update skip locked))
            returning order_id, $1 + greatest($2, ($1 - created_at) / 2)
            """
        );
        command.Parameters.Add(Reading.At(now));
        command.Parameters.Add(new NpgsqlParameter<TimeSpan> { TypedValue = after });
        command.Parameters.AddWithValue(most);
        command.Parameters.Add(Reading.At(now + lease));
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        return await reader.All(row => new DuePayment(row.GetGuid(0), row.Time(1)), cancellation);
    }

    public static async Task<Dictionary<string, Guid>> OrdersOf(
        PostgresTransaction session,
        IReadOnlyCollection<string> paymentIds,
        CancellationToken cancellation
    )
    {
        await using var command = session.Command(
            """
            select payment_id, order_id from payments where payment_id = any($1)
            union all
            select connector_payment_id, order_id from payments where connector_payment_id = any($1)
            """
        );
        command.Parameters.Add(Reading.Texts(paymentIds));
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        var found = new Dictionary<string, Guid>();
        while (await reader.ReadAsync(cancellation))
        {
            found[reader.GetString(0)] = reader.GetGuid(1);
        }

        return found;
    }

    public static async Task Intend(
        PostgresTransaction session,
        Order order,
        string? returnUrl,
        DateTimeOffset due,
        DateTimeOffset now,
        CancellationToken cancellation
    )
    {
        await using var command = session.Command(
            """
            insert into payments (order_id, payment_id, due_at, created_at, updated_at, return_url)
            values ($1, $2, $3, $4, $4, $5)
            on conflict (order_id) do update set due_at = excluded.due_at, updated_at = excluded.updated_at
            """
        );
        command.Parameters.AddWithValue(order.Id.Value);
        command.Parameters.AddWithValue(PaymentId.For(order.Id).Value);
        command.Parameters.Add(Reading.At(due));
        command.Parameters.Add(Reading.At(now));
        command.Parameters.AddWithValue(returnUrl ?? "");
        await command.ExecuteNonQueryAsync(cancellation);
    }

    public static async Task<string?> ReturnUrlOf(
        PostgresTransaction session,
        Guid orderId,
        CancellationToken cancellation
    )
    {
        await using var command = session.Command("select return_url from payments where order_id = $1");
        command.Parameters.AddWithValue(orderId);
        return await command.ExecuteScalarAsync(cancellation) as string;
    }

    public static async Task<KnownPayment?> Find(
        PostgresTransaction session,
        Guid orderId,
        CancellationToken cancellation
    )
    {
        await using var command = session.Command(
            "select payment_id, client_secret, provider_status from payments where order_id = $1"
        );
        command.Parameters.AddWithValue(orderId);
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        return await reader.ReadAsync(cancellation) && !reader.IsDBNull(1)
            ? new KnownPayment(reader.GetString(0), reader.GetString(1), reader.TextOrNull(2))
            : null;
    }

    public static async Task Write(
        PostgresTransaction session,
        IReadOnlyList<ProviderPayment> payments,
        DateTimeOffset now,
        CancellationToken cancellation
    )
    {
        await using var command = session.Command(
            """
            update payments p
            set provider_status = c.status, error_code = c.error_code, error_message = c.error_message,
                client_secret = coalesce(p.client_secret, c.client_secret),
                connector_payment_id = coalesce(c.connector_payment, p.connector_payment_id),
                due_at = case when c.status <> all($8) and (o.status in ('awaiting_payment', 'payment_failed')
                    or (o.status = 'cancelled' and c.status <> 'succeeded')) then p.due_at end,
                updated_at = $7
            from unnest($1, $2, $3, $4, $5, $6) as c (payment_id, status, error_code, error_message,
                client_secret, connector_payment), orders o
            where p.payment_id = c.payment_id and o.id = p.order_id
                and (p.provider_status, p.error_code) is distinct from ('succeeded', null)
            """
        );
        command.Parameters.Add(Reading.Texts(payments.Select(payment => payment.PaymentId)));
        command.Parameters.Add(Reading.Texts(payments.Select(payment => payment.Status)));
        command.Parameters.Add(Reading.Texts(payments.Select(payment => payment.ErrorCode)));
        command.Parameters.Add(Reading.Texts(payments.Select(payment => payment.ErrorMessage)));
        command.Parameters.Add(Reading.Texts(payments.Select(payment => payment.ClientSecret)));
        command.Parameters.Add(Reading.Texts(payments.Select(payment => payment.ConnectorPayment)));
        command.Parameters.Add(Reading.At(now));
        command.Parameters.Add(Reading.Texts(ProviderWords.over));
        await command.ExecuteNonQueryAsync(cancellation);
    }
}
