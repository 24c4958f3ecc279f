using Npgsql;
using Veza.Domain;

namespace Veza.Adapters.Postgres.Queries;

/// <summary>Something waits longer than it may, or waits for a person.</summary>
/// <param name="Since">When the oldest of them began to.</param>
/// <param name="Example">One of them.</param>
public sealed record RaisedAlarm(Alarm Alarm, long Count, DateTimeOffset Since, string Example)
{
    public string Word => AlarmModule.word(Alarm);

    public string Runbook => $"docs/runbooks/{Word}.md";
}

/// <summary>Looks through the queues for what is stuck. Every look is by an index of what waits, never through history.</summary>
public sealed class Alarms(NpgsqlDataSource database, TimeProvider clock)
{
    /// <summary>How long a webhook may wait for its object, or for its turn.</summary>
    static readonly TimeSpan ParkedFor = TimeSpan.FromDays(1);

    static readonly TimeSpan QueuedFor = TimeSpan.FromMinutes(15);

    /// <summary>By the alarm, the longest wait first.</summary>
    public async Task<IReadOnlyList<RaisedAlarm>> Raised(CancellationToken cancellation)
    {
        var now = clock.GetUtcNow();
        await using var connection = await database.OpenConnectionAsync(cancellation);
        await using var batch = new NpgsqlBatch(connection);
        var looks = Looks(now);
        foreach (var (_, sql, before) in looks)
        {
            var look = new NpgsqlBatchCommand(
                $"select count(*), min(since), (array_agg(name order by since))[1] from (select {sql}) w(since, name)"
            );
            look.Parameters.AddRange(before.Select(Reading.At).ToArray());
            batch.BatchCommands.Add(look);
        }

        await using var reader = await batch.ExecuteReaderAsync(cancellation);
        var raised = new List<RaisedAlarm>();
        foreach (var (alarm, _, _) in looks)
        {
            await reader.ReadAsync(cancellation);
            if (reader.GetInt64(0) is var count and > 0)
            {
                raised.Add(new(alarm, count, reader.Time(1), reader.GetString(2)));
            }

            await reader.NextResultAsync(cancellation);
        }

        return raised;
    }

    /// <summary>As <c>Transfer.LacksFunds</c> says: one that is being tried just now still lacks them.</summary>
    const string LacksFunds = """
        (waiting_for in ('seller_funds', 'platform_funds')
            or (waiting_for = 'in_flight' and coalesce(trouble_cause in ('seller_funds', 'platform_funds'), false)))
        """;

    /// <summary>What waits in <c>seller_transfers</c>, as its index on <c>waiting_since</c> holds it.</summary>
    static string Transfers(string which) =>
        $"""
            waiting_since, id::text from seller_transfers
            where status in ('pending', 'failed', 'reversal_pending', 'permanently_failed')
                and waiting_since <= $1 and {which}
            """;

    static string Quoted(IEnumerable<string> words) => string.Join(", ", words.Select(word => $"'{word}'"));

