using System.CommandLine;
using System.Diagnostics;
using Spectre.Console;
using Veza.Sandbox;
using Veza.Sandbox.Chaos;
using Veza.Sandbox.Demo;

var veza = new Option<string>("--veza") { Description = "The veza executable", Required = true };
var port = new Option<int>("--port")
{
    Description = "The simulated providers' port",
    DefaultValueFactory = _ => 5090,
};
var orders = new Option<int>("--orders")
{
    Description = "How many orders the demo plays",
    DefaultValueFactory = _ => 120,
};
var stay = new Option<bool>("--stay") { Description = "Keep everything running for the browser" };

var demo = new Command("demo", "Plays the main story against a real host and compares the books")
{
    veza,
    orders,
    stay,
};
demo.SetAction(
    (parsed, cancellation) =>
        Commands.Demo(
            parsed.GetRequiredValue(veza),
            parsed.GetValue(orders),
            parsed.GetValue(stay),
            cancellation
        )
);
var run = new Command("run", "Runs PostgreSQL, the simulated providers and the host until Ctrl-C")
{
    veza,
    port,
};
run.SetAction(
    (parsed, cancellation) => Commands.Run(parsed.GetRequiredValue(veza), parsed.GetValue(port), cancellation)
);
var listen = new Option<string>("--listen")
{
    Description = "The address to listen at; 0.0.0.0 in a container",
    DefaultValueFactory = _ => SandboxServer.Loopback,
};
var webhooksTo = new Option<string?>("--webhooks-to")
{
    Description = "The Veza that both providers send webhooks to, such as http://127.0.0.1:5080",
};
var providers = new Command("providers", "Runs only the simulated Hyperswitch and Stripe until Ctrl-C")
{
    port,
    listen,
    webhooksTo,
};
providers.SetAction(
    (parsed, cancellation) =>
        Commands.Providers(
            parsed.GetValue(port),
            parsed.GetValue(listen)!,
            parsed.GetValue(webhooksTo),
            cancellation
        )
);

var minutes = new Option<double>("--minutes")
{
    Description = "How long the chaos lasts",
    DefaultValueFactory = _ => 1,
};
var seed = new Option<int>("--seed")
{
    Description = "What goes wrong and when",
    DefaultValueFactory = _ => 1,
};
var hosts = new Option<int>("--hosts")
{
    Description = "How many hosts share the work",
    DefaultValueFactory = _ => 2,
};
var failOver = new Option<bool>("--fail-over")
{
    Description = "Half-way the database is killed for good and its standby takes over",
};
var chaos = new Command(
    "chaos",
    "Drives real hosts while both providers misbehave and hosts and database are killed, then heals and reconciles"
)
{
    veza,
    minutes,
    seed,
    hosts,
    failOver,
};
chaos.SetAction(
    (parsed, cancellation) =>
        Commands.Chaos(
            parsed.GetRequiredValue(veza),
            TimeSpan.FromMinutes(parsed.GetValue(minutes)),
            parsed.GetValue(seed),
            parsed.GetValue(hosts),
            parsed.GetValue(failOver),
            cancellation
        )
);

try
{
    return await new RootCommand("Simulated Hyperswitch and Stripe Connect, and the demo that plays on them.")
    {
        demo,
        run,
        providers,
        chaos,
    }
        .Parse(args)
        .InvokeAsync(new() { EnableDefaultExceptionHandler = false });
}
catch (InvalidOperationException error)
{
    await Console.Error.WriteLineAsync(error.Message);
    return 1;
}
catch (OperationCanceledException)
{
    return 130;
}

/// <summary>The verbs of <c>veza-sandbox</c>.</summary>
static class Commands
{
    /// <summary>A minute of waiting in production is a fifth of a second here.</summary>
    static readonly Dictionary<string, string> Hurried = new()
    {
        ["REVERSAL_CHECK_INTERVAL"] = "200ms",
        ["REVERSAL_BACKOFF_BASE"] = "200ms",
        ["REVERSAL_BACKOFF_MAX"] = "2s",
        ["TRANSFER_RETRY_CHECK_INTERVAL"] = "200ms",
        ["TRANSFER_RETRY_BACKOFF_BASE"] = "200ms",
        ["TRANSFER_RETRY_BACKOFF_MAX"] = "2s",
        ["SWEEP_INTERVAL"] = "500ms",
        ["SWEEP_AFTER"] = "2s",
        ["ABSENT_AFTER"] = "5s",
        ["FUNDS_RETRY_INTERVAL"] = "1s",
        ["WORKER_LEASE"] = "5s",
        ["STRIPE_TIMEOUT"] = "3s",
        ["HYPERSWITCH_TIMEOUT"] = "3s",
        ["STRIPE_RATE_LIMIT"] = "100",
        ["ASK_INTERVAL"] = "2s",
        ["EVENT_WALK_INTERVAL"] = "2s",
        ["RECONCILE_INTERVAL"] = "10s",
        ["RECONCILE_GRACE"] = "3s",
    };

