using System.Globalization;
using System.Text.Json;
using Veza.Domain;
using Veza.Domain.Disputes;
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
    string? ErrorMessage,
    string? ConnectorPayment = null,
    string? PaymentMethod = null
)
{
    public PaymentFact ToFact() => new(PaymentId, Amount, Currency, OrderId);

    public bool HasSucceeded => Status == "succeeded";

    /// <summary>None of these is final: Hyperswitch may make another attempt on the same payment.</summary>
    public bool HasFailed => Status is "failed" or "cancelled" or "expired";
}

/// <summary>What matters of a refund at Hyperswitch.</summary>
public sealed record ProviderRefund(string RefundId, RefundReport Report, DateTimeOffset? Created = null);

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
            OptionalText(payment, "error_message"),
            OptionalText(payment, "connector_transaction_id"),
            OptionalText(payment, "payment_method_id")
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

    /// <remarks>
    /// Its amount is a string of minor units. <c>expired</c> and <c>accepted</c> are lost, <c>cancelled</c> is won: the
    /// bank has closed it without taking anything.
    /// </remarks>
    /// <exception cref="JsonException">A field that Veza relies on is missing or of another type.</exception>
    public static SeenDispute Dispute(JsonElement dispute) =>
        new(
            OptionalText(dispute, "connector_dispute_id") is { Length: > 0 } connectors
                ? connectors
                : Text(dispute, "dispute_id"),
            Text(dispute, "payment_id"),
            null,
            long.TryParse(Text(dispute, "amount"), CultureInfo.InvariantCulture, out var amount)
                ? amount
                : throw new JsonException("'amount' is not a number of minor units."),
            Text(dispute, "currency"),
            new DisputeFact(
                Text(dispute, "dispute_stage") switch
                {
                    "pre_dispute" => Stage.PreDispute,
                    "dispute" => Stage.Dispute,
                    "pre_arbitration" => Stage.PreArbitration,
                    "arbitration" => Stage.Arbitration,
                    "dispute_reversal" => Stage.DisputeReversal,
                    var unknown => throw new JsonException($"No dispute is at '{unknown}'."),
                },
                Text(dispute, "dispute_status") switch
                {
                    "dispute_opened" => Ruling.Opened,
                    "dispute_challenged" => Ruling.Challenged,
                    "dispute_won" or "dispute_cancelled" => Ruling.WonByUs,
                    "dispute_lost" or "dispute_accepted" or "dispute_expired" => Ruling.LostByUs,
                    var unknown => throw new JsonException($"No dispute is '{unknown}'."),
                }
            )
        );

    /// <summary>A page of payments, and the name after which the next one begins.</summary>
    public static (IReadOnlyList<ProviderPayment> Items, string? Last) Payments(JsonElement list)
    {
        var items = Data(list).Select(Payment).ToList();
        return (items, items.Count == HyperswitchClient.PageSize ? items[^1].PaymentId : null);
    }

    public static IReadOnlyList<ProviderRefund> Refunds(JsonElement list) => [.. Data(list).Select(Refund)];

    /// <summary>ISO 8601 in UTC, to the millisecond, as Hyperswitch reads and writes times.</summary>
    public static string Time(DateTimeOffset time) =>
        time.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture);

    static JsonElement.ArrayEnumerator Data(JsonElement list) =>
        list.TryGetProperty("data", out var data) && data.ValueKind == JsonValueKind.Array
            ? data.EnumerateArray()
            : throw new JsonException("'data' is missing or not a list.");

    public static string Text(JsonElement parent, string name) =>
        OptionalText(parent, name) ?? throw new JsonException($"'{name}' is missing or not a string.");

    public static string? OptionalText(JsonElement parent, string name) =>
        parent.ValueKind == JsonValueKind.Object
        && parent.TryGetProperty(name, out var value)
        && value.ValueKind == JsonValueKind.String
            ? Texts.Kept(value)
            : null;

    internal static long Number(JsonElement parent, string name) =>
        OptionalNumber(parent, name) ?? throw new JsonException($"'{name}' is missing or not an integer.");

    internal static long? OptionalNumber(JsonElement parent, string name) =>
        parent.TryGetProperty(name, out var value)
        && value.ValueKind == JsonValueKind.Number
        && value.TryGetInt64(out var number)
            ? number
            : null;
}
