namespace Veza.Sandbox.Stripe;

/// <summary>
/// The platform's and the sellers' money at Stripe, as separate charges and transfers work: a transfer needs the
/// platform's balance, a reversal the seller's. One lock; each movement is whole or not at all.
/// </summary>
public sealed class StripeBooks(TimeProvider clock, StripeAccountBooks accounts, StripeEventLog log)
{
    readonly Lock gate = new();
    readonly Dictionary<(string Account, string Currency), long> balances = [];
    readonly Dictionary<string, StripeTransfer> transfers = [];
    readonly List<StripeTransfer> inOrder = [];

    /// <summary>The name under which the platform's own balance is kept.</summary>
    public const string Platform = "platform";

    public void Open(string account) => accounts.Open(account);

    public long Balance(string account, string currency)
    {
        lock (gate)
        {
            return balances.GetValueOrDefault((account, currency.ToLowerInvariant()));
        }
    }

    /// <summary>Money from or to the outside: a charge, a refund, a payout, a top-up.</summary>
    public void Move(string account, string currency, long amount)
    {
        lock (gate)
        {
            var place = (account, currency.ToLowerInvariant());
            balances[place] = balances.GetValueOrDefault(place) + amount;
        }
    }

    /// <summary>False, and nothing moves, where the balance does not cover it.</summary>
    public bool Take(string account, string currency, long amount)
    {
        lock (gate)
        {
            var place = (account, currency.ToLowerInvariant());
            if (balances.GetValueOrDefault(place) < amount)
            {
                return false;
            }

            balances[place] -= amount;
            return true;
        }
    }

    /// <summary>An account's balances by currency.</summary>
    public IReadOnlyDictionary<string, long> Balances(string account)
    {
        lock (gate)
        {
            return balances
                .Where(entry => entry.Key.Account == account)
                .ToDictionary(entry => entry.Key.Currency, entry => entry.Value);
        }
    }

    /// <summary>Pays a seller's balance out to its bank: reversals find nothing there afterwards.</summary>
    public long PayOut(string account, string currency)
    {
        lock (gate)
        {
            var place = (account, currency.ToLowerInvariant());
            balances.Remove(place, out var paid);
            return paid;
        }
    }

    public IReadOnlyList<StripeTransfer> Transfers()
    {
        lock (gate)
        {
            return [.. inOrder.Select(transfer => transfer with { Reversals = [.. transfer.Reversals] })];
        }
    }

    public StripeAnswer Create(IReadOnlyDictionary<string, string> form)
    {
        if (StripeForm.Refusal(form, "currency", "destination") is { } refusal)
        {
            return refusal;
        }

        var (amount, currency) = (StripeForm.Amount(form)!.Value, StripeForm.Currency(form));
        var destination = form["destination"];
        lock (gate)
        {
            if (!accounts.Knows(destination))
            {
                return StripeAnswer.Invalid(
                    400,
                    "resource_missing",
                    $"No such destination: '{destination}'",
                    "destination"
                );
            }

            if (!accounts.TakesTransfers(destination))
            {
                return StripeAnswer.Refused(
                    "insufficient_capabilities_for_transfer",
                    "Your destination account needs to have at least one of the following capabilities enabled: "
                        + "transfers, crypto_transfers, legacy_payments"
                );
            }

            if (balances.GetValueOrDefault((Platform, currency)) < amount)
            {
                return StripeAnswer.Refused(
                    "balance_insufficient",
                    "You have insufficient funds in your Stripe account. One likely reason you have insufficient "
                        + "funds is that your funds are automatically being paid out."
                );
            }

            Shift(Platform, destination, currency, amount);
            var transfer = new StripeTransfer(
                log.Name("tr"),
                destination,
                currency,
                amount,
                form.GetValueOrDefault("transfer_group"),
                StripeForm.Metadata(form),
                clock.GetUtcNow(),
                []
            );
            transfers.Add(transfer.Id, transfer);
            inOrder.Add(transfer);
            log.Publish("transfer.created", transfer.ToJson());
            return new StripeAnswer(200, transfer.ToJson());
        }
    }

    public StripeAnswer Reverse(string id, IReadOnlyDictionary<string, string> form)
    {
        lock (gate)
        {
            if (!transfers.TryGetValue(id, out var transfer))
            {
                return StripeAnswer.Invalid(404, "resource_missing", $"No such transfer: '{id}'", "id");
            }

            var left = transfer.Amount - transfer.Reversed;
            if (left == 0)
            {
                return StripeAnswer.Refused(null, $"The transfer {id} is already fully reversed.");
            }

            if (form.ContainsKey("amount") && StripeForm.RefusedAmount(form) is { } refusal)
            {
                return refusal;
            }

            var amount = StripeForm.Amount(form) ?? left;
            if (amount > left)
            {
                return StripeAnswer.Refused(
                    null,
                    $"Transfer reversal amount ({amount}) is greater than unreversed amount on transfer ({left})",
                    "amount"
                );
            }

            if (balances.GetValueOrDefault((transfer.Destination, transfer.Currency)) < amount)
            {
                return StripeAnswer.Refused(
                    "balance_insufficient",
                    "The recipient of this transfer does not have sufficient funds in their Stripe balance to "
                        + "reverse this amount."
                );
            }

            Shift(transfer.Destination, Platform, transfer.Currency, amount);
            var reversal = new StripeReversal(
                log.Name("trr"),
                id,
                transfer.Currency,
                amount,
                StripeForm.Metadata(form),
                clock.GetUtcNow()
            );
            transfer.Reversals.Add(reversal);
            log.Publish("transfer.reversed", transfer.ToJson());
            return new StripeAnswer(200, reversal.ToJson());
        }
    }

    public StripeAnswer Get(string id)
    {
        lock (gate)
        {
            return transfers.TryGetValue(id, out var transfer)
                ? new StripeAnswer(200, transfer.ToJson())
                : StripeAnswer.Invalid(404, "resource_missing", $"No such transfer: '{id}'", "id");
        }
    }

    public StripeAnswer List(IReadOnlyDictionary<string, string> query)
    {
        lock (gate)
        {
            var found = inOrder
                .AsEnumerable()
                .Reverse()
                .Where(transfer => StripeList.Fits(query, "transfer_group", transfer.Group))
                .Where(transfer => StripeList.Fits(query, "destination", transfer.Destination))
                .Where(transfer => StripeList.IsInWindow(query, transfer.Created));
            return StripeList.Page(
                query,
                "/v1/transfers",
                found,
                transfer => transfer.Id,
                StripeShapes.ToJson
            );
        }
    }

    public StripeAnswer ListReversals(string id, IReadOnlyDictionary<string, string> query)
    {
        lock (gate)
        {
            return transfers.TryGetValue(id, out var transfer)
                ? StripeList.Page(
                    query,
                    $"/v1/transfers/{id}/reversals",
                    transfer.Reversals.AsEnumerable().Reverse(),
                    reversal => reversal.Id,
                    StripeShapes.ToJson
                )
                : StripeAnswer.Invalid(404, "resource_missing", $"No such transfer: '{id}'", "id");
        }
    }

    void Shift(string from, string to, string currency, long amount)
    {
        balances[(from, currency)] = balances.GetValueOrDefault((from, currency)) - amount;
        balances[(to, currency)] = balances.GetValueOrDefault((to, currency)) + amount;
    }
}
