using System.Globalization;
using System.Text.Json;
using Spectre.Console;
using Veza.Sandbox.Stripe;

namespace Veza.Sandbox.Demo;

/// <summary>What buyers, sellers and the platform hold: as Veza, as Hyperswitch and as Stripe see it.</summary>
sealed class Comparison(Stage stage, Shop shop, IAnsiConsole console)
{
    readonly Table table = new Table { Border = TableBorder.Rounded }
        .AddColumns("")
        .AddColumns([
            new TableColumn("Veza").RightAligned(),
            new TableColumn("Hyperswitch").RightAligned(),
            new TableColumn("Stripe").RightAligned(),
            new TableColumn("").Centered(),
        ]);

    bool agree = true;

    /// <summary>Prints the table and answers whether everything in it agrees to the cent.</summary>
    public async Task<bool> Show(CancellationToken cancellation)
    {
        var orders = await shop.All("/api/v1/orders", cancellation);
        var transfers = await shop.All("/api/v1/transfers", cancellation);
        var balances = (await shop.Get("/api/v1/ledger/trial-balance", cancellation)).GetProperty("data");
        var books = stage.Providers.World;
        var moved = books.Stripe.Transfers();
        foreach (var (currency, totals) in books.Hyperswitch.Totals().OrderBy(entry => entry.Key))
        {
            var ours = orders.Where(order => Text(order, "currency") == currency).ToList();
            var sent = transfers.Where(transfer => Text(transfer, "currency") == currency).ToList();
            var theirs = moved
                .Where(transfer =>
                    string.Equals(transfer.Currency, currency, StringComparison.OrdinalIgnoreCase)
                )
                .ToList();
            var ledger = balances.EnumerateArray().Single(entry => Text(entry, "currency") == currency);
            Row(currency, "buyers paid", Paid(ours), totals.Captured, null);
            Row(currency, "buyers got back", Sum(ours, "refunded_amount"), totals.Refunded, null);
            Row(
                currency,
                "sellers received",
                Sum(sent.Where(IsSent), "amount"),
                null,
                theirs.Sum(transfer => transfer.Amount)
            );
            Row(
                currency,
                "sellers gave back",
                Sum(sent, "reversed_amount"),
                null,
                theirs.Sum(transfer => transfer.Reversed)
            );
            Row(
                currency,
                "platform holds",
                Account(ledger, "platform_cash"),
                null,
                books.Stripe.Balance(StripeBooks.Platform, currency)
            );
            Row(currency, "every posting, summed", ledger.GetProperty("sum").GetInt64(), 0, 0);
            CompareSellers(sent, theirs);
        }

        console.Write(table);
        return agree;
    }

    /// <summary>Sums can agree by accident; so each seller is compared too, and each transfer by its Stripe id.</summary>
    void CompareSellers(List<JsonElement> ours, List<StripeTransfer> theirs)
    {
        var known = ours.Where(IsSent)
            .ToDictionary(
                transfer => Text(transfer, "stripe_transfer_id"),
                transfer =>
                    (
                        transfer.GetProperty("amount").GetInt64(),
                        transfer.GetProperty("reversed_amount").GetInt64()
                    )
            );
        var same = theirs.Count(transfer =>
            known.TryGetValue(transfer.Id, out var sums) && sums == (transfer.Amount, transfer.Reversed)
        );
        Show("transfers that agree one by one", Count, same, null, theirs.Count);
        agree &= known.Count == theirs.Count;
    }

    void Row(string currency, string what, long veza, long? hyperswitch, long? stripe) =>
        Show(what, amount => StripeCurrencies.Display(amount, currency), veza, hyperswitch, stripe);

    void Show(string what, Func<long, string> words, long veza, long? hyperswitch, long? stripe)
    {
        var same = (hyperswitch ?? veza) == veza && (stripe ?? veza) == veza;
        agree &= same;
        table.AddRow(
            what,
            words(veza),
            hyperswitch is { } paid ? words(paid) : "",
            stripe is { } held ? words(held) : "",
            same ? "[green]✓[/]" : "[red]✗[/]"
        );
    }

    static long Paid(IEnumerable<JsonElement> orders) =>
        orders
            .Where(order => Text(order, "status") is "completed" or "partially_refunded" or "refunded")
            .Sum(order => order.GetProperty("total").GetInt64());

    static long Sum(IEnumerable<JsonElement> things, string field) =>
        things.Sum(thing => thing.GetProperty(field).GetInt64());

    static long Account(JsonElement ledger, string account) =>
        ledger
            .GetProperty("accounts")
            .EnumerateArray()
            .Where(entry => Text(entry, "account") == account)
            .Sum(entry => entry.GetProperty("balance").GetInt64());

    static bool IsSent(JsonElement transfer) =>
        transfer.GetProperty("stripe_transfer_id").ValueKind == JsonValueKind.String;

    static string Text(JsonElement thing, string field) => thing.GetProperty(field).GetString() ?? "";

    static string Count(long number) => number.ToString("N0", CultureInfo.InvariantCulture);
}
