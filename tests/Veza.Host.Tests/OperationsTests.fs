/// What keeps a host in sight: metrics, one id through everything, limits, and settings from every place.
module Veza.Host.Tests.OperationsTests

open System
open System.Collections.Concurrent
open System.Net.Http
open System.Threading
open System.Threading.Tasks
open Expecto
open Microsoft.AspNetCore.Builder
open Microsoft.AspNetCore.Http
open Microsoft.Extensions.DependencyInjection
open Microsoft.Extensions.Logging
open Veza.Host.AdminConsole
open Veza.Host.Background
open Veza.Host.Cli
open Veza.Host.Http
open Veza.Host.Tests.Scene
open Veza.Sandbox.Control

let private bare (scene: Scene) (path: string) (headers: (string * string) list) =
    task {
        use request = new HttpRequestMessage(HttpMethod.Get, path)
        for name, value in headers do
            request.Headers.TryAddWithoutValidation(name, value) |> ignore
        use! response = scene.Http.SendAsync request
        let! body = response.Content.ReadAsStringAsync()
        let kind =
            match response.Content.Headers.ContentType with
            | null -> ""
            | found -> string found.MediaType
        Expect.isNull (ApiDocument.fault "GET" path (int response.StatusCode) kind body) "as described"
        let header (name: string) =
            match response.Headers.TryGetValues name with
            | true, NonNull values -> String.Join(",", values)
            | _ -> ""
        return int response.StatusCode, header, body
    }

let private callIsCorrelated () =
    task {
        let heard = ConcurrentQueue<string>()
        let builder = WebApplication.CreateSlimBuilder()
        builder.Logging.ClearProviders() |> ignore
        use provider = builder.Build()
        provider.Urls.Add "http://127.0.0.1:0"
        provider.Run(fun context ->
            heard.Enqueue(string context.Request.Headers["X-Correlation-Id"])
            context.Response.StatusCode <- 500
            Task.CompletedTask)
        do! provider.StartAsync()
        use! scene = Scene.Open [ "HYPERSWITCH_BASE_URL", Seq.head provider.Urls ]
        let! order = scene.Order()
        let! _ =
            scene.Send(
                "POST",
                "/api/v1/payments",
                $$"""{"order_id":"{{order}}"}""",
                [ "Authorization", "Bearer " + scene.Key "service"; "X-Request-Id", "shop-7:payment" ]
            )
        Expect.contains heard "shop-7:payment" "as X-Correlation-Id"
    }

