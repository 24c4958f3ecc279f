using System.Net.Sockets;
using Npgsql;
using Polly;
using Stripe;

namespace Veza.Host.Cli;

/// <summary>
/// What a person can cause or mend is said in one line, with what to do next; a stack trace is for defects alone.
/// </summary>
static class Failures
{
    const int Failed = 1;
    const int Interrupted = 130;

    public static async Task<int> Guard(Func<Task<int>> run)
    {
        try
        {
            return await run();
        }
        catch (Exception error) when (Explain(error) is { } line)
        {
            await System.Console.Error.WriteLineAsync(line);
            return Failed;
        }
        catch (OperationCanceledException)
        {
            return Interrupted;
        }
#pragma warning disable CA1031 // The last line of defence catches everything.
        catch (Exception error)
#pragma warning restore CA1031
        {
            await System.Console.Error.WriteLineAsync(
                $"This is a defect of Veza; please report it.\n{error}"
            );
            return Failed;
        }
    }

    /// <summary>Null for what nobody outside can have caused.</summary>
    public static string? Explain(Exception error) =>
        error switch
        {
            MigrationFailedException failed => failed.Message,
            PostgresException refused => "DATABASE_URL: " + Explain(refused),
            NpgsqlException or SocketException =>
                $"DATABASE_URL: the database does not answer ({Reason(error)}). Is it running, and is this its address?",
            StripeException { HttpStatusCode: System.Net.HttpStatusCode.Unauthorized } refused =>
                $"STRIPE_SECRET_KEY: Stripe does not know this key ({refused.Message})",
            StripeException refused => $"Stripe refuses: {refused.Message}",
            HttpRequestException
            or ExecutionRejectedException
            or TaskCanceledException { InnerException: TimeoutException } =>
                $"A provider does not answer: {Reason(error)}. Are HYPERSWITCH_BASE_URL and STRIPE_API_BASE right?",
            InvalidDataException => $"{error.Message.TrimEnd('.')}: {Reason(error)}",
            IOException or UnauthorizedAccessException => error.Message,
            AggregateException { InnerException: { } inner } => Explain(inner),
            _ => null,
        };

    static string Explain(PostgresException refused) =>
        refused.SqlState switch
        {
            PostgresErrorCodes.InvalidPassword or PostgresErrorCodes.InvalidAuthorizationSpecification =>
                $"PostgreSQL refuses this user or password ({refused.MessageText}).",
            PostgresErrorCodes.InvalidCatalogName => $"{refused.MessageText}; create it first.",
            PostgresErrorCodes.UndefinedTable or PostgresErrorCodes.UndefinedColumn =>
                "the database is behind this version. Run 'veza migrate' first.",
            PostgresErrorCodes.InsufficientPrivilege =>
                $"this user may not do that ({refused.MessageText}); grant it, or use the owner of the schema.",
            PostgresErrorCodes.ReadOnlySqlTransaction =>
                "this server is a standby and cannot be written to; name the primary.",
            _ => $"PostgreSQL refuses: {refused.MessageText} ({refused.SqlState}).",
        };

    /// <summary>The innermost cause is the one that names the port, the file or the line.</summary>
    static string Reason(Exception error) => error.GetBaseException().Message.TrimEnd('.');
}
