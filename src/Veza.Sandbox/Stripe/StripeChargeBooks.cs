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
/// <param name="Reason">Stripe's word for what the buyer told the bank.</param>
/// <param name="RespondBy">The last moment for evidence, to the second; null where the bank hears none.</param>
public sealed record StripeDispute(
    string Id,
    string PaymentIntent,
    string Currency,
    long Amount,
    DateTimeOffset Created,
    string Status,
    string Reason,
    DateTimeOffset? RespondBy
)
{
    /// <summary>What is off the platform's balance: nothing for an inquiry, nothing for what was won.</summary>
    public long Withdrawn => Status is "needs_response" or "under_review" or "lost" ? Amount : 0;
}

/// <summary>
/// What lies between Hyperswitch and Stripe: refunds of charges and their disputes. A dispute takes its amount off the
/// platform's balance when it is opened, and gives it back when it is won, as often as the bank changes its mind.
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
    public StripeDispute Dispute(
        string paymentIntent,
        string currency,
        long amount,
        bool isInquiry,
        string reason,
        DateTimeOffset? respondBy,
        bool isDelivered
    )
    {
        lock (gate)
        {
            var now = clock.GetUtcNow();
            var dispute = new StripeDispute(
                log.Name("dp"),
                paymentIntent,
                currency.ToLowerInvariant(),
                amount,
                now,
                isInquiry ? "warning_needs_response" : "needs_response",
                reason,
                ToTheSecond(respondBy ?? now.AddDays(7))
            );
            disputes.Add(dispute.Id, dispute);
            log.Publish("charge.dispute.created", dispute.ToJson(), isDelivered: isDelivered);
            Withdraw(dispute, dispute.Withdrawn, isDelivered);
            return dispute;
        }
    }

    /// <summary>Whatever the bank says now; the balance follows.</summary>
    public StripeDispute Change(
        string id,
        string status,
        long amount,
        DateTimeOffset? respondBy,
        bool isDelivered
    )
    {
        lock (gate)
        {
            var before = disputes[id];
            var next = disputes[id] = before with
            {
                Status = status,
                Amount = amount,
                // Evidence that can no longer be sent has no last moment.
                RespondBy = status.EndsWith("needs_response", StringComparison.Ordinal)
                    ? ToTheSecond(respondBy) ?? before.RespondBy
                    : null,
            };
            var isClosed = status is "won" or "lost" or "warning_closed" && status != before.Status;
            log.Publish(
                isClosed ? "charge.dispute.closed" : "charge.dispute.updated",
                next.ToJson(),
                isDelivered: isDelivered
            );
            Withdraw(next, next.Withdrawn - before.Withdrawn, isDelivered);
            return next;
        }
    }

    static DateTimeOffset? ToTheSecond(DateTimeOffset? time) =>
        time is { } moment ? DateTimeOffset.FromUnixTimeSeconds(moment.ToUnixTimeSeconds()) : null;

    /// <param name="more">Off the platform's balance; below zero, back to it.</param>
    void Withdraw(StripeDispute dispute, long more, bool isDelivered)
    {
        if (more == 0)
        {
            return;
        }

        money.Move(StripeBooks.Platform, dispute.Currency, -more);
        log.Publish(
            more > 0 ? "charge.dispute.funds_withdrawn" : "charge.dispute.funds_reinstated",
            dispute.ToJson(),
            isDelivered: isDelivered
        );
    }

    public StripeAnswer ListDisputes(IReadOnlyDictionary<string, string> query)
    {
        lock (gate)
        {
            var found = disputes
                .Values.Reverse()
                .Where(dispute => StripeList.IsInWindow(query, dispute.Created))
                .Where(dispute => StripeList.Fits(query, "payment_intent", dispute.PaymentIntent));
            return StripeList.Page(query, "/v1/disputes", found, dispute => dispute.Id, StripeShapes.ToJson);
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
