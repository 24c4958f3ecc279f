using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using Veza.Adapters;
using Veza.Adapters.Postgres;
using Veza.Adapters.Storage;
using Veza.Adapters.Stripe;
using Veza.Domain;
using Veza.Domain.Transfers;
using Veza.Host.Settling;

namespace Veza.Host.Workers;

/// <summary>
/// Moves due transfers one step each: claims a batch, asks Stripe for all of it at once within the rate limit,
/// and stores the answers in batches while the next ones are on their way. First tries, retries, look-ups and an
/// operator's "try again" are all this loop, because what to do is read from the stored state.
/// </summary>
[SuppressMessage(
    "Reliability",
    "CA1001",
    Justification = "A call that is cut off may outlive the worker; neither field holds anything but memory."
)]
sealed partial class TransferWorker(
    Work work,
    WorkSettings settings,
    Settings all,
    IStore store,
    Decider decider,
    TransferCaller stripe,
    LeaseKeeper leases,
    Wake wake,
    TimeProvider clock,
    ILogger<TransferWorker> log
) : BackgroundService
{
    /// <summary>Longer than a call takes; what is cut off then is taken over when its lease runs out.</summary>
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    readonly SemaphoreSlim calls = new(all.StripeConcurrency);
    readonly CancellationTokenSource cutOff = new();
    int flying;

    protected override async Task ExecuteAsync(CancellationToken stopping)
    {
        if (!settings.Enabled)
        {
            LogDisabled(work);
            return;
        }

        await using var results = new GroupWriter<Result>(Store, Math.Max(settings.BatchSize, 100));
        while (!stopping.IsCancellationRequested)
        {
            try
            {
                if (!await TakeOff(results, stopping))
                {
                    // At least so often that what a host which is gone had in hand is taken up in time.
                    await wake.Wait(Durations.Least(settings.CheckInterval, all.LeaseBeat), clock, stopping);
                }
            }
            catch (OperationCanceledException) when (stopping.IsCancellationRequested)
            {
                break;
            }
#pragma warning disable CA1031 // The worker must outlive whatever went wrong with one claim.
            catch (Exception error)
#pragma warning restore CA1031
            {
                LogClaimFailed(error, work);
                await Task.Delay(TimeSpan.FromSeconds(1), clock, stopping);
            }
        }

        await Land();
    }

    /// <summary>Claims the next batch once half of the last one has landed. False if nothing is due.</summary>
    async Task<bool> TakeOff(GroupWriter<Result> results, CancellationToken stopping)
    {
        while (Volatile.Read(ref flying) > settings.BatchSize / 2)
        {
            await Task.Delay(1, stopping);
        }

        // Not to be cut off in the middle: what is claimed and does not fly waits for its lease to run out.
        stopping.ThrowIfCancellationRequested();
        var claimed = await Claim();
        Interlocked.Add(ref flying, claimed.Count);
        foreach (var transfer in claimed)
        {
            _ = Fly(transfer, results);
        }

        return claimed.Count > 0;
    }

    /// <summary>No new claims; what is in the air gets its answer and its row.</summary>
    async Task Land()
    {
        cutOff.CancelAfter(Patience);
        while (Volatile.Read(ref flying) > 0 && !cutOff.IsCancellationRequested)
        {
            await Task.Delay(10, CancellationToken.None);
        }
    }

#pragma warning disable CA1031 // One transfer's fault must not ground the others; its lease brings it back.
    async Task Fly(Versioned<Transfer> transfer, GroupWriter<Result> results)
    {
        Correlation.Begin(transfer.Correlation);
        using var held = leases.Hold(Leased.Transfer, transfer.Value.Id.Value, transfer.Version);
        try
        {
            await calls.WaitAsync(cutOff.Token);
            Result? result;
            try
            {
                result = await Perform(transfer, cutOff.Token);
            }
            finally
            {
                calls.Release();
            }

            if (result is not null)
            {
                await results.Write(result, CancellationToken.None);
            }
        }
        catch (OperationCanceledException) when (cutOff.IsCancellationRequested)
        {
            LogCutOff(transfer.Value.Id.Value);
        }
        catch (Exception error)
        {
            LogStepFailed(error, transfer.Value.Id.Value);
        }
        finally
        {
            Interlocked.Decrement(ref flying);
        }
    }
#pragma warning restore CA1031

    /// <summary>What one transfer heard, and what it had been asked to do.</summary>
    internal sealed record Result(Versioned<Transfer> Claimed, TransferDuty Duty, Heard Heard);

    internal Task<IReadOnlyList<Versioned<Transfer>>> Claim() =>
        store.ClaimTransfers(
            work,
            settings.BatchSize,
            clock.GetUtcNow(),
            all.LeaseTerm,
            CancellationToken.None
        );

    /// <summary>Asks Stripe what the transfer's state says must be asked.</summary>
    internal async Task<Result?> Perform(Versioned<Transfer> transfer, CancellationToken cancellation) =>
        transfer.Value.Duty() is { Value: var duty }
            ? new Result(transfer, duty, await stripe.Perform(transfer.Value, duty, cancellation))
            : null;

    /// <summary>A batch against what was claimed; after a conflict each alone, against what is stored now.</summary>
    internal async Task Store(IReadOnlyList<Result> results)
    {
        if (results.Count > 1)
        {
            await using var session = await store.Begin(CancellationToken.None);
            var work = new UnitOfWork(session, clock.GetUtcNow(), CancellationToken.None);
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
            CancellationToken.None
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
            LogGivenUp(next.Id.Value, trouble.Code, trouble.Message);
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

    [LoggerMessage(LogLevel.Warning, "{Work} is switched off by its setting; nothing of it moves here.")]
    partial void LogDisabled(Work work);

    [LoggerMessage(LogLevel.Error, "{Work}: nothing could be claimed; trying again.")]
    partial void LogClaimFailed(Exception error, Work work);

    [LoggerMessage(
        LogLevel.Warning,
        "Transfer {Id}: the call was cut off by the stop; its lease brings it back."
    )]
    partial void LogCutOff(Guid id);

    [LoggerMessage(LogLevel.Error, "Transfer {Id}: this step failed; its lease brings it back.")]
    partial void LogStepFailed(Exception error, Guid id);

    [LoggerMessage(
        LogLevel.Information,
        "Transfer {Id}: {Signal} answers an earlier question; nothing changes."
    )]
    partial void LogNoNews(Guid id, string signal);

    [LoggerMessage("Transfer {Id} waits for {Why}: {Code}, {Message} It is taken up again at {Due:u}.")]
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
        "Transfer {Id} is given up: {Code}, {Message} An operator must look at it."
    )]
    partial void LogGivenUp(Guid id, string code, string message);

    [LoggerMessage(LogLevel.Error, "Transfer {Id}: {Signal} is refused: {Why}. A person must look.")]
    partial void LogRefused(Guid id, string signal, TransferRefusal why);
}
