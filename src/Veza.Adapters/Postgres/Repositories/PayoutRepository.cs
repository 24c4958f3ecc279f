using Npgsql;
using Veza.Domain;
using Veza.Domain.Payouts;
using Veza.Domain.Reconciliation;

namespace Veza.Adapters.Postgres.Repositories;

/// <summary>Sellers' payouts.</summary>
static class PayoutRepository
{
    const string Columns = """
        p.id, p.seller_id, p.stripe_account_id, p.amount, p.currency, p.status, p.stripe_payout_id, p.generation,
        p.sends, p.first_sent_at, p.move, p.retry_count, p.due_at, p.waiting_for, p.failure_cause, p.failure_code,
        p.failure_message, p.version, p.waiting_since
        """;

    public static async Task<Dictionary<Guid, Versioned<Payout>>> Load(
        PostgresTransaction session,
        IReadOnlyCollection<Guid> ids,
        CancellationToken cancellation
    )
    {
        await using var command = session.Command(
            $"select {Columns} from payouts p where id = any($1) order by id for update"
        );
        command.Parameters.Add(Reading.Uuids(ids));
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        return (await reader.All(From, cancellation)).ToDictionary(payout => payout.Value.Id.Value);
    }

    /// <summary>Those in which anything happened since then, with the time of it; without locks.</summary>
    public static async Task<List<Line<Payout>>> Touched(
        NpgsqlDataSource database,
        DateTimeOffset since,
        CancellationToken cancellation
    )
    {
        await using var command = database.CreateCommand(
            $"""
            select {Columns}, p.updated_at from payouts p
            where id in (select entity_id from transitions where at >= $1 and entity = 'payout')
            """
        );
        command.Parameters.Add(Reading.At(since));
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        return await reader.All(row => new Line<Payout>(From(row).Value, row.Time(19)), cancellation);
    }

    /// <summary>
    /// Payouts whose time has come, each for one worker at a time. The domain's own claim is written, so a request that
    /// is about to leave is on disk before it does.
    /// </summary>
    public static async Task<List<Versioned<Payout>>> Claim(
        NpgsqlDataSource database,
        int most,
        PayoutRules rules,
        DateTimeOffset now,
        CancellationToken cancellation
    )
    {
        await using var session = await PostgresTransaction.Begin(database, cancellation);
        List<Versioned<Payout>> due;
        await using (
            var command = session.Command(
                $"""
                select {Columns} from payouts p
                where status in ('requested', 'pending', 'in_transit') and due_at <= $1
                order by due_at limit $2 for update skip locked
                """
            )
        )
        {
            command.Parameters.Add(Reading.At(now));
            command.Parameters.AddWithValue(most);
            await using var reader = await command.ExecuteReaderAsync(cancellation);
            due = await reader.All(From, cancellation);
        }

        if (due.Count == 0)
        {
            return due;
        }

        var claimed = due.Select(payout => (Before: payout, After: payout.Value.Claimed(rules, now)))
            .ToList();
        await using var batch = session.Batch();
        var guard = new RowCountGuard();
        Update(batch, guard, claimed, now);
        await batch.ExecuteNonQueryAsync(cancellation);
        guard.Check();
        await session.Commit(cancellation);
        return [.. claimed.Select(change => new Versioned<Payout>(change.After, change.Before.Version + 1))];
    }

