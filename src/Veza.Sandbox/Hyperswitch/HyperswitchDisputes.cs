using System.Text.Json;
using Veza.Sandbox.Stripe;

namespace Veza.Sandbox.Hyperswitch;

/// <summary>How far a dispute has come; a <c>pre_dispute</c> is an inquiry and withdraws nothing.</summary>
public enum DisputeStage
{
    PreDispute,
    Dispute,
    PreArbitration,
    Arbitration,
    DisputeReversal,
}

/// <summary>What is said of a dispute, in Hyperswitch's words.</summary>
public enum DisputeOutcome
{
    Opened,
    Challenged,
    Won,
    Lost,
    Cancelled,
    Accepted,
    Expired,
}

/// <summary>Which of the two providers' webhooks of a step arrive.</summary>
public enum DisputeWebhooks
{
    Both,
    Hyperswitch,
    Stripe,
    None,
}

/// <summary>What a bank changes about a dispute; what is null stays.</summary>
public sealed record DisputeChange(
    DisputeOutcome? Outcome = null,
    DisputeStage? Stage = null,
    long? Amount = null,
    DisputeWebhooks Webhooks = DisputeWebhooks.Both,
    DateTimeOffset? RespondBy = null
);

sealed class Dispute(string id, Payment payment, StripeDispute atStripe)
{
    public string Id { get; } = id;
    public Payment Payment { get; } = payment;
    public StripeDispute AtStripe { get; set; } = atStripe;
    public DisputeStage Stage { get; set; } = DisputeStage.Dispute;
    public DisputeOutcome Outcome { get; set; } = DisputeOutcome.Opened;

    public bool IsLost => Outcome is DisputeOutcome.Lost or DisputeOutcome.Accepted or DisputeOutcome.Expired;

    public string StageWord => JsonNamingPolicy.SnakeCaseLower.ConvertName(Stage.ToString());
    public string StatusWord => "dispute_" + JsonNamingPolicy.SnakeCaseLower.ConvertName(Outcome.ToString());

    /// <summary>The same at Stripe, which knows inquiries and disputes only.</summary>
    public string StripeStatus =>
        Stage == DisputeStage.PreDispute
            ? Outcome switch
            {
                DisputeOutcome.Opened => "warning_needs_response",
                DisputeOutcome.Challenged => "warning_under_review",
                _ => "warning_closed",
            }
            : Outcome switch
            {
                DisputeOutcome.Opened => "needs_response",
                DisputeOutcome.Challenged => "under_review",
                DisputeOutcome.Won or DisputeOutcome.Cancelled => "won",
                _ => "lost",
            };
}

/// <summary>Banks' claims on payments, at both providers at once.</summary>
public sealed partial class HyperswitchBooks
{
    readonly Dictionary<string, Dispute> disputes = [];

    /// <summary>A bank disputes a payment. Null if there is no such payment.</summary>
    public string? Dispute(string payment, long? amount, bool isInquiry) =>
        Dispute(
            payment,
            amount,
            isInquiry ? DisputeStage.PreDispute : DisputeStage.Dispute,
            DisputeWebhooks.Both
        );

    /// <summary>Null if there is no such payment, or it has no such amount.</summary>
    /// <param name="reason">Stripe's word; <c>fraudulent</c> if none is given.</param>
    /// <param name="respondBy">In a week if none is given.</param>
    public string? Dispute(
        string payment,
        long? amount,
        DisputeStage stage,
        DisputeWebhooks webhooks,
        string? reason = null,
        DateTimeOffset? respondBy = null
    )
    {
        lock (gate)
        {
            if (
                !payments.TryGetValue(payment, out var disputed)
                || !disputed.IsPaid
                || !IsClaimable(disputed, amount)
            )
            {
                return null;
            }

            var claimed = charges.Dispute(
                disputed.ConnectorId,
                disputed.Currency,
                amount ?? disputed.Amount,
                stage == DisputeStage.PreDispute,
                reason ?? "fraudulent",
                respondBy,
                Reaches(webhooks, DisputeWebhooks.Stripe)
            );
            var dispute = new Dispute($"dis_{++serial:D26}", disputed, claimed) { Stage = stage };
            disputes.Add(dispute.Id, dispute);
            Tell(dispute, webhooks);
            return dispute.Id;
        }
    }

    /// <summary>The bank decides, as often as it likes. False if there is no such dispute.</summary>
    /// <param name="outcome"><c>challenged</c>, <c>won</c>, <c>lost</c> and the others.</param>
    public bool Rule(string id, string outcome) =>
        Change(id, new DisputeChange(Enum.Parse<DisputeOutcome>(outcome, ignoreCase: true))) == true;

    /// <summary>
    /// Any step in any order: banks withdraw rulings, raise claims and reopen what was closed. Null if there is no such
    /// dispute, false if the payment has no such amount.
    /// </summary>
    public bool? Change(string id, DisputeChange change)
    {
        lock (gate)
        {
            if (!disputes.TryGetValue(id, out var dispute))
            {
                return null;
            }

            if (!IsClaimable(dispute.Payment, change.Amount))
            {
                return false;
            }

            var isLost =
                change.Outcome is DisputeOutcome.Lost or DisputeOutcome.Accepted or DisputeOutcome.Expired;
            // Only a dispute can be lost; an inquiry that is won is called off.
            dispute.Stage =
                change.Stage
                ?? (
                    isLost && dispute.Stage == DisputeStage.PreDispute ? DisputeStage.Dispute : dispute.Stage
                );
            dispute.Outcome = change.Outcome ?? dispute.Outcome;
            if (dispute is { Stage: DisputeStage.PreDispute, Outcome: DisputeOutcome.Won })
            {
                dispute.Outcome = DisputeOutcome.Cancelled;
            }

            dispute.AtStripe = charges.Change(
                dispute.AtStripe.Id,
                dispute.StripeStatus,
                change.Amount ?? dispute.AtStripe.Amount,
                change.RespondBy,
                Reaches(change.Webhooks, DisputeWebhooks.Stripe)
            );
            Tell(dispute, change.Webhooks);
            return true;
        }
    }

    public HyperswitchAnswer GetDispute(string id)
    {
        lock (gate)
        {
            return disputes.TryGetValue(id, out var dispute)
                ? new HyperswitchAnswer(200, dispute.ToJson())
                : HyperswitchAnswer.Error(404, "HE_02", "Dispute does not exist in our records");
        }
    }

    void Tell(Dispute dispute, DisputeWebhooks webhooks) =>
        Publish(
            dispute.StatusWord,
            dispute.Id,
            "dispute_details",
            dispute.ToJson(),
            isLost: !Reaches(webhooks, DisputeWebhooks.Hyperswitch)
        );

    static bool IsClaimable(Payment payment, long? amount) =>
        amount is null || (amount > 0 && amount <= payment.Amount);

    static bool Reaches(DisputeWebhooks webhooks, DisputeWebhooks provider) =>
        webhooks == DisputeWebhooks.Both || webhooks == provider;
}
