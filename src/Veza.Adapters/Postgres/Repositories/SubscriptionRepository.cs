using Npgsql;
using Veza.Domain;
using Veza.Domain.Subscriptions;

namespace Veza.Adapters.Postgres.Repositories;

/// <summary>Subscriptions, and the payments of their periods in Hyperswitch's own words.</summary>
static class SubscriptionRepository
{
    public static async Task<Dictionary<Guid, Versioned<Subscription>>> Load(
        PostgresTransaction session,
        IReadOnlyCollection<Guid> ids,
        CancellationToken cancellation
    )
    {
        await using var command = session.Command(
            """
            select id, subscriber_id, plan_code, amount, currency, interval, since, status, period, retries, is_open,
                due_at, past_due_since, paid_period, paid_try, paid_until, version
            from subscriptions where id = any($1) order by id for update
            """
        );
        command.Parameters.Add(Reading.Uuids(ids));
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        return (await reader.All(From, cancellation)).ToDictionary(found => found.Value.Id.Value);
    }

    /// <summary>
    /// Those whose time has come, oldest first. Nothing is taken: whoever loads one first moves its time on, and the
    /// next finds that it is no longer due.
    /// </summary>
    public static async Task<List<Guid>> Due(
        NpgsqlDataSource database,
        int most,
        DateTimeOffset now,
        CancellationToken cancellation
    )
    {
        await using var command = database.CreateCommand(
            """
            select id from subscriptions
            where status in ('pending_payment', 'active', 'past_due') and due_at <= $1 order by due_at limit $2
            """
        );
        command.Parameters.Add(Reading.At(now));
        command.Parameters.AddWithValue(most);
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        return await reader.All(row => row.GetGuid(0), cancellation);
    }

    public static async Task<Dictionary<string, KnownCharge>> ChargesNamed(
        PostgresTransaction session,
        IReadOnlyCollection<string> paymentIds,
        CancellationToken cancellation
    )
    {
        await using var command = session.Command(
            """
            select payment_id, subscription_id, period, try from subscription_payments where payment_id = any($1)
            union all
            select connector_payment_id, subscription_id, period, try
            from subscription_payments where connector_payment_id = any($1)
            """
        );
        command.Parameters.Add(Reading.Texts(paymentIds));
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        var charges = await reader.All(
            row =>
                (
                    Name: row.GetString(0),
                    Is: new KnownCharge(row.GetGuid(1), new Payment(row.GetInt32(2), row.GetInt32(3)))
                ),
            cancellation
        );
        return charges.ToDictionary(charge => charge.Name, charge => charge.Is);
    }

    /// <summary>Written down before the charge is sent.</summary>
    public static async Task IntendCharge(
        PostgresTransaction session,
        Subscription subscription,
        DateTimeOffset now,
        CancellationToken cancellation
    )
    {
        var row = subscription.ToRow();
        await using var command = session.Command(
            """
            insert into subscription_payments (payment_id, subscription_id, period, try, created_at, updated_at)
            values ($1, $2, $3, $4, $5, $5) on conflict do nothing
            """
        );
        command.Parameters.AddWithValue(PaymentId.ForPeriod(subscription.Id, row.Period, row.Retries).Value);
        command.Parameters.AddWithValue(row.Id);
        command.Parameters.AddWithValue(row.Period);
        command.Parameters.AddWithValue(row.Retries);
        command.Parameters.Add(Reading.At(now));
        await command.ExecuteNonQueryAsync(cancellation);
    }

    /// <summary>The provider's own word on these payments; what was paid with pays the periods to come.</summary>
    public static async Task WriteCharges(
        PostgresTransaction session,
        IReadOnlyList<ProviderPayment> payments,
        DateTimeOffset now,
        CancellationToken cancellation
    )
    {
        await using var command = session.Command(
            """
            with said as (
                update subscription_payments p
                set provider_status = c.status, error_code = c.error_code, error_message = c.error_message,
                    client_secret = coalesce(p.client_secret, c.client_secret),
                    connector_payment_id = coalesce(c.connector_payment, p.connector_payment_id), updated_at = $8
                from unnest($1, $2, $3, $4, $5, $6, $7) as c (payment_id, status, error_code, error_message,
                    client_secret, payment_method, connector_payment)
                where p.payment_id = c.payment_id and p.provider_status is distinct from 'succeeded'
                returning p.subscription_id, c.status, c.payment_method)
            update subscriptions s set payment_method_id = said.payment_method
            from said where s.id = said.subscription_id and said.payment_method is not null
                and said.status = 'succeeded'
            """
        );
        command.Parameters.Add(Reading.Texts(payments.Select(payment => payment.PaymentId)));
        command.Parameters.Add(Reading.Texts(payments.Select(payment => payment.Status)));
        command.Parameters.Add(Reading.Texts(payments.Select(payment => payment.ErrorCode)));
        command.Parameters.Add(Reading.Texts(payments.Select(payment => payment.ErrorMessage)));
        command.Parameters.Add(Reading.Texts(payments.Select(payment => payment.ClientSecret)));
        command.Parameters.Add(Reading.Texts(payments.Select(payment => payment.PaymentMethod)));
        command.Parameters.Add(Reading.Texts(payments.Select(payment => payment.ConnectorPayment)));
        command.Parameters.Add(Reading.At(now));
        await command.ExecuteNonQueryAsync(cancellation);
    }

