using System.Diagnostics;
using System.Net;
using System.Text.Json;
using Polly.CircuitBreaker;
using Polly.RateLimiting;
using Polly.Timeout;

namespace Veza.Adapters.Http;

/// <summary>Counts and times every call of a provider, outside of its policy: what the policy holds back counts too.</summary>
public sealed class ProviderCalls(string provider, Credentials credentials) : DelegatingHandler
{
    protected override async Task<HttpResponseMessage> SendAsync(
        HttpRequestMessage request,
        CancellationToken cancellationToken
    )
    {
        var began = Stopwatch.GetTimestamp();
        var operation = Operation(request);
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
                401 or 403 => "unauthorized",
                404 => "missing",
                409 => "conflict",
                429 => "rate_limited",
                < 500 => "refused",
                _ => "server_error",
            };
            await Judge(response, operation, cancellationToken);
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
            var kind = Telemetry.Tag("operation", operation);
            Telemetry.ProviderCalls.Add(1, call, kind, Telemetry.Tag("outcome", outcome));
            Telemetry.ProviderCallTime.Record(Stopwatch.GetElapsedTime(began).TotalSeconds, call, kind);
        }
    }

    /// <summary>A connected account that is not ours any more is refused with 403 too; that says nothing of our key.</summary>
    async Task Judge(HttpResponseMessage response, string operation, CancellationToken cancellation)
    {
        if (response.StatusCode is not (HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden))
        {
            credentials.Accept(provider, operation);
            return;
        }

        await response.Content.LoadIntoBufferAsync(cancellation);
        var text = await response.Content.ReadAsStringAsync(cancellation);
        if (!text.Contains("\"account_invalid\"", StringComparison.Ordinal))
        {
            credentials.Refuse(provider, operation, (int)response.StatusCode, Said(text));
        }
    }

    /// <summary>Both providers' errors say it in <c>error.message</c>.</summary>
    static string Said(string text)
    {
        try
        {
            using var document = JsonDocument.Parse(text);
            return
                document.RootElement.ValueKind == JsonValueKind.Object
                && document.RootElement.TryGetProperty("error", out var error)
                && error.ValueKind == JsonValueKind.Object
                ? JsonFields.OptionalText(error, "message") ?? "without a message"
                : "without a message";
        }
        catch (JsonException)
        {
            return "not in the provider's own words";
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
