using System.Text.Json;
using Veza.Domain;
using Veza.Domain.Refunds;

namespace Veza.Adapters.Hyperswitch;

/// <summary>What matters of a payment at Hyperswitch, in an answer or in a webhook: the schema is the same.</summary>
public sealed record ProviderPayment(
    string PaymentId,
    string Status,
    long Amount,
    string Currency,
    string? ClientSecret,
    string? OrderId,
    string? ErrorCode,
    string? ErrorMessage
)
{
    public PaymentFact ToFact() => new(PaymentId, Amount, Currency, OrderId);

    public bool HasSucceeded => Status == "succeeded";

    /// <summary>None of these is final: Hyperswitch may make another attempt on the same payment.</summary>
    public bool HasFailed => Status is "failed" or "cancelled" or "expired";
}

/// <summary>What matters of a refund at Hyperswitch.</summary>
public sealed record ProviderRefund(string RefundId, RefundReport Report);

/// <summary>Reads Hyperswitch's objects.</summary>
public static class HyperswitchJson
{
    /// <exception cref="JsonException">A field that Veza relies on is missing or of another type.</exception>
    public static ProviderPayment Payment(JsonElement payment) =>
        new(
            Text(payment, "payment_id"),
            Text(payment, "status"),
            OptionalNumber(payment, "amount_received") is { } received and > 0
                ? received
                : Number(payment, "amount"),
            Text(payment, "currency"),
            OptionalText(payment, "client_secret"),
            payment.TryGetProperty("metadata", out var metadata) && metadata.ValueKind == JsonValueKind.Object
                ? OptionalText(metadata, "order_id")
                : null,
            OptionalText(payment, "error_code"),
            OptionalText(payment, "error_message")
        );

    /// <exception cref="JsonException">A field that Veza relies on is missing or of another type.</exception>
    public static ProviderRefund Refund(JsonElement refund) =>
        new(
            Text(refund, "refund_id"),
            new RefundReport(
                Number(refund, "amount"),
                Text(refund, "currency"),
                Text(refund, "payment_id"),
                Text(refund, "status") switch
                {
                    "succeeded" or "success" => RefundFact.HasSucceeded,
                    "failed" or "failure" or "transaction_failure" => RefundFact.NewHasFailed(
                        new Refusal(
                            RefusalCause.OtherCause,
                            OptionalText(refund, "error_code") ?? "refund_failed",
                            OptionalText(refund, "error_message") ?? "The provider gave no reason."
                        )
                    ),
                    // `pending`, `review`, and whatever Hyperswitch invents next: not decided.
                    _ => RefundFact.StillPending,
                }
            )
        );

    public static string Text(JsonElement parent, string name) =>
        OptionalText(parent, name) ?? throw new JsonException($"'{name}' is missing or not a string.");

    public static string? OptionalText(JsonElement parent, string name) =>
        parent.ValueKind == JsonValueKind.Object
        && parent.TryGetProperty(name, out var value)
        && value.ValueKind == JsonValueKind.String
            ? value.GetString()
            : null;

    static long Number(JsonElement parent, string name) =>
        OptionalNumber(parent, name) ?? throw new JsonException($"'{name}' is missing or not an integer.");

    static long? OptionalNumber(JsonElement parent, string name) =>
        parent.TryGetProperty(name, out var value)
        && value.ValueKind == JsonValueKind.Number
        && value.TryGetInt64(out var number)
            ? number
            : null;
}
