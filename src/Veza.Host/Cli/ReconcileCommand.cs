using System.CommandLine;
using System.Text.Json;
using Npgsql;
using Spectre.Console;

namespace Veza.Host.Cli;

/// <summary><c>veza reconcile</c>: 0 the books agree, 2 they differ, 1 they could not be compared.</summary>
static class ReconcileCommand
{
    const int Agree = 0;
    const int NotCompared = 1;
    const int Differ = 2;

    static readonly JsonSerializerOptions Snake = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        WriteIndented = true,
    };

    public static Command Create()
    {
        var since = new Option<string?>("--since")
        {
            Description =
                "Compare what was made or changed since then: a date or a time, in UTC without an offset (default: 30 days ago)",
        };
        var json = new Option<bool>("--json") { Description = "Print the report as JSON" };
        var heal = new Option<bool>("--heal")
        {
            Description = "Tell Veza what the providers say where that alone is proven to heal it",
        };
        var command = new Command(
            "reconcile",
            "Compares Veza's books with Hyperswitch's and Stripe's, line by line. Exit code 0: they agree, 2: they differ, "
                + "1: they could not be compared"
        )
        {
            since,
            json,
            heal,
        };
        command.SetAction(
            (parsed, cancellation) =>
                Run(parsed.GetValue(since), parsed.GetValue(json), parsed.GetValue(heal), cancellation)
        );
        return command;
    }

    static async Task<int> Run(string? from, bool json, bool heal, CancellationToken cancellation)
    {
        if (SettingsLoader.Settings() is not { } settings)
        {
            return NotCompared;
        }

        var now = TimeProvider.System.GetUtcNow();
        if (!ProviderCommands.TryParseSince(from, now.AddDays(-30), out var since))
        {
            return NotCompared;
        }

        await using var services = ProviderCommands.Services(settings);
        var service = services.GetRequiredService<ReconciliationService>();
        var actor = $"command:{Environment.UserName}";
        var scope = new Scope(since, now - settings.ReconcileGrace, heal, actor);
        try
        {
            var id = await service.Begin(Guid.CreateVersion7(now), scope, "command", cancellation);
            var (report, error) = await ProviderCommands.WithProgress(
                "Comparing",
                progress => service.Finish(id, scope, progress, cancellation)
            );
            if (report is null)
            {
                await System.Console.Error.WriteLineAsync($"The books could not be compared: {error}");
                return NotCompared;
            }

            if (json)
            {
                System.Console.WriteLine(JsonSerializer.Serialize(Describe(id, report), Snake));
            }
            else
            {
                Show(report);
            }

            return report.Agrees ? Agree : Differ;
        }
        catch (NpgsqlException error)
        {
            await System.Console.Error.WriteLineAsync(
                $"The books could not be compared. {Failures.Explain(error)}"
            );
            return NotCompared;
        }
    }

    static object Describe(Guid id, Report report) =>
        new
        {
            RunId = id,
            report.Agrees,
            report.Scope.Since,
            report.Scope.CutOff,
            report.Compared,
            Differences = report.Findings.Count(finding => finding.Counts),
            Findings = report.Findings.Select(finding => new
            {
                finding.Reason,
                finding.Entity,
                finding.EntityId,
                finding.OrderId,
                finding.Provider,
                finding.ProviderId,
                finding.Ours,
                finding.Theirs,
                finding.Remedy,
                finding.Healed,
                finding.AcknowledgedBy,
            }),
        };

    static string Advice(Finding finding) =>
        finding.Healed ? "[green]healed[/]"
        : finding.AcknowledgedBy is { } person ? $"settled, says {Markup.Escape(person)}"
        : finding.Reason == "timing" ? "young, or on its way"
        : finding.Remedy == "needs_operator" ? "a person must look: docs/runbooks/books_disagree.md"
        : "--heal mends it";

    static void Show(Report report)
    {
        var compared = report.Compared;
        AnsiConsole.MarkupInterpolated(
            $"Since {report.Scope.Since:u}: {compared.StripeTransfers} transfers "
        );
        AnsiConsole.MarkupLineInterpolated(
            $"and {compared.Payouts} payouts at Stripe, {compared.Disputes} disputes,"
        );
        AnsiConsole.MarkupLineInterpolated(
            $"{compared.HyperswitchPayments} payments and {compared.HyperswitchRefunds} refunds at Hyperswitch,"
        );
        AnsiConsole.MarkupLineInterpolated(
            $"{compared.Orders} orders here; {compared.AskedAbout} lines asked about alone, {compared.NotOurs} not Veza's."
        );
        foreach (var finding in report.Findings)
        {
            var colour = finding.Counts ? "red" : "grey";
            AnsiConsole.MarkupLine(
                $"[{colour}]{finding.Reason, -13}[/] {Markup.Escape($"{finding.Entity} {finding.EntityId}")}"
            );
            AnsiConsole.MarkupLine(
                Markup.Escape($"{"", -13} here '{finding.Ours}', {finding.Provider} '{finding.Theirs}'")
            );
            AnsiConsole.MarkupLine(
                $"{"", -13} [grey]{Markup.Escape(finding.ProviderId ?? "")}[/] {Advice(finding)}"
            );
        }

        AnsiConsole.MarkupLine(
            report.Agrees
                ? "[green]The books agree.[/]"
                : $"[red]{report.Findings.Count(finding => finding.Counts)} differences.[/]"
        );
    }
}
