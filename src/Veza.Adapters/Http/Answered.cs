using Polly.CircuitBreaker;
using Polly.RateLimiting;
using Polly.Timeout;
using Veza.Domain;

namespace Veza.Adapters.Http;

/// <summary>A provider's answer and the request id under which its support can find it.</summary>
public sealed record Answered<T>(Answer<T> Answer, string? RequestId);

/// <summary>What the transport says when the provider itself said nothing.</summary>
static class Transport
{
    /// <summary>
    /// Sorts the failures that both providers share: certainly not sent, or unknown. Null for anything else,
    /// and for the caller's own cancellation, which is for the caller to handle.
    /// </summary>
    public static Answer<T>? Classify<T>(Exception error, CancellationToken cancellation) =>
        error switch
        {
            BrokenCircuitException => Answer<T>.NewNotExecuted(
                Hindrance.CircuitOpen,
                "Its last calls have failed; it is left alone for a few seconds."
            ),
            RateLimiterRejectedException => Answer<T>.NewNotExecuted(
                Hindrance.HeldBack,
                "STRIPE_RATE_LIMIT: too many calls wait already."
            ),
            HttpRequestException
            {
                HttpRequestError: HttpRequestError.ConnectionError
                    or HttpRequestError.NameResolutionError
                    or HttpRequestError.SecureConnectionError
            } => Answer<T>.NewNotExecuted(Hindrance.Unreachable, error.Message),
            HttpRequestException or IOException or TimeoutRejectedException => Answer<T>.NewInDoubt(
                Doubt.NoAnswer
            ),
            OperationCanceledException when !cancellation.IsCancellationRequested => Answer<T>.NewInDoubt(
                Doubt.NoAnswer
            ),
            _ => null,
        };
}
