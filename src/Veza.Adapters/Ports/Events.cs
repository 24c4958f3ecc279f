namespace Veza.Adapters.Ports;

/// <summary>A provider's event as it came, before anybody has thought about it.</summary>
/// <param name="FromList">Found in the provider's own list of events, and not brought by a webhook.</param>
public sealed record ReceivedEvent(
    string Provider,
    string EventId,
    string Type,
    string ObjectId,
    string Body,
    bool FromList = false
)
{
    public string? Correlation { get; init; } = Ports.Correlation.Current;

    /// <summary>The body to the byte where it is not UTF-8, so that its text is not all of it; else null.</summary>
    public byte[]? Bytes { get; init; }
}

/// <summary>An event waiting for its effect.</summary>
public sealed record WaitingEvent(
    long Seq,
    string Provider,
    string EventId,
    string Type,
    string Body,
    string? Correlation = null,
    DateTimeOffset? ReceivedAt = null
);

/// <summary>An event that has had its effect, or waits for something.</summary>
/// <param name="Awaits">
/// The provider's name for the payment that a parked event takes from, and that is not here yet.
/// </param>
public sealed record ClosedEvent(WaitingEvent Event, EventState State, string? Reason, string? Awaits = null);

/// <summary>What became of an event.</summary>
public enum EventState
{
    /// <summary>A provider has to be asked before anything can be decided.</summary>
    Asking,

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
