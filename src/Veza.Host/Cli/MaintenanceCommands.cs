using System.Text.Json;
using Spectre.Console;
using Veza.Domain;
using Veza.Domain.Specifications;

namespace Veza.Host.Cli;

static class MigrateCommand
{
    public static async Task<int> Migrate(CancellationToken cancellation)
    {
        await using var services = SettingsLoader.Store();
        if (services is null)
        {
            return 1;
        }

        var applied = await services.GetRequiredService<Migrator>().Migrate(cancellation);
        System.Console.WriteLine(
            applied.Count == 0 ? "The database is up to date." : $"Applied {string.Join(", ", applied)}."
        );
        return 0;
    }
}

static class ApiKeyCommands
{
    /// <summary>Whoever is signed in on this machine: a command has no key.</summary>
    public static string Actor => $"cli:{Environment.UserName}";

    const int LongestName = 100;

    static bool IsName(string name) =>
        name.Trim().Length > 0 && name.Length <= LongestName && !name.Any(char.IsControl);

    public static async Task<int> Create(string role, string name, CancellationToken cancellation)
    {
        await using var services = SettingsLoader.Store();
        if (services is null)
        {
            return 1;
        }

        if (!IsName(name))
        {
            await System.Console.Error.WriteLineAsync(
                $"--name must be 1 to {LongestName} characters and say whose key it is; the history names them by it."
            );
            return 1;
        }

        var (id, key) = await services
            .GetRequiredService<ApiKeys>()
            .Create(name, Enum.Parse<Role>(role, ignoreCase: true), Actor, cancellation);
        await System.Console.Error.WriteLineAsync($"Key {id} for {name} ({role}). It is shown this once:");
        System.Console.WriteLine(key);
        return 0;
    }

    public static async Task<int> List(bool json, CancellationToken cancellation)
    {
        await using var services = SettingsLoader.Store();
        if (services is null)
        {
            return 1;
        }

        var keys = await services.GetRequiredService<ApiKeys>().List(cancellation);
        if (json)
        {
            System.Console.WriteLine(
                JsonSerializer.Serialize(
                    keys.Select(key => new
                    {
                        id = key.Id,
                        name = key.Name,
                        role = ApiKeys.Word(key.Role),
                        created_at = key.CreatedAt,
                        revoked_at = key.RevokedAt,
                        last_used_at = key.LastUsedAt,
                    })
                )
            );
            return 0;
        }

        var table = Screen.Table("Id", "Name", "Role", "Last used", "");
        foreach (var key in keys)
        {
            table.AddRow(
                key.Id.ToString(),
                Markup.Escape(key.Name),
                ApiKeys.Word(key.Role),
                key.LastUsedAt?.ToString("u", System.Globalization.CultureInfo.InvariantCulture) ?? "never",
                key.RevokedAt is null ? "" : "[red]revoked[/]"
            );
        }

        AnsiConsole.Write(table);
        return 0;
    }

    public static async Task<int> Revoke(Guid id, CancellationToken cancellation)
    {
        await using var services = SettingsLoader.Store();
        if (services is null)
        {
            return 1;
        }

        if (await services.GetRequiredService<ApiKeys>().Revoke(id, Actor, cancellation))
        {
            System.Console.WriteLine($"Key {id} is revoked.");
            return 0;
        }

        await System.Console.Error.WriteLineAsync($"There is no key {id}; 'veza api-keys list' shows them.");
        return 1;
    }
}

static class SpecificationExport
{
    static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    public static int Print(string format)
    {
        System.Console.WriteLine(
            format switch
            {
                "mermaid" => string.Join("\n", Machines.all().Select(Specification.mermaid)),
                "json" => JsonSerializer.Serialize(
                    new
                    {
                        machines = Machines.all().Select(Describe),
                        operation = OperationTable.all.Select(Describe),
                    },
                    Indented
                ),
                _ => string.Join(
                    "\n",
                    Machines
                        .all()
                        .Select(Specification.markdown)
                        .Append(OperationTable.markdown)
                        .Append(WordTable.markdown)
                ),
            }
        );
        return 0;
    }

    static object Describe(Machine machine) =>
        new
        {
            name = machine.Name,
            states = machine.States,
            signals = machine.Signals,
            begins = machine.Beginnings.Select(beginning => new { by = beginning.By, @in = beginning.In }),
            transitions = machine.Cells.Select(cell => new
            {
                from = cell.From.Status,
                detail = cell.From.Detail,
                signal = cell.Signal,
                outcomes = cell.Responses.Select(response =>
                    response.Match(
                        becomes: status => Describe(becomes: status),
                        notes: noted => Describe(notes: noted),
                        unchanged: () => Describe(),
                        refused: why => Describe(refused: why)
                    )
                ),
            }),
            waits = machine.Waits.Select(wait => new
            {
                state = wait.State,
                owner = wait.Owner,
                alarm = wait.Alarm,
            }),
        };

    static object Describe(
        string? becomes = null,
        IEnumerable<string>? notes = null,
        string? refused = null
    ) =>
        new
        {
            becomes,
            notes,
            refused,
        };

    static object Describe(Decision decision) =>
        new
        {
            answer = decision.Answer,
            is_repeat = decision.IsRepeat,
            key_is_stale = decision.IsStale,
            next = decision.Next,
        };
}
