using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Npgsql;

namespace Veza.Sandbox;

/// <summary>
/// A PostgreSQL of our own in a temporary folder, on a free loopback port, gone when disposed. Made from the
/// binaries on this machine; as root they run as the user <c>postgres</c>, because PostgreSQL refuses to be root.
/// </summary>
public sealed class PrivatePostgres : IAsyncDisposable
{
    readonly string folder;
    readonly string binaries;
    Process? server;

    PrivatePostgres(string binaries, string folder, int port)
    {
        this.binaries = binaries;
        this.folder = folder;
        Port = port;
    }

    public int Port { get; }

    public string ConnectionString => $"Host=127.0.0.1;Port={Port};Username=veza;Database=veza;Password=veza";

    /// <summary>As a setting of Veza takes it.</summary>
    public string Url => $"postgres://veza:veza@127.0.0.1:{Port}/veza";

    /// <summary>The folder of <c>initdb</c> and <c>postgres</c>, or null if this machine has none.</summary>
    public static string? FindBinaries() =>
        (Environment.GetEnvironmentVariable("PATH") ?? "")
            .Split(Path.PathSeparator)
            .Concat(
                Directory.Exists("/usr/lib/postgresql")
                    ? Directory
                        .GetDirectories("/usr/lib/postgresql")
                        .OrderDescending()
                        .Select(version => Path.Combine(version, "bin"))
                    : []
            )
            .Where(path =>
                File.Exists(Path.Combine(path, "initdb")) && File.Exists(Path.Combine(path, "postgres"))
            )
            .Select(path => Path.Combine(path, "initdb"))
            // A link leads to the folder where the other programs are too.
            .Select(initdb => Path.GetDirectoryName(File.ResolveLinkTarget(initdb, true)?.FullName ?? initdb))
            .FirstOrDefault();

    /// <exception cref="InvalidOperationException">There are no binaries, or the server does not start.</exception>
    public static async Task<PrivatePostgres> Start(CancellationToken cancellation)
    {
        var binaries =
            FindBinaries()
            ?? throw new InvalidOperationException(
                "No PostgreSQL is installed here (initdb and postgres are neither on PATH nor under /usr/lib/postgresql). "
                    + "Install the package 'postgresql', or set VEZA_TEST_DATABASE_URL."
            );
        var folder = Directory.CreateTempSubdirectory("veza-postgres-").FullName;
        var postgres = new PrivatePostgres(binaries, folder, FreePort());
        try
        {
            await postgres.Initialize(cancellation);
            await postgres.StartServer(cancellation);
            return postgres;
        }
        catch
        {
            await postgres.DisposeAsync();
            throw;
        }
    }

    /// <summary>
    /// A second server that follows this one, and without which this one acknowledges no commit: what was acknowledged
    /// survives a fail-over.
    /// </summary>
    public async Task<PrivatePostgres> Follow(CancellationToken cancellation)
    {
        var copy = Directory.CreateTempSubdirectory("veza-postgres-").FullName;
        var standby = new PrivatePostgres(binaries, copy, FreePort());
        if (IsRoot)
        {
            await Run("chown", ["postgres", copy], cancellation);
        }

        await Run(
            Path.Combine(binaries, "pg_basebackup"),
            [
                "-d",
                $"postgres://veza:veza@127.0.0.1:{Port}/postgres?application_name=standby",
                "-D",
                Path.Combine(copy, "data"),
                "-R",
                "-X",
                "stream",
                "-c",
                "fast",
                "--no-sync",
            ],
            cancellation,
            asPostgres: true
        );
        await standby.StartServer(cancellation);
        await Execute("alter system set synchronous_standby_names = '*'", cancellation);
        await Execute("select pg_reload_conf()", cancellation);
        return standby;
    }

    /// <summary>The follower becomes the one that is written to, and waits for no other.</summary>
    public async Task Promote(CancellationToken cancellation)
    {
        await Execute("select pg_promote()", cancellation);
        await Execute("alter system reset synchronous_standby_names", cancellation);
        await Execute("select pg_reload_conf()", cancellation);
    }

    async Task Execute(string sql, CancellationToken cancellation)
    {
        await using var connection = new NpgsqlConnection(ConnectionString + ";Pooling=false");
        await connection.OpenAsync(cancellation);
        await using var command = new NpgsqlCommand(sql, connection);
        await command.ExecuteNonQueryAsync(cancellation);
    }

