using System.Globalization;
using System.Text.Json;

namespace Veza.Host.Http;

/// <summary>
/// <c>ETag</c> on what operators change, and <c>If-Match</c> on the change: two who look at the same thing cannot both act
/// on what they saw.
/// </summary>
static class Preconditions
{
    const string Header = "If-Match";

    public static string Tag(int version) => $"\"{version.ToString(CultureInfo.InvariantCulture)}\"";

    /// <summary>The thing with its tag, which is its <c>version</c>; 404 if there is none.</summary>
    public static IResult Tagged(this HttpContext context, string? json, string what)
    {
        if (json is null)
        {
            return Problem.NotFound(what);
        }

        using var document = JsonDocument.Parse(json);
        context.Response.Headers.ETag = Tag(document.RootElement.GetProperty("version").GetInt32());
        return Requests.Json(json);
    }

    /// <summary>The version that the caller has seen; null if any will do.</summary>
    public static int? IfMatch(this HttpContext context, JsonBodyReader fields) =>
        context.IfMatch(fields.Errors);

    public static int? IfMatch(this HttpContext context, List<FieldError> errors)
    {
        var tag = context.Request.Headers.IfMatch.ToString();
        if (tag is "" or "*")
        {
            return null;
        }

        if (
            tag is ['"', .. var number, '"']
            && int.TryParse(number, CultureInfo.InvariantCulture, out var version)
        )
        {
            return version;
        }

        errors.Add(new(Header, "invalid", "must be the ETag of an earlier answer."));
        return null;
    }

    public static IResult Failed() =>
        Problem.Of(
            412,
            "precondition_failed",
            "It has changed since you looked at it (If-Match). Look again, and decide again."
        );
}
