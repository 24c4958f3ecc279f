using Stripe;
using Veza.Domain;

namespace Veza.Adapters.Stripe;

/// <summary>What Stripe was asked to do.</summary>
enum Asked
{
    /// <summary>Draws on the platform's balance.</summary>
    Transfer,

    /// <summary>Of a transfer that should exist; draws on the seller's balance.</summary>
    Reversal,

    /// <summary>Draws on the seller's balance.</summary>
    Payout,
}

/// <summary>
/// Sorts Stripe's answers into the domain's, by status, code, type and headers (docs.stripe.com/error-low-level). The
/// text of a message decides only between two refusals that both move nothing.
/// </summary>
static class StripeErrors
{
    public static Answered<T> OfFailure<T>(Exception error, Asked asked, CancellationToken cancellation) =>
        error is StripeException failure
            ? new(OfException<T>(failure, asked), RequestId(failure))
            : new(Transport.Classify<T>(error, cancellation) ?? throw error, null);

    public static string? RequestId(Exception error) => (error as StripeException)?.StripeResponse?.RequestId;

    static Answer<T> OfException<T>(StripeException failure, Asked asked)
    {
        var code = failure.StripeError?.Code;
        return (int)failure.HttpStatusCode switch
        {
            // Stripe said yes and the body was lost on the way.
            >= 200 and < 300 => Answer<T>.NewInDoubt(Doubt.Unreadable),
            409 => Answer<T>.NewNotExecuted(Hindrance.KeyInUse, Said(failure)),
            // The limiters name themselves in a header; a 429 without it is somebody's lock on the object.
            429 when Header(failure, "Stripe-Rate-Limited-Reason") is not null || code == "rate_limit" =>
                Answer<T>.NewNotExecuted(Hindrance.RateLimited, Said(failure)),
            429 => Answer<T>.NewNotExecuted(Hindrance.ObjectLocked, Said(failure)),
            401 => Answer<T>.NewNotExecuted(Hindrance.Unauthorized, Said(failure)),
            // Not our credentials: the seller's account is not connected to the platform any more.
            403 when code == "account_invalid" => Answer<T>.NewDenied(
                Refusal(failure, asked),
                IsReplayed(failure)
            ),
            403 => Answer<T>.NewNotExecuted(Hindrance.Forbidden, Said(failure)),
            424 or >= 500 => Answer<T>.NewInDoubt(
                IsFinal(failure) ? Doubt.StoredServerError : Doubt.ServerError
            ),
            // Not Stripe's own words: something between us and Stripe has answered.
            _ when failure.StripeError is null => Answer<T>.NewInDoubt(Doubt.Unreadable),
            404 when asked == Asked.Reversal && code == "resource_missing" => Answer<T>.Missing,
            400 when failure.StripeError.Type == "idempotency_error" => Answer<T>.NewKeyReused(
                failure.Message
            ),
            // "Already reversed" and "more than is left" have no code. Stripe's list of reversals decides.
            400 when asked == Asked.Reversal && code is null && !SpeaksOfFunds(failure) =>
                Answer<T>.NewDuplicate(failure.Message, IsReplayed(failure)),
            _ => Answer<T>.NewDenied(Refusal(failure, asked), IsReplayed(failure)),
        };
    }

    /// <summary>The object that was asked about does not exist: Stripe itself says so.</summary>
    public static bool IsMissing(StripeException failure) =>
        (int)failure.HttpStatusCode == 404 && failure.StripeError?.Code == "resource_missing";

    static Refusal Refusal(StripeException failure, Asked asked)
    {
        var code = failure.StripeError.Code;
        var funds =
            code is "balance_insufficient" or "insufficient_funds"
            || (code is null && SpeaksOfFunds(failure));
        var cause =
            !funds ? RefusalCause.OtherCause
            : asked == Asked.Transfer ? RefusalCause.PlatformFunds
            : RefusalCause.SellerFunds;
        return new Refusal(
            cause,
            code ?? (funds ? "balance_insufficient" : failure.StripeError.Type ?? "invalid_request_error"),
            Said(failure)
        );
    }

    static string Said(StripeException failure) =>
        failure.StripeError?.Message ?? $"HTTP {(int)failure.HttpStatusCode}";

    /// <summary>What a look-up that came to nothing heard, for the object that waits for it.</summary>
    public static Refusal Heard(Exception error, CancellationToken cancellation) =>
        OfFailure<StripeTransferId>(error, Asked.Transfer, cancellation).Answer.Shown()?.Value
        ?? RefusalModule.unclear(error.Message);

    static bool SpeaksOfFunds(StripeException failure) =>
        failure.StripeError.Message?.Contains("sufficient funds", StringComparison.OrdinalIgnoreCase) == true;

    /// <summary>Repeating the request would only repeat this stored answer.</summary>
    static bool IsFinal(StripeException failure) =>
        IsReplayed(failure)
        || "false".Equals(Header(failure, "Stripe-Should-Retry"), StringComparison.OrdinalIgnoreCase);

    static bool IsReplayed(StripeException failure) =>
        "true".Equals(Header(failure, "Idempotent-Replayed"), StringComparison.OrdinalIgnoreCase);

    static string? Header(StripeException failure, string name) =>
        failure.StripeResponse?.Headers is { } headers && headers.TryGetValues(name, out var values)
            ? values.FirstOrDefault()
            : null;
}