    async Task Initialize(CancellationToken cancellation)
    {
        await File.WriteAllTextAsync(Path.Combine(folder, "password"), "veza", cancellation);
        if (IsRoot)
        {
            await Run("chown", ["-R", "postgres", folder], cancellation);
        }

        await Run(
            Path.Combine(binaries, "initdb"),
            [
                "-D",
                Path.Combine(folder, "data"),
                "-U",
                "veza",
                "-A",
                "scram-sha-256",
                "--pwfile",
                Path.Combine(folder, "password"),
                "-E",
                "UTF8",
                "--locale",
                "C",
                "--no-sync",
            ],
            cancellation,
            asPostgres: true
        );
    }

    /// <summary>Also after <see cref="Kill"/>: the data are still there.</summary>
    public async Task StartServer(CancellationToken cancellation)
    {
        var (file, arguments) = AsPostgres(
            Path.Combine(binaries, "postgres"),
            [
                "-D",
                Path.Combine(folder, "data"),
                "-p",
                $"{Port}",
                "-k",
                folder,
                "-c",
                "listen_addresses=127.0.0.1",
                "-c",
                "max_connections=200",
                "-c",
                "shared_buffers=256MB",
                "-c",
                "max_wal_size=2GB",
                "-c",
                "log_min_messages=warning",
            ]
        );
        var start = new ProcessStartInfo(file, arguments)
        {
            RedirectStandardError = true,
            RedirectStandardOutput = true,
            WorkingDirectory = folder,
        };
        server = Process.Start(start)!;
        server.OutputDataReceived += (_, _) => { };
        server.ErrorDataReceived += (_, _) => { };
        server.BeginErrorReadLine();
        server.BeginOutputReadLine();
        await WaitUntilReady(cancellation);
    }

    async Task WaitUntilReady(CancellationToken cancellation)
    {
        var postgresDatabase =
            $"Host=127.0.0.1;Port={Port};Username=veza;Database=postgres;Password=veza;Pooling=false";
        for (var tries = 0; ; tries++)
        {
            try
            {
                await using var connection = new NpgsqlConnection(postgresDatabase);
                await connection.OpenAsync(cancellation);
                await using var exists = new NpgsqlCommand(
                    "select 1 from pg_database where datname = 'veza'",
                    connection
                );
                if (await exists.ExecuteScalarAsync(cancellation) is null)
                {
                    await using var create = new NpgsqlCommand("create database veza", connection);
                    await create.ExecuteNonQueryAsync(cancellation);
                }

                return;
            }
            catch (NpgsqlException) when (tries < 300 && !server!.HasExited)
            {
                await Task.Delay(50, cancellation);
            }
        }
    }

    /// <summary>As a power cut would.</summary>
    public async Task Kill()
    {
        server!.Kill(entireProcessTree: true);
        await server.WaitForExitAsync();
        File.Delete(Path.Combine(folder, "data", "postmaster.pid"));
    }

    async Task Run(
        string program,
        IReadOnlyList<string> arguments,
        CancellationToken cancellation,
        bool asPostgres = false
    )
    {
        var (file, all) = asPostgres ? AsPostgres(program, arguments) : (program, arguments);
        using var process = Process.Start(
            new ProcessStartInfo(file, all)
            {
                RedirectStandardError = true,
                RedirectStandardOutput = true,
                WorkingDirectory = folder,
            }
        )!;
        var output = process.StandardOutput.ReadToEndAsync(cancellation);
        var errors = await process.StandardError.ReadToEndAsync(cancellation);
        await output;
        await process.WaitForExitAsync(cancellation);
        if (process.ExitCode != 0)
        {
            throw new InvalidOperationException($"{Path.GetFileName(program)} failed: {errors.Trim()}");
        }
    }

    static bool IsRoot => Environment.UserName == "root";

    static (string File, IReadOnlyList<string> Arguments) AsPostgres(
        string program,
        IReadOnlyList<string> arguments
    ) =>
        IsRoot
            ? (
                "setpriv",
                ["--reuid", "postgres", "--regid", "postgres", "--init-groups", program, .. arguments]
            )
            : (program, arguments);

    static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    public async ValueTask DisposeAsync()
    {
        if (server is { HasExited: false })
        {
            await Kill();
        }

        server?.Dispose();
        try
        {
            Directory.Delete(folder, recursive: true);
        }
        catch (IOException)
        {
            // A temporary folder that is still in use goes with the machine's own cleaning.
        }
    }
}
