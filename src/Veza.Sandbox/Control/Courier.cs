using System.Text;
using System.Threading.Channels;

namespace Veza.Sandbox.Control;

/// <summary>What happens to a webhook on its way.</summary>
public enum Delivery
{
    Drop,
    Duplicate,
    Delay,

    /// <summary>Held back until another one has overtaken it, two seconds at most.</summary>
    Reorder,
}

/// <summary>A rule for webhooks to come.</summary>
public sealed record DeliveryRule(
    string Type,
    Delivery Delivery,
    int? Times = null,
    int Every = 1,
    int Copies = 3,
    TimeSpan Delay = default
);

/// <summary>Delivers webhooks as the providers do: signed, in no order, again and again until a 2xx.</summary>
public sealed class Courier : IAsyncDisposable
{
    /// <summary>The providers' ladders of minutes and hours, shortened to what a developer waits for.</summary>
    static readonly TimeSpan[] Ladder =
    [
        .. new[] { 0.2, 0.5, 1, 2, 4, 8, 8, 8 }.Select(TimeSpan.FromSeconds),
    ];

    readonly HttpClient http = new() { Timeout = TimeSpan.FromSeconds(30) };
    readonly Channel<Parcel> parcels = Channel.CreateUnbounded<Parcel>();
    readonly CancellationTokenSource stop = new();
    readonly Lock gate = new();
    readonly List<(DeliveryRule Rule, int Seen, int Done)> rules = [];
    readonly List<TaskCompletionSource> held = [];
    readonly Task[] couriers;
    int pending;

    public Courier() => couriers = [.. Enumerable.Range(0, 8).Select(_ => Task.Run(Run))];

    public int Delivered { get; private set; }
    public int Dropped { get; private set; }
    public int Duplicated { get; private set; }
    public int Reordered { get; private set; }

    /// <summary>Nothing is on its way, and nothing waits for another try.</summary>
    public bool IsIdle => Volatile.Read(ref pending) == 0;

    public void Add(DeliveryRule rule)
    {
        lock (gate)
        {
            rules.Add((rule, 0, 0));
        }
    }

    /// <summary>All webhooks arrive again, once.</summary>
    public void Clear()
    {
        lock (gate)
        {
            rules.Clear();
        }
    }

    /// <param name="sign">Called for each try: Stripe signs anew, Hyperswitch repeats the same bytes.</param>
    public void Send(
        string? target,
        string type,
        string body,
        Func<IEnumerable<(string Name, string Value)>> sign
    )
    {
        if (target is null)
        {
            return;
        }

        var (copies, delay) = Fate(type);
        for (var copy = 0; copy < copies; copy++)
        {
            Interlocked.Increment(ref pending);
            var parcel = new Parcel(target, body, sign, 0);
            _ = delay == Overtaken ? Hold(parcel) : Later(parcel, delay);
        }

        if (copies > 0 && delay != Overtaken)
        {
            LetGo();
        }
    }

    static readonly TimeSpan Overtaken = TimeSpan.MinValue;

    async Task Hold(Parcel parcel)
    {
        var released = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (gate)
        {
            held.Add(released);
        }

        await Task.WhenAny(released.Task, Task.Delay(TimeSpan.FromSeconds(2)));
        await Later(parcel, TimeSpan.FromMilliseconds(50));
    }

    void LetGo()
    {
        lock (gate)
        {
            foreach (var one in held)
            {
                one.TrySetResult();
            }

            held.Clear();
        }
    }

    (int Copies, TimeSpan Delay) Fate(string type)
    {
        lock (gate)
        {
            for (var index = 0; index < rules.Count; index++)
            {
                var (rule, seen, done) = rules[index];
                if (!(rule.Type == "*" || rule.Type == type) || done >= (rule.Times ?? int.MaxValue))
                {
                    continue;
                }

                var strikes = (seen + 1) % rule.Every == 0;
                rules[index] = (rule, seen + 1, strikes ? done + 1 : done);
                if (!strikes)
                {
                    continue;
                }

                switch (rule.Delivery)
                {
                    case Delivery.Drop:
                        Dropped++;
                        return (0, TimeSpan.Zero);
                    case Delivery.Duplicate:
                        Duplicated += rule.Copies - 1;
                        return (rule.Copies, TimeSpan.Zero);
                    case Delivery.Delay:
                        return (1, rule.Delay);
                    case Delivery.Reorder:
                        Reordered++;
                        return (1, Overtaken);
                }
            }

            return (1, TimeSpan.Zero);
        }
    }

    async Task Run()
    {
        await foreach (var parcel in parcels.Reader.ReadAllAsync())
        {
            if (await Deliver(parcel))
            {
                lock (gate)
                {
                    Delivered++;
                }

                Interlocked.Decrement(ref pending);
            }
            else if (parcel.Tries < Ladder.Length)
            {
                _ = Later(parcel with { Tries = parcel.Tries + 1 }, Ladder[parcel.Tries]);
            }
            else
            {
                Interlocked.Decrement(ref pending);
            }
        }
    }

    async Task Later(Parcel parcel, TimeSpan delay)
    {
        try
        {
            await Task.Delay(delay, stop.Token);
            await parcels.Writer.WriteAsync(parcel, stop.Token);
        }
        catch (Exception error) when (error is OperationCanceledException or ChannelClosedException)
        {
            // The sandbox is going down.
        }
    }

    async Task<bool> Deliver(Parcel parcel)
    {
        try
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, parcel.Target)
            {
                Content = new StringContent(parcel.Body, Encoding.UTF8, "application/json"),
            };
            foreach (var (name, value) in parcel.Sign())
            {
                request.Headers.TryAddWithoutValidation(name, value);
            }

            using var response = await http.SendAsync(request, stop.Token);
            return response.IsSuccessStatusCode;
        }
        catch (Exception error) when (error is HttpRequestException or OperationCanceledException)
        {
            return false;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await stop.CancelAsync();
        parcels.Writer.TryComplete();
        await Task.WhenAll(couriers);
        http.Dispose();
        stop.Dispose();
    }

    sealed record Parcel(
        string Target,
        string Body,
        Func<IEnumerable<(string Name, string Value)>> Sign,
        int Tries
    );
}
