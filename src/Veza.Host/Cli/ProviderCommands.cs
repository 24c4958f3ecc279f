using System.Globalization;
using Spectre.Console;

namespace Veza.Host.Cli;

/// <summary>What the commands share that talk to the providers.</summary>
static class ProviderCommands
{
    /// <summary>The store, the providers and the services, without workers and without a web server.</summary>
    public static ServiceProvider Services(Settings settings)
    {
        var services = new ServiceCollection();
        // Standard output is the command's answer, which may be JSON.
        services.AddLogging(logging =>
            logging
                .SetMinimumLevel(LogLevel.Error)
                .AddConsole(console => console.LogToStandardErrorThreshold = LogLevel.Trace)
        );
        services.AddSingleton(settings);
        services.AddSingleton(TimeProvider.System);
        Composition.AddStore(services, settings.Database);
        Composition.AddProviders(services, settings, TimeProvider.System);
        Composition.AddServices(services);
        return services.BuildServiceProvider();
    }

    /// <summary>
    /// Says how far it has come, on standard error: in place on a terminal, nothing elsewhere.
    /// </summary>
    public static async Task<T> WithProgress<T>(string title, Func<Action<string>, Task<T>> work)
    {
        if (System.Console.IsErrorRedirected)
        {
            return await work(_ => { });
        }

        var console = AnsiConsole.Create(
            new AnsiConsoleSettings { Out = new AnsiConsoleOutput(System.Console.Error) }
        );
        return await console
            .Status()
            .Spinner(Spinner.Known.Dots)
            .StartAsync(title, context => work(text => context.Status($"{title}: {Markup.Escape(text)}")));
    }

    /// <summary>A date, or a time in UTC or with its offset; false, with the fault said, for anything else.</summary>
    public static bool TryParseSince(string? text, DateTimeOffset otherwise, out DateTimeOffset since)
    {
        since = otherwise;
        if (text is null)
        {
            return true;
        }

        if (
            DateTimeOffset.TryParse(
                text,
                CultureInfo.InvariantCulture,
                DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal,
                out since
            )
            && since <= TimeProvider.System.GetUtcNow()
        )
        {
            return true;
        }

        System.Console.Error.WriteLine(
            $"--since '{text}' is not a past date such as 2026-11-01, or a time such as 2026-11-01T14:00:00+02:00."
        );
        return false;
    }
}
