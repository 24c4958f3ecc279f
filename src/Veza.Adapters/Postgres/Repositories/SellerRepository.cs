using Npgsql;
using Veza.Domain;

namespace Veza.Adapters.Postgres.Repositories;

/// <summary>A seller as registered; the fee is the platform's default where it is null.</summary>
public sealed record Seller(string Id, string StripeAccountId, int? PlatformFeeBps);

/// <param name="Before">Null for a new one.</param>
public sealed record SavedSeller(Seller? Before, Seller After);

/// <summary>The marketplace's sellers and their accounts at Stripe.</summary>
public sealed class SellerRepository(NpgsqlDataSource database, TimeProvider clock)
{
    /// <summary>
    /// Whoever changes where a seller's money goes, or what the platform takes, stands in the seller's history.
    /// </summary>
    /// <param name="keepsFee">Whether a seller that is known keeps the fee that was agreed.</param>
    /// <param name="standing">What Stripe says of the account; null if it was not asked or did not answer.</param>
    public async Task<SavedSeller> Save(
        Seller seller,
        bool keepsFee,
        AccountStanding? standing,
        string actor,
        CancellationToken cancellation
    )
    {
        var now = clock.GetUtcNow();
        await using var connection = await database.OpenConnectionAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        var before = await Lock(connection, seller, now, cancellation);
        var after =
            keepsFee && before is not null ? seller with { PlatformFeeBps = before.PlatformFeeBps } : seller;
        await using var batch = new NpgsqlBatch(connection, transaction);
        batch.BatchCommands.Add(
            new(
                """
                update sellers set stripe_account_id = $2, platform_fee_bps = $3, updated_at = $4,
                    payouts_enabled = case when $8 then $5 else payouts_enabled end,
                    transfers_active = case when $8 then $6 else transfers_active end,
                    disabled_reason = case when $8 then $7 else disabled_reason end
                where id = $1
                """
            )
            {
                Parameters =
                {
                    new() { Value = after.Id },
                    new() { Value = after.StripeAccountId },
                    Reading.Integer(after.PlatformFeeBps),
                    Reading.At(now),
                    Reading.Flag(standing?.PayoutsEnabled),
                    Reading.Flag(standing?.TransfersActive),
                    Reading.Text(standing?.DisabledReason),
                    // What was said of another account says nothing of this one.
                    new()
                    {
                        Value = standing is not null || before?.StripeAccountId != after.StripeAccountId,
                    },
                },
            }
        );
        if (after != before)
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
                        new() { Value = after.Id },
                        Reading.Text(before?.StripeAccountId),
                        new() { Value = after.StripeAccountId },
                        Reading.Integer(before?.PlatformFeeBps),
                        Reading.Integer(after.PlatformFeeBps),
                        new() { Value = actor },
                        Reading.Text(Correlation.Current),
                        Reading.At(now),
                    },
                }
            );
        }

        await batch.ExecuteNonQueryAsync(cancellation);
        await transaction.CommitAsync(cancellation);
        return new(before, after);
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

    /// <summary>Whether the seller has this account, and Stripe has said how it stands.</summary>
    public async Task<bool> HasStanding(string id, string account, CancellationToken cancellation)
    {
        await using var command = database.CreateCommand(
            "select 1 from sellers where id = $1 and stripe_account_id = $2 and payouts_enabled is not null"
        );
        command.Parameters.AddWithValue(id);
        command.Parameters.AddWithValue(account);
        return await command.ExecuteScalarAsync(cancellation) is not null;
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

    /// <summary>The seller's present account.</summary>
    public async Task<StripeAccountId> AccountOf(SellerId seller, CancellationToken cancellation) =>
        StripeAccountId
            .Parse((await Find([seller.Value], cancellation))[seller.Value].StripeAccountId)
            .Match(ok: account => account, error: why => throw new InvalidDataException(why));

    static Seller From(NpgsqlDataReader reader) =>
        new(reader.GetString(0), reader.GetString(1), reader.IsDBNull(2) ? null : reader.GetInt32(2));
}
