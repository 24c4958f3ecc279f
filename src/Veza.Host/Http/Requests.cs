using System.Buffers.Text;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using Microsoft.AspNetCore.WebUtilities;

namespace Veza.Host.Http;

/// <summary>Reading bodies and list parameters, and writing what the store wrote as JSON.</summary>
static partial class Requests
{
    /// <exception cref="UnreadableBodyException">It is not JSON in UTF-8, or not an object.</exception>
    public static async Task<JsonBodyReader> ReadFields(
        this HttpRequest request,
        CancellationToken cancellation
    ) => JsonBody.Read(await request.ReadBody(cancellation));

    /// <summary>An empty body counts as an object without fields.</summary>
    public static async Task<JsonBodyReader> ReadOptionalFields(
        this HttpRequest request,
        CancellationToken cancellation
    )
    {
        var body = await request.ReadBody(cancellation);
        return JsonBody.Read(body.IsEmpty ? "{}"u8.ToArray() : body);
    }

    public static async Task<ReadOnlyMemory<byte>> ReadBody(
        this HttpRequest request,
        CancellationToken cancellation
    )
    {
        // What a caller says of its length is no reason to believe it.
        using var buffer = new MemoryStream((int)Math.Min(request.ContentLength ?? 4096, 64 * 1024));
        await request.Body.CopyToAsync(buffer, cancellation);
        return buffer.TryGetBuffer(out var bytes) ? bytes : buffer.ToArray();
    }

    public static IResult Json(string json, int status = 200) =>
        Results.Text(JsonStyle.Compact(json), "application/json", statusCode: status);

    public static IResult Json(object value, int status = 200) =>
        Json(JsonSerializer.Serialize(value, JsonStyle.Options), status);

    public static IResult JsonOr404(string? json, string what) =>
        json is null ? Problem.NotFound(what) : Json(json);

    public static IResult ToResult(this Page page) =>
        Json(
            $$"""{"data":[{{string.Join(',', page.Items)}}],"has_more":{{(page.HasMore ? "true" : "false")}},"next_cursor":{{(
                page.HasMore ? $"\"{Cursor(page.Last!.Value.ToByteArray())}\"" : "null"
            )}}}"""
        );

    /// <summary>A page whose place is a number; null: it is the last one.</summary>
    public static IResult List(IReadOnlyList<string> items, long? next)
    {
        var cursor = next is { } number ? $"\"{Cursor(BitConverter.GetBytes(number))}\"" : "null";
        var hasMore = next is null ? "false" : "true";
        return Json(
            $$"""{"data":[{{string.Join(',', items)}}],"has_more":{{hasMore}},"next_cursor":{{cursor}}}"""
        );
    }

    /// <summary>Whoever may only read sees everything but what one could pay with.</summary>
    [return: NotNullIfNotNull(nameof(json))]
    public static string? ForReader(this HttpContext context, string? json) =>
        json is null || context.Caller().Role > Role.Read ? json : ClientSecret().Replace(json, "$1null");

    public static Page ForReader(this HttpContext context, Page page) =>
        page with
        {
            Items = [.. page.Items.Select(item => context.ForReader(item))],
        };

    /// <summary>Also within a webhook's body, which is a text within JSON.</summary>
    [GeneratedRegex(@"(\\?""client_secret\\?""\s*:\s*)\\?""[^""\\]*\\?""")]
    private static partial Regex ClientSecret();

    /// <summary>A list that is always told whole.</summary>
    public static IResult Whole(string items) =>
        Json($$"""{"data":{{items}},"has_more":false,"next_cursor":null}""");

    public static string Cursor(byte[] position) => Base64Url.EncodeToString(position);
}

/// <summary>The parameters of a list, checked.</summary>
sealed class ListQuery
{
    readonly IQueryCollection query;
    readonly List<FieldError> errors = [];
    readonly HashSet<string> asked = [];
    readonly IHeaderDictionary headers;

