using Npgsql;
using Veza.Domain.Deposits;
using Veza.Domain.Reconciliation;

namespace Veza.Adapters.Postgres.Queries;

/// <summary>Our side of a reconciliation of what stands outside of orders' books: read without locks.</summary>
public sealed class DepositQueries(NpgsqlDataSource database)
{
    /// <summary>By Hyperswitch's names for the payments; what an order has taken over stands in its books instead.</summary>
    public async Task<IReadOnlyDictionary<string, Line<Deposit>>> Of(
        IEnumerable<string> payments,
        CancellationToken cancellation
    )
    {
        await using var command = database.CreateCommand(
            $"""
            select {DepositRepository.Columns}, d.updated_at from deposits d
            where payment_id = any($1) and status <> 'adopted'
            """
        );
        command.Parameters.Add(Reading.Texts(payments));
        return (await Lines(command, cancellation)).ToDictionary(line => line.Is.Payment);
    }

    /// <summary>Those in which anything happened since then, and all that still belong to nothing, by their ids.</summary>
    public async Task<IReadOnlyList<Line<Deposit>>> Touched(
        DateTimeOffset since,
        Guid? after,
        int most,
        CancellationToken cancellation
    )
    {
        await using var command = database.CreateCommand(
            $"""
            select {DepositRepository.Columns}, d.updated_at from deposits d
            where (updated_at >= $1 or status in ('held', 'to_confirm', 'returning')) and status <> 'adopted'
                and ($2::uuid is null or id > $2)
            order by id limit $3
            """
        );
        command.Parameters.Add(Reading.At(since));
        command.Parameters.Add(Reading.Uuid(after));
        command.Parameters.AddWithValue(most);
        return await Lines(command, cancellation);
    }

    /// <summary>Payments of periods: their subscription, how they stand here and when that changed.</summary>
    public async Task<IReadOnlyDictionary<string, (Guid Subscription, Line<string> Line)>> Charges(
        IEnumerable<string> payments,
        CancellationToken cancellation
    )
    {
        await using var command = database.CreateCommand(
            """
            select payment_id, subscription_id, coalesce(provider_status, 'pending'), updated_at
            from subscription_payments where payment_id = any($1)
            """
        );
        command.Parameters.Add(Reading.Texts(payments));
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        var rows = await reader.All(
            row =>
                (
                    Name: row.GetString(0),
                    Is: (row.GetGuid(1), new Line<string>(row.GetString(2), row.Time(3)))
                ),
            cancellation
        );
        return rows.ToDictionary(row => row.Name, row => row.Is);
    }

    static async Task<IReadOnlyList<Line<Deposit>>> Lines(
        NpgsqlCommand command,
        CancellationToken cancellation
    )
    {
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        return await reader.All(
            row => new Line<Deposit>(DepositRepository.From(row).Value, row.Time(23)),
            cancellation
        );
    }
}
