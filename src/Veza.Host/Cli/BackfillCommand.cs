using System.CommandLine;
using System.Text.Json;
using Npgsql;
using Spectre.Console;
using Veza.Domain;

namespace Veza.Host.Cli;

/// <summary><c>veza backfill-transfer-ids</c>: 0 done, 2 something is left for a person, 1 it could not look.</summary>
static class BackfillCommand
{
    public static Command Create()
    {
        var apply = new Option<bool>("--apply")
        {
            Description = "Write the ids that were found (default: only report)",
        };
        var since = new Option<string?>("--since")
        {
            Description =
                "Only transfers made since then, a date or a time (in UTC where it names no offset)",
        };
        var report = new Option<string?>("--report")
        {
            Description =
                "A file for the report, a JSON line for each transfer; one that exists is gone on with",
        };
        var json = new Option<bool>("--json") { Description = "Print a JSON line for each transfer" };
        var command = new Command(
            "backfill-transfer-ids",
            "Finds completed transfers without a Stripe id and looks them up at Stripe. More than one match is reported and "
                + "not chosen. Exit code 0: nothing is left, 2: some are for a person, 1: Stripe or the database did not answer"
        )
        {
            apply,
            since,
            report,
            json,
        };
        command.SetAction(
            (parsed, cancellation) =>
                Run(
                    parsed.GetValue(apply),
                    parsed.GetValue(since),
                    parsed.GetValue(report),
                    parsed.GetValue(json),
                    cancellation
                )
        );
        return command;
    }

    static async Task<int> Run(
        bool apply,
        string? from,
        string? file,
        bool json,
        CancellationToken cancellation
    )
    {
        if (SettingsLoader.Settings(needsHyperswitch: false) is not { } settings)
        {
            return 1;
        }

        if (!ProviderCommands.TryParseSince(from, DateTimeOffset.UnixEpoch, out var since))
        {
            return 1;
        }

        await using var services = ProviderCommands.Services(settings);
        var backfill = services.GetRequiredService<TransferIdBackfill>();
        var counts = new SortedDictionary<string, int>(StringComparer.Ordinal);
        try
        {
            var after = file is null ? null : LastIn(file);
            await ProviderCommands.WithProgress(
                "Looking up",
                async progress =>
                {
                    await foreach (
                        var one in backfill.Run(
                            from is null ? null : since,
                            after,
                            apply,
                            $"command:{Environment.UserName}",
                            cancellation
                        )
                    )
                    {
                        Report(one, file, json);
                        counts[one.Outcome] = counts.GetValueOrDefault(one.Outcome) + 1;
                        progress($"{counts.Values.Sum()} transfers");
                    }

                    return 0;
                }
            );
        }
        catch (Exception error)
            when (error is NpgsqlException || StripeTransfers.IsPassing(error, cancellation))
        {
            await System.Console.Error.WriteLineAsync(
                $"It could not go on. {Failures.Explain(error) ?? error.Message}"
                    + (file is null ? "" : $" The next run with --report {file} goes on from here.")
            );
            return 1;
        }

        await System.Console.Error.WriteLineAsync(
            counts.Count == 0
                ? "Every completed transfer has its Stripe id."
                : string.Join(", ", counts.Select(count => $"{count.Value} {count.Key}"))
                    + (counts.ContainsKey("found") ? "; --apply writes what was found." : ".")
        );
        return counts.Keys.Any(outcome => outcome is not ("found" or "written")) ? 2 : 0;
    }

    static void Report(Backfilled one, string? file, bool json)
    {
        var line = JsonSerializer.Serialize(
            new
            {
                id = one.Transfer.Id,
                order_id = one.Transfer.OrderId,
                seller_id = one.Transfer.SellerId,
                amount = one.Transfer.Amount,
                currency = one.Transfer.Currency,
                outcome = one.Outcome,
                matches = one.Matches,
            }
        );
        if (file is not null)
        {
            File.AppendAllText(file, line + "\n");
        }

        if (json)
        {
            System.Console.WriteLine(line);
        }
        else
        {
            var matches = one.Matches.Count == 0 ? "–" : string.Join(", ", one.Matches);
            var transfer = one.Transfer;
            var amount = Money.Display(transfer.Amount, transfer.Currency);
            AnsiConsole.MarkupLineInterpolated(
                $"{transfer.Id}  {transfer.SellerId}  {amount}  {one.Outcome}  {matches}"
            );
        }
    }

    /// <summary>Where an interrupted run ended; a line that a kill cut off is not counted.</summary>
    static Guid? LastIn(string file)
    {
        // Found out before anything is looked up: whether it can be written.
        File.AppendAllText(file, "");
        var lines = File.ReadLines(file).Where(line => line.Length > 0).ToList();
        var last = lines.Select(IdIn).LastOrDefault(id => id is not null);
        return lines.Count > 1 && last is null
            ? throw new IOException($"--report {file} is not a report of this command; choose another file.")
            : last;
    }

    static Guid? IdIn(string line)
    {
        try
        {
            using var document = JsonDocument.Parse(line);
            return
                document.RootElement.ValueKind == JsonValueKind.Object
                && document.RootElement.TryGetProperty("id", out var id)
                && id.TryGetGuid(out var found)
                ? found
                : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }
}
