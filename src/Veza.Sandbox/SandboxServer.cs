using System.Net;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Veza.Sandbox.Control;
using Veza.Sandbox.Hyperswitch;
using Veza.Sandbox.Stripe;

namespace Veza.Sandbox;

/// <summary>Both simulated providers and their control API on one port, of loopback where nothing else is asked for.</summary>
public sealed class SandboxServer : IAsyncDisposable
{
    readonly WebApplication app;

    SandboxServer(WebApplication app, Simulation world)
    {
        this.app = app;
        World = world;
        Address = app
            .Services.GetRequiredService<IServer>()
            .Features.Get<IServerAddressesFeature>()!
            .Addresses.First();
    }

    public Simulation World { get; }

    /// <summary>Such as <c>http://127.0.0.1:43210</c>.</summary>
    public string Address { get; }

    public string HyperswitchUrl => Address + "/hyperswitch";

    public string StripeUrl => Address + "/stripe";

    public const string Loopback = "127.0.0.1";

    /// <param name="port">0: any free one.</param>
    /// <param name="listen">The address; another than loopback is for a container, whose loopback nobody else reaches.</param>
    /// <exception cref="InvalidOperationException">It cannot listen there.</exception>
    public static async Task<SandboxServer> Start(
        int port,
        CancellationToken cancellation,
        string listen = Loopback
    )
    {
        if (!IPAddress.TryParse(listen, out var address))
        {
            throw new InvalidOperationException($"--listen must be an IP address, and is '{listen}'.");
        }

        var builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.UseUrls($"http://{new IPEndPoint(address, port)}");
        builder.Logging.ClearProviders();
        var world = new Simulation();
        var app = builder.Build();
        HyperswitchEndpoints.Map(app, world);
        StripeEndpoints.Map(app, world);
        ControlEndpoints.Map(app, world);
        try
        {
            await app.StartAsync(cancellation);
        }
        catch (IOException error)
        {
            await app.DisposeAsync();
            await world.DisposeAsync();
            throw new InvalidOperationException(
                $"The simulated providers cannot listen on port {port} ({error.GetBaseException().Message}). "
                    + "Stop what listens there, or choose another with --port.",
                error
            );
        }

        return new SandboxServer(app, world);
    }

    public async ValueTask DisposeAsync()
    {
        await World.DisposeAsync();
        await app.DisposeAsync();
    }
}
