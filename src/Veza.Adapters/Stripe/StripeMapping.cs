using System.Text.Json;
using Veza.Domain;
using Veza.Domain.Disputes;
using Veza.Domain.Payouts;

namespace Veza.Adapters.Stripe;

/// <summary>A transfer as Stripe writes it, and what its metadata says of our own.</summary>
/// <param name="TransferId">Ours, where it was made by Veza.</param>
/// <param name="OrderNamed">The order that its metadata or its group names, whoever made it.</param>
public sealed record SeenTransfer(
    TransferFact Fact,
    Guid? TransferId,
    Guid? OrderNamed,
    long AmountReversed,
    DateTimeOffset Created
);

/// <summary>A payout as Stripe writes it.</summary>
/// <param name="PayoutId">Ours, where it was made by Veza.</param>
public sealed record SeenPayout(PayoutReport Report, Guid? PayoutId);

/// <summary>A refund at Stripe, made by Hyperswitch under our name for it.</summary>
public sealed record SeenRefund(
    string StripeId,
    string RefundId,
    long Amount,
    string Currency,
    string Status,
    string? FailureReason
)
{
    /// <summary>The money is the platform's again.</summary>
    public bool HasFailed => JsonFields.Known("refund", Status, ProviderWords.stripeRefund).IsRefundNotDone;
}

/// <summary>Reads Stripe's objects, in webhooks and in answers alike, by field: whatever else they hold is ignored.</summary>
public static class StripeMapping
{
    /// <summary>Of the year 9999, which no provider's date comes near.</summary>
    const long LastSecond = 253402300799;

    /// <exception cref="JsonException">A field that Veza relies on is missing or of another type.</exception>
    public static SeenTransfer Transfer(JsonElement transfer)
    {
        var metadata = Metadata(transfer);
        return new(
            new TransferFact(
                Parsed(StripeTransferId.Parse(Text(transfer, "id"))),
                Number(transfer, "amount"),
                Text(transfer, "currency"),
                Text(transfer, "destination")
            ),
            Id(metadata, StripeTransfers.TransferKey),
            Id(metadata, StripeTransfers.OrderKey) ?? OrderOf(Optional(transfer, "transfer_group")),
            OptionalNumber(transfer, "amount_reversed") ?? 0,
            DateTimeOffset.FromUnixTimeSeconds(OptionalNumber(transfer, "created") ?? 0)
        );
    }

    /// <exception cref="JsonException">A field that Veza relies on is missing or of another type.</exception>
    public static SeenPayout Payout(JsonElement payout, string account) =>
        new(
            new PayoutReport(
                PayoutSight(
                    Text(payout, "id"),
                    Text(payout, "status"),
                    Optional(payout, "failure_code"),
                    Optional(payout, "failure_message")
                ),
                Number(payout, "amount"),
                Text(payout, "currency"),
                account
            ),
            Id(Metadata(payout), StripePayouts.PayoutKey)
        );

    /// <exception cref="JsonException">A field that Veza relies on is missing or of another type, or a status that Veza does
    /// not know.</exception>
    public static SeenDispute Dispute(JsonElement dispute) =>
        new(
            Text(dispute, "id"),
            null,
            Optional(dispute, "payment_intent"),
            Number(dispute, "amount"),
            Text(dispute, "currency").ToUpperInvariant(),
            JsonFields.Known("dispute", Text(dispute, "status"), ProviderWords.stripeDispute),
            DisputeTerms.Of(Optional(dispute, "reason"), RespondBy(dispute))
        );

    /// <summary>Null, and 0, where the bank hears no evidence.</summary>
    static DateTimeOffset? RespondBy(JsonElement dispute) =>
        dispute.TryGetProperty("evidence_details", out var evidence)
        && evidence.ValueKind == JsonValueKind.Object
        && OptionalNumber(evidence, "due_by") is > 0 and <= LastSecond and var seconds
            ? DateTimeOffset.FromUnixTimeSeconds(seconds)
            : null;

    /// <summary>Null for a refund that Hyperswitch has not made for us.</summary>
    /// <remarks>Hyperswitch writes its refund's id into <c>metadata[order_id]</c> (its <c>stripe/transformers.rs</c>).</remarks>
    public static SeenRefund? Refund(JsonElement refund) =>
        Optional(Metadata(refund), "order_id") is { } name
        && name.StartsWith("ref_", StringComparison.Ordinal)
            ? new(
                Text(refund, "id"),
                name,
                Number(refund, "amount"),
                Text(refund, "currency").ToUpperInvariant(),
                Optional(refund, "status") ?? "pending",
                Optional(refund, "failure_reason")
            )
            : null;

    /// <exception cref="InvalidDataException">An id that Veza does not know.</exception>
    /// <exception cref="JsonException">A status that Veza does not know.</exception>
    internal static PayoutSight PayoutSight(string id, string? status, string? code, string? message) =>
        new(
            Parsed(StripePayoutId.Parse(id)),
            JsonFields
                .Known("payout", status ?? "", ProviderWords.stripePayout)
                .Match(
                    pending: () => PayoutFact.IsPending,
                    onItsWay: () => PayoutFact.IsInTransit,
                    arrived: () => PayoutFact.IsPaid,
                    stopped: () => PayoutFact.IsCanceled,
                    returned: () =>
                        PayoutFact.NewHasFailed(
                            new Refusal(
                                RefusalCause.OtherCause,
                                code ?? "payout_failed",
                                message ?? "The bank gave no reason."
                            )
                        )
                )
        );

    /// <summary>The order whose transfer group this is.</summary>
    public static Guid? OrderOf(string? group) =>
        group?.StartsWith("order_", StringComparison.Ordinal) == true
        && Guid.TryParseExact(group["order_".Length..], "N", out var order)
            ? order
            : null;

    static T Parsed<T>(Microsoft.FSharp.Core.FSharpResult<T, string> result) =>
        result.Match(ok: value => value, error: why => throw new InvalidDataException(why));

    static JsonElement Metadata(JsonElement parent) =>
        parent.TryGetProperty("metadata", out var metadata) ? metadata : default;

    static Guid? Id(JsonElement metadata, string name) =>
        Guid.TryParse(Optional(metadata, name), out var id) ? id : null;

    static string Text(JsonElement parent, string name) => JsonFields.Text(parent, name);

    static string? Optional(JsonElement parent, string name) => JsonFields.OptionalText(parent, name);

    static long Number(JsonElement parent, string name) => JsonFields.Number(parent, name);

    static long? OptionalNumber(JsonElement parent, string name) => JsonFields.OptionalNumber(parent, name);
}
