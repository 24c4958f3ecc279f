using System.Diagnostics.Metrics;

namespace Veza.Adapters;

/// <summary>What Veza measures as it happens. Durations are seconds, amounts minor units.</summary>
public static class Telemetry
{
    /// <summary>The name of the meter.</summary>
    public const string Name = "Veza";

    static readonly Meter Meter = new(Name);

    static readonly double[] Soon = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

    static readonly double[] Patient = [1, 5, 15, 60, 300, 900, 3600, 21_600, 86_400, 604_800];

    /// <summary>By provider, operation and outcome; an open circuit and a spent budget are outcomes too.</summary>
    public static Counter<long> ProviderCalls { get; } =
        Meter.CreateCounter<long>("veza.provider.calls", description: "Calls of the providers");

    public static Histogram<double> ProviderCallTime { get; } =
        Lasting("veza.provider.call.duration", "How long the providers took to answer", Soon);

    /// <summary>By entity and the status that it came to.</summary>
    public static Counter<long> StateChanges { get; } =
        Meter.CreateCounter<long>("veza.state.changes", description: "Steps that were committed");

    public static Counter<long> Retries { get; } =
        Meter.CreateCounter<long>("veza.retries", description: "Tries spent on transfers and reversals");

    /// <summary>From a refund's beginning to Stripe's word that a seller's share is back.</summary>
    public static Histogram<double> ReversalLag { get; } =
        Lasting("veza.reversal.lag", "From refund to reversal", Patient);

    /// <summary>From a webhook's receipt to its effect.</summary>
    public static Histogram<double> WebhookLag { get; } =
        Lasting("veza.webhook.lag", "From a webhook's receipt to its effect", Soon);

    public static Counter<long> Deliveries { get; } =
        Meter.CreateCounter<long>("veza.deliveries", description: "Attempts to deliver webhooks");

    public static KeyValuePair<string, object?> Tag(string name, object? value) => new(name, value);

    static Histogram<double> Lasting(string name, string description, double[] buckets) =>
        Meter.CreateHistogram(
            name,
            "s",
            description,
            advice: new InstrumentAdvice<double> { HistogramBucketBoundaries = buckets }
        );
}
