namespace Veza.Domain

open System

/// An ISO 4217 currency, known by its upper-case code.
/// Hyperswitch wants the code as it is, Stripe wants it in lower case.
type Currency =
    private
    | Currency of code: string * exponent: int

    /// The upper-case code, `EUR`.
    member currency.Code =
        let (Currency(code, _)) = currency
        code

    /// Whether a provider's code for a currency means this one, in whatever case it writes it.
    member currency.HasCode(code: string) =
        String.Equals(code, currency.Code, StringComparison.OrdinalIgnoreCase)

    /// How many digits stand behind the point: 2 for EUR, 0 for JPY, 3 for KWD.
    member currency.Exponent =
        let (Currency(_, exponent)) = currency
        exponent

    override currency.ToString() = currency.Code

module Currency =
    let private withoutDecimals = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
    let private withThreeDecimals = "BHD IQD JOD KWD LYD OMR TND"

    let private withTwoDecimals =
        "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF "
        + "CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG "
        + "HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU "
        + "MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR "
        + "SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED "
        + "VES WST XCD YER ZAR ZMW ZWG"

    /// Every currency that Veza can settle.
    let all = [
        for codes, exponent in [ withoutDecimals, 0; withTwoDecimals, 2; withThreeDecimals, 3 ] do
            for code in codes.Split ' ' do
                Currency(code, exponent)
    ]

    let private known = dict [ for currency in all -> currency.Code, currency ]

    /// Reads an upper-case ISO 4217 code.
    let parse (code: string) =
        match known.TryGetValue code with
        | true, currency -> Ok currency
        | false, _ -> Error $"'{code}' is not an ISO 4217 currency code in upper case."

/// An amount in the smallest unit of one currency: cents, never euros.
[<Struct>]
type Money = {
    Minor: int64
    Currency: Currency
} with

    /// Whether an amount that a provider names, in its own writing of the currency, is this one. The only comparison of the
    /// two: an amount without its currency is none.
    member money.Is(minor: int64, code: string) = money.Minor = minor && money.Currency.HasCode code

    /// In euros, exactly. For figures that people see; nothing is computed with it.
    member money.Major = decimal money.Minor / pown 10m money.Currency.Exponent

    /// As a person reads it, whatever the machine's language: `1,234.50 EUR`.
    member money.Display() =
        money.Major.ToString($"N{money.Currency.Exponent}", Globalization.CultureInfo.InvariantCulture)
        + $" {money.Currency.Code}"

    /// The same for what a provider reports. A currency that Veza does not know has no known point, so nothing is divided.
    static member Display(minor: int64, code: string) =
        match Currency.parse (code.ToUpperInvariant()) with
        | Ok currency -> { Minor = minor; Currency = currency }.Display()
        | Error _ -> $"{minor} of the smallest unit of {code}"

    /// Of what the database says, for a gauge: all of ours are known.
    static member InMajor(minor: int64, code: string) =
        match Currency.parse code with
        | Ok currency -> { Minor = minor; Currency = currency }.Major
        | Error _ -> decimal minor

    override money.ToString() = money.Display()

/// Arithmetic on minor units that cannot overflow and never meets a fraction.
module Minor =
    /// The largest amount Veza accepts for one order; far above what either provider does.
    let most = 999_999_999_999L

    /// ⌊amount × part ÷ whole⌋, computed wide enough for any two amounts.
    let portion (amount: int64) (part: int64) (whole: int64) =
        int64 (bigint amount * bigint part / bigint whole)
