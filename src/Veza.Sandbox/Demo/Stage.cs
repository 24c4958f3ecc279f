namespace Veza.Sandbox.Demo;

/// <summary>Everything that a Veza needs around it, on loopback: PostgreSQL, both providers, the host.</summary>
public sealed class Stage : IAsyncDisposable
{
    readonly SandboxServer providers;
    PrivatePostgres? postgres;

    Stage(SandboxServer providers) => this.providers = providers;

    public PrivatePostgres Postgres => postgres!;
    public SandboxServer Providers => providers;

    /// <summary>They share the database, and the work, without a leader.</summary>
    public IReadOnlyList<VezaProcess> Hosts { get; private set; } = [];
    public VezaProcess Veza => Hosts[0];

    /// <summary>Follows <see cref="Postgres"/>, if it was asked for.</summary>
    public PrivatePostgres? Standby { get; private set; }
    public IReadOnlyDictionary<string, string> Settings { get; private set; } =
        new Dictionary<string, string>();
    public string ServiceKey { get; private set; } = "";
    public string OperatorKey { get; private set; } = "";

    /// <param name="program">The <c>veza</c> executable.</param>
    /// <param name="more">Settings beside the addresses and secrets.</param>
    /// <exception cref="InvalidOperationException">Something is taken or missing; nothing is left running.</exception>
    public static async Task<Stage> Raise(
        string program,
        IReadOnlyDictionary<string, string> more,
        int sandboxPort,
        CancellationToken cancellation,
        int hosts = 1,
        bool withStandby = false
    )
    {
        // What may be taken comes before what must be cleared away.
        VezaProcess.EnsureFree(more);
        var providers = await SandboxServer.Start(sandboxPort, cancellation);
        var stage = new Stage(providers);
        try
        {
            await stage.Furnish(program, more, hosts, withStandby, cancellation);
            return stage;
        }
        catch
        {
            await stage.DisposeAsync();
            throw;
        }
    }

    async Task Furnish(
        string program,
        IReadOnlyDictionary<string, string> more,
        int hosts,
        bool withStandby,
        CancellationToken cancellation
    )
    {
        postgres = await PrivatePostgres.Start(cancellation);
        Standby = withStandby ? await postgres.Follow(cancellation) : null;
        var settings = new Dictionary<string, string>(more)
        {
            ["DATABASE_URL"] = Standby is null
                ? postgres.Url
                : $"postgres://veza:veza@127.0.0.1:{postgres.Port},127.0.0.1:{Standby.Port}/veza",
            ["HYPERSWITCH_BASE_URL"] = Providers.HyperswitchUrl,
            ["HYPERSWITCH_API_KEY"] = "snd_sandbox_api_key",
            ["HYPERSWITCH_WEBHOOK_SECRET"] = Providers.World.Wiring.HyperswitchSecret,
            ["STRIPE_API_BASE"] = Providers.StripeUrl,
            ["STRIPE_SECRET_KEY"] = "sk_test_sandbox",
            ["STRIPE_WEBHOOK_SECRET"] = Providers.World.Wiring.StripeSecret,
        };
        Settings = settings;
        Hosts = [.. Enumerable.Range(0, hosts).Select(_ => VezaProcess.At(program, settings))];
        await Veza.Run(["migrate"], cancellation);
        ServiceKey = await Veza.Run(
            ["api-keys", "create", "--role", "service", "--name", "shop"],
            cancellation
        );
        OperatorKey = await Veza.Run(
            ["api-keys", "create", "--role", "operator", "--name", "ada"],
            cancellation
        );
        await Task.WhenAll(Hosts.Select(host => host.Start(cancellation)));
        Providers.World.Wiring.SendTo(Veza.Address, Hosts[^1].Address);
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var host in Hosts)
        {
            await host.DisposeAsync();
        }

        await Providers.DisposeAsync();
        if (postgres is not null)
        {
            await postgres.DisposeAsync();
        }

        if (Standby is not null)
        {
            await Standby.DisposeAsync();
        }
    }
}
