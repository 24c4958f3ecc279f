using System.Text.Json;

namespace Veza.Host.Sellers;

/// <summary>
/// Registers sellers. Stripe is asked about an account that is new: one that it does not know would be refused each
/// transfer later. Where Stripe does not answer, the seller is registered all the same, and its standing is unknown.
/// </summary>
sealed partial class SellerService(SellerRepository sellers, StripeReader books, ILogger<SellerService> log)
{
    /// <summary>Somebody waits for the answer, and can do without Stripe's.</summary>
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    /// <summary>Null if Stripe does not know the account, or it is not connected to the platform.</summary>
    public async Task<SavedSeller?> Register(
        Seller seller,
        bool keepsFee,
        string actor,
        CancellationToken cancellation
    )
    {
        AccountStanding? standing = null;
        if (!await sellers.HasStanding(seller.Id, seller.StripeAccountId, cancellation))
        {
            (var isUnknown, standing) = await Ask(seller.StripeAccountId, cancellation);
            if (isUnknown)
            {
                return null;
            }
        }

        return await sellers.Save(seller, keepsFee, standing, actor, cancellation);
    }

    async Task<(bool IsUnknown, AccountStanding? Standing)> Ask(
        string account,
        CancellationToken cancellation
    )
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        patience.CancelAfter(Patience);
        try
        {
            var standing = await books.Account(account, patience.Token);
            return (standing is null, standing);
        }
        catch (Exception error)
            when (error is JsonException || StripeTransfers.IsPassing(error, cancellation))
        {
            LogNoAnswer(account, error.Message);
            return (false, null);
        }
    }

    [LoggerMessage(
        LogLevel.Warning,
        "Stripe did not report the status of account {Account} ({Why}). The account is registered all the same."
    )]
    partial void LogNoAnswer(string account, string why);
}
