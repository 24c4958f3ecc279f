using System.Security.Claims;
using System.Text.Json;
using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.Authentication.Cookies;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Mvc;
using Veza.Adapters.Postgres;
using Veza.Domain.Transfers;
using Veza.Host.Api;
using Veza.Host.Console.Pages;
using Veza.Host.Reconciling;
using Veza.Host.Settling;
using Veza.Host.Workers;

namespace Veza.Host.Console;

/// <summary>The operators' page: what stands where, one transfer's story, and the two things one may do.</summary>
static class ConsolePages
{
    const string KeyId = "key_id";

    static readonly Dictionary<string, string> AssetTypes = new()
    {
        ["console.css"] = "text/css",
        ["console.js"] = "text/javascript",
        ["mark.svg"] = "image/svg+xml",
    };

    public static void AddTo(IServiceCollection services)
    {
        services.AddRazorComponents();
        services.AddAntiforgery(options =>
        {
            options.Cookie.Name = "veza_antiforgery";
            options.Cookie.SameSite = SameSiteMode.Strict;
        });
        services
            .AddAuthentication(CookieAuthenticationDefaults.AuthenticationScheme)
            .AddCookie(options =>
            {
                options.Cookie.Name = "veza_session";
                options.Cookie.HttpOnly = true;
                options.Cookie.SameSite = SameSiteMode.Strict;
                options.ExpireTimeSpan = TimeSpan.FromHours(8);
                options.LoginPath = "/console/sign-in";
                options.Events.OnValidatePrincipal = RefuseRevoked;
            });
        services.AddAuthorization();
    }

    public static void Use(WebApplication app)
    {
        app.Use(
            (context, next) =>
            {
                var headers = context.Response.Headers;
                headers.ContentSecurityPolicy =
                    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
                    + "form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
                headers.XContentTypeOptions = "nosniff";
                headers["Referrer-Policy"] = "no-referrer";
                return next(context);
            }
        );
        app.UseAuthentication();
        app.UseAuthorization();
        app.UseAntiforgery();
    }

    public static void Map(WebApplication app)
    {
        app.MapGet("/", Overview).RequireAuthorization();
        app.MapGet("/console/transfers/{id:guid}", Transfer).RequireAuthorization();
        app.MapGet("/console/webhooks", Events).RequireAuthorization();
        app.MapPost("/console/webhooks/{id:long}/replay", Replay).RequireAuthorization();
        app.MapGet("/console/books", Books).RequireAuthorization();
        app.MapGet("/console/books/{id:guid}", Books).RequireAuthorization();
        app.MapPost("/console/books/compare", CompareBooks).RequireAuthorization();
        app.MapPost("/console/books/{id:guid}/findings/{position:int}/acknowledge", Acknowledge)
            .RequireAuthorization();
        app.MapGet("/console/runbooks/{alarm}", Runbook).RequireAuthorization();
        app.MapPost("/console/transfers/{id:guid}/retry", Retry).RequireAuthorization();
        app.MapPost("/console/transfers/{id:guid}/write-off", WriteOff).RequireAuthorization();
        app.MapGet("/console/sign-in", Welcome);
        app.MapPost("/console/sign-in", SignIn);
        app.MapPost("/console/sign-out", SignOut).RequireAuthorization();
        app.MapGet("/console/assets/{name}", Asset);
    }

    static async Task<IResult> Overview(
        HttpContext context,
        Views views,
        WebhookLog log,
        ReconciliationRuns runs,
        ClaimsPrincipal user,
        CancellationToken cancellation
    )
    {
        var query = new ListQuery(context.Request);
        var status = query.OneOf("status", Diagram.States);
        var after = query.AfterId;
        if (query.Refusal() is not null)
        {
            return Results.Redirect("/");
        }

        var page = await views.ListTransfers(status, null, null, after, 25, cancellation);
        return new RazorComponentResult<Overview>(
            new
            {
                Operator = NameOf(user),
                Counts = (IReadOnlyDictionary<string, long>)await views.CountTransfers(cancellation),
                Transfers = (IReadOnlyList<JsonElement>)[.. page.Items.Select(Parse)],
                Status = status,
                Disagrees = await runs.Last(cancellation) is { } last && Disagrees(Parse(last)),
                ToLookAt = (await log.ToLookAt(cancellation)).Count,
                Next = page.HasMore ? Requests.Cursor(page.Last!.Value.ToByteArray()) : null,
            }
        );
    }

