using Veza.Adapters;
using Veza.Adapters.Outgoing;
using Veza.Adapters.Postgres;
using Veza.Adapters.Storage;

namespace Veza.Host.Workers;

/// <summary>Brings messages to the marketplace's own systems. One endpoint's trouble holds nobody else up for long.</summary>
sealed partial class DeliveryWorker(
    WebhookDeliveries deliveries,
    WebhookSender sender,
    Settings settings,
    LeaseKeeper leases,
    Wakes wakes,
    TimeProvider clock,
    ILogger<DeliveryWorker> log
) : BackgroundService
{
    const int Most = 50;

    static readonly TimeSpan Beat = TimeSpan.FromSeconds(1);

    protected override async Task ExecuteAsync(CancellationToken stopping)
    {
        while (!stopping.IsCancellationRequested)
        {
            await Rounds.Once(() => DeliverAll(stopping), LogFailed, stopping);

            await wakes.Deliveries.Wait(Beat, clock, stopping);
        }
    }

    async Task DeliverAll(CancellationToken stopping)
    {
        while (await deliveries.Follow(stopping))
        {
            // There may be more.
        }

        IReadOnlyList<DueDelivery> due;
        do
        {
            due = await deliveries.Claim(Most, settings.LeaseTerm, stopping);
            await Task.WhenAll(due.Select(delivery => Deliver(delivery, stopping)));
        } while (due.Count == Most);
    }

    async Task Deliver(DueDelivery delivery, CancellationToken stopping)
    {
        using var held = leases.Hold(Leased.Delivery, $"{delivery.Endpoint}:{delivery.Sequence}");
        var result = await sender.Send(delivery, stopping);
        Telemetry.Deliveries.Add(1, Telemetry.Tag("outcome", result.Arrived ? "delivered" : "not_taken"));
        if (await deliveries.Record(result, CancellationToken.None))
        {
            LogSwitchedOff(delivery.Endpoint, delivery.Url, result.Error);
        }
        else if (!result.Arrived)
        {
            LogNotTaken(delivery.MessageId, delivery.Endpoint, result.Error);
        }
    }

    [LoggerMessage(LogLevel.Error, "A round of deliveries failed and will be repeated.")]
    partial void LogFailed(Exception error);

    [LoggerMessage(LogLevel.Warning, "{Message} was not taken by endpoint {Endpoint}: {Why}. Again later.")]
    partial void LogNotTaken(string message, Guid endpoint, string? why);

    [LoggerMessage(
        LogLevel.Error,
        "Endpoint {Endpoint} ({Url}) is switched off: {Why}. What it was to be told is kept; enable it to go on."
    )]
    partial void LogSwitchedOff(Guid endpoint, string url, string? why);
}
