using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;

namespace Veza.Adapters.Http;

/// <summary>A provider refuses what our credentials ask for: 401 them altogether, 403 what they do not allow.</summary>
public sealed record RefusedCredentials(
    string Provider,
    string Operation,
    int Status,
    string Message,
    DateTimeOffset Since
);

/// <summary>
/// Whether the providers accept our credentials, by their last answer to each kind of call. Nothing but a person mends it,
/// so it is said at error level, again every minute.
/// </summary>
public sealed partial class Credentials(TimeProvider clock, ILogger<Credentials> log)
{
    static readonly TimeSpan SaidAgain = TimeSpan.FromMinutes(1);

    readonly ConcurrentDictionary<(string Provider, string Operation), RefusedCredentials> refused = new();
    readonly ConcurrentDictionary<(string Provider, int Status), DateTimeOffset> said = new();

    public IReadOnlyList<RefusedCredentials> All() => [.. refused.Values.OrderBy(one => one.Since)];

    internal void Refuse(string provider, string operation, int status, string message)
    {
        var now = clock.GetUtcNow();
        refused.AddOrUpdate(
            (provider, operation),
            _ => new(provider, operation, status, message, now),
            (_, known) => known with { Status = status, Message = message }
        );
        if (!said.TryGetValue((provider, status), out var last) || now - last >= SaidAgain)
        {
            said[(provider, status)] = now;
            LogRefused(provider, operation, status, message);
        }
    }

    /// <summary>Any answer proves that the credentials themselves are known; only the same call that it is allowed.</summary>
    internal void Accept(string provider, string operation)
    {
        foreach (var (key, known) in refused)
        {
            if (known.Provider == provider && (known.Status == 401 || known.Operation == operation))
            {
                refused.TryRemove(new(key, known));
            }
        }
    }

    [LoggerMessage(
        LogLevel.Error,
        "{Provider} refuses our credentials for {Operation}: {Status}, {Message}. Calls wait until they are corrected."
    )]
    partial void LogRefused(string provider, string operation, int status, string message);
}
