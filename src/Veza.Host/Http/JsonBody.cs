using System.Text.Json;
using System.Text.Unicode;

namespace Veza.Host.Http;

/// <summary>The caller's body is no JSON object in UTF-8.</summary>
sealed class UnreadableBodyException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>
/// Reads a body strictly, before anybody asks for its fields: what is not JSON in UTF-8 is unreadable as a whole; text
/// that cannot be kept, and a field given twice, are faults of that field, at any depth.
/// </summary>
static class JsonBody
{
    const string NotText = "must be text, without U+0000 and without half of a surrogate pair.";

    static ReadOnlySpan<byte> ByteOrderMark => [0xEF, 0xBB, 0xBF];

    /// <exception cref="UnreadableBodyException">It is not JSON in UTF-8, or not an object.</exception>
    public static JsonBodyReader Read(ReadOnlyMemory<byte> body)
    {
        var text = body.Span.StartsWith(ByteOrderMark) ? body[ByteOrderMark.Length..] : body;
        if (!Utf8.IsValid(text.Span))
        {
            throw new UnreadableBodyException("The body is not UTF-8.");
        }

        var root = Parse(text);
        if (root.ValueKind != JsonValueKind.Object)
        {
            throw new UnreadableBodyException("The body is not an object.");
        }

        var faults = new List<FieldError>();
        Check(root, "", faults);
        return new JsonBodyReader(root, faults);
    }

    static JsonElement Parse(ReadOnlyMemory<byte> text)
    {
        try
        {
            using var document = JsonDocument.Parse(text);
            return document.RootElement.Clone();
        }
        catch (JsonException error)
        {
            throw new UnreadableBodyException("The body is not JSON.", error);
        }
    }

    /// <summary>The members that can be named, each once: the others are told by <see cref="Check"/>.</summary>
    public static Dictionary<string, JsonElement> Members(JsonElement value)
    {
        var members = new Dictionary<string, JsonElement>(StringComparer.Ordinal);
        foreach (var member in value.EnumerateObject())
        {
            if (Texts.Exact(member) is { } name)
            {
                members.TryAdd(name, member.Value);
            }
        }

        return members;
    }

    static void Check(JsonElement value, string place, List<FieldError> faults)
    {
        if (value.ValueKind == JsonValueKind.Object)
        {
            CheckMembers(value, place, faults);
        }
        else if (value.ValueKind == JsonValueKind.Array)
        {
            foreach (var (index, item) in value.EnumerateArray().Index())
            {
                Check(item, $"{place}[{index}]", faults);
            }
        }
        else if (value.ValueKind == JsonValueKind.String && Texts.Exact(value) is null)
        {
            faults.Add(new(place, "not_a_text", NotText));
        }
    }

    static void CheckMembers(JsonElement value, string place, List<FieldError> faults)
    {
        var names = new HashSet<string>(StringComparer.Ordinal);
        foreach (var member in value.EnumerateObject())
        {
            if (Texts.Exact(member) is not { } name)
            {
                faults.Add(new(place.Length > 0 ? place : "body", "not_a_text", $"a field's name {NotText}"));
                continue;
            }

            var field = place.Length > 0 ? $"{place}.{name}" : name;
            if (!names.Add(name))
            {
                faults.Add(new(field, "duplicate_field", "must not be given more than once."));
            }

            Check(member.Value, field, faults);
        }
    }
}
