/// The whole of it as processes: several hosts, databases that die, a pooler in between, and logs without secrets.
module Veza.Host.Tests.EndToEndTests

open System
open System.Collections.Generic
open System.Diagnostics
open System.IO
open System.Net
open System.Net.Sockets
open System.Threading
open System.Threading.Tasks
open Expecto
open Npgsql
open Veza.Adapters.Postgres
open Veza.Host.Tests.Scene
open Veza.Sandbox.Demo

let private sandbox =
    let mine = DirectoryInfo AppContext.BaseDirectory
    Path.GetFullPath(Path.Combine(mine.FullName, "..", "..", "Veza.Sandbox", mine.Name, "veza-sandbox"))

let private freePort () =
    use listener = new TcpListener(IPAddress.Loopback, 0)
    listener.Start()
    (listener.LocalEndpoint :?> IPEndPoint).Port

let private run (program: string) (arguments: string list) =
    task {
        let start =
            ProcessStartInfo(program, arguments, RedirectStandardOutput = true, RedirectStandardError = true)
        use process' = nonNull (Process.Start start)
        let output = process'.StandardOutput.ReadToEndAsync()
        let errors = process'.StandardError.ReadToEndAsync()
        do! process'.WaitForExitAsync()
        let! output = output
        let! errors = errors
        return process'.ExitCode, output + errors
    }

let private pgbouncer =
    [ "/usr/sbin/pgbouncer"; "/usr/bin/pgbouncer"; "/usr/local/bin/pgbouncer" ]
    |> List.tryFind File.Exists

/// PgBouncer in transaction mode before the database of the tests. It refuses to be root.
type private Pooler(folder: string, bouncer: Process, url: string) =
    member _.Url = url

    static member Start(program: string, connectionString: string) =
        task {
            let database = NpgsqlConnectionStringBuilder connectionString
            let port = freePort ()
            let folder = (Directory.CreateTempSubdirectory "veza-pgbouncer-").FullName
            let file = Path.Combine(folder, "pgbouncer.ini")
            let password =
                if isNull database.Password then
                    ""
                else
                    $" password={database.Password}"
            File.WriteAllText(
                file,
                $"[databases]\n* = host={database.Host} port={database.Port} user={database.Username}{password}\n\
                  [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = any\n\
                  unix_socket_dir =\npool_mode = transaction\ndefault_pool_size = 10\nmax_client_conn = 200\n"
            )
            File.SetUnixFileMode(
                folder,
                UnixFileMode.OtherRead
                ||| UnixFileMode.OtherExecute
                ||| UnixFileMode.UserRead
                ||| UnixFileMode.UserWrite
                ||| UnixFileMode.UserExecute
            )
            let start =
                if Environment.UserName = "root" then
                    ProcessStartInfo(
                        "setpriv",
                        [ "--reuid"; "postgres"; "--regid"; "postgres"; "--init-groups"; program; file ]
                    )
                else
                    ProcessStartInfo(program, [ file ])
            start.RedirectStandardError <- true
            let bouncer = nonNull (Process.Start start)
            bouncer.ErrorDataReceived.Add ignore
            bouncer.BeginErrorReadLine()
            let url =
                NpgsqlConnectionStringBuilder(
                    Host = "127.0.0.1",
                    Port = port,
                    Username = database.Username,
                    Database = database.Database,
                    Timezone = "UTC",
                    NoResetOnClose = true
                )
            return new Pooler(folder, bouncer, url.ConnectionString)
        }

    interface IDisposable with
        member _.Dispose() =
            bouncer.Kill()
            bouncer.WaitForExit()
            bouncer.Dispose()
            Directory.Delete(folder, true)

let private story name (act: unit -> Task<unit>) = testTask name { do! act () }

