using Veza.Domain.Reconciliation;

namespace Veza.Adapters.Storage;

/// <summary>One difference between our books and a provider's, or within our own.</summary>
/// <param name="Reason">One of <see cref="DifferenceModule.every"/>, <c>ledger</c> or <c>conservation</c>.</param>
public sealed record Finding(
    string Reason,
    string Entity,
    string EntityId,
    Guid? OrderId,
    string Provider,
    string? ProviderId,
    string Ours,
    string Theirs,
    string Remedy,
    bool Healed,
    string? AcknowledgedBy = null
)
{
    /// <summary>Neither well already, nor likely to be in a moment, nor settled otherwise by a person.</summary>
    public bool Counts => !Healed && AcknowledgedBy is null && Reason != "timing";
}
