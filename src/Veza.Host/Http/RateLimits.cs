using System.Globalization;
using System.Threading.RateLimiting;

namespace Veza.Host.Http;

/// <summary>
/// How many calls a second one key may make of this host, and twice that at once. Told with every answer in the headers
/// of the IETF's draft (<c>RateLimit-Limit</c>, <c>-Remaining</c>, <c>-Reset</c>).
/// </summary>
sealed class RateLimits(Settings settings) : IAsyncDisposable
{
    /// <summary>A bucket is filled up ten times a second, where that gives whole calls.</summary>
    readonly PartitionedRateLimiter<Guid> buckets = PartitionedRateLimiter.Create<Guid, Guid>(key =>
        RateLimitPartition.GetTokenBucketLimiter(
            key,
            _ => new TokenBucketRateLimiterOptions
            {
                TokenLimit = settings.ApiRateLimit * 2,
                TokensPerPeriod = Math.Max(1, settings.ApiRateLimit / 10),
                ReplenishmentPeriod = TimeSpan.FromSeconds(
                    settings.ApiRateLimit < 10 ? 1.0 / settings.ApiRateLimit : 0.1
                ),
                QueueLimit = 0,
            }
        )
    );

    /// <summary>Null if the call may go on; else the refusal.</summary>
    public IResult? Take(HttpContext context, Guid key)
    {
        using var lease = buckets.AttemptAcquire(key);
        var headers = context.Response.Headers;
        var left = buckets.GetStatistics(key)?.CurrentAvailablePermits ?? 0;
        headers["RateLimit-Limit"] = Written(settings.ApiRateLimit);
        headers["RateLimit-Remaining"] = Written(left);
        headers["RateLimit-Reset"] = "1";
        if (lease.IsAcquired)
        {
            return null;
        }

        headers.RetryAfter = "1";
        return Problem.Of(
            429,
            "rate_limited",
            $"This key may make {settings.ApiRateLimit} calls a second. Try again in a second."
        );
    }

    static string Written(long number) => number.ToString(CultureInfo.InvariantCulture);

    public ValueTask DisposeAsync() => buckets.DisposeAsync();
}
