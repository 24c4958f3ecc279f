using System.Text.Json.Nodes;

namespace Veza.Sandbox.Stripe;

/// <summary>The accounts connected to the platform.</summary>
public sealed class StripeAccountBooks(StripeEventLog log)
{
    readonly Lock gate = new();
    readonly Dictionary<string, JsonObject> accounts = [];

    public bool Knows(string account)
    {
        lock (gate)
        {
            return accounts.ContainsKey(account);
        }
    }

    /// <summary>A restricted or rejected account has the capability no more; what it holds can still be taken back.</summary>
    public bool TakesTransfers(string account)
    {
        lock (gate)
        {
            return accounts[account]["capabilities"]!["transfers"]!.GetValue<string>() == "active";
        }
    }

    public bool PaysOut(string account)
    {
        lock (gate)
        {
            return accounts[account]["payouts_enabled"]!.GetValue<bool>();
        }
    }

    public JsonObject Open(string account)
    {
        lock (gate)
        {
            if (!accounts.TryGetValue(account, out var known))
            {
                accounts.Add(account, known = StripeShapes.Account(account, true, true, null));
            }

            return known.DeepClone().AsObject();
        }
    }

    /// <summary>As onboarding does for a test account.</summary>
    public StripeAnswer Create() =>
        new(200, Open(log.Name("acct").Replace("_1Sandbox", "_1", StringComparison.Ordinal)));

    public StripeAnswer Get(string account)
    {
        lock (gate)
        {
            return accounts.TryGetValue(account, out var known)
                ? new StripeAnswer(200, known.DeepClone().AsObject())
                : StripeAnswer.Error(
                    403,
                    "invalid_request_error",
                    "account_invalid",
                    $"The provided key does not have access to account '{account}' (or that account does not exist)."
                );
        }
    }

    public StripeAnswer List(IReadOnlyDictionary<string, string> query)
    {
        lock (gate)
        {
            return StripeList.Page(
                query,
                "/v1/accounts",
                accounts.Values.Reverse(),
                account => account["id"]!.GetValue<string>(),
                account => account.DeepClone().AsObject()
            );
        }
    }

    /// <summary>Stripe changes its mind about an account. False if there is no such account.</summary>
    public bool Change(string account, bool payoutsEnabled, bool transfersActive, string? disabledReason)
    {
        JsonObject changed;
        lock (gate)
        {
            if (!accounts.ContainsKey(account))
            {
                return false;
            }

            accounts[account] = changed = StripeShapes.Account(
                account,
                payoutsEnabled,
                transfersActive,
                disabledReason
            );
        }

        log.Publish("account.updated", changed, account);
        return true;
    }
}