    static async Task<IResult> Events(
        WebhookLog log,
        ClaimsPrincipal user,
        CancellationToken cancellation,
        string? notice = null
    ) =>
        new RazorComponentResult<Events>(
            new
            {
                Operator = NameOf(user),
                Found = (IReadOnlyList<JsonElement>)[.. (await log.ToLookAt(cancellation)).Select(Parse)],
                Notice = notice switch
                {
                    "replayed" => "It is being processed again.",
                    "refused" => "Meanwhile it has had its effect, so nothing was done.",
                    _ => null,
                },
            }
        );

    static async Task<IResult> Replay(
        long id,
        [FromForm] IFormCollection form,
        WebhookLog log,
        Wakes wakes,
        ClaimsPrincipal user,
        CancellationToken cancellation
    )
    {
        var replayed = await log.Replay(new WebhookFilter(id), ActorOf(user), cancellation);
        wakes.Inbox.Tap();
        return Results.Redirect($"/console/webhooks?notice={(replayed > 0 ? "replayed" : "refused")}");
    }

    /// <summary>The last run that ended, or one of those before it.</summary>
    static async Task<IResult> Books(
        ReconciliationRuns runs,
        Alarms alarms,
        ClaimsPrincipal user,
        CancellationToken cancellation,
        Guid? id = null,
        string? notice = null
    )
    {
        var shown = id is { } asked ? await runs.Find(asked, cancellation) : await runs.Last(cancellation);
        return new RazorComponentResult<Books>(
            new
            {
                Operator = NameOf(user),
                Last = shown is null ? (JsonElement?)null : Parse(shown),
                Runs = (IReadOnlyList<JsonElement>)
                    [.. (await runs.List(null, 60, cancellation)).Items.Select(Parse)],
                Raised = await alarms.Raised(cancellation),
                Walk = Parse(await runs.EventWalk(cancellation)),
                Notice = notice == "comparing" ? "The books are being compared; this page follows." : null,
            }
        );
    }

    static async Task<IResult> CompareBooks(
        [FromForm] IFormCollection form,
        Settings settings,
        ReconciliationDesk desk,
        Bookkeeper bookkeeper,
        TimeProvider clock,
        ClaimsPrincipal user,
        CancellationToken cancellation
    )
    {
        var now = clock.GetUtcNow();
        var scope = new Scope(
            now.AddDays(-30),
            now - settings.ReconcileGrace,
            form["heal"] == "yes",
            ActorOf(user)
        );
        bookkeeper.Ask(await desk.Begin(Guid.CreateVersion7(now), scope, "api", cancellation), scope);
        return Results.Redirect("/console/books?notice=comparing");
    }

    static bool Disagrees(JsonElement run) => run.Text("status") == "failed" || run.Number("differences") > 0;

    static async Task<IResult> Acknowledge(
        Guid id,
        int position,
        [FromForm] string note,
        ReconciliationRuns runs,
        ClaimsPrincipal user,
        CancellationToken cancellation
    ) =>
        await runs.Acknowledge(id, position, ActorOf(user), note, cancellation)
            ? Results.Redirect($"/console/books/{id}")
            : Results.NotFound();

    /// <summary>As it stands in the repository: text that can be read as it is.</summary>
    static IResult Runbook(string alarm)
    {
        var text = typeof(ConsolePages).Assembly.GetManifestResourceStream($"runbooks/{alarm}.md");
        return text is null ? Results.NotFound() : Results.Stream(text, "text/plain; charset=utf-8");
    }

