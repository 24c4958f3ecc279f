using Veza.Sandbox.Control;

namespace Veza.Sandbox.Stripe;

/// <summary>Stripe's API over HTTP, under <c>/stripe/v1</c>.</summary>
static class StripeEndpoints
{
    public static void Map(IEndpointRouteBuilder routes, Simulation world)
    {
        var keys = new IdempotencyStore(world.Clock);
        var api = routes.MapGroup("/stripe/v1");
        api.MapPost(
            "/transfers",
            context => Post(context, world, keys, "stripe.transfers.create", world.Stripe.Create)
        );
        api.MapPost(
            "/transfers/{id}/reversals",
            context =>
                Post(
                    context,
                    world,
                    keys,
                    "stripe.reversals.create",
                    form => world.Stripe.Reverse(Id(context), form)
                )
        );
        api.MapGet("/transfers", context => Get(context, world, "stripe.transfers.list", world.Stripe.List));
        api.MapGet(
            "/transfers/{id}",
            context => Get(context, world, "stripe.transfers.get", _ => world.Stripe.Get(Id(context)))
        );
        api.MapGet(
            "/transfers/{id}/reversals",
            context =>
                Get(
                    context,
                    world,
                    "stripe.reversals.list",
                    query => world.Stripe.ListReversals(Id(context), query)
                )
        );
        api.MapPost(
            "/payouts",
            context =>
                Post(
                    context,
                    world,
                    keys,
                    "stripe.payouts.create",
                    form => world.Payouts.Create(form, Account(context))
                )
        );
        Read(
            api,
            world,
            "/payouts",
            "stripe.payouts.list",
            (query, context) => world.Payouts.List(query, Account(context))
        );
        Read(
            api,
            world,
            "/payouts/{id}",
            "stripe.payouts.get",
            (_, context) => world.Payouts.Get(Id(context), Account(context))
        );
        Read(
            api,
            world,
            "/refunds/{id}",
            "stripe.refunds.get",
            (_, context) => world.Charges.GetRefund(Id(context))
        );
        Read(
            api,
            world,
            "/disputes",
            "stripe.disputes.list",
            (query, _) => world.Charges.ListDisputes(query)
        );
        Read(
            api,
            world,
            "/disputes/{id}",
            "stripe.disputes.get",
            (_, context) => world.Charges.GetDispute(Id(context))
        );
        Read(
            api,
            world,
            "/events",
            "stripe.events.list",
            (query, context) => world.Events.List(query, Account(context))
        );
        api.MapPost(
            "/accounts",
            context => Post(context, world, keys, "stripe.accounts.create", _ => world.Accounts.Create())
        );
        Read(api, world, "/accounts", "stripe.accounts.list", (query, _) => world.Accounts.List(query));
        Read(
            api,
            world,
            "/accounts/{id}",
            "stripe.accounts.get",
            (_, context) => world.Accounts.Get(Id(context))
        );
        Read(
            api,
            world,
            "/balance",
            "stripe.balance.get",
            (_, context) =>
                new StripeAnswer(
                    200,
                    StripeShapes.Balance(world.Stripe.Balances(Account(context) ?? StripeBooks.Platform))
                )
        );
    }

    static void Read(
        RouteGroupBuilder api,
        Simulation world,
        string path,
        string operation,
        Func<IReadOnlyDictionary<string, string>, HttpContext, StripeAnswer> read
    ) => api.MapGet(path, context => Get(context, world, operation, query => read(query, context)));

    /// <summary>The connected account on whose behalf the platform asks.</summary>
    static string? Account(HttpContext context) =>
        context.Request.Headers["Stripe-Account"].ToString() is { Length: > 0 } account ? account : null;

    static string Id(HttpContext context) => (string)context.Request.RouteValues["id"]!;

    static async Task Get(
        HttpContext context,
        Simulation world,
        string operation,
        Func<IReadOnlyDictionary<string, string>, StripeAnswer> read
    )
    {
        if (!await Admitted(context, world))
        {
            return;
        }

        var query = context.Request.Query.ToDictionary(field => field.Key, field => field.Value.ToString());
        var fault = world.Faults.Next(operation, context.Request.Path + context.Request.QueryString);
        await Answer(
            context,
            fault,
            fault is null or { Mode: FaultMode.Slow } ? read(query) : ErrorOf(fault),
            false
        );
    }

