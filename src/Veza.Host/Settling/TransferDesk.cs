using Veza.Adapters.Storage;
using Veza.Domain;
using Veza.Domain.Transfers;
using Veza.Host.Workers;

namespace Veza.Host.Settling;

/// <summary>What became of what an operator told a transfer.</summary>
abstract record TransferTold
{
    public sealed record Done : TransferTold;

    public sealed record Refused(string TransferStatus) : TransferTold;

    public sealed record NoSuchTransfer : TransferTold;
}

/// <summary>What an operator tells a transfer, from the API and from the console alike.</summary>
sealed class TransferDesk(
    Settings settings,
    IStore store,
    Conflicts conflicts,
    Wakes wakes,
    TimeProvider clock
)
{
    public Task<TransferTold> Tell(
        Guid id,
        TransferSignal signal,
        string actor,
        string? note,
        CancellationToken cancellation
    ) =>
        conflicts.DecideAgain(async () =>
        {
            await using var session = await store.Begin(cancellation);
            if (!(await session.Transfers([id], cancellation)).TryGetValue(id, out var transfer))
            {
                return new TransferTold.NoSuchTransfer();
            }

            var now = clock.GetUtcNow();
            return await transfer
                .Value.Apply(settings.TransferRules, now, signal)
                .Match<Task<TransferTold>>(
                    advanced: async (next, movements) =>
                    {
                        var changes = new Changes();
                        var cause = new Cause(actor, Detail: note);
                        changes.Save(transfer, next, movements, signal.Word(), cause, now);
                        await session.Write(changes, now, cancellation);
                        await session.Commit(cancellation);
                        wakes.Workers();
                        return new TransferTold.Done();
                    },
                    unchanged: () => Task.FromResult<TransferTold>(new TransferTold.Done()),
                    refused: _ =>
                        Task.FromResult<TransferTold>(new TransferTold.Refused(transfer.Value.Status.Word()))
                );
        });
}
