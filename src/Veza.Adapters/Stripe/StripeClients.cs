using Stripe;

namespace Veza.Adapters.Stripe;

/// <summary>How Stripe.net is opened.</summary>
/// <remarks>
/// Its own retries are off: it would retry with a policy of its own, and ignore a cancellation meanwhile
/// (stripe-dotnet, <c>SystemNetHttpClient</c>). The API version is the one that Stripe.net is built for, sent with each
/// request. Webhooks are read by field and not through Stripe.net, so an endpoint pinned to another version is read all
/// the same.
/// </remarks>
public static class StripeClients
{
    public static StripeClient Open(HttpClient http, string apiBase, string secretKey) =>
        new(
            new StripeClientOptions
            {
                ApiKey = secretKey,
                ApiBase = apiBase.TrimEnd('/'),
                HttpClient = new SystemNetHttpClient(http, maxNetworkRetries: 0, enableTelemetry: false),
            }
        );
}
