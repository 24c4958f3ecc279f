using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;
using Npgsql;

namespace Veza.Host.Cli;

/// <summary>Reading the settings, and refusing to go on with bad ones.</summary>
static class SettingsLoader
{
    /// <summary>Settings that were given on the command line; they win over the environment and appsettings.json.</summary>
    public static IReadOnlyDictionary<string, string?> OnCommandLine { get; private set; } =
        new Dictionary<string, string?>();

    /// <summary>
    /// Takes <c>--SETTING=value</c> and <c>--SETTING value</c> out of the arguments; what is left is for the verbs, whose
    /// own options are in lower case.
    /// </summary>
    public static string[] TakeSettings(string[] arguments)
    {
        var taken = new Dictionary<string, string?>();
        var rest = new List<string>();
        for (var place = 0; place < arguments.Length; place++)
        {
            var parts = arguments[place].Split('=', 2);
            if (!IsSetting(parts[0]))
            {
                rest.Add(arguments[place]);
            }
            else if (parts.Length == 2 || place + 1 < arguments.Length)
            {
                taken[parts[0][2..]] = parts.Length == 2 ? parts[1] : arguments[++place];
            }
            else
            {
                rest.Add(arguments[place]);
            }
        }

        OnCommandLine = taken;
        return [.. rest];
    }

    static bool IsSetting(string argument) =>
        argument.StartsWith("--", StringComparison.Ordinal)
        && argument.Length > 2
        && argument[2..].All(letter => char.IsAsciiLetterUpper(letter) || letter == '_');

    public static SettingsReader Reader() =>
        new(
            new ConfigurationBuilder()
                .SetBasePath(Directory.GetCurrentDirectory())
                .AddJsonFile("appsettings.json", optional: true)
                .AddEnvironmentVariables()
                .AddInMemoryCollection(OnCommandLine)
                .Build()
        );

    /// <summary>Null after every faulty setting has been named on standard error.</summary>
    /// <param name="needsHyperswitch">False for a command that never asks Hyperswitch.</param>
    public static Settings? Settings(bool needsHyperswitch = true)
    {
        var reader = Reader();
        return Sound(reader.Read(needsHyperswitch), reader);
    }

    static T? Sound<T>(T? settings, SettingsReader reader)
        where T : class
    {
        if (settings is not null)
        {
            return settings;
        }

        System.Console.Error.WriteLine("Veza cannot start with these settings:");
        foreach (var fault in reader.Faults)
        {
            System.Console.Error.WriteLine(
                $"  {fault.Name} {fault.Fault}{(fault.Shown.Length > 0 ? $" (is: {fault.Shown})" : "")}"
            );
        }

        System.Console.Error.WriteLine(
            "Every setting is explained in .env.template; 'veza check-config' shows them all."
        );
        return null;
    }

    /// <summary>
    /// The store and nothing else, for commands that only need the database: no other setting is looked at. Null after
    /// the fault has been named.
    /// </summary>
    public static ServiceProvider? Store()
    {
        var reader = Reader();
        return Sound(reader.ReadDatabase(), reader) is { } database ? Store(database) : null;
    }

    public static ServiceProvider Store(NpgsqlConnectionStringBuilder database)
    {
        var services = new ServiceCollection();
        // What goes wrong is said by the command, in a line.
        services.AddLogging(logging => logging.ClearProviders());
        services.AddSingleton(TimeProvider.System);
        Composition.AddStore(services, database);
        return services.BuildServiceProvider();
    }
}

static class ServeCommand
{
    public static async Task<int> Run(CancellationToken cancellation)
    {
        if (SettingsLoader.Settings() is not { } settings)
        {
            return 1;
        }

        await using var app = Composition.Build(settings);
        if (!await IsMigrated(app.Services.GetRequiredService<Migrator>(), settings, cancellation))
        {
            return 1;
        }

        var log = app.Services.GetRequiredService<ILogger<Settings>>();
        if (settings.HyperswitchWebhookSecrets.Count == 0)
        {
            log.LogError("HYPERSWITCH_WEBHOOK_SECRET is not set: /webhooks/hyperswitch answers 500.");
        }

        if (settings.StripeWebhookSecrets.Count == 0)
        {
            log.LogError("STRIPE_WEBHOOK_SECRET is not set: /webhooks/stripe answers 500.");
        }

        try
        {
            await app.StartAsync(cancellation);
        }
        catch (Exception error) when (IsAboutListening(error))
        {
            // Cancelled or not, the workers have started already and must finish what is in flight.
            await app.StopAsync(CancellationToken.None);
            await System.Console.Error.WriteLineAsync(
                $"VEZA_URLS: Veza cannot listen at {settings.Urls} ({error.GetBaseException().Message}). "
                    + "Stop what listens there, or choose another address."
            );
            return 1;
        }

        await app.WaitForShutdownAsync(cancellation);
        return 0;
    }

    /// <summary>
    /// The address is taken, not allowed or not of this machine. A database or a provider that does not answer at the
    /// start is another fault, and is explained as such.
    /// </summary>
    internal static bool IsAboutListening(Exception error) =>
        error switch
        {
            AddressInUseException => true,
            SocketException socket => socket.SocketErrorCode
                is SocketError.AddressAlreadyInUse
                    or SocketError.AddressNotAvailable
                    or SocketError.AddressFamilyNotSupported
                    or SocketError.AccessDenied,
            AggregateException several => several.InnerExceptions.Any(IsAboutListening),
            { InnerException: { } inner } => IsAboutListening(inner),
            _ => false,
        };

    /// <summary>A host on a database that is behind would fail in the middle of somebody's refund.</summary>
    static async Task<bool> IsMigrated(Migrator migrator, Settings settings, CancellationToken cancellation)
    {
        if (settings.AutoMigrate)
        {
            await migrator.Migrate(cancellation);
        }

        if (migrator.Missing() is { Count: > 0 } missing)
        {
            await System.Console.Error.WriteLineAsync(
                $"The database lacks {string.Join(", ", missing)}. Run 'veza migrate' first, or set AUTO_MIGRATE=true."
            );
            return false;
        }

        return true;
    }
}
