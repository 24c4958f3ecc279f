using System.Text.Json;

namespace Veza.Host.ProviderEvents;

/// <summary><c>POST /webhooks/hyperswitch</c></summary>
static class HyperswitchWebhook
{
    public static void Map(IEndpointRouteBuilder routes) => routes.MapPost("/webhooks/hyperswitch", Receive);

    static Task<IResult> Receive(
        HttpContext context,
        Settings settings,
        EventIngestion intake,
        CancellationToken cancellation
    ) =>
        WebhookReceiver.Receive(
            context,
            new WebhookScheme(
                "hyperswitch",
                "HYPERSWITCH_WEBHOOK_SECRET",
                settings.HyperswitchWebhookSecrets,
                "X-Webhook-Signature-512",
                "missing or does not match the body",
                (body, signature) =>
                    WebhookSignatures.IsHyperswitchs(
                        body.Span,
                        signature,
                        settings.HyperswitchWebhookSecrets
                    ),
                Read
            ),
            intake,
            cancellation
        );

    static ReceivedEvent Read(JsonElement root)
    {
        var about = WebhookReceiver.Inner(WebhookReceiver.Inner(root, "content"), "object");
        return new ReceivedEvent(
            "hyperswitch",
            JsonFields.OptionalText(root, "event_id") ?? "",
            JsonFields.OptionalText(root, "event_type") ?? "",
            JsonFields.OptionalText(about, "refund_id") ?? JsonFields.OptionalText(about, "payment_id") ?? "",
            ""
        );
    }
}
