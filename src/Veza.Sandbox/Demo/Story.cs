using System.Diagnostics;
using System.Text.Json;
using System.Text.Json.Nodes;
using Spectre.Console;
using Veza.Sandbox.Control;
using Veza.Sandbox.Hyperswitch;

namespace Veza.Sandbox.Demo;

/// <summary>
/// The main story: orders paid, sellers paid, buyers refunded and the sellers' shares taken back, with webhooks
/// lost and repeated, answers lost, errors, a seller without money and a host killed in the middle. The same
/// seed plays the same story.
/// </summary>
sealed class Story(Stage stage, Shop shop, IAnsiConsole console, int orders)
{
    const int Sellers = 12;
    const string PoorSeller = "seller-03";

    static readonly (string Code, int Unit)[] Currencies = [("EUR", 100), ("USD", 100), ("JPY", 1)];

    readonly ProgressLine progress = new(console);
    readonly Random dice = new(20261123);
    readonly List<JsonElement> placed = [];
    readonly Simulation world = stage.Providers.World;
    int refunds;

    public async Task Play(CancellationToken cancellation)
    {
        await progress.Stage("sellers registered", report => RegisterSellers(report, cancellation));
        await progress.Stage("orders placed", report => PlaceOrders(report, cancellation));
        await progress.Stage("buyers pay", report => BuyersPay(report, cancellation));
        await progress.Stage("orders completed", report => OrdersComplete(report, cancellation));
        await progress.Stage("sellers paid by transfer", report => SellersPaid(report, cancellation));
        await progress.Stage("buyers refunded", report => BuyersRefunded(report, cancellation));
        await progress.Stage("host killed (kill -9), restarted", _ => KillAndRestart(cancellation));
        await progress.Stage(
            "shares taken back from sellers",
            report => SharesTakenBack(report, cancellation)
        );
        await progress.Stage(
            $"{PoorSeller} funded, its share back",
            report => PoorSellerFunded(report, cancellation)
        );
    }

    async Task<string> RegisterSellers(Action<int, int> report, CancellationToken cancellation)
    {
        for (var number = 1; number <= Sellers; number++)
        {
            world.Stripe.Open(Account(number));
            int? bps = number % 4 == 0 ? 1500 : null;
            await shop.Register(Name(number), Account(number), bps, cancellation);
            report(number, Sellers);
        }

        return $"{Sellers} sellers, each with an account at Stripe";
    }

    async Task<string> PlaceOrders(Action<int, int> report, CancellationToken cancellation)
    {
        var baskets = Enumerable.Range(1, orders).Select(Basket).ToList();
        await Parallel.ForEachAsync(
            baskets.Index(),
            Eight(cancellation),
            async (basket, token) =>
            {
                var order = await shop.Order(basket.Item, $"order-{basket.Index}", token);
                lock (placed)
                {
                    placed.Add(order);
                    report(placed.Count, orders);
                }
            }
        );
        // Whoever was answered first, the story goes on in the order of the ids.
        placed.Sort((one, other) => string.CompareOrdinal(Id(one), Id(other)));
        return $"{orders} orders of 2 to 4 sellers in {Currencies.Length} currencies";
    }

    async Task<string> BuyersPay(Action<int, int> report, CancellationToken cancellation)
    {
        world.Faults.Add(
            new Fault("hyperswitch.payments.create", FaultMode.TimeoutAfter, Times: 2, Every: 17)
        );
        world.Faults.Add(new Fault("stripe.transfers.create", FaultMode.TimeoutAfter, Times: 6, Every: 11));
        world.Faults.Add(
            new Fault("stripe.transfers.create", FaultMode.ErrorBefore, Times: 6, Every: 13, Status: 503)
        );
        world.Faults.Add(new Fault("stripe.transfers.create", FaultMode.Unreadable, Times: 2, Every: 37));
        world.Faults.Add(
            new Fault("stripe.transfers.create", FaultMode.ErrorBefore, Times: 4, Every: 19, Status: 429)
        );
        world.Courier.Add(new DeliveryRule("payment_succeeded", Delivery.Drop, Times: 1, Every: 23));
        world.Courier.Add(new DeliveryRule("payment_succeeded", Delivery.Duplicate, Times: 8, Every: 9));
        var done = 0;
        var declined = 0;
        await Parallel.ForEachAsync(
            placed.Index(),
            Eight(cancellation),
            async (order, token) =>
            {
                var payment = await shop.OfferPayment(Id(order.Item), token);
                if (order.Index % 31 == 7)
                {
                    await shop.Pay(payment, "4000000000000002", token);
                    Interlocked.Increment(ref declined);
                }

                await shop.Pay(payment, "4242424242424242", token);
                report(Interlocked.Increment(ref done), orders);
            }
        );
        return $"{orders} payments, {declined} of them declined at first";
    }

