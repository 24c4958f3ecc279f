using System.Text.Json;
using System.Text.Json.Nodes;
using Veza.Sandbox.Stripe;

namespace Veza.Sandbox.Hyperswitch;

/// <summary>What Hyperswitch says of a body that it cannot read, before it looks at anything else.</summary>
static class HyperswitchForm
{
    /// <summary>Hyperswitch reads these as currencies; its connector, Stripe, charges none of them.</summary>
    static readonly HashSet<string> NotStripes =
    [
        .. "BTN CLF CUC CUP ERN GHS HRK IQD IRR KPW LYD MRU SDG SLL SSP STD SVC SYP TMT VES ZWL".Split(' '),
    ];

    static readonly HashSet<string> PaymentFields =
    [
        "payment_id",
        "amount",
        "currency",
        "confirm",
        "capture_method",
        "customer_id",
        "metadata",
        "return_url",
        "profile_id",
        "description",
        "merchant_order_reference_id",
        "session_expiry",
        "payment_method",
        "payment_method_data",
        "setup_future_usage",
        "off_session",
        "recurring_details",
        "customer_acceptance",
    ];

    static readonly HashSet<string> RefundFields =
    [
        "payment_id",
        "refund_id",
        "amount",
        "reason",
        "refund_type",
        "metadata",
        "merchant_connector_details",
        "split_refunds",
    ];

    public static HyperswitchAnswer? RefusedPayment(JsonObject body) =>
        Unknown(body, PaymentFields)
        ?? RefusedAmount(body)
        ?? RefusedCurrency(body)
        ?? Missing(body, "amount")
        ?? Missing(body, "currency");

    /// <summary>That an amount is more than nothing is checked later, after the payment.</summary>
    public static HyperswitchAnswer? RefusedRefund(JsonObject body) =>
        Unknown(body, RefundFields) ?? RefusedNumber(body);

    static HyperswitchAnswer? RefusedAmount(JsonObject body) =>
        RefusedNumber(body)
        ?? (
            body["amount"] is JsonValue value && value.GetValue<long>() < 0
                ? Unread($"invalid value: integer `{value}`, expected a positive integer")
                : null
        );

    static HyperswitchAnswer? RefusedNumber(JsonObject body) =>
        body["amount"] is { } given && !(given is JsonValue value && value.TryGetValue<long>(out _))
            ? Unread($"invalid type: {Kind(given)}, expected i64")
            : null;

    static HyperswitchAnswer? RefusedCurrency(JsonObject body)
    {
        if (body["currency"] is not { } given)
        {
            return null;
        }

        // Upper case only: `eur` is as unknown as `XXX`.
        var code = given is JsonValue value && value.TryGetValue<string>(out var text) ? text : "";
        var isKnown =
            NotStripes.Contains(code)
            || (StripeCurrencies.Knows(code) && code.All(letter => letter is >= 'A' and <= 'Z'));
        return isKnown
            ? null
            : Unread($"unknown variant `{code}`, expected one of `AED`, `AFN`, `ALL` and others");
    }

    static HyperswitchAnswer? Missing(JsonObject body, string name) =>
        body[name] is null ? HyperswitchAnswer.Error(400, "IR_04", $"Missing required param: {name}") : null;

    static HyperswitchAnswer? Unknown(JsonObject body, HashSet<string> known)
    {
        var stray = body.FirstOrDefault(field => !known.Contains(field.Key)).Key;
        return stray is null ? null : Unread($"unknown field `{stray}`");
    }

    /// <summary>Such an answer says <c>error_type</c> where all others say <c>type</c>.</summary>
    static HyperswitchAnswer Unread(string why) =>
        new(
            400,
            new JsonObject
            {
                ["error"] = new JsonObject
                {
                    ["error_type"] = "invalid_request",
                    ["message"] = $"Json deserialize error: {why}",
                    ["code"] = "IR_06",
                },
            }
        );

    static string Kind(JsonNode given) =>
        given.GetValueKind() switch
        {
            JsonValueKind.Number => $"floating point `{given}`",
            JsonValueKind.String => $"string \"{given}\"",
            JsonValueKind.Object => "map",
            JsonValueKind.Array => "sequence",
            JsonValueKind.True or JsonValueKind.False => $"boolean `{given}`",
            _ => "null",
        };
}
