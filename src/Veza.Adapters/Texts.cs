using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;

namespace Veza.Adapters;

/// <summary>
/// Text that can be kept. JSON can spell what neither UTF-8 nor PostgreSQL can hold: U+0000, and one half of a surrogate
/// pair. A caller who sends that is told; what a provider sends is never lost for it.
/// </summary>
public static class Texts
{
    /// <summary>A JSON string as it is; null where it holds what no text can.</summary>
    public static string? Exact(JsonElement value)
    {
        try
        {
            return Exact(value.GetString()!);
        }
        catch (InvalidOperationException)
        {
            return null;
        }
    }

    /// <summary>A member's name as it is; null where it holds what no text can.</summary>
    public static string? Exact(JsonProperty member)
    {
        try
        {
            return Exact(member.Name);
        }
        catch (InvalidOperationException)
        {
            return null;
        }
    }

    /// <summary>
    /// A provider's JSON string as far as it can be kept: U+0000 is replaced, and what holds half a surrogate pair stays
    /// as it was spelled. Neither can be taken for an id that Veza knows.
    /// </summary>
    public static string Kept(JsonElement value)
    {
        try
        {
            return value.GetString()!.Replace('\0', '\uFFFD');
        }
        catch (InvalidOperationException)
        {
            return Encoding.UTF8.GetString(JsonMarshal.GetRawUtf8Value(value)).Trim('"');
        }
    }

    static string? Exact(string text) => text.Contains('\0', StringComparison.Ordinal) ? null : text;
}
