using System.Threading.RateLimiting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Http.Resilience;
using Polly;

namespace Veza.Adapters;

/// <summary>The one policy around a provider's HTTP calls. Its parts, from the outside in:</summary>
/// <remarks>
/// a token bucket (a full queue is "not executed"); a retry where no connection could be made, so nothing was
/// sent; a circuit breaker, so that an outage costs a few calls and not a thousand retries; a time limit.
/// Everything else is the domain's to decide.
/// </remarks>
public static class Resilience
{
    public static void AddPolicy(
        this IHttpClientBuilder client,
        string provider,
        int? requestsPerSecond,
        TimeSpan timeout,
        TimeProvider clock
    ) =>
        client.AddResilienceHandler(
            provider,
            pipeline =>
            {
                pipeline.TimeProvider = clock;
                if (requestsPerSecond is { } rate)
                {
                    pipeline.AddRateLimiter(TokenBucket(rate));
                }

                pipeline
                    .AddRetry(
                        new HttpRetryStrategyOptions
                        {
                            MaxRetryAttempts = 2,
                            Delay = TimeSpan.FromMilliseconds(100),
                            BackoffType = DelayBackoffType.Exponential,
                            ShouldHandle = outcome =>
                                ValueTask.FromResult(
                                    outcome.Outcome.Exception
                                        is HttpRequestException
                                        {
                                            HttpRequestError: HttpRequestError.ConnectionError
                                        }
                                ),
                        }
                    )
                    .AddCircuitBreaker(
                        new HttpCircuitBreakerStrategyOptions
                        {
                            FailureRatio = 0.8,
                            MinimumThroughput = 20,
                            SamplingDuration = TimeSpan.FromSeconds(10),
                            BreakDuration = TimeSpan.FromSeconds(5),
                        }
                    )
                    .AddTimeout(timeout);
            }
        );

    /// <summary>Evenly spread: a burst of a tenth of a second, refilled up to a hundred times a second.</summary>
    static TokenBucketRateLimiter TokenBucket(int rate)
    {
        var ticks = Math.Clamp(rate, 1, 100);
        return new TokenBucketRateLimiter(
            new TokenBucketRateLimiterOptions
            {
                TokenLimit = Math.Max(1, rate / 10),
                TokensPerPeriod = Math.Max(1, rate / ticks),
                ReplenishmentPeriod = TimeSpan.FromSeconds(1.0 / ticks),
                QueueLimit = Math.Max(100, rate * 30),
                QueueProcessingOrder = QueueProcessingOrder.OldestFirst,
                AutoReplenishment = true,
            }
        );
    }
}
