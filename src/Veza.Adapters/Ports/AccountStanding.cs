namespace Veza.Adapters.Ports;

/// <summary>A connected account's standing.</summary>
public sealed record AccountStanding(bool PayoutsEnabled, bool TransfersActive, string? DisabledReason);
