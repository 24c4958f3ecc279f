using System.Text.Json.Nodes;
using Veza.Sandbox.Stripe;

namespace Veza.Sandbox.Hyperswitch;

/// <summary>What buyers paid and got back, as Hyperswitch v1 keeps it; its connector is the simulated Stripe.</summary>
public sealed partial class HyperswitchBooks(
    TimeProvider clock,
    StripeBooks stripe,
    StripeChargeBooks charges,
    Action<string, string> publish
)
{
    readonly Lock gate = new();
    readonly Dictionary<string, Payment> payments = [];
    readonly Dictionary<string, Refund> refunds = [];
    readonly Queue<RefundFate> fates = new();
    readonly HashSet<string> published = [];

    /// <summary>Payment methods kept for later, by name: whose they are, and the card behind.</summary>
    readonly Dictionary<string, (string Customer, string Card)> methods = [];
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
        if (HyperswitchForm.RefusedPayment(body) is { } refusal)
        {
            return refusal;
        }

        var (amount, currency) = (Number(body, "amount")!.Value, Text(body, "currency")!);
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
                Customer = Text(body, "customer_id"),
                KeepsMethod = Text(body, "setup_future_usage") == "off_session",
                Created = clock.GetUtcNow(),
                Updated = clock.GetUtcNow(),
            };
            if (body["recurring_details"] is not JsonObject recurring)
            {
                payments.Add(id, payment);
                return new HyperswitchAnswer(200, payment.ToJson());
            }

            return ChargeWithoutBuyer(payment, body, recurring);
        }
    }

    /// <summary>A renewal: all of customer, confirm and off_session, and a method that this customer has kept.</summary>
    HyperswitchAnswer ChargeWithoutBuyer(Payment payment, JsonObject body, JsonObject recurring)
    {
        if (payment.Customer is null || !Flag(body, "confirm") || !Flag(body, "off_session"))
        {
            return HyperswitchAnswer.Error(
                400,
                "IR_16",
                "`confirm`, `off_session` and `customer_id` are needed for mandates"
            );
        }

        var name = Text(recurring, "data") ?? "";
        if (!methods.TryGetValue(name, out var method) || method.Customer != payment.Customer)
        {
            return HyperswitchAnswer.Error(404, "HE_02", "Payment method does not exist in our records");
        }

        payments.Add(payment.Id, payment);
        payment.Method = name;
        Pay(payment, method.Card);
        return new HyperswitchAnswer(200, payment.ToJson());
    }

    static bool Flag(JsonObject body, string name) =>
        body[name] is JsonValue value && value.TryGetValue<bool>(out var flag) && flag;

    /// <summary>What every later charge of a kept payment method meets: another card behind it.</summary>
    public void ReplaceCard(string method, string card)
    {
        lock (gate)
        {
            methods[method] = methods[method] with { Card = card };
        }
    }

    /// <summary>The same for the method that was used for a payment. False if none was kept.</summary>
    public bool ReplaceCardOf(string payment, string card)
    {
        lock (gate)
        {
            if (!payments.TryGetValue(payment, out var paid) || paid.Method is not { } method)
            {
                return false;
            }

            ReplaceCard(method, card);
            return true;
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

            if (payment is { KeepsMethod: true, Customer: { } customer })
            {
                payment.Method = $"pm_{payment.Id[4..]}";
                methods[payment.Method] = (customer, card);
            }

            Pay(payment, card);
            return new HyperswitchAnswer(200, payment.ToJson());
        }
    }

    void Pay(Payment payment, string card)
    {
        payment.Updated = clock.GetUtcNow();
        if (Refused(payment, card) is { } code)
        {
            payment.Status = "failed";
            payment.ErrorCode = code;
            Publish("payment_failed", payment.Id, "payment_details", payment.ToJson());
        }
        else
        {
            payment.ErrorCode = null;
            Become(payment, "succeeded", payment.Amount);
        }
    }

    /// <summary>The connector's word: a declined card, or what Stripe cannot charge. Null if it takes the money.</summary>
    static string? Refused(Payment payment, string card) =>
        card.EndsWith("0002", StringComparison.Ordinal) ? "card_declined"
        : StripeForm.RefusedCurrency(payment.Currency) is not null ? "invalid_request_error"
        : StripeForm.RefusedSize(payment.Amount, payment.Currency) is not null ? "amount_too_large"
        : null;

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
        if (HyperswitchForm.RefusedRefund(body) is { } refusal)
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

            if (payment.Status is not ("succeeded" or "partially_captured"))
            {
                return HyperswitchAnswer.Error(
                    400,
                    "IR_14",
                    "This Payment could not be refunded because it has a status of " + payment.Status
                );
            }

            var amount = Number(body, "amount") ?? payment.Received;
            if (amount <= 0)
            {
                return HyperswitchAnswer.Error(422, "IR_05", "amount contains invalid data");
            }

            var before = refunds
                .Values.Where(known => known.Payment == payment && known.Status != "failed")
                .Sum(known => known.Amount);
            var lost = disputes
                .Values.Where(dispute => dispute.Payment == payment && dispute.IsLost)
                .Sum(dispute => dispute.AtStripe.Amount);
            if (before + lost + amount > payment.Received)
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
                            group.Sum(payment => payment.Received),
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
                Refuse(refund);
                break;
            case RefundFate.LaterSucceeded:
                _ = Task.Delay(TimeSpan.FromMilliseconds(20))
                    .ContinueWith(
                        _ =>
                        {
                            Conclude(refund.Id, true);
                        },
                        TaskScheduler.Default
                    );
                break;
            case RefundFate.StaysPending:
                break;
        }
    }

    void Refuse(Refund refund)
    {
        refund.Status = "failed";
        refund.ErrorCode = "refund_declined";
        Publish("refund_failed", refund.Id, "refund_details", refund.ToJson());
    }

    void Finish(Refund refund)
    {
        refund.Status = "succeeded";
        charges.Refund(refund.Id, refund.Payment.ConnectorId, refund.Payment.Currency, refund.Amount);
        Publish("refund_succeeded", refund.Id, "refund_details", refund.ToJson());
    }

    /// <summary>Newest first, within a time of creation, from one payment on.</summary>
    public HyperswitchAnswer ListPayments(IReadOnlyDictionary<string, string> query)
    {
        lock (gate)
        {
            var limit = int.TryParse(query.GetValueOrDefault("limit"), out var asked)
                ? Math.Clamp(asked, 1, 100)
                : 10;
            var found = payments
                .Values.OrderByDescending(payment => payment.Created)
                .Where(payment =>
                    (!Time(query.GetValueOrDefault("created_gte"), out var from) || payment.Created >= from)
                    && (!Time(query.GetValueOrDefault("created_lt"), out var upto) || payment.Created < upto)
                );
            if (query.TryGetValue("starting_after", out var after))
            {
                found = found.SkipWhile(payment => payment.Id != after).Skip(1);
            }

            var page = found.Take(limit).Select(HyperswitchShapes.ToJson).ToList();
            return new HyperswitchAnswer(
                200,
                new JsonObject { ["size"] = page.Count, ["data"] = new JsonArray([.. page]) }
            );
        }
    }

    /// <summary>Newest first, within a time of creation, from an offset on.</summary>
    public HyperswitchAnswer ListRefunds(JsonObject body)
    {
        lock (gate)
        {
            var limit = (int)(Number(body, "limit") ?? 10);
            if (limit is < 1 or > 100)
            {
                return HyperswitchAnswer.Error(422, "IR_06", "limit should be in between 1 and 100");
            }

            var found = refunds
                .Values.OrderByDescending(refund => refund.Created)
                .Where(refund =>
                    (!Time(Text(body, "start_time"), out var from) || refund.Created >= from)
                    && (!Time(Text(body, "end_time"), out var upto) || refund.Created < upto)
                )
                .ToList();
            var page = found
                .Skip((int)(Number(body, "offset") ?? 0))
                .Take(limit)
                .Select(refund => refund.ToJson())
                .ToList();
            return new HyperswitchAnswer(
                200,
                new JsonObject
                {
                    ["count"] = page.Count,
                    ["total_count"] = found.Count,
                    ["data"] = new JsonArray([.. page]),
                }
            );
        }
    }

    static bool Time(string? text, out DateTimeOffset time) =>
        DateTimeOffset.TryParse(
            text,
            System.Globalization.CultureInfo.InvariantCulture,
            System.Globalization.DateTimeStyles.AssumeUniversal,
            out time
        );

    /// <summary>At most one event per object and type, ever, even where the one that was made is lost.</summary>
    void Publish(string type, string id, string content, JsonObject about, bool isLost = false)
    {
        if (!published.Add($"{id}_{type}") || isLost)
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

    static string? Text(JsonObject body, string name) =>
        body[name] is JsonValue value && value.TryGetValue(out string? text) ? text : null;

    static long? Number(JsonObject body, string name) =>
        body[name] is JsonValue value && value.TryGetValue(out long number) ? number : null;
}
