/// The commands of `veza`, run as a person runs them.
module Veza.Host.Tests.CommandTests

open System
open System.Collections.Generic
open System.Diagnostics
open System.Threading
open System.Threading.Tasks
open Expecto
open Veza.Host.Tests.CrashTests

let start (program: string) (settings: (string * string) list) (arguments: string list) =
    task {
        let start =
            ProcessStartInfo(
                program,
                List<string> arguments,
                RedirectStandardOutput = true,
                RedirectStandardError = true
            )
        for name, value in settings do
            start.Environment[name] <- value
        use command = nonNull (Process.Start start)
        let output = command.StandardOutput.ReadToEndAsync()
        let errors = command.StandardError.ReadToEndAsync()
        // A command that goes on serving where it should have refused fails its test instead of stopping them all.
        use limit = new CancellationTokenSource(TimeSpan.FromMinutes 2.)
        try
            do! command.WaitForExitAsync limit.Token
        with :? OperationCanceledException ->
            command.Kill(entireProcessTree = true)
        let! output = output
        let! errors = errors
        if limit.IsCancellationRequested then
            failtest $"{arguments} did not end within two minutes: {output}{errors}"
        return command.ExitCode, output, errors
    }

let veza settings arguments = start program settings arguments

let sandbox = program.Replace("Veza.Host", "Veza.Sandbox").Replace("/veza", "/veza-sandbox")

let private settings connectionString = [
    "DATABASE_URL", connectionString
    "HYPERSWITCH_BASE_URL", "http://127.0.0.1:1"
    "HYPERSWITCH_API_KEY", "snd_a_very_secret_key"
    "STRIPE_SECRET_KEY", "sk_test_a_very_secret_key"
    "HYPERSWITCH_WEBHOOK_SECRET", "a_very_secret_webhook_secret"
]

/// A listener that nobody holds is collected, and its port is free again.
let private listeners = List<System.Net.Sockets.TcpListener>()

/// Somebody else's port, until the tests end.
let private listening () =
    let listener = new System.Net.Sockets.TcpListener(System.Net.IPAddress.Loopback, 0)
    lock listeners (fun () -> listeners.Add listener)
    listener.Start()
    listener

