namespace Veza.Host.Http;

/// <summary>HEAD is answered wherever GET is: as GET, without the body, which the server leaves out by itself.</summary>
static class HeadMiddleware
{
    static readonly object Key = new();

    public static void UseHead(this WebApplication app) =>
        app.Use(
            async (context, next) =>
            {
                if (!HttpMethods.IsHead(context.Request.Method))
                {
                    await next(context);
                    return;
                }

                context.Items[Key] = Key;
                context.Request.Method = HttpMethods.Get;
                try
                {
                    await next(context);
                }
                finally
                {
                    context.Request.Method = HttpMethods.Head;
                }
            }
        );

    /// <summary>For what has no end: its caller wants to know only whether it would begin.</summary>
    public static bool IsHead(this HttpContext context) => context.Items.ContainsKey(Key);
}