    static async Task<IResult> Transfer(
        Guid id,
        Views views,
        ClaimsPrincipal user,
        CancellationToken cancellation,
        string? notice = null
    ) =>
        await views.FindTransfer(id, cancellation) is { } json
            ? new RazorComponentResult<TransferPage>(
                new
                {
                    Operator = NameOf(user),
                    Transfer = Parse(json),
                    Notice = notice switch
                    {
                        "retried" => "It is being tried again.",
                        "written_off" => "It is written off.",
                        "refused" => "Meanwhile it has moved on, so nothing was done.",
                        _ => null,
                    },
                }
            )
            : Results.NotFound();

    static Task<IResult> Retry(
        Guid id,
        [FromForm] int version,
        TransferDesk desk,
        ClaimsPrincipal user,
        CancellationToken cancellation
    ) => Tell(id, TransferSignal.RetryRequested, null, version, "retried", desk, user, cancellation);

    static Task<IResult> WriteOff(
        Guid id,
        [FromForm] string note,
        [FromForm] int version,
        TransferDesk desk,
        ClaimsPrincipal user,
        CancellationToken cancellation
    ) => Tell(id, TransferSignal.WriteOffRequested, note, version, "written_off", desk, user, cancellation);

    static async Task<IResult> Tell(
        Guid id,
        TransferSignal signal,
        string? note,
        int version,
        string done,
        TransferDesk desk,
        ClaimsPrincipal user,
        CancellationToken cancellation
    )
    {
        var answer = await desk.Tell(id, signal, ActorOf(user), note, version, cancellation);
        var refused = answer is not TransferTold.Done;
        return Results.Redirect($"/console/transfers/{id}?notice={(refused ? "refused" : done)}");
    }

    /// <summary>While somebody looks for their key, the machine is walked and the diagram laid out.</summary>
    static RazorComponentResult<SignIn> Welcome()
    {
        _ = Task.Run(() => Diagram.Nodes.Count);
        return new RazorComponentResult<SignIn>();
    }

    static async Task<IResult> SignIn(
        [FromForm] string key,
        HttpContext context,
        ApiKeys keys,
        AuditLog audit,
        CancellationToken cancellation
    )
    {
        if (await keys.Find(key.Trim(), cancellation) is not { Role: Role.Operator } caller)
        {
            return new RazorComponentResult<SignIn>(new { Fault = "This is not a valid operator key." })
            {
                StatusCode = 401,
            };
        }

        var entry = new AuditEntry(caller.Actor, "operator", "console", "session.sign_in", "session");
        await audit.Record(entry, new("done"), cancellation);
        var identity = new ClaimsIdentity(
            [new(ClaimTypes.Name, caller.Name), new(KeyId, caller.KeyId.ToString())],
            CookieAuthenticationDefaults.AuthenticationScheme
        );
        await context.SignInAsync(new ClaimsPrincipal(identity));
        return Results.Redirect("/");
    }

    static async Task<IResult> SignOut([FromForm] IFormCollection form, HttpContext context)
    {
        await context.SignOutAsync();
        return Results.Redirect("/console/sign-in");
    }

    /// <summary>A revoked key's sessions end with it.</summary>
    static async Task RefuseRevoked(CookieValidatePrincipalContext context)
    {
        var keys = context.HttpContext.RequestServices.GetRequiredService<ApiKeys>();
        var id = context.Principal?.FindFirstValue(KeyId);
        if (!Guid.TryParse(id, out var key) || !await keys.IsActive(key, context.HttpContext.RequestAborted))
        {
            context.RejectPrincipal();
        }
    }

    static IResult Asset(string name)
    {
        var content = AssetTypes.TryGetValue(name, out var type)
            ? typeof(ConsolePages).Assembly.GetManifestResourceStream("console/" + name)
            : null;
        return content is null ? Results.NotFound() : Results.Stream(content, type);
    }

    static JsonElement Parse(string json)
    {
        using var document = JsonDocument.Parse(json);
        return document.RootElement.Clone();
    }

    static string NameOf(ClaimsPrincipal user) => user.Identity?.Name ?? "";

    static string ActorOf(ClaimsPrincipal user) => $"key:{NameOf(user)}";
}
