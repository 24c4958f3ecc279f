using Veza.Domain;

namespace Veza.Host.Decisions;

/// <summary>
/// What a provider says of one of its objects: in a webhook, in an answer, or when asked. The same fact each time, so
/// all three take the same way.
/// </summary>
abstract record ProviderReport(Cause Cause)
{
    /// <summary>Whether it is what the provider says now, or a webhook that may be old.</summary>
    public Source Source { get; init; } = Source.ByAnswer;

    public sealed record OfPayment(ProviderPayment Payment, Cause Cause) : ProviderReport(Cause);

    public sealed record OfRefund(ProviderRefund Refund, Cause Cause) : ProviderReport(Cause);

    public sealed record OfTransfer(SeenTransfer Transfer, Cause Cause) : ProviderReport(Cause);

    public sealed record OfPayout(SeenPayout Payout, Cause Cause) : ProviderReport(Cause);

    /// <param name="Dispute">What the provider says.</param>
    /// <param name="Cause">Who asked, or what brought it.</param>
    /// <param name="AskedAt">The version of our dispute when the provider was asked; 0 if we knew none.</param>
    public sealed record OfDispute(SeenDispute Dispute, Cause Cause, int? AskedAt = null)
        : ProviderReport(Cause);
}

/// <summary>What an observation came to, and why where that needs a reason.</summary>
/// <param name="Awaits">The payment that a parked event takes from.</param>
sealed record EventResult(EventState State, string? Reason = null, string? Awaits = null);
