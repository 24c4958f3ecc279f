/// A database for each test, from a template that is migrated once. The server is VEZA_TEST_DATABASE_URL, else
/// one of our own from local binaries, else a container. Never none: a test without a database fails.
module Veza.Host.Tests.Databases

open System
open System.Threading
open System.Threading.Tasks
open Microsoft.Extensions.Logging.Abstractions
open Npgsql
open Testcontainers.PostgreSql
open Veza.Adapters.Postgres
open Veza.Sandbox

let private serverAt () =
    task {
        match Environment.GetEnvironmentVariable "VEZA_TEST_DATABASE_URL" with
        | NonNull url when url <> "" -> return Database.Parse url
        | _ when not (isNull (PrivatePostgres.FindBinaries())) ->
            let! server = PrivatePostgres.Start CancellationToken.None
            AppDomain.CurrentDomain.ProcessExit.Add(fun _ -> server.DisposeAsync().AsTask().Wait())
            return Database.Parse server.ConnectionString
        | _ ->
            let container = PostgreSqlBuilder("postgres:15-alpine").Build()
            do! container.StartAsync()
            return Database.Parse(container.GetConnectionString())
    }

let execute (connectionString: string) sql =
    task {
        use connection = new NpgsqlConnection(connectionString)
        do! connection.OpenAsync()
        use command = new NpgsqlCommand(sql, connection)
        let! _ = command.ExecuteNonQueryAsync()
        ()
    }

let scalar<'t> (connectionString: string) sql =
    task {
        use connection = new NpgsqlConnection(connectionString)
        do! connection.OpenAsync()
        use command = new NpgsqlCommand(sql, connection)
        let! value = command.ExecuteScalarAsync()
        return value :?> 't
    }

let private named (server: NpgsqlConnectionStringBuilder) name =
    NpgsqlConnectionStringBuilder(server.ConnectionString, Database = name, MaxPoolSize = 20)

let private run = Guid.NewGuid().ToString("N").Substring(0, 8)
let private template = $"veza_template_{run}"

let private prepared =
    lazy
        (task {
            let! server = serverAt ()
            do! execute server.ConnectionString $"create database {template}"
            let settings =
                NpgsqlConnectionStringBuilder((named server template).ConnectionString, Pooling = false)
            use database = Database.Open settings
            let! _ =
                Migrator(settings, database, NullLogger<Migrator>.Instance).Migrate CancellationToken.None
            return server
        })

let private gate = new SemaphoreSlim(1)
let mutable private count = 0

/// Every database that a test has had; none is dropped before the server ends.
let used = System.Collections.Concurrent.ConcurrentQueue<string>()

/// A fresh, migrated, empty database.
let fresh () =
    task {
        do! gate.WaitAsync()
        try
            let! server = prepared.Value
            count <- count + 1
            let name = $"veza_{run}_{count}"
            do! execute server.ConnectionString $"create database {name} template {template}"
            let connectionString = (named server name).ConnectionString
            used.Enqueue connectionString
            return connectionString
        finally
            gate.Release() |> ignore
    }

/// An empty database without any table.
let bare () =
    task {
        let! server = prepared.Value
        let name = $"veza_{run}_bare_{Guid.NewGuid():N}"
        do! execute server.ConnectionString $"create database {name}"
        return (named server name).ConnectionString
    }
