using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Http.Resilience;
using Microsoft.Extensions.Logging;
using Polly;

namespace Veza.Adapters.Http;

/// <summary>The one policy around a provider's HTTP calls. Its parts, from the outside in:</summary>
/// <remarks>
/// a token bucket (a full queue is "not executed"); a retry where no connection could be made, so nothing was
/// sent; a circuit breaker, so that an outage costs a few calls and not a thousand retries; a time limit.
/// Everything else is the domain's to decide.
/// </remarks>
public static class ProviderPipeline
{
    public static void AddPolicy(
        this IHttpClientBuilder client,
        string provider,
        Func<IServiceProvider, StripeRateLimiter>? budget,
        TimeSpan timeout,
        TimeProvider clock
    )
    {
        client.Services.TryAddSingleton<CircuitStates>();
        client.Services.TryAddSingleton(services => new Credentials(
            clock,
            services.GetRequiredService<ILogger<Credentials>>()
        ));
        client.AddHttpMessageHandler(services => new ProviderCalls(
            provider,
            services.GetRequiredService<Credentials>()
        ));
        client.AddResilienceHandler(
            provider,
            (pipeline, context) =>
            {
                pipeline.TimeProvider = clock;
                if (budget?.Invoke(context.ServiceProvider) is { } shared)
                {
                    pipeline.AddRateLimiter(
                        new HttpRateLimiterStrategyOptions
                        {
                            RateLimiter = arguments =>
                                shared.Acquire(
                                    arguments.Context.GetRequestMessage(),
                                    arguments.Context.CancellationToken
                                ),
                        }
                    );
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
                            StateProvider = context
                                .ServiceProvider.GetRequiredService<CircuitStates>()
                                .Watch(provider),
                        }
                    )
                    .AddTimeout(timeout);
            }
        );
    }
}
