using System.Globalization;
using System.Text.Json;
using Microsoft.FSharp.Core;

namespace Veza.Adapters.Http;

/// <summary>Reads the fields of a provider's JSON object.</summary>
public static class JsonFields
{
    /// <exception cref="JsonException">Nobody has thought about this word: whatever carries it is shown to a person.</exception>
    public static T Known<T>(string what, string word, Func<string, FSharpOption<T>?> find) =>
        find(word) is { Value: var meaning }
            ? meaning
            : throw new JsonException($"Veza does not know a {what} that is '{word}'.");

    public static string Text(JsonElement parent, string name) =>
        OptionalText(parent, name) ?? throw new JsonException($"'{name}' is missing or not a string.");

    public static string? OptionalText(JsonElement parent, string name) =>
        parent.ValueKind == JsonValueKind.Object
        && parent.TryGetProperty(name, out var value)
        && value.ValueKind == JsonValueKind.String
            ? Texts.Kept(value)
            : null;

    /// <summary>Null, too, for one that cannot be read: no money waits for a date.</summary>
    public static DateTimeOffset? OptionalTime(JsonElement parent, string name) =>
        DateTimeOffset.TryParse(
            OptionalText(parent, name),
            CultureInfo.InvariantCulture,
            DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal,
            out var time
        )
            ? time
            : null;

    public static long Number(JsonElement parent, string name) =>
        OptionalNumber(parent, name) ?? throw new JsonException($"'{name}' is missing or not an integer.");

    public static long? OptionalNumber(JsonElement parent, string name) =>
        parent.TryGetProperty(name, out var value)
        && value.ValueKind == JsonValueKind.Number
        && value.TryGetInt64(out var number)
            ? number
            : null;
}
