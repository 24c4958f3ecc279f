using Veza.Domain;

namespace Veza.Host.Refunds;

/// <summary>
/// How Hyperswitch is asked for any refund: of an order, or of money that belongs to nothing. Each is sent under a name of
/// ours, and a doubt is resolved by asking for that name.
/// </summary>
sealed class RefundCalls(HyperswitchClient hyperswitch)
{
    /// <summary>Asking comes first; only what Hyperswitch has proven not to know is sent again.</summary>
    /// <param name="sendAgain">Writes down that it is sent again, and sends it. Null if it need not be any more.</param>
    public async Task<Answered<ProviderRefund>> Ask(
        ProviderRefundId name,
        bool isToBeSentAgain,
        Func<Task<Answered<ProviderRefund>?>> sendAgain,
        CancellationToken cancellation
    )
    {
        var answered = await hyperswitch.GetRefund(name, cancellation);
        return answered.Answer.IsMissing && isToBeSentAgain && await sendAgain() is { } again
            ? again
            : answered;
    }

    /// <summary>A refusal of what may have arrived before says nothing about the first one: its books decide.</summary>
    public async Task<Answered<ProviderRefund>> Decided(
        ProviderRefundId name,
        Answered<ProviderRefund> answered
    )
    {
        if (!answered.Answer.IsDenied && !answered.Answer.IsDuplicate)
        {
            return answered;
        }

        // It was sent, so that its answer must be learnt, whoever stops waiting.
        var books = await hyperswitch.GetRefund(name, CancellationToken.None);
        return books.Answer.IsMissing ? answered : books;
    }
}
