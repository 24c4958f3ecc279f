using System.Security.Claims;
using System.Text.Json;
using Microsoft.AspNetCore.DataProtection;
using Microsoft.AspNetCore.DataProtection.KeyManagement;

namespace Veza.Host.AdminConsole;

/// <summary>The operators' pages: what stands where, one transfer's story, and what one may do about it.</summary>
static class ConsolePages
{
    static readonly Dictionary<string, string> AssetTypes = new()
    {
        ["console.css"] = "text/css",
        ["console.js"] = "text/javascript",
        ["mark.svg"] = "image/svg+xml",
    };

    public static void AddTo(IServiceCollection services)
    {
        services.AddRazorComponents();
        services.AddDataProtection().SetApplicationName("veza");
        services
            .AddOptions<KeyManagementOptions>()
            .Configure<KeyRing>((options, keys) => options.XmlRepository = keys);
        services.AddAntiforgery(options =>
        {
            options.Cookie.Name = "veza_antiforgery";
            options.Cookie.SameSite = SameSiteMode.Strict;
            options.Cookie.SecurePolicy = CookieSecurePolicy.SameAsRequest;
        });
        ConsoleSignIn.AddTo(services);
    }

    /// <summary>Before routing: an address that leads nowhere gets a page as well.</summary>
    public static void UseErrorPages(WebApplication app)
    {
        app.Use(
            (context, next) =>
            {
                var headers = context.Response.Headers;
                headers.ContentSecurityPolicy =
                    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
                    + "form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
                headers.XContentTypeOptions = "nosniff";
                headers["Referrer-Policy"] = "same-origin";
                return next(context);
            }
        );
        app.UseMiddleware<ErrorPages>();
    }

    public static void Use(WebApplication app)
    {
        app.UseAuthorization();
        app.UseAntiforgery();
    }

    public static void Map(WebApplication app)
    {
        ConsoleSignIn.Map(app);
        TransferPages.Map(app);
        DisputePages.Map(app);
        DepositPages.Map(app);
        ReconciliationPages.Map(app);
        WebhookPages.Map(app);
        app.MapGet("/console/assets/{name}", Asset);
    }

    static IResult Asset(string name)
    {
        var content = AssetTypes.TryGetValue(name, out var type)
            ? typeof(ConsolePages).Assembly.GetManifestResourceStream("console/" + name)
            : null;
        return content is null ? Results.NotFound() : Results.Stream(content, type);
    }

    public static JsonElement Parse(string json)
    {
        using var document = JsonDocument.Parse(json);
        return document.RootElement.Clone();
    }

    public static IReadOnlyList<JsonElement> ParseAll(IEnumerable<string> items) => [.. items.Select(Parse)];

    /// <summary>As the history names the person.</summary>
    public static string Actor(this ClaimsPrincipal user) => $"key:{user.Identity?.Name}";
}
