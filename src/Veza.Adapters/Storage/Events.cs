namespace Veza.Adapters.Storage;

/// <summary>A provider's event as it came, before anybody has thought about it.</summary>
public sealed record ReceivedEvent(
    string Provider,
    string EventId,
    string Type,
    string ObjectId,
    string Body
);

/// <summary>An event waiting for its effect.</summary>
public sealed record WaitingEvent(long Seq, string Provider, string EventId, string Type, string Body);

/// <summary>What became of an event.</summary>
public enum EventState
{
    /// <summary>It changed something.</summary>
    Processed,

    /// <summary>What it says was known.</summary>
    Known,

    /// <summary>Of a type or about an object that is not Veza's.</summary>
    Ignored,

    /// <summary>About an object that is not here yet.</summary>
    Parked,

    /// <summary>It contradicts the frozen intent; a person must look.</summary>
    Quarantined,

    /// <summary>It could not be read or processed.</summary>
    Poisoned,
}
