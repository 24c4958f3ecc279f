using Veza.Adapters;
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
                "stripe",
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
                EventWalker.Read
            ),
            intake,
            cancellation
        );
}
