using System.Security.Cryptography;
using System.Text;

namespace Veza.Sandbox.Control;

/// <summary>How the providers sign.</summary>
public static class Signatures
{
    /// <summary>Lower-case hex of HMAC-SHA512 over the body.</summary>
    public static string Hyperswitch(string body, string secret) =>
        Hyperswitch(Encoding.UTF8.GetBytes(body), secret);

    public static string Hyperswitch(byte[] body, string secret) =>
        Convert.ToHexStringLower(HMACSHA512.HashData(Encoding.UTF8.GetBytes(secret), body));

    /// <summary><c>t=…,v1=…</c>: HMAC-SHA256 over time and body.</summary>
    public static string Stripe(string body, string secret, DateTimeOffset now) =>
        Stripe(Encoding.UTF8.GetBytes(body), secret, now);

    public static string Stripe(byte[] body, string secret, DateTimeOffset now)
    {
        var time = now.ToUnixTimeSeconds();
        var signed = HMACSHA256.HashData(
            Encoding.UTF8.GetBytes(secret),
            (byte[])[.. Encoding.UTF8.GetBytes($"{time}."), .. body]
        );
        return $"t={time},v1={Convert.ToHexStringLower(signed)}";
    }
}
