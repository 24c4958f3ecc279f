using Npgsql;

namespace Veza.Adapters.Postgres.Repositories;

/// <summary>
/// Takes out what nobody will ask for again: old answers by Idempotency-Key, and messages that were delivered or given up.
/// The ledger, the history and the providers' events stay for ever.
/// </summary>
public sealed class RetentionStore(NpgsqlDataSource database, TimeProvider clock)
{
    /// <summary>Few enough that nobody has to wait for them.</summary>
    const int Most = 5_000;

    /// <summary>A part of what is older; answers how much it was. Nothing is left when that is nothing.</summary>
    public async Task<int> Prune(TimeSpan retention, CancellationToken cancellation)
    {
        var before = clock.GetUtcNow() - retention;
        await using var connection = await database.OpenConnectionAsync(cancellation);
        await using var batch = new NpgsqlBatch(connection);
        foreach (
            var sql in (string[])
                [
                    """
                        delete from idempotent_requests where (api_key_id, key) in (
                            select api_key_id, key from idempotent_requests where created_at < $1 and locked_until is null
                            limit $2)
                        """,
                    """
                        delete from webhook_deliveries where state <> 'pending' and (endpoint_id, seq) in (
                            select d.endpoint_id, d.seq from webhook_messages m join webhook_deliveries d on d.seq = m.seq
                            where m.created_at < $1 and d.state <> 'pending' limit $2)
                        """,
                    """
                        delete from webhook_messages where seq in (
                            select seq from webhook_messages m where created_at < $1
                                and not exists (select from webhook_deliveries d where d.seq = m.seq) limit $2)
                        """,
                ]
        )
        {
            batch.BatchCommands.Add(
                new(sql)
                {
                    Parameters =
                    {
                        Reading.At(before),
                        new NpgsqlParameter { Value = Most },
                    },
                }
            );
        }

        return await batch.ExecuteNonQueryAsync(cancellation);
    }
}
