using Npgsql;
using NpgsqlTypes;

namespace Veza.Adapters.Postgres.Repositories;

/// <summary>Somebody's action.</summary>
/// <param name="Role">Of the key that was used; <c>cli</c> for a command on a machine with the settings.</param>
/// <param name="Via"><c>api</c>, <c>console</c> or <c>cli</c>.</param>
/// <param name="Action">Such as <c>transfer.retry</c>.</param>
/// <param name="ObjectId">Null for what the action is about to make, and where it is about many.</param>
public sealed record AuditEntry(
    string Actor,
    string Role,
    string Via,
    string Action,
    string Noun,
    string? ObjectId = null,
    string? Note = null
)
{
    public string? RequestId { get; init; } = Correlation.Current;
}

/// <summary>What came of it.</summary>
/// <param name="Outcome"><c>done</c>, <c>refused</c> or <c>failed</c>.</param>
/// <param name="Made">The id of what it has made.</param>
/// <param name="Old">JSON; null where nothing was there before, or nothing changed.</param>
public sealed record AuditOutcome(
    string Outcome,
    string? Made = null,
    string? Old = null,
    string? New = null
);

/// <summary>Who did what. Entries are only ever added: the database refuses anything else.</summary>
public sealed class AuditLog(NpgsqlDataSource database, TimeProvider clock)
{
    /// <summary>On disk before the action is taken. Answers the entry's id.</summary>
    public async Task<Guid> Begin(AuditEntry entry, CancellationToken cancellation)
    {
        await using var connection = await database.OpenConnectionAsync(cancellation);
        await using var batch = new NpgsqlBatch(connection);
        var id = Add(batch, entry, clock.GetUtcNow());
        await batch.ExecuteNonQueryAsync(cancellation);
        return id;
    }

    /// <summary>Where no change is told, the object's own steps that the action has brought about tell it.</summary>
    public async Task End(Guid id, AuditEntry entry, AuditOutcome outcome)
    {
        await using var connection = await database.OpenConnectionAsync(CancellationToken.None);
        await using var batch = new NpgsqlBatch(connection);
        Add(batch, id, entry, outcome, clock.GetUtcNow());
        await batch.ExecuteNonQueryAsync(CancellationToken.None);
    }

    /// <summary>What is over as soon as it is known.</summary>
    public async Task Record(AuditEntry entry, AuditOutcome outcome, CancellationToken cancellation)
    {
        await using var connection = await database.OpenConnectionAsync(cancellation);
        await using var batch = new NpgsqlBatch(connection);
        Add(batch, entry, outcome, clock.GetUtcNow());
        await batch.ExecuteNonQueryAsync(cancellation);
    }

    /// <summary>An action and what came of it, in the transaction of the batch.</summary>
    internal static void Add(NpgsqlBatch batch, AuditEntry entry, AuditOutcome outcome, DateTimeOffset now) =>
        Add(batch, Add(batch, entry, now), entry, outcome, now);

    static Guid Add(NpgsqlBatch batch, AuditEntry entry, DateTimeOffset now)
    {
        var id = Guid.CreateVersion7(now);
        batch.BatchCommands.Add(
            new(
                """
                insert into audit_log (id, actor, role, via, action, object, object_id, note, request_id, at)
                values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
                """
            )
            {
                Parameters =
                {
                    new() { Value = id },
                    new() { Value = entry.Actor },
                    new() { Value = entry.Role },
                    new() { Value = entry.Via },
                    new() { Value = entry.Action },
                    new() { Value = entry.Noun },
                    Reading.Text(entry.ObjectId),
                    Reading.Text(entry.Note),
                    Reading.Text(entry.RequestId),
                    Reading.At(now),
                },
            }
        );
        return id;
    }

    static void Add(NpgsqlBatch batch, Guid id, AuditEntry entry, AuditOutcome outcome, DateTimeOffset now)
    {
        var about = outcome.Made ?? entry.ObjectId;
        batch.BatchCommands.Add(
            new(
                """
                insert into audit_outcomes (audit_id, outcome, object_id, old, new, at)
                select $1, $2, $3, coalesce($4, case when s.old is not null then jsonb_build_object('status', s.old) end),
                    coalesce($5, case when s.new is not null then jsonb_build_object('status', s.new) end), $6
                from (
                    select (array_agg(t.from_status order by t.seq))[1] as old,
                        (array_agg(t.to_status order by t.seq desc))[1] as new
                    from transitions t join audit_log a on a.id = $1
                    where t.entity_id = $7 and t.correlation = a.request_id and t.actor = a.actor and t.at >= a.at) s
                """
            )
            {
                Parameters =
                {
                    new() { Value = id },
                    new() { Value = outcome.Outcome },
                    Reading.Text(outcome.Made),
                    Json(outcome.Old),
                    Json(outcome.New),
                    Reading.At(now),
                    Reading.Uuid(Guid.TryParse(about, out var entity) ? entity : null),
                },
            }
        );
    }

    static NpgsqlParameter Json(string? text) =>
        new() { Value = (object?)text ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Jsonb };
}
