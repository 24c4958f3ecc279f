using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;
using Veza.Sandbox;

namespace Veza.Bench;

/// <summary>PostgreSQL's own load generator: the yardstick beside each figure.</summary>
static partial class PgBench
{
    /// <summary>Transactions per second of a script, at the best of a few client counts.</summary>
    public static async Task<double> Best(
        PrivatePostgres postgres,
        string script,
        int seconds,
        CancellationToken cancellation
    )
    {
        var file = Path.GetTempFileName();
        await File.WriteAllTextAsync(file, script, cancellation);
        var best = 0.0;
        foreach (var clients in new[] { 8, 32 })
        {
            best = Math.Max(best, await Run(postgres, file, clients, seconds, cancellation));
        }

        File.Delete(file);
        return best;
    }

    static async Task<double> Run(
        PrivatePostgres postgres,
        string file,
        int clients,
        int seconds,
        CancellationToken cancellation
    )
    {
        var start = new ProcessStartInfo(
            Path.Combine(PrivatePostgres.FindBinaries()!, "pgbench"),
            [
                "-n",
                "-M",
                "prepared",
                "-c",
                $"{clients}",
                "-j",
                "2",
                "-T",
                $"{seconds}",
                "-f",
                file,
                "-h",
                "127.0.0.1",
                "-p",
                $"{postgres.Port}",
                "-U",
                "veza",
                "veza",
            ]
        )
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.Environment["PGPASSWORD"] = "veza";
        using var process = Process.Start(start)!;
        var errors = process.StandardError.ReadToEndAsync(cancellation);
        var output = await process.StandardOutput.ReadToEndAsync(cancellation);
        await process.WaitForExitAsync(cancellation);
        var found = Tps().Match(output);
        return found.Success
            ? double.Parse(found.Groups[1].Value, CultureInfo.InvariantCulture)
            : throw new InvalidOperationException($"pgbench failed: {await errors}");
    }

    [GeneratedRegex(@"tps = ([\d.]+) \(without")]
    private static partial Regex Tps();
}
