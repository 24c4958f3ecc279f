using System.Globalization;
using System.Text.Json.Nodes;
using Veza.Sandbox.Stripe;

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
    public DateTimeOffset Created { get; init; }
    public string Secret => $"{Id}_secret_sandbox";
    public bool IsPaid => Status == "succeeded";
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

/// <summary>What buyers paid and got back, as Hyperswitch v1 keeps it; its connector is the simulated Stripe.</summary>
public sealed class HyperswitchBooks(TimeProvider clock, StripeBooks stripe, Action<string, string> publish)
{
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

    readonly Lock gate = new();
    readonly Dictionary<string, Payment> payments = [];
    readonly Dictionary<string, Refund> refunds = [];
    readonly Queue<RefundFate> fates = new();
    readonly HashSet<string> published = [];
    long serial;

    /// <summary>For every refund that no <see cref="Decide"/> speaks of.</summary>
    public RefundFate UsualFate { get; set; } = RefundFate.LaterSucceeded;

    /// <summary>Lets the next refunds end like this, one each.</summary>
    public void Decide(RefundFate fate, int times)
    {
        lock (gate)
        {
            for (var time = 0; time < times; time++)
            {
                fates.Enqueue(fate);
            }
        }
    }

    public HyperswitchAnswer CreatePayment(JsonObject body)
    {
        if (Unknown(body, PaymentFields) is { } refusal)
        {
            return refusal;
        }

        if (
            Number(body, "amount") is not { } amount
            || amount < 0
            || Text(body, "currency") is not { } currency
        )
        {
            return HyperswitchAnswer.Error(400, "IR_04", "Missing required param: amount or currency");
        }

        lock (gate)
        {
            var id = Text(body, "payment_id") ?? $"pay_{++serial:D26}";
            if (payments.ContainsKey(id))
            {
                return HyperswitchAnswer.Error(
                    400,
                    "HE_01",
                    $"The payment with the specified payment_id '{id}' already exists in our records"
                );
            }

            var metadata = body["metadata"]?.AsObject().DeepClone().AsObject() ?? [];
            var payment = new Payment(id, amount, currency, metadata)
            {
                Reference = Text(body, "merchant_order_reference_id"),
                ReturnUrl = Text(body, "return_url"),
                Created = clock.GetUtcNow(),
                Updated = clock.GetUtcNow(),
            };
            payments.Add(id, payment);
            return new HyperswitchAnswer(200, Json(payment));
        }
    }

    /// <summary>The buyer pays, or tries to: a card number ending in 0002 is declined.</summary>
    public HyperswitchAnswer Confirm(string id, string card)
    {
        lock (gate)
        {
            if (!payments.TryGetValue(id, out var payment))
            {
                return HyperswitchAnswer.Error(404, "HE_02", "Payment does not exist in our records");
            }

            if (payment.IsPaid)
            {
                return HyperswitchAnswer.Error(400, "IR_14", "This payment is already paid");
            }

            payment.Updated = clock.GetUtcNow();
            if (card.EndsWith("0002", StringComparison.Ordinal))
            {
                payment.Status = "failed";
                payment.ErrorCode = "card_declined";
                Publish("payment_failed", payment.Id, "payment_details", Json(payment));
            }
            else
            {
                payment.Status = "succeeded";
                payment.ErrorCode = null;
                stripe.Move(StripeBooks.Platform, payment.Currency, payment.Amount);
                Publish("payment_succeeded", payment.Id, "payment_details", Json(payment));
            }

            return new HyperswitchAnswer(200, Json(payment));
        }
    }

    public HyperswitchAnswer GetPayment(string id)
    {
        lock (gate)
        {
            return payments.TryGetValue(id, out var payment)
                ? new HyperswitchAnswer(200, Json(payment))
                : HyperswitchAnswer.Error(404, "HE_02", "Payment does not exist in our records");
        }
    }

    /// <summary>In Hyperswitch's order of checks: a repeated full refund says IR_13, not HE_01.</summary>
    public HyperswitchAnswer CreateRefund(JsonObject body)
    {
        if (Unknown(body, RefundFields) is { } refusal)
        {
            return refusal;
        }

        lock (gate)
        {
            if (
                Text(body, "payment_id") is not { } paymentId
                || !payments.TryGetValue(paymentId, out var payment)
            )
            {
                return HyperswitchAnswer.Error(404, "HE_02", "Payment does not exist in our records");
            }

            if (!payment.IsPaid)
            {
                return HyperswitchAnswer.Error(
                    400,
                    "IR_14",
                    "This Payment could not be refunded because it has a status of " + payment.Status
                );
            }

            var amount = Number(body, "amount") ?? payment.Amount;
            if (amount <= 0)
            {
                return HyperswitchAnswer.Error(422, "IR_05", "amount contains invalid data");
            }

            var before = refunds
                .Values.Where(known => known.Payment == payment && known.Status != "failed")
                .Sum(known => known.Amount);
            if (before + amount > payment.Amount)
            {
                return HyperswitchAnswer.Error(400, "IR_13", "The refund amount exceeds the amount captured");
            }

            var id = Text(body, "refund_id") ?? $"ref_{++serial:D26}";
            if (refunds.ContainsKey(id))
            {
                return HyperswitchAnswer.Error(
                    400,
                    "HE_01",
                    $"Duplicate refund request. Refund already attempted with the refund ID {id}"
                );
            }

            var refund = new Refund(id, payment, amount, Text(body, "reason"))
            {
                Created = clock.GetUtcNow(),
            };
            refunds.Add(id, refund);
            Begin(refund, fates.TryDequeue(out var fate) ? fate : UsualFate);
            return new HyperswitchAnswer(
                200,
                refund.Status == "pending" ? Json(refund, "pending") : Json(refund)
            );
        }
    }

