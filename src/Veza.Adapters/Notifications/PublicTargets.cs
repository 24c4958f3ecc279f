using System.Net;
using System.Net.Sockets;

namespace Veza.Adapters.Notifications;

/// <summary>
/// Which addresses webhooks may be sent to. An address that somebody typed in must not become a way into the network
/// that the host stands in, so what a name resolves to is looked at when the connection is made, not before.
/// </summary>
public static class PublicTargets
{
    /// <summary>Neither this machine, nor a private network, nor one that only exists on a link.</summary>
    public static bool IsPublic(IPAddress address)
    {
        var target = address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address;
        var bytes = target.GetAddressBytes();
        return target.AddressFamily == AddressFamily.InterNetwork
            ? bytes switch
            {
                [0 or 10 or 127, ..] => false,
                [100, >= 64 and < 128, ..] => false,
                [169, 254, ..] => false,
                [172, >= 16 and < 32, ..] => false,
                [192, 168, ..] => false,
                [192, 0, 0, ..] => false,
                [198, 18 or 19, ..] => false,
                [>= 224, ..] => false,
                _ => true,
            }
            : !IPAddress.IsLoopback(target)
                && !target.Equals(IPAddress.IPv6Any)
                && !target.IsIPv6LinkLocal
                && !target.IsIPv6SiteLocal
                && !target.IsIPv6UniqueLocal
                && !target.IsIPv6Multicast
                // Addresses that carry an IPv4 address within (NAT64, 6to4, Teredo) lead to that one.
                && bytes is not ([0x00, 0x64, 0xff, 0x9b, ..] or [0x20, 0x02, ..] or [0x20, 0x01, 0, 0, ..]);
    }

    /// <summary>Connects to an address of the name that is allowed, or says why there is none.</summary>
    public static async ValueTask<Stream> Connect(
        DnsEndPoint target,
        bool privateAllowed,
        CancellationToken cancellation
    )
    {
        var addresses = await Dns.GetHostAddressesAsync(target.Host, cancellation);
        var allowed = addresses.Where(address => privateAllowed || IsPublic(address)).ToArray();
        if (allowed.Length == 0)
        {
            throw new HttpRequestException(
                $"{target.Host} leads to a private address, and WEBHOOK_ALLOW_PRIVATE_TARGETS is not set"
            );
        }

        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(allowed, target.Port, cancellation);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }
}
