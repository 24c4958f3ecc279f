namespace Veza.Sandbox.Stripe;

/// <summary>A refund at Stripe, as Hyperswitch's connector makes it.</summary>
public sealed record StripeRefund(
    string Id,
    string PaymentIntent,
    string Currency,
    long Amount,
    string HyperswitchRefund,
    DateTimeOffset Created,
    string Status,
    string? FailureReason
);

/// <summary>A bank's claim on a payment.</summary>
public sealed record StripeDispute(
    string Id,
    string PaymentIntent,
    string Currency,
    long Amount,
    DateTimeOffset Created,
    string Status
);

/// <summary>
/// What lies between Hyperswitch and Stripe: refunds of charges and their disputes. A dispute takes its amount off the
/// platform's balance when it is opened, and gives it back when it is won.
/// </summary>
public sealed class StripeChargeBooks(TimeProvider clock, StripeBooks money, StripeEventLog log)
{
    readonly Lock gate = new();
    readonly Dictionary<string, StripeRefund> refunds = [];
    readonly Dictionary<string, StripeDispute> disputes = [];

    /// <summary>Made by the connector; the balance moves when it succeeds.</summary>
    public void Refund(string name, string paymentIntent, string currency, long amount)
    {
        lock (gate)
        {
            var refund = new StripeRefund(
                log.Name("re"),
                paymentIntent,
                currency.ToLowerInvariant(),
                amount,
                name,
                clock.GetUtcNow(),
                "succeeded",
                null
            );
            refunds.Add(name, refund);
            money.Move(StripeBooks.Platform, currency, -amount);
            log.Publish("refund.created", refund.ToJson());
        }
    }

    /// <summary>
    /// The bank sends it back. False if there is no such refund at Stripe, or it has failed already.
    /// </summary>
    public bool Fail(string name, string reason)
    {
        lock (gate)
        {
            if (!refunds.TryGetValue(name, out var refund) || refund.Status == "failed")
            {
                return false;
            }

            var failed = refund with { Status = "failed", FailureReason = reason };
            refunds[name] = failed;
            money.Move(StripeBooks.Platform, refund.Currency, refund.Amount);
            log.Publish("refund.updated", failed.ToJson());
            log.Publish("refund.failed", failed.ToJson());
            return true;
        }
    }

    public StripeAnswer GetRefund(string id)
    {
        lock (gate)
        {
            return refunds.Values.FirstOrDefault(refund => refund.Id == id) is { } found
                ? new StripeAnswer(200, found.ToJson())
                : StripeAnswer.Invalid(404, "resource_missing", $"No such refund: '{id}'", "refund");
        }
    }

    /// <param name="isInquiry">An inquiry withdraws nothing.</param>
    public StripeDispute Dispute(string paymentIntent, string currency, long amount, bool isInquiry)
    {
        lock (gate)
        {
            var dispute = new StripeDispute(
                log.Name("dp"),
                paymentIntent,
                currency.ToLowerInvariant(),
                amount,
                clock.GetUtcNow(),
                isInquiry ? "warning_needs_response" : "needs_response"
            );
            disputes.Add(dispute.Id, dispute);
            if (!isInquiry)
            {
                money.Move(StripeBooks.Platform, currency, -amount);
            }

            log.Publish("charge.dispute.created", dispute.ToJson());
            return dispute;
        }
    }

    /// <summary>Null if there is no such dispute.</summary>
    /// <param name="status"><c>under_review</c>, <c>won</c>, <c>lost</c>, <c>warning_closed</c>.</param>
    public StripeDispute? Decide(string id, string status)
    {
        lock (gate)
        {
            if (!disputes.TryGetValue(id, out var dispute))
            {
                return null;
            }

            var isOurs = status is "won" or "warning_closed";
            var wasTaken = dispute.Status is "needs_response" or "under_review" or "lost";
            if (isOurs && wasTaken)
            {
                money.Move(StripeBooks.Platform, dispute.Currency, dispute.Amount);
            }
            else if (status == "lost" && !wasTaken)
            {
                money.Move(StripeBooks.Platform, dispute.Currency, -dispute.Amount);
            }

            var next = dispute with { Status = status };
            disputes[id] = next;
            var type = status == "under_review" ? "charge.dispute.updated" : "charge.dispute.closed";
            log.Publish(type, next.ToJson());
            return next;
        }
    }

    public StripeAnswer GetDispute(string id)
    {
        lock (gate)
        {
            return disputes.TryGetValue(id, out var dispute)
                ? new StripeAnswer(200, dispute.ToJson())
                : StripeAnswer.Invalid(404, "resource_missing", $"No such dispute: '{id}'", "dispute");
        }
    }
}
