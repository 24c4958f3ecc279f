using Veza.Domain;
using Veza.Domain.Transfers;

namespace Veza.Adapters.Stripe;

/// <summary>What a transfer heard, and the request it heard it from.</summary>
public sealed record Heard(TransferSignal Signal, string? RequestId);

/// <summary>Does what a transfer's state asks for and brings back the signal it must be told.</summary>
public sealed class TransferCaller(StripeConnect stripe)
{
    public Task<Heard> Perform(Transfer transfer, TransferDuty duty, CancellationToken cancellation) =>
        duty.Match(
            sendTransfer: async (amount, key) =>
            {
                var answered = await stripe.Send(transfer, amount, key, cancellation);
                return new Heard(TransferSignal.NewTransferAnswered(answered.Answer), answered.RequestId);
            },
            findTransfer: _ =>
                LookUp(
                    async () =>
                        TransferSignal.NewTransferSeen([.. await stripe.Find(transfer, cancellation)]),
                    isOfReversal: false,
                    cancellation
                ),
            sendReversal: async (stripeId, amount, key) =>
            {
                var answered = await stripe.Reverse(transfer, stripeId, amount, key, cancellation);
                return new Heard(TransferSignal.NewReversalAnswered(answered.Answer), answered.RequestId);
            },
            findReversal: (stripeId, key) =>
                LookUp(
                    async () =>
                        TransferSignal.NewReversalSeen(
                            await stripe.FindReversal(stripeId, key, cancellation)
                        ),
                    isOfReversal: true,
                    cancellation
                ),
            reportMissingId: () => Task.FromResult(new Heard(TransferSignal.StripeIdMissing, null))
        );

    /// <param name="isOfReversal">A transfer that is not there cannot be reversed, however often it is asked for.</param>
    static async Task<Heard> LookUp(
        Func<Task<TransferSignal>> look,
        bool isOfReversal,
        CancellationToken cancellation
    )
    {
        try
        {
            return new Heard(await look(), null);
        }
        catch (global::Stripe.StripeException error) when (isOfReversal && StripeAnswers.IsMissing(error))
        {
            var missing = TransferSignal.NewReversalAnswered(Answer<StripeReversalId>.Missing);
            return new Heard(missing, StripeAnswers.RequestId(error));
        }
        catch (Exception error) when (StripeConnect.IsPassing(error, cancellation))
        {
            var why = StripeAnswers.Heard(error, cancellation);
            return new Heard(TransferSignal.NewLookUpFailed(why), StripeAnswers.RequestId(error));
        }
    }
}
