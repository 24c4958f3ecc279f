using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Veza.Sandbox.Control;

namespace Veza.Bench;

/// <summary>Signed webhooks over plain sockets: a client light enough not to be what is measured.</summary>
static class RawLoad
{
    public sealed record Result(int Answered, double Seconds, double P50, double P99);

    /// <summary>The requests are signed before the clock starts; each is sent once.</summary>
    public static async Task<Result> Run(
        Uri target,
        string secret,
        string series,
        int connections,
        int requests
    )
    {
        var bodies = Enumerable
            .Range(0, requests)
            .Select(number => Request(target, $"{series}_{number}", secret))
            .ToArray();
        var next = -1;
        var latencies = new double[requests];
        var time = Stopwatch.StartNew();
        await Task.WhenAll(
            Enumerable
                .Range(0, connections)
                .Select(_ =>
                    Task.Run(async () =>
                    {
                        using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
                        await socket.ConnectAsync(new IPEndPoint(IPAddress.Loopback, target.Port));
                        var buffer = new byte[4096];
                        int number;
                        while ((number = Interlocked.Increment(ref next)) < requests)
                        {
                            var start = Stopwatch.GetTimestamp();
                            await socket.SendAsync(bodies[number]);
                            var read = 0;
                            do
                            {
                                read += await socket.ReceiveAsync(buffer.AsMemory(read));
                            } while (buffer[read - 1] != (byte)'}');

                            if (!buffer.AsSpan(0, read).StartsWith("HTTP/1.1 200"u8))
                            {
                                throw new InvalidOperationException(
                                    Encoding.ASCII.GetString(buffer, 0, read)
                                );
                            }

                            latencies[number] = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
                        }
                    })
                )
        );
        var seconds = time.Elapsed.TotalSeconds;
        Array.Sort(latencies);
        return new Result(requests, seconds, latencies[requests / 2], latencies[requests * 99 / 100]);
    }

    static byte[] Request(Uri target, string number, string secret)
    {
        var body =
            $$$"""{"merchant_id":"m","event_id":"evt_bench_{{{number}}}","event_type":"mandate_active","content":{"type":"mandate_details","object":{"mandate_id":"man_{{{number}}}","note":"{{{new string('x', 1000)}}}"}},"timestamp":"2026-11-23T12:00:00.000Z"}""";
        return Encoding.ASCII.GetBytes(
            $"POST /webhooks/hyperswitch HTTP/1.1\r\nHost: {target.Authority}\r\nContent-Type: application/json\r\n"
                + $"X-Webhook-Signature-512: {Signatures.Hyperswitch(body, secret)}\r\nContent-Length: {body.Length}\r\n\r\n{body}"
        );
    }
}