[<Tests>]
let tests =
    testList "commands" [
        testTask "bad settings: it refuses to start and names every one" {
            let! code, _, errors =
                veza [
                    "DATABASE_URL", "nonsense"
                    "PLATFORM_FEE_BPS", "10001"
                    "SWEEP_AFTER", "soon"
                    "FEE_REFUND_POLICY", "maybe"
                    "REVERSAL_BATCH_SIZE", "0"
                ] [ "serve" ]
            Expect.equal code 1 ""
            for name in
                [
                    "DATABASE_URL"
                    "PLATFORM_FEE_BPS"
                    "SWEEP_AFTER"
                    "FEE_REFUND_POLICY"
                    "REVERSAL_BATCH_SIZE"
                    "HYPERSWITCH_BASE_URL"
                    "HYPERSWITCH_API_KEY"
                    "STRIPE_SECRET_KEY"
                ] do
                Expect.stringContains errors name "each faulty one"
        }
        testTask "check-config shows every setting and no secret" {
            let! code, output, errors =
                veza (settings "postgres://u:hidden_password@127.0.0.1:1/db") [ "check-config" ]
            Expect.equal code 1 "the database does not answer"
            Expect.stringContains output "the database does not answer" "and it says so"
            Expect.stringContains output "TRANSFER_RETRY_BACKOFF_MAX" ""
            for secret in [ "hidden_password"; "very_secret" ] do
                Expect.isFalse ((output + errors).Contains secret) secret
        }
        testTask "serve refuses a database that is behind, and migrate brings it forward" {
            let! connectionString = Databases.bare ()
            let settings = ("VEZA_URLS", "http://127.0.0.1:0") :: settings connectionString
            let! refused, _, errors = veza settings [ "serve" ]
            Expect.equal refused 1 ""
            Expect.stringContains errors "veza migrate" "it says what to do"
            let! migrated, _, _ = veza settings [ "migrate" ]
            let! again, output, _ = veza settings [ "migrate" ]
            Expect.equal (migrated, again) (0, 0) ""
            Expect.stringContains output "up to date" ""
        }
        testTask "api-keys are shown once, listed without the key, and revoked" {
            let! connectionString = Databases.fresh ()
            let settings = settings connectionString
            let! (created: int), (key: string), (_: string) =
                veza settings [ "api-keys"; "create"; "--role"; "operator"; "--name"; "grace" ]
            Expect.equal created 0 ""
            Expect.stringStarts (key.Trim()) "veza_operator_" "on standard output alone"
            let! (_: int), (listed: string), (_: string) = veza settings [ "api-keys"; "list"; "--json" ]
            Expect.stringContains listed "grace" ""
            Expect.isFalse (listed.Contains(key.Trim())) "only its hash is stored"
            let id = System.Text.Json.JsonDocument.Parse(listed).RootElement[0].GetProperty("id").GetString()
            let! revoked, _, _ = veza settings [ "api-keys"; "revoke"; nonNull id ]
            Expect.equal revoked 0 ""
            let! unknown, _, _ =
                veza settings [ "api-keys"; "revoke"; "01980000-0000-7000-8000-000000000000" ]
            Expect.equal unknown 1 ""
            let! badRole, _, _ = veza settings [ "api-keys"; "create"; "--role"; "king"; "--name"; "x" ]
            Expect.notEqual badRole 0 ""
        }
        testTask "check-config passes a host that would start, and names a webhook secret that is missing" {
            let! (fresh: string) = Databases.fresh ()
            let! code, output, _ = veza (settings fresh) [ "check-config" ]
            Expect.equal code 0 output
            Expect.stringContains output "/webhooks/stripe answers 500" "the one that is not set"
            Expect.stringContains output "up to date" ""
            let! (bare: string) = Databases.bare ()
            let! (code: int), (output: string), (_: string) =
                veza (settings bare) [ "check-config"; "--json" ]
            let read = System.Text.Json.JsonDocument.Parse(output).RootElement
            Expect.equal code 0 "before the first migration too"
            Expect.stringContains (string (read.GetProperty("database").GetProperty "note")) "veza migrate" ""
        }
        testTask "each command needs its own settings only" {
            let! (database: string) = Databases.bare ()
            let own = [ "DATABASE_URL", database; "PLATFORM_FEE_BPS", "nonsense" ]
            for arguments in
                [
                    [ "migrate" ]
                    [ "api-keys"; "create"; "--role"; "read"; "--name"; "finance" ]
                    [ "api-keys"; "list" ]
                ] do
                let! code, output, errors = veza own arguments
                Expect.equal code 0 $"{arguments}: {output}{errors}"
            let! code, _, errors =
                veza [ "DATABASE_URL", database; "STRIPE_SECRET_KEY", "sk_test_1" ] [
                    "backfill-transfer-ids"
                    "--since"
                    "2026-11-20T00:00:00+02:00"
                ]
            Expect.equal code 0 $"nothing is asked of Hyperswitch: {errors}"
        }
        testTask "what is piped has a line for each key, its id whole" {
            let! (database: string) = Databases.fresh ()
            let own = [ "DATABASE_URL", database; "COLUMNS", "40" ]
            for _ in 1..2 do
                let name = String.replicate 60 "a long name "
                let! refused, _, _ = veza own [ "api-keys"; "create"; "--role"; "read"; "--name"; name ]
                Expect.equal refused 1 "a hundred characters are enough"
                let! created, _, _ =
                    veza own [ "api-keys"; "create"; "--role"; "read"; "--name"; name.Substring(0, 100) ]
                Expect.equal created 0 ""
            let! (_: int), (listed: string), (_: string) = veza own [ "api-keys"; "list" ]
            let lines = listed.Split('\n', System.StringSplitOptions.RemoveEmptyEntries)
            let isWhole (line: string) = System.Guid.TryParse((line.Trim().Split ' ')[0]) |> fst
            Expect.equal (lines |> Array.countBy isWhole |> Map.ofArray |> Map.find true) 2 listed
        }
        testTask "a key is somebody's" {
            let! (database: string) = Databases.fresh ()
            for name in [ ""; "  "; "a\tb" ] do
                let! code, _, errors =
                    veza [ "DATABASE_URL", database ] [
                        "api-keys"
                        "create"
                        "--role"
                        "read"
                        "--name"
                        name
                    ]
                Expect.equal code 1 name
                Expect.stringContains errors "--name" ""
        }
        testTask "what a person can cause is told in a line with what to do" {
            let! (database: string) = Databases.fresh ()
            let! (bare: string) = Databases.bare ()
            let away = "postgres://u:p@127.0.0.1:1/db"
            let wrong (text: string) =
                Npgsql.NpgsqlConnectionStringBuilder(database, Password = text).ConnectionString
            let noSuch = Npgsql.NpgsqlConnectionStringBuilder(database, Database = "nowhere").ConnectionString
            let taken = listening ()
            let urls = $"http://{taken.LocalEndpoint}"
            let since = [ "--since"; "2026-11-25T00:00:00+02:00" ]
            for given, arguments, words in
                [
                    settings away, [ "serve" ], "does not answer"
                    settings away, [ "migrate" ], "does not answer"
                    settings away, [ "api-keys"; "list" ], "does not answer"
                    settings away, "reconcile" :: since, "does not answer"
                    settings away, "backfill-transfer-ids" :: since, "does not answer"
                    settings away, [ "smoke" ], "does not answer"
                    settings (wrong "guessed"), [ "migrate" ], "password"
                    settings noSuch, [ "migrate" ], "create it"
                    settings bare, [ "api-keys"; "list" ], "veza migrate"
                    settings bare, [ "serve" ], "veza migrate"
                    settings "postgres://u:p@h:99999999999/db", [ "migrate" ], "port"
                    settings "postgres://u:p@h:abc/db", [ "serve" ], "port"
                    ("VEZA_URLS", urls) :: settings database, [ "serve" ], "VEZA_URLS"
                    ("VEZA_URLS", "http://192.0.2.1:1") :: settings database, [ "serve" ], "VEZA_URLS"
                    settings database, "reconcile" :: since, "could not be compared"
                    settings database, [ "reconcile"; "--since"; "yesterday" ], "--since"
                    settings database, [ "backfill-transfer-ids"; "--report"; "/nowhere/report" ], "/nowhere"
                    settings database @ [ "STRIPE_SECRET_KEY", "sk test\n1" ],
                    [ "serve" ],
                    "STRIPE_SECRET_KEY"
                    ("ASK_INTERVAL", "60d") :: settings database, [ "serve" ], "ASK_INTERVAL"
                    ("STRIPE_TIMEOUT", "999999999d") :: settings database, [ "serve" ], "STRIPE_TIMEOUT"
                    settings database @ [ "STRIPE_SECRET_KEY", "sk_live_1" ], [ "smoke" ], "--live"
                    settings database @ [ "STRIPE_SECRET_KEY", "sk_live_1" ],
                    [ "smoke"; "--live" ],
                    "--account"
                ] do
                let! (code: int), (output: string), (errors: string) = veza given arguments
                let said = output + errors
                Expect.equal code 1 $"{arguments}: {said}"
                Expect.stringContains errors words $"{arguments}"
                Expect.isFalse (said.Contains "   at " || said.Contains "Exception") said
        }
        test "only an address that cannot be listened at is put down to VEZA_URLS" {
            let inside (error: exn) = System.IO.IOException("Failed to bind.", error) :> exn
            let socket (code: System.Net.Sockets.SocketError) =
                System.Net.Sockets.SocketException(int code) :> exn
            for error, isListening in
                [
                    inside (Microsoft.AspNetCore.Connections.AddressInUseException "taken"), true
                    socket System.Net.Sockets.SocketError.AddressNotAvailable, true
                    socket System.Net.Sockets.SocketError.AccessDenied, true
                    AggregateException(inside (socket System.Net.Sockets.SocketError.AddressAlreadyInUse)),
                    true
                    socket System.Net.Sockets.SocketError.ConnectionRefused, false
                    inside (socket System.Net.Sockets.SocketError.HostNotFound), false
                    InvalidOperationException "No service of this type.", false
                    System.IO.IOException "The disk is full.", false
                ] do
                Expect.equal
                    (Veza.Host.Cli.ServeCommand.IsAboutListening error)
                    isListening
                    $"{error.Message}"
        }
        testTask "RECONCILE_GRACE may be none" {
            let! (_: int), (output: string), (_: string) =
                veza (("RECONCILE_GRACE", "0s") :: settings "postgres://u:p@127.0.0.1:1/db") [
                    "check-config"
                ]
            Expect.isMatch output @"RECONCILE_GRACE +0s +\n" "no fault"
        }
        testTask "the sandbox on a taken port says so and leaves nothing behind" {
            let taken = listening ()
            let port = (taken.LocalEndpoint :?> System.Net.IPEndPoint).Port
            let folder = System.IO.Directory.CreateTempSubdirectory "veza-taken-"
            let! (code: int), (output: string), (errors: string) =
                start sandbox [ "TMPDIR", folder.FullName ] [ "run"; "--veza"; program; "--port"; $"{port}" ]
            Expect.equal code 1 ""
            Expect.stringContains errors "--port" "what to do"
            Expect.isFalse ((output + errors).Contains "   at ") "no stack trace"
            Expect.isEmpty (folder.GetFileSystemInfos()) "no PostgreSQL"
            folder.Delete true
        }
        testTask "export-spec speaks three formats" {
            for format, sign in [ "markdown", "| "; "mermaid", "stateDiagram-v2"; "json", "\"transitions\"" ] do
                let! code, output, _ = veza [] [ "export-spec"; "--format"; format ]
                Expect.equal code 0 format
                Expect.stringContains output sign format
        }
        testTask "every command has help" {
            for command in
                [
                    []
                    [ "serve" ]
                    [ "migrate" ]
                    [ "api-keys" ]
                    [ "api-keys"; "create" ]
                    [ "check-config" ]
                    [ "export-spec" ]
                    [ "reconcile" ]
                    [ "backfill-transfer-ids" ]
                    [ "smoke" ]
                ] do
                let! code, output, _ = veza [] (command @ [ "--help" ])
                Expect.equal code 0 ""
                Expect.stringContains output "Usage" (String.concat " " command)
        }
        testTask "every setting is explained in .env.template" {
            let! _, output, _ = veza (settings "postgres://u:p@127.0.0.1:1/db") [ "check-config" ]
            let template =
                System.IO.File.ReadAllText(
                    System.IO.Path.Combine(__SOURCE_DIRECTORY__, "..", "..", ".env.template")
                )
            for found in System.Text.RegularExpressions.Regex.Matches(output, @"(?m)^([A-Z][A-Z_]+) ") do
                Expect.stringContains template (found.Groups[1].Value + "=") found.Groups[1].Value
        }
    ]
