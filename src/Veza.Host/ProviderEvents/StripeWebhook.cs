namespace Veza.Host.ProviderEvents;

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
        EventIngestion intake,
        TimeProvider clock,
        CancellationToken cancellation
    ) =>
        WebhookReceiver.Receive(
            context,
            new WebhookScheme(
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
                StripeEventBackfillWorker.Read
            ),
            intake,
            cancellation
        );
}
