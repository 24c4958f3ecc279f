using System.Globalization;
using System.Text.Json;
using Veza.Domain.Reconciliation;

namespace Veza.Host.AdminConsole;

/// <summary>What the pages read out of the API's own JSON: the console shows what the API says.</summary>
static class Reading
{
    public static string Text(this JsonElement thing, string name) =>
        thing.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String
            ? value.GetString()!
            : "";

    public static long Number(this JsonElement thing, string name) => thing.GetProperty(name).GetInt64();

    /// <summary>Whether a finding of a reconciliation is mended.</summary>
    public static bool Healed(this JsonElement finding) => finding.GetProperty("healed").GetBoolean();

    /// <summary>Whether somebody must look at it.</summary>
    public static bool Counts(this JsonElement finding) =>
        DifferenceModule.counts(
            finding.Text("reason"),
            finding.Healed(),
            finding.Text("acknowledged_by").Length > 0
        );

    public static IReadOnlyList<JsonElement> Items(this JsonElement thing, string name) =>
        [.. thing.GetProperty(name).EnumerateArray()];

    public static string Money(this JsonElement thing, string name) => thing.Money(thing.Number(name));

    /// <summary>In the currency of the thing.</summary>
    public static string Money(this JsonElement thing, long minor) =>
        Veza.Domain.Money.Display(minor, thing.Text("currency"));

    public static string Time(this JsonElement thing, string name) =>
        DateTimeOffset.TryParse(thing.Text(name), CultureInfo.InvariantCulture, out var time)
            ? time.Shown()
            : "";

    static string FailureCode(this JsonElement thing) =>
        thing.TryGetProperty("failure", out var failure) && failure.ValueKind == JsonValueKind.Object
            ? failure.Text("code")
            : "";

    public static string Shown(this DateTimeOffset time) =>
        time.UtcDateTime.ToString("d MMM yyyy, HH:mm:ss 'UTC'", CultureInfo.InvariantCulture);

    /// <summary>Why it waits, in words; empty if it does not.</summary>
    public static string Waiting(this JsonElement transfer) =>
        transfer.Text("waiting_for") switch
        {
            "" => "",
            "due" => "its turn",
            "hold" => "the end of its hold",
            "in_flight" => "Stripe's answer",
            "answer" => "a definite answer",
            "retry" => "its next try",
            "seller_funds" => "money in the seller's balance",
            "platform_funds" => "money in the platform's balance",
            "provider" => transfer.FailureCode() switch
            {
                "401" => "credentials that Stripe accepts (401)",
                "403" => "credentials that Stripe allows this (403)",
                "429" => "Stripe's rate limit (429)",
                _ => "Stripe to be available",
            },
            var other => other,
        };
}

/// <summary>How a status looks.</summary>
static class Tone
{
    public static string Of(string status) =>
        status switch
        {
            "completed" or "reversed" or "won" => "good",
            "pending" or "reversal_pending" => "moving",
            "failed" or "open" => "warn",
            "permanently_failed" or "lost" => "bad",
            _ => "still",
        };

    public static string Words(string status) => status.Replace('_', ' ');
}
