using Npgsql;

namespace Veza.Adapters.Postgres.Queries;

/// <summary>A transfer that was made before Stripe's ids were kept.</summary>
public sealed record TransferWithoutStripeId(
    Guid Id,
    Guid OrderId,
    string SellerId,
    string StripeAccountId,
    string Currency,
    long Amount,
    string Status,
    DateTimeOffset CreatedAt
);

/// <summary>Finds completed transfers without a Stripe id, many at a time.</summary>
public sealed class TransfersWithoutStripeId(NpgsqlDataSource database)
{
    /// <summary>In the order of their ids, after one of them; <paramref name="since"/> is when they were made.</summary>
    public async Task<IReadOnlyList<TransferWithoutStripeId>> Find(
        DateTimeOffset? since,
        Guid? after,
        int most,
        CancellationToken cancellation
    )
    {
        await using var command = database.CreateCommand(
            $"""
            select t.id, t.order_id, t.seller_id, t.stripe_account_id, t.currency,
                s.sent, t.status, t.created_at
            from seller_transfers t {JsonProjections.TransferSums}
            where (t.status in ('completed', 'reversal_pending')
                    or (t.status = 'permanently_failed' and t.taking is not null))
                and coalesce(t.stripe_transfer_id, '') = ''
                and t.created_at >= $1 and t.id > $2
            order by t.id limit $3
            """
        );
        command.Parameters.Add(Reading.At(since ?? DateTimeOffset.UnixEpoch));
        command.Parameters.AddWithValue(after ?? Guid.Empty);
        command.Parameters.AddWithValue(most);
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        return await reader.All(
            row => new TransferWithoutStripeId(
                row.GetGuid(0),
                row.GetGuid(1),
                row.GetString(2),
                row.GetString(3),
                row.GetString(4),
                row.GetInt64(5),
                row.GetString(6),
                row.Time(7)
            ),
            cancellation
        );
    }
}
