using Npgsql;
using NpgsqlTypes;

namespace Veza.Adapters.Postgres.Repositories;

/// <summary>The runs of reconciliation and what they found.</summary>
public sealed class ReconciliationRuns(NpgsqlDataSource database, TimeProvider clock)
{
    /// <summary>Which findings <c>f</c> somebody must look at, as <c>Difference.counts</c> says (a test compares them).</summary>
    public const string Counts = "(not f.healed and f.acknowledged_by is null and f.reason <> 'timing')";

    const string Run = $"""
        'id', r.id, 'status', r.verdict, 'trigger', r.trigger, 'actor', r.actor, 'heal', r.heal, 'since', r.since,
        'cut_off', r.cut_off, 'compared', r.compared, 'error', r.error, 'started_at', r.started_at,
        'finished_at', r.finished_at,
        'differences', (select count(*) from reconciliation_findings f
            where f.run_id = r.id and {Counts}),
        'healed', (select count(*) from reconciliation_findings f where f.run_id = r.id and f.healed)
        """;

    const string Findings = """
        (select coalesce(json_agg(json_build_object('reason', f.reason, 'entity', f.entity, 'entity_id', f.entity_id,
            'order_id', f.order_id, 'provider', f.provider, 'provider_id', f.provider_id, 'ours', f.ours,
            'theirs', f.theirs, 'remedy', f.remedy, 'healed', f.healed, 'acknowledged_by', f.acknowledged_by,
            'position', f.position) order by f.position), '[]')
        from reconciliation_findings f where f.run_id = r.id)
        """;

    public async Task Begin(
        Guid id,
        string trigger,
        string actor,
        bool heal,
        DateTimeOffset since,
        DateTimeOffset cutOff,
        CancellationToken cancellation
    )
    {
        await using var command = database.CreateCommand(
            """
            insert into reconciliation_runs (id, trigger, actor, heal, since, cut_off, verdict, started_at)
            values ($1, $2, $3, $4, $5, $6, 'running', $7) on conflict (id) do nothing
            """
        );
        command.Parameters.AddWithValue(id);
        command.Parameters.AddWithValue(trigger);
        command.Parameters.AddWithValue(actor);
        command.Parameters.AddWithValue(heal);
        command.Parameters.Add(Reading.At(since));
        command.Parameters.Add(Reading.At(cutOff));
        command.Parameters.Add(Reading.At(clock.GetUtcNow()));
        await command.ExecuteNonQueryAsync(cancellation);
    }

    /// <param name="verdict"><c>agree</c>, <c>differ</c> or <c>failed</c>.</param>
    public async Task End(
        Guid id,
        string verdict,
        string compared,
        string? error,
        IReadOnlyList<Finding> findings,
        CancellationToken cancellation
    )
    {
        await using var connection = await database.OpenConnectionAsync(cancellation);
        await using var batch = new NpgsqlBatch(connection);
        var ended = new NpgsqlBatchCommand(
            """
            update reconciliation_runs set verdict = $2, compared = $3, error = $4, finished_at = $5
            where id = $1 and verdict = 'running'
            """
        );
        ended.Parameters.Add(new() { Value = id });
        ended.Parameters.Add(new() { Value = verdict });
        ended.Parameters.Add(new() { Value = compared, NpgsqlDbType = NpgsqlDbType.Jsonb });
        ended.Parameters.Add(Reading.Text(error));
        ended.Parameters.Add(Reading.At(clock.GetUtcNow()));
        batch.BatchCommands.Add(ended);
        if (findings.Count > 0)
        {
            var found = new NpgsqlBatchCommand(
                """
                insert into reconciliation_findings (run_id, position, reason, entity, entity_id, order_id, provider,
                    provider_id, ours, theirs, remedy, healed, acknowledged_by)
                select $13, c.* from unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) as c
                """
            );
            new Columns<(Finding Row, int Position)>(
                found,
                [.. findings.Select((row, place) => (row, place))]
            )
                .Integer(entry => entry.Position)
                .Text(entry => entry.Row.Reason)
                .Text(entry => entry.Row.Entity)
                .Text(entry => entry.Row.EntityId)
                .OptionalUuid(entry => entry.Row.OrderId)
                .Text(entry => entry.Row.Provider)
                .Text(entry => entry.Row.ProviderId)
                .Text(entry => entry.Row.Ours)
                .Text(entry => entry.Row.Theirs)
                .Text(entry => entry.Row.Remedy)
                .Flag(entry => entry.Row.Healed)
                .Text(entry => entry.Row.AcknowledgedBy);
            found.Parameters.Add(new() { Value = id });
            batch.BatchCommands.Add(found);
        }

        await batch.ExecuteNonQueryAsync(cancellation);
    }

