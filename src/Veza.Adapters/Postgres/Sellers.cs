using Npgsql;
using Veza.Adapters.Stripe;

namespace Veza.Adapters.Postgres;

/// <summary>A seller as registered; the fee is the platform's default where it is null.</summary>
public sealed record Seller(string Id, string StripeAccountId, int? PlatformFeeBps);

/// <summary>The marketplace's sellers and their accounts at Stripe.</summary>
public sealed class Sellers(NpgsqlDataSource database, TimeProvider clock)
{
    public async Task Save(Seller seller, CancellationToken cancellation)
    {
        await using var command = database.CreateCommand(
            """
            insert into sellers (id, stripe_account_id, platform_fee_bps, created_at, updated_at)
            values ($1, $2, $3, $4, $4)
            on conflict (id) do update set stripe_account_id = excluded.stripe_account_id,
                platform_fee_bps = excluded.platform_fee_bps, updated_at = excluded.updated_at
            """
        );
        command.Parameters.AddWithValue(seller.Id);
        command.Parameters.AddWithValue(seller.StripeAccountId);
        command.Parameters.Add(new() { Value = (object?)seller.PlatformFeeBps ?? DBNull.Value });
        command.Parameters.Add(Reading.At(clock.GetUtcNow()));
        await command.ExecuteNonQueryAsync(cancellation);
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
        var found = new Dictionary<string, Seller>();
        while (await reader.ReadAsync(cancellation))
        {
            found.Add(
                reader.GetString(0),
                new Seller(
                    reader.GetString(0),
                    reader.GetString(1),
                    reader.IsDBNull(2) ? null : reader.GetInt32(2)
                )
            );
        }

        return found;
    }
}
