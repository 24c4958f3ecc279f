using System.Text.Json.Nodes;

namespace Veza.Sandbox.Stripe;

/// <summary>What happened at the simulated Stripe: told once by webhook, and listed for 30 days.</summary>
public sealed class StripeEventLog(TimeProvider clock, Action<string, string> send)
{
    static readonly TimeSpan Kept = TimeSpan.FromDays(30);

    readonly Lock gate = new();
    readonly List<(DateTimeOffset At, string? Account, JsonObject Event)> events = [];
    long serial;

    /// <summary>A name for a new object, unique in this world and sortable by age.</summary>
    public string Name(string prefix) => $"{prefix}_1Sandbox{Interlocked.Increment(ref serial):D12}";

    /// <param name="account">The connected account on which it happened; null for the platform's own.</param>
    /// <param name="isDelivered">False: its webhook is lost, and only the list of events has it.</param>
    public void Publish(string type, JsonObject about, string? account = null, bool isDelivered = true)
    {
        var json = new JsonObject
        {
            ["id"] = Name("evt"),
            ["object"] = "event",
            ["api_version"] = "2026-07-29.dahlia",
            ["created"] = clock.GetUtcNow().ToUnixTimeSeconds(),
            ["data"] = new JsonObject { ["object"] = about.DeepClone() },
            ["livemode"] = false,
            ["pending_webhooks"] = 1,
            ["request"] = new JsonObject { ["id"] = null, ["idempotency_key"] = null },
            ["type"] = type,
        };
        if (account is not null)
        {
            json["account"] = account;
        }

        lock (gate)
        {
            events.Add((clock.GetUtcNow(), account, json));
        }

        if (isDelivered)
        {
            send(type, json.ToJsonString());
        }
    }

    /// <summary>Newest first, those of the platform or those of one account.</summary>
    public StripeAnswer List(IReadOnlyDictionary<string, string> query, string? account)
    {
        lock (gate)
        {
            var found = events
                .AsEnumerable()
                .Reverse()
                .Where(entry => entry.Account == account && clock.GetUtcNow() - entry.At < Kept)
                .Where(entry => StripeList.IsInWindow(query, entry.At))
                .Select(entry => entry.Event)
                .Where(json => !query.TryGetValue("type", out var type) || Fits(json, type));
            return StripeList.Page(
                query,
                "/v1/events",
                found,
                json => json["id"]!.GetValue<string>(),
                json => json.DeepClone().AsObject()
            );
        }
    }

    static bool Fits(JsonObject json, string pattern)
    {
        var type = json["type"]!.GetValue<string>();
        return pattern.EndsWith(".*", StringComparison.Ordinal)
            ? type.StartsWith(pattern[..^1], StringComparison.Ordinal)
            : type == pattern;
    }
}
