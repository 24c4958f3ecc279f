using Microsoft.Extensions.Logging;
using Npgsql;
using Veza.Domain;
using Veza.Domain.Transfers;

namespace Veza.Adapters.Postgres.Queues;

/// <summary>Hands due transfers to workers, each to one at a time.</summary>
public sealed partial class DueTransfers(NpgsqlDataSource database, ILogger<DueTransfers> log)
{
    /// <summary>Hosts notify each other here when there is something new to do.</summary>
    public const string Channel = "veza_work";

    /// <summary>
    /// Takes up to <paramref name="most"/> due transfers for the length of a lease, in one statement that does
    /// to their rows what <c>Transfer.claimed</c> does to the aggregate (a test holds the two together): the
    /// send is written down before it happens, and a key too old to be trusted is looked up instead.
    /// </summary>
    public async Task<List<Versioned<Transfer>>> Claim(
        Work work,
        int most,
        DateTimeOffset now,
        TimeSpan lease,
        CancellationToken cancellation
    )
    {
        await using var connection = await database.OpenConnectionAsync(cancellation);
        List<(TransferRow Row, int, string?)> rows;
        await using (
            var command = new NpgsqlCommand(work == Work.Sending ? ClaimSending : ClaimReversing, connection)
        )
        {
            command.Parameters.Add(Reading.At(now));
            command.Parameters.Add(Reading.At(now + lease));
            command.Parameters.AddWithValue(most);
            command.Parameters.Add(Reading.At(now - IdempotencyKey.Life));
            await using var reader = await command.ExecuteReaderAsync(cancellation);
            rows = await reader.All(TransferRepository.From, cancellation);
        }

        if (rows.Count == 0)
        {
            return [];
        }

        var reversals = await TransferRepository.LoadReversals(
            connection,
            rows.Select(row => row.Row.Id),
            cancellation
        );
        var claimed = new List<Versioned<Transfer>>(rows.Count);
        foreach (var row in rows)
        {
            try
            {
                claimed.AddRange(TransferRepository.Assemble([row], reversals));
            }
            catch (InvalidDataException error)
            {
                // One damaged row must not stop the others; it is retried, and logged again, when its lease expires.
                LogDamaged(row.Row.Id, error.Message);
            }
        }

        return claimed;
    }

    [LoggerMessage(
        LogLevel.Error,
        "Transfer {Id} cannot be read and is skipped: {Why}. It will be retried when its lease expires."
    )]
    partial void LogDamaged(Guid id, string why);

    static readonly string ClaimSending = ClaimWhere("status in ('pending', 'failed')");
    static readonly string ClaimReversing = ClaimWhere("status = 'reversal_pending'");

    static string ClaimWhere(string due) =>
        $"""
            update seller_transfers t
            set move = m.move,
                sends = t.sends + (m.move = 'send')::int,
                first_sent_at = case when m.move = 'send' then coalesce(t.first_sent_at, $1) else t.first_sent_at end,
                waiting_for = 'in_flight', due_at = $2, version = t.version + 1, updated_at = $1
            from (
                select id, case when move = 'send' and first_sent_at <= $4 then 'look_up' else move end as move
                from seller_transfers
                where id = any(array(
                    select id from seller_transfers where {due} and due_at <= $1
                    order by due_at limit $3 for update skip locked))
            ) m
            where t.id = m.id
            returning {TransferRepository.Columns}
            """;
}
