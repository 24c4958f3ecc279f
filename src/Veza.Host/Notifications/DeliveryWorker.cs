namespace Veza.Host.Notifications;

/// <summary>Delivers webhooks to the marketplace's own systems. A slow endpoint does not delay the others for long.</summary>
sealed partial class DeliveryWorker(
    WebhookDeliveries deliveries,
    WebhookSender sender,
    Settings settings,
    LeaseKeeper leases,
    WorkSignals wakes,
    TimeProvider clock,
    ILogger<DeliveryWorker> logger
) : PollingWorker(TimeSpan.FromSeconds(1), clock, logger, wakes.Deliveries)
{
    const int Most = 50;

    protected override async Task<bool> RunOnce(CancellationToken cancellation)
    {
        while (await deliveries.Follow(cancellation))
        {
            // There may be more.
        }

        var due = await deliveries.Claim(Most, settings.LeaseTerm, cancellation);
        await Task.WhenAll(due.Select(delivery => Deliver(delivery, cancellation)));
        return due.Count == Most;
    }

    async Task Deliver(DueDelivery delivery, CancellationToken cancellation)
    {
        using var held = leases.Hold(Leased.Delivery, $"{delivery.Endpoint}:{delivery.Sequence}");
        var result = await sender.Send(delivery, cancellation);
        Telemetry.Deliveries.Add(1, Telemetry.Tag("outcome", result.Arrived ? "delivered" : "not_taken"));
        // It has been sent: the result is recorded even if the host stops meanwhile.
        if (await deliveries.Record(result, CancellationToken.None))
        {
            LogSwitchedOff(delivery.Endpoint, delivery.Url, result.Error);
        }
        else if (!result.Arrived)
        {
            LogNotTaken(delivery.MessageId, delivery.Endpoint, result.Error);
        }
    }

    [LoggerMessage(
        LogLevel.Warning,
        "Message {Message} was not delivered to endpoint {Endpoint}: {Why}. It will be retried."
    )]
    partial void LogNotTaken(string message, Guid endpoint, string? why);

    [LoggerMessage(
        LogLevel.Error,
        "Endpoint {Endpoint} ({Url}) is disabled: {Why}. Its messages are kept; enable it to resume their delivery."
    )]
    partial void LogSwitchedOff(Guid endpoint, string url, string? why);
}