    async Task<string> OrdersComplete(Action<int, int> report, CancellationToken cancellation)
    {
        await Until(
            "orders completed",
            async () =>
            {
                var completed = (await shop.All("/api/v1/orders?status=completed", cancellation)).Count;
                report(completed, orders);
                return completed == orders;
            },
            cancellation
        );
        return $"{world.Courier.Dropped} webhook lost and asked for, {world.Courier.Duplicated} extra copies ignored";
    }

    async Task<string> SellersPaid(Action<int, int> report, CancellationToken cancellation)
    {
        var count = 0;
        await Until(
            "transfers completed",
            async () =>
            {
                var transfers = await shop.All("/api/v1/transfers", cancellation);
                var completed = transfers.Count(transfer => Status(transfer) == "completed");
                report(completed, count = transfers.Count);
                return completed == transfers.Count;
            },
            cancellation
        );
        return $"{count} transfers, {world.Faults.Struck} calls had gone wrong";
    }

    async Task<string> BuyersRefunded(Action<int, int> report, CancellationToken cancellation)
    {
        foreach (var (code, _) in Currencies)
        {
            world.Stripe.PayOut(Account(3), code);
        }

        world.Faults.Add(
            new Fault("hyperswitch.refunds.create", FaultMode.TimeoutAfter, Times: 2, Every: 13)
        );
        world.Faults.Add(new Fault("stripe.reversals.create", FaultMode.TimeoutAfter, Times: 8, Every: 7));
        world.Faults.Add(
            new Fault("stripe.reversals.create", FaultMode.ErrorBefore, Times: 8, Every: 9, Status: 500)
        );
        world.Faults.Add(
            new Fault("stripe.reversals.create", FaultMode.ErrorAfter, Times: 3, Every: 17, Status: 500)
        );
        world.Courier.Add(new DeliveryRule("refund_succeeded", Delivery.Drop, Times: 1, Every: 11));
        world.Courier.Add(new DeliveryRule("refund_succeeded", Delivery.Duplicate, Times: 6, Every: 5));
        world.Hyperswitch.Decide(RefundFate.Succeeded, 5);
        var wanted = placed
            .Index()
            .Where(order => order.Index % 5 < 3)
            .SelectMany(order => Refunds(order.Item, order.Index))
            .ToList();
        await Parallel.ForEachAsync(
            wanted.GroupBy(refund => refund.Order),
            Eight(cancellation),
            async (group, token) =>
            {
                foreach (var refund in group)
                {
                    await shop.Refund(refund.Body, refund.Key, token);
                    report(Interlocked.Increment(ref refunds), wanted.Count);
                }
            }
        );
        return $"{refunds} refunds: in full, in part, by line, twice";
    }

    async Task<string> KillAndRestart(CancellationToken cancellation)
    {
        await stage.Veza.Kill();
        await stage.Veza.Start(cancellation);
        return "whatever was on its way is taken up again";
    }

    async Task<string> SharesTakenBack(Action<int, int> report, CancellationToken cancellation)
    {
        await Until(
            "refunds succeeded",
            async () => (await shop.All("/api/v1/refunds?status=succeeded", cancellation)).Count == refunds,
            cancellation
        );
        var all = 0;
        var waiting = 0;
        await Until(
            "reversals",
            async () =>
            {
                var transfers = await shop.All("/api/v1/transfers", cancellation);
                var reversals = transfers
                    .SelectMany(transfer => transfer.GetProperty("reversals").EnumerateArray())
                    .ToList();
                all = reversals.Count;
                var open = transfers.Where(IsOpen).ToList();
                waiting = open.Count(transfer =>
                    transfer.GetProperty("waiting_for").GetString() == "seller_funds"
                );
                report(
                    reversals.Count(reversal => reversal.GetProperty("status").GetString() == "reversed"),
                    all
                );
                foreach (var failed in open.Where(transfer => Status(transfer) == "permanently_failed"))
                {
                    // What an operator does with a transfer that Veza has given up on.
                    await shop.Retry(Id(failed), cancellation);
                }

                return open.Count == waiting
                    && open.All(transfer => transfer.GetProperty("seller_id").GetString() == PoorSeller);
            },
            cancellation
        );
        return $"{all} reversals, {waiting} transfers wait for {PoorSeller}'s empty balance";
    }

