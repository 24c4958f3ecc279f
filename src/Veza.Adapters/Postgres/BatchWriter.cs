using System.Threading.Channels;

namespace Veza.Adapters.Postgres;

/// <summary>
/// Many callers, few commits: whatever is waiting when the writer is free goes into one batch, and each caller
/// is answered after the commit. No timer, so at low load nobody waits for company.
/// </summary>
public sealed class BatchWriter<T> : IAsyncDisposable
{
    readonly Channel<(T Item, TaskCompletionSource Done)> waiting;
    readonly Func<IReadOnlyList<T>, Task> write;
    readonly int most;
    readonly Task[] writers;

    /// <param name="write">Writes a batch; throwing means that nothing of it was written.</param>
    /// <param name="most">The largest batch.</param>
    /// <param name="writers">How many batches may be on their way at once.</param>
    public BatchWriter(Func<IReadOnlyList<T>, Task> write, int most, int writers = 1)
    {
        this.write = write;
        this.most = most;
        waiting = Channel.CreateBounded<(T, TaskCompletionSource)>(
            new BoundedChannelOptions(most * 16) { SingleReader = writers == 1 }
        );
        this.writers = [.. Enumerable.Range(0, writers).Select(_ => Task.Run(Run))];
    }

    /// <summary>Returns when the item is on disk; throws what the write threw.</summary>
    public async Task Write(T item, CancellationToken cancellation)
    {
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await waiting.Writer.WriteAsync((item, done), cancellation);
        await done.Task.WaitAsync(cancellation);
    }

    async Task Run()
    {
        var batch = new List<(T Item, TaskCompletionSource Done)>(most);
        while (await waiting.Reader.WaitToReadAsync())
        {
            batch.Clear();
            while (batch.Count < most && waiting.Reader.TryRead(out var next))
            {
                batch.Add(next);
            }

            if (batch.Count > 0)
            {
                await WriteBatch(batch);
            }
        }
    }

#pragma warning disable CA1031 // Whatever went wrong is the callers' to know; the writer goes on.
    async Task WriteBatch(List<(T Item, TaskCompletionSource Done)> batch)
    {
        try
        {
            await write([.. batch.Select(entry => entry.Item)]);
            batch.ForEach(entry => entry.Done.SetResult());
        }
        catch (Exception) when (batch.Count > 1)
        {
            // One bad item must not take its neighbours with it.
            foreach (var entry in batch)
            {
                await WriteBatch([entry]);
            }
        }
        catch (Exception error)
        {
            batch[0].Done.SetException(error);
        }
    }
#pragma warning restore CA1031

    public async ValueTask DisposeAsync()
    {
        waiting.Writer.TryComplete();
        await Task.WhenAll(writers);
    }
}
