using System.Globalization;

namespace Veza.Sandbox.Stripe;

/// <summary>The fields of a form, and what Stripe says where they are wrong.</summary>
static class StripeForm
{
    /// <summary>An amount has at most eight digits, whatever its currency.</summary>
    const long Most = 99_999_999;

    /// <summary>A positive integer of minor units; null for anything else.</summary>
    public static long? Amount(IReadOnlyDictionary<string, string> form) =>
        Number(form) is { } amount and > 0 ? amount : null;

    static long? Number(IReadOnlyDictionary<string, string> form) =>
        form.TryGetValue("amount", out var text)
        && long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var amount)
            ? amount
            : null;

    /// <summary>As Stripe writes it: it takes any case.</summary>
    public static string Currency(IReadOnlyDictionary<string, string> form) =>
        form["currency"].ToLowerInvariant();

    public static Dictionary<string, string> Metadata(IReadOnlyDictionary<string, string> form) =>
        form.Where(field => field.Key.StartsWith("metadata[", StringComparison.Ordinal))
            .ToDictionary(field => field.Key["metadata[".Length..^1], field => field.Value);

    /// <summary>What is wrong with the fields that every movement needs; null if nothing is.</summary>
    public static StripeAnswer? Refusal(IReadOnlyDictionary<string, string> form, params string[] required)
    {
        if (Array.Find(["amount", .. required], name => !form.ContainsKey(name)) is { } missing)
        {
            return StripeAnswer.Invalid(
                400,
                "parameter_missing",
                $"Missing required param: {missing}.",
                missing
            );
        }

        return RefusedAmount(form)
            ?? RefusedCurrency(form["currency"])
            ?? RefusedSize(Amount(form)!.Value, form["currency"]);
    }

    /// <summary>Null if it is a positive integer.</summary>
    public static StripeAnswer? RefusedAmount(IReadOnlyDictionary<string, string> form) =>
        Number(form) is not { } amount
            ? StripeAnswer.Invalid(
                400,
                "parameter_invalid_integer",
                $"Invalid integer: {form["amount"]}",
                "amount"
            )
        : amount < 1
            ? StripeAnswer.Invalid(
                400,
                "parameter_invalid_integer",
                "This value must be greater than or equal to 1.",
                "amount"
            )
        : null;

    /// <summary>Null if Stripe can move it. It gives no code for a currency that it does not know.</summary>
    public static StripeAnswer? RefusedCurrency(string currency) =>
        StripeCurrencies.Knows(currency)
            ? null
            : StripeAnswer.Invalid(
                400,
                null,
                $"Invalid currency: {currency.ToLowerInvariant()}. Stripe currently supports these currencies: "
                    + string.Join(", ", StripeCurrencies.All),
                "currency"
            );

    /// <summary>Null if it has no more than eight digits.</summary>
    public static StripeAnswer? RefusedSize(long amount, string currency) =>
        amount <= Most
            ? null
            : StripeAnswer.Invalid(
                400,
                "amount_too_large",
                $"Amount must be no more than {StripeCurrencies.Display(Most, currency)}",
                "amount"
            );
}
