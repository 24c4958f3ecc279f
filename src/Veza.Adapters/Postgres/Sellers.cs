using Npgsql;
using Veza.Adapters.Storage;
using Veza.Adapters.Stripe;

namespace Veza.Adapters.Postgres;

/// <summary>A seller as registered; the fee is the platform's default where it is null.</summary>
public sealed record Seller(string Id, string StripeAccountId, int? PlatformFeeBps);

/// <summary>The marketplace's sellers and their accounts at Stripe.</summary>
public sealed class Sellers(NpgsqlDataSource database, TimeProvider clock)
{
    /// <summary>
    /// Answers what stood there before; null for a new seller. Whoever changes where a seller's money goes, or what the
    /// platform takes, stands in the seller's history.
    /// </summary>
    public async Task<Seller?> Save(Seller seller, string actor, CancellationToken cancellation)
    {
        var now = clock.GetUtcNow();
        await using var connection = await database.OpenConnectionAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        var before = await Lock(connection, seller, now, cancellation);
        await using var batch = new NpgsqlBatch(connection, transaction);
        if (before is not null)
        {
            batch.BatchCommands.Add(
                new(
                    "update sellers set stripe_account_id = $2, platform_fee_bps = $3, updated_at = $4 where id = $1"
                )
                {
                    Parameters =
                    {
                        new() { Value = seller.Id },
                        new() { Value = seller.StripeAccountId },
                        Reading.Integer(seller.PlatformFeeBps),
                        Reading.At(now),
                    },
                }
            );
        }

        if (seller != before)
        {
            batch.BatchCommands.Add(
                new(
                    """
                    insert into seller_changes (seller_id, from_account, to_account, from_fee_bps, to_fee_bps, actor,
                        correlation, at)
                    values ($1, $2, $3, $4, $5, $6, $7, $8)
                    """
                )
                {
                    Parameters =
                    {
                        new() { Value = seller.Id },
                        Reading.Text(before?.StripeAccountId),
                        new() { Value = seller.StripeAccountId },
                        Reading.Integer(before?.PlatformFeeBps),
                        Reading.Integer(seller.PlatformFeeBps),
                        new() { Value = actor },
                        Reading.Text(Correlation.Current),
                        Reading.At(now),
                    },
                }
            );
        }

        if (batch.BatchCommands.Count > 0)
        {
            await batch.ExecuteNonQueryAsync(cancellation);
        }

        await transaction.CommitAsync(cancellation);
        return before;
    }

    /// <summary>The seller as it stands, locked until the transaction ends; null if it was not there and is now.</summary>
    static async Task<Seller?> Lock(
        NpgsqlConnection connection,
        Seller seller,
        DateTimeOffset now,
        CancellationToken cancellation
    )
    {
        await using var insert = new NpgsqlCommand(
            """
            insert into sellers (id, stripe_account_id, platform_fee_bps, created_at, updated_at)
            values ($1, $2, $3, $4, $4) on conflict (id) do nothing
            """,
            connection
        );
        insert.Parameters.AddWithValue(seller.Id);
        insert.Parameters.AddWithValue(seller.StripeAccountId);
        insert.Parameters.Add(Reading.Integer(seller.PlatformFeeBps));
        insert.Parameters.Add(Reading.At(now));
        if (await insert.ExecuteNonQueryAsync(cancellation) > 0)
        {
            return null;
        }

        await using var found = new NpgsqlCommand(
            "select id, stripe_account_id, platform_fee_bps from sellers where id = $1 for update",
            connection
        );
        found.Parameters.AddWithValue(seller.Id);
        await using var reader = await found.ExecuteReaderAsync(cancellation);
        await reader.ReadAsync(cancellation);
        return From(reader);
    }

    /// <summary>False if no seller has this account.</summary>
    internal static async Task<bool> SaveStanding(
        NpgsqlDataSource database,
        string account,
        AccountStanding standing,
        DateTimeOffset now,
        CancellationToken cancellation
    )
    {
        await using var command = database.CreateCommand(
            """
            update sellers set payouts_enabled = $2, transfers_active = $3, disabled_reason = $4, updated_at = $5
            where stripe_account_id = $1
            """
        );
        command.Parameters.AddWithValue(account);
        command.Parameters.AddWithValue(standing.PayoutsEnabled);
        command.Parameters.AddWithValue(standing.TransfersActive);
        command.Parameters.Add(Reading.Text(standing.DisabledReason));
        command.Parameters.Add(Reading.At(now));
        return await command.ExecuteNonQueryAsync(cancellation) > 0;
    }

    public async Task<Dictionary<string, Seller>> Find(
        IReadOnlyCollection<string> ids,
        CancellationToken cancellation
    )
    {
        await using var command = database.CreateCommand(
            "select id, stripe_account_id, platform_fee_bps from sellers where id = any($1)"
        );
        command.Parameters.Add(new NpgsqlParameter<string[]> { TypedValue = [.. ids] });
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        return (await reader.All(From, cancellation)).ToDictionary(seller => seller.Id);
    }

    static Seller From(NpgsqlDataReader reader) =>
        new(reader.GetString(0), reader.GetString(1), reader.IsDBNull(2) ? null : reader.GetInt32(2));
}
