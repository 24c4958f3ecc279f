using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using Veza.Sandbox.Hyperswitch;
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

    enum RefundConclusion
    {
        Succeeded,
        Failed,
    }

    sealed record Fate(RefundFate Outcome, int Times = 1);

    sealed record PaymentStand(string Status, long? Captured = null);

    sealed record TopUp(string Currency, long Amount);

    sealed record Standing(
        bool PayoutsEnabled = true,
        bool TransfersActive = true,
        string? DisabledReason = null
    );

    sealed record PayoutFate(string Status, string? FailureCode = null);

    sealed record PayoutHabit(double? ArrivesAfterSeconds);

    sealed record Raised(
        string PaymentId,
        long? Amount = null,
        bool Inquiry = false,
        DisputeStage? Stage = null,
        DisputeWebhooks Webhooks = DisputeWebhooks.Both,
        string? Reason = null,
        DateTimeOffset? RespondBy = null
    );

    sealed record Conclusion(RefundConclusion Status);

    sealed record Card(string CardNumber);

    sealed record HandRefund(string PaymentId, long Amount);

    sealed record HandTransfer(
        string Destination,
        long Amount,
        string Currency,
        string? TransferGroup = null,
        Dictionary<string, string>? Metadata = null
    );

    sealed record HandReversal(long? Amount = null);

    sealed record Limit(int? StripePerSecond);

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
                With<TopUp>(
                    request,
                    added =>
                    {
                        world.Stripe.Move(id, added.Currency, added.Amount);
                        world.Events.Publish(
                            "balance.available",
                            StripeShapes.Balance(world.Stripe.Balances(id)),
                            id == StripeBooks.Platform ? null : id
                        );
                    }
                )
        );
        control.MapPost(
            "/accounts/{id}/standing",
            (string id, HttpRequest request) =>
                Found<Standing>(
                    request,
                    told =>
                        world.Accounts.Change(
                            id,
                            told.PayoutsEnabled,
                            told.TransfersActive,
                            told.DisabledReason
                        )
                )
        );
        control.MapPost(
            "/payouts",
            (HttpRequest request) =>
                With<PayoutHabit>(
                    request,
                    habit =>
                        world.Payouts.ArrivesAfter = habit.ArrivesAfterSeconds is { } seconds
                            ? TimeSpan.FromSeconds(seconds)
                            : null
                )
        );
        control.MapPost(
            "/payouts/{id}",
            (string id, HttpRequest request) =>
                Found<PayoutFate>(request, fate => world.Payouts.Decide(id, fate.Status, fate.FailureCode))
        );
        control.MapPost(
            "/disputes",
            (HttpRequest request) =>
                Answered<Raised>(
                    request,
                    raised =>
                        world.Hyperswitch.Dispute(
                            raised.PaymentId,
                            raised.Amount,
                            raised.Stage ?? (raised.Inquiry ? DisputeStage.PreDispute : DisputeStage.Dispute),
                            raised.Webhooks,
                            raised.Reason,
                            raised.RespondBy
                        )
                )
        );
        control.MapPost(
            "/disputes/{id}",
            (string id, HttpRequest request) =>
                Read<DisputeChange>(
                    request,
                    change =>
                        world.Hyperswitch.Change(id, change) switch
                        {
                            null => Results.NotFound(),
                            true => Results.NoContent(),
                            false => Results.Conflict(),
                        }
                )
        );
        MapDashboard(control, world);
        control.MapPost(
            "/limits",
            (HttpRequest request) =>
                With<Limit>(request, limit => world.Limits.PerSecond = limit.StripePerSecond)
        );
        control.MapDelete("/webhooks/rules", () => Do(world.Courier.Clear));
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
            "/refunds/{id}",
            (string id, HttpRequest request) =>
                Found<Conclusion>(
                    request,
                    told => world.Hyperswitch.Conclude(id, told.Status == RefundConclusion.Succeeded)
                )
        );
        control.MapPost(
            "/payments/{id}/card",
            (string id, HttpRequest request) =>
                Found<Card>(request, card => world.Hyperswitch.ReplaceCardOf(id, card.CardNumber))
        );
        control.MapPost(
            "/payments/{id}/status",
            (string id, HttpRequest request) =>
                Found<PaymentStand>(
                    request,
                    stand => world.Hyperswitch.Become(id, stand.Status, stand.Captured)
                )
        );
        control.MapPost(
            "/refunds/{id}/return",
            (string id) => world.Hyperswitch.Return(id) ? Results.NoContent() : Results.NotFound()
        );
        control.MapPost(
            "/refunds/{id}/return-unnoticed",
            (string id) => world.Hyperswitch.ReturnUnnoticed(id) ? Results.NoContent() : Results.NotFound()
        );
        control.MapPost(
            "/clock",
            (HttpRequest request) =>
                With<Jump>(request, jump => world.Clock.Jump(TimeSpan.FromHours(jump.Hours)))
        );
        control.MapGet("/books", () => Results.Json(Books(world)));
    }

    /// <summary>What somebody does by hand in the providers' own dashboards, without Veza.</summary>
    static void MapDashboard(RouteGroupBuilder control, Simulation world)
    {
        control.MapPost(
            "/dashboard/transfers",
            (HttpRequest request) =>
                Answered<HandTransfer>(
                    request,
                    made =>
                    {
                        var form = new Dictionary<string, string>
                        {
                            ["destination"] = made.Destination,
                            ["amount"] = made.Amount.ToString(
                                System.Globalization.CultureInfo.InvariantCulture
                            ),
                            ["currency"] = made.Currency.ToLowerInvariant(),
                        };
                        if (made.TransferGroup is { } group)
                        {
                            form["transfer_group"] = group;
                        }

                        foreach (var (name, value) in made.Metadata ?? [])
                        {
                            form[$"metadata[{name}]"] = value;
                        }

                        return IdOf(world.Stripe.Create(form));
                    }
                )
        );
        control.MapPost(
            "/dashboard/transfers/{id}/reverse",
            (string id, HttpRequest request) =>
                Answered<HandReversal>(
                    request,
                    made =>
                        IdOf(
                            world.Stripe.Reverse(
                                id,
                                made.Amount is { } amount
                                    ? new Dictionary<string, string> { ["amount"] = $"{amount}" }
                                    : []
                            )
                        )
                )
        );
        control.MapPost(
            "/dashboard/refunds",
            (HttpRequest request) =>
                Answered<HandRefund>(
                    request,
                    made => world.Hyperswitch.RefundByHand(made.PaymentId, made.Amount)
                )
        );
    }

    static string? IdOf(StripeAnswer answer) =>
        answer.Status == 200 ? answer.Body["id"]!.GetValue<string>() : null;

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
            ["stripe_limit"] = new JsonObject
            {
                ["served"] = world.Limits.Served,
                ["refused"] = world.Limits.Refused,
            },
            ["webhooks"] = new JsonObject
            {
                ["delivered"] = world.Courier.Delivered,
                ["dropped"] = world.Courier.Dropped,
                ["duplicated"] = world.Courier.Duplicated,
                ["reordered"] = world.Courier.Reordered,
                ["idle"] = world.Courier.IsIdle,
            },
        };
    }

    static IResult Do(Action act)
    {
        act();
        return Results.NoContent();
    }

    static Task<IResult> With<T>(HttpRequest request, Action<T> act) =>
        Read<T>(request, read => Do(() => act(read)));

    static Task<IResult> Found<T>(HttpRequest request, Func<T, bool> act) =>
        Read<T>(request, read => act(read) ? Results.NoContent() : Results.NotFound());

    /// <summary>The name of what was made; 409 where the provider would not make it.</summary>
    static Task<IResult> Answered<T>(HttpRequest request, Func<T, string?> act) =>
        Read<T>(
            request,
            read =>
                act(read) is { } id
                    ? Results.Json(new { id })
                    : Results.Json(new { id = (string?)null }, statusCode: 409)
        );

    static async Task<IResult> Read<T>(HttpRequest request, Func<T, IResult> act)
    {
        try
        {
            var read = await JsonSerializer.DeserializeAsync<T>(request.Body, Snake);
            return act(read!);
        }
        catch (JsonException error)
        {
            return Results.Json(new { error = error.Message }, statusCode: 422);
        }
    }
}
