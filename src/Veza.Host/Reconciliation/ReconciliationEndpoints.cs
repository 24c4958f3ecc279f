namespace Veza.Host.Reconciliation;

/// <summary>Whether Veza's books are the providers', and what waits for a person.</summary>
static class ReconciliationEndpoints
{
    public static void Map(IEndpointRouteBuilder routes)
    {
        routes.MapGet("/api/v1/reconciliation", Get).Needs(Role.Read);
        routes.MapPost("/api/v1/reconciliation/runs", Post).Needs(Role.Operator);
        routes.MapGet("/api/v1/reconciliation/runs/{id:guid}", GetRun).Needs(Role.Read);
        routes
            .MapPost("/api/v1/reconciliation/runs/{id:guid}/findings/{position:int}/acknowledge", Acknowledge)
            .Needs(Role.Operator);
        routes.MapGet("/api/v1/reconciliation/runs", List).Needs(Role.Read);
    }

    static async Task<IResult> Get(ReconciliationRuns runs, Alarms alarms, CancellationToken cancellation)
    {
        var last = await runs.Last(cancellation) ?? "null";
        var walk = await runs.EventWalk(cancellation);
        var raised = System.Text.Json.JsonSerializer.Serialize(
            (await alarms.Raised(cancellation)).Select(alarm => new
            {
                alarm = alarm.Word,
                count = alarm.Count,
                since = alarm.Since,
                example = alarm.Example,
                runbook = alarm.Runbook,
            }),
            JsonStyle.Options
        );
        return Requests.Json($$"""{"last_run":{{last}},"alarms":{{raised}},"stripe_events":{{walk}}}""");
    }

    static async Task<IResult> Post(
        HttpContext context,
        Settings settings,
        ReconciliationService service,
        ReconciliationRuns runs,
        ReconciliationRequests requests,
        TimeProvider clock,
        CancellationToken cancellation
    )
    {
        var fields = await context.Request.ReadOptionalFields(cancellation);
        var since = fields.OptionalTime("since");
        var heal = fields.OptionalFlag("heal") ?? false;
        fields.RefuseOthers();
        var now = clock.GetUtcNow();
        if (since > now)
        {
            fields.Fault("since", "in_the_future", "since must be in the past.");
        }

        if (fields.Errors.Count > 0)
        {
            return Problem.Invalid(fields.Errors);
        }

        var scope = new Scope(
            since ?? now.AddDays(-30),
            now - settings.ReconcileGrace,
            heal,
            context.Caller().Actor
        );
        var id = await service.Begin(context.NewId(clock), scope, "api", cancellation);
        requests.Add(id, scope);
        return Requests.Json((await runs.Find(id, cancellation))!, 201);
    }

    static async Task<IResult> GetRun(Guid id, ReconciliationRuns runs, CancellationToken cancellation) =>
        Requests.JsonOr404(await runs.Find(id, cancellation), "run");

    static async Task<IResult> Acknowledge(
        Guid id,
        int position,
        HttpContext context,
        ReconciliationRuns runs,
        CancellationToken cancellation
    )
    {
        var fields = await context.Request.ReadOptionalFields(cancellation);
        var note = fields.Text("note", 1000);
        fields.RefuseOthers();
        if (fields.Errors.Count > 0)
        {
            return Problem.Invalid(fields.Errors);
        }

        return await runs.Acknowledge(id, position, context.Caller().Actor, note, cancellation)
            ? Requests.JsonOr404(await runs.Find(id, cancellation), "run")
            : Problem.NotFound("finding");
    }

    static async Task<IResult> List(
        HttpRequest request,
        ReconciliationRuns runs,
        CancellationToken cancellation
    )
    {
        var query = new ListQuery(request);
        var after = query.AfterId;
        return query.Refusal() ?? (await runs.List(after, query.Limit, cancellation)).ToResult();
    }
}
