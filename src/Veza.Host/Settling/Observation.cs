using Veza.Adapters.Hyperswitch;
using Veza.Adapters.Storage;

namespace Veza.Host.Settling;

/// <summary>
/// What Hyperswitch says of one of its objects: in a webhook, in an answer, or when asked. The same fact each
/// time, so all three take the same way.
/// </summary>
abstract record Observation(Cause Cause)
{
    public sealed record OfPayment(ProviderPayment Payment, Cause Cause) : Observation(Cause);

    public sealed record OfRefund(ProviderRefund Refund, Cause Cause) : Observation(Cause);
}

/// <summary>What an observation came to, and why where that needs a reason.</summary>
sealed record Conclusion(EventState State, string? Reason = null);
