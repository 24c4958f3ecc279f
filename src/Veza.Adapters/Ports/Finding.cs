using Veza.Domain.Reconciliation;

namespace Veza.Adapters.Ports;

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
    /// <summary>True for a difference that somebody must look at.</summary>
    public bool Counts => DifferenceModule.counts(Reason, Healed, AcknowledgedBy is not null);

    /// <summary>A difference that a comparison of two lines has found.</summary>
    public static Finding Of(
        Difference difference,
        string entity,
        Guid id,
        Guid? order,
        string provider,
        string? providerId,
        bool healed
    ) =>
        new(
            DifferenceModule.word(difference.Reason),
            entity,
            id.ToString(),
            order,
            provider,
            providerId,
            difference.Ours,
            difference.Theirs,
            DifferenceModule.remedyWord(difference.Remedy),
            healed
        );

    /// <summary>Nothing of the other side stands beside it: a person must look.</summary>
    public static Finding Alone(
        string reason,
        string entity,
        Guid id,
        Guid? order,
        string provider,
        string? providerId,
        string ours,
        string theirs
    ) =>
        new(
            reason,
            entity,
            id.ToString(),
            order,
            provider,
            providerId,
            ours,
            theirs,
            DifferenceModule.remedyWord(Domain.Reconciliation.Remedy.NeedsOperator),
            false
        );
}
