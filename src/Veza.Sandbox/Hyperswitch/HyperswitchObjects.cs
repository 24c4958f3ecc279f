using System.Globalization;
using System.Text.Json.Nodes;

namespace Veza.Sandbox.Hyperswitch;

/// <summary>An answer of Hyperswitch's API.</summary>
public sealed record HyperswitchAnswer(int Status, JsonObject Body)
{
    public static HyperswitchAnswer Error(
        int status,
        string code,
        string message,
        string type = "invalid_request"
    ) =>
        new(
            status,
            new JsonObject
            {
                ["error"] = new JsonObject
                {
                    ["type"] = type,
                    ["message"] = message,
                    ["code"] = code,
                },
            }
        );
}

/// <summary>What the connector will say of refunds to come.</summary>
public enum RefundFate
{
    /// <summary>`pending` in the answer, decided a moment later: the webhook tells.</summary>
    LaterSucceeded,

    /// <summary>`succeeded` in the answer, and a webhook that repeats it.</summary>
    Succeeded,

    /// <summary>HTTP 200 and `failed`.</summary>
    Failed,

    /// <summary>`pending` for ever, and no webhook: only a person at Hyperswitch can decide it.</summary>
    StaysPending,
}

sealed class Payment(string id, long amount, string currency, JsonObject metadata)
{
    public string Id { get; } = id;
    public long Amount { get; } = amount;
    public string Currency { get; } = currency;
    public JsonObject Metadata { get; } = metadata;
    public string Status { get; set; } = "requires_payment_method";
    public string? ErrorCode { get; set; }
    public DateTimeOffset Updated { get; set; }
    public string? Reference { get; init; }
    public string? ReturnUrl { get; init; }
    public string? Customer { get; init; }

    /// <summary>What the customer pays with is kept, for charges without them.</summary>
    public bool KeepsMethod { get; init; }
    public string? Method { get; set; }
    public DateTimeOffset Created { get; init; }
    public string Secret => $"{Id}_secret_sandbox";

    /// <summary>What was captured.</summary>
    public long Received { get; set; }
    public bool IsPaid => Received > 0;

    /// <summary>The PaymentIntent at Stripe.</summary>
    public string ConnectorId => "pi_" + Id[4..];
}

sealed class Refund(string id, Payment payment, long amount, string? reason)
{
    public string Id { get; } = id;
    public Payment Payment { get; } = payment;
    public long Amount { get; } = amount;
    public string? Reason { get; } = reason;
    public string Status { get; set; } = "pending";
    public string? ErrorCode { get; set; }
    public DateTimeOffset Created { get; init; }
}

/// <summary>Hyperswitch's objects as its API writes them.</summary>
static class HyperswitchShapes
{
    public static string Time(DateTimeOffset time) =>
        time.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture);

    public static JsonObject ToJson(this Payment payment) =>
        new()
        {
            ["payment_id"] = payment.Id,
            ["merchant_id"] = "merchant_sandbox",
            ["processor_merchant_id"] = "merchant_sandbox",
            ["attempt_count"] = 1,
            ["payment_method"] = "card",
            ["status"] = payment.Status,
            ["amount"] = payment.Amount,
            ["net_amount"] = payment.Amount,
            ["amount_capturable"] = 0,
            ["amount_received"] = payment.IsPaid ? payment.Received : null,
            ["currency"] = payment.Currency,
            ["client_secret"] = payment.Secret,
            ["connector"] = payment.Status == "requires_payment_method" ? null : "stripe",
            ["connector_transaction_id"] =
                payment.Status == "requires_payment_method" ? null : payment.ConnectorId,
            ["customer_id"] = payment.Customer,
            ["payment_method_id"] = payment.IsPaid ? payment.Method : null,
            ["metadata"] = payment.Metadata.DeepClone(),
            ["return_url"] = payment.ReturnUrl,
            ["merchant_order_reference_id"] = payment.Reference,
            ["error_code"] = payment.ErrorCode,
            ["error_message"] = payment.ErrorCode is null ? null : "The card was declined.",
            ["profile_id"] = "pro_sandbox",
            ["created"] = Time(payment.Created),
            ["updated"] = Time(payment.Updated),
        };

    /// <summary>Its amount is a string.</summary>
    public static JsonObject ToJson(this Dispute dispute) =>
        new()
        {
            ["dispute_id"] = dispute.Id,
            ["payment_id"] = dispute.Payment.Id,
            ["attempt_id"] = dispute.Payment.Id + "_1",
            ["amount"] = dispute.AtStripe.Amount.ToString(CultureInfo.InvariantCulture),
            ["currency"] = dispute.Payment.Currency,
            ["dispute_stage"] = dispute.StageWord,
            ["dispute_status"] = dispute.StatusWord,
            ["connector"] = "stripe",
            ["connector_status"] = dispute.AtStripe.Status,
            ["connector_dispute_id"] = dispute.AtStripe.Id,
            ["connector_reason"] = dispute.AtStripe.Reason,
            ["connector_reason_code"] = null,
            ["challenge_required_by"] = dispute.AtStripe.RespondBy is { } until ? Time(until) : null,
            ["created_at"] = Time(dispute.AtStripe.Created),
            ["profile_id"] = "pro_sandbox",
            ["merchant_connector_id"] = "mca_sandbox",
            ["is_already_refunded"] = false,
        };

    public static JsonObject ToJson(this Refund refund, string? status = null) =>
        new()
        {
            ["refund_id"] = refund.Id,
            ["payment_id"] = refund.Payment.Id,
            ["amount"] = refund.Amount,
            ["currency"] = refund.Payment.Currency,
            ["status"] = status ?? refund.Status,
            ["reason"] = refund.Reason,
            ["error_code"] = refund.ErrorCode,
            ["error_message"] = refund.ErrorCode is null ? null : "The connector declined the refund.",
            ["connector"] = "stripe",
            ["profile_id"] = "pro_sandbox",
            ["created_at"] = Time(refund.Created),
            ["updated_at"] = Time(refund.Created),
        };
}
