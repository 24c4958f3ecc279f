using Npgsql;
using Veza.Domain;
using Veza.Domain.Deposits;

namespace Veza.Adapters.Postgres.Repositories;

/// <summary>Buyers' money outside of the books of orders.</summary>
static class DepositRepository
{
    internal const string Columns = """
        d.id, d.payment_id, d.order_id, d.subscription_id, d.period, d.try, d.amount, d.currency, d.withdrawal_names,
        d.withdrawal_amounts, d.withdrawal_words, d.taken, d.status, d.stray, d.since, d.refused, d.sent_at, d.sends,
        d.return_amount, d.due_at, d.trouble_code, d.trouble_message, d.version
        """;

    public static async Task<Dictionary<Guid, Versioned<Deposit>>> Load(
        PostgresTransaction session,
        IReadOnlyCollection<Guid> ids,
        CancellationToken cancellation
    ) =>
        (await Load(session, "id = any($1)", Reading.Uuids(ids), cancellation)).ToDictionary(deposit =>
            deposit.Value.Id.Value
        );

    public static async Task<Dictionary<string, Versioned<Deposit>>> LoadOf(
        PostgresTransaction session,
        IReadOnlyCollection<string> paymentIds,
        CancellationToken cancellation
    ) =>
        (await Load(session, "payment_id = any($1)", Reading.Texts(paymentIds), cancellation)).ToDictionary(
            deposit => deposit.Value.Payment
        );

    static async Task<List<Versioned<Deposit>>> Load(
        PostgresTransaction session,
        string where,
        NpgsqlParameter parameter,
        CancellationToken cancellation
    )
    {
        await using var command = session.Command(
            $"select {Columns} from deposits d where {where} order by id for update"
        );
        command.Parameters.Add(parameter);
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        return await reader.All(From, cancellation);
    }

    /// <summary>Those to be given back or asked about, taken for the length of a lease.</summary>
    public static Task<List<Versioned<Deposit>>> Claim(
        NpgsqlDataSource database,
        int most,
        DateTimeOffset now,
        TimeSpan lease,
        CancellationToken cancellation
    ) =>
        Leases.Take(
            database,
            "deposits as d",
            "status in ('to_confirm', 'returning')",
            Columns,
            From,
            most,
            now,
            lease,
            cancellation
        );

    public static void Write(NpgsqlBatch batch, RowCountGuard guard, Changes changes, DateTimeOffset now)
    {
        foreach (var change in changes.Deposits.Values)
        {
            var row = change.After.ToRow();
            var command = guard.Expecting(batch, "deposit", 1);
            if (change.Before is { } before)
            {
                command.CommandText = """
                    update deposits
                    set amount = $2, withdrawal_names = $3, withdrawal_amounts = $4, withdrawal_words = $5, taken = $6,
                        refused = $7, status = $8, stray = $9, since = $10, sent_at = $11, sends = $12,
                        return_amount = $13, due_at = $14, trouble_code = $15, trouble_message = $16,
                        version = version + 1, updated_at = $17
                    where id = $1 and status = $18 and version = $19
                    """;
                AddState(command, row, now);
                command.Parameters.AddWithValue(before.Value.Status.Word());
                command.Parameters.AddWithValue(before.Version);
            }
            else
            {
                command.CommandText = """
                    insert into deposits (id, amount, withdrawal_names, withdrawal_amounts, withdrawal_words, taken, refused,
                        status, stray, since, sent_at, sends, return_amount, due_at, trouble_code, trouble_message,
                        created_at, updated_at, payment_id, order_id, subscription_id, period, try, currency)
                    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $17, $18, $19, $20,
                        $21, $22, $23)
                    """;
                AddState(command, row, now);
                command.Parameters.AddWithValue(row.PaymentId);
                command.Parameters.Add(Reading.Uuid(row.OrderId));
                command.Parameters.Add(Reading.Uuid(row.SubscriptionId));
                command.Parameters.Add(Reading.Integer(row.Period));
                command.Parameters.Add(Reading.Integer(row.Try));
                command.Parameters.AddWithValue(row.Currency);
            }
        }
    }

    static void AddState(NpgsqlBatchCommand command, DepositRow row, DateTimeOffset now)
    {
        command.Parameters.AddWithValue(row.Id);
        command.Parameters.AddWithValue(row.Amount);
        command.Parameters.AddWithValue(row.WithdrawalNames);
        command.Parameters.AddWithValue(row.WithdrawalAmounts);
        command.Parameters.AddWithValue(row.WithdrawalWords);
        command.Parameters.AddWithValue(row.Taken);
        command.Parameters.AddWithValue(row.Refused);
        command.Parameters.AddWithValue(row.Status);
        command.Parameters.Add(Reading.Text(row.Stray));
        command.Parameters.Add(Reading.At(row.Since));
        command.Parameters.Add(Reading.At(row.SentAt));
        command.Parameters.AddWithValue(row.Sends);
        command.Parameters.Add(Reading.Bigint(row.ReturnAmount));
        command.Parameters.Add(Reading.At(row.DueAt));
        command.Parameters.Add(Reading.Text(row.TroubleCode));
        command.Parameters.Add(Reading.Text(row.TroubleMessage));
        command.Parameters.Add(Reading.At(now));
    }

    internal static Versioned<Deposit> From(NpgsqlDataReader reader) =>
        new DepositRow(
            id: reader.GetGuid(0),
            paymentId: reader.GetString(1),
            orderId: reader.GuidOrNull(2),
            subscriptionId: reader.GuidOrNull(3),
            period: reader.IsDBNull(4) ? null : reader.GetInt32(4),
            @try: reader.IsDBNull(5) ? null : reader.GetInt32(5),
            amount: reader.GetInt64(6),
            currency: reader.GetString(7),
            withdrawalNames: reader.GetFieldValue<string[]>(8),
            withdrawalAmounts: reader.GetFieldValue<long[]>(9),
            withdrawalWords: reader.GetFieldValue<string[]>(10),
            taken: reader.GetInt64(11),
            status: reader.GetString(12),
            stray: reader.TextOrNull(13),
            since: reader.TimeOrNull(14),
            refused: reader.GetInt32(15),
            sentAt: reader.TimeOrNull(16),
            sends: reader.GetInt32(17),
            returnAmount: reader.IsDBNull(18) ? null : reader.GetInt64(18),
            dueAt: reader.TimeOrNull(19),
            troubleCode: reader.TextOrNull(20),
            troubleMessage: reader.TextOrNull(21)
        )
            .ToDeposit()
            .Stored(reader.GetInt32(22));
}
