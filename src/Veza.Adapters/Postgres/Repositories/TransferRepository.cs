using Npgsql;
using Veza.Domain;
using Veza.Domain.Orders;
using Veza.Domain.Transfers;

namespace Veza.Adapters.Postgres.Repositories;

/// <summary>Sellers' transfers with their reversals, many at a time.</summary>
static class TransferRepository
{
    public const string Columns = """
        t.id, t.order_id, t.seller_id, t.stripe_account_id, t.currency, t.amount, t.status, t.stripe_transfer_id,
        t.generation, t.sends, t.first_sent_at, t.move, t.retry_count, t.due_at, t.waiting_for, t.given_up,
        t.trouble_cause, t.trouble_code, t.trouble_message, t.taking, t.adopted, t.compensates, t.foreign_amount,
        t.version, t.correlation, t.waiting_since
        """;

    const string Reversals = """
        select transfer_id, refund_id, position, amount, adopted_amount, status, stripe_reversal_id, kept
        from seller_transfer_reversals where transfer_id
        """;

    /// <summary>Locked in the order of their ids, so that two batches never wait for each other.</summary>
    public static Task<Dictionary<Guid, Versioned<Transfer>>> Load(
        PostgresTransaction session,
        IReadOnlyCollection<Guid> ids,
        CancellationToken cancellation
    ) => Load(session, "t.id = any($1)", [Reading.Uuids(ids)], cancellation);

    /// <summary>
    /// The sellers' shares of these orders, what made good for refunds of theirs that failed, and others by their ids.
    /// </summary>
    public static Task<Dictionary<Guid, Versioned<Transfer>>> LoadOf(
        PostgresTransaction session,
        IReadOnlyCollection<Order> orders,
        IReadOnlyCollection<Guid> others,
        CancellationToken cancellation
    ) =>
        Load(
            session,
            "(t.id = any($1) or (t.order_id = any($2) and t.compensates is not null))",
            [
                Reading.Uuids(
                    orders.SelectMany(order => order.Legs).Select(leg => leg.Transfer.Value).Concat(others)
                ),
                Reading.Uuids(orders.Select(order => order.Id.Value)),
            ],
            cancellation
        );

    /// <summary>Which of our transfers these are at Stripe.</summary>
    public static async Task<Dictionary<string, Guid>> Named(
        PostgresTransaction session,
        IReadOnlyCollection<string> stripeIds,
        CancellationToken cancellation
    )
    {
        await using var command = session.Command(
            """
            select stripe_transfer_id, id from seller_transfers
            where stripe_transfer_id = any($1) and stripe_transfer_id <> ''
            """
        );
        command.Parameters.Add(Reading.Texts(stripeIds));
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        var found = new Dictionary<string, Guid>();
        while (await reader.ReadAsync(cancellation))
        {
            found.Add(reader.GetString(0), reader.GetGuid(1));
        }

        return found;
    }

    /// <summary>Those that wait for a balance to be filled: an account's, or the platform's where it is null.</summary>
    public static async Task<List<Guid>> WaitingForFunds(
        NpgsqlDataSource database,
        string? account,
        int most,
        DateTimeOffset now,
        CancellationToken cancellation
    )
    {
        await using var command = database.CreateCommand(
            """
            select id from seller_transfers
            where waiting_for = case when $3::text is null then 'platform_funds' else 'seller_funds' end
                -- Lets PostgreSQL find the partial index of what waits for funds.
                and waiting_for in ('seller_funds', 'platform_funds')
                and ($3::text is null or stripe_account_id = $3) and due_at > $1
            limit $2
            """
        );
        command.Parameters.Add(Reading.At(now));
        command.Parameters.AddWithValue(most);
        command.Parameters.Add(Reading.Text(account));
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        return await reader.All(row => row.GetGuid(0), cancellation);
    }

    static async Task<Dictionary<Guid, Versioned<Transfer>>> Load(
        PostgresTransaction session,
        string where,
        NpgsqlParameter[] parameters,
        CancellationToken cancellation
    )
    {
        await using var batch = session.Batch();
        var locking = new NpgsqlBatchCommand(
            $"select {Columns} from seller_transfers t where {where} order by t.id for update"
        );
        var claims = new NpgsqlBatchCommand(
            $"{Reversals} in (select t.id from seller_transfers t where {where})"
        );
        foreach (var parameter in parameters)
        {
            locking.Parameters.Add(parameter);
            claims.Parameters.Add(parameter.Clone());
        }

        batch.BatchCommands.Add(locking);
        batch.BatchCommands.Add(claims);
        await using var reader = await batch.ExecuteReaderAsync(cancellation);
        var rows = await reader.All(From, cancellation);

        var reversals = await reader.Group(ReversalFrom, cancellation);
        return Assemble(rows, reversals).ToDictionary(transfer => transfer.Value.Id.Value);
    }

