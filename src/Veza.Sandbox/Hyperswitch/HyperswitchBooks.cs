using System.Text.Json.Nodes;
using Veza.Sandbox.Stripe;

namespace Veza.Sandbox.Hyperswitch;

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
            return new HyperswitchAnswer(200, payment.ToJson());
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
                Publish("payment_failed", payment.Id, "payment_details", payment.ToJson());
            }
            else
            {
                payment.Status = "succeeded";
                payment.ErrorCode = null;
                stripe.Move(StripeBooks.Platform, payment.Currency, payment.Amount);
                Publish("payment_succeeded", payment.Id, "payment_details", payment.ToJson());
            }

            return new HyperswitchAnswer(200, payment.ToJson());
        }
    }

    public HyperswitchAnswer GetPayment(string id)
    {
        lock (gate)
        {
            return payments.TryGetValue(id, out var payment)
                ? new HyperswitchAnswer(200, payment.ToJson())
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
                refund.Status == "pending" ? refund.ToJson("pending") : refund.ToJson()
            );
        }
    }

    public HyperswitchAnswer GetRefund(string id)
    {
        lock (gate)
        {
            return refunds.TryGetValue(id, out var refund)
                ? new HyperswitchAnswer(200, refund.ToJson())
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
                Publish("refund_failed", refund.Id, "refund_details", refund.ToJson());
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
        Publish("refund_succeeded", refund.Id, "refund_details", refund.ToJson());
    }

    /// <summary>
    /// The buyer's bank sends a refund back that had succeeded: Hyperswitch overwrites the success. False if there
    /// is no such refund.
    /// </summary>
    public bool Return(string id)
    {
        lock (gate)
        {
            if (!refunds.TryGetValue(id, out var refund) || refund.Status != "succeeded")
            {
                return false;
            }

            refund.Status = "failed";
            refund.ErrorCode = "refund_returned";
            stripe.Move(StripeBooks.Platform, refund.Payment.Currency, refund.Amount);
            Publish("refund_failed", refund.Id, "refund_details", refund.ToJson());
            return true;
        }
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
                ["timestamp"] = HyperswitchShapes.Time(clock.GetUtcNow()),
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
}
