namespace Veza.Host.Http;

/// <summary>
/// The answer to whatever an endpoint could not foresee: a problem without anything internal in it. A caller's
/// fault is no news; one of ours is logged with all there is.
/// </summary>
sealed partial class ExceptionMiddleware(RequestDelegate next, ILogger<ExceptionMiddleware> log)
{
#pragma warning disable CA1031 // The last line of defence catches everything.
    public async Task Invoke(HttpContext context)
    {
        try
        {
            await next(context);
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            // The caller has gone.
        }
        catch (Exception error) when (!context.Response.HasStarted)
        {
            var answer = Problem.Foreseen(error);
            if (answer is null)
            {
                LogFault(error, context.Request.Method, context.Request.Path);
                answer = Problem.Of(
                    500,
                    "internal_error",
                    $"Something is wrong with Veza. Its log tells more under {Correlation.Current}."
                );
            }

            await answer.ExecuteAsync(context);
        }
    }
#pragma warning restore CA1031

    [LoggerMessage(LogLevel.Error, "{Method} {Path} failed")]
    partial void LogFault(Exception error, string method, string path);
}
