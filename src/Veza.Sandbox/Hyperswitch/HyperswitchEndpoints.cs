using System.Text.Json;
using System.Text.Json.Nodes;
using Veza.Sandbox.Control;

namespace Veza.Sandbox.Hyperswitch;

/// <summary>Hyperswitch's API over HTTP, under <c>/hyperswitch</c>.</summary>
static class HyperswitchEndpoints
{
    public static void Map(IEndpointRouteBuilder routes, Simulation world)
    {
        var api = routes.MapGroup("/hyperswitch");
        api.MapPost(
            "/payments",
            context => Serve(context, world, "hyperswitch.payments.create", world.Hyperswitch.CreatePayment)
        );
        api.MapGet(
            "/payments/{id}",
            context =>
                Serve(
                    context,
                    world,
                    "hyperswitch.payments.get",
                    _ => world.Hyperswitch.GetPayment(Id(context))
                )
        );
        api.MapPost(
            "/payments/{id}/confirm",
            context =>
                Serve(
                    context,
                    world,
                    "hyperswitch.payments.confirm",
                    body => world.Hyperswitch.Confirm(Id(context), CardIn(body))
                )
        );
        api.MapPost(
            "/refunds",
            context => Serve(context, world, "hyperswitch.refunds.create", world.Hyperswitch.CreateRefund)
        );
        api.MapGet(
            "/payments/list",
            context =>
                Serve(
                    context,
                    world,
                    "hyperswitch.payments.list",
                    _ =>
                        world.Hyperswitch.ListPayments(
                            context.Request.Query.ToDictionary(
                                field => field.Key,
                                field => field.Value.ToString()
                            )
                        )
                )
        );
        api.MapPost(
            "/refunds/list",
            context => Serve(context, world, "hyperswitch.refunds.list", world.Hyperswitch.ListRefunds)
        );
        api.MapGet(
            "/disputes/{id}",
            context =>
                Serve(
                    context,
                    world,
                    "hyperswitch.disputes.get",
                    _ => world.Hyperswitch.GetDispute(Id(context))
                )
        );
        api.MapGet(
            "/refunds/{id}",
            context =>
                Serve(
                    context,
                    world,
                    "hyperswitch.refunds.get",
                    _ => world.Hyperswitch.GetRefund(Id(context))
                )
        );
    }

    static string Id(HttpContext context) => (string)context.Request.RouteValues["id"]!;

    static string CardIn(JsonObject body) =>
        body["payment_method_data"]?["card"]?["card_number"]?.GetValue<string>() ?? "4242424242424242";

    static async Task Serve(
        HttpContext context,
        Simulation world,
        string operation,
        Func<JsonObject, HyperswitchAnswer> act
    )
    {
        if (context.Request.Headers["api-key"].Count == 0)
        {
            await Write(
                context,
                HyperswitchAnswer.Error(401, "IR_01", "API key not provided or invalid API key used")
            );
            return;
        }

        if (await Body(context) is not { } body)
        {
            await Write(context, HyperswitchAnswer.Error(400, "IR_06", "Json deserialize error"));
            return;
        }

        var fault = world.Faults.Next(operation, context.Request.Path + body.ToJsonString());
        if (fault?.Delay is { } delay && delay > TimeSpan.Zero)
        {
            await Task.Delay(delay);
        }

        switch (fault?.Mode)
        {
            case FaultMode.TimeoutBefore:
                context.Abort();
                return;
            case FaultMode.TimeoutAfter:
                act(body);
                context.Abort();
                return;
            case FaultMode.ErrorAfter:
                act(body);
                await Write(context, ErrorOf(fault));
                return;
            case FaultMode.ErrorBefore when fault.Body is { } words:
                context.Response.StatusCode = fault.Status;
                context.Response.ContentType = "text/html";
                await context.Response.WriteAsync(words);
                return;
            case FaultMode.ErrorBefore or FaultMode.ErrorStored:
                await Write(context, ErrorOf(fault));
                return;
            case FaultMode.Unreadable:
                act(body);
                context.Response.ContentType = "application/json";
                await context.Response.WriteAsync("{\"payment_id\": \"pay_cut");
                return;
            default:
                await Write(context, act(body));
                return;
        }
    }

    static HyperswitchAnswer ErrorOf(Fault fault) =>
        HyperswitchAnswer.Error(
            fault.Status,
            fault.Code ?? "HE_00",
            fault.Message ?? "Simulated by the sandbox.",
            fault.Type ?? (fault.Status >= 500 ? "api" : "invalid_request")
        );

    static async Task<JsonObject?> Body(HttpContext context)
    {
        if (HttpMethods.IsGet(context.Request.Method))
        {
            return [];
        }

        try
        {
            return await JsonNode.ParseAsync(context.Request.Body) as JsonObject;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    static Task Write(HttpContext context, HyperswitchAnswer answer)
    {
        context.Response.StatusCode = answer.Status;
        context.Response.ContentType = "application/json";
        context.Response.Headers["x-request-id"] = Guid.CreateVersion7().ToString();
        return context.Response.WriteAsync(answer.Body.ToJsonString());
    }
}
