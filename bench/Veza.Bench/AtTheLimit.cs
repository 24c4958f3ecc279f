using System.Diagnostics;
using Stripe;
using Veza.Adapters.Http;
using Veza.Adapters.Stripe;
using Veza.Sandbox;

namespace Veza.Bench;

/// <summary>How much of Stripe's limit the budget uses, and whether Stripe ever has to refuse.</summary>
static class AtTheLimit
{
    const int PerSecond = 25;
    const int Seconds = 20;
    const int Callers = 16;

    public static async Task<Figure> Take(CancellationToken cancellation)
    {
        await using var sandbox = await SandboxServer.Start(0, cancellation);
        sandbox.World.Limits.PerSecond = PerSecond;
        var services = new ServiceCollection();
        services.AddSingleton(new StripeRateLimiter(PerSecond, TimeProvider.System));
        services
            .AddHttpClient("stripe")
            .AddPolicy(
                "stripe",
                provider => provider.GetRequiredService<StripeRateLimiter>(),
                TimeSpan.FromSeconds(30),
                TimeProvider.System
            );
        await using var provider = services.BuildServiceProvider();
        using var http = provider.GetRequiredService<IHttpClientFactory>().CreateClient("stripe");
        var stripe = new StripeReader(StripeClients.Open(http, sandbox.StripeUrl, "sk_test_bench"));
        await stripe.Transfer("tr_warm", cancellation);
        var before = sandbox.World.Limits.Served;
        var time = Stopwatch.StartNew();
        await Task.WhenAll(
            Enumerable
                .Range(0, Callers)
                .Select(async _ =>
                {
                    while (time.Elapsed < TimeSpan.FromSeconds(Seconds))
                    {
                        try
                        {
                            await stripe.Transfer("tr_x", cancellation);
                        }
                        catch (StripeException)
                        {
                            // Refused: the sandbox counts it.
                        }
                    }
                })
        );
        var served = sandbox.World.Limits.Served - before;
        return new Figure(
            "calls to Stripe at its limit",
            served / time.Elapsed.TotalSeconds,
            PerSecond,
            "the limit",
            $"{sandbox.World.Limits.Refused} refused with 429"
        );
    }
}
