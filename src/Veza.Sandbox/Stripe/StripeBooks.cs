using System.Globalization;
using System.Text.Json.Nodes;

namespace Veza.Sandbox.Stripe;

/// <summary>
/// The platform's and the sellers' money at Stripe, as separate charges and transfers work: a transfer needs the
/// platform's balance, a reversal the seller's. One lock; each movement is whole or not at all.
/// </summary>
public sealed class StripeBooks(TimeProvider clock, Action<string, string> publish)
{
    readonly Lock gate = new();
    readonly Dictionary<(string Account, string Currency), long> balances = [];
    readonly HashSet<string> accounts = [];
    readonly Dictionary<string, StripeTransfer> transfers = [];
    readonly List<StripeTransfer> inOrder = [];
    long serial;

    /// <summary>The name under which the platform's own balance is kept.</summary>
    public const string Platform = "platform";

    public void Open(string account)
    {
        lock (gate)
        {
            accounts.Add(account);
        }
    }

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
        if (Amount(form) is not { } amount)
        {
            return StripeAnswer.Invalid(
                400,
                "parameter_invalid_integer",
                "Invalid positive integer",
                "amount"
            );
        }

        if (!form.TryGetValue("currency", out var currency))
        {
            return StripeAnswer.Invalid(
                400,
                "parameter_missing",
                "Missing required param: currency.",
                "currency"
            );
        }

        if (!form.TryGetValue("destination", out var destination))
        {
            return StripeAnswer.Invalid(
                400,
                "parameter_missing",
                "Missing required param: destination.",
                "destination"
            );
        }

        lock (gate)
        {
            if (!accounts.Contains(destination))
            {
                return StripeAnswer.Invalid(
                    400,
                    "resource_missing",
                    $"No such destination: '{destination}'",
                    "destination"
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
                Name("tr"),
                destination,
                currency,
                amount,
                form.GetValueOrDefault("transfer_group"),
                Metadata(form),
                clock.GetUtcNow(),
                []
            );
            transfers.Add(transfer.Id, transfer);
            inOrder.Add(transfer);
            publish("transfer.created", Event("transfer.created", transfer.ToJson()));
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

            if (form.ContainsKey("amount") && Amount(form) is null)
            {
                return StripeAnswer.Invalid(
                    400,
                    "parameter_invalid_integer",
                    "Invalid positive integer",
                    "amount"
                );
            }

            var amount = Amount(form) ?? left;
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
                Name("trr"),
                id,
                transfer.Currency,
                amount,
                Metadata(form),
                clock.GetUtcNow()
            );
            transfer.Reversals.Add(reversal);
            publish("transfer.reversed", Event("transfer.reversed", transfer.ToJson()));
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
                .Where(transfer => Fits(query, "transfer_group", transfer.Group))
                .Where(transfer => Fits(query, "destination", transfer.Destination))
                .Where(transfer =>
                    !Number(query, "created[gte]", out var least)
                    || transfer.Created.ToUnixTimeSeconds() >= least
                )
                .Where(transfer =>
                    !Number(query, "created[lte]", out var most)
                    || transfer.Created.ToUnixTimeSeconds() <= most
                );
            return Page(query, "/v1/transfers", found, transfer => transfer.Id, StripeShapes.ToJson);
        }
    }

    public StripeAnswer ListReversals(string id, IReadOnlyDictionary<string, string> query)
    {
        lock (gate)
        {
            return transfers.TryGetValue(id, out var transfer)
                ? Page(
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

    string Name(string prefix) => $"{prefix}_1Sandbox{++serial:D12}";

    string Event(string type, JsonObject about) =>
        new JsonObject
        {
            ["id"] = Name("evt"),
            ["object"] = "event",
            ["api_version"] = "2026-07-29.dahlia",
            ["created"] = clock.GetUtcNow().ToUnixTimeSeconds(),
            ["livemode"] = false,
            ["pending_webhooks"] = 1,
            ["type"] = type,
            ["data"] = new JsonObject { ["object"] = about },
        }.ToJsonString();

    static StripeAnswer Page<T>(
        IReadOnlyDictionary<string, string> query,
        string url,
        IEnumerable<T> all,
        Func<T, string> id,
        Func<T, JsonObject> json
    )
    {
        var limit = Number(query, "limit", out var asked) ? (int)Math.Clamp(asked, 1, 100) : 10;
        var rest = query.TryGetValue("starting_after", out var after)
            ? all.SkipWhile(item => id(item) != after).Skip(1)
            : all;
        var page = rest.Take(limit + 1).ToList();
        return new StripeAnswer(
            200,
            new JsonObject
            {
                ["object"] = "list",
                ["url"] = url,
                ["has_more"] = page.Count > limit,
                ["data"] = new JsonArray([.. page.Take(limit).Select(json)]),
            }
        );
    }

    static bool Fits(IReadOnlyDictionary<string, string> query, string name, string? value) =>
        !query.TryGetValue(name, out var asked) || asked == value;

    static bool Number(IReadOnlyDictionary<string, string> query, string name, out long number)
    {
        number = 0;
        return query.TryGetValue(name, out var text)
            && long.TryParse(text, CultureInfo.InvariantCulture, out number);
    }

    static long? Amount(IReadOnlyDictionary<string, string> form) =>
        form.TryGetValue("amount", out var text)
        && long.TryParse(text, CultureInfo.InvariantCulture, out var amount)
        && amount > 0
            ? amount
            : null;

    static Dictionary<string, string> Metadata(IReadOnlyDictionary<string, string> form) =>
        form.Where(field => field.Key.StartsWith("metadata[", StringComparison.Ordinal))
            .ToDictionary(field => field.Key["metadata[".Length..^1], field => field.Value);
}
