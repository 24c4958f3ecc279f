using Spectre.Console;

namespace Veza.Host.Cli;

/// <summary>What commands print: for eyes on a terminal, for grep and cut in a pipe.</summary>
static class Screen
{
    /// <summary>Wider than any line: in a pipe nothing is wrapped.</summary>
    const int Endless = 100_000;

    public static void Prepare()
    {
        if (System.Console.IsOutputRedirected)
        {
            AnsiConsole.Profile.Width = Endless;
        }
    }

    /// <summary>A first column that names something is never broken over two lines.</summary>
    public static Table Table(params string[] columns)
    {
        var table = new Table
        {
            Border = System.Console.IsOutputRedirected ? TableBorder.None : TableBorder.Rounded,
        };
        foreach (var (place, column) in columns.Index())
        {
            var shown = new TableColumn(column);
            table.AddColumn(place == 0 ? shown.NoWrap() : shown);
        }

        return table;
    }
}
