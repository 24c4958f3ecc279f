using System.Diagnostics;
using System.Runtime.CompilerServices;
using Npgsql;
using Veza.Sandbox;
using Veza.Sandbox.Demo;

namespace Veza.Bench;

/// <summary>A rate of Veza and what stands beside it.</summary>
sealed record Figure(string What, double PerSecond, double Yardstick, string YardstickName, string Note = "");

/// <summary>
/// Intake, processing and draining, each on a real host in a process of its own and a real PostgreSQL with fsync
/// on, the yardstick measured in the same run on the same server.
/// </summary>
static class Measurements
{
    const string OneRow = """
        \set id random(1, 1000000000)
        insert into webhook_events (provider, event_id, type, object_id, body, received_at)
        values ('pgbench', :id::text, 'x', '', repeat('x', 1200), now()) on conflict do nothing;
        """;

    /// <summary>What one payment writes, as one statement: event, order, two licenses, two transfers, books.</summary>
    const string OnePayment = """
        \set id random(1, 1000000000)
        with event as (
            insert into webhook_events (provider, event_id, type, object_id, body, received_at, state)
            values ('pgbench', :id::text || random(), 'x', '', repeat('x', 1200), now(), 'processed') on conflict do nothing
        ), paid as (
            update orders set status = status, version = version + 1 where id = (select id from pgbench_orders where n = 1 + :id % 10000)
            returning id
        ), history as (
            insert into transitions (entity, entity_id, order_id, to_status, signal, actor, at)
            select 'order', id, id, 'completed', 'x', 'x', now() from paid, generate_series(1, 5)
        ), transfers as (
            insert into seller_transfers (id, order_id, seller_id, stripe_account_id, currency, amount, status, generation,
                sends, move, retry_count, due_at, created_at, updated_at)
            select gen_random_uuid(), id, 'ada', 'acct_ada', 'EUR', 1, 'pending', 0, 0, 'send', 0, now() + interval '1 year', now(), now()
            from paid, generate_series(1, 2)
        ), licenses as (
            insert into licenses (id, order_id, line_id, buyer_id, product_id, kind, status, created_at, updated_at)
            select gen_random_uuid(), id, gen_random_uuid(), 'b', 'p', 'k', 'active', now(), now() from paid, generate_series(1, 2)
        )
        insert into ledger_entries (order_id, source, source_id, account, currency, amount, at)
        select id, 'order', id, 'x', 'EUR', 1, now() from paid, generate_series(1, 5);
        """;

    /// <summary>A claim and a guarded update of one row each: the queue as one would first write it.</summary>
    const string OneByOne = """
        with claimed as (
            select id from seller_transfers where status = 'pending' and due_at <= now() + interval '2 years'
            order by due_at limit 1 for update skip locked)
        update seller_transfers t set due_at = now() + interval '3 years', version = version + 1
        from claimed c where t.id = c.id;
        """;

    public static async IAsyncEnumerable<Figure> Take(
        string veza,
        int orders,
        int seconds,
        [EnumeratorCancellation] CancellationToken cancellation
    )
    {
        yield return await AtTheLimit.Take(cancellation);
        await using var postgres = await PrivatePostgres.Start(cancellation);
        await using var stripe = await StripeStandIn.Start(cancellation);
        await using var host = VezaProcess.At(veza, Settings(postgres, stripe));
        await host.Run(["migrate"], cancellation);
        await using var database = new NpgsqlConnection(postgres.ConnectionString);
        await database.OpenAsync(cancellation);

        var (oneRow, onePayment, oneByOne) = await Yardsticks(postgres, database, seconds, cancellation);
        var seeded = await Seed.Orders(database, orders);

        await host.Start(cancellation);
        yield return await Intake(host, oneRow, seconds);
        await host.Kill();

        await Seed.Execute(database, "truncate webhook_events");
        await Seed.Events(
            database,
            seeded.Select((order, n) => ($"paid_{n}", "payment_succeeded", order.PaidEvent($"paid_{n}")))
        );
        await Seed.Execute(database, "vacuum analyze");
        yield return await Drained(
            "payment_succeeded, fully processed",
            host,
            database,
            "select count(*) from orders where status = 'awaiting_payment'",
            orders,
            onePayment,
            "pgbench, one payment as one statement",
            cancellation
        );

        await Seed.Refunds(database, seeded);
        await Seed.Events(
            database,
            seeded.Select((order, n) => ($"back_{n}", "refund_succeeded", order.RefundedEvent($"back_{n}")))
        );
        await Seed.Execute(database, "vacuum analyze");
        yield return await Drained(
            "refund_succeeded, fully processed",
            host,
            database,
            "select count(*) from orders where status = 'completed'",
            orders,
            onePayment,
            "pgbench, one payment as one statement",
            cancellation
        );

        await using var draining = VezaProcess.At(veza, Settings(postgres, stripe, "true"));
        yield return await Drained(
            "reversals drained through HTTP",
            draining,
            database,
            "select count(*) from seller_transfers where status = 'reversal_pending'",
            orders * 2,
            oneByOne,
            "pgbench, claim and update one row, no HTTP",
            cancellation
        );
    }