    /// <summary>
    /// Where each alarm looks, as <c>Watch</c> says it (a test holds the two together): what is selected is since when it
    /// waits, which no try moves on, and its name; $1 and further ones are the times before which that must be.
    /// </summary>
    static IReadOnlyList<(Alarm Alarm, string Sql, DateTimeOffset[] Before)> Looks(DateTimeOffset now)
    {
        DateTimeOffset Patient(Alarm alarm) => now - AlarmModule.patience(alarm);
        return
        [
            (
                Alarm.TransferStuck,
                Transfers($"status in ('pending', 'failed') and not {LacksFunds}"),
                [Patient(Alarm.TransferStuck)]
            ),
            (
                Alarm.ReversalStuck,
                Transfers($"status = 'reversal_pending' and not {LacksFunds}"),
                [Patient(Alarm.ReversalStuck)]
            ),
            (
                Alarm.SellerFundsMissing,
                Transfers($"status = 'reversal_pending' and {LacksFunds}"),
                [Patient(Alarm.SellerFundsMissing)]
            ),
            (
                Alarm.PlatformFundsMissing,
                Transfers($"status in ('pending', 'failed') and {LacksFunds}"),
                [Patient(Alarm.PlatformFundsMissing)]
            ),
            (
                Alarm.TransferNeedsOperator,
                Transfers("status = 'permanently_failed'"),
                [Patient(Alarm.TransferNeedsOperator)]
            ),
            (
                Alarm.RefundUndecided,
                """
                created_at, id::text from refunds
                where status in ('pending', 'submitted') and created_at <= $1
                """,
                [Patient(Alarm.RefundUndecided)]
            ),
            // A buyer who never pays is no alarm; a payment whose end nobody tells is, in whatever status it stands, and at once
            // where only a person at Hyperswitch gets it on. One whose buyer has all of it back is at its end.
            (
                Alarm.PaymentUndecided,
                $"""
                created_at, payment_id from (
                    select created_at, payment_id, provider_status from payments where due_at is not null
                    union all
                    select p.created_at, p.payment_id, p.provider_status from subscription_payments p
                    join subscriptions s on s.id = p.subscription_id and s.is_open and s.period = p.period
                        and s.retries = p.try) w
                where (provider_status in ({Quoted(ProviderWords.needingPerson)})
                        or (created_at <= $1 and (provider_status is null
                            or provider_status not in ({Quoted(ProviderWords.untroubled)}))))
                    and not exists (select from deposits d where d.payment_id = w.payment_id and d.status = 'cleared')
                """,
                [Patient(Alarm.PaymentUndecided)]
            ),
            (
                Alarm.PayoutStuck,
                """
                waiting_since, id::text from payouts
                where status in ('requested', 'pending', 'in_transit') and waiting_since <= $1
                """,
                [Patient(Alarm.PayoutStuck)]
            ),
            (
                Alarm.PayoutNeedsOperator,
                "waiting_since, id::text from payouts where status = 'in_doubt' and waiting_since <= $1",
                [Patient(Alarm.PayoutNeedsOperator)]
            ),
            (
                Alarm.SubscriptionUnpaid,
                // Past due; paid for a time that is long over; never paid at all.
                """
                since, id::text from (
                    select id, case status when 'past_due' then past_due_since when 'active' then due_at
                        else created_at end as since
                    from subscriptions where status in ('pending_payment', 'active', 'past_due')) s
                where since <= $1
                """,
                [Patient(Alarm.SubscriptionUnpaid)]
            ),
            (
                Alarm.MoneyInSuspense,
                """
                since, payment_id from (
                    select since, payment_id from deposits where status = 'held' and since <= $1
                    union all
                    select created_at, payment_id from deposits
                    where due_at is not null and created_at <= $2) w
                """,
                [Patient(Alarm.MoneyInSuspense), now - WatchModule.untilGivenBack]
            ),
            (
                Alarm.DisputeUndecided,
                "created_at, id::text from disputes where status = 'open' and created_at <= $1",
                [Patient(Alarm.DisputeUndecided)]
            ),
            (
                Alarm.EventNeedsOperator,
                """
                received_at, provider || ' ' || event_id from webhook_events
                where (state in ('quarantined', 'poisoned') and received_at <= $1)
                    or (state = 'parked' and received_at <= $2)
                    or (state in ('received', 'asking') and received_at <= $3)
                """,
                [Patient(Alarm.EventNeedsOperator), now - ParkedFor, now - QueuedFor]
            ),
            (
                Alarm.BooksDisagree,
                $"""
                finished_at, id::text from (
                    select * from reconciliation_runs where verdict <> 'running' order by finished_at desc limit 1) r
                where finished_at <= $1 and (verdict = 'failed' or exists (
                    select from reconciliation_findings f where f.run_id = r.id and {ReconciliationRuns.Counts}))
                """,
                [Patient(Alarm.BooksDisagree)]
            ),
        ];
    }
}
