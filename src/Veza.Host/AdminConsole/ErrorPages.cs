using Microsoft.AspNetCore.Antiforgery;
using Microsoft.AspNetCore.Http.HttpResults;
using Npgsql;

namespace Veza.Host.AdminConsole;

/// <summary>
/// In a browser an error is a page that says what happened and leads back. Programs get problem details
/// (<see cref="ExceptionMiddleware"/>).
/// </summary>
sealed partial class ErrorPages(RequestDelegate next, ILogger<ErrorPages> log)
{
    static readonly string[] ForPrograms = ["/api", "/webhooks", "/health", "/metrics", "/openapi"];

#pragma warning disable CA1031 // The last line of defence catches everything.
    public async Task Invoke(HttpContext context)
    {
        if (!IsBrowser(context.Request))
        {
            await next(context);
            return;
        }

        try
        {
            await next(context);
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            return;
        }
        catch (Exception error) when (!context.Response.HasStarted)
        {
            context.Response.StatusCode = StatusOf(error);
            if (context.Response.StatusCode == StatusCodes.Status500InternalServerError)
            {
                LogFault(error, context.Request.Method, context.Request.Path);
            }
        }

        if (IsBareError(context.Response))
        {
            await Page(context).ExecuteAsync(context);
        }
    }
#pragma warning restore CA1031

    static bool IsBrowser(HttpRequest request) =>
        request.Path == "/"
        || request.Path.StartsWithSegments("/console")
        || (
            request.Headers.Accept.ToString().Contains("text/html", StringComparison.OrdinalIgnoreCase)
            && !ForPrograms.Any(prefix => request.Path.StartsWithSegments(prefix))
        );

    static int StatusOf(Exception error) =>
        error switch
        {
            BadHttpRequestException bad => bad.StatusCode,
            InvalidDataException => StatusCodes.Status400BadRequest,
            NpgsqlException { IsTransient: true } => StatusCodes.Status503ServiceUnavailable,
            _ => StatusCodes.Status500InternalServerError,
        };

    static bool IsBareError(HttpResponse response) =>
        response is { StatusCode: >= 400, HasStarted: false, ContentLength: null }
        && string.IsNullOrEmpty(response.ContentType);

    static RazorComponentResult<ErrorPage> Page(HttpContext context)
    {
        var status = context.Response.StatusCode;
        var formIsInvalid = context.Features.Get<IAntiforgeryValidationFeature>() is { IsValid: false };
        var (title, text) = status switch
        {
            400 when formIsInvalid => (
                "This form has expired",
                "Nothing was done. Go back to its page, which has a new form, and do it again."
            ),
            400 => ("This cannot be read", "Nothing was done. What the browser sent is not complete."),
            403 => (
                "Your key may look, not act",
                "Nothing was done. Sign in with an operator key to do this."
            ),
            404 => ("There is no such page", "The address is wrong, or what it showed is no longer there."),
            405 => ("There is nothing to see here", "This address only takes the form of another page."),
            413 => ("This is too large", "Nothing was done. At most 256 KiB can be sent."),
            429 => ("Too many tries to sign in", "Wait a minute, and try again."),
            503 => (
                "The database does not answer",
                "Nothing is lost, and Veza goes on by itself as soon as it does. Try again in a moment."
            ),
            500 => (
                "Something is wrong with Veza",
                $"Its log tells more under {Correlation.Current}. What was to be done may not have been done: look first."
            ),
            _ => ($"Error {status}", "Nothing was done."),
        };
        var from = context.Request.CameFrom();
        var back = from is null || from == context.Request.Path + context.Request.QueryString ? "/" : from;
        return new(
            new
            {
                Title = title,
                Text = text,
                Back = back,
            }
        )
        {
            StatusCode = status,
        };
    }

    [LoggerMessage(LogLevel.Error, "{Method} {Path} failed")]
    partial void LogFault(Exception error, string method, string path);
}
