using System.Globalization;
using System.Text.Json;
using Veza.Domain;
using Veza.Domain.Disputes;
using Veza.Domain.Refunds;
using static Veza.Adapters.Http.JsonFields;

namespace Veza.Adapters.Hyperswitch;

/// <summary>Reads Hyperswitch's objects.</summary>
public static class HyperswitchMapping
{
    /// <exception cref="JsonException">A field that Veza relies on is missing or of another type.</exception>
    public static ProviderPayment Payment(JsonElement payment) =>
        new(
            Text(payment, "payment_id"),
            Text(payment, "status"),
            Captured(payment),
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

    /// <summary>What was captured; before anything was, what was asked for.</summary>
    static long Captured(JsonElement payment) =>
        OptionalNumber(payment, "amount_received") is { } received and > 0 ? received
        : ProviderWords.payment(Text(payment, "status")).IsPaidInPart
            ? throw new JsonException(
                "'amount_received' is missing from a payment that was captured in part."
            )
        : Number(payment, "amount");

    /// <exception cref="JsonException">A field that Veza relies on is missing or of another type, or a status that Veza does
    /// not know.</exception>
    public static ProviderRefund Refund(JsonElement refund) =>
        new(
            Text(refund, "refund_id"),
            new RefundReport(
                Number(refund, "amount"),
                Text(refund, "currency"),
                Text(refund, "payment_id"),
                Known("refund", Text(refund, "status"), ProviderWords.refund)
                    .Match(
                        open: () => RefundFact.StillPending,
                        isDone: () => RefundFact.HasSucceeded,
                        isNotDone: () =>
                            RefundFact.NewHasFailed(
                                new Refusal(
                                    RefusalCause.OtherCause,
                                    OptionalText(refund, "error_code") ?? "refund_failed",
                                    OptionalText(refund, "error_message") ?? "The provider gave no reason."
                                )
                            )
                    )
            )
        );

    /// <remarks>Its amount is a string of minor units.</remarks>
    /// <exception cref="JsonException">A field that Veza relies on is missing or of another type, or a status that Veza does
    /// not know.</exception>
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
                Known("dispute", Text(dispute, "dispute_stage"), ProviderWords.stage),
                Known("dispute", Text(dispute, "dispute_status"), ProviderWords.ruling)
            ),
            DisputeTerms.Of(
                OptionalText(dispute, "connector_reason"),
                OptionalTime(dispute, "challenge_required_by")
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
}
