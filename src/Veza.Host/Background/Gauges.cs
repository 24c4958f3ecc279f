using System.Diagnostics.Metrics;

namespace Veza.Host.Background;

/// <summary>Gauges of queues, money and alarms, refreshed every 15 seconds so that a scrape costs no query.</summary>
sealed class Gauges : PollingWorker
{
    readonly Backlog backlog;
    readonly Alarms alarms;
    readonly CircuitStates circuits;
    IReadOnlyList<Waiting> waiting = [];
    IReadOnlyList<RaisedAlarm> raised = [];

    public Gauges(
        Backlog backlog,
        Alarms alarms,
        CircuitStates circuits,
        IMeterFactory meters,
        TimeProvider clock,
        ILogger<Gauges> logger
    )
        : base(TimeSpan.FromSeconds(15), clock, logger)
    {
        (this.backlog, this.alarms, this.circuits) = (backlog, alarms, circuits);
        var meter = meters.Create(Telemetry.Name);
        meter.CreateObservableGauge("veza.waiting", Counts, description: "What waits, by queue and state");
        meter.CreateObservableGauge("veza.oldest.age", Ages, "s", "How long the oldest in a queue waits");
        meter.CreateObservableGauge(
            "veza.money.pending",
            Pending,
            description: "Money that waits, in the currency's major unit: 0.05 is five cents"
        );
        meter.CreateObservableGauge(
            "veza.alarms",
            Raised,
            description: "What is stuck, or waits for a person"
        );
        meter.CreateObservableGauge("veza.circuit.open", Open, description: "1: its calls are held back");
    }

    /// <summary>Seconds that the oldest in each queue has waited, for readiness.</summary>
    public IReadOnlyDictionary<string, long> OldestSeconds() =>
        waiting
            .GroupBy(entry => entry.Queue)
            .ToDictionary(queue => queue.Key, queue => queue.Max(entry => (long)Age(entry)));

    protected override async Task<bool> RunOnce(CancellationToken cancellation)
    {
        await Look(cancellation);
        return false;
    }

    internal async Task Look(CancellationToken cancellation)
    {
        waiting = await backlog.Read(cancellation);
        raised = await alarms.Raised(cancellation);
    }

    IEnumerable<Measurement<long>> Counts() =>
        waiting
            .GroupBy(entry => (entry.Queue, entry.State, entry.WaitingFor))
            .Select(group => new Measurement<long>(
                group.Sum(entry => entry.Count),
                Telemetry.Tag("queue", group.Key.Queue),
                Telemetry.Tag("state", group.Key.State),
                Telemetry.Tag("waiting_for", group.Key.WaitingFor)
            ));

    IEnumerable<Measurement<double>> Ages() =>
        waiting
            .GroupBy(entry => (entry.Queue, entry.State))
            .Select(group => new Measurement<double>(
                group.Max(Age),
                Telemetry.Tag("queue", group.Key.Queue),
                Telemetry.Tag("state", group.Key.State)
            ));

    IEnumerable<Measurement<double>> Pending() =>
        waiting
            .Where(entry => entry.Currency.Length > 0)
            .GroupBy(entry => (entry.Queue, entry.Currency))
            .Select(group => new Measurement<double>(
                (double)Veza.Domain.Money.InMajor(group.Sum(entry => entry.Amount), group.Key.Currency),
                Telemetry.Tag("queue", group.Key.Queue),
                Telemetry.Tag("currency", group.Key.Currency)
            ));

    IEnumerable<Measurement<long>> Raised() =>
        raised.Select(alarm => new Measurement<long>(alarm.Count, Telemetry.Tag("alarm", alarm.Word)));

    IEnumerable<Measurement<int>> Open() =>
        circuits
            .All()
            .Select(circuit => new Measurement<int>(
                circuit.IsOpen ? 1 : 0,
                Telemetry.Tag("provider", circuit.Provider)
            ));

    double Age(Waiting entry) => Math.Max(0, (Clock.GetUtcNow() - entry.Since).TotalSeconds);
}
