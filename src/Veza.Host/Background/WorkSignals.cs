using System.Threading.Channels;
using Npgsql;

namespace Veza.Host.Background;

/// <summary>A worker's wake-up signal. Several taps while the worker is busy count as one.</summary>
sealed class WorkSignal
{
    readonly Channel<bool> taps = Channel.CreateBounded<bool>(
        new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite }
    );

    public void Tap() => taps.Writer.TryWrite(true);

    /// <summary>Returns when tapped, or when the time is up.</summary>
    public async Task Wait(TimeSpan most, TimeProvider clock, CancellationToken cancellation)
    {
        using var limit = new CancellationTokenSource(most, clock);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellation);
        try
        {
            await taps.Reader.ReadAsync(either.Token);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            // The time is up.
        }
    }
}

/// <summary>The wake-up signal of each worker that has one.</summary>
sealed class WorkSignals
{
    public WorkSignal Inbox { get; } = new();
    public WorkSignal Sending { get; } = new();
    public WorkSignal Reversing { get; } = new();
    public WorkSignal Payouts { get; } = new();
    public WorkSignal Inquiries { get; } = new();
    public WorkSignal Deliveries { get; } = new();

    public void Workers()
    {
        Sending.Tap();
        Reversing.Tap();
    }
}

/// <summary>
/// WorkSignals the workers when another host has made work for them. Only an accelerator, on a connection of its own: behind
/// PgBouncer in transaction mode LISTEN delivers nothing, and the workers rely on their intervals.
/// </summary>
sealed class WorkNotificationListener(
    NpgsqlDataSource database,
    WorkSignals wakes,
    TimeProvider clock,
    ILogger<WorkNotificationListener> logger
) : PollingWorker(TimeSpan.FromSeconds(5), clock, logger)
{
    /// <summary>Listens until the connection fails; then the next run opens another.</summary>
    protected override async Task<bool> RunOnce(CancellationToken cancellation)
    {
        await using var connection = await database.OpenConnectionAsync(cancellation);
        connection.Notification += (_, _) => wakes.Workers();
        await using (var listen = new NpgsqlCommand($"listen {DueTransfers.Channel}", connection))
        {
            await listen.ExecuteNonQueryAsync(cancellation);
        }

        while (true)
        {
            await connection.WaitAsync(cancellation);
        }
    }
}
