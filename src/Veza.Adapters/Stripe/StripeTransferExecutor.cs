using Veza.Domain;
using Veza.Domain.Transfers;

namespace Veza.Adapters.Stripe;

/// <summary>What a transfer heard, and the request it heard it from.</summary>
public sealed record CallResult(TransferSignal Signal, string? RequestId);

/// <summary>Does what a transfer's state asks for and brings back the signal it must be told.</summary>
public sealed class StripeTransferExecutor(StripeTransfers stripe)
{
    public Task<CallResult> Perform(Transfer transfer, TransferDuty duty, CancellationToken cancellation) =>
        duty.Match(
            sendTransfer: async (amount, key) =>
            {
                var answered = await stripe.Send(transfer, amount, key, cancellation);
                return new CallResult(
                    TransferSignal.NewTransferAnswered(answered.Answer),
                    answered.RequestId
                );
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
                return new CallResult(
                    TransferSignal.NewReversalAnswered(answered.Answer),
                    answered.RequestId
                );
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
            reportMissingId: () => Task.FromResult(new CallResult(TransferSignal.StripeIdMissing, null))
        );

    /// <param name="isOfReversal">A transfer that is not there cannot be reversed, however often it is asked for.</param>
    static async Task<CallResult> LookUp(
        Func<Task<TransferSignal>> look,
        bool isOfReversal,
        CancellationToken cancellation
    )
    {
        try
        {
            return new CallResult(await look(), null);
        }
        catch (global::Stripe.StripeException error) when (isOfReversal && StripeErrors.IsMissing(error))
        {
            var missing = TransferSignal.NewReversalAnswered(Answer<StripeReversalId>.Missing);
            return new CallResult(missing, StripeErrors.RequestId(error));
        }
        catch (Exception error) when (StripeTransfers.IsPassing(error, cancellation))
        {
            var why = StripeErrors.Heard(error, cancellation);
            return new CallResult(TransferSignal.NewLookUpFailed(why), StripeErrors.RequestId(error));
        }
    }
}
