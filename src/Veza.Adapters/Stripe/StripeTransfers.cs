using Microsoft.FSharp.Collections;
using Microsoft.FSharp.Core;
using Stripe;
using Veza.Domain;
using Veza.Domain.Transfers;
using Transfer = Veza.Domain.Transfers.Transfer;

namespace Veza.Adapters.Stripe;

/// <summary>Moves sellers' money at Stripe and says what came back.</summary>
/// <remarks>
/// A key always goes with a POST, because Stripe.net puts a random one where there is none, and a repeat would then
/// pay twice. The metadata says whose transfer it is and which request made it, so that it can be found again.
/// </remarks>
public sealed class StripeTransfers(StripeClient stripe)
{
    internal const string OperationKey = "operation_id";
    internal const string TransferKey = "transfer_id";
    internal const string OrderKey = "order_id";

    /// <summary>Sends the seller's share from the platform's balance.</summary>
    public async Task<Answered<StripeTransferId>> Send(
        Transfer transfer,
        long amount,
        IdempotencyKey key,
        CancellationToken cancellation
    )
    {
        try
        {
            var sent = await stripe.V1.Transfers.CreateAsync(
                new TransferCreateOptions
                {
                    Amount = amount,
                    Currency = transfer.Amount.Currency.Code.ToLowerInvariant(),
                    Destination = transfer.Account.Value,
                    TransferGroup = Group(transfer.Order),
                    Metadata = Metadata(transfer, key),
                },
                new RequestOptions { IdempotencyKey = key.Value },
                cancellation
            );
            return new(Named(sent.Id), sent.StripeResponse?.RequestId);
        }
        catch (Exception error) when (!cancellation.IsCancellationRequested)
        {
            return StripeErrors.OfFailure<StripeTransferId>(error, Asked.Transfer, cancellation);
        }
    }

    /// <summary>
    /// Takes money back from the seller's available balance. The amount is always named, in the transfer's
    /// currency: Stripe's default is everything that is left.
    /// </summary>
    public async Task<Answered<StripeReversalId>> Reverse(
        Transfer transfer,
        StripeTransferId stripeId,
        long amount,
        IdempotencyKey key,
        CancellationToken cancellation
    )
    {
        try
        {
            var reversed = await stripe.V1.Transfers.Reversals.CreateAsync(
                stripeId.Value,
                new TransferReversalCreateOptions { Amount = amount, Metadata = Metadata(transfer, key) },
                new RequestOptions { IdempotencyKey = key.Value },
                cancellation
            );
            return new(
                StripeReversalId
                    .Parse(reversed.Id)
                    .Match(
                        ok: Answer<StripeReversalId>.NewAccepted,
                        error: _ => Answer<StripeReversalId>.NewInDoubt(Doubt.Unreadable)
                    ),
                reversed.StripeResponse?.RequestId
            );
        }
        catch (Exception error) when (!cancellation.IsCancellationRequested)
        {
            return StripeErrors.OfFailure<StripeReversalId>(error, Asked.Reversal, cancellation);
        }
    }

    /// <summary>
    /// Every transfer at Stripe that carries this transfer's id in its metadata and counts. Stripe cannot search transfers
    /// by metadata, so the order's group is listed first and the seller's recent transfers after that.
    /// </summary>
    public async Task<IReadOnlyList<StripeTransferId>> Find(Transfer transfer, CancellationToken cancellation)
    {
        var inGroup = await Matching(
            new TransferListOptions { TransferGroup = Group(transfer.Order), Limit = 100 },
            transfer,
            cancellation
        );
        var found =
            inGroup.Count > 0
                ? inGroup
                : await Matching(
                    new TransferListOptions
                    {
                        Destination = transfer.Account.Value,
                        Created = new DateRangeOptions
                        {
                            GreaterThanOrEqual = FirstSent(transfer).UtcDateTime,
                        },
                        Limit = 100,
                    },
                    transfer,
                    cancellation
                );
        return [.. TransferReport.counting(ListModule.OfSeq(found))];
    }

