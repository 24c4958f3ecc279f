using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Veza.Adapters.Notifications;

/// <summary>Sends messages as Standard Webhooks says (github.com/standard-webhooks): id, time and signature in headers.</summary>
public sealed class WebhookSender(HttpClient http, TimeProvider clock)
{
    public static readonly TimeSpan Longest = TimeSpan.FromSeconds(15);

    /// <summary>Never throws for what the other side does: whatever came of it is the result.</summary>
    public async Task<DeliveryResult> Send(DueDelivery delivery, CancellationToken cancellation)
    {
        var began = clock.GetTimestamp();
        try
        {
            using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
            limit.CancelAfter(Longest);
            using var request = new HttpRequestMessage(HttpMethod.Post, delivery.Url)
            {
                Content = new StringContent(delivery.Body, Encoding.UTF8, "application/json"),
            };
            var time = clock.GetUtcNow().ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture);
            request.Headers.Add("webhook-id", delivery.MessageId);
            request.Headers.Add("webhook-timestamp", time);
            request.Headers.Add(
                "webhook-signature",
                string.Join(
                    ' ',
                    delivery.Secrets.Select(secret => Sign(secret, delivery.MessageId, time, delivery.Body))
                )
            );
            using var response = await http.SendAsync(
                request,
                HttpCompletionOption.ResponseHeadersRead,
                limit.Token
            );
            var status = (int)response.StatusCode;
            return new(delivery, status, status is >= 200 and < 300 ? null : $"HTTP {status}", Took());
        }
        catch (Exception error)
            when (error is HttpRequestException or IOException
                || (error is OperationCanceledException && !cancellation.IsCancellationRequested)
            )
        {
            var why =
                error is OperationCanceledException
                    ? $"no answer within {Longest.TotalSeconds} s"
                    : error.Message;
            return new(delivery, null, why.Length > 300 ? why[..300] : why, Took());
        }

        TimeSpan Took() => clock.GetElapsedTime(began);
    }

    /// <summary><c>v1,</c> and the HMAC-SHA256 of <c>id.timestamp.body</c> in base64.</summary>
    public static string Sign(byte[] secret, string id, string time, string body) =>
        "v1,"
        + Convert.ToBase64String(HMACSHA256.HashData(secret, Encoding.UTF8.GetBytes($"{id}.{time}.{body}")));
}
