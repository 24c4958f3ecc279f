using System.Net;
using Stripe;
using Veza.Domain;

namespace Veza.Adapters.Stripe;

/// <summary>
/// Sorts Stripe's answers into the domain's, by status, code, type and headers. The text of a message decides
/// only between two refusals that both move nothing.
/// </summary>
static class StripeAnswers
{
    public static Answer<T> OfFailure<T>(Exception error, bool reversing, CancellationToken cancellation) =>
        error is StripeException failure
            ? OfException<T>(failure, reversing)
            : Transport.Classify<T>(error, cancellation) ?? throw error;

    public static string? RequestId(Exception error) => (error as StripeException)?.StripeResponse?.RequestId;

    static Answer<T> OfException<T>(StripeException failure, bool reversing)
    {
        var code = failure.StripeError?.Code;
        return (int)failure.HttpStatusCode switch
        {
            // Stripe said yes and the body was lost on the way.
            >= 200 and < 300 => Answer<T>.NewInDoubt(Doubt.Unreadable),
            409 => Answer<T>.NewNotExecuted(Hindrance.KeyInUse),
            429 when code == "lock_timeout" => Answer<T>.NewNotExecuted(Hindrance.ObjectLocked),
            429 => Answer<T>.NewNotExecuted(Hindrance.RateLimited),
            401 or 403 => Answer<T>.NewNotExecuted(Hindrance.Unauthorized),
            404 when reversing => Answer<T>.Missing,
            424 or >= 500 => Answer<T>.NewInDoubt(
                IsFinal(failure) ? Doubt.StoredServerError : Doubt.ServerError
            ),
            400 when failure.StripeError?.Type == "idempotency_error" => Answer<T>.NewDuplicate(
                failure.Message
            ),
            // "Already reversed" and "more than is left" have no code. Stripe's list of reversals decides.
            400 when reversing && code is null && !SpeaksOfFunds(failure) => Answer<T>.NewDuplicate(
                failure.Message
            ),
            _ => Answer<T>.NewDenied(
                Refusal(failure, reversing),
                Has(failure, "Idempotent-Replayed", "true")
            ),
        };
    }

    static Refusal Refusal(StripeException failure, bool reversing)
    {
        var code = failure.StripeError?.Code;
        var funds =
            code is "balance_insufficient" or "insufficient_funds"
            || (code is null && SpeaksOfFunds(failure));
        var cause =
            !funds ? RefusalCause.OtherCause
            : reversing ? RefusalCause.SellerFunds
            : RefusalCause.PlatformFunds;
        return new Refusal(
            cause,
            code ?? (funds ? "balance_insufficient" : failure.StripeError?.Type ?? "invalid_request_error"),
            failure.StripeError?.Message ?? $"HTTP {(int)failure.HttpStatusCode}"
        );
    }

    static bool SpeaksOfFunds(StripeException failure) =>
        failure.HttpStatusCode is HttpStatusCode.BadRequest or HttpStatusCode.PaymentRequired
        && failure.StripeError?.Message?.Contains("sufficient funds", StringComparison.OrdinalIgnoreCase)
            == true;

    /// <summary>Repeating the request would only repeat this stored answer.</summary>
    static bool IsFinal(StripeException failure) =>
        Has(failure, "Idempotent-Replayed", "true") || Has(failure, "Stripe-Should-Retry", "false");

    static bool Has(StripeException failure, string header, string value) =>
        failure.StripeResponse?.Headers is { } headers
        && headers.TryGetValues(header, out var values)
        && values.Contains(value, StringComparer.OrdinalIgnoreCase);
}