    /// <summary>
    /// What Stripe's books say about a transfer's reversals, read to the last page. The transfer is read first: what is
    /// reversed in between is in the list and not in the sum, so it is never taken for somebody else's.
    /// </summary>
    /// <param name="key">Of the claim under way; null if there is none, and so no reversal can be its.</param>
    public async Task<ReversalSight> FindReversal(
        StripeTransferId stripeId,
        IdempotencyKey? key,
        CancellationToken cancellation
    )
    {
        var transfer = await stripe.V1.Transfers.GetAsync(stripeId.Value, cancellationToken: cancellation);
        StripeReversalId? ours = null;
        var keyless = new List<KeylessReversal>();
        if (key is null)
        {
            return new ReversalSight(
                FSharpOption<StripeReversalId>.None,
                transfer.AmountReversed,
                ListModule.OfSeq(keyless)
            );
        }

        await foreach (
            var reversal in stripe.V1.Transfers.Reversals.ListAutoPagingAsync(
                stripeId.Value,
                new TransferReversalListOptions { Limit = 100 },
                cancellationToken: cancellation
            )
        )
        {
            var operation = reversal.Metadata?.GetValueOrDefault(OperationKey);
            if (operation == key.Value)
            {
                ours = Read(reversal.Id);
            }
            else if (string.IsNullOrEmpty(operation))
            {
                keyless.Add(new KeylessReversal(Read(reversal.Id), reversal.Amount));
            }
        }

        return new ReversalSight(
            ours is null ? FSharpOption<StripeReversalId>.None : FSharpOption<StripeReversalId>.Some(ours),
            transfer.AmountReversed,
            ListModule.OfSeq(keyless)
        );

        static StripeReversalId Read(string id) =>
            StripeReversalId
                .Parse(id)
                .Match(ok: read => read, error: why => throw new InvalidDataException(why));
    }

    /// <summary>Whether a look-up that failed may simply be repeated. Anything else is a fault of ours.</summary>
    public static bool IsPassing(Exception error, CancellationToken cancellation) =>
        error is StripeException || Transport.Classify<StripeTransferId>(error, cancellation) is not null;

    async Task<List<TransferSight>> Matching(
        TransferListOptions options,
        Transfer transfer,
        CancellationToken cancellation
    )
    {
        var found = new List<TransferSight>();
        await foreach (
            var candidate in stripe.V1.Transfers.ListAutoPagingAsync(options, cancellationToken: cancellation)
        )
        {
            if (candidate.Metadata?.GetValueOrDefault(TransferKey) == transfer.Id.Value.ToString("D"))
            {
                found.Add(
                    new(
                        StripeTransferId
                            .Parse(candidate.Id)
                            .Match(ok: id => id, error: why => throw new InvalidDataException(why)),
                        candidate.Amount,
                        candidate.AmountReversed
                    )
                );
            }
        }

        return found;
    }

    /// <summary>What holds an order's transfers together at Stripe.</summary>
    public static string Group(OrderId order) => $"order_{order.Value:N}";

    static Dictionary<string, string> Metadata(Transfer transfer, IdempotencyKey key) =>
        new()
        {
            [OrderKey] = transfer.Order.Value.ToString("D"),
            [TransferKey] = transfer.Id.Value.ToString("D"),
            [OperationKey] = key.Value,
            ["attempt"] = key.Value[(key.Value.LastIndexOf(':') + 1)..],
        };

    /// <summary>An hour of margin for clocks that differ.</summary>
    static DateTimeOffset FirstSent(Transfer transfer) =>
        (
            transfer.Attempt is { Value.Operation.Certainty: Certainty.Sent { First: var first } }
                ? first
                : DateTimeOffset.UnixEpoch.AddHours(1)
        ).AddHours(-1);

    static Answer<StripeTransferId> Named(string id) =>
        StripeTransferId
            .Parse(id)
            .Match(
                ok: Answer<StripeTransferId>.NewAccepted,
                error: _ => Answer<StripeTransferId>.NewInDoubt(Doubt.Unreadable)
            );
}
