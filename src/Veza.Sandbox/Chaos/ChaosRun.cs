using System.Diagnostics;
using System.Text.Json;
using Spectre.Console;
using Veza.Sandbox.Demo;

namespace Veza.Sandbox.Chaos;

/// <summary>
/// Drives the host over HTTP while both providers misbehave and the host is killed; then lets the world heal, and asks
/// whether Veza's books are the providers'.
/// </summary>
sealed class ChaosRun(Stage stage, Shop shop, IAnsiConsole console, int seed, TimeSpan length)
{
    public static readonly string[] Currencies = ["EUR", "USD", "JPY"];

    const int Sellers = 8;
    const int Shoppers = 6;

    readonly Simulation world = stage.Providers.World;
    readonly Misfortune misfortune = new(
        stage.Providers.World,
        new Random(seed),
        [.. Enumerable.Range(1, Sellers).Select(Account)]
    );
    readonly Customers customers = new(shop, new Random(seed + 1), Sellers);
    readonly ProgressLine progress = new(console);
    int kills;
    int databaseKills;
    string failedOver = "";

    public static string Seller(int number) => $"seller-{number:D2}";

    static string Account(int number) => $"acct_chaos{number:D2}";

    /// <summary>True if everything agrees in the end.</summary>
    public async Task<bool> Play(CancellationToken cancellation)
    {
        for (var number = 1; number <= Sellers; number++)
        {
            world.Stripe.Open(Account(number));
            await shop.Register(Seller(number), Account(number), number % 3 == 0 ? 2500 : null, cancellation);
        }

        misfortune.Fill();
        await progress.Stage($"chaos, seed {seed}", report => Rage(report, cancellation));
        await progress.Stage("everything heals", report => Heal(report, cancellation));
        var healed = await Reconcile(["reconcile", "--heal", "--json"], cancellation);
        await progress.Stage("what was healed is carried out", report => Heal(report, cancellation));
        var last = await Reconcile(["reconcile", "--json"], cancellation);
        var gaps = await Gaps(cancellation);
        Tell(healed, last, gaps);
        return last.Code == 0;
    }

    async Task<string> Rage(Action<int, int> report, CancellationToken cancellation)
    {
        using var over = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        over.CancelAfter(length);
        var shopping = Enumerable.Range(0, Shoppers).Select(_ => customers.Shop(over.Token)).ToList();
        var killing = stage
            .Hosts.Select((host, number) => KillNowAndThen(host, number, over.Token))
            .Append(KillDatabase(over.Token))
            .ToList();
        var time = Stopwatch.StartNew();
        while (!over.IsCancellationRequested)
        {
            misfortune.Strike();
            report((int)time.Elapsed.TotalSeconds, (int)length.TotalSeconds);
            await Task.Delay(250, CancellationToken.None);
        }

        await Task.WhenAll(killing);
        misfortune.End();
        await Task.WhenAll(shopping);
        return $"{customers.Orders} orders, {customers.Refunds} refunds, {kills} × kill -9{failedOver}";
    }

    async Task KillNowAndThen(VezaProcess host, int number, CancellationToken over)
    {
        var dice = new Random(seed + 2 + number);
        while (true)
        {
            try
            {
                await Task.Delay(TimeSpan.FromMilliseconds(dice.Next(2000, 8000)), over);
            }
            catch (OperationCanceledException)
            {
                return;
            }

            await host.Kill();
            Interlocked.Increment(ref kills);
            await Task.Delay(dice.Next(0, 1500), CancellationToken.None);
            await Revive(host);
        }
    }

    /// <summary>A host that finds no database ends, and whoever looks after it starts it again.</summary>
    static async Task Revive(VezaProcess host)
    {
        for (var tries = 0; ; tries++)
        {
            try
            {
                await host.Start(CancellationToken.None);
                return;
            }
            catch (InvalidOperationException) when (tries < 60)
            {
                await Task.Delay(500, CancellationToken.None);
            }
        }
    }

    /// <summary>A third of the way through as a power cut would, and back; half-way for good, if there is a standby.</summary>
    async Task KillDatabase(CancellationToken over)
    {
        try
        {
            await Task.Delay(length / 3, over);
            await stage.Postgres.Kill();
            databaseKills++;
            await Task.Delay(1000, CancellationToken.None);
            await stage.Postgres.StartServer(CancellationToken.None);
            if (stage.Standby is not { } standby)
            {
                return;
            }

            await Task.Delay(length / 6, over);
            var time = Stopwatch.StartNew();
            await stage.Postgres.Kill();
            databaseKills++;
            await standby.Promote(CancellationToken.None);
            // The first write that is taken again.
            await shop.Register(Seller(1), Account(1), null, CancellationToken.None);
            failedOver = $", failed over in {time.Elapsed.TotalSeconds:F1} s";
        }
        catch (OperationCanceledException)
        {
            // It was over before.
        }
    }

