using System.Text.Json.Nodes;

namespace Veza.Sandbox.Stripe;

/// <summary>An answer of Stripe's API. Which ones are stored under the key: see <see cref="IdempotencyStore"/>.</summary>
public sealed record StripeAnswer(int Status, JsonObject Body, bool Began = true)
{
    /// <summary>Refused before anything began: parameters, a missing object. Not stored under the key.</summary>
    public static StripeAnswer Invalid(int status, string? code, string message, string? param = null) =>
        Error(status, "invalid_request_error", code, message, param) with
        {
            Began = false,
        };

    /// <summary>Refused by the business of it; stored under the key and replayed.</summary>
    public static StripeAnswer Refused(string? code, string message, string? param = null) =>
        Error(400, "invalid_request_error", code, message, param);

    public static StripeAnswer Error(
        int status,
        string type,
        string? code,
        string message,
        string? param = null
    )
    {
        var error = new JsonObject { ["type"] = type, ["message"] = message };
        if (code is not null)
        {
            error["code"] = code;
        }

        if (param is not null)
        {
            error["param"] = param;
        }

        return new StripeAnswer(status, new JsonObject { ["error"] = error });
    }
}

/// <summary>A movement to a connected account.</summary>
public sealed record StripeTransfer(
    string Id,
    string Destination,
    string Currency,
    long Amount,
    string? Group,
    IReadOnlyDictionary<string, string> Metadata,
    DateTimeOffset Created,
    List<StripeReversal> Reversals
)
{
    public long Reversed => Reversals.Sum(reversal => reversal.Amount);
}

/// <summary>Part of a movement taken back.</summary>
public sealed record StripeReversal(
    string Id,
    string Transfer,
    string Currency,
    long Amount,
    IReadOnlyDictionary<string, string> Metadata,
    DateTimeOffset Created
);

/// <summary>Stripe's objects as its API writes them.</summary>
static class StripeShapes
{
    static JsonObject ToJson(IReadOnlyDictionary<string, string> metadata)
    {
        var json = new JsonObject();
        foreach (var (name, value) in metadata)
        {
            json[name] = value;
        }

        return json;
    }

    public static JsonObject ToJson(this StripeTransfer transfer) =>
        new()
        {
            ["id"] = transfer.Id,
            ["object"] = "transfer",
            ["amount"] = transfer.Amount,
            ["amount_reversed"] = transfer.Reversed,
            ["balance_transaction"] = "txn" + transfer.Id[2..],
            ["created"] = transfer.Created.ToUnixTimeSeconds(),
            ["currency"] = transfer.Currency,
            ["description"] = null,
            ["destination"] = transfer.Destination,
            ["destination_payment"] = "py" + transfer.Id[2..],
            ["livemode"] = false,
            ["metadata"] = ToJson(transfer.Metadata),
            ["reversals"] = new JsonObject
            {
                ["object"] = "list",
                ["url"] = $"/v1/transfers/{transfer.Id}/reversals",
                ["has_more"] = transfer.Reversals.Count > 10,
                ["data"] = new JsonArray([
                    .. transfer.Reversals.AsEnumerable().Reverse().Take(10).Select(ToJson),
                ]),
            },
            ["reversed"] = transfer.Reversed == transfer.Amount,
            ["source_transaction"] = null,
            ["source_type"] = "card",
            ["transfer_group"] = transfer.Group,
        };

    public static JsonObject ToJson(this StripePayout payout) =>
        new()
        {
            ["id"] = payout.Id,
            ["object"] = "payout",
            ["amount"] = payout.Amount,
            ["arrival_date"] = payout.Created.AddDays(2).ToUnixTimeSeconds(),
            ["automatic"] = false,
            ["balance_transaction"] = "txn" + payout.Id[2..],
            ["created"] = payout.Created.ToUnixTimeSeconds(),
            ["currency"] = payout.Currency,
            ["description"] = null,
            ["destination"] = "ba" + payout.Id[2..],
            ["failure_balance_transaction"] = null,
            ["failure_code"] = payout.FailureCode,
            ["failure_message"] = payout.FailureCode is null
                ? null
                : "The bank account could not be credited.",
            ["livemode"] = false,
            ["metadata"] = ToJson(payout.Metadata),
            ["method"] = "standard",
            ["original_payout"] = null,
            ["reconciliation_status"] = "not_applicable",
            ["reversed_by"] = null,
            ["source_type"] = "card",
            ["statement_descriptor"] = null,
            ["status"] = payout.Status,
            ["type"] = "bank_account",
        };