    /// <summary>Where somebody tries Veza, the system that webhooks go to stands on the same machine.</summary>
    static readonly Dictionary<string, string> Tried = new() { ["WEBHOOK_ALLOW_PRIVATE_TARGETS"] = "true" };

    public static async Task<int> Chaos(
        string veza,
        TimeSpan length,
        int seed,
        int hosts,
        bool failOver,
        CancellationToken cancellation
    )
    {
        var time = Stopwatch.StartNew();
        var console = AnsiConsole.Console;
        console.Profile.Width = Math.Max(console.Profile.Width, 110);
        var settings = new Dictionary<string, string>(Hurried) { ["STRIPE_RATE_LIMIT"] = "400" };
        await using var stage = await Stage.Raise(veza, settings, 0, cancellation, hosts, failOver);
        using var shop = Shop.At(stage);
        var agree = await new ChaosRun(stage, shop, console, seed, length).Play(cancellation);
        console.MarkupLine(
            agree
                ? $"[green bold]Veza, Hyperswitch and Stripe agree.[/] {time.Elapsed.TotalSeconds:F0} s."
                : "[red bold]They do not agree.[/] The hosts' logs: "
                    + string.Join(", ", stage.Hosts.Select(host => host.LogFile))
        );
        return agree ? 0 : 1;
    }

    public static async Task<int> Demo(string veza, int orders, bool stay, CancellationToken cancellation)
    {
        var time = Stopwatch.StartNew();
        var console = AnsiConsole.Console;
        console.Profile.Width = Math.Max(console.Profile.Width, 110);
        await using var stage = await Stage.Raise(veza, Hurried, 0, cancellation);
        using var shop = Shop.At(stage);
        console.MarkupLine(
            $"[bold]Veza[/] at {stage.Veza.Address}, operator key [bold]{stage.OperatorKey}[/]"
        );
        await new Story(stage, shop, console, orders).Play(cancellation);
        var agree = await new Comparison(stage, shop, console).Show(cancellation);
        var (code, output, _) = await stage.Veza.Ask(["reconcile"], cancellation);
        console.WriteLine($"$ veza reconcile\n{output}");
        agree &= code == 0;
        console.MarkupLine(
            agree
                ? $"[green bold]Veza, Hyperswitch and Stripe agree to the cent.[/] {time.Elapsed.TotalSeconds:F0} s."
                : $"[red bold]They do not agree.[/] The host's log: {stage.Veza.LogFile}"
        );
        if (stay)
        {
            console.MarkupLine($"The console: [link]{stage.Veza.Address}/[/] – Ctrl-C ends everything.");
            await UntilCancelled(cancellation);
        }

        return agree ? 0 : 1;
    }

    public static async Task<int> Run(string veza, int port, CancellationToken cancellation)
    {
        await using var stage = await Stage.Raise(
            veza,
            new Dictionary<string, string>(Tried) { ["VEZA_URLS"] = "http://127.0.0.1:5080" },
            port,
            cancellation
        );
        Console.WriteLine($"Veza            {stage.Veza.Address}");
        Console.WriteLine($"  operator key  {stage.OperatorKey}");
        Console.WriteLine($"  service key   {stage.ServiceKey}");
        Console.WriteLine($"  its log       {stage.Veza.LogFile}");
        Console.WriteLine($"Hyperswitch     {stage.Providers.HyperswitchUrl}");
        Console.WriteLine($"Stripe          {stage.Providers.StripeUrl}");
        Console.WriteLine($"control         {stage.Providers.Address}/control");
        Console.WriteLine($"PostgreSQL      {stage.Postgres.Url}");
        Console.WriteLine("Ctrl-C ends everything.");
        await UntilCancelled(cancellation);
        return 0;
    }

    public static async Task<int> Providers(
        int port,
        string listen,
        string? webhooksTo,
        CancellationToken cancellation
    )
    {
        if (webhooksTo is not null && !IsWebAddress(webhooksTo))
        {
            throw new InvalidOperationException(
                $"--webhooks-to must be an http:// or https:// address, and is '{webhooksTo}'."
            );
        }

        await using var providers = await SandboxServer.Start(port, cancellation, listen);
        if (webhooksTo is not null)
        {
            providers.World.Wiring.SendTo(webhooksTo);
            Console.WriteLine($"webhooks to {webhooksTo}");
        }

        Console.WriteLine($"Hyperswitch {providers.HyperswitchUrl}");
        Console.WriteLine($"Stripe      {providers.StripeUrl}");
        Console.WriteLine($"control     {providers.Address}/control");
        await UntilCancelled(cancellation);
        return 0;
    }

    static bool IsWebAddress(string text) =>
        Uri.TryCreate(text, UriKind.Absolute, out var address) && address.Scheme is ("http" or "https");

    static async Task UntilCancelled(CancellationToken cancellation)
    {
        try
        {
            await Task.Delay(Timeout.InfiniteTimeSpan, cancellation);
        }
        catch (OperationCanceledException)
        {
            // Ctrl-C.
        }
    }
}