    /// <summary>Operators look after what Veza has given up on; everything else comes to rest by itself.</summary>
    async Task<string> Heal(Action<int, int> report, CancellationToken cancellation)
    {
        var time = Stopwatch.StartNew();
        while (time.Elapsed < TimeSpan.FromMinutes(3))
        {
            var open = new List<JsonElement>();
            foreach (var status in (string[])["pending", "failed", "reversal_pending", "permanently_failed"])
            {
                open.AddRange(await shop.All($"/api/v1/transfers?status={status}", cancellation));
            }

            foreach (
                var given in open.Where(transfer =>
                    transfer.GetProperty("status").GetString() == "permanently_failed"
                )
            )
            {
                await shop.Retry(given.GetProperty("id").GetString()!, cancellation);
            }

            var undecided = 0;
            foreach (var status in (string[])["pending", "submitted"])
            {
                undecided += (await shop.All($"/api/v1/refunds?status={status}", cancellation)).Count;
            }

            report(open.Count + undecided, 0);
            if (open.Count + undecided == 0 && world.Courier.IsIdle)
            {
                // The last webhooks are on disk; their effects follow within two seconds.
                await Task.Delay(TimeSpan.FromSeconds(4), cancellation);
                return "nothing is on its way any more";
            }

            await Task.Delay(300, cancellation);
        }

        await TellOpen(cancellation);
        return "not everything came to rest within three minutes";
    }

    /// <summary>What did not come to rest, with all that its order knows: its database is gone afterwards.</summary>
    async Task TellOpen(CancellationToken cancellation)
    {
        foreach (var status in (string[])["pending", "submitted"])
        {
            foreach (var refund in await shop.All($"/api/v1/refunds?status={status}", cancellation))
            {
                var order = refund.GetProperty("order_id").GetString();
                var shown = await shop.GetAsOperator($"/api/v1/orders/{order}", cancellation);
                console.WriteLine($"refund: {refund}");
                console.WriteLine($"order: {shown}");
                foreach (var transfer in await shop.All($"/api/v1/transfers?order_id={order}", cancellation))
                {
                    var id = transfer.GetProperty("id").GetString();
                    console.WriteLine(
                        $"transfer: {await shop.GetAsOperator($"/api/v1/transfers/{id}", cancellation)}"
                    );
                }
            }
        }
    }

    async Task<(int Code, JsonElement Report)> Reconcile(string[] command, CancellationToken cancellation)
    {
        var (code, output, errors) = await stage.Veza.Ask(command, cancellation);
        if (output.Length == 0)
        {
            console.MarkupLineInterpolated($"[red]{errors}[/]");
            return (code, default);
        }

        using var document = JsonDocument.Parse(output);
        return (code, document.RootElement.Clone());
    }

    async Task<long> Gaps(CancellationToken cancellation)
    {
        var latest = await shop.GetAsOperator("/api/v1/reconciliation", cancellation);
        var walk = latest.GetProperty("stripe_events");
        return walk.ValueKind == JsonValueKind.Object ? walk.GetProperty("gaps_found").GetInt64() : 0;
    }

    void Tell((int Code, JsonElement Report) healed, (int Code, JsonElement Report) last, long gaps)
    {
        var transfers = world.Stripe.Transfers();
        var table = new Table { Border = TableBorder.Rounded, ShowHeaders = false }.AddColumns("", "");
        void Row(string what, object number) => table.AddRow(what, $"{number:N0}");
        Row("seed", seed);
        Row("orders", customers.Orders);
        Row("refunds asked for and made", customers.Refunds);
        Row("requests refused, and rightly", customers.Refused);
        Row("payouts", customers.Payouts);
        Row("transfers at Stripe", transfers.Count);
        Row("reversals at Stripe", transfers.Sum(transfer => transfer.Reversals.Count));
        Row("misfortunes scripted", misfortune.Scripted);
        Row("calls that went wrong", world.Faults.Struck);
        Row($"kill -9 of one of {stage.Hosts.Count} hosts", kills);
        Row("kill -9 of PostgreSQL", databaseKills);
        Row("webhooks delivered", world.Courier.Delivered);
        Row("webhooks lost", world.Courier.Dropped);
        Row("webhooks duplicated", world.Courier.Duplicated);
        Row("webhooks overtaken", world.Courier.Reordered);
        Row("events found in Stripe's list alone", gaps);
        Row("reversals by hand", misfortune.ByHand);
        Row("refunds the bank gave back", misfortune.Returned);
        Row("balances emptied", misfortune.Emptied);
        Row("healed by reconcile --heal", Healed(healed.Report));
        Row(
            "differences left",
            last.Report.ValueKind == JsonValueKind.Object
                ? last.Report.GetProperty("differences").GetInt32()
                : -1
        );
        console.Write(table);
        if (last.Code != 0 && last.Report.ValueKind == JsonValueKind.Object)
        {
            foreach (var finding in last.Report.GetProperty("findings").EnumerateArray())
            {
                console.WriteLine(finding.ToString());
            }
        }
    }

    static int Healed(JsonElement report) =>
        report.ValueKind == JsonValueKind.Object
            ? report
                .GetProperty("findings")
                .EnumerateArray()
                .Count(finding => finding.GetProperty("healed").GetBoolean())
            : 0;
}
