using System.Text.Json;
using Veza.Adapters;
using Veza.Adapters.Storage;
using Veza.Host.Workers;

namespace Veza.Host.Webhooks;

/// <summary>
/// <c>POST /webhooks/stripe</c>, for the platform's own events and those of its connected accounts alike: an endpoint
/// each at Stripe, their secrets separated by a comma here.
/// </summary>
static class StripeWebhook
{
    public static void Map(IEndpointRouteBuilder routes) => routes.MapPost("/webhooks/stripe", Receive);

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

    static ReceivedEvent Read(JsonElement root, ReadOnlyMemory<byte> body)
    {
        var received = EventWalker.Read(root);
        return received.EventId.Length > 0
            ? received
            : received with
            {
                EventId = Reception.NameOf(body.Span),
            };
    }
}
