using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using Veza.Domain;
using Veza.Domain.Transfers;

namespace Veza.Host.Transfers;

/// <summary>
/// Moves due transfers one step each: claims a batch, calls Stripe for all of it at once within the rate limit, and stores
/// the answers in batches while the next calls are in flight. First tries, retries, look-ups and an operator's "try again"
/// are all this loop, because what to do is read from the stored state.
/// </summary>
[SuppressMessage(
    "Reliability",
    "CA1001",
    Justification = "A cancelled call may outlive the worker; neither field holds anything but memory."
)]
sealed partial class TransferWorker(
    Work work,
    WorkSettings settings,
    Settings all,
    IStore store,
    Decider decider,
    StripeTransferExecutor stripe,
    LeaseKeeper leases,
    WorkSignal wake,
    TimeProvider clock,
    ILogger<TransferWorker> logger
)
    // At least so often that the expired leases of a dead host are found in time.
    : PollingWorker(Durations.Least(settings.CheckInterval, all.LeaseBeat), clock, logger, wake)
{
    /// <summary>Longer than a call takes. A call cancelled after it is retried when its lease expires.</summary>
    static readonly TimeSpan DrainTimeout = TimeSpan.FromSeconds(20);

    readonly SemaphoreSlim calls = new(all.StripeConcurrency);
    readonly CancellationTokenSource drained = new(Timeout.InfiniteTimeSpan, clock);

    /// <summary>Tapped when so few transfers are in flight that the next batch may be claimed.</summary>
    readonly WorkSignal room = new();
    BatchWriter<Result>? results;
    int inFlight;

    protected override string WorkerName => $"{nameof(TransferWorker)} ({work})";

    protected override async Task ExecuteAsync(CancellationToken stopping)
    {
        if (!settings.Enabled)
        {
            LogDisabled(work);
            return;
        }

        await using (results = new BatchWriter<Result>(Store, Math.Max(settings.BatchSize, 100)))
        {
            await base.ExecuteAsync(stopping);
            await Drain();
        }
    }

    /// <summary>Claims the next batch once half of the last one is done.</summary>
    protected override async Task<bool> RunOnce(CancellationToken cancellation)
    {
        while (Volatile.Read(ref inFlight) > settings.BatchSize / 2)
        {
            await room.Wait(DrainTimeout, Clock, cancellation);
        }

        cancellation.ThrowIfCancellationRequested();
        // Cancelled in the middle, the claim would leave transfers leased that nobody executes.
        var batch = await ClaimBatch(CancellationToken.None);
        Interlocked.Add(ref inFlight, batch.Count);
        foreach (var transfer in batch)
        {
            _ = Execute(transfer);
        }

        return batch.Count > 0;
    }

    /// <summary>After the stop: no new claims, but each transfer in flight gets its answer stored.</summary>
    async Task Drain()
    {
        drained.CancelAfter(DrainTimeout);
        while (Volatile.Read(ref inFlight) > 0 && !drained.IsCancellationRequested)
        {
            // The host has been told to stop already: the timeout is the only limit.
            await room.Wait(DrainTimeout, Clock, CancellationToken.None);
        }
    }

#pragma warning disable CA1031 // One transfer's fault must not stop the others; it is retried when its lease expires.
    async Task Execute(Versioned<Transfer> transfer)
    {
        Correlation.Begin(transfer.Correlation);
        using var held = leases.Hold(Leased.Transfer, transfer.Value.Id.Value, transfer.Version);
        try
        {
            await calls.WaitAsync(drained.Token);
            Result? result;
            try
            {
                result = await Perform(transfer, drained.Token);
            }
            finally
            {
                calls.Release();
            }

            if (result is not null)
            {
                // Stripe has answered: the answer is stored even if the host stops meanwhile.
                await results!.Write(result, CancellationToken.None);
            }
        }
        catch (OperationCanceledException) when (drained.IsCancellationRequested)
        {
            LogCancelled(transfer.Value.Id.Value);
        }
        catch (Exception error)
        {
            LogStepFailed(error, transfer.Value.Id.Value);
        }
        finally
        {
            if (Interlocked.Decrement(ref inFlight) <= settings.BatchSize / 2)
            {
                room.Tap();
            }
        }
    }
#pragma warning restore CA1031

    /// <summary>What one transfer heard, and what it had been asked to do.</summary>
    internal sealed record Result(Versioned<Transfer> Claimed, TransferDuty Duty, CallResult Heard);

    internal Task<IReadOnlyList<Versioned<Transfer>>> ClaimBatch(CancellationToken cancellation) =>
        store.ClaimTransfers(work, settings.BatchSize, Clock.GetUtcNow(), all.LeaseTerm, cancellation);

    /// <summary>Asks Stripe what the transfer's state says must be asked.</summary>
    internal async Task<Result?> Perform(Versioned<Transfer> transfer, CancellationToken cancellation) =>
        transfer.Value.Duty() is { Value: var duty }
            ? new Result(transfer, duty, await stripe.Perform(transfer.Value, duty, cancellation))
            : null;

    /// <summary>A batch against what was claimed; after a conflict each alone, against what is stored now.</summary>
    internal async Task Store(IReadOnlyList<Result> results)
    {
        // Stripe has answered: the answers are stored even if the host stops meanwhile.
        var cancellation = CancellationToken.None;
        if (results.Count > 1)
        {
            await using var session = await store.Begin(cancellation);
            var work = new UnitOfWork(session, Clock.GetUtcNow(), cancellation);
            foreach (var result in results)
            {
                work.Changes.Transfers.Read(result.Claimed.Value.Id.Value, result.Claimed);
                Decide(work, result);
            }

            await work.Commit();
            return;
        }

        await decider.Transact(
            async work =>
            {
                await work.Transfer(results[0].Claimed.Value.Id.Value);
                Decide(work, results[0]);
                return true;
            },
            cancellation
        );
    }

    void Decide(UnitOfWork work, Result result)
    {
        var (id, signal) = (result.Claimed.Value.Id.Value, result.Heard.Signal);
        var stored = work.Changes.Transfers.Find(id)!;
        stored
            .Hear(all.TransferRules, work.Now, result.Duty, signal)
            .Match(
                advanced: decision =>
                {
                    var next = decision.Next;
                    var cause = new Cause("worker", result.Heard.RequestId, next.Trouble?.Value.Code)
                    {
                        Correlation = result.Claimed.Correlation,
                    };
                    Measure(stored, next, work.Now);
                    Tell(next);
                    work.Add(decision, cause);
                },
                unchanged: () => LogNoNews(id, signal.Word()),
                refused: why => LogRefused(id, signal.Word(), why)
            );
    }

    /// <summary>What did not go through, and what becomes of it.</summary>
    void Tell(Transfer next)
    {
        if (next.Trouble is not { Value: var trouble })
        {
            return;
        }

        if (next.Status.IsPermanentlyFailed)
        {
            LogFailedPermanently(next.Id.Value, trouble.Code, trouble.Message);
        }
        else if (next.ToRow() is { DueAt: { } due, WaitingFor: { } why })
        {
            var level = trouble.Code is "401" or "403" ? LogLevel.Error : LogLevel.Warning;
            LogWaits(level, next.Id.Value, why, trouble.Code, trouble.Message, due);
        }
    }

    void Measure(Transfer before, Transfer after, DateTimeOffset now)
    {
        var (from, to) = (before.ToRow(), after.ToRow());
        if (to.RetryCount > from.RetryCount)
        {
            Telemetry.Retries.Add(1, Telemetry.Tag("work", work.ToString().ToLowerInvariant()));
        }

        if (from.Taking is { } refund && Begun(refund) is { } begun && after.Returned > before.Returned)
        {
            Telemetry.ReversalLag.Record(Math.Max(0, (now - begun).TotalSeconds));
        }
    }

    /// <summary>
    /// A claim's refund has its time in its id, as every UUIDv7 has. Any other id tells no time, and its lag is not measured.
    /// </summary>
    static DateTimeOffset? Begun(Guid refund)
    {
        if (refund.Version != 7)
        {
            return null;
        }

        Span<byte> bytes = stackalloc byte[16];
        refund.TryWriteBytes(bytes, bigEndian: true, out _);
        var milliseconds = BinaryPrimitives.ReadInt64BigEndian(bytes) >>> 16;
        return milliseconds <= DateTimeOffset.MaxValue.ToUnixTimeMilliseconds()
            ? DateTimeOffset.FromUnixTimeMilliseconds(milliseconds)
            : null;
    }

    [LoggerMessage(
        LogLevel.Warning,
        "{Work} is disabled by its setting: this host claims none of these transfers."
    )]
    partial void LogDisabled(Work work);

    [LoggerMessage(
        LogLevel.Warning,
        "Transfer {Id}: the call was cancelled at shutdown. It will be retried when its lease expires."
    )]
    partial void LogCancelled(Guid id);

    [LoggerMessage(
        LogLevel.Error,
        "Transfer {Id}: this step failed. It will be retried when its lease expires."
    )]
    partial void LogStepFailed(Exception error, Guid id);

    [LoggerMessage(
        LogLevel.Information,
        "Transfer {Id}: {Signal} answers an earlier request; nothing changes."
    )]
    partial void LogNoNews(Guid id, string signal);

    [LoggerMessage("Transfer {Id} waits for {Why}: {Code}, {Message} It will be retried at {Due:u}.")]
    partial void LogWaits(
        LogLevel level,
        Guid id,
        string why,
        string code,
        string message,
        DateTimeOffset due
    );

    [LoggerMessage(
        LogLevel.Error,
        "Transfer {Id} failed permanently: {Code}, {Message} An operator must decide what happens to it."
    )]
    partial void LogFailedPermanently(Guid id, string code, string message);

    [LoggerMessage(
        LogLevel.Error,
        "Transfer {Id}: {Signal} is refused: {Why}. An operator must look into it."
    )]
    partial void LogRefused(Guid id, string signal, TransferRefusal why);
}