    public static void Write(NpgsqlBatch batch, RowCountGuard guard, Changes changes, DateTimeOffset now)
    {
        var inserted = changes
            .Payouts.Values.Where(change => change.Before is null)
            .Select(change => change.After.ToRow())
            .ToList();
        if (inserted.Count > 0)
        {
            var command = new NpgsqlBatchCommand(
                """
                insert into payouts (id, seller_id, stripe_account_id, amount, currency, status, generation, sends,
                    first_sent_at, move, retry_count, due_at, waiting_for, waiting_since, created_at, updated_at)
                select c.*, $15, $15
                from unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) as c
                """
            );
            new Columns<PayoutRow>(command, inserted)
                .Uuid(row => row.Id)
                .Text(row => row.SellerId)
                .Text(row => row.StripeAccountId)
                .Bigint(row => row.Amount)
                .Text(row => row.Currency)
                .Text(row => row.Status)
                .Integer(row => row.Generation)
                .Integer(row => row.Sends)
                .Time(row => row.FirstSentAt)
                .Text(row => row.Move)
                .Integer(row => row.RetryCount)
                .Time(row => row.DueAt)
                .Text(row => row.WaitingFor)
                .Time(row => row.WaitingSince);
            command.Parameters.Add(Reading.At(now));
            batch.BatchCommands.Add(command);
        }

        var updated = changes
            .Payouts.Values.Where(change => change.Before is not null)
            .Select(change => (change.Before!, change.After))
            .ToList();
        if (updated.Count > 0)
        {
            Update(batch, guard, updated, now);
        }
    }

    static void Update(
        NpgsqlBatch batch,
        RowCountGuard guard,
        List<(Versioned<Payout> Before, Payout After)> updated,
        DateTimeOffset now
    )
    {
        var command = guard.Expecting(batch, "payout", updated.Count);
        command.CommandText = """
            update payouts p
            set status = c.status, stripe_payout_id = c.stripe_payout_id, generation = c.generation,
                sends = c.sends, first_sent_at = c.first_sent_at, move = c.move, retry_count = c.retry_count,
                due_at = c.due_at, waiting_for = c.waiting_for, failure_cause = c.failure_cause,
                failure_code = c.failure_code, failure_message = c.failure_message,
                waiting_since = c.waiting_since, version = p.version + 1, updated_at = $17
            from unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) as c
                (id, from_status, version, status, stripe_payout_id, generation, sends, first_sent_at, move,
                retry_count, due_at, waiting_for, failure_cause, failure_code, failure_message, waiting_since)
            where p.id = c.id and p.status = c.from_status and p.version = c.version
            """;
        new Columns<(Versioned<Payout> Before, PayoutRow Row)>(
            command,
            [.. updated.Select(change => (change.Before, change.After.ToRow()))]
        )
            .Uuid(change => change.Row.Id)
            .Text(change => change.Before.Value.Status.Word())
            .Integer(change => change.Before.Version)
            .Text(change => change.Row.Status)
            .Text(change => change.Row.StripePayoutId)
            .Integer(change => change.Row.Generation)
            .Integer(change => change.Row.Sends)
            .Time(change => change.Row.FirstSentAt)
            .Text(change => change.Row.Move)
            .Integer(change => change.Row.RetryCount)
            .Time(change => change.Row.DueAt)
            .Text(change => change.Row.WaitingFor)
            .Text(change => change.Row.FailureCause)
            .Text(change => change.Row.FailureCode)
            .Text(change => change.Row.FailureMessage)
            .Time(change => change.Row.WaitingSince);
        command.Parameters.Add(Reading.At(now));
    }

    static Versioned<Payout> From(NpgsqlDataReader reader) =>
        new PayoutRow(
            id: reader.GetGuid(0),
            sellerId: reader.GetString(1),
            stripeAccountId: reader.GetString(2),
            amount: reader.GetInt64(3),
            currency: reader.GetString(4),
            status: reader.GetString(5),
            stripePayoutId: reader.TextOrNull(6),
            generation: reader.GetInt32(7),
            sends: reader.GetInt32(8),
            firstSentAt: reader.TimeOrNull(9),
            move: reader.TextOrNull(10),
            retryCount: reader.GetInt32(11),
            dueAt: reader.TimeOrNull(12),
            waitingFor: reader.TextOrNull(13),
            failureCause: reader.TextOrNull(14),
            failureCode: reader.TextOrNull(15),
            failureMessage: reader.TextOrNull(16),
            waitingSince: reader.TimeOrNull(18)
        )
            .ToPayout()
            .Stored(reader.GetInt32(17));
}