    static async Task Post(
        HttpContext context,
        Simulation world,
        IdempotencyStore keys,
        string operation,
        Func<IReadOnlyDictionary<string, string>, StripeAnswer> act
    )
    {
        if (!await Admitted(context, world))
        {
            return;
        }

        var form = (await context.Request.ReadFormAsync()).ToDictionary(
            field => field.Key,
            field => field.Value.ToString()
        );
        var text =
            context.Request.Path
            + "?"
            + Account(context)
            + string.Join('&', form.Select(field => $"{field.Key}={field.Value}"));
        var fault = world.Faults.Next(operation, text);
        if (fault is { Mode: FaultMode.TimeoutBefore or FaultMode.ErrorBefore })
        {
            await Answer(context, fault, ErrorOf(fault), false);
            return;
        }

        var key = context.Request.Headers["Idempotency-Key"].ToString();
        switch (keys.Begin(key, text))
        {
            case KeyState.Running:
                await Answer(
                    context,
                    null,
                    StripeAnswer.Error(
                        409,
                        "idempotency_error",
                        "idempotency_key_in_use",
                        "There is currently another in-progress request using this Idempotent Key."
                    ),
                    false
                );
                return;
            case KeyState.OtherParameters:
                await Answer(
                    context,
                    null,
                    StripeAnswer.Error(
                        400,
                        "idempotency_error",
                        null,
                        "Keys for idempotent requests can only be used with the same parameters they were first used with."
                    ),
                    false
                );
                return;
            case KeyState.Stored stored:
                await Answer(context, fault, stored.Answer, true);
                return;
        }

        var answer = fault is { Mode: FaultMode.ErrorStored } ? ErrorOf(fault) : act(form);
        if (fault is { Mode: FaultMode.ErrorAfter } && answer.Status == 200)
        {
            answer = ErrorOf(fault);
        }

        keys.End(key, answer.Began ? answer : null);
        await Answer(context, fault, answer, false);
    }

    static StripeAnswer ErrorOf(Fault fault) =>
        StripeAnswer.Error(
            fault.Status,
            fault.Type ?? (fault.Status >= 500 ? "api_error" : "invalid_request_error"),
            fault.Code,
            fault.Message ?? "Simulated by the sandbox."
        );

    static async Task Answer(HttpContext context, Fault? fault, StripeAnswer answer, bool replayed)
    {
        if (fault?.Delay is { } delay && delay > TimeSpan.Zero)
        {
            await Task.Delay(delay, context.RequestAborted).ContinueWith(_ => { }, TaskScheduler.Default);
        }

        if (fault is { Mode: FaultMode.TimeoutBefore or FaultMode.TimeoutAfter })
        {
            context.Abort();
            return;
        }

        var response = context.Response;
        response.StatusCode = fault is { Mode: FaultMode.Unreadable } ? 200 : answer.Status;
        response.Headers["Request-Id"] = $"req_{Guid.NewGuid():N}"[..18];
        if (replayed)
        {
            response.Headers["Idempotent-Replayed"] = "true";
        }

        // The limiters name themselves; somebody's lock on the object does not.
        if (answer.Status == 429 && answer.Body["error"]?["code"]?.GetValue<string>() != "lock_timeout")
        {
            response.Headers["Stripe-Rate-Limited-Reason"] = "global-rate";
        }

        foreach (var (name, value) in fault?.Headers ?? [])
        {
            response.Headers[name] = value;
        }

        response.ContentType = "application/json";
        await response.WriteAsync(
            fault is { Mode: FaultMode.Unreadable } ? "{\"id\": \"tr_cut"
            : fault is { Mode: FaultMode.ErrorBefore, Body: { } words } ? words
            : answer.Body.ToJsonString()
        );
    }

    /// <summary>The limiter runs before everything else, then the key is looked at.</summary>
    static async Task<bool> Admitted(HttpContext context, Simulation world)
    {
        if (!world.Limits.Allows())
        {
            await Answer(
                context,
                null,
                StripeAnswer.Error(
                    429,
                    "invalid_request_error",
                    "rate_limit",
                    "Request rate limit exceeded."
                ),
                false
            );
            return false;
        }

        if (
            context
                .Request.Headers.Authorization.ToString()
                .StartsWith("Bearer sk_", StringComparison.Ordinal)
        )
        {
            return true;
        }

        await Answer(
            context,
            null,
            StripeAnswer.Error(401, "invalid_request_error", null, "Invalid API Key provided."),
            false
        );
        return false;
    }
}
