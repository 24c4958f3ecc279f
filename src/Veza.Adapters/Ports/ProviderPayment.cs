using Veza.Domain;

namespace Veza.Adapters.Ports;

/// <summary>What matters of a payment at Hyperswitch, in an answer or in a webhook: the schema is the same.</summary>
public sealed record ProviderPayment(
    string PaymentId,
    string Status,
    long Amount,
    string Currency,
    string? ClientSecret,
    string? OrderId,
    string? ErrorCode,
    string? ErrorMessage,
    string? ConnectorPayment = null,
    string? PaymentMethod = null
)
{
    public PaymentFact ToFact() => new(PaymentId, Amount, Currency, OrderId);

    public PaymentMeaning Meaning => ProviderWords.payment(Status);

    public PaymentReport ToReport() =>
        new(
            ToFact(),
            Meaning,
            new Refusal(
                RefusalCause.OtherCause,
                ErrorCode ?? Status,
                ErrorMessage ?? "The provider gave no reason."
            )
        );

    public bool HasSucceeded => Meaning.IsPaidInFull;
}

/// <summary>What matters of a refund at Hyperswitch.</summary>
public sealed record ProviderRefund(string RefundId, RefundReport Report, DateTimeOffset? Created = null);