    public static async Task<string?> PaymentMethod(
        PostgresTransaction session,
        Guid subscription,
        CancellationToken cancellation
    )
    {
        await using var command = session.Command(
            "select payment_method_id from subscriptions where id = $1"
        );
        command.Parameters.AddWithValue(subscription);
        return await command.ExecuteScalarAsync(cancellation) as string;
    }

    public static void Write(NpgsqlBatch batch, RowCountGuard guard, Changes changes, DateTimeOffset now)
    {
        foreach (var change in changes.Subscriptions.Values)
        {
            var row = change.After.ToRow();
            var command = guard.Expecting(batch, "subscription", 1);
            if (change.Before is { } before)
            {
                command.CommandText = """
                    update subscriptions
                    set status = $2, period = $3, retries = $4, is_open = $5, due_at = $6, past_due_since = $7,
                        paid_period = $8, paid_try = $9, paid_until = $10, since = $11, version = version + 1,
                        updated_at = $12
                    where id = $1 and status = $13 and version = $14
                    """;
                Add(command, row, now);
                command.Parameters.AddWithValue(before.Value.Status.Word());
                command.Parameters.AddWithValue(before.Version);
            }
            else
            {
                command.CommandText = """
                    insert into subscriptions (id, status, period, retries, is_open, due_at, past_due_since, paid_period,
                        paid_try, paid_until, since, created_at, updated_at, subscriber_id, plan_code, amount, currency,
                        interval)
                    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12, $13, $14, $15, $16, $17)
                    """;
                Add(command, row, now);
                command.Parameters.AddWithValue(row.SubscriberId);
                command.Parameters.AddWithValue(row.PlanCode);
                command.Parameters.AddWithValue(row.Amount);
                command.Parameters.AddWithValue(row.Currency);
                command.Parameters.AddWithValue(row.Interval);
            }
        }
    }

    static void Add(NpgsqlBatchCommand command, SubscriptionRow row, DateTimeOffset now)
    {
        command.Parameters.AddWithValue(row.Id);
        command.Parameters.AddWithValue(row.Status);
        command.Parameters.AddWithValue(row.Period);
        command.Parameters.AddWithValue(row.Retries);
        command.Parameters.AddWithValue(row.IsOpen);
        command.Parameters.Add(Reading.At(row.DueAt));
        command.Parameters.Add(Reading.At(row.PastDueSince));
        command.Parameters.Add(Reading.Integer(row.PaidPeriod));
        command.Parameters.Add(Reading.Integer(row.PaidTry));
        command.Parameters.Add(Reading.At(row.PaidUntil));
        command.Parameters.Add(Reading.At(row.Since));
        command.Parameters.Add(Reading.At(now));
    }

    static Versioned<Subscription> From(NpgsqlDataReader reader) =>
        new SubscriptionRow(
            id: reader.GetGuid(0),
            subscriberId: reader.GetString(1),
            planCode: reader.GetString(2),
            amount: reader.GetInt64(3),
            currency: reader.GetString(4),
            interval: reader.GetString(5),
            since: reader.Time(6),
            status: reader.GetString(7),
            period: reader.GetInt32(8),
            retries: reader.GetInt32(9),
            isOpen: reader.GetBoolean(10),
            dueAt: reader.TimeOrNull(11),
            pastDueSince: reader.TimeOrNull(12),
            paidPeriod: reader.IsDBNull(13) ? null : reader.GetInt32(13),
            paidTry: reader.IsDBNull(14) ? null : reader.GetInt32(14),
            paidUntil: reader.TimeOrNull(15)
        )
            .ToSubscription()
            .Stored(reader.GetInt32(16));
}
