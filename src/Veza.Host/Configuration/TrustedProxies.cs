using System.Net;
using Microsoft.AspNetCore.HttpOverrides;
using IPNetwork = System.Net.IPNetwork;

namespace Veza.Host.Configuration;

/// <summary>
/// TLS ends at a proxy: what it says of the browser's scheme and address (<c>X-Forwarded-Proto</c>, <c>-For</c>) is
/// believed, and nobody else's word on it.
/// </summary>
static class TrustedProxies
{
    /// <summary>Loopback and private networks.</summary>
    public const string ByDefault = "127.0.0.0/8,::1,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fc00::/7";

    /// <exception cref="FormatException">One of them is neither an address nor a network.</exception>
    public static IReadOnlyList<IPNetwork> Parse(string text) =>
        text == "none" ? [] : [.. text.Split(',', StringSplitOptions.TrimEntries).Select(Network)];

    static IPNetwork Network(string text) =>
        IPAddress.TryParse(text, out var address) ? new(address, address.GetAddressBytes().Length * 8)
        : IPNetwork.TryParse(text, out var network) ? network
        : throw new FormatException(
            $"must be addresses or networks such as 10.0.0.0/8, comma-separated, or none; '{text}' is neither"
        );

    public static void UseTrustedProxies(this WebApplication app, IReadOnlyList<IPNetwork> trusted)
    {
        // The middleware takes an empty list for "everybody".
        if (trusted.Count == 0)
        {
            return;
        }

        var options = new ForwardedHeadersOptions
        {
            ForwardedHeaders = ForwardedHeaders.XForwardedFor | ForwardedHeaders.XForwardedProto,
            // Through as many proxies as are trusted, up to the first address that is not.
            ForwardLimit = null,
        };
        options.KnownProxies.Clear();
        options.KnownIPNetworks.Clear();
        foreach (var network in trusted)
        {
            options.KnownIPNetworks.Add(network);
        }

        app.UseForwardedHeaders(options);
    }
}
