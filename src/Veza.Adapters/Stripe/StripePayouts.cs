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
                    async () => PayoutSignal.NewPayoutSeen([.. await Find(payout, cancellation)]),
                    cancellation
                ),
            askAbout: id =>
                LookUp(
                    async () => PayoutSignal.NewPayoutReported(await Ask(payout, id, cancellation)),
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
                        [StripeConnect.OperationKey] = key.Value,
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
            var answered = StripeAnswers.OfFailure<PayoutSight>(error, Asked.Payout, cancellation);
            return new(PayoutSignal.NewPayoutAnswered(answered.Answer), answered.RequestId);
        }
    }

    async Task<List<PayoutSight>> Find(Payout payout, CancellationToken cancellation)
    {
        var since = payout.ToRow().FirstSentAt ?? DateTimeOffset.UnixEpoch.AddHours(1);
        var found = new List<PayoutSight>();
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
                found.Add(SightOf(candidate));
            }
        }

        return found;
    }

    async Task<PayoutSight> Ask(Payout payout, StripePayoutId id, CancellationToken cancellation) =>
        SightOf(
            await stripe.V1.Payouts.GetAsync(
                id.Value,
                requestOptions: On(payout),
                cancellationToken: cancellation
            )
        );

    static async Task<PayoutHeard> LookUp(Func<Task<PayoutSignal>> look, CancellationToken cancellation)
    {
        try
        {
            return new(await look(), null);
        }
        catch (Exception error) when (StripeConnect.IsPassing(error, cancellation))
        {
            var why = StripeAnswers.Heard(error, cancellation);
            return new(PayoutSignal.NewLookUpFailed(why), StripeAnswers.RequestId(error));
        }
    }

    static RequestOptions On(Payout payout, IdempotencyKey? key = null) =>
        new() { StripeAccount = payout.Account.Value, IdempotencyKey = key?.Value };

    /// <exception cref="InvalidDataException">An id or a status that Veza does not know.</exception>
    static PayoutSight SightOf(global::Stripe.Payout payout) =>
        StripeJson.PayoutSight(payout.Id, payout.Status, payout.FailureCode, payout.FailureMessage);
}
