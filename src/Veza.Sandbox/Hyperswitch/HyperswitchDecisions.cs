using System.Text.Json.Nodes;

namespace Veza.Sandbox.Hyperswitch;

/// <summary>What becomes of refunds after their answer, and what people do by hand.</summary>
public sealed partial class HyperswitchBooks
{
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