    public ListQuery(HttpRequest request, bool isPaged = true)
    {
        query = request.Query;
        headers = request.Headers;
        Limit = 20;
        CheckTexts(request.QueryString.Value);
        if (!isPaged)
        {
            return;
        }

        asked.UnionWith(["limit", "cursor"]);
        if (query.TryGetValue("limit", out var limit))
        {
            if (int.TryParse(limit, out var number) && number is >= 1 and <= 100)
            {
                Limit = number;
            }
            else
            {
                errors.Add(new("limit", "out_of_range", "must be a whole number from 1 to 100."));
            }
        }
    }

    public int Limit { get; }

    /// <summary>The id after which the page begins.</summary>
    public Guid? AfterId => Cursor(16) is { } bytes ? new Guid(bytes) : null;

    public long AfterNumber => Cursor(8) is { } bytes ? BitConverter.ToInt64(bytes) : 0;

    public string? Text(string name)
    {
        asked.Add(name);
        return query.TryGetValue(name, out var value) && value.ToString().Length > 0
            ? value.ToString()
            : null;
    }

    public string? OneOf(string name, params IReadOnlyList<string> words)
    {
        var text = Text(name);
        if (text is not null && !words.Contains(text))
        {
            errors.Add(new(name, "unknown_value", $"must be one of {string.Join(", ", words)}."));
        }

        return text;
    }

    public DateTimeOffset? Time(string name)
    {
        var text = Text(name);
        if (text is null)
        {
            return null;
        }

        if (Times.Parse(text) is { } time)
        {
            return time;
        }

        errors.Add(new(name, "not_a_time", Times.Rule));
        return null;
    }

    public Guid? Id(string name)
    {
        var text = Text(name);
        if (text is null)
        {
            return null;
        }

        if (Guid.TryParse(text, out var id))
        {
            return id;
        }

        errors.Add(new(name, "not_an_id", "must be an id (UUID)."));
        return null;
    }

    public long? HeaderNumber(string name)
    {
        var text = headers[name].ToString();
        if (text.Length == 0)
        {
            return null;
        }

        if (long.TryParse(text, CultureInfo.InvariantCulture, out var number) && number >= 0)
        {
            return number;
        }

        errors.Add(new(name, "not_a_number", "must be the id of an earlier event, or 0 for the beginning."));
        return null;
    }

    /// <summary>Null if everything is in order. Call when every parameter has been asked for.</summary>
    public IResult? Refusal()
    {
        errors.AddRange(
            query
                .Where(given => given.Value.Count > 1)
                .Select(given => new FieldError(
                    given.Key,
                    "duplicate_field",
                    "must not be given more than once."
                ))
        );
        errors.AddRange(
            query
                .Keys.Where(name => !asked.Contains(name))
                .Select(name => new FieldError(name, "unknown_parameter", "there is no such parameter here."))
        );
        return errors.Count > 0 ? Problem.Invalid(errors) : null;
    }

    /// <summary>The server reads what is no UTF-8 as if it had been spelled out.</summary>
    void CheckTexts(string? written)
    {
        foreach (var given in new QueryStringEnumerable(written))
        {
            var name = PercentEncoding.DecodeQuery(given.EncodedName.Span);
            if (name is null || PercentEncoding.DecodeQuery(given.EncodedValue.Span) is null)
            {
                errors.Add(new(name ?? "query", "not_a_text", PercentEncoding.Rule));
            }
        }
    }

    byte[]? Cursor(int length)
    {
        if (!query.TryGetValue("cursor", out var text) || text.ToString().Length == 0)
        {
            return null;
        }

        try
        {
            var bytes = Base64Url.DecodeFromChars(text.ToString());
            if (bytes.Length == length)
            {
                return bytes;
            }
        }
        catch (FormatException)
        {
            // Told below.
        }

        errors.Add(new("cursor", "invalid_cursor", "must be a next_cursor of an earlier answer."));
        return null;
    }
}
