namespace Veza.Sandbox;

/// <summary>Real time, moved ahead on demand, so that a day can pass between two calls.</summary>
public sealed class SimulatedClock : TimeProvider
{
    long ahead;

    public override DateTimeOffset GetUtcNow() =>
        base.GetUtcNow() + TimeSpan.FromTicks(Volatile.Read(ref ahead));

    public void Jump(TimeSpan by) => Interlocked.Add(ref ahead, by.Ticks);
}
