using System.Globalization;
using Veza.Domain.Specifications;

namespace Veza.Host.AdminConsole;

/// <summary>
/// The transfer machine laid out in columns by how many steps a status is from the start. Statuses and arrows
/// come from the domain; only the places are computed here.
/// </summary>
static class Diagram
{
    public const int NodeWidth = 168;
    public const int NodeHeight = 58;
    const int ColumnGap = 90;
    const int RowGap = 26;
    const int Margin = 14;

    /// <summary>How far below its boxes an arrow that leads back is drawn.</summary>
    const int BackReach = 30;

    public sealed record Node(string State, int Column, int X, int Y)
    {
        public int CenterX => X + NodeWidth / 2;
        public int CenterY => Y + NodeHeight / 2;
    }

    /// <param name="Kind">Empty for a step forwards; <c>beside</c> within a column; <c>back</c>.</param>
    public sealed record Arrow(string Path, string Kind);

    static readonly Machine Transfers = Machines.transfer();

    static readonly List<(string From, string To)> Pairs =
    [
        .. Specification.arrows(Transfers).Select(arrow => (arrow.Item1, arrow.Item2)).Distinct(),
    ];

    public static IReadOnlyList<string> States { get; } = [.. Transfers.States];

    public static IReadOnlyList<Node> Nodes { get; } = Place();

    public static IReadOnlyList<Arrow> Arrows { get; } = [.. Pairs.Select(Draw)];

    /// <summary>Arrows within the last column bow out to the right of it.</summary>
    public static int Width => Nodes.Max(node => node.X) + NodeWidth + Margin + ColumnGap / 2;

    /// <summary>With room for the arrows that lead back below the lowest box.</summary>
    public static int Height => Nodes.Max(node => node.Y) + NodeHeight + BackReach;

    static List<Node> Place()
    {
        var columns = Columns();
        var tallest = columns.Max(column => column.Count);
        return
        [
            .. columns.SelectMany(
                (column, index) =>
                    column.Select(
                        (state, row) =>
                            new Node(
                                state,
                                index,
                                Margin + index * (NodeWidth + ColumnGap),
                                Margin
                                    + row * (NodeHeight + RowGap)
                                    + (tallest - column.Count) * (NodeHeight + RowGap) / 2
                            )
                    )
            ),
        ];
    }

    static List<List<string>> Columns()
    {
        var columns = new List<List<string>> { new() { States[0] } };
        var seen = new HashSet<string>(columns[0]);
        while (seen.Count < States.Count)
        {
            var next = Pairs
                .Where(pair => columns[^1].Contains(pair.From) && seen.Add(pair.To))
                .Select(pair => pair.To)
                .ToList();
            if (next.Count == 0)
            {
                break;
            }

            columns.Add(next);
        }

        return columns;
    }

    static Arrow Draw((string From, string To) pair)
    {
        var from = Nodes.First(node => node.State == pair.From);
        var to = Nodes.First(node => node.State == pair.To);
        if (to.Column > from.Column)
        {
            var (x1, x2) = (from.X + NodeWidth, to.X);
            var bend = (x2 - x1) / 2;
            return new(
                Curve(x1, from.CenterY, x1 + bend, from.CenterY, x2 - bend, to.CenterY, x2, to.CenterY),
                ""
            );
        }

        if (to.Column == from.Column)
        {
            var x = from.X + NodeWidth;
            var reach = x + 20 + Math.Abs(to.CenterY - from.CenterY) / 6;
            return new(
                Curve(x, from.CenterY + 8, reach, from.CenterY, reach, to.CenterY, x, to.CenterY - 8),
                "beside"
            );
        }

        var below = Math.Max(from.Y, to.Y) + NodeHeight;
        return new(
            Curve(
                from.CenterX - 20,
                from.Y + NodeHeight,
                from.CenterX - 60,
                below + BackReach,
                to.CenterX + 60,
                below + BackReach,
                to.CenterX + 20,
                to.Y + NodeHeight
            ),
            "back"
        );
    }

    static string Curve(params int[] points) =>
        string.Create(
            CultureInfo.InvariantCulture,
            $"M{points[0]} {points[1]} C{points[2]} {points[3]} {points[4]} {points[5]} {points[6]} {points[7]}"
        );
}