    public static async Task<Dictionary<Guid, List<ReversalRow>>> LoadReversals(
        NpgsqlConnection connection,
        IEnumerable<Guid> ids,
        CancellationToken cancellation
    )
    {
        await using var batch = new NpgsqlBatch(connection);
        batch.BatchCommands.Add(new("select 1"));
        batch.BatchCommands.Add(new($"{Reversals} = any($1)") { Parameters = { Reading.Uuids(ids) } });
        await using var reader = await batch.ExecuteReaderAsync(cancellation);
        return await reader.Group(ReversalFrom, cancellation);
    }

    public static IEnumerable<Versioned<Transfer>> Assemble(
        IEnumerable<(TransferRow Row, int Version, string? Correlation)> rows,
        Dictionary<Guid, List<ReversalRow>> reversals
    ) =>
        rows.Select(row =>
            row.Row.ToTransfer(reversals.GetValueOrDefault(row.Row.Id, [])).Stored(row.Version) with
            {
                Correlation = row.Correlation,
            }
        );

    public static void Write(NpgsqlBatch batch, RowCountGuard guard, Changes changes, DateTimeOffset now)
    {
        var inserted = changes
            .Transfers.Values.Where(change => change.Before is null)
            .Select(change => (Row: change.After.ToRow(), change.Correlation))
            .ToList();
        if (inserted.Count > 0)
        {
            var command = new NpgsqlBatchCommand(
                """
                insert into seller_transfers (id, order_id, seller_id, stripe_account_id, currency, amount, status,
                    generation, sends, move, retry_count, due_at, waiting_for, waiting_since, compensates, correlation,
                    created_at, updated_at)
                select c.*, $17, $17
                from unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) as c
                """
            );
            new Columns<(TransferRow Row, string? Correlation)>(command, inserted)
                .Uuid(change => change.Row.Id)
                .Uuid(change => change.Row.OrderId)
                .Text(change => change.Row.SellerId)
                .Text(change => change.Row.StripeAccountId)
                .Text(change => change.Row.Currency)
                .Bigint(change => change.Row.Amount)
                .Text(change => change.Row.Status)
                .Integer(change => change.Row.Generation)
                .Integer(change => change.Row.Sends)
                .Text(change => change.Row.Move)
                .Integer(change => change.Row.RetryCount)
                .Time(change => change.Row.DueAt)
                .Text(change => change.Row.WaitingFor)
                .Time(change => change.Row.WaitingSince)
                .OptionalUuid(change => change.Row.Compensates)
                .Text(change => change.Correlation);
            command.Parameters.Add(Reading.At(now));
            batch.BatchCommands.Add(command);
        }

        var updated = changes
            .Transfers.Values.Where(change => change.Before is not null)
            .Select(change => (change.Before!, Row: change.After.ToRow(), change.Correlation))
            .ToList();
        if (updated.Count > 0)
        {
            Update(guard.Expecting(batch, "transfer", updated.Count), updated, now);
        }

        WriteReversals(batch, changes, now);
    }

    static void Update(
        NpgsqlBatchCommand command,
        List<(Versioned<Transfer> Before, TransferRow Row, string? Correlation)> updated,
        DateTimeOffset now
    )
    {
        command.CommandText = """
            update seller_transfers t
            set status = c.status, stripe_transfer_id = c.stripe_transfer_id, generation = c.generation,
                sends = c.sends, first_sent_at = c.first_sent_at, move = c.move, retry_count = c.retry_count,
                due_at = c.due_at, waiting_for = c.waiting_for, given_up = c.given_up,
                trouble_cause = c.trouble_cause, trouble_code = c.trouble_code,
                trouble_message = c.trouble_message, taking = c.taking, adopted = c.adopted,
                foreign_amount = c.foreign_amount, stripe_account_id = c.stripe_account_id,
                waiting_since = c.waiting_since, correlation = coalesce(c.correlation, t.correlation),
                version = t.version + 1, updated_at = $23
            from unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20,
                $21, $22)
                as c (id, from_status, version, status, stripe_transfer_id, generation, sends, first_sent_at, move,
                retry_count, due_at, waiting_for, given_up, trouble_cause, trouble_code, trouble_message, taking,
                adopted, foreign_amount, stripe_account_id, waiting_since, correlation)
            where t.id = c.id and t.status = c.from_status and t.version = c.version
            """;
        new Columns<(Versioned<Transfer> Before, TransferRow Row, string? Correlation)>(command, updated)
            .Uuid(change => change.Row.Id)
            .Text(change => change.Before.Value.Status.Word())
            .Integer(change => change.Before.Version)
            .Text(change => change.Row.Status)
            .Text(change => change.Row.StripeTransferId)
            .Integer(change => change.Row.Generation)
            .Integer(change => change.Row.Sends)
            .Time(change => change.Row.FirstSentAt)
            .Text(change => change.Row.Move)
            .Integer(change => change.Row.RetryCount)
            .Time(change => change.Row.DueAt)
            .Text(change => change.Row.WaitingFor)
            .Text(change => change.Row.GivenUp)
            .Text(change => change.Row.TroubleCause)
            .Text(change => change.Row.TroubleCode)
            .Text(change => change.Row.TroubleMessage)
            .OptionalUuid(change => change.Row.Taking)
            .Bigint(change => change.Row.Adopted)
            .Bigint(change => change.Row.Foreign)
            .Text(change => change.Row.StripeAccountId)
            .Time(change => change.Row.WaitingSince)
            .Text(change => change.Correlation);
        command.Parameters.Add(Reading.At(now));
    }