    async Task<string> PoorSellerFunded(Action<int, int> report, CancellationToken cancellation)
    {
        foreach (var (code, unit) in Currencies)
        {
            world.Stripe.Move(Account(3), code, 100_000L * unit);
        }

        await Until(
            "the poor seller's reversals",
            async () =>
            {
                var open = (await shop.All("/api/v1/transfers?status=reversal_pending", cancellation)).Count;
                report(0, open);
                return open == 0;
            },
            cancellation
        );
        return "no transfer waits any more";
    }

    JsonObject Basket(int number)
    {
        var (code, unit) = Currencies[number % Currencies.Length];
        var sellers = Enumerable.Range(1, Sellers).OrderBy(_ => dice.Next()).Take(dice.Next(2, 5));
        return new JsonObject
        {
            ["buyer_id"] = $"buyer-{number % 40:D3}",
            ["currency"] = code,
            ["lines"] = new JsonArray([
                .. sellers.Select(seller => new JsonObject
                {
                    ["product_id"] = $"product-{dice.Next(1, 500):D3}",
                    ["seller_id"] = Name(seller),
                    ["quantity"] = dice.Next(1, 4),
                    ["unit_amount"] = dice.Next(3, 90) * unit + dice.Next(0, unit),
                }),
            ]),
        };
    }

    static IEnumerable<(string Order, string Key, JsonObject Body)> Refunds(JsonElement order, int index)
    {
        var id = Id(order);
        var total = order.GetProperty("total").GetInt64();
        var line = order.GetProperty("lines")[0].GetProperty("id").GetString();
        JsonObject Of() => new() { ["order_id"] = id, ["reason"] = "requested_by_customer" };
        switch (index % 5)
        {
            case 0:
                yield return (id, $"refund-{id}", Of());
                break;
            case 1:
                var part = Of();
                part["amount"] = total / 3;
                yield return (id, $"refund-{id}-a", part);
                yield return (id, $"refund-{id}-b", Of());
                break;
            default:
                var byLine = Of();
                byLine["lines"] = new JsonArray(line);
                yield return (id, $"refund-{id}", byLine);
                break;
        }
    }

    /// <exception cref="InvalidOperationException">It did not happen within a minute; what is open is named.</exception>
    async Task Until(string what, Func<Task<bool>> happened, CancellationToken cancellation)
    {
        var time = Stopwatch.StartNew();
        while (!await happened())
        {
            if (time.Elapsed > TimeSpan.FromSeconds(60))
            {
                var open = await shop.All("/api/v1/transfers", cancellation);
                throw new InvalidOperationException(
                    $"Waited a minute for: {what}. The host's log: {stage.Veza.LogFile}. Open: "
                        + string.Join("; ", open.Where(IsOpen).Select(Describe))
                );
            }

            await Task.Delay(100, cancellation);
        }
    }

    static bool IsOpen(JsonElement transfer) => Status(transfer) is not ("completed" or "reversed");

    static string Describe(JsonElement transfer) =>
        $"{Id(transfer)} {transfer.GetProperty("seller_id")} {Status(transfer)} {transfer.GetProperty("waiting_for")} "
        + $"until {transfer.GetProperty("next_retry_at")} {transfer.GetProperty("failure")}";

    static ParallelOptions Eight(CancellationToken cancellation) =>
        new() { MaxDegreeOfParallelism = 8, CancellationToken = cancellation };

    static string Name(int seller) => $"seller-{seller:D2}";

    static string Account(int seller) => $"acct_sandbox{seller:D2}";

    static string Id(JsonElement thing) => thing.GetProperty("id").GetString()!;

    static string Status(JsonElement thing) => thing.GetProperty("status").GetString()!;
}
