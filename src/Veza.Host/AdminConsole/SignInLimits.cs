using System.Threading.RateLimiting;

namespace Veza.Host.AdminConsole;

/// <summary>
/// How often one address may try to sign in at this host. No key can be guessed; this keeps one who tries from keeping the
/// database busy.
/// </summary>
sealed class SignInLimits : IAsyncDisposable
{
    const int TriesAMinute = 20;

    readonly PartitionedRateLimiter<string> tries = PartitionedRateLimiter.Create<string, string>(address =>
        RateLimitPartition.GetFixedWindowLimiter(
            address,
            _ => new FixedWindowRateLimiterOptions
            {
                PermitLimit = TriesAMinute,
                Window = TimeSpan.FromMinutes(1),
                QueueLimit = 0,
            }
        )
    );

    /// <summary>False if there were too many.</summary>
    public bool Take(HttpContext context)
    {
        using var lease = tries.AttemptAcquire(context.Connection.RemoteIpAddress?.ToString() ?? "");
        if (!lease.IsAcquired)
        {
            context.Response.Headers.RetryAfter = "60";
        }

        return lease.IsAcquired;
    }

    public ValueTask DisposeAsync() => tries.DisposeAsync();
}
