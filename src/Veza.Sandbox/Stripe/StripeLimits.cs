namespace Veza.Sandbox.Stripe;

/// <summary>Stripe's limiter: a bucket of requests that fills by the second, with a little room for bursts.</summary>
public sealed class StripeLimits
{
    readonly Lock gate = new();
    double tokens;
    long last = Environment.TickCount64;

    /// <summary>Requests per second; null: no limit.</summary>
    public int? PerSecond
    {
        get;
        set
        {
            lock (gate)
            {
                field = value;
                tokens = Room;
                last = Environment.TickCount64;
                Served = Refused = 0;
            }
        }
    }

    public long Served { get; private set; }
    public long Refused { get; private set; }

    /// <summary>A tenth of a second's worth, and never less than two: a network delivers unevenly.</summary>
    double Room => Math.Max(2, (PerSecond ?? 0) / 10.0);

    public bool Allows()
    {
        lock (gate)
        {
            if (PerSecond is { } rate)
            {
                var now = Environment.TickCount64;
                tokens = Math.Min(Room, tokens + (now - last) * rate / 1000.0);
                last = now;
                if (tokens < 1)
                {
                    Refused++;
                    return false;
                }

                tokens--;
            }

            Served++;
            return true;
        }
    }
}
