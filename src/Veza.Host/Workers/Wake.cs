using System.Threading.Channels;
using Npgsql;
using Veza.Adapters.Postgres;

namespace Veza.Host.Workers;

/// <summary>A worker's wake-up signal. Several taps while the worker is busy count as one.</summary>
sealed class Wake
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
sealed class Wakes
{
    public Wake Inbox { get; } = new();
    public Wake Sending { get; } = new();
    public Wake Reversing { get; } = new();
    public Wake Payouts { get; } = new();
    public Wake Inquiries { get; } = new();
    public Wake Deliveries { get; } = new();

    public void Workers()
    {
        Sending.Tap();
        Reversing.Tap();
    }
}

/// <summary>
/// Wakes the workers when another host has made work for them. Only an accelerator, on a connection of its own: behind
/// PgBouncer in transaction mode LISTEN delivers nothing, and the workers rely on their intervals.
/// </summary>
sealed class WakeListener(
    NpgsqlDataSource database,
    Wakes wakes,
    TimeProvider clock,
    ILogger<WakeListener> logger
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
