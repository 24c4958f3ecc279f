using System.Security.Cryptography;
using System.Text;

namespace Veza.Adapters;

/// <summary>Tells a provider's webhooks from anybody else's. Over the raw bytes, in constant time.</summary>
public static class WebhookSignatures
{
    /// <summary>
    /// Hyperswitch: lower-case hex of HMAC-SHA512 over the body, in <c>X-Webhook-Signature-512</c>. It signs no
    /// time and repeats the same bytes for a day, so there is no freshness to check; several secrets are
    /// accepted because a retry after a rotation still carries the old one's signature.
    /// </summary>
    public static bool IsHyperswitchs(
        ReadOnlySpan<byte> body,
        string? signature,
        IReadOnlyList<byte[]> secrets
    )
    {
        Span<byte> given = stackalloc byte[HMACSHA512.HashSizeInBytes];
        if (signature is null || signature.Length != given.Length * 2 || !TryReadHex(signature, given))
        {
            return false;
        }

        Span<byte> expected = stackalloc byte[HMACSHA512.HashSizeInBytes];
        var valid = false;
        foreach (var secret in secrets)
        {
            HMACSHA512.HashData(secret, body, expected);
            valid |= CryptographicOperations.FixedTimeEquals(expected, given);
        }

        return valid;
    }

    /// <summary>The keys of a comma-separated setting, for rotation.</summary>
    public static IReadOnlyList<byte[]> Secrets(string? setting) =>
        [
            .. (setting ?? "")
                .Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries)
                .Select(Encoding.UTF8.GetBytes),
        ];

    static bool TryReadHex(string text, Span<byte> bytes) =>
        Convert.FromHexString(text, bytes, out _, out var written) == System.Buffers.OperationStatus.Done
        && written == bytes.Length;
}
