namespace Veza.Sandbox.Stripe;

/// <summary>A payout of a connected account.</summary>
public sealed record StripePayout(
    string Id,
    string Account,
    string Currency,
    long Amount,
    IReadOnlyDictionary<string, string> Metadata,
    DateTimeOffset Created,
    string Status,
    string? FailureCode
);

/// <summary>
/// Money from sellers' Stripe balances to their banks. A payout leaves the balance at once, is in transit a moment later
/// and then paid, unless it is decided otherwise; one that fails gives the money back, even after it was paid.
/// </summary>
public sealed class StripePayoutBooks(
    TimeProvider clock,
    StripeAccountBooks accounts,
    StripeBooks money,
    StripeEventLog log
)
{
    readonly Lock gate = new();
    readonly Dictionary<string, StripePayout> payouts = [];

    /// <summary>How long a payout takes to be paid by itself; null: it waits to be decided.</summary>
    public TimeSpan? ArrivesAfter { get; set; } = TimeSpan.FromMilliseconds(300);

    public StripeAnswer Create(IReadOnlyDictionary<string, string> form, string? account)
    {
        if (account is null)
        {
            return StripeAnswer.Refused("payouts_not_allowed", "The platform's payouts are automatic.");
        }

        if (StripeForm.Refusal(form, "currency") is { } refusal)
        {
            return refusal;
        }

        if (!accounts.Knows(account))
        {
            return accounts.Get(account);
        }

        if (!accounts.PaysOut(account))
        {
            return StripeAnswer.Refused(
                "payouts_not_allowed",
                "Payouts have been disabled on this account. Check its status to see if more information is needed."
            );
        }

        var (amount, currency) = (StripeForm.Amount(form)!.Value, StripeForm.Currency(form));
        lock (gate)
        {
            if (!money.Take(account, currency, amount))
            {
                return StripeAnswer.Refused(
                    "balance_insufficient",
                    "You have insufficient funds in your Stripe account for this transfer. Your card balance is too low."
                );
            }

            var payout = new StripePayout(
                log.Name("po"),
                account,
                currency,
                amount,
                StripeForm.Metadata(form),
                clock.GetUtcNow(),
                "pending",
                null
            );
            payouts.Add(payout.Id, payout);
            log.Publish("payout.created", payout.ToJson(), account);
            if (ArrivesAfter is { } after)
            {
                _ = Task.Delay(after)
                    .ContinueWith(_ => Decide(payout.Id, "paid", null), TaskScheduler.Default);
            }

            return new StripeAnswer(200, payout.ToJson());
        }
    }

    public StripeAnswer Get(string id, string? account)
    {
        lock (gate)
        {
            return payouts.TryGetValue(id, out var payout) && payout.Account == account
                ? new StripeAnswer(200, payout.ToJson())
                : StripeAnswer.Invalid(404, "resource_missing", $"No such payout: '{id}'", "payout");
        }
    }

    public StripeAnswer List(IReadOnlyDictionary<string, string> query, string? account)
    {
        lock (gate)
        {
            var found = payouts
                .Values.Reverse()
                .Where(payout => payout.Account == account && StripeList.IsInWindow(query, payout.Created))
                .Where(payout => StripeList.Fits(query, "status", payout.Status));
            return StripeList.Page(query, "/v1/payouts", found, payout => payout.Id, StripeShapes.ToJson);
        }
    }

    /// <summary>What becomes of a payout. False if there is no such payout, or it has ended that way already.</summary>
    /// <param name="status"><c>in_transit</c>, <c>paid</c>, <c>failed</c> or <c>canceled</c>.</param>
    public bool Decide(string id, string status, string? failureCode)
    {
        lock (gate)
        {
            if (
                !payouts.TryGetValue(id, out var payout)
                || payout.Status == status
                || payout.Status is "failed" or "canceled"
            )
            {
                return false;
            }

            if (status is "failed" or "canceled")
            {
                money.Move(payout.Account, payout.Currency, payout.Amount);
            }

            var next = payout with
            {
                Status = status,
                FailureCode = status == "failed" ? failureCode ?? "account_closed" : null,
            };
            payouts[id] = next;
            log.Publish(
                status == "in_transit" ? "payout.updated" : $"payout.{status}",
                next.ToJson(),
                next.Account
            );
            return true;
        }
    }
}
