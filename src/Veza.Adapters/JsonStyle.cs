using System.Text.Encodings.Web;
using System.Text.Json;

namespace Veza.Adapters;

/// <summary>
/// One style for all JSON that leaves Veza: no blanks between its parts, and no character escaped that need not be, so
/// that a secret can be copied as it stands.
/// </summary>
public static class JsonStyle
{
    /// <summary>For JSON only: what it writes is not safe inside HTML.</summary>
    public static JavaScriptEncoder Encoder => JavaScriptEncoder.UnsafeRelaxedJsonEscaping;

    public static JsonSerializerOptions Options { get; } = new() { Encoder = Encoder };

    /// <summary>PostgreSQL writes blanks between the parts of an object.</summary>
    public static string Compact(string json)
    {
        var compact = new char[json.Length];
        var (length, isText) = (0, false);
        for (var place = 0; place < json.Length; place++)
        {
            var letter = json[place];
            if (!isText && letter is (' ' or '\n' or '\r' or '\t'))
            {
                continue;
            }

            compact[length++] = letter;
            if (letter == '"')
            {
                isText = !isText;
            }
            else if (letter == '\\')
            {
                compact[length++] = json[++place];
            }
        }

        return new string(compact, 0, length);
    }
}