    /// <summary>
    /// A person has settled what one finding of a run tells of. It counts no more, in this run and in those to come. False
    /// if there is no such finding.
    /// </summary>
    public async Task<bool> Acknowledge(
        Guid run,
        int position,
        string actor,
        string note,
        CancellationToken cancellation
    )
    {
        await using var command = database.CreateCommand(
            """
            with found as (
                update reconciliation_findings set acknowledged_by = $3 where run_id = $1 and position = $2
                returning reason, entity_id, coalesce(provider_id, '') as provider_id, ours, theirs)
            insert into reconciliation_acknowledgements
            select reason, entity_id, provider_id, ours, theirs, $3, $4, $5 from found
            on conflict (reason, entity_id, provider_id, ours, theirs) do update
            set actor = excluded.actor, note = excluded.note, at = excluded.at
            """
        );
        command.Parameters.AddWithValue(run);
        command.Parameters.AddWithValue(position);
        command.Parameters.AddWithValue(actor);
        command.Parameters.AddWithValue(note);
        command.Parameters.Add(Reading.At(clock.GetUtcNow()));
        return await command.ExecuteNonQueryAsync(cancellation) > 0;
    }

    /// <summary>Those of the findings that a person has settled before, by their place.</summary>
    public async Task<IReadOnlyDictionary<int, string>> Acknowledged(
        IReadOnlyList<Finding> findings,
        CancellationToken cancellation
    )
    {
        var known = new Dictionary<int, string>();
        if (findings.Count == 0)
        {
            return known;
        }

        await using var connection = await database.OpenConnectionAsync(cancellation);
        await using var batch = new NpgsqlBatch(connection);
        var command = new NpgsqlBatchCommand(
            """
            select c.place, a.actor from unnest($1, $2, $3, $4, $5, $6) as c
                (place, reason, entity_id, provider_id, ours, theirs)
            join reconciliation_acknowledgements a using (reason, entity_id, provider_id, ours, theirs)
            """
        );
        new Columns<(Finding Row, int Place)>(command, [.. findings.Select((row, place) => (row, place))])
            .Integer(entry => entry.Place)
            .Text(entry => entry.Row.Reason)
            .Text(entry => entry.Row.EntityId)
            .Text(entry => entry.Row.ProviderId ?? "")
            .Text(entry => entry.Row.Ours)
            .Text(entry => entry.Row.Theirs);
        batch.BatchCommands.Add(command);
        await using var reader = await batch.ExecuteReaderAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            known[reader.GetInt32(0)] = reader.GetString(1);
        }

        return known;
    }

    /// <summary>With its findings. Null if there is no such run.</summary>
    public async Task<string?> Find(Guid id, CancellationToken cancellation)
    {
        await using var command = database.CreateCommand(
            $"select json_build_object({Run}, 'findings', {Findings})::text from reconciliation_runs r where r.id = $1"
        );
        command.Parameters.AddWithValue(id);
        return await command.ExecuteScalarAsync(cancellation) as string;
    }

    /// <summary>Newest first, without findings.</summary>
    public async Task<Page> List(Guid? after, int limit, CancellationToken cancellation)
    {
        await using var command = database.CreateCommand(
            $"""
            select r.id, json_build_object({Run})::text from reconciliation_runs r where ($1::uuid is null or r.id < $1)
            order by r.id desc limit $2
            """
        );
        command.Parameters.Add(Reading.Uuid(after));
        command.Parameters.AddWithValue(limit + 1);
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        var (items, hasMore, last) = await reader.Page<Guid>(limit, cancellation);
        return new Page(items, hasMore, last);
    }

    /// <summary>The last run that came to an end, with its findings. Null before the first.</summary>
    public async Task<string?> Last(CancellationToken cancellation)
    {
        await using var command = database.CreateCommand(
            $"""
            select json_build_object({Run}, 'findings', {Findings})::text from reconciliation_runs r
            where r.verdict <> 'running' order by r.finished_at desc limit 1
            """
        );
        return await command.ExecuteScalarAsync(cancellation) as string;
    }

    /// <summary>Runs whose host died, and those that nobody will look at any more.</summary>
    public async Task Prune(CancellationToken cancellation)
    {
        await using var command = database.CreateCommand(
            """
            with lost as (
                update reconciliation_runs set verdict = 'failed', finished_at = $1,
                    error = 'The host that ran it is gone.'
                where verdict = 'running' and started_at < $2)
            delete from reconciliation_runs where started_at < $3 and verdict = 'agree'
            """
        );
        var now = clock.GetUtcNow();
        command.Parameters.Add(Reading.At(now));
        command.Parameters.Add(Reading.At(now.AddHours(-6)));
        command.Parameters.Add(Reading.At(now.AddDays(-30)));
        await command.ExecuteNonQueryAsync(cancellation);
    }

    /// <summary>How many events Stripe's list held that no webhook had brought, and when it was last walked.</summary>
    public async Task<string> EventWalk(CancellationToken cancellation)
    {
        await using var command = database.CreateCommand(
            """
            select json_build_object('walked_until', walked_until, 'walked_at', walked_at, 'events_seen', events_seen,
                'gaps_found', gaps_found)::text
            from walks where name = 'stripe_events'
            """
        );
        return await command.ExecuteScalarAsync(cancellation) as string ?? "null";
    }
}
