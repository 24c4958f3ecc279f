namespace Veza.Sandbox.Demo;

/// <summary>Everything that a Veza needs around it, on loopback: PostgreSQL, both providers, the host.</summary>
public sealed class Stage : IAsyncDisposable
{
    Stage(
        PrivatePostgres postgres,
        SandboxServer providers,
        VezaProcess veza,
        IReadOnlyDictionary<string, string> settings
    )
    {
        Postgres = postgres;
        Providers = providers;
        Veza = veza;
        Settings = settings;
    }

    public PrivatePostgres Postgres { get; }
    public SandboxServer Providers { get; }
    public VezaProcess Veza { get; }
    public IReadOnlyDictionary<string, string> Settings { get; }
    public string ServiceKey { get; private set; } = "";
    public string OperatorKey { get; private set; } = "";

    /// <param name="program">The <c>veza</c> executable.</param>
    /// <param name="more">Settings beside the addresses and secrets.</param>
    public static async Task<Stage> Raise(
        string program,
        IReadOnlyDictionary<string, string> more,
        int sandboxPort,
        CancellationToken cancellation
    )
    {
        var postgres = await PrivatePostgres.Start(cancellation);
        var providers = await SandboxServer.Start(sandboxPort, cancellation);
        var settings = new Dictionary<string, string>(more)
        {
            ["DATABASE_URL"] = postgres.Url,
            ["HYPERSWITCH_BASE_URL"] = providers.HyperswitchUrl,
            ["HYPERSWITCH_API_KEY"] = "snd_sandbox_api_key",
            ["HYPERSWITCH_WEBHOOK_SECRET"] = providers.World.Wiring.HyperswitchSecret,
            ["STRIPE_API_BASE"] = providers.StripeUrl,
            ["STRIPE_SECRET_KEY"] = "sk_test_sandbox",
            ["STRIPE_WEBHOOK_SECRET"] = providers.World.Wiring.StripeSecret,
        };
        var veza = VezaProcess.At(program, settings);
        var stage = new Stage(postgres, providers, veza, settings);
        await veza.Run(["migrate"], cancellation);
        stage.ServiceKey = await veza.Run(
            ["api-keys", "create", "--role", "service", "--name", "shop"],
            cancellation
        );
        stage.OperatorKey = await veza.Run(
            ["api-keys", "create", "--role", "operator", "--name", "ada"],
            cancellation
        );
        await veza.Start(cancellation);
        providers.World.Wiring.HyperswitchTarget = veza.Address + "/webhooks/hyperswitch";
        providers.World.Wiring.StripeTarget = veza.Address + "/webhooks/stripe";
        return stage;
    }

    public async ValueTask DisposeAsync()
    {
        await Veza.DisposeAsync();
        await Providers.DisposeAsync();
        await Postgres.DisposeAsync();
    }
}
