using Veza.Domain.Disputes;

namespace Veza.Adapters.Ports;

/// <summary>What a bank says of a payment, at Stripe or at Hyperswitch.</summary>
/// <param name="Name">Stripe's, where it is known: both providers report the same dispute.</param>
/// <param name="Payment">Hyperswitch's payment; null where only the connector's own name for it is known.</param>
/// <param name="ConnectorPayment">Stripe's PaymentIntent.</param>
public sealed record SeenDispute(
    string Name,
    string? Payment,
    string? ConnectorPayment,
    long Amount,
    string Currency,
    DisputeFact Fact,
    DisputeTerms Terms
)
{
    public DisputeReport Report => new(Fact, Amount, Terms);
}
