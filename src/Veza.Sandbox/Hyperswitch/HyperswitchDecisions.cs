using System.Text.Json.Nodes;
using Veza.Sandbox.Stripe;

namespace Veza.Sandbox.Hyperswitch;

/// <summary>What becomes of payments and refunds after their answer, and what people do by hand.</summary>
public sealed partial class HyperswitchBooks
{
    /// <summary>The event of each status; the others have none.</summary>
    static readonly Dictionary<string, string> Events = new()
    {
        ["succeeded"] = "payment_succeeded",
        ["failed"] = "payment_failed",
        ["processing"] = "payment_processing",
        ["partially_captured_and_processing"] = "payment_processing",
        ["requires_customer_action"] = "action_required",
        ["requires_merchant_action"] = "action_required",
        ["conflicted"] = "action_required",
        ["review"] = "action_required",
        ["cancelled"] = "payment_cancelled",
        ["cancelled_post_capture"] = "payment_cancelled_post_capture",
        ["expired"] = "payment_expired",
        ["partially_captured"] = "payment_captured",
        ["partially_captured_and_capturable"] = "payment_captured",
        ["requires_capture"] = "payment_authorized",
        ["partially_authorized_and_requires_capture"] = "payment_partially_authorized",
    };

    /// <summary>
    /// A payment comes to any status, with so much of it captured; without a word on that all of it once it has succeeded,
    /// and nothing once it is voided. False if there is no such payment.
    /// </summary>
    public bool Become(string id, string status, long? captured = null)
    {
        lock (gate)
        {
            if (!payments.TryGetValue(id, out var payment))
            {
                return false;
            }

            var all = status switch
            {
                "succeeded" => payment.Amount,
                "cancelled_post_capture" => 0,
                _ => payment.Received,
            };
            Become(payment, status, captured ?? all);
            return true;
        }
    }

    void Become(Payment payment, string status, long captured)
    {
        stripe.Move(StripeBooks.Platform, payment.Currency, captured - payment.Received);
        payment.Received = captured;
        payment.Status = status;
        payment.Updated = clock.GetUtcNow();
        if (Events.TryGetValue(status, out var type))
        {
            Publish(type, payment.Id, "payment_details", payment.ToJson());
        }
    }

    /// <summary>The connector decides a refund that is pending. False if there is no such refund.</summary>
    public bool Conclude(string id, bool succeeds)
    {
        lock (gate)
        {
            if (!refunds.TryGetValue(id, out var refund) || refund.Status != "pending")
            {
                return false;
            }

            if (succeeds)
            {
                Finish(refund);
            }
            else
            {
                Refuse(refund);
            }

            return true;
        }
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
            charges.Fail(refund.Id, "lost_or_stolen_card");
            Publish("refund_failed", refund.Id, "refund_details", refund.ToJson());
            return true;
        }
    }

    /// <summary>
    /// The same at Stripe only: Hyperswitch does not understand <c>refund.failed</c> and goes on saying "succeeded".
    /// False if there is no such refund.
    /// </summary>
    public bool ReturnUnnoticed(string id)
    {
        lock (gate)
        {
            return refunds.TryGetValue(id, out var refund)
                && refund.Status == "succeeded"
                && charges.Fail(refund.Id, "expired_or_canceled_card");
        }
    }

    /// <summary>The same for one of those that have succeeded. False if there is none.</summary>
    public bool ReturnAny(int chance)
    {
        List<string> succeeded;
        lock (gate)
        {
            succeeded =
            [
                .. refunds.Values.Where(refund => refund.Status == "succeeded").Select(refund => refund.Id),
            ];
        }

        return succeeded.Count > 0 && Return(succeeded[chance % succeeded.Count]);
    }

    /// <summary>Somebody refunds at the dashboard. Null if the payment cannot give so much back.</summary>
    public string? RefundByHand(string payment, long amount)
    {
        var answer = CreateRefund(new JsonObject { ["payment_id"] = payment, ["amount"] = amount });
        return answer.Status == 200 && answer.Body["refund_id"] is { } id ? id.GetValue<string>() : null;
    }
}
