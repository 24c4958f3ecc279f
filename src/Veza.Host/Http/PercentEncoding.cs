using System.Text;
using System.Text.Unicode;

namespace Veza.Host.Http;

/// <summary>
/// What an address spells by <c>%xx</c>. The server leaves alone what is no UTF-8, and every <c>%2F</c>, so that two
/// different addresses would mean one and the same text.
/// </summary>
static class PercentEncoding
{
    public const string Rule = "must be text in UTF-8, without U+0000.";

    /// <summary>Null where it spells what is no text.</summary>
    public static string? Decode(ReadOnlySpan<char> encoded)
    {
        var bytes = new byte[Encoding.UTF8.GetMaxByteCount(encoded.Length)];
        var length = 0;
        for (var place = 0; place < encoded.Length; place++)
        {
            if (
                encoded[place] == '%'
                && place + 2 < encoded.Length
                && char.IsAsciiHexDigit(encoded[place + 1])
                && char.IsAsciiHexDigit(encoded[place + 2])
            )
            {
                bytes[length++] = Convert.FromHexString(encoded.Slice(place + 1, 2))[0];
                place += 2;
            }
            else
            {
                length += Encoding.UTF8.GetBytes(encoded.Slice(place, 1), bytes.AsSpan(length));
            }
        }

        var text = bytes.AsSpan(0, length);
        return Utf8.IsValid(text) && !text.Contains((byte)0) ? Encoding.UTF8.GetString(text) : null;
    }

    /// <summary>Of a query, in which a plus is a blank.</summary>
    public static string? DecodeQuery(ReadOnlySpan<char> encoded) =>
        Decode(encoded.ToString().Replace('+', ' '));
}