    /// <summary>The transfer's guard covers its reversals.</summary>
    static void WriteReversals(NpgsqlBatch batch, Changes changes, DateTimeOffset now)
    {
        var moved = changes
            .Transfers.Values.SelectMany(change =>
                change.Before is null
                    ? change.After.ToReversalRows()
                    : change.After.ToReversalRows().Except(change.Before.Value.ToReversalRows())
            )
            .ToList();
        if (moved.Count == 0)
        {
            return;
        }

        var command = new NpgsqlBatchCommand(
            """
            insert into seller_transfer_reversals as r (transfer_id, refund_id, position, amount, adopted_amount,
                status, stripe_reversal_id, kept, created_at, updated_at)
            select c.*, $9, $9 from unnest($1, $2, $3, $4, $5, $6, $7, $8) as c
            on conflict (transfer_id, refund_id) do update
            set position = excluded.position, adopted_amount = excluded.adopted_amount, status = excluded.status,
                stripe_reversal_id = excluded.stripe_reversal_id, kept = excluded.kept, updated_at = excluded.updated_at
            """
        );
        new Columns<ReversalRow>(command, moved)
            .Uuid(row => row.TransferId)
            .Uuid(row => row.RefundId)
            .Integer(row => row.Position)
            .Bigint(row => row.Amount)
            .Bigint(row => row.AdoptedAmount)
            .Text(row => row.Status)
            .Text(row => row.StripeReversalId)
            .OptionalBigint(row => row.Kept);
        command.Parameters.Add(Reading.At(now));
        batch.BatchCommands.Add(command);
    }

    public static (TransferRow Row, int Version, string? Correlation) From(NpgsqlDataReader reader) =>
        (
            new TransferRow(
                id: reader.GetGuid(0),
                orderId: reader.GetGuid(1),
                sellerId: reader.GetString(2),
                stripeAccountId: reader.GetString(3),
                currency: reader.GetString(4),
                amount: reader.GetInt64(5),
                compensates: reader.GuidOrNull(21),
                status: reader.GetString(6),
                stripeTransferId: reader.TextOrNull(7),
                generation: reader.GetInt32(8),
                sends: reader.GetInt32(9),
                firstSentAt: reader.TimeOrNull(10),
                move: reader.TextOrNull(11),
                retryCount: reader.GetInt32(12),
                dueAt: reader.TimeOrNull(13),
                waitingFor: reader.TextOrNull(14),
                givenUp: reader.TextOrNull(15),
                troubleCause: reader.TextOrNull(16),
                troubleCode: reader.TextOrNull(17),
                troubleMessage: reader.TextOrNull(18),
                taking: reader.GuidOrNull(19),
                adopted: reader.GetInt64(20),
                foreign: reader.GetInt64(22),
                waitingSince: reader.TimeOrNull(25)
            ),
            reader.GetInt32(23),
            reader.TextOrNull(24)
        );

    static ReversalRow ReversalFrom(NpgsqlDataReader reader) =>
        new(
            transferId: reader.GetGuid(0),
            refundId: reader.GetGuid(1),
            position: reader.GetInt32(2),
            amount: reader.GetInt64(3),
            adoptedAmount: reader.GetInt64(4),
            status: reader.GetString(5),
            stripeReversalId: reader.TextOrNull(6),
            kept: reader.IsDBNull(7) ? null : reader.GetInt64(7)
        );
}
