using System.Text.Json;
using Veza.Adapters;
using Veza.Adapters.Hyperswitch;
using Veza.Adapters.Postgres;
using Veza.Host.Api;

namespace Veza.Host.Webhooks;

/// <summary>
/// <c>POST /webhooks/stripe</c>: verified over the raw bytes, recorded, answered. Every event is kept; none is
/// acted on yet, since the workers ask Stripe themselves.
/// </summary>
static class StripeWebhook
{
    const string Signature = "Stripe-Signature";

    public static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPost("/webhooks/stripe", Receive).WithSummary("Stripe's webhooks");

    static async Task<IResult> Receive(
        HttpContext context,
        Settings settings,
        Intake intake,
        TimeProvider clock,
        CancellationToken cancellation
    )
    {
        if (settings.StripeWebhookSecrets.Count == 0)
        {
            return Problem.Of(
                500,
                "webhook_secret_missing",
                "STRIPE_WEBHOOK_SECRET is not set, so no webhook can be told from a forgery."
            );
        }

        var body = await HyperswitchWebhook.ReadBody(context.Request, cancellation);
        var signature = context.Request.Headers[Signature].ToString();
        var secrets = settings.StripeWebhookSecrets;
        if (!WebhookSignatures.IsStripes(body.Span, signature, secrets, clock.GetUtcNow()))
        {
            return Problem.Of(
                401,
                "signature_invalid",
                $"{Signature} is missing, stale or does not match the body."
            );
        }

        return Read(body) is { } received
            ? await HyperswitchWebhook.Keep(intake, received, cancellation)
            : Problem.Of(400, "invalid_json", "The body is not a JSON object.");
    }

    static ReceivedEvent? Read(ReadOnlyMemory<byte> body)
    {
        try
        {
            using var document = JsonDocument.Parse(body);
            var root = document.RootElement;
            if (root.ValueKind != JsonValueKind.Object)
            {
                return null;
            }

            var about =
                root.TryGetProperty("data", out var data)
                && data.ValueKind == JsonValueKind.Object
                && data.TryGetProperty("object", out var found)
                    ? found
                    : default;
            return new ReceivedEvent(
                "stripe",
                HyperswitchJson.OptionalText(root, "id") ?? HyperswitchWebhook.NameOf(body.Span),
                HyperswitchJson.OptionalText(root, "type") ?? "unknown",
                HyperswitchJson.OptionalText(about, "id") ?? "",
                root.GetRawText()
            );
        }
        catch (JsonException)
        {
            return null;
        }
    }
}
