namespace Veza.Adapters.Ports;

/// <summary>What a host takes for the length of a lease before it asks a provider about it.</summary>
public enum Leased
{
    Transfer,
    Payout,
    Refund,
    Deposit,
    Dispute,
    Payment,
    Event,
    Delivery,
}

/// <summary>One thing that a host has taken.</summary>
/// <param name="Id">An event's is its number, a delivery's its endpoint and message: <c>endpoint:number</c>.</param>
/// <param name="Version">Under which it was taken; 0 where rows have none.</param>
public sealed record Lease(Leased What, string Id, int Version = 0);

/// <summary>A payment to be asked about, and when it is asked about next if nothing comes of it.</summary>
public sealed record DuePayment(Guid Order, DateTimeOffset Next);
