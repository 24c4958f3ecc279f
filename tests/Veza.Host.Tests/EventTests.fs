/// What others are told of: the stream of state changes, and webhooks to the marketplace's own systems.
module Veza.Host.Tests.EventTests

open System
open System.Collections.Concurrent
open System.IO
open System.Net.Http
open System.Security.Cryptography
open System.Text
open System.Text.Json
open System.Threading
open System.Threading.Tasks
open Expecto
open Microsoft.AspNetCore.Builder
open Microsoft.AspNetCore.Http
open Microsoft.Extensions.DependencyInjection
open Microsoft.Extensions.Logging
open Veza.Host.Tests.Scene

/// Reads so many events of the stream, as a console would.
let private listen (scene: Scene) (query: string) (after: string) many =
    task {
        use limit = new CancellationTokenSource(TimeSpan.FromSeconds 10.)
        use request = new HttpRequestMessage(HttpMethod.Get, "/api/v1/events" + query)
        request.Headers.Add("Authorization", "Bearer " + scene.Key "read")
        if after <> "" then
            request.Headers.Add("Last-Event-ID", after)
        use! response = scene.Http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, limit.Token)
        Expect.equal (string response.Content.Headers.ContentType) "text/event-stream" ""
        ApiDocument.see "streamEvents" (int response.StatusCode) ""
        use reader = new StreamReader(response.Content.ReadAsStream())
        let found = ResizeArray<string * JsonElement>()
        let mutable id = ""
        while found.Count < many do
            match! reader.ReadLineAsync limit.Token with
            | null -> failtest "the stream ended"
            | line when line.StartsWith "id: " -> id <- line.Substring 4
            | line when line.StartsWith "data: " ->
                found.Add((id, JsonDocument.Parse(line.Substring 6).RootElement))
            | _ -> ()
        return List.ofSeq found
    }

let private kinds (events: (string * JsonElement) list) = [
    for _, event in events -> text "entity" event + "." + text "to" event
]

/// Somebody's system that takes webhooks, and answers as it is told to.
type Receiver(answer: unit -> int) =
    let got = ConcurrentQueue<string * string * string * string>()
    let app =
        let builder = WebApplication.CreateSlimBuilder()
        builder.Logging.ClearProviders() |> ignore
        builder.Build()

    member _.Got = List.ofSeq got

    member _.Start() =
        task {
            app.Urls.Add "http://127.0.0.1:0"
            app.Run(fun context ->
                task {
                    use reader = new StreamReader(context.Request.Body)
                    let! body = reader.ReadToEndAsync()
                    let header (name: string) = string context.Request.Headers[name]
                    let status = answer ()
                    got.Enqueue(
                        header "webhook-id",
                        header "webhook-timestamp",
                        header "webhook-signature",
                        body
                    )
                    context.Response.StatusCode <- status
                }
                :> Task)
            do! app.StartAsync()
            return Seq.head app.Urls
        }

    interface IAsyncDisposable with
        member _.DisposeAsync() =
            ValueTask(
                task {
                    do! app.StopAsync()
                    do! app.DisposeAsync()
                }
            )

let private isSigned (secret: string) (id: string, time: string, signature: string, body: string) =
    let key = Convert.FromBase64String(secret.Substring "whsec_".Length)
    let expected = HMACSHA256.HashData(key, Encoding.UTF8.GetBytes $"{id}.{time}.{body}")
    signature.Split ' ' |> Array.contains ("v1," + Convert.ToBase64String expected)

let private told (message: string * string * string * string) =
    let _, _, _, body = message
    JsonDocument.Parse(body).RootElement

let private endpoint (scene: Scene) (url: string) (types: string) =
    task {
        let! answer =
            scene.As(
                "operator",
                "POST",
                "/api/v1/webhook-endpoints",
                $$"""{"url":"{{url}}","event_types":{{types}}}"""
            )
        Expect.equal answer.Status 201 "the endpoint is made"
        return answer
    }

let private open' = [ "WEBHOOK_ALLOW_PRIVATE_TARGETS", "true" ]

