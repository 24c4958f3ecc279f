using System.Threading.Channels;
using Npgsql;
using Veza.Adapters.Postgres;

namespace Veza.Host.Workers;

/// <summary>A tap on a sleeping worker's shoulder. Many taps while it is busy are one.</summary>
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

/// <summary>Who can be woken.</summary>
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
/// Hears of work that other hosts made. Only an accelerator, on a connection of its own: behind PgBouncer in
/// transaction mode LISTEN says nothing, and the workers' intervals do.
/// </summary>
sealed partial class WakeListener(
    NpgsqlDataSource database,
    Wakes wakes,
    TimeProvider clock,
    ILogger<WakeListener> log
) : BackgroundService
{
    protected override async Task ExecuteAsync(CancellationToken stopping)
    {
        while (!stopping.IsCancellationRequested)
        {
            try
            {
                await using var connection = await database.OpenConnectionAsync(stopping);
                connection.Notification += (_, _) => wakes.Workers();
                await using (var listen = new NpgsqlCommand($"listen {DueTransfers.Channel}", connection))
                {
                    await listen.ExecuteNonQueryAsync(stopping);
                }

                while (true)
                {
                    await connection.WaitAsync(stopping);
                }
            }
            catch (OperationCanceledException) when (stopping.IsCancellationRequested)
            {
                return;
            }
            catch (NpgsqlException error)
            {
                LogDeaf(error.Message);
                await Task.Delay(TimeSpan.FromSeconds(5), clock, stopping);
            }
        }
    }

    [LoggerMessage(LogLevel.Warning, "Not listening for other hosts' work: {Why}. Trying again in 5 s.")]
    partial void LogDeaf(string why);
}
