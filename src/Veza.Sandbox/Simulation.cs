using Veza.Sandbox.Control;
using Veza.Sandbox.Hyperswitch;
using Veza.Sandbox.Stripe;

namespace Veza.Sandbox;

/// <summary>Where webhooks go and what signs them.</summary>
public sealed class Wiring
{
    public string? HyperswitchTarget { get; set; }
    public string HyperswitchSecret { get; set; } = "hyperswitch-sandbox-secret";
    public string? StripeTarget { get; set; }
    public string StripeSecret { get; set; } = "whsec_sandbox";

    /// <summary>Both providers' webhooks go to this Veza.</summary>
    public void SendTo(string veza) => SendTo(veza, veza);

    /// <summary>Each provider's webhooks go to another host of one deployment.</summary>
    public void SendTo(string hyperswitchTo, string stripeTo)
    {
        HyperswitchTarget = hyperswitchTo.TrimEnd('/') + "/webhooks/hyperswitch";
        StripeTarget = stripeTo.TrimEnd('/') + "/webhooks/stripe";
    }
}

/// <summary>
/// Both providers in one world: a payment captured by Hyperswitch fills the platform's balance at Stripe, from
/// which sellers are paid and refunds are made. It keeps books of its own, and knows nothing of Veza.
/// </summary>
public sealed class Simulation : IAsyncDisposable
{
    public Simulation()
    {
        Events = new StripeEventLog(Clock, SendStripe);
        Accounts = new StripeAccountBooks(Events);
        Stripe = new StripeBooks(Clock, Accounts, Events);
        Payouts = new StripePayoutBooks(Clock, Accounts, Stripe, Events);
        Charges = new StripeChargeBooks(Clock, Stripe, Events);
        Hyperswitch = new HyperswitchBooks(Clock, Stripe, Charges, SendHyperswitch);
    }

    public SimulatedClock Clock { get; } = new();
    public Faults Faults { get; } = new();
    public Courier Courier { get; } = new();
    public Wiring Wiring { get; } = new();
    public StripeLimits Limits { get; } = new();
    public StripeEventLog Events { get; }
    public StripeAccountBooks Accounts { get; }
    public StripeBooks Stripe { get; }
    public StripePayoutBooks Payouts { get; }
    public StripeChargeBooks Charges { get; }
    public HyperswitchBooks Hyperswitch { get; }

    void SendHyperswitch(string type, string body) =>
        Courier.Send(
            Wiring.HyperswitchTarget,
            type,
            body,
            () => [("X-Webhook-Signature-512", Signatures.Hyperswitch(body, Wiring.HyperswitchSecret))]
        );

    void SendStripe(string type, string body) =>
        Courier.Send(
            Wiring.StripeTarget,
            type,
            body,
            () => [("Stripe-Signature", Signatures.Stripe(body, Wiring.StripeSecret, Clock.GetUtcNow()))]
        );

    public ValueTask DisposeAsync() => Courier.DisposeAsync();
}
