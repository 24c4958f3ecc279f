using DbUp;
using DbUp.Engine;
using DbUp.Engine.Output;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Veza.Adapters.Postgres;

/// <summary>A migration was refused; the ones before it hold.</summary>
public sealed class MigrationFailedException(string message, Exception inner) : Exception(message, inner);

/// <summary>Applies the numbered SQL migrations that are embedded in this assembly.</summary>
public sealed class Migrator(
    NpgsqlConnectionStringBuilder settings,
    NpgsqlDataSource database,
    ILogger<Migrator> log
)
{
    /// <summary>Any number of hosts may migrate at once; this number makes them queue.</summary>
    const long Lock = 0x76657a61;

    /// <summary>The names of the migrations that the database lacks, in order.</summary>
    public IReadOnlyList<string> Missing() =>
        [.. Engine().GetScriptsToExecute().Select(script => script.Name)];

    /// <summary>
    /// Applies what is missing and names it. Safe to repeat: held by a transaction-level lock, which works
    /// behind PgBouncer too.
    /// </summary>
    public async Task<IReadOnlyList<string>> Migrate(CancellationToken cancellation)
    {
        await using var connection = await database.OpenConnectionAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        await using var queue = new NpgsqlCommand("select pg_advisory_xact_lock($1)", connection, transaction)
        {
            Parameters = { new() { Value = Lock } },
            CommandTimeout = 600,
        };
        await queue.ExecuteNonQueryAsync(cancellation);
        var result = await Task.Run(Engine().PerformUpgrade, cancellation);
        await transaction.CommitAsync(cancellation);
        return result.Successful
            ? [.. result.Scripts.Select(script => script.Name)]
            : throw new MigrationFailedException(
                $"The migration {result.ErrorScript?.Name} failed: {result.Error.Message}",
                result.Error
            );
    }

    UpgradeEngine Engine() =>
        DeployChanges
            .To.PostgresqlDatabase(settings.ConnectionString)
            .WithScriptsEmbeddedInAssembly(
                typeof(Migrator).Assembly,
                name => name.EndsWith(".sql", StringComparison.Ordinal)
            )
            .WithTransactionPerScript()
            .JournalToPostgresqlTable("public", "schema_versions")
            .LogTo(new Log(log))
            .Build();

    sealed class Log(ILogger log) : IUpgradeLog
    {
#pragma warning disable CA2254 // DbUp hands over templates of its own.
        public void LogTrace(string format, params object[] args) => log.LogTrace(format, args);

        public void LogDebug(string format, params object[] args) => log.LogDebug(format, args);

        public void LogInformation(string format, params object[] args) => log.LogDebug(format, args);

        public void LogWarning(string format, params object[] args) => log.LogWarning(format, args);

        public void LogError(string format, params object[] args) => log.LogError(format, args);

        public void LogError(Exception ex, string format, params object[] args) =>
            log.LogError(ex, format, args);
#pragma warning restore CA2254
    }
}
