using System.Net.Http.Json;
using System.Text.Json;
using System.Text.Json.Nodes;
using Veza.Domain;
using Veza.Domain.Orders;
using Veza.Domain.Refunds;

namespace Veza.Adapters.Hyperswitch;

/// <summary>Takes buyers' payments and gives them back, through Hyperswitch v1.</summary>
/// <remarks>
/// Hyperswitch refuses unknown fields, ignores the Idempotency-Key header (sent all the same) and deduplicates
/// by the ids that we choose. Its HTTP 200 may carry a failed refund, or an <c>error</c> object.
/// </remarks>
public sealed class HyperswitchClient(HttpClient http, string? profileId)
{
    /// <summary>Creates the payment that the buyer will confirm with its client secret.</summary>
    public Task<Answered<ProviderPayment>> CreatePayment(
        Order order,
        string? returnUrl,
        CancellationToken cancellation
    )
    {
        var body = new JsonObject
        {
            ["payment_id"] = PaymentId.For(order.Id).Value,
            ["amount"] = order.Total,
            ["currency"] = order.Currency.Code,
            ["confirm"] = false,
            ["capture_method"] = "automatic",
            ["merchant_order_reference_id"] = order.Id.Value.ToString("D"),
            ["metadata"] = new JsonObject { ["order_id"] = order.Id.Value.ToString("D") },
        };
        if (returnUrl is not null)
        {
            body["return_url"] = returnUrl;
        }

        if (profileId is not null)
        {
            body["profile_id"] = profileId;
        }

        return Send(
            HttpMethod.Post,
            "payments",
            body,
            IdempotencyKey.ForOnce(order.Id.Value),
            HyperswitchJson.Payment,
            cancellation
        );
    }

    /// <summary>Asks Hyperswitch, and through it the connector, what became of a payment.</summary>
    public Task<Answered<ProviderPayment>> GetPayment(PaymentId id, CancellationToken cancellation) =>
        Send(
            HttpMethod.Get,
            $"payments/{id.Value}?force_sync=true",
            null,
            null,
            HyperswitchJson.Payment,
            cancellation
        );

    /// <summary>Gives money back. Sent once; what has no answer is asked about, never repeated on a guess.</summary>
    public async Task<Answered<ProviderRefund>> CreateRefund(Refund refund, CancellationToken cancellation)
    {
        var body = new JsonObject
        {
            ["refund_id"] = ProviderRefundId.For(refund.Id).Value,
            ["payment_id"] = PaymentId.For(refund.Order).Value,
            ["amount"] = refund.Amount.Minor,
            ["refund_type"] = "instant",
            ["metadata"] = new JsonObject
            {
                ["order_id"] = refund.Order.Value.ToString("D"),
                ["refund_id"] = refund.Id.Value.ToString("D"),
            },
        };
        if (refund.Reason is { Value: var reason })
        {
            body["reason"] = reason;
        }

        var answered = await Send(
            HttpMethod.Post,
            "refunds",
            body,
            IdempotencyKey.ForOnce(refund.Id.Value),
            HyperswitchJson.Refund,
            cancellation
        );
        // "Not found" can only be the payment: that is a refusal, and a definite one.
        return answered.Answer.IsMissing
            ? answered with
            {
                Answer = Answer<ProviderRefund>.NewDenied(NoSuchPayment, false),
            }
            : answered;
    }

    /// <summary>Asks what became of a refund.</summary>
    public Task<Answered<ProviderRefund>> GetRefund(ProviderRefundId id, CancellationToken cancellation) =>
        Send(
            HttpMethod.Get,
            $"refunds/{id.Value}?force_sync=true",
            null,
            null,
            HyperswitchJson.Refund,
            cancellation
        );

    async Task<Answered<T>> Send<T>(
        HttpMethod method,
        string path,
        JsonObject? body,
        IdempotencyKey? key,
        Func<JsonElement, T> read,
        CancellationToken cancellation
    )
    {
        try
        {
            using var request = new HttpRequestMessage(method, path);
            if (body is not null)
            {
                request.Content = JsonContent.Create(body);
            }

            if (key is not null)
            {
                request.Headers.Add("Idempotency-Key", key.Value);
            }

            using var response = await http.SendAsync(request, cancellation);
            var requestId = response.Headers.TryGetValues("x-request-id", out var ids)
                ? ids.FirstOrDefault()
                : null;
            var text = await response.Content.ReadAsStringAsync(cancellation);
            return new(Classify((int)response.StatusCode, text, read), requestId);
        }
        catch (Exception error) when (Transport.Classify<T>(error, cancellation) is { } answer)
        {
            return new(answer, null);
        }
    }

    static Answer<T> Classify<T>(int status, string text, Func<JsonElement, T> read)
    {
        try
        {
            using var document = JsonDocument.Parse(text);
            var refusal = ErrorIn(document.RootElement);
            return status switch
            {
                // The "payment blocked" error comes with HTTP 200.
                >= 200 and < 300 when refusal is not null => Answer<T>.NewDenied(refusal, false),
                >= 200 and < 300 => Answer<T>.NewAccepted(read(document.RootElement)),
                401 => Answer<T>.NewNotExecuted(Hindrance.Unauthorized),
                403 => Answer<T>.NewNotExecuted(Hindrance.Unauthorized),
                404 => Answer<T>.Missing,
                429 => Answer<T>.NewNotExecuted(Hindrance.RateLimited),
                // Busy: somebody holds the lock of this payment. Its message speaks of webhooks.
                422 when refusal?.Code == "HE_00" => Answer<T>.NewNotExecuted(Hindrance.ObjectLocked),
                400 when refusal?.Code == "HE_01" => Answer<T>.NewDuplicate(refusal.Message),
                >= 400 and < 500 => Answer<T>.NewDenied(refusal ?? Unnamed(status), false),
                _ => Answer<T>.NewInDoubt(Doubt.ServerError),
            };
        }
        catch (JsonException)
        {
            return status is >= 400 and < 500
                ? Answer<T>.NewDenied(Unnamed(status), false)
                : Answer<T>.NewInDoubt(status >= 500 ? Doubt.ServerError : Doubt.Unreadable);
        }
    }

    static Refusal? ErrorIn(JsonElement root) =>
        root.ValueKind == JsonValueKind.Object
        && root.TryGetProperty("error", out var error)
        && error.ValueKind == JsonValueKind.Object
            ? new Refusal(
                RefusalCause.OtherCause,
                HyperswitchJson.OptionalText(error, "code") ?? "unknown",
                HyperswitchJson.OptionalText(error, "message") ?? "The provider gave no reason."
            )
            : null;

    static Refusal NoSuchPayment =>
        new(RefusalCause.OtherCause, "HE_02", "Hyperswitch does not know the payment of this order.");

    static Refusal Unnamed(int status) => new(RefusalCause.OtherCause, $"http_{status}", $"HTTP {status}");
}
