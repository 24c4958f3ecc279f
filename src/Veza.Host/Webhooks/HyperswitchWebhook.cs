using System.Text.Json;
using Veza.Adapters;
using Veza.Adapters.Hyperswitch;
using Veza.Adapters.Storage;

namespace Veza.Host.Webhooks;

/// <summary><c>POST /webhooks/hyperswitch</c></summary>
static class HyperswitchWebhook
{
    public static void Map(IEndpointRouteBuilder routes) => routes.MapPost("/webhooks/hyperswitch", Receive);

    static Task<IResult> Receive(
        HttpContext context,
        Settings settings,
        Intake intake,
        CancellationToken cancellation
    ) =>
        Reception.Receive(
            context,
            new Sender(
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
        var about = Reception.Inner(Reception.Inner(root, "content"), "object");
        return new ReceivedEvent(
            "hyperswitch",
            HyperswitchJson.OptionalText(root, "event_id") ?? "",
            HyperswitchJson.OptionalText(root, "event_type") ?? "",
            HyperswitchJson.OptionalText(about, "refund_id")
                ?? HyperswitchJson.OptionalText(about, "payment_id")
                ?? "",
            ""
        );
    }
}
