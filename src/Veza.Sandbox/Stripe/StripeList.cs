using System.Globalization;
using System.Text.Json.Nodes;

namespace Veza.Sandbox.Stripe;

/// <summary>How Stripe's lists are asked for and paged: newest first, ten at a time unless more are asked for.</summary>
static class StripeList
{
    public static StripeAnswer Page<T>(
        IReadOnlyDictionary<string, string> query,
        string url,
        IEnumerable<T> all,
        Func<T, string> id,
        Func<T, JsonObject> json
    )
    {
        var limit = Number(query, "limit", out var asked) ? (int)Math.Clamp(asked, 1, 100) : 10;
        var rest = query.TryGetValue("starting_after", out var after)
            ? all.SkipWhile(item => id(item) != after).Skip(1)
            : all;
        var page = rest.Take(limit + 1).ToList();
        return new StripeAnswer(
            200,
            new JsonObject
            {
                ["object"] = "list",
                ["url"] = url,
                ["has_more"] = page.Count > limit,
                ["data"] = new JsonArray([.. page.Take(limit).Select(json)]),
            }
        );
    }

    public static bool IsInWindow(IReadOnlyDictionary<string, string> query, DateTimeOffset created)
    {
        var at = created.ToUnixTimeSeconds();
        return (!Number(query, "created[gte]", out var gte) || at >= gte)
            && (!Number(query, "created[gt]", out var gt) || at > gt)
            && (!Number(query, "created[lte]", out var lte) || at <= lte)
            && (!Number(query, "created[lt]", out var lt) || at < lt);
    }

    public static bool Fits(IReadOnlyDictionary<string, string> query, string name, string? value) =>
        !query.TryGetValue(name, out var asked) || asked == value;

    static bool Number(IReadOnlyDictionary<string, string> query, string name, out long number)
    {
        number = 0;
        return query.TryGetValue(name, out var text)
            && long.TryParse(text, CultureInfo.InvariantCulture, out number);
    }
}
