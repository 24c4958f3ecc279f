using System.Text.Json;
using Microsoft.AspNetCore.Http.Features;

namespace Veza.Host.Http;

/// <summary>
/// Gives handlers the text that stands in a path as its caller spelled it: <c>a%2Fb</c> is <c>a/b</c>. What is no text is
/// refused by the name of its place.
/// </summary>
sealed class PathMiddleware(RequestDelegate next)
{
    public async Task Invoke(HttpContext context)
    {
        var faults = new List<FieldError>();
        if (context.GetEndpoint() is RouteEndpoint route)
        {
            foreach (var (index, segment) in route.RoutePattern.PathSegments.Index())
            {
                if (
                    segment.Parts is [Microsoft.AspNetCore.Routing.Patterns.RoutePatternParameterPart part]
                    && part.ParameterPolicies.Count == 0
                )
                {
                    Read(context, part.Name, index, faults);
                }
            }
        }

        await (faults.Count > 0 ? Problem.Invalid(faults).ExecuteAsync(context) : next(context));
    }

    static void Read(HttpContext context, string name, int index, List<FieldError> faults)
    {
        var written = Segments(context);
        if (index < written.Count && written[index] is { } text)
        {
            context.Request.RouteValues[name] = text;
        }
        else
        {
            faults.Add(
                new(JsonNamingPolicy.SnakeCaseLower.ConvertName(name), "not_a_text", PercentEncoding.Rule)
            );
        }
    }

    /// <summary>The path's parts as they came; null where one is no text. The server has obeyed the dots already.</summary>
    static List<string?> Segments(HttpContext context)
    {
        var target = context.Features.Get<IHttpRequestFeature>()?.RawTarget ?? "";
        var path = target.Split('?')[0];
        var authority = path.IndexOf("://", StringComparison.Ordinal);
        var first = path.IndexOf('/', authority < 0 ? 0 : authority + 3);
        var segments = new List<string?>();
        foreach (var segment in first < 0 ? [] : path[(first + 1)..].Split('/'))
        {
            switch (PercentEncoding.Decode(segment))
            {
                case ".":
                    break;
                case "..":
                    segments.RemoveRange(Math.Max(0, segments.Count - 1), Math.Min(1, segments.Count));
                    break;
                case var text:
                    segments.Add(text);
                    break;
            }
        }

        return segments;
    }
}
