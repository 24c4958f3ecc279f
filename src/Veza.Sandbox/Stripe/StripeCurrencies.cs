using System.Globalization;

namespace Veza.Sandbox.Stripe;

/// <summary>The currencies that Stripe takes, and how it writes their amounts.</summary>
public static class StripeCurrencies
{
    const string WithoutDecimals = "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF";
    const string WithThree = "BHD JOD KWD OMR TND";

    /// <summary>No minor unit is in use, yet Stripe writes two digits, which must be 00.</summary>
    const string WithTwoThatAreNone = "ISK UGX";

    const string WithTwo =
        "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BWP BYN BZD CAD CDF CHF CNY COP "
        + "CRC CVE CZK DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR JMD KES "
        + "KGS KHR KYD KZT LAK LBP LKR LRD LSL MAD MDL MKD MMK MNT MOP MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR "
        + "NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SEK SGD SHP SLE SOS SRD STN SZL THB TJS TOP TRY "
        + "TTD TWD TZS UAH USD UYU UZS WST XCD YER ZAR ZMW";

    /// <summary>A name for each currency, upper case, and how many digits a person sees behind its point.</summary>
    static readonly Dictionary<string, int> Decimals = Named(WithoutDecimals, 0)
        .Concat(Named(WithTwoThatAreNone, 0))
        .Concat(Named(WithTwo, 2))
        .Concat(Named(WithThree, 3))
        .ToDictionary(StringComparer.OrdinalIgnoreCase);

    /// <summary>Lower case, as Stripe lists them.</summary>
    public static IEnumerable<string> All => Decimals.Keys.Select(code => code.ToLowerInvariant()).Order();

    public static bool Knows(string currency) => Decimals.ContainsKey(currency);

    static IEnumerable<KeyValuePair<string, int>> Named(string codes, int decimals) =>
        codes.Split(' ').Select(code => KeyValuePair.Create(code, decimals));

    /// <summary>As a person reads it; the sandbox knows nothing of Veza, so also not its formatter.</summary>
    public static string Display(long minor, string currency)
    {
        var decimals = Decimals[currency];
        var unit = 1m;
        for (var digit = 0; digit < decimals; digit++)
        {
            unit *= 10;
        }

        return (minor / unit).ToString($"N{decimals}", CultureInfo.InvariantCulture)
            + " "
            + currency.ToUpperInvariant();
    }
}
