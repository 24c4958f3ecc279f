using System.Text.Json;
using Veza.Domain;

namespace Veza.Host.ProviderEvents;

/// <summary>What a recorded event says: something to be settled, or at once what becomes of it.</summary>
sealed record EventParser(ProviderReport? Observation, EventResult? Conclusion)
{
    /// <summary>An event that cannot be read is poisoned, never lost.</summary>
    public static EventParser Of(WaitingEvent waiting, bool isLive)
    {
        try
        {
            using var document = JsonDocument.Parse(waiting.Body);
            return waiting.Provider == "stripe"
                ? OfStripe(waiting, document.RootElement, isLive)
                : OfHyperswitch(waiting, document.RootElement);
        }
        catch (Exception error)
            when (error
                    is JsonException
                        or KeyNotFoundException
                        or InvalidOperationException
                        or InvalidDataException
            )
        {
            return Is(EventState.Poisoned, error.Message);
        }
    }

    static EventParser OfHyperswitch(WaitingEvent waiting, JsonElement root)
    {
        var content = root.TryGetProperty("content", out var found) ? found : default;
        var cause = new Cause("hyperswitch", waiting.EventId, waiting.Type)
        {
            Correlation = waiting.Correlation,
        };
        return JsonFields.OptionalText(content, "type") switch
        {
            "payment_details" => Says(
                new ProviderReport.OfPayment(HyperswitchMapping.Payment(content.GetProperty("object")), cause)
            ),
            "refund_details" => Says(
                new ProviderReport.OfRefund(HyperswitchMapping.Refund(content.GetProperty("object")), cause)
            ),
            "dispute_details" => Says(
                new ProviderReport.OfDispute(HyperswitchMapping.Dispute(content.GetProperty("object")), cause)
            ),
            _ => Is(EventState.Ignored, "unknown_type"),
        };
    }

    /// <summary>
    /// The platform's own objects carry no <c>account</c>; those of connected accounts do. A transfer that is reversed
    /// does not say by which reversal, an account's events may be old, and a failed refund is Hyperswitch's: of those
    /// the provider is asked.
    /// </summary>
    static EventParser OfStripe(WaitingEvent waiting, JsonElement root, bool isLive)
    {
        if (
            !root.TryGetProperty("livemode", out var live)
            || (live.ValueKind == JsonValueKind.True) != isLive
        )
        {
            return Is(EventState.Ignored, "other_mode");
        }

        var about = root.GetProperty("data").GetProperty("object");
        var account = JsonFields.OptionalText(root, "account");
        var cause = new Cause("stripe", waiting.EventId, waiting.Type) { Correlation = waiting.Correlation };
        return waiting.Type switch
        {
            "transfer.created" or "transfer.updated" when account is null => Says(
                new ProviderReport.OfTransfer(StripeMapping.Transfer(about), cause)
            ),
            "transfer.reversed" when account is null => Is(EventState.Asking),
            "refund.failed" or "refund.updated" or "charge.refund.updated" when account is null =>
                StripeMapping.Refund(about) is { HasFailed: true }
                    ? Is(EventState.Asking)
                    : Is(EventState.Ignored, "not_decisive"),
            "account.updated" or "account.application.deauthorized" or "balance.available" => Is(
                EventState.Asking
            ),
            var type when type.StartsWith("charge.dispute.", StringComparison.Ordinal) && account is null =>
                Says(new ProviderReport.OfDispute(StripeMapping.Dispute(about), cause)),
            var type when type.StartsWith("payout.", StringComparison.Ordinal) && account is not null => Says(
                new ProviderReport.OfPayout(StripeMapping.Payout(about, account), cause)
            ),
            _ => Is(EventState.Ignored, "unknown_type"),
        };
    }

    static EventParser Says(ProviderReport observation) =>
        new(observation with { Source = Source.ByWebhook }, null);

    static EventParser Is(EventState state, string? reason = null) =>
        new(null, new EventResult(state, reason));
}
