using System.Security.Claims;
using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.Authentication.Cookies;
using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Mvc;
using Npgsql;

namespace Veza.Host.AdminConsole;

/// <summary>Signing in with an API key, and what its role allows.</summary>
static class ConsoleSignIn
{
    const string Scheme = CookieAuthenticationDefaults.AuthenticationScheme;
    const string Path = "/console/sign-in";

    static readonly AuthorizationPolicy Look = new AuthorizationPolicyBuilder(Scheme)
        .RequireAuthenticatedUser()
        .Build();

    static readonly AuthorizationPolicy Act = new AuthorizationPolicyBuilder(Scheme)
        .RequireRole(ApiKeys.Word(Role.Operator))
        .Build();

    public static void AddTo(IServiceCollection services)
    {
        // Only the console's own routes read its cookie: an API call or a health check with it asks nothing of the database.
        AppContext.SetSwitch("Microsoft.AspNetCore.Authentication.SuppressAutoDefaultScheme", true);
        services.AddSingleton<ITicketStore, SessionTickets>();
        services.AddSingleton<SignInLimits>();
        services.AddAuthentication().AddCookie(Scheme);
        services
            .AddOptions<CookieAuthenticationOptions>(Scheme)
            .Configure<ITicketStore>(
                (options, sessions) =>
                {
                    options.Cookie.Name = "veza_session";
                    options.Cookie.HttpOnly = true;
                    options.Cookie.SameSite = SameSiteMode.Strict;
                    options.Cookie.SecurePolicy = CookieSecurePolicy.SameAsRequest;
                    options.SessionStore = sessions;
                    options.ExpireTimeSpan = ConsoleSessions.Life;
                    options.SlidingExpiration = false;
                    options.Events.OnRedirectToLogin = AskToSignIn;
                    options.Events.OnRedirectToAccessDenied = Forbid;
                }
            );
        services.AddAuthorization();
    }

    public static void Map(WebApplication app)
    {
        app.MapGet(Path, Welcome);
        app.MapPost(Path, SignIn);
        app.MapPost("/console/sign-out", SignOut).ForLooking();
    }

    /// <summary>For whoever is signed in.</summary>
    public static RouteHandlerBuilder ForLooking(this RouteHandlerBuilder route) =>
        route.RequireAuthorization(Look);

    /// <summary>For operators.</summary>
    public static RouteHandlerBuilder ForActing(this RouteHandlerBuilder route) =>
        route.RequireAuthorization(Act);

    public static bool MayAct(this ClaimsPrincipal user) => user.IsInRole(ApiKeys.Word(Role.Operator));

    /// <summary>Whether a key of this role may sign in at all.</summary>
    public static bool MayLook(Settings settings, Role role) =>
        role == Role.Operator || settings.ConsoleReadOnlyRole;

    /// <summary>
    /// Back to where they wanted to go once they are signed in. A form that came too late is not sent again: the page that
    /// it was on is shown, and it is said that nothing was done. By a path without scheme and host: a proxy's may differ.
    /// </summary>
    static Task AskToSignIn(RedirectContext<CookieAuthenticationOptions> context)
    {
        var request = context.Request;
        var wasReading = HttpMethods.IsGet(request.Method);
        if (!wasReading)
        {
            Notice.Leave(context.HttpContext, "signed_out_meanwhile");
        }

        var page = wasReading ? request.Path + request.QueryString : request.CameFrom();
        context.Response.Redirect(
            page is null or "/" ? Path : $"{Path}?ReturnUrl={Uri.EscapeDataString(page)}"
        );
        return Task.CompletedTask;
    }

    /// <summary>On pages for everybody, too, whoever is signed in sees the console's own links.</summary>
    public static async Task Recognize(HttpContext context)
    {
        if (context.User.Identity is { IsAuthenticated: true })
        {
            return;
        }

        try
        {
            if ((await context.AuthenticateAsync(Scheme)).Principal is { } person)
            {
                context.User = person;
            }
        }
        catch (NpgsqlException)
        {
            // The page that says so, or one that needs no database.
        }
    }

    static Task Forbid(RedirectContext<CookieAuthenticationOptions> context)
    {
        context.Response.StatusCode = StatusCodes.Status403Forbidden;
        return Task.CompletedTask;
    }

    /// <summary>The page of ours that led here; null if it was none of ours.</summary>
    public static string? CameFrom(this HttpRequest request) =>
        Uri.TryCreate(request.Headers.Referer.ToString(), UriKind.Absolute, out var page)
        && page.Host == request.Host.Host
        && RedirectHttpResult.IsLocalUrl(page.PathAndQuery)
            ? page.PathAndQuery
            : null;

    /// <summary>While somebody looks for their key, the machine is walked and the diagram laid out.</summary>
    static RazorComponentResult<SignIn> Welcome(string? returnUrl = null)
    {
        _ = Task.Run(() => Diagram.Nodes.Count);
        return new RazorComponentResult<SignIn>(new { ReturnUrl = returnUrl });
    }

    static async Task<IResult> SignIn(
        [FromForm] string? key,
        [FromForm] string? returnUrl,
        HttpContext context,
        Settings settings,
        ApiKeys keys,
        AuditLog audit,
        SignInLimits limits,
        CancellationToken cancellation
    )
    {
        if (!limits.Take(context))
        {
            return Results.StatusCode(StatusCodes.Status429TooManyRequests);
        }

        var caller = key is null ? null : await keys.Find(key.Trim(), cancellation);
        if (caller is null || !MayLook(settings, caller.Role))
        {
            return new RazorComponentResult<SignIn>(
                new { ReturnUrl = returnUrl, Fault = "This is not a valid operator key." }
            )
            {
                StatusCode = StatusCodes.Status401Unauthorized,
            };
        }

        var entry = new AuditEntry(
            caller.Actor,
            ApiKeys.Word(caller.Role),
            "console",
            "session.sign_in",
            "session"
        );
        await audit.Record(entry, new("done"), cancellation);
        await context.SignInAsync(Scheme, new ClaimsPrincipal(SessionTickets.Identity(caller)));
        return Results.Redirect(RedirectHttpResult.IsLocalUrl(returnUrl) ? returnUrl! : "/");
    }

    static async Task<IResult> SignOut([FromForm] IFormCollection form, HttpContext context)
    {
        await context.SignOutAsync(Scheme);
        Notice.Leave(context, "signed_out");
        return Results.Redirect(Path);
    }
}
