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
                    cancellation
                ),
            reportMissingId: () => Task.FromResult(new Heard(TransferSignal.StripeIdMissing, null))
        );

    static async Task<Heard> LookUp(Func<Task<TransferSignal>> look, CancellationToken cancellation)
    {
        try
        {
            return new Heard(await look(), null);
        }
        catch (Exception error) when (StripeConnect.IsPassing(error, cancellation))
        {
            return new Heard(TransferSignal.LookUpFailed, StripeAnswers.RequestId(error));
        }
    }
}
