using System.Text.Json;
using Npgsql;
using Veza.Adapters;
using Veza.Adapters.Hyperswitch;
using Veza.Adapters.Postgres;
using Veza.Host.Api;
using Veza.Host.Workers;

namespace Veza.Host.Webhooks;

/// <summary>Writes received webhooks to disk, those of many requests in one commit.</summary>
sealed class Intake(Inbox inbox, Wakes wakes, TimeProvider clock) : IAsyncDisposable
{
    readonly GroupWriter<ReceivedEvent> writer = new(
        async events =>
        {
            await inbox.Record(events, clock.GetUtcNow(), CancellationToken.None);
            wakes.Inbox.Tap();
        },
        most: 500
    );

    /// <summary>When this returns, the event is on disk and 200 may be said.</summary>
    public Task Keep(ReceivedEvent received, CancellationToken cancellation) =>
        writer.Write(received, cancellation);

    public ValueTask DisposeAsync() => writer.DisposeAsync();
}

/// <summary><c>POST /webhooks/hyperswitch</c>: verified over the raw bytes, recorded, answered; nothing else.</summary>
static class HyperswitchWebhook
{
    const string Signature = "X-Webhook-Signature-512";

    public static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPost("/webhooks/hyperswitch", Receive).WithSummary("Hyperswitch's webhooks");

    static async Task<IResult> Receive(
        HttpContext context,
        Settings settings,
        Intake intake,
        CancellationToken cancellation
    )
    {
        if (settings.HyperswitchWebhookSecrets.Count == 0)
        {
            return Problem.Of(
                500,
                "webhook_secret_missing",
                "HYPERSWITCH_WEBHOOK_SECRET is not set, so no webhook can be told from a forgery."
            );
        }

        var body = await ReadBody(context.Request, cancellation);
        var signature = context.Request.Headers[Signature].ToString();
        if (!WebhookSignatures.IsHyperswitchs(body.Span, signature, settings.HyperswitchWebhookSecrets))
        {
            return Problem.Of(
                401,
                "signature_invalid",
                $"{Signature} is missing or does not match the body."
            );
        }

        if (Read(body) is not { } received)
        {
            return Problem.Of(400, "invalid_json", "The body is not a JSON object.");
        }

        return await Keep(intake, received, cancellation);
    }

    /// <summary>200 when it is on disk, 503 when it cannot be put there: the provider will come again.</summary>
    internal static async Task<IResult> Keep(
        Intake intake,
        ReceivedEvent received,
        CancellationToken cancellation
    )
    {
        try
        {
            await intake.Keep(received, cancellation);
            return Results.Text("{\"received\":true}", "application/json");
        }
        catch (NpgsqlException)
        {
            return Problem.Of(503, "not_recorded", "The event could not be stored; please deliver it again.");
        }
    }

    /// <summary>An event of an unknown shape is kept too; only what is not JSON at all is turned away.</summary>
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

            var content =
                root.TryGetProperty("content", out var found) && found.ValueKind == JsonValueKind.Object
                    ? found
                    : default;
            var about =
                content.ValueKind == JsonValueKind.Object && content.TryGetProperty("object", out var inner)
                    ? inner
                    : default;
            return new ReceivedEvent(
                "hyperswitch",
                HyperswitchJson.OptionalText(root, "event_id") ?? NameOf(body.Span),
                HyperswitchJson.OptionalText(root, "event_type") ?? "unknown",
                HyperswitchJson.OptionalText(about, "refund_id")
                    ?? HyperswitchJson.OptionalText(about, "payment_id")
                    ?? "",
                root.GetRawText()
            );
        }
        catch (JsonException)
        {
            return null;
        }
    }

    /// <summary>For an event without an id: the same bytes are the same event.</summary>
    internal static string NameOf(ReadOnlySpan<byte> body) =>
        "sha256:" + Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(body));

    internal static async Task<ReadOnlyMemory<byte>> ReadBody(
        HttpRequest request,
        CancellationToken cancellation
    )
    {
        using var buffer = new MemoryStream((int)(request.ContentLength ?? 4096));
        await request.Body.CopyToAsync(buffer, cancellation);
        return buffer.TryGetBuffer(out var bytes) ? bytes : buffer.ToArray();
    }
}
