using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using Veza.Sandbox.Stripe;

namespace Veza.Sandbox.Control;

/// <summary>What a test or a person may do to the simulated world, under <c>/control</c>.</summary>
static class ControlEndpoints
{
    static readonly JsonSerializerOptions Snake = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        Converters = { new JsonStringEnumConverter(JsonNamingPolicy.SnakeCaseLower) },
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    };

    sealed record Jump(double Hours);

    sealed record Fate(Hyperswitch.RefundFate Outcome, int Times = 1);

    sealed record TopUp(string Currency, long Amount);

    sealed record Addresses(
        string? HyperswitchUrl,
        string? HyperswitchSecret,
        string? StripeUrl,
        string? StripeSecret
    );

    public static void Map(IEndpointRouteBuilder routes, Simulation world)
    {
        var control = routes.MapGroup("/control");
        control.MapPut("/accounts/{id}", (string id) => Do(() => world.Stripe.Open(id)));
        control.MapPost(
            "/accounts/{id}/payout",
            (string id, string currency) => Results.Json(new { paid_out = world.Stripe.PayOut(id, currency) })
        );
        control.MapPost(
            "/accounts/{id}/top-up",
            (string id, HttpRequest request) =>
                With<TopUp>(request, added => world.Stripe.Move(id, added.Currency, added.Amount))
        );
        control.MapPost("/faults", (HttpRequest request) => With<Fault>(request, world.Faults.Add));
        control.MapDelete("/faults", () => Do(world.Faults.Clear));
        control.MapPost(
            "/webhooks/rules",
            (HttpRequest request) => With<DeliveryRule>(request, world.Courier.Add)
        );
        control.MapPost(
            "/webhooks/targets",
            (HttpRequest request) =>
                With<Addresses>(
                    request,
                    given =>
                    {
                        world.Wiring.HyperswitchTarget = given.HyperswitchUrl;
                        world.Wiring.HyperswitchSecret =
                            given.HyperswitchSecret ?? world.Wiring.HyperswitchSecret;
                        world.Wiring.StripeTarget = given.StripeUrl;
                        world.Wiring.StripeSecret = given.StripeSecret ?? world.Wiring.StripeSecret;
                    }
                )
        );
        control.MapPost(
            "/refunds",
            (HttpRequest request) =>
                With<Fate>(request, fate => world.Hyperswitch.Decide(fate.Outcome, fate.Times))
        );
        control.MapPost(
            "/refunds/{id}/return",
            (string id) => world.Hyperswitch.Return(id) ? Results.NoContent() : Results.NotFound()
        );
        control.MapPost(
            "/clock",
            (HttpRequest request) =>
                With<Jump>(request, jump => world.Clock.Jump(TimeSpan.FromHours(jump.Hours)))
        );
        control.MapGet("/books", () => Results.Json(Books(world)));
    }

    static JsonObject Books(Simulation world)
    {
        var transfers = world.Stripe.Transfers();
        var currencies = new JsonObject();
        foreach (var (currency, totals) in world.Hyperswitch.Totals())
        {
            var moved = transfers
                .Where(transfer =>
                    string.Equals(transfer.Currency, currency, StringComparison.OrdinalIgnoreCase)
                )
                .ToList();
            var accounts = new JsonObject();
            foreach (
                var seller in moved.GroupBy(transfer => transfer.Destination).OrderBy(group => group.Key)
            )
            {
                accounts[seller.Key] = new JsonObject
                {
                    ["transferred"] = seller.Sum(transfer => transfer.Amount),
                    ["reversed"] = seller.Sum(transfer => transfer.Reversed),
                    ["balance"] = world.Stripe.Balance(seller.Key, currency),
                };
            }

            currencies[currency] = new JsonObject
            {
                ["hyperswitch"] = new JsonObject
                {
                    ["captured"] = totals.Captured,
                    ["refunded"] = totals.Refunded,
                },
                ["stripe"] = new JsonObject
                {
                    ["platform_balance"] = world.Stripe.Balance(StripeBooks.Platform, currency),
                    ["transferred"] = moved.Sum(transfer => transfer.Amount),
                    ["reversed"] = moved.Sum(transfer => transfer.Reversed),
                    ["accounts"] = accounts,
                },
            };
        }

        return new JsonObject
        {
            ["currencies"] = currencies,
            ["faults"] = world.Faults.Struck,
            ["webhooks"] = new JsonObject
            {
                ["delivered"] = world.Courier.Delivered,
                ["dropped"] = world.Courier.Dropped,
                ["duplicated"] = world.Courier.Duplicated,
                ["idle"] = world.Courier.IsIdle,
            },
        };
    }

    static IResult Do(Action act)
    {
        act();
        return Results.NoContent();
    }

    static async Task<IResult> With<T>(HttpRequest request, Action<T> act)
    {
        try
        {
            var read = await JsonSerializer.DeserializeAsync<T>(request.Body, Snake);
            return Do(() => act(read!));
        }
        catch (JsonException error)
        {
            return Results.Json(new { error = error.Message }, statusCode: 422);
        }
    }
}
