namespace Veza.Host.Http;

/// <summary>The statuses that callers see, by the thing that has them; and the types of the events that tell of them.</summary>
static class Statuses
{
    public static readonly IReadOnlyList<string> Order =
    [
        "created",
        "awaiting_payment",
        "completed",
        "payment_failed",
        "cancelled",
        "partially_refunded",
        "refunded",
    ];

    public static readonly IReadOnlyList<string> Refund = ["pending", "submitted", "succeeded", "failed"];

    public static readonly IReadOnlyList<string> Transfer =
    [
        "pending",
        "completed",
        "failed",
        "reversal_pending",
        "reversed",
        "permanently_failed",
        "cancelled",
        "written_off",
    ];

    public static readonly IReadOnlyList<string> License = ["active", "revoked"];

    public static readonly IReadOnlyList<string> Payout =
    [
        "pending",
        "in_transit",
        "paid",
        "failed",
        "canceled",
    ];

    public static readonly IReadOnlyList<string> Subscription =
    [
        "pending_payment",
        "active",
        "past_due",
        "canceled",
        "expired",
    ];

    public static readonly IReadOnlyList<string> Dispute = ["open", "won", "lost"];

    /// <summary>Of money outside of orders' books.</summary>
    public static readonly IReadOnlyList<string> Deposit =
    [
        "earned",
        "held",
        "to_confirm",
        "returning",
        "cleared",
        "adopted",
    ];

    /// <summary>Such as <c>transfer.reversed</c>, each thing's own <c>transfer.*</c>, and <c>*</c> for all.</summary>
    public static readonly IReadOnlySet<string> EventTypes = new (
        string Entity,
        IReadOnlyList<string> Words
    )[]
    {
        ("order", Order),
        ("refund", Refund),
        ("transfer", Transfer),
        ("license", License),
        ("payout", Payout),
        ("subscription", Subscription),
        ("dispute", Dispute),
        ("deposit", Deposit),
    }
        .SelectMany(entity => entity.Words.Prepend("*").Select(word => $"{entity.Entity}.{word}"))
        .Append("*")
        .ToHashSet();
}