    /// <summary>Hyperswitch writes its own refund's id where one would look for an order's.</summary>
    public static JsonObject ToJson(this StripeRefund refund) =>
        new()
        {
            ["id"] = refund.Id,
            ["object"] = "refund",
            ["amount"] = refund.Amount,
            ["charge"] = "ch" + refund.PaymentIntent[2..],
            ["created"] = refund.Created.ToUnixTimeSeconds(),
            ["currency"] = refund.Currency,
            ["failure_reason"] = refund.FailureReason,
            ["metadata"] = new JsonObject
            {
                ["order_id"] = refund.HyperswitchRefund,
                ["is_refund_id_as_reference"] = "true",
            },
            ["payment_intent"] = refund.PaymentIntent,
            ["reason"] = null,
            ["status"] = refund.Status,
        };

    public static JsonObject ToJson(this StripeDispute dispute) =>
        new()
        {
            ["id"] = dispute.Id,
            ["object"] = "dispute",
            ["amount"] = dispute.Amount,
            ["charge"] = "ch" + dispute.PaymentIntent[2..],
            ["created"] = dispute.Created.ToUnixTimeSeconds(),
            ["currency"] = dispute.Currency,
            ["evidence_details"] = new JsonObject
            {
                ["due_by"] = dispute.RespondBy?.ToUnixTimeSeconds(),
                ["has_evidence"] = false,
                ["past_due"] = false,
                ["submission_count"] = 0,
            },
            ["is_charge_refundable"] = dispute.Status.StartsWith("warning", StringComparison.Ordinal),
            ["livemode"] = false,
            ["metadata"] = new JsonObject(),
            ["payment_intent"] = dispute.PaymentIntent,
            ["reason"] = dispute.Reason,
            ["status"] = dispute.Status,
        };

    public static JsonObject Account(string id, bool payouts, bool transfers, string? disabled) =>
        new()
        {
            ["id"] = id,
            ["object"] = "account",
            ["type"] = "express",
            ["country"] = "DE",
            ["default_currency"] = "eur",
            ["charges_enabled"] = transfers,
            ["details_submitted"] = true,
            ["payouts_enabled"] = payouts,
            ["capabilities"] = new JsonObject { ["transfers"] = transfers ? "active" : "inactive" },
            ["requirements"] = new JsonObject
            {
                ["currently_due"] = new JsonArray(),
                ["disabled_reason"] = disabled,
            },
            ["metadata"] = new JsonObject(),
        };

    public static JsonObject Balance(IReadOnlyDictionary<string, long> available) =>
        new()
        {
            ["object"] = "balance",
            ["livemode"] = false,
            ["available"] = Funds(available),
            ["pending"] = Funds(available.ToDictionary(entry => entry.Key, _ => 0L)),
        };

    static JsonArray Funds(IReadOnlyDictionary<string, long> available) =>
        new([
            .. available.Select(entry => new JsonObject
            {
                ["amount"] = entry.Value,
                ["currency"] = entry.Key,
                ["source_types"] = new JsonObject { ["card"] = entry.Value },
            }),
        ]);

    public static JsonObject ToJson(this StripeReversal reversal) =>
        new()
        {
            ["id"] = reversal.Id,
            ["object"] = "transfer_reversal",
            ["amount"] = reversal.Amount,
            ["balance_transaction"] = "txn" + reversal.Id[3..],
            ["created"] = reversal.Created.ToUnixTimeSeconds(),
            ["currency"] = reversal.Currency,
            ["destination_payment_refund"] = null,
            ["metadata"] = ToJson(reversal.Metadata),
            ["source_refund"] = null,
            ["transfer"] = reversal.Transfer,
        };
}
