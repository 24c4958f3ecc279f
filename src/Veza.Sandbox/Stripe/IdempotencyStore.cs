namespace Veza.Sandbox.Stripe;

/// <summary>What a POST finds under its key.</summary>
public abstract record KeyState
{
    public sealed record Free : KeyState;

    public sealed record Running : KeyState;

    public sealed record OtherParameters : KeyState;

    public sealed record Stored(StripeAnswer Answer) : KeyState;
}

/// <summary>
/// Stripe's memory of requests by key: status and body of whatever began to execute, 500s included, for 24 hours
/// of simulated time; after that the key is as good as new.
/// </summary>
public sealed class IdempotencyStore(TimeProvider clock)
{
    static readonly TimeSpan Life = TimeSpan.FromHours(24);

    readonly Lock gate = new();
    readonly Dictionary<string, (string Parameters, StripeAnswer? Answer, DateTimeOffset At)> entries = [];

    public KeyState Begin(string key, string parameters)
    {
        lock (gate)
        {
            if (!entries.TryGetValue(key, out var entry) || clock.GetUtcNow() - entry.At >= Life)
            {
                entries[key] = (parameters, null, clock.GetUtcNow());
                return new KeyState.Free();
            }

            return entry.Parameters != parameters ? new KeyState.OtherParameters()
                : entry.Answer is null ? new KeyState.Running()
                : new KeyState.Stored(entry.Answer);
        }
    }

    public void End(string key, StripeAnswer? answer)
    {
        lock (gate)
        {
            if (answer is null)
            {
                entries.Remove(key);
            }
            else
            {
                entries[key] = entries[key] with { Answer = answer };
            }
        }
    }
}
