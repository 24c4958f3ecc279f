using System.Diagnostics;
using Polly.CircuitBreaker;
using Polly.RateLimiting;
using Polly.Timeout;
using Veza.Adapters.Storage;

namespace Veza.Adapters;

/// <summary>Counts and times every call of a provider, outside of its policy: what the policy holds back counts too.</summary>
public sealed class ProviderCalls(string provider) : DelegatingHandler
{
    protected override async Task<HttpResponseMessage> SendAsync(
        HttpRequestMessage request,
        CancellationToken cancellationToken
    )
    {
        var began = Stopwatch.GetTimestamp();
        var outcome = "canceled";
        if (Correlation.Current is { } correlation)
        {
            request.Headers.TryAddWithoutValidation(Correlation.Header, correlation);
        }

        try
        {
            var response = await base.SendAsync(request, cancellationToken);
            outcome = (int)response.StatusCode switch
            {
                < 300 => "accepted",
                404 => "missing",
                409 => "conflict",
                429 => "rate_limited",
                < 500 => "refused",
                _ => "server_error",
            };
            return response;
        }
        catch (Exception error) when (Word(error, cancellationToken) is { } word)
        {
            outcome = word;
            throw;
        }
        finally
        {
            var call = Telemetry.Tag("provider", provider);
            var operation = Telemetry.Tag("operation", Operation(request));
            Telemetry.ProviderCalls.Add(1, call, operation, Telemetry.Tag("outcome", outcome));
            Telemetry.ProviderCallTime.Record(Stopwatch.GetElapsedTime(began).TotalSeconds, call, operation);
        }
    }

    static string? Word(Exception error, CancellationToken cancellation) =>
        error switch
        {
            BrokenCircuitException => "circuit_open",
            RateLimiterRejectedException => "held_back",
            TimeoutRejectedException => "timeout",
            HttpRequestException { HttpRequestError: HttpRequestError.ConnectionError } => "unreachable",
            HttpRequestException or IOException => "broken_off",
            OperationCanceledException when !cancellation.IsCancellationRequested => "timeout",
            _ => null,
        };

    /// <summary>The method and the kind of object, without any id: <c>POST transfers/reversals</c>.</summary>
    static string Operation(HttpRequestMessage request)
    {
        var words = (request.RequestUri?.AbsolutePath ?? "")
            .Split('/', StringSplitOptions.RemoveEmptyEntries)
            .Where(part => part.All(letter => char.IsAsciiLetterLower(letter) || letter == '_'))
            .Where(part => !part.StartsWith("tr_", StringComparison.Ordinal) && part.Length > 2);
        return $"{request.Method} {string.Join('/', words)}";
    }
}
