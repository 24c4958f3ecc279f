using System.CommandLine;
using System.Globalization;
using Spectre.Console;
using Veza.Bench;

var veza = new Option<string>("--veza")
{
    Description = "The veza executable",
    DefaultValueFactory = _ => Path.Combine(AppContext.BaseDirectory, "../../Veza.Host/release/veza"),
};
var orders = new Option<int>("--orders")
{
    Description = "How many orders are paid, refunded and reversed",
    DefaultValueFactory = _ => 20_000,
};
var seconds = new Option<int>("--seconds")
{
    Description = "How long each yardstick and the intake run",
    DefaultValueFactory = _ => 5,
};
var limit = new Option<bool>("--limit") { Description = "Only how much of Stripe's rate limit is used" };
var calls = new Option<bool>("--calls")
{
    Description = "Only how long each call takes under 64 clients, and the memory and start of the host",
};
var root = new RootCommand("Measures Veza with the yardstick beside it, in one run on one machine.")
{
    veza,
    orders,
    seconds,
    limit,
    calls,
};
root.SetAction(
    async (parsed, cancellation) =>
    {
        if (parsed.GetValue(calls))
        {
            await Calls.Take(Path.GetFullPath(parsed.GetValue(veza)!), 6400, 100_000, cancellation);
            return 0;
        }

        var table = new Table { Border = TableBorder.Rounded }.AddColumns(
            "what",
            "Veza",
            "yardstick",
            "",
            "ratio"
        );
        var figures = parsed.GetValue(limit)
            ? OnlyTheLimit(cancellation)
            : Measurements.Take(
                Path.GetFullPath(parsed.GetValue(veza)!),
                parsed.GetValue(orders),
                parsed.GetValue(seconds),
                cancellation
            );
        await foreach (var figure in figures)
        {
            AnsiConsole.MarkupLineInterpolated(
                $"  [grey]{figure.What}: {figure.PerSecond:N0}/s {figure.Note}[/]"
            );
            table.AddRow(
                figure.What + (figure.Note.Length > 0 ? $" ({figure.Note})" : ""),
                Rate(figure.PerSecond),
                Rate(figure.Yardstick),
                figure.YardstickName,
                (figure.PerSecond / figure.Yardstick).ToString("F2", CultureInfo.InvariantCulture)
            );
        }

        AnsiConsole.Write(table);
        return 0;
    }
);
return await root.Parse(args).InvokeAsync();

static async IAsyncEnumerable<Figure> OnlyTheLimit(
    [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellation
)
{
    yield return await AtTheLimit.Take(cancellation);
}

static string Rate(double perSecond) => perSecond.ToString("N0", CultureInfo.InvariantCulture) + "/s";
