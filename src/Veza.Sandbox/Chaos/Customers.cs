using System.Text.Json.Nodes;
using Veza.Sandbox.Demo;

namespace Veza.Sandbox.Chaos;

/// <summary>Buyers who buy, pay, think twice and are refunded, through the host's API, whatever happens to the host.</summary>
sealed class Customers(Shop shop, Random dice, int sellers)
{
    readonly Lock gate = new();
    readonly List<(string Order, long Total)> paid = [];
    int number;

    public int Orders { get; private set; }
    public int Refunds { get; private set; }
    public int Refused { get; private set; }
    public int Payouts { get; private set; }

    /// <summary>One customer after another, until it is over.</summary>
    public async Task Shop(CancellationToken over)
    {
        while (!over.IsCancellationRequested)
        {
            try
            {
                await Visit(over);
                await Task.Delay(Draw(20, 120), over);
            }
            catch (OperationCanceledException) when (over.IsCancellationRequested)
            {
                return;
            }
            catch (InvalidOperationException)
            {
                // Refused: more than is left, a payment that the provider refuses, an order that is not paid yet.
                lock (gate)
                {
                    Refused++;
                }
            }
        }
    }

    async Task Visit(CancellationToken over)
    {
        int visit;
        lock (gate)
        {
            visit = ++number;
        }

        switch (Draw(0, 10))
        {
            case < 5:
                await Buy(visit, over);
                break;
            case < 9:
                await ThinkTwice(visit, over);
                break;
            default:
                await shop.PayOut(
                    ChaosRun.Seller(Draw(1, sellers + 1)),
                    Draw(1, 500),
                    "EUR",
                    $"payout-{visit}",
                    CancellationToken.None
                );
                lock (gate)
                {
                    Payouts++;
                }

                break;
        }
    }

    /// <summary>Once begun it is gone through with: an order that nobody pays is no story.</summary>
    async Task Buy(int visit, CancellationToken over)
    {
        over.ThrowIfCancellationRequested();
        var lines = Enumerable
            .Range(0, Draw(1, 4))
            .Select(_ => new JsonObject
            {
                ["product_id"] = $"product-{Draw(1, 100)}",
                ["seller_id"] = ChaosRun.Seller(Draw(1, sellers + 1)),
                ["quantity"] = Draw(1, 4),
                ["unit_amount"] = Draw(1, 20_000),
            });
        var order = await shop.Order(
            new JsonObject
            {
                ["buyer_id"] = $"buyer-{visit % 50}",
                ["currency"] = ChaosRun.Currencies[visit % ChaosRun.Currencies.Length],
                ["lines"] = new JsonArray([.. lines]),
            },
            $"order-{visit}",
            CancellationToken.None
        );
        var id = order.GetProperty("id").GetString()!;
        var payment = await shop.OfferPayment(id, CancellationToken.None);
        if (Draw(0, 8) == 0)
        {
            await shop.Pay(payment, "4000000000000002", CancellationToken.None);
        }

        await shop.Pay(payment, "4242424242424242", CancellationToken.None);
        lock (gate)
        {
            Orders++;
            paid.Add((id, order.GetProperty("total").GetInt64()));
        }
    }

    async Task ThinkTwice(int visit, CancellationToken over)
    {
        over.ThrowIfCancellationRequested();
        (string Order, long Total) bought;
        lock (gate)
        {
            if (paid.Count == 0)
            {
                return;
            }

            bought = paid[dice.Next(paid.Count)];
        }

        var body = new JsonObject { ["order_id"] = bought.Order };
        if (Draw(0, 3) > 0)
        {
            body["amount"] = 1 + (long)(Draw(0, 1000) / 1000.0 * (bought.Total / 2));
        }

        await shop.Refund(body, $"refund-{visit}", CancellationToken.None);
        lock (gate)
        {
            Refunds++;
        }
    }

    int Draw(int least, int below)
    {
        lock (gate)
        {
            return dice.Next(least, below);
        }
    }
}