[<Tests>]
let tests =
    testList "events" [
        play "the stream tells every state change once, in order, and resumes where it was" [] (fun scene ->
            task {
                let! order = scene.SettledOrder()
                let! whole = listen scene "" "0" 9
                Expect.containsAll
                    (kinds whole)
                    [
                        "order.created"
                        "order.awaiting_payment"
                        "order.completed"
                        "license.active"
                        "transfer.pending"
                        "transfer.completed"
                    ]
                    ""
                let ids = [ for id, _ in whole -> int64 id ]
                Expect.equal ids (List.sort (List.distinct ids)) "in order, none twice"
                let! rest = listen scene "" (string ids[3]) 5
                Expect.equal (List.map fst rest) (List.map fst whole |> List.skip 4) "it resumes"
                let! orders = listen scene "?type=order.*" "0" 3
                Expect.equal
                    (kinds orders)
                    [ "order.created"; "order.awaiting_payment"; "order.completed" ]
                    "filtered"
                let live = listen scene "?type=refund.*" "" 2
                do! Task.Delay 300
                let! _ = scene.Refund(order, "")
                let! seen = live
                Expect.equal (kinds seen) [ "refund.pending"; "refund.submitted" ] "as it happens"
            })
        play "a change that is not committed yet is not overtaken by a later one" [] (fun scene ->
            task {
                use slow = new Npgsql.NpgsqlConnection(scene.ConnectionString)
                do! slow.OpenAsync()
                use! transaction = slow.BeginTransactionAsync()
                use insert =
                    new Npgsql.NpgsqlCommand(
                        "insert into transitions (entity, entity_id, to_status, signal, actor, at) values ('order', gen_random_uuid(), 'created', 'created', 'slow', now())",
                        slow,
                        transaction
                    )
                let! _ = insert.ExecuteNonQueryAsync()
                let! _ = scene.Order()
                let both = listen scene "" "0" 2
                do! Task.Delay 600
                Expect.isFalse both.IsCompleted "what came later waits"
                do! transaction.CommitAsync()
                let! seen = both
                Expect.equal (seen |> List.map (snd >> text "actor") |> List.head) "slow" "and comes later"
            })
        play "faults of the stream's parameters are named" [] (fun scene ->
            task {
                for path, headers, field in
                    [
                        "/api/v1/events?type=nonsense", [], "type"
                        "/api/v1/events", [ "Last-Event-ID", "x" ], "Last-Event-ID"
                        "/api/v1/events?limit=1", [], "limit"
                    ] do
                    let! answer =
                        scene.Send(
                            "GET",
                            path,
                            "",
                            ("Authorization", "Bearer " + scene.Key "read") :: headers
                        )
                    Expect.equal
                        (answer.Status, items "errors" answer.Body |> List.map (text "field"))
                        (422, [ field ])
                        path
            })
        play "webhooks carry a signature, a sequence and the whole thing" open' (fun scene ->
            task {
                use receiver = new Receiver(fun () -> 204)
                let! url = receiver.Start()
                let! made = endpoint scene url """["order.completed","transfer.*","license.active"]"""
                let! order = scene.SettledOrder()
                do! scene.Until("seven messages", fun () -> task { return receiver.Got.Length >= 7 })
                let got = receiver.Got
                Expect.all got (isSigned (made.Text "secret")) "each is signed"
                let messages = got |> List.map told |> List.sortBy (number "sequence")
                Expect.equal
                    (messages |> List.countBy (text "type") |> List.sort)
                    [
                        "license.active", 2
                        "order.completed", 1
                        "transfer.completed", 2
                        "transfer.pending", 2
                    ]
                    "what was asked for, and nothing else"
                let completed =
                    messages |> List.find (fun message -> text "type" message = "order.completed")
                let data = completed.GetProperty "data"
                Expect.equal (text "id" data, text "status" data) (order, "completed") "a full snapshot"
                Expect.hasLength (items "lines" data) 2 ""
                let paid =
                    messages |> List.filter (fun message -> text "type" message = "transfer.completed")
                Expect.all
                    paid
                    (fun message ->
                        (text "stripe_transfer_id" (message.GetProperty "data")).StartsWith "tr_")
                    ""
                let ids = [ for id, _, _, _ in got -> id ]
                Expect.hasLength (List.distinct ids) 7 "none twice"
            })
        play "what is not taken is tried again, and all of it stands in the log" open' (fun scene ->
            task {
                let mutable refusals = 1
                use receiver =
                    new Receiver(fun () -> if Interlocked.Decrement(&refusals) >= 0 then 500 else 200)
                let! url = receiver.Start()
                let! made = endpoint scene url """["order.created"]"""
                let! _ = scene.Order()
                let log = $"""/api/v1/webhook-endpoints/{made.Text "id"}/deliveries"""
                let delivery () =
                    task {
                        let! answer = scene.As("operator", "GET", log, "")
                        return items "data" answer.Body |> List.exactlyOne
                    }
                do!
                    scene.Until(
                        "the first attempt",
                        fun () ->
                            task {
                                let! now = delivery ()
                                return number "attempts" now = 1L
                            }
                    )
                let! first = delivery ()
                Expect.equal (text "state" first) "pending" "it is due again by the ladder"
                Expect.isGreaterThan
                    (first.GetProperty("next_attempt_at").GetDateTimeOffset())
                    DateTimeOffset.UtcNow
                    ""
                let! again =
                    scene.As(
                        "operator",
                        "POST",
                        $"""/api/v1/webhook-endpoints/{made.Text "id"}/replay""",
                        """{"state":"pending"}"""
                    )
                Expect.equal (number "replayed" again.Body) 1L ""
                do!
                    scene.Until(
                        "it to be delivered",
                        fun () ->
                            task {
                                let! now = delivery ()
                                return text "state" now = "delivered"
                            }
                    )
                let! last = delivery ()
                Expect.equal
                    (items "log" last |> List.map (number "http_status"))
                    [ 500L; 200L ]
                    "both attempts are told"
                Expect.equal
                    (receiver.Got |> List.map (fun (id, _, _, _) -> id) |> List.distinct |> List.length)
                    1
                    "under one id"
            })
        play "an endpoint that says it is gone is switched off, and goes on where it was" open' (fun scene ->
            task {
                let mutable answer = 410
                use receiver = new Receiver(fun () -> answer)
                let! url = receiver.Start()
                let! made = endpoint scene url """["order.created"]"""
                let path = $"""/api/v1/webhook-endpoints/{made.Text "id"}"""
                let! _ = scene.Order()
                do!
                    scene.Until(
                        "it to be switched off",
                        fun () ->
                            task {
                                let! now = scene.As("operator", "GET", path, "")
                                return not (now.Body.GetProperty("enabled").GetBoolean())
                            }
                    )
                answer <- 200
                let held state =
                    scene.Until(
                        $"both to be {state}",
                        fun () ->
                            task {
                                let! log =
                                    scene.As("operator", "GET", $"{path}/deliveries?state={state}", "")
                                return (items "data" log.Body).Length = 2
                            }
                    )
                let! missed = scene.Order()
                do! held "held"
                Expect.hasLength receiver.Got 1 "nothing is sent to it"
                let! on = scene.As("operator", "PATCH", path, """{"enabled":true}""")
                Expect.equal on.Status 200 ""
                do! held "delivered"
                let last = receiver.Got |> List.map told |> List.maxBy (number "sequence")
                Expect.equal
                    (text "id" (last.GetProperty "data"), text "status" (last.GetProperty "data"))
                    (missed, "created")
                    "what happened meanwhile too, as it was then"
            })
        play "what is old and done goes, what is young or waits stays" open' (fun scene ->
            task {
                use receiver = new Receiver(fun () -> 200)
                let! url = receiver.Start()
                let! _ = endpoint scene url """["order.created"]"""
                let! _ = scene.Order()
                let! _ = scene.Order()
                do! scene.Until("both messages", fun () -> task { return receiver.Got.Length = 2 })
                let! _ =
                    scene.Send(
                        "POST",
                        "/api/v1/orders",
                        "{}",
                        [ "Authorization", "Bearer " + scene.Key "service"; "Idempotency-Key", "old" ]
                    )
                do! scene.Execute "update idempotent_requests set created_at = now() - interval '31 days'"
                do!
                    scene.Execute
                        "update webhook_messages set created_at = now() - interval '31 days' where seq = (select min(seq) from webhook_messages)"
                let keeping =
                    scene.Services.GetRequiredService<Veza.Adapters.Postgres.Repositories.RetentionStore>()
                let! gone = keeping.Prune(TimeSpan.FromDays 30., CancellationToken.None)
                Expect.equal gone 3 "an answer, a delivery and its message"
                let! again = keeping.Prune(TimeSpan.FromDays 30., CancellationToken.None)
                Expect.equal again 0 ""
                let! left = scene.Scalar<int64> "select count(*) from webhook_deliveries"
                Expect.equal left 1L "the young one stays"
            })
        play "a secret is rotated without a gap" open' (fun scene ->
            task {
                use receiver = new Receiver(fun () -> 200)
                let! url = receiver.Start()
                let! made = endpoint scene url """["order.created"]"""
                let! rotated =
                    scene.As(
                        "operator",
                        "POST",
                        $"""/api/v1/webhook-endpoints/{made.Text "id"}/rotate-secret""",
                        ""
                    )
                Expect.notEqual (rotated.Text "secret") (made.Text "secret") ""
                let! _ = scene.Order()
                do! scene.Until("the message", fun () -> task { return receiver.Got.Length = 1 })
                Expect.isTrue (isSigned (made.Text "secret") receiver.Got[0]) "the old one still verifies"
                Expect.isTrue (isSigned (rotated.Text "secret") receiver.Got[0]) "and so does the new one"
            })
        play
            "private targets are refused, by their scheme at once and by their address when it matters"
            []
            (fun scene ->
                task {
                    let! plain =
                        scene.As(
                            "operator",
                            "POST",
                            "/api/v1/webhook-endpoints",
                            """{"url":"http://example.com/","event_types":["order.nonsense"]}"""
                        )
                    Expect.equal
                        (items "errors" plain.Body |> List.map (text "code"))
                        [ "not_https"; "unknown_value" ]
                        ""
                    let! made = endpoint scene "https://127.0.0.1:1/" """["*"]"""
                    let! _ = scene.Order()
                    do!
                        scene.Until(
                            "the attempt",
                            fun () ->
                                task {
                                    let! answer =
                                        scene.As(
                                            "operator",
                                            "GET",
                                            $"""/api/v1/webhook-endpoints/{made.Text "id"}/deliveries""",
                                            ""
                                        )
                                    return
                                        items "data" answer.Body
                                        |> List.collect (items "log")
                                        |> List.exists (fun attempt ->
                                            (text "error" attempt).Contains "WEBHOOK_ALLOW_PRIVATE_TARGETS")
                                }
                        )
                })
        play "two operators cannot both change what they saw" open' (fun scene ->
            task {
                let! made = endpoint scene "https://example.com/" """["*"]"""
                let path = $"""/api/v1/webhook-endpoints/{made.Text "id"}"""
                let change tag =
                    scene.Send(
                        "PATCH",
                        path,
                        """{"description":"mine"}""",
                        [ "Authorization", "Bearer " + scene.Key "operator"; "If-Match", tag ]
                    )
                let! mine = change "\"1\""
                let! yours = change "\"1\""
                Expect.equal (mine.Status, yours.Status, yours.Code) (200, 412, "precondition_failed") ""
                let! gone = scene.As("operator", "DELETE", path, "")
                Expect.equal gone.Status 204 ""
                let! missing = scene.As("operator", "DELETE", path, "")
                Expect.equal missing.Status 404 ""
            })
    ]
