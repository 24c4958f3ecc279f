using System.Threading.RateLimiting;

namespace Veza.Adapters.Http;

/// <summary>
/// One token bucket for all calls to Stripe. It is refilled by the time that has passed, a hundred times a second, so no
/// tick that comes late costs a request; it holds next to nothing, so nothing leaves in a burst.
/// </summary>
/// <remarks>
/// A hundredth is left to the clocks of both sides. Calls that nobody's money waits for enter the queue one at a time,
/// and only when it is empty: reconciliation and backfill take what refunds and transfers leave.
/// </remarks>
public sealed class StripeRateLimiter : IAsyncDisposable
{
    /// <summary>What one request takes out of the bucket, which holds whole numbers only.</summary>
    const int Request = 100;

    /// <summary>A limit of more than this is none: no host sends a million requests in a second.</summary>
    const int Unlimited = 1_000_000;

    static readonly TimeSpan Beat = TimeSpan.FromMilliseconds(10);

    readonly TokenBucketRateLimiter bucket;
    readonly SemaphoreSlim last = new(1);
    readonly TimeProvider clock;
    readonly ITimer timer;

    /// <param name="perSecond">STRIPE_RATE_LIMIT: requests per second of this process; each host has a budget of its own.</param>
    public StripeRateLimiter(int perSecond, TimeProvider clock)
    {
        this.clock = clock;
        var tokens = Math.Clamp(perSecond, 1, Unlimited) * Request;
        bucket = new TokenBucketRateLimiter(
            new TokenBucketRateLimiterOptions
            {
                // Half a request above one: what a beat brings over the brim is lost, and with a brim of one that is
                // an eighth of the limit.
                TokenLimit = Math.Max(Request * 3 / 2, tokens / 50),
                TokensPerPeriod = tokens,
                ReplenishmentPeriod = TimeSpan.FromSeconds(1.01),
                QueueLimit = (int)Math.Min(int.MaxValue, Math.Max(100 * Request, tokens * 30L)),
                QueueProcessingOrder = QueueProcessingOrder.OldestFirst,
                AutoReplenishment = false,
            }
        );
        timer = clock.CreateTimer(_ => bucket.TryReplenish(), null, Beat, Beat);
    }

    /// <summary>In its turn. A lease that is not granted says that the queue is full: nothing was sent.</summary>
    internal ValueTask<RateLimitLease> Acquire(HttpRequestMessage? request, CancellationToken cancellation) =>
        LowPriorityHandler.Is(request)
            ? AcquireLast(cancellation)
            : bucket.AcquireAsync(Request, cancellation);

    /// <summary>After everything that waits.</summary>
    async ValueTask<RateLimitLease> AcquireLast(CancellationToken cancellation)
    {
        await last.WaitAsync(cancellation);
        try
        {
            while (bucket.GetStatistics()?.CurrentQueuedCount > 0)
            {
                await Task.Delay(Beat, clock, cancellation);
            }

            return await bucket.AcquireAsync(Request, cancellation);
        }
        finally
        {
            last.Release();
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await timer.DisposeAsync();
        await bucket.DisposeAsync();
        last.Dispose();
    }
}

/// <summary>Marks requests that nobody's money waits for: they go when nothing else wants to.</summary>
public sealed class LowPriorityHandler(HttpMessageHandler inner) : DelegatingHandler(inner)
{
    static readonly HttpRequestOptionsKey<bool> Key = new("veza.last_in_turn");

    internal static bool Is(HttpRequestMessage? request) =>
        request?.Options.TryGetValue(Key, out var isLast) == true && isLast;

    protected override Task<HttpResponseMessage> SendAsync(
        HttpRequestMessage request,
        CancellationToken cancellationToken
    )
    {
        request.Options.Set(Key, true);
        return base.SendAsync(request, cancellationToken);
    }
}
