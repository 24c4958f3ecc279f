namespace Veza.Host.Audit;

/// <summary>
/// What a call does and to what, such as <c>transfer.retry</c>: read from its route, so that no call can forget to say it.
/// </summary>
static class AuditedActions
{
    static readonly IReadOnlyList<string> Places = ["api", "v1", "admin", "console", "reconciliation"];

    /// <summary>Where the path's word is not the thing's own.</summary>
    static readonly Dictionary<string, string> Nouns = new()
    {
        ["webhooks"] = "webhook_event",
        ["books"] = "reconciliation_run",
        ["runs"] = "reconciliation_run",
        ["sign-out"] = "session",
    };

    public static (string Action, string Noun) Of(string method, string route)
    {
        var words = route
            .Split('/', StringSplitOptions.RemoveEmptyEntries)
            .Where(part => !part.StartsWith('{') && !Places.Contains(part))
            .ToList();
        var noun = Nouns.GetValueOrDefault(words[0]) ?? Singular(words[0]);
        var verb =
            words.Count > 1 || noun == "session" ? words[^1].Replace('-', '_')
            : method == HttpMethods.Post ? "create"
            : method == HttpMethods.Delete ? "delete"
            : "update";
        return ($"{noun}.{verb}", noun);
    }

    static string Singular(string plural) =>
        (plural.EndsWith("ches", StringComparison.Ordinal) ? plural[..^2] : plural.TrimEnd('s')).Replace(
            '-',
            '_'
        );
}
