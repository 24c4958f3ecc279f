using Npgsql;

namespace Veza.Host.Background;

/// <summary>
/// A worker of the host: it runs, waits for its interval or its signal, and runs again until the host stops. A failed run is
/// logged and repeated; what the run had claimed is retried when its lease expires.
/// </summary>
/// <param name="interval">The longest wait between two runs.</param>
/// <param name="logger">Under the derived worker's own category.</param>
/// <param name="signal">Ends the wait early; null for a worker that only polls.</param>
abstract partial class PollingWorker(
    TimeSpan interval,
    TimeProvider clock,
    ILogger logger,
    WorkSignal? signal = null
) : BackgroundService
{
    /// <summary>No signal ends this pause after a failure: a fault that lasts must not keep the worker spinning.</summary>
    static readonly TimeSpan Pause = TimeSpan.FromSeconds(1);

    /// <summary>Hosts that were started together must not query in step: a wait may be this much shorter.</summary>
    const double Jitter = 0.1;

    protected readonly ILogger log = logger;

    protected TimeProvider Clock { get; } = clock;

    protected TimeSpan Interval { get; set; } = interval;

    /// <summary>For work that does not hurry when the host starts.</summary>
    protected virtual bool WaitsFirst => false;

    /// <summary>What the log calls it.</summary>
    protected virtual string WorkerName => GetType().Name;

    /// <summary>One run. True means that there is more to do, without a wait.</summary>
    protected abstract Task<bool> RunOnce(CancellationToken cancellation);

    /// <summary>What follows a failed run.</summary>
    protected virtual Task Recover(CancellationToken cancellation) => Task.Delay(Pause, Clock, cancellation);

    protected override async Task ExecuteAsync(CancellationToken stopping)
    {
        if (WaitsFirst)
        {
            await Succeeds(Wait, stopping);
        }

        while (!stopping.IsCancellationRequested)
        {
            if (!await Succeeds(RunAll, stopping))
            {
                await Succeeds(Recover, stopping);
            }

            await Succeeds(Wait, stopping);
        }
    }

    async Task RunAll(CancellationToken cancellation)
    {
        while (await RunOnce(cancellation))
        {
            cancellation.ThrowIfCancellationRequested();
        }
    }

    Task Wait(CancellationToken cancellation)
    {
#pragma warning disable CA5394 // Nothing secret depends on when a worker runs.
        var most = Interval * (1 - (Jitter * Random.Shared.NextDouble()));
#pragma warning restore CA5394
        return signal is null
            ? Task.Delay(most, Clock, cancellation)
            : signal.Wait(most, Clock, cancellation);
    }

#pragma warning disable CA1031 // Whatever went wrong in one run, the next may succeed.
    /// <summary>False if it failed, which is logged. True also where the stop of the host ended it.</summary>
    async Task<bool> Succeeds(Func<CancellationToken, Task> step, CancellationToken stopping)
    {
        try
        {
            await step(stopping);
            return true;
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            return true;
        }
        catch (Exception error) when (IsOutage(error, stopping))
        {
            LogAway(WorkerName, error.Message, Interval);
            return false;
        }
        catch (Exception error)
        {
            LogFailed(error, WorkerName, Interval);
            return false;
        }
    }
#pragma warning restore CA1031

    /// <summary>A provider or the database is away: that needs a line and no stack trace.</summary>
    static bool IsOutage(Exception error, CancellationToken stopping) =>
        error is NpgsqlException { IsTransient: true } or TimeoutException
        || StripeTransfers.IsPassing(error, stopping);

    [LoggerMessage(
        LogLevel.Warning,
        "{Worker}: this run failed ({Why}). The next run retries it, within its interval of {Interval}."
    )]
    partial void LogAway(string worker, string why, TimeSpan interval);

    [LoggerMessage(
        LogLevel.Error,
        "{Worker}: this run failed. The next run retries it, within its interval of {Interval}."
    )]
    partial void LogFailed(Exception error, string worker, TimeSpan interval);
}
