using System.Text;
using System.Text.Json;
using System.Text.Unicode;
using Npgsql;

namespace Veza.Host.ProviderEvents;

/// <summary>Writes received webhooks to disk, those of many requests in one commit.</summary>
sealed class EventIngestion(IStore store, WorkSignals wakes, TimeProvider clock) : IAsyncDisposable
{
    readonly BatchWriter<ReceivedEvent> writer = new(
        async events =>
        {
            // Many requests share this write: none of them may cancel it for the others.
            await store.RecordEvents(events, clock.GetUtcNow(), CancellationToken.None);
            wakes.Inbox.Tap();
        },
        most: 500
    );

    /// <summary>When this returns, the event is on disk and 200 may be said.</summary>
    public Task Keep(ReceivedEvent received, CancellationToken cancellation) =>
        writer.Write(received, cancellation);

    public ValueTask DisposeAsync() => writer.DisposeAsync();
}

/// <summary>What differs between the providers' webhooks.</summary>
/// <param name="SecretSetting">The setting without which nothing can be told from a forgery.</param>
/// <param name="Unlike">How a signature can be wrong.</param>
/// <param name="Read">What it is about, as far as it says so.</param>
sealed record WebhookScheme(
    string Provider,
    string SecretSetting,
    IReadOnlyList<byte[]> Secrets,
    string SignatureHeader,
    string Unlike,
    Func<ReadOnlyMemory<byte>, string, bool> IsGenuine,
    Func<JsonElement, ReceivedEvent> Read
);

/// <summary>How every webhook is received: verified over the raw bytes, recorded, answered; nothing else.</summary>
static class WebhookReceiver
{
    public static async Task<IResult> Receive(
        HttpContext context,
        WebhookScheme sender,
        EventIngestion intake,
        CancellationToken cancellation
    )
    {
        if (sender.Secrets.Count == 0)
        {
            return Problem.Of(
                500,
                "webhook_secret_missing",
                $"{sender.SecretSetting} is not set, so no webhook can be told from a forgery."
            );
        }

        var body = await context.Request.ReadBody(cancellation);
        if (!sender.IsGenuine(body, context.Request.Headers[sender.SignatureHeader].ToString()))
        {
            return Problem.Of(401, "signature_invalid", $"{sender.SignatureHeader} is {sender.Unlike}.");
        }

        return Read(body, sender) is { } received
            ? await Keep(intake, received, cancellation)
            : Problem.Of(400, "invalid_json", "The body is not a JSON object.");
    }

    /// <summary>
    /// Only what is not a JSON object at all is turned away. Whatever else is wrong with an event, it is kept to the byte,
    /// under a name of its own where it has none that can be kept, and of the type "unknown" where it does not say.
    /// </summary>
    static ReceivedEvent? Read(ReadOnlyMemory<byte> body, WebhookScheme sender)
    {
        var text = Encoding.UTF8.GetString(body.Span);
        try
        {
            using var document = JsonDocument.Parse(text);
            if (document.RootElement.ValueKind != JsonValueKind.Object)
            {
                return null;
            }

            var said = Said(document.RootElement, sender);
            return said with
            {
                EventId = IsName(said.EventId) ? said.EventId : NameOf(body.Span),
                Type = IsName(said.Type) ? said.Type : "unknown",
                ObjectId = IsName(said.ObjectId) ? said.ObjectId : "",
                Body = text,
                Bytes = Utf8.IsValid(body.Span) ? null : body.ToArray(),
            };
        }
        catch (JsonException)
        {
            return null;
        }
    }

    static ReceivedEvent Said(JsonElement root, WebhookScheme sender)
    {
        try
        {
            return sender.Read(root);
        }
        catch (InvalidOperationException)
        {
            // A field's name holds half of a surrogate pair, so that no field can be found.
            return new ReceivedEvent(sender.Provider, "", "", "", "");
        }
    }

    /// <summary>Longer ones no index takes; the replacement character stands for what could not be read.</summary>
    static bool IsName(string text) => text.Length is > 0 and <= 255 && !text.Contains('\uFFFD');

    /// <summary>An object within an object; nothing where either is missing or something else.</summary>
    public static JsonElement Inner(JsonElement parent, string name) =>
        parent.ValueKind == JsonValueKind.Object && parent.TryGetProperty(name, out var found)
            ? found
            : default;

    /// <summary>200 when it is on disk, 503 when it cannot be put there: the provider will come again.</summary>
    static async Task<IResult> Keep(
        EventIngestion intake,
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

    /// <summary>For an event without an id: the same bytes are the same event.</summary>
    static string NameOf(ReadOnlySpan<byte> body) =>
        "sha256:" + Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(body));
}
