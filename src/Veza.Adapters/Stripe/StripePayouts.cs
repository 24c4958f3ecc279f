using Stripe;
using Veza.Domain;
using Veza.Domain.Payouts;
using Payout = Veza.Domain.Payouts.Payout;

namespace Veza.Adapters.Stripe;

/// <summary>What a payout heard, and the request it heard it from.</summary>
public sealed record PayoutHeard(PayoutSignal Signal, string? RequestId);

/// <summary>Moves a seller's Stripe balance to the seller's bank, on the seller's connected account.</summary>
public sealed class StripePayouts(StripeClient stripe)
{
    internal const string PayoutKey = "payout_id";

    /// <summary>Does what the payout's state asks for and brings back the signal it must be told.</summary>
    public Task<PayoutHeard> Perform(Payout payout, PayoutDuty duty, CancellationToken cancellation) =>
        duty.Match(
            sendPayout: key => Send(payout, key, cancellation),
            findPayout: _ =>
                LookUp(
                    async () =>
                        PayoutSignal.NewPayoutSeen([.. (await Find(payout, cancellation)).Select(SightOf)]),
                    cancellation
                ),
            askAbout: id =>
                LookUp(
                    async () => PayoutSignal.NewPayoutReported(SightOf(await Get(payout, id, cancellation))),
                    cancellation
                )
        );

    async Task<PayoutHeard> Send(Payout payout, IdempotencyKey key, CancellationToken cancellation)
    {
        try
        {
            var made = await stripe.V1.Payouts.CreateAsync(
                new PayoutCreateOptions
                {
                    Amount = payout.Amount.Minor,
                    Currency = payout.Amount.Currency.Code.ToLowerInvariant(),
                    Metadata = new()
                    {
                        [PayoutKey] = payout.Id.Value.ToString("D"),
                        [StripeTransfers.OperationKey] = key.Value,
                    },
                },
                On(payout, key),
                cancellation
            );
            return new(
                PayoutSignal.NewPayoutAnswered(Answer<PayoutSight>.NewAccepted(SightOf(made))),
                made.StripeResponse?.RequestId
            );
        }
        catch (InvalidDataException)
        {
            return new(
                PayoutSignal.NewPayoutAnswered(Answer<PayoutSight>.NewInDoubt(Doubt.Unreadable)),
                null
            );
        }
        catch (Exception error) when (!cancellation.IsCancellationRequested)
        {
            var answered = StripeErrors.OfFailure<PayoutSight>(error, Asked.Payout, cancellation);
            return new(PayoutSignal.NewPayoutAnswered(answered.Answer), answered.RequestId);
        }
    }

    /// <summary>What Stripe shows to a person's word: the payout that they name, or all that were made with our id.</summary>
    /// <exception cref="StripeException">No answer; another time.</exception>
    public async Task<PayoutLook> Look(Payout payout, StripePayoutId? named, CancellationToken cancellation)
    {
        try
        {
            var found = named is null
                ? await Find(payout, cancellation)
                : [await Get(payout, named, cancellation)];
            return PayoutLook.NewShown([
                .. found.Select(shown => new PayoutReport(
                    SightOf(shown),
                    shown.Amount,
                    shown.Currency,
                    payout.Account.Value
                )),
            ]);
        }
        catch (StripeException error) when (StripeErrors.IsMissing(error))
        {
            return PayoutLook.NewShown([]);
        }
        catch (StripeException error) when ((int)error.HttpStatusCode is 401 or 403)
        {
            return PayoutLook.Hidden;
        }
    }

    async Task<List<global::Stripe.Payout>> Find(Payout payout, CancellationToken cancellation)
    {
        var since = payout.ToRow().FirstSentAt ?? DateTimeOffset.UnixEpoch.AddHours(1);
        var found = new List<global::Stripe.Payout>();
        await foreach (
            var candidate in stripe.V1.Payouts.ListAutoPagingAsync(
                new PayoutListOptions
                {
                    // An hour of margin for clocks that differ.
                    Created = new DateRangeOptions { GreaterThanOrEqual = since.AddHours(-1).UtcDateTime },
                    Limit = 100,
                },
                On(payout),
                cancellation
            )
        )
        {
            if (candidate.Metadata?.GetValueOrDefault(PayoutKey) == payout.Id.Value.ToString("D"))
            {
                found.Add(candidate);
            }
        }

        return found;
    }

    Task<global::Stripe.Payout> Get(Payout payout, StripePayoutId id, CancellationToken cancellation) =>
        stripe.V1.Payouts.GetAsync(id.Value, requestOptions: On(payout), cancellationToken: cancellation);

    static async Task<PayoutHeard> LookUp(Func<Task<PayoutSignal>> look, CancellationToken cancellation)
    {
        try
        {
            return new(await look(), null);
        }
        catch (Exception error) when (StripeTransfers.IsPassing(error, cancellation))
        {
            var why = StripeErrors.Heard(error, cancellation);
            return new(PayoutSignal.NewLookUpFailed(why), StripeErrors.RequestId(error));
        }
    }

    static RequestOptions On(Payout payout, IdempotencyKey? key = null) =>
        new() { StripeAccount = payout.Account.Value, IdempotencyKey = key?.Value };

    /// <exception cref="InvalidDataException">An id or a status that Veza does not know.</exception>
    static PayoutSight SightOf(global::Stripe.Payout payout) =>
        StripeMapping.PayoutSight(payout.Id, payout.Status, payout.FailureCode, payout.FailureMessage);
}
