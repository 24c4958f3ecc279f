using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Veza.Adapters.Http;

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

    /// <summary>
    /// Stripe: <c>t=…,v1=…</c>, HMAC-SHA256 over <c>t.body</c>; any of several v1 may match while a secret is
    /// rolled. Each delivery is signed anew, so what is older or newer than 300 s is stale.
    /// (docs.stripe.com/webhooks)
    /// </summary>
    public static bool IsStripes(
        ReadOnlySpan<byte> body,
        string header,
        IReadOnlyList<byte[]> secrets,
        DateTimeOffset now
    )
    {
        var parts = header
            .Split(',')
            .Select(part => part.Split('=', 2))
            .Where(part => part.Length == 2)
            .ToList();
        var time = parts.Find(part => part[0].Trim() == "t")?[1];
        if (
            !long.TryParse(time, NumberStyles.None, CultureInfo.InvariantCulture, out var seconds)
            || Math.Abs(now.ToUnixTimeSeconds() - seconds) > 300
        )
        {
            return false;
        }

        var signed = new byte[Encoding.UTF8.GetByteCount(time) + 1 + body.Length];
        var length = Encoding.UTF8.GetBytes(time, signed);
        signed[length] = (byte)'.';
        body.CopyTo(signed.AsSpan(length + 1));
        Span<byte> given = stackalloc byte[HMACSHA256.HashSizeInBytes];
        var valid = false;
        foreach (var part in parts.Where(part => part[0].Trim() == "v1"))
        {
            if (part[1].Length == given.Length * 2 && TryReadHex(part[1], given))
            {
                valid |= Matches(signed, given, secrets);
            }
        }

        return valid;
    }

    static bool Matches(byte[] signed, ReadOnlySpan<byte> given, IReadOnlyList<byte[]> secrets)
    {
        var valid = false;
        foreach (var secret in secrets)
        {
            valid |= CryptographicOperations.FixedTimeEquals(HMACSHA256.HashData(secret, signed), given);
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