[<Tests>]
let tests =
    testList "end to end" [
        story "two hosts, kill -9 of both and of PostgreSQL, a fail-over: no difference is left" (fun () ->
            task {
                let! code, output =
                    run sandbox [
                        "chaos"
                        "--veza"
                        CrashTests.program
                        "--minutes"
                        "0.25"
                        "--seed"
                        "5"
                        "--hosts"
                        "2"
                        "--fail-over"
                    ]
                Expect.equal code 0 output
                Expect.stringContains output "failed over in" "and it did fail over"
            })
        story "PgBouncer in transaction mode is no hindrance" (fun () ->
            task {
                match pgbouncer with
                | None -> skiptest "PgBouncer is not installed here (Debian's package 'pgbouncer')."
                | Some program ->
                    let! connectionString = Databases.fresh ()
                    use! pooler = Pooler.Start(program, connectionString)
                    use! scene = Scene.Open [ "DATABASE_URL", pooler.Url ]
                    let! order = scene.SettledOrder()
                    let! _ = scene.Refund(order, "")
                    do! scene.TransfersAre(order, "reversed")
                    do! scene.OrderIs(order, "refunded")
                    do! scene.BooksAgree()
            })
        story "no secret reaches a log, an error or a page" (fun () ->
            task {
                let! connectionString = Databases.fresh ()
                let secrets = [
                    "HYPERSWITCH_API_KEY", "snd_secret_of_hyperswitch"
                    "HYPERSWITCH_WEBHOOK_SECRET", "hook_secret_of_hyperswitch"
                    "STRIPE_SECRET_KEY", "sk_test_secret_of_stripe"
                    "STRIPE_WEBHOOK_SECRET", "whsec_secret_of_stripe"
                ]
                use! scene = Scene.Open []
                let settings =
                    Dictionary<string, string>(
                        dict [
                            yield! secrets
                            "DATABASE_URL", connectionString
                            "HYPERSWITCH_BASE_URL", scene.HyperswitchUrl
                            "STRIPE_API_BASE", scene.StripeUrl
                            "LOG_LEVEL", "debug"
                            "LOG_FORMAT", "json"
                            "STRIPE_TIMEOUT", "2s"
                        ]
                    )
                use host = VezaProcess.At(CrashTests.program, settings)
                let! key =
                    host.Run(
                        [ "api-keys"; "create"; "--role"; "operator"; "--name"; "log" ],
                        CancellationToken.None
                    )
                do! host.Start CancellationToken.None
                use http = new Net.Http.HttpClient(BaseAddress = Uri host.Address)
                let heard = List<string>()
                let send (verb: string) (path: string) (body: string) =
                    task {
                        use request = new Net.Http.HttpRequestMessage(Net.Http.HttpMethod verb, path)
                        request.Headers.Add("Authorization", "Bearer " + key)
                        if body <> "" then
                            request.Content <-
                                new Net.Http.StringContent(body, Text.Encoding.UTF8, "application/json")
                        use! response = http.SendAsync request
                        let! text = response.Content.ReadAsStringAsync()
                        heard.Add text
                    }
                scene.World.Stripe.Open "acct_ada"
                do! send "PUT" "/api/v1/sellers/ada" """{"stripe_account_id":"acct_ada"}"""
                do! send "POST" "/api/v1/orders" "{broken"
                scene.World.Faults.Add(
                    fault "hyperswitch.payments.create" Veza.Sandbox.Control.FaultMode.TimeoutAfter 1
                )
                do!
                    send
                        "POST"
                        "/api/v1/orders"
                        """{"buyer_id":"b","currency":"EUR","lines":[{"product_id":"p","seller_id":"ada","quantity":1,"unit_amount":100}]}"""
                let order = text "id" (Text.Json.JsonDocument.Parse(Seq.last heard).RootElement)
                do! send "POST" "/api/v1/payments" $$"""{"order_id":"{{order}}"}"""
                do!
                    send
                        "POST"
                        "/api/v1/webhook-endpoints"
                        """{"url":"https://127.0.0.1:1/","event_types":["*"]}"""
                let hookSecret = text "secret" (Text.Json.JsonDocument.Parse(Seq.last heard).RootElement)
                heard.RemoveAt(heard.Count - 1)
                for path in
                    [
                        "/health/ready"
                        "/metrics"
                        "/console/sign-in"
                        "/api/v1/webhook-endpoints"
                        "/api/v1/reconciliation"
                        "/openapi/v1.json"
                    ] do
                    do! send "GET" path ""
                do! send "POST" "/webhooks/stripe" "{}"
                let! _, config, complaints = host.Ask([ "check-config" ], CancellationToken.None)
                let! _, reconciled, errors = host.Ask([ "reconcile" ], CancellationToken.None)
                do! host.Kill()
                let everything =
                    String.Join(
                        "\n",
                        [|
                            yield! heard
                            config
                            complaints
                            reconciled
                            errors
                            File.ReadAllText host.LogFile
                        |]
                    )
                Expect.stringContains everything "STRIPE_SECRET_KEY" "check-config has said something"
                Expect.stringContains (File.ReadAllText host.LogFile) "key:log" "and so has the log"
                let password = (NpgsqlConnectionStringBuilder connectionString).Password
                for secret in [ key; hookSecret; yield! List.map snd secrets ] do
                    Expect.isFalse (everything.Contains secret) $"{secret.Substring(0, 8)}… is nowhere"
                Expect.isFalse
                    (everything.Contains $"Password={password}" || everything.Contains $":{password}@")
                    "nor the database's password"
            })
        story "a host that stops politely lets its stream go, and stops soon" (fun () ->
            task {
                let! connectionString = Databases.fresh ()
                use! scene = Scene.Open []
                let settings =
                    Dictionary<string, string>(
                        dict [
                            "DATABASE_URL", connectionString
                            "HYPERSWITCH_BASE_URL", scene.HyperswitchUrl
                            "HYPERSWITCH_API_KEY", "snd_test_key_for_hyperswitch"
                            "STRIPE_API_BASE", scene.StripeUrl
                            "STRIPE_SECRET_KEY", "sk_test_key_for_stripe"
                        ]
                    )
                use host = VezaProcess.At(CrashTests.program, settings)
                let! key =
                    host.Run(
                        [ "api-keys"; "create"; "--role"; "read"; "--name"; "s" ],
                        CancellationToken.None
                    )
                do! host.Start CancellationToken.None
                use http = new Net.Http.HttpClient(BaseAddress = Uri host.Address)
                http.DefaultRequestHeaders.Add("Authorization", "Bearer " + key)
                use! stream =
                    http.GetAsync("/api/v1/events", Net.Http.HttpCompletionOption.ResponseHeadersRead)
                Expect.equal (int stream.StatusCode) 200 ""
                let! took = host.Stop()
                Expect.isLessThan took (TimeSpan.FromSeconds 10.) "well within the 25 s"
            })
    ]
