namespace Veza.Sandbox.Control;

/// <summary>What goes wrong with a call.</summary>
public enum FaultMode
{
    /// <summary>The connection breaks; nothing was done.</summary>
    TimeoutBefore,

    /// <summary>It was done, and the connection breaks before the answer.</summary>
    TimeoutAfter,

    /// <summary>An error instead of doing it. Not stored under the key.</summary>
    ErrorBefore,

    /// <summary>An error although it was done; stored under the key and replayed.</summary>
    ErrorAfter,

    /// <summary>An error instead of doing it, stored under the key and replayed.</summary>
    ErrorStored,

    /// <summary>It was done, and the answer cannot be read.</summary>
    Unreadable,

    /// <summary>Late, by the fault's delay.</summary>
    Slow,
}

/// <summary>A rule for calls to come. Without <c>Times</c> it holds until it is removed.</summary>
/// <param name="Operation">Such as <c>stripe.reversals.create</c>; a trailing * matches the rest.</param>
/// <param name="Every">1: each matching call; 9: each ninth.</param>
/// <param name="Match">Only calls whose path or parameters contain this.</param>
/// <param name="Body">Whatever is to be said instead of an error object, with <c>error_before</c>: a proxy's page.</param>
/// <param name="Headers">Said with it, such as <c>Stripe-Should-Retry</c>.</param>
public sealed record Fault(
    string Operation,
    FaultMode Mode,
    int? Times = null,
    int Every = 1,
    string? Match = null,
    int Status = 500,
    string? Code = null,
    string? Type = null,
    string? Message = null,
    TimeSpan Delay = default,
    string? Body = null,
    Dictionary<string, string>? Headers = null
);

/// <summary>The scripted misfortunes of both providers, and a count of those that happened.</summary>
public sealed class Faults
{
    readonly Lock gate = new();
    readonly List<Rule> rules = [];

    public int Struck { get; private set; }

    public void Add(Fault fault)
    {
        lock (gate)
        {
            rules.Add(new Rule(fault));
        }
    }

    public void Clear()
    {
        lock (gate)
        {
            rules.Clear();
        }
    }

    public Fault? Next(string operation, string text)
    {
        lock (gate)
        {
            foreach (var rule in rules)
            {
                if (rule.Strikes(operation, text))
                {
                    Struck++;
                    return rule.Fault;
                }
            }

            return null;
        }
    }

    sealed class Rule(Fault fault)
    {
        int seen;
        int struck;

        public Fault Fault { get; } = fault;

        public bool Strikes(string operation, string text)
        {
            if (!Names(operation) || struck >= (Fault.Times ?? int.MaxValue))
            {
                return false;
            }

            if (Fault.Match is { } match && !text.Contains(match, StringComparison.Ordinal))
            {
                return false;
            }

            if (++seen % Fault.Every != 0)
            {
                return false;
            }

            struck++;
            return true;
        }

        bool Names(string operation) =>
            Fault.Operation.EndsWith('*')
                ? operation.StartsWith(Fault.Operation[..^1], StringComparison.Ordinal)
                : operation == Fault.Operation;
    }
}
