namespace Veza.Adapters.Ports;

/// <summary>
/// The id under which everything can be found that one call, one webhook or one round of a worker has brought about: in
/// the log, in the history, in the ledger, and as <c>X-Correlation-Id</c> with what the providers were sent.
/// </summary>
public static class Correlation
{
    public const string Header = "X-Correlation-Id";

    static readonly AsyncLocal<string?> Flow = new();

    public static string? Current => Flow.Value;

    /// <summary>From here on, in everything that this flow awaits. Null changes nothing.</summary>
    public static void Begin(string? id) => Flow.Value = id ?? Flow.Value;
}
