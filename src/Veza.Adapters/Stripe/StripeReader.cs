using System.Globalization;
using System.Net;
using System.Text.Json;
using Stripe;

namespace Veza.Adapters.Stripe;

/// <summary>A page of Stripe's list, newest first; <paramref name="Last"/> names where the next one begins.</summary>
public sealed record BooksPage(IReadOnlyList<JsonElement> Items, string? Last);

/// <summary>
/// Reads what is in Stripe's books, one request a call, as JSON. For look-ups that webhooks ask for, and for
/// reconciliation.
/// </summary>
public sealed class StripeReader(StripeClient stripe)
{
    /// <summary>Null if Stripe does not know it.</summary>
    public Task<JsonElement?> Transfer(string id, CancellationToken cancellation) =>
        Find($"/v1/transfers/{Uri.EscapeDataString(id)}", cancellation);

    /// <summary>On the seller's own account. Null if Stripe does not know it.</summary>
    public Task<JsonElement?> Payout(string account, string id, CancellationToken cancellation) =>
        Find($"/v1/payouts/{Uri.EscapeDataString(id)}", cancellation, account);

    /// <summary>Null if Stripe does not know it.</summary>
    public Task<JsonElement?> Refund(string id, CancellationToken cancellation) =>
        Find($"/v1/refunds/{Uri.EscapeDataString(id)}", cancellation);

    /// <summary>Null if Stripe does not know it.</summary>
    public Task<JsonElement?> Dispute(string id, CancellationToken cancellation) =>
        Find($"/v1/disputes/{Uri.EscapeDataString(id)}", cancellation);

    /// <summary>Null if Stripe does not know it, or it is not connected any more.</summary>
    public async Task<AccountStanding?> Account(string id, CancellationToken cancellation) =>
        await Find($"/v1/accounts/{Uri.EscapeDataString(id)}", cancellation) is { } account
            ? StandingOf(account)
            : null;

    /// <summary>Transfers made in the window, newest first.</summary>
    public Task<BooksPage> Transfers(
        DateTimeOffset from,
        DateTimeOffset upto,
        string? after,
        CancellationToken cancellation
    ) => Page("/v1/transfers", Window(from, upto), after, cancellation);

    /// <summary>All transfers of one order's group.</summary>
    public Task<BooksPage> TransfersOf(string group, string? after, CancellationToken cancellation) =>
        Page("/v1/transfers", $"transfer_group={Uri.EscapeDataString(group)}", after, cancellation);

    /// <summary>Transfers to one account in the window.</summary>
    public Task<BooksPage> TransfersTo(
        string account,
        DateTimeOffset from,
        DateTimeOffset upto,
        string? after,
        CancellationToken cancellation
    ) =>
        Page(
            "/v1/transfers",
            $"destination={Uri.EscapeDataString(account)}&{Window(from, upto)}",
            after,
            cancellation
        );

    /// <summary>The platform's events of the window, newest first. Stripe keeps them for 30 days.</summary>
    public Task<BooksPage> Events(
        DateTimeOffset from,
        DateTimeOffset upto,
        string? after,
        CancellationToken cancellation
    ) => Page("/v1/events", Window(from, upto), after, cancellation);

    /// <summary>Disputes raised in the window, newest first.</summary>
    public Task<BooksPage> Disputes(
        DateTimeOffset from,
        DateTimeOffset upto,
        string? after,
        CancellationToken cancellation
    ) => Page("/v1/disputes", Window(from, upto), after, cancellation);

    /// <summary>The accounts connected to the platform, newest first.</summary>
    public Task<BooksPage> Accounts(CancellationToken cancellation) =>
        Page("/v1/accounts", "", null, cancellation);

    public static AccountStanding StandingOf(JsonElement account) =>
        new(
            Flag(account, "payouts_enabled"),
            account.TryGetProperty("capabilities", out var capabilities)
                && capabilities.ValueKind == JsonValueKind.Object
                && capabilities.TryGetProperty("transfers", out var transfers)
                && transfers.ValueKind == JsonValueKind.String
                && transfers.GetString() == "active",
            account.TryGetProperty("requirements", out var requirements)
            && requirements.ValueKind == JsonValueKind.Object
                ? JsonFields.OptionalText(requirements, "disabled_reason")
                : null
        );

    static bool Flag(JsonElement parent, string name) =>
        parent.TryGetProperty(name, out var flag) && flag.ValueKind == JsonValueKind.True;

    /// <summary>Stripe counts in seconds; the last one is looked at whole.</summary>
    static string Window(DateTimeOffset from, DateTimeOffset upto) =>
        string.Create(
            CultureInfo.InvariantCulture,
            $"created[gte]={from.ToUnixTimeSeconds()}&created[lte]={upto.ToUnixTimeSeconds()}"
        );

    async Task<BooksPage> Page(string path, string query, string? after, CancellationToken cancellation)
    {
        var cursor = after is null ? "" : $"&starting_after={Uri.EscapeDataString(after)}";
        var list = await Get($"{path}?limit=100&{query}{cursor}", cancellation);
        var items = list.GetProperty("data").EnumerateArray().ToList();
        return new(
            items,
            items.Count > 0 && Flag(list, "has_more") ? items[^1].GetProperty("id").GetString() : null
        );
    }

    async Task<JsonElement?> Find(string path, CancellationToken cancellation, string? account = null)
    {
        try
        {
            return await Get(path, cancellation, account);
        }
        catch (StripeException error)
            when (error.HttpStatusCode is HttpStatusCode.NotFound or HttpStatusCode.Forbidden
                && error.StripeError?.Code is "resource_missing" or "account_invalid"
            )
        {
            return null;
        }
    }

    async Task<JsonElement> Get(string path, CancellationToken cancellation, string? account = null)
    {
        var response = await stripe.RawRequestAsync(
            HttpMethod.Get,
            path,
            requestOptions: new RawRequestOptions { StripeAccount = account },
            cancellationToken: cancellation
        );
        try
        {
            using var document = JsonDocument.Parse(response.Content);
            return document.RootElement.Clone();
        }
        catch (JsonException error)
        {
            // A broken answer says nothing of what was asked about: it is asked again.
            throw new HttpRequestException(
                HttpRequestError.InvalidResponse,
                "Stripe's answer cannot be read.",
                error
            );
        }
    }
}