[<Tests>]
let tests =
    testList "operations" [
        play "metrics tell of steps, calls, lags and what waits, in Prometheus' text" [] (fun scene ->
            task {
                let! order = scene.SettledOrder()
                let! _ = scene.Refund(order, "")
                do! scene.TransfersAre(order, "reversed")
                let! _ = scene.Order()
                do! scene.Services.GetRequiredService<Gauges>().Look CancellationToken.None
                let! status, _, text = bare scene "/metrics" []
                Expect.equal status 200 "no key is needed"
                for line in
                    [
                        "veza_state_changes_total{"
                        "veza_provider_calls_total{"
                        "outcome=\"accepted\""
                        "transfers/reversals\",outcome=\"accepted\""
                        "veza_provider_call_duration_seconds_bucket"
                        "veza_reversal_lag_seconds_count"
                        "veza_webhook_lag_seconds_count"
                        "veza_circuit_open{"
                        "http_server_request_duration_seconds"
                    ] do
                    Expect.stringContains text line ""
                let lag =
                    text.Split '\n'
                    |> Array.filter (fun line -> line.StartsWith "veza_reversal_lag_seconds_sum")
                Expect.isNonEmpty lag "each reversal's time is measured"
            })
        testTask "Prometheus itself takes the rules" {
            match [ "/usr/bin/promtool"; "/usr/local/bin/promtool" ] |> List.tryFind IO.File.Exists with
            | None -> skiptest "promtool is not installed here (Debian's package 'prometheus')."
            | Some promtool ->
                let rules =
                    IO.Path.Combine(ApiDocument.folder, "..", "deploy", "prometheus", "veza.rules.yml")
                let check = Diagnostics.Process.Start(promtool, [ "check"; "rules"; rules ])
                do! check.WaitForExitAsync()
                Expect.equal check.ExitCode 0 "promtool check rules"
        }
        testTask "what a call asks of a provider carries the call's id" { do! callIsCorrelated () }
        play
            "one id stands in the history and the ledger for all that a call or a webhook brought about"
            []
            (fun scene ->
                task {
                    let! order = scene.SettledOrder()
                    let! answer =
                        scene.Send(
                            "POST",
                            "/api/v1/refunds",
                            $$"""{"order_id":"{{order}}"}""",
                            [
                                "Authorization", "Bearer " + scene.Key "service"
                                "X-Request-Id", "shop-7:refund"
                            ]
                        )
                    Expect.equal answer.Status 201 ""
                    do! scene.TransfersAre(order, "reversed")
                    let! steps =
                        scene.Scalar<int64>
                            "select count(*) from transitions where correlation = 'shop-7:refund' and entity = 'refund'"
                    Expect.isGreaterThan steps 0L "the refund's own steps"
                    let! webhooks =
                        scene.Scalar<int64>
                            """select count(*) from webhook_events w
                           join transitions t on t.correlation = w.correlation and t.entity = 'transfer'
                           join ledger_entries l on l.correlation = w.correlation and l.source = 'transfer'
                           where w.type = 'refund_succeeded' and t.to_status = 'reversed'"""
                    Expect.isGreaterThan webhooks 0L "from the webhook to the reversal and its postings"
                    let! transfers = scene.Transfers order
                    let ids =
                        items "history" transfers.Head |> List.map (text "correlation_id") |> List.distinct
                    Expect.all ids (fun id -> id.StartsWith "req_") "each step says where it came from"
                })
        play "every answer has an id, and a caller's own is kept if it is one" [] (fun scene ->
            task {
                let! _, mine, _ = bare scene "/health/live" [ "X-Request-Id", "my-request-1" ]
                Expect.equal (mine "X-Request-Id") "my-request-1" ""
                for bad in [ "short"; "spaces are no id"; String('x', 200) ] do
                    let! _, other, _ = bare scene "/health/live" [ "X-Request-Id", bad ]
                    Expect.stringStarts (other "X-Request-Id") "req_" bad
            })
        play
            "a key that calls too often is told so, and when to come again"
            [ "API_RATE_LIMIT", "5" ]
            (fun scene ->
                task {
                    let key = [ "Authorization", "Bearer " + scene.Key "read" ]
                    let! answers = Task.WhenAll [ for _ in 1..30 -> bare scene "/api/v1/orders" key ]
                    let refused = answers |> Array.filter (fun (status, _, _) -> status = 429)
                    Expect.isGreaterThanOrEqual refused.Length 15 "ten at once, five a second after that"
                    let _, header, body = refused[0]
                    Expect.equal (header "Retry-After", header "RateLimit-Limit") ("1", "5") ""
                    Expect.stringContains body "rate_limited" ""
                    let! other, _, _ =
                        bare scene "/api/v1/orders" [ "Authorization", "Bearer " + scene.Key "service" ]
                    Expect.equal other 200 "another key has its own limit"
                })
        play "two operators cannot both act on what they saw" [] (fun scene ->
            task {
                let! order = scene.SettledOrder()
                let! transfers = scene.Transfers order
                let id = text "id" transfers.Head
                let! _, header, _ =
                    bare scene $"/api/v1/transfers/{id}" [ "Authorization", "Bearer " + scene.Key "read" ]
                Expect.equal (header "ETag") (sprintf "\"%d\"" (number "version" transfers.Head)) ""
                let! answer =
                    scene.Send(
                        "POST",
                        $"/api/v1/admin/transfers/{id}/retry",
                        "",
                        [ "Authorization", "Bearer " + scene.Key "operator"; "If-Match", "\"0\"" ]
                    )
                Expect.equal (answer.Status, answer.Code) (412, "precondition_failed") ""
            })
        test "settings on the command line are told from a verb's own options" {
            let rest =
                SettingsLoader.TakeSettings [|
                    "reconcile"
                    "--STRIPE_RATE_LIMIT=7"
                    "--json"
                    "--LOG_LEVEL"
                    "debug"
                    "--since"
                    "2026-01-01"
                |]
            Expect.equal rest [| "reconcile"; "--json"; "--since"; "2026-01-01" |] ""
            Expect.equal
                [ for setting in SettingsLoader.OnCommandLine -> setting.Key, setting.Value ]
                [ "STRIPE_RATE_LIMIT", "7"; "LOG_LEVEL", "debug" ]
                ""
        }
    ]