    public HyperswitchAnswer GetRefund(string id)
    {
        lock (gate)
        {
            return refunds.TryGetValue(id, out var refund)
                ? new HyperswitchAnswer(200, Json(refund))
                : HyperswitchAnswer.Error(404, "HE_02", "Refund does not exist in our records.");
        }
    }

    /// <summary>Per currency: what buyers paid, and what they have back.</summary>
    public IReadOnlyDictionary<string, (long Captured, long Refunded)> Totals()
    {
        lock (gate)
        {
            return payments
                .Values.Where(payment => payment.IsPaid)
                .GroupBy(payment => payment.Currency)
                .ToDictionary(
                    group => group.Key,
                    group =>
                        (
                            group.Sum(payment => payment.Amount),
                            refunds
                                .Values.Where(refund =>
                                    refund.Status == "succeeded" && refund.Payment.Currency == group.Key
                                )
                                .Sum(refund => refund.Amount)
                        )
                );
        }
    }

    void Begin(Refund refund, RefundFate fate)
    {
        switch (fate)
        {
            case RefundFate.Succeeded:
                Finish(refund);
                break;
            case RefundFate.Failed:
                refund.Status = "failed";
                refund.ErrorCode = "refund_declined";
                Publish("refund_failed", refund.Id, "refund_details", Json(refund));
                break;
            case RefundFate.LaterSucceeded:
                _ = Task.Delay(TimeSpan.FromMilliseconds(20))
                    .ContinueWith(
                        _ =>
                        {
                            lock (gate)
                            {
                                Finish(refund);
                            }
                        },
                        TaskScheduler.Default
                    );
                break;
            case RefundFate.StaysPending:
                break;
        }
    }

    void Finish(Refund refund)
    {
        refund.Status = "succeeded";
        stripe.Move(StripeBooks.Platform, refund.Payment.Currency, -refund.Amount);
        Publish("refund_succeeded", refund.Id, "refund_details", Json(refund));
    }

    /// <summary>At most one event per object and type, ever.</summary>
    void Publish(string type, string id, string content, JsonObject about)
    {
        if (!published.Add($"{id}_{type}"))
        {
            return;
        }

        publish(
            type,
            new JsonObject
            {
                ["merchant_id"] = "merchant_sandbox",
                ["event_id"] = $"evt_{Guid.CreateVersion7():N}",
                ["event_type"] = type,
                ["content"] = new JsonObject { ["type"] = content, ["object"] = about },
                ["timestamp"] = Time(clock.GetUtcNow()),
            }.ToJsonString()
        );
    }

    static HyperswitchAnswer? Unknown(JsonObject body, HashSet<string> known)
    {
        var stray = body.FirstOrDefault(field => !known.Contains(field.Key)).Key;
        return stray is null
            ? null
            : new HyperswitchAnswer(
                400,
                new JsonObject
                {
                    ["error"] = new JsonObject
                    {
                        ["error_type"] = "invalid_request",
                        ["message"] = $"Json deserialize error: unknown field `{stray}`",
                        ["code"] = "IR_06",
                    },
                }
            );
    }

    static string? Text(JsonObject body, string name) =>
        body[name] is JsonValue value && value.TryGetValue(out string? text) ? text : null;

    static long? Number(JsonObject body, string name) =>
        body[name] is JsonValue value && value.TryGetValue(out long number) ? number : null;

    static string Time(DateTimeOffset time) =>
        time.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture);

    static JsonObject Json(Payment payment) =>
        new()
        {
            ["payment_id"] = payment.Id,
            ["merchant_id"] = "merchant_sandbox",
            ["status"] = payment.Status,
            ["amount"] = payment.Amount,
            ["net_amount"] = payment.Amount,
            ["amount_capturable"] = 0,
            ["amount_received"] = payment.IsPaid ? payment.Amount : null,
            ["currency"] = payment.Currency,
            ["client_secret"] = payment.Secret,
            ["connector"] = payment.Status == "requires_payment_method" ? null : "stripe",
            ["connector_transaction_id"] =
                payment.Status == "requires_payment_method" ? null : "pi_" + payment.Id[4..],
            ["metadata"] = payment.Metadata.DeepClone(),
            ["return_url"] = payment.ReturnUrl,
            ["merchant_order_reference_id"] = payment.Reference,
            ["error_code"] = payment.ErrorCode,
            ["error_message"] = payment.ErrorCode is null ? null : "The card was declined.",
            ["profile_id"] = "pro_sandbox",
            ["created"] = Time(payment.Created),
            ["updated"] = Time(payment.Updated),
        };

    static JsonObject Json(Refund refund, string? status = null) =>
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
