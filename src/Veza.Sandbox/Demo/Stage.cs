namespace Veza.Sandbox.Demo;

/// <summary>Everything that a Veza needs around it, on loopback: PostgreSQL, both providers, the host.</summary>
public sealed class Stage : IAsyncDisposable
{
    Stage(
        PrivatePostgres postgres,
        SandboxServer providers,
        IReadOnlyList<VezaProcess> hosts,
        IReadOnlyDictionary<string, string> settings
    )
    {
        Postgres = postgres;
        Providers = providers;
        Hosts = hosts;
        Settings = settings;
    }

    public PrivatePostgres Postgres { get; }
    public SandboxServer Providers { get; }

    /// <summary>They share the database, and the work, without a leader.</summary>
    public IReadOnlyList<VezaProcess> Hosts { get; }
    public VezaProcess Veza => Hosts[0];

    /// <summary>Follows <see cref="Postgres"/>, if it was asked for.</summary>
    public PrivatePostgres? Standby { get; private init; }
    public IReadOnlyDictionary<string, string> Settings { get; }
    public string ServiceKey { get; private set; } = "";
    public string OperatorKey { get; private set; } = "";

    /// <param name="program">The <c>veza</c> executable.</param>
    /// <param name="more">Settings beside the addresses and secrets.</param>
    public static async Task<Stage> Raise(
        string program,
        IReadOnlyDictionary<string, string> more,
        int sandboxPort,
        CancellationToken cancellation,
        int hosts = 1,
        bool withStandby = false
    )
    {
        var postgres = await PrivatePostgres.Start(cancellation);
        var standby = withStandby ? await postgres.Follow(cancellation) : null;
        var providers = await SandboxServer.Start(sandboxPort, cancellation);
        var settings = new Dictionary<string, string>(more)
        {
            ["DATABASE_URL"] = standby is null
                ? postgres.Url
                : $"postgres://veza:veza@127.0.0.1:{postgres.Port},127.0.0.1:{standby.Port}/veza",
            ["HYPERSWITCH_BASE_URL"] = providers.HyperswitchUrl,
            ["HYPERSWITCH_API_KEY"] = "snd_sandbox_api_key",
            ["HYPERSWITCH_WEBHOOK_SECRET"] = providers.World.Wiring.HyperswitchSecret,
            ["STRIPE_API_BASE"] = providers.StripeUrl,
            ["STRIPE_SECRET_KEY"] = "sk_test_sandbox",
            ["STRIPE_WEBHOOK_SECRET"] = providers.World.Wiring.StripeSecret,
        };
        var all = Enumerable.Range(0, hosts).Select(_ => VezaProcess.At(program, settings)).ToList();
        var veza = all[0];
        var stage = new Stage(postgres, providers, all, settings) { Standby = standby };
        await veza.Run(["migrate"], cancellation);
        stage.ServiceKey = await veza.Run(
            ["api-keys", "create", "--role", "service", "--name", "shop"],
            cancellation
        );
        stage.OperatorKey = await veza.Run(
            ["api-keys", "create", "--role", "operator", "--name", "ada"],
            cancellation
        );
        await Task.WhenAll(all.Select(host => host.Start(cancellation)));
        providers.World.Wiring.HyperswitchTarget = veza.Address + "/webhooks/hyperswitch";
        providers.World.Wiring.StripeTarget = all[^1].Address + "/webhooks/stripe";
        return stage;
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var host in Hosts)
        {
            await host.DisposeAsync();
        }

        await Providers.DisposeAsync();
        await Postgres.DisposeAsync();
        if (Standby is not null)
        {
            await Standby.DisposeAsync();
        }
    }
}
