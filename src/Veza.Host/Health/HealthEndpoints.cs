using Npgsql;

namespace Veza.Host.Health;

/// <summary>
/// Answered before anything looks at keys, sessions or the database: whether the process lives depends on nothing else.
/// </summary>
static class HealthEndpoints
{
    public static void Map(IEndpointRouteBuilder routes)
    {
        routes.MapGet("/health/live", () => Requests.Json(new { status = "live" })).ShortCircuit();
        routes.MapGet("/health/ready", Ready).ShortCircuit();
    }

    /// <summary>Says what is wrong, and 503 as long as requests cannot be served.</summary>
    static async Task<IResult> Ready(
        NpgsqlDataSource database,
        Settings settings,
        Migrator migrator,
        CircuitStates circuits,
        Credentials credentials,
        Gauges gauges,
        CancellationToken cancellation
    )
    {
        var problems = new List<string>();
        var serving = true;
        try
        {
            await using var command = database.CreateCommand("select 1");
            await command.ExecuteScalarAsync(cancellation);
            if (await Task.Run(migrator.Missing, cancellation) is { Count: > 0 } missing)
            {
                problems.Add($"the database lacks {string.Join(", ", missing)}: run 'veza migrate'");
                serving = false;
            }
        }
        catch (NpgsqlException)
        {
            problems.Add("the database does not answer");
            serving = false;
        }

        if (settings.HyperswitchWebhookSecrets.Count == 0)
        {
            problems.Add("HYPERSWITCH_WEBHOOK_SECRET is not set: its webhooks are answered with 500");
        }

        if (settings.StripeWebhookSecrets.Count == 0)
        {
            problems.Add("STRIPE_WEBHOOK_SECRET is not set: its webhooks are answered with 500");
        }

        problems.AddRange(
            circuits
                .All()
                .Where(circuit => circuit.IsOpen)
                .Select(circuit =>
                    $"{circuit.Provider} has failed too often: its calls wait for a few seconds"
                )
        );
        problems.AddRange(
            credentials
                .All()
                .Select(refused =>
                    $"{refused.Provider} refuses our credentials for {refused.Operation} with {refused.Status} "
                    + $"since {refused.Since:u}: {refused.Message}"
                )
        );
        return Requests.Json(
            new
            {
                status = serving ? "ready" : "not_ready",
                problems,
                oldest_seconds = gauges.OldestSeconds(),
            },
            serving ? 200 : 503
        );
    }
}
