using System.Text.Json;
using Veza.Adapters;
using Veza.Adapters.Hyperswitch;
using Veza.Adapters.Storage;

namespace Veza.Host.Webhooks;

/// <summary>
/// <c>POST /webhooks/stripe</c>. Every event is kept; none is acted on yet, since the workers ask Stripe
/// themselves.
/// </summary>
static class StripeWebhook
{
    public static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPost("/webhooks/stripe", Receive).WithSummary("Stripe's webhooks");

    static Task<IResult> Receive(
        HttpContext context,
        Settings settings,
        Intake intake,
        TimeProvider clock,
        CancellationToken cancellation
    ) =>
        Reception.Receive(
            context,
            new Sender(
                "STRIPE_WEBHOOK_SECRET",
                settings.StripeWebhookSecrets,
                "Stripe-Signature",
                "missing, stale or does not match the body",
                (body, signature) =>
                    WebhookSignatures.IsStripes(
                        body.Span,
                        signature,
                        settings.StripeWebhookSecrets,
                        clock.GetUtcNow()
                    ),
                Read
            ),
            intake,
            cancellation
        );

    static ReceivedEvent Read(JsonElement root, ReadOnlyMemory<byte> body) =>
        new(
            "stripe",
            HyperswitchJson.OptionalText(root, "id") ?? Reception.NameOf(body.Span),
            HyperswitchJson.OptionalText(root, "type") ?? "unknown",
            HyperswitchJson.OptionalText(Reception.Inner(Reception.Inner(root, "data"), "object"), "id")
                ?? "",
            root.GetRawText()
        );
}