    static async Task<(double OneRow, double OnePayment, double OneByOne)> Yardsticks(
        PrivatePostgres postgres,
        NpgsqlConnection database,
        int seconds,
        CancellationToken cancellation
    )
    {
        await Seed.Orders(database, 10_000);
        await Seed.Execute(
            database,
            """
            create table pgbench_orders as select id, row_number() over () as n from orders;
            create unique index on pgbench_orders (n);
            analyze;
            """
        );
        var oneRow = await PgBench.Best(postgres, OneRow, seconds, cancellation);
        var onePayment = await PgBench.Best(postgres, OnePayment, seconds, cancellation);
        var oneByOne = await PgBench.Best(postgres, OneByOne, seconds, cancellation);
        await Seed.Execute(
            database,
            """
            truncate webhook_events, orders, order_lines, order_legs, payments, seller_transfers,
                seller_transfer_reversals, licenses, refunds, transitions, ledger_entries, disputes;
            drop table pgbench_orders;
            """
        );
        return (oneRow, onePayment, oneByOne);
    }

    static async Task<Figure> Intake(VezaProcess host, double yardstick, int seconds)
    {
        var target = new Uri(host.Address);
        await RawLoad.Run(target, "bench-secret", "warm", 64, 20_000);
        var result = await RawLoad.Run(target, "bench-secret", "hot", 64, 10_000 * seconds);
        return new Figure(
            "webhook intake: verified, durable, 200",
            result.Answered / result.Seconds,
            yardstick,
            "pgbench, one row per transaction",
            $"64 connections, p50 {result.P50:F1} ms, p99 {result.P99:F1} ms"
        );
    }

    /// <summary>The host starts with everything waiting; the clock runs from its readiness to the last row.</summary>
    static async Task<Figure> Drained(
        string what,
        VezaProcess host,
        NpgsqlConnection database,
        string left,
        int all,
        double yardstick,
        string yardstickName,
        CancellationToken cancellation
    )
    {
        await host.Start(cancellation);
        var before = await Seed.Count(database, left);
        var time = Stopwatch.StartNew();
        // Whether there is one left is cheap to ask; how many are left is not, and would be measured too.
        while (
            await Seed.Count(
                database,
                left.Replace("count(*)", "1::bigint", StringComparison.Ordinal) + " limit 1"
            ) > 0
        )
        {
            await Task.Delay(50, cancellation);
        }

        var seconds = time.Elapsed.TotalSeconds;
        await host.Kill();
        return new Figure(
            what,
            before / seconds,
            yardstick,
            yardstickName,
            $"{before:N0} of {all:N0} after the start"
        );
    }

    static Dictionary<string, string> Settings(
        PrivatePostgres postgres,
        StripeStandIn stripe,
        string workers = "false"
    ) =>
        new()
        {
            ["DATABASE_URL"] = postgres.Url,
            ["HYPERSWITCH_BASE_URL"] = stripe.Address,
            ["HYPERSWITCH_API_KEY"] = "bench",
            ["HYPERSWITCH_WEBHOOK_SECRET"] = "bench-secret",
            ["STRIPE_API_BASE"] = stripe.Address,
            ["STRIPE_SECRET_KEY"] = "sk_test_bench",
            ["STRIPE_WEBHOOK_SECRET"] = "bench",
            ["STRIPE_RATE_LIMIT"] = "1000000",
            ["REVERSAL_BATCH_SIZE"] = "500",
            ["REVERSAL_WORKER_ENABLED"] = workers,
            ["TRANSFER_RETRY_ENABLED"] = "false",
            ["SWEEP_INTERVAL"] = "1h",
            ["LOG_LEVEL"] = "error",
        };
}
