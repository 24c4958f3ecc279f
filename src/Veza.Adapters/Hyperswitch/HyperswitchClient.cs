using System.Net.Http.Json;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Veza.Domain;
using Veza.Domain.Deposits;
using Veza.Domain.Orders;
using Veza.Domain.Refunds;
using Veza.Domain.Subscriptions;

namespace Veza.Adapters.Hyperswitch;

/// <summary>Takes buyers' payments and gives them back, through Hyperswitch v1.</summary>
/// <remarks>
/// Hyperswitch refuses unknown fields, ignores the Idempotency-Key header (sent all the same) and deduplicates
/// by the ids that we choose. Its HTTP 200 may carry a failed refund, or an <c>error</c> object.
/// </remarks>
public sealed class HyperswitchClient(HttpClient http, string? profileId)
{
    /// <summary>The most that its lists give at once.</summary>
    public const int PageSize = 100;

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

        return CreatePayment(body, IdempotencyKey.ForOnce(order.Id.Value), cancellation);
    }

    /// <summary>
    /// Charges one period of a subscription. Without a payment method the subscriber confirms it with its client secret,
    /// and what they pay with is kept for the periods to come; with one it needs nobody's presence.
    /// </summary>
    public Task<Answered<ProviderPayment>> ChargePeriod(
        Subscription subscription,
        PaymentId payment,
        string? paymentMethod,
        CancellationToken cancellation
    )
    {
        var id = subscription.Id.Value.ToString("D");
        var body = new JsonObject
        {
            ["payment_id"] = payment.Value,
            ["amount"] = subscription.Plan.Price.Minor,
            ["currency"] = subscription.Plan.Price.Currency.Code,
            ["customer_id"] = CustomerId(subscription.Subscriber),
            ["confirm"] = paymentMethod is not null,
            ["capture_method"] = "automatic",
            ["metadata"] = new JsonObject { ["subscription_id"] = id },
        };
        if (paymentMethod is null)
        {
            body["setup_future_usage"] = "off_session";
        }
        else
        {
            body["off_session"] = true;
            body["recurring_details"] = new JsonObject
            {
                ["type"] = "payment_method_id",
                ["data"] = paymentMethod,
            };
        }

        return CreatePayment(body, IdempotencyKey.ForOnce(payment), cancellation);
    }

    /// <summary>
    /// Hyperswitch takes up to 64 letters, digits, hyphens and underscores; a subscriber of another name goes by a hash.
    /// </summary>
    static string CustomerId(string subscriber) =>
        subscriber.Length <= 64 && subscriber.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_')
            ? subscriber
            : "cus_" + Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(subscriber)))[..40];

    Task<Answered<ProviderPayment>> CreatePayment(
        JsonObject body,
        IdempotencyKey key,
        CancellationToken cancellation
    )
    {
        if (profileId is not null)
        {
            body["profile_id"] = profileId;
        }

        return Send(HttpMethod.Post, "payments", body, key, HyperswitchMapping.Payment, cancellation);
    }

    /// <summary>Asks Hyperswitch, and through it the connector, what became of a payment.</summary>
    public Task<Answered<ProviderPayment>> GetPayment(PaymentId id, CancellationToken cancellation) =>
        Ask($"payments/{id.Value}?force_sync=true", HyperswitchMapping.Payment, cancellation);

    /// <summary>Gives back what belongs to nothing, under a name that follows from the payment's.</summary>
    public Task<Answered<ProviderRefund>> CreateReturn(
        Deposit deposit,
        long amount,
        string reason,
        CancellationToken cancellation
    ) =>
        CreateRefund(
            new JsonObject
            {
                ["refund_id"] = deposit.OwnRefund.Value,
                ["payment_id"] = deposit.Payment,
                ["amount"] = amount,
                ["refund_type"] = "instant",
                ["reason"] = reason,
                ["metadata"] = new JsonObject { ["deposit_id"] = deposit.Id.Value.ToString("D") },
            },
            IdempotencyKey.ForOnce(deposit.OwnRefund),
            cancellation
        );

    /// <summary>Gives money back. Sent once; what has no answer is asked about, never repeated on a guess.</summary>
    public Task<Answered<ProviderRefund>> CreateRefund(Refund refund, CancellationToken cancellation)
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

        return CreateRefund(body, IdempotencyKey.ForOnce(refund.Id.Value), cancellation);
    }

    async Task<Answered<ProviderRefund>> CreateRefund(
        JsonObject body,
        IdempotencyKey key,
        CancellationToken cancellation
    )
    {
        var answered = await Send(
            HttpMethod.Post,
            "refunds",
            body,
            key,
            HyperswitchMapping.Refund,
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
        Ask(
            $"refunds/{Uri.EscapeDataString(id.Value)}?force_sync=true",
            HyperswitchMapping.Refund,
            cancellation
        );

    /// <summary>Asks what became of a dispute, by Hyperswitch's own name for it.</summary>
    public Task<Answered<SeenDispute>> GetDispute(string id, CancellationToken cancellation) =>
        Ask($"disputes/{Uri.EscapeDataString(id)}?force_sync=true", HyperswitchMapping.Dispute, cancellation);

    /// <summary>Payments created in the window, newest first; <c>Last</c> names where the next page begins.</summary>
    public Task<Answered<(IReadOnlyList<ProviderPayment> Items, string? Last)>> ListPayments(
        DateTimeOffset from,
        DateTimeOffset upto,
        string? after,
        CancellationToken cancellation
    ) =>
        Ask(
            $"payments/list?limit={PageSize}&created_gte={HyperswitchMapping.Time(from)}"
                + $"&created_lt={HyperswitchMapping.Time(upto)}"
                + (after is null ? "" : $"&starting_after={Uri.EscapeDataString(after)}"),
            HyperswitchMapping.Payments,
            cancellation
        );

    /// <summary>Refunds created in the window, newest first, from an offset on. The list knows other status words
    /// than the object (<c>success</c>, <c>failure</c>), so it is never filtered by status.</summary>
    public Task<Answered<IReadOnlyList<ProviderRefund>>> ListRefunds(
        DateTimeOffset from,
        DateTimeOffset upto,
        int offset,
        CancellationToken cancellation
    ) =>
        Send(
            HttpMethod.Post,
            "refunds/list",
            new JsonObject
            {
                ["limit"] = PageSize,
                ["offset"] = offset,
                ["start_time"] = HyperswitchMapping.Time(from),
                ["end_time"] = HyperswitchMapping.Time(upto),
            },
            null,
            HyperswitchMapping.Refunds,
            cancellation
        );

    /// <summary>Charges a test card for a payment: what a buyer does, for <c>veza smoke</c>.</summary>
    public Task<Answered<ProviderPayment>> ConfirmWithTestCard(
        PaymentId id,
        CancellationToken cancellation
    ) =>
        Send(
            HttpMethod.Post,
            $"payments/{id.Value}/confirm",
            new JsonObject
            {
                ["payment_method"] = "card",
                ["payment_method_data"] = new JsonObject
                {
                    ["card"] = new JsonObject
                    {
                        ["card_number"] = "4242424242424242",
                        ["card_exp_month"] = "12",
                        ["card_exp_year"] = "2035",
                        ["card_holder_name"] = "Veza Smoke",
                        ["card_cvc"] = "123",
                    },
                },
            },
            null,
            HyperswitchMapping.Payment,
            cancellation
        );

    /// <summary>A question that is refused is a question without an answer: it says nothing of what was asked about.</summary>
    async Task<Answered<T>> Ask<T>(string path, Func<JsonElement, T> read, CancellationToken cancellation)
    {
        var answered = await Send(HttpMethod.Get, path, null, null, read, cancellation);
        return answered.Answer.IsDenied || answered.Answer.IsDuplicate
            ? answered with
            {
                Answer = Answer<T>.NewInDoubt(Doubt.NoAnswer),
            }
            : answered;
    }

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

    static string Said(Refusal? refusal, int status) => refusal?.Message ?? $"HTTP {status}";

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
                401 => Answer<T>.NewNotExecuted(Hindrance.Unauthorized, Said(refusal, status)),
                403 => Answer<T>.NewNotExecuted(Hindrance.Forbidden, Said(refusal, status)),
                // Only its own word for "not found" proves an absence: IR_02 is a wrong address.
                404 when refusal?.Code is "HE_02" or "HE_04" => Answer<T>.Missing,
                404 => Answer<T>.NewInDoubt(Doubt.Unreadable),
                429 => Answer<T>.NewNotExecuted(Hindrance.RateLimited, Said(refusal, status)),
                // Busy: somebody holds the lock of this payment. Its message speaks of webhooks.
                422 when refusal?.Code == "HE_00" => Answer<T>.NewNotExecuted(
                    Hindrance.ObjectLocked,
                    refusal.Message
                ),
                400 when refusal?.Code == "HE_01" => Answer<T>.NewDuplicate(refusal.Message, false),
                >= 400 and < 500 => Answer<T>.NewDenied(refusal ?? Unnamed(status), false),
                _ => Answer<T>.NewInDoubt(Doubt.ServerError),
            };
        }
        catch (JsonException)
        {
            // Not Hyperswitch's own words: something between us and Hyperswitch has answered.
            return Answer<T>.NewInDoubt(status >= 500 ? Doubt.ServerError : Doubt.Unreadable);
        }
    }

    static Refusal? ErrorIn(JsonElement root) =>
        root.ValueKind == JsonValueKind.Object
        && root.TryGetProperty("error", out var error)
        && error.ValueKind == JsonValueKind.Object
            ? new Refusal(
                RefusalCause.OtherCause,
                JsonFields.OptionalText(error, "code") ?? "unknown",
                JsonFields.OptionalText(error, "message") ?? "The provider gave no reason."
            )
            : null;

    static Refusal NoSuchPayment =>
        new(RefusalCause.OtherCause, "HE_02", "Hyperswitch does not know this payment.");

    static Refusal Unnamed(int status) => new(RefusalCause.OtherCause, $"http_{status}", $"HTTP {status}");
}