/// Gauges of all hosts of one process have one name each: these are looked at when no other host is there.
[<Tests>]
let alone =
    testSequenced
    <| testList "gauges" [
        play "what waits for a balance shows as money and as an age" [] (fun scene ->
            task {
                let! order = scene.SettledOrder()
                scene.World.Stripe.Move("acct_ada", "eur", -5400L)
                let! _ = scene.Refund(order, "")
                do!
                    scene.Until(
                        "ada's reversal to wait for her balance",
                        fun () ->
                            task {
                                let! transfers = scene.Transfers order
                                return text "waiting_for" transfers.Head = "seller_funds"
                            }
                    )
                do! scene.Services.GetRequiredService<Gauges>().Look CancellationToken.None
                let! _, _, metrics = bare scene "/metrics" []
                let line name =
                    metrics.Split '\n'
                    |> Array.filter (fun line -> line.StartsWith(name + "{") && line.Contains "reversals")
                    |> String.concat "\n"
                Expect.isMatch (line "veza_money_pending") @"\} 54( |$)" "her 54.00 €, not 5400"
                Expect.stringContains (line "veza_waiting") "seller_funds" ""
                Expect.isNotEmpty (line "veza_oldest_age_seconds") ""
                let! ready = scene.Get "/health/ready"
                Expect.isTrue
                    (fst (ready.Body.GetProperty("oldest_seconds").TryGetProperty "reversals"))
                    "readiness tells the oldest"
            })
        play
            "every metric of the alerts and the dashboard is there, and every runbook"
            [ "WEBHOOK_ALLOW_PRIVATE_TARGETS", "true" ]
            (fun scene ->
                task {
                    let! _ =
                        scene.As(
                            "operator",
                            "POST",
                            "/api/v1/webhook-endpoints",
                            """{"url":"http://127.0.0.1:1/","event_types":["order.created"]}"""
                        )
                    let! first = scene.SettledOrder()
                    let! _ = scene.Refund(first, "")
                    do! scene.TransfersAre(first, "reversed")
                    let! order = scene.SettledOrder()
                    scene.World.Faults.Add(
                        Fault(
                            "stripe.reversals.create",
                            FaultMode.ErrorBefore,
                            Times = Nullable 100,
                            Status = 400,
                            Code = "x"
                        )
                    )
                    let! _ = scene.Refund(order, "")
                    do! scene.TransfersAre(order, "permanently_failed")
                    do!
                        scene.Until(
                            "an attempt to deliver",
                            fun () ->
                                task {
                                    let! attempts =
                                        scene.Scalar<int64> "select count(*) from webhook_attempts"
                                    return attempts > 0L
                                }
                        )
                    do! scene.Services.GetRequiredService<Gauges>().Look CancellationToken.None
                    let! _, _, metrics = bare scene "/metrics" []
                    let file (name: string) =
                        IO.File.ReadAllText(IO.Path.Combine(ApiDocument.folder, "..", "deploy", name))
                    let rules = file "prometheus/veza.rules.yml"
                    let labels = [ "http_route" ]
                    let wanted =
                        [
                            for found in
                                Text.RegularExpressions.Regex.Matches(
                                    rules + file "grafana/veza.json",
                                    @"\b(veza|http|dotnet)_[a-z_]+\b"
                                ) do
                                found.Value
                        ]
                        |> List.distinct
                        |> List.except labels
                    Expect.isGreaterThan wanted.Length 12 "they use metrics"
                    for name in wanted do
                        let isThere = metrics.Contains("\n" + name + "{")
                        Expect.isTrue isThere $"an alert on what is not there never rings: {name}"
                    for found in Text.RegularExpressions.Regex.Matches(rules, @"docs/[\w/.-]+\.md") do
                        Expect.isTrue
                            (IO.File.Exists(IO.Path.Combine(ApiDocument.folder, "..", found.Value)))
                            found.Value
                })
    ]
