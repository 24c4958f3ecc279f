using System.Globalization;
using System.Text.RegularExpressions;

namespace Veza.Host.Http;

/// <summary>
/// Times as RFC 3339 writes them: with their offset, because one without would be read in the zone of whichever machine
/// the host runs on.
/// </summary>
static partial class Times
{
    public const string Rule = "must be an RFC 3339 time with its offset, such as 2026-11-24T12:00:00Z.";

    /// <summary>PostgreSQL takes what lies outside for infinity, and some time zones have no such times.</summary>
    static readonly DateTimeOffset First = DateTimeOffset.UnixEpoch;
    static readonly DateTimeOffset Last = new(9999, 12, 31, 23, 59, 59, TimeSpan.Zero);

    [GeneratedRegex(
        @"\A[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})\z"
    )]
    static partial Regex Rfc3339 { get; }

    /// <summary>In UTC; null if it is none.</summary>
    public static DateTimeOffset? Parse(string text) =>
        Rfc3339.IsMatch(text)
        && DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, out var time)
        && time >= First
        && time <= Last
            ? time.ToUniversalTime()
            : null;
}
