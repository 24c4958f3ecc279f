using Npgsql;

namespace Veza.Adapters.Postgres.Queries;

/// <summary>One change of a status, as the stream of events tells it.</summary>
public sealed record StateChange(long Sequence, string Type, string Json);

/// <summary>
/// Every change of a status in one order, without gaps: the order of each thing's own changes is their real one.
/// </summary>
public sealed class StateChanges(NpgsqlDataSource database)
{
    /// <summary>
    /// Nothing of a transaction that is still open, nor of one after it, so that nothing comes in between later.
    /// </summary>
    const string Settled = "coalesce(xact < pg_snapshot_xmin(pg_current_snapshot()), true)";

    /// <summary>Up to <paramref name="most"/> changes after a sequence number, and how far was looked.</summary>
    public async Task<(IReadOnlyList<StateChange> Changes, long Looked)> After(
        long sequence,
        int most,
        CancellationToken cancellation
    )
    {
        await using var command = database.CreateCommand(
            $"""
            select seq, {JsonProjections.Shown("to_status")} is distinct from {JsonProjections.Shown("from_status")},
                entity || '.' || {JsonProjections.Shown("to_status")},
                json_build_object('sequence', seq, 'entity', entity, 'id', entity_id, 'order_id', order_id,
                    'from', {JsonProjections.Shown("from_status")}, 'to', {JsonProjections.Shown(
                "to_status"
            )}, 'signal', signal,
                    'at', at, 'actor', actor)::text
            from transitions where seq > $1 and {Settled} order by seq limit $2
            """
        );
        command.Parameters.AddWithValue(sequence);
        command.Parameters.AddWithValue(most);
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        var rows = await reader.All(
            row =>
                (
                    IsChange: row.GetBoolean(1),
                    Is: new StateChange(row.GetInt64(0), row.GetString(2), row.GetString(3))
                ),
            cancellation
        );
        return (
            [.. rows.Where(row => row.IsChange).Select(row => row.Is)],
            rows.Count > 0 ? rows[^1].Is.Sequence : sequence
        );
    }

    /// <summary>The newest that can be told.</summary>
    public async Task<long> Last(CancellationToken cancellation)
    {
        await using var command = database.CreateCommand(
            $"select seq from transitions where {Settled} order by seq desc limit 1"
        );
        return await command.ExecuteScalarAsync(cancellation) is long last ? last : 0;
    }
}
