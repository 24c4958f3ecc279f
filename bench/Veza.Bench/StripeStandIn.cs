using System.Text;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;

namespace Veza.Bench;

/// <summary>Says yes to every reversal at once, so that Veza and not Stripe is measured.</summary>
sealed class StripeStandIn(WebApplication app, string address) : IAsyncDisposable
{
    public string Address { get; } = address;

    public static async Task<StripeStandIn> Start(CancellationToken cancellation)
    {
        var builder = WebApplication.CreateEmptyBuilder(new());
        builder.WebHost.UseKestrelCore().UseUrls("http://127.0.0.1:0");
        var app = builder.Build();
        var serial = 0;
        app.Run(context =>
        {
            var number = Interlocked.Increment(ref serial);
            context.Response.ContentType = "application/json";
            return context
                .Response.Body.WriteAsync(
                    Encoding.UTF8.GetBytes(
                        $$"""{"id":"trr_{{number}}","object":"transfer_reversal","amount":4500,"created":1795435200,"currency":"eur","metadata":{},"transfer":"tr_1"}"""
                    )
                )
                .AsTask();
        });
        await app.StartAsync(cancellation);
        return new(
            app,
            app.Services.GetRequiredService<IServer>()
                .Features.Get<IServerAddressesFeature>()!
                .Addresses.First()
        );
    }

    public ValueTask DisposeAsync() => app.DisposeAsync();
}
