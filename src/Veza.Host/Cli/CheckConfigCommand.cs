using System.CommandLine;
using System.Text.Json;
using Npgsql;
using Spectre.Console;

namespace Veza.Host.Cli;

/// <summary><c>veza check-config</c>: 0 the host would start, 1 a setting is wrong or the database does not answer.</summary>
static class CheckConfigCommand
{
    /// <summary>Seconds: this is a check, and nobody waits for a firewall that swallows packets.</summary>
    const int Patience = 3;

    public static Command Create()
    {
        var json = new Option<bool>("--json") { Description = "As JSON" };
        var command = new Command(
            "check-config",
            "Names every setting, its value and what is wrong with it, and asks whether the database answers. Exit code 0: "
                + "the host would start, 1: it would not"
        )
        {
            json,
        };
        command.SetAction((parsed, cancellation) => Run(parsed.GetValue(json), cancellation));
        return command;
    }

    static async Task<int> Run(bool json, CancellationToken cancellation)
    {
        var reader = SettingsLoader.Reader();
        reader.Read();
        var (problem, note) = await Database(SettingsLoader.Reader().ReadDatabase(), cancellation);
        if (json)
        {
            System.Console.WriteLine(Describe(reader.Reports, problem, note));
        }
        else
        {
            Show(reader.Reports);
            AnsiConsole.MarkupLine(
                problem is null ? Markup.Escape(note) : $"[red]{Markup.Escape(problem)}[/]"
            );
        }

        return reader.Faults.Any() || problem is not null ? 1 : 0;
    }

    /// <summary>What is wrong with it, if anything is, and what to know of it.</summary>
    static async Task<(string? Problem, string Note)> Database(
        NpgsqlConnectionStringBuilder? settings,
        CancellationToken cancellation
    )
    {
        if (settings is null)
        {
            return (null, "DATABASE_URL: not asked.");
        }

        settings.Timeout = settings.CommandTimeout = Patience;
        try
        {
            await using var services = SettingsLoader.Store(settings);
            var migrator = services.GetRequiredService<Migrator>();
            var missing = await Task.Run(migrator.Missing, cancellation)
                .WaitAsync(TimeSpan.FromSeconds(2 * Patience), cancellation);
            return (
                null,
                missing.Count == 0
                    ? "DATABASE_URL: the database answers and is up to date."
                    : $"DATABASE_URL: the database answers; 'veza migrate' has {missing.Count} migrations to apply."
            );
        }
        catch (TimeoutException)
        {
            return ($"DATABASE_URL: the database does not answer within {2 * Patience} seconds.", "");
        }
        catch (Exception error) when (Failures.Explain(error) is { } line)
        {
            return (line, "");
        }
    }

    static void Show(IEnumerable<SettingReport> reports)
    {
        var table = Screen.Table("Setting", "Value", "");
        foreach (var report in reports)
        {
            table.AddRow(
                Markup.Escape(report.Name),
                Markup.Escape(report.Shown),
                report.Fault is { } fault ? $"[red]{Markup.Escape(fault)}[/]"
                    : report.Warning is { } warning ? $"[yellow]{Markup.Escape(warning)}[/]"
                    : report.IsDefault ? "[grey]default[/]"
                    : ""
            );
        }

        AnsiConsole.Write(table);
    }

    static string Describe(IEnumerable<SettingReport> reports, string? problem, string note) =>
        JsonSerializer.Serialize(
            new
            {
                settings = reports.Select(report => new
                {
                    name = report.Name,
                    value = report.Shown,
                    is_default = report.IsDefault,
                    problem = report.Fault,
                    warning = report.Warning,
                }),
                database = new { problem, note },
            }
        );
}
