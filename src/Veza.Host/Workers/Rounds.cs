namespace Veza.Host.Workers;

/// <summary>What a worker does again and again, until the host stops.</summary>
static class Rounds
{
#pragma warning disable CA1031 // Whatever went wrong in one round, the next may succeed; leases bring back its work.
    /// <summary>One round. What goes wrong is told to <paramref name="failed"/> and ends nothing but the round.</summary>
    public static async Task Once(Func<Task> round, Action<Exception> failed, CancellationToken stopping)
    {
        try
        {
            await round();
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            // The host is going.
        }
        catch (Exception error)
        {
            failed(error);
        }
    }
#pragma warning restore CA1031
}
