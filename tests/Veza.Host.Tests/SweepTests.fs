/// Every call of the API's description, met from outside in every way that it says it may go wrong.
module Veza.Host.Tests.SweepTests

open System
open System.Threading.Tasks
open Expecto
open NSwag
open Veza.Host.Tests.Scene
open Veza.Sandbox
open Veza.Sandbox.Control

type private Call = {
    Verb: string
    Path: string
    Name: string
    /// Empty where no key is asked for.
    Role: string
    TakesBody: bool
    Codes: string list
}

let private nobody = "01a20d86-0000-7000-8000-000000000000"

let private calls = [
    for path in (ApiDocument.read "openapi.json").Paths do
        for operation in path.Value do
            let call = operation.Value
            let place =
                path.Key
                    .Replace("/admin/webhook-events/{id}", "/admin/webhook-events/999999999")
                    .Replace("{id}", nobody)
                    .Replace("{position}", "1")
                    .Replace("{seller_id}", "nobody")
            let description = string call.Description
            {
                Verb = operation.Key.ToUpperInvariant()
                Path = place
                Name = call.OperationId
                Role =
                    [ "read"; "service"; "operator" ]
                    |> List.tryFind (fun role -> description.Contains $"Role: **{role}**")
                    |> Option.defaultValue ""
                TakesBody = not (isNull call.RequestBody)
                Codes = [
                    for response in call.Responses do
                        for media in response.Value.ActualResponse.Content do
                            yield! media.Value.Examples.Keys
                ]
            }
]

/// What is in order, about something that is not there.
let private body call =
    match call.Name with
    | "createPayment"
    | "createRefund" -> $$"""{"order_id":"{{nobody}}"}"""
    | "writeOffTransfer"
    | "redirectTransfer"
    | "settlePayout"
    | "dismissWebhookEvent"
    | "acknowledgeFinding"
    | "refundDeposit" -> """{"note":"settled"}"""
    | "updateWebhookEndpoint" -> """{"enabled":true}"""
    | "replayWebhookDeliveries" -> """{"state":"failed"}"""
    | _ when call.TakesBody -> "{}"
    | _ -> ""

let private send (scene: Scene) call (role: string) path body more =
    scene.Send(
        call.Verb,
        path,
        body,
        [
            if role <> "" then
                "Authorization", "Bearer " + scene.Key role
            yield! more
        ]
    )

let private meets code (act: Call -> Task<Answer>) =
    task {
        for call in calls do
            if List.contains code call.Codes then
                let! answer = act call
                Expect.equal answer.Code code $"{call.Verb} {call.Path}"
    }

let private lower role = if role = "operator" then "service" else "read"
let private key () = [ "Idempotency-Key", string (Guid.NewGuid()) ]

[<Tests>]
let tests =
    testList "every call" [
        play "without a key, and with too little of one" [] (fun scene ->
            task {
                do! meets "unauthorized" (fun call -> send scene call "" call.Path (body call) [])
                do!
                    meets "forbidden" (fun call ->
                        send scene call (lower call.Role) call.Path (body call) [])
            })
        play "about what is not there" [] (fun scene ->
            task { do! meets "not_found" (fun call -> send scene call call.Role call.Path (body call) []) })
        play "with what cannot be read, and what breaks a rule" [] (fun scene ->
            task {
                let signed call =
                    if call.Path = "/webhooks/stripe" then
                        let secret = scene.World.Wiring.StripeSecret
                        [ "Stripe-Signature", Signatures.Stripe("{broken", secret, DateTimeOffset.UtcNow) ]
                    else
                        let signature =
                            Signatures.Hyperswitch("{broken", scene.World.Wiring.HyperswitchSecret)
                        [ "X-Webhook-Signature-512", signature ]
                do!
                    meets "invalid_json" (fun call ->
                        send scene call call.Role call.Path "{broken" (signed call))
                do! meets "signature_invalid" (fun call -> send scene call "" call.Path "{}" [])
                do!
                    meets "invalid_fields" (fun call ->
                        match call.Verb with
                        | "GET" when call.Path.Contains "/sellers/" ->
                            send scene call call.Role (call.Path.Replace("nobody", "%FF")) "" []
                        | "GET" -> send scene call call.Role (call.Path + "?limit=0&type=x") "" []
                        | "POST" ->
                            let long = [ "Idempotency-Key", String('k', 256) ]
                            send scene call call.Role call.Path (body call) long
                        | "DELETE" -> send scene call call.Role call.Path "" [ "If-Match", "x" ]
                        | _ -> send scene call call.Role call.Path """{"nonsense":1}""" [])
                let! words =
                    scene.As(
                        "operator",
                        "POST",
                        "/api/v1/admin/webhook-events/replay",
                        """{"provider":"paypal","state":"lost"}"""
                    )
                Expect.equal
                    (items "errors" words.Body |> List.map (text "field"))
                    [ "provider"; "state" ]
                    "a filter that matches nothing that there is"
                let huge = sprintf """{"metadata":"%s"}""" (String('x', 300_000))
                do! meets "body_too_large" (fun call -> send scene call call.Role call.Path huge (key ()))
            })
        play "under a key that was used, and one that is in use" [] (fun scene ->
            task {
                do!
                    meets "idempotency_key_reused" (fun call ->
                        task {
                            let key = key ()
                            let! _ = send scene call call.Role call.Path (body call) key
                            return! send scene call call.Role call.Path """{"another":1}""" key
                        })
                do!
                    meets "idempotency_key_in_use" (fun call ->
                        task {
                            let key = key ()
                            let! _ = send scene call call.Role call.Path (body call) key
                            do!
                                scene.Execute
                                    "update idempotent_requests set status = null, locked_until = now() + interval '1 minute'"
                            return! send scene call call.Role call.Path (body call) key
                        })
            })
        play "too often" [ "API_RATE_LIMIT", "1" ] (fun scene ->
            task {
                let! _ =
                    Task.WhenAll [
                        for role in [ "read"; "service"; "operator" ] do
                            for _ in 1..4 -> scene.As(role, "GET", "/api/v1/events?type=x", "")
                    ]
                do!
                    meets "rate_limited" (fun call ->
                        task {
                            let mutable answer = Unchecked.defaultof<Answer>
                            let mutable tries = 0
                            while tries = 0 || (answer.Code <> "rate_limited" && tries < 5) do
                                tries <- tries + 1
                                let! next = send scene call call.Role call.Path "{}" []
                                answer <- next
                            return answer
                        })
            })
        play "with a method that it does not take" [] (fun scene ->
            task { do! meets "method_not_allowed" (fun call -> scene.Send("DELETE", call.Path, "", [])) })
        testTask "while the database is away: nothing is lost, and it says so" {
            do!
                task {
                    match PrivatePostgres.FindBinaries() with
                    | null -> skiptest "No PostgreSQL binaries here to stop."
                    | _ -> ()
                    use! postgres = PrivatePostgres.Start Threading.CancellationToken.None
                    let settings = Npgsql.NpgsqlConnectionStringBuilder postgres.ConnectionString
                    use database = Veza.Adapters.Postgres.Database.Open settings
                    let log =
                        Microsoft.Extensions.Logging.Abstractions
                            .NullLogger<Veza.Adapters.Postgres.Migrator>.Instance
                    let! _ =
                        Veza.Adapters.Postgres.Migrator(settings, database, log).Migrate
                            Threading.CancellationToken.None
                    use! scene = Scene.Open [ "DATABASE_URL", postgres.ConnectionString ]
                    do! postgres.Kill()
                    do!
                        meets "database_unavailable" (fun call ->
                            send scene call call.Role call.Path (body call) [])
                    do!
                        meets "not_recorded" (fun call ->
                            let body = """{"id":"evt_1","event_id":"evt_1"}"""
                            let wiring = scene.World.Wiring
                            let now = DateTimeOffset.UtcNow
                            send scene call "" call.Path body [
                                "Stripe-Signature", Signatures.Stripe(body, wiring.StripeSecret, now)
                                "X-Webhook-Signature-512",
                                Signatures.Hyperswitch(body, wiring.HyperswitchSecret)
                            ])
                    let! ready = scene.Get "/health/ready"
                    Expect.equal (ready.Status, ready.Text "status") (503, "not_ready") ""
                    let! live = scene.Get "/health/live"
                    Expect.equal live.Status 200 "the process lives"
                    do! postgres.StartServer Threading.CancellationToken.None
                    let! again = scene.Get "/api/v1/orders"
                    Expect.equal again.Status 200 "and goes on when it is back"
                }
        }
        play "in the states that forbid it" [ "EVENT_STREAMS", "1" ] (fun scene ->
            task {
                let! order = scene.SettledOrder()
                let! transfers = scene.Transfers order
                let admin = $"""/api/v1/admin/transfers/{text "id" transfers[0]}"""
                let note = """{"note":"no"}"""
                let! whole = scene.As("operator", "POST", admin + "/write-off", note)
                Expect.equal (whole.Status, whole.Code) (409, "transfer_not_retryable") ""
                let stale = [ "Authorization", "Bearer " + scene.Key "operator"; "If-Match", "\"0\"" ]
                let! seen = scene.Send("POST", admin + "/write-off", note, stale)
                Expect.equal seen.Code "precondition_failed" ""
                let! elsewhere = scene.Send("POST", admin + "/redirect", note, stale)
                Expect.equal elsewhere.Code "precondition_failed" ""
                let! made =
                    scene.As(
                        "operator",
                        "POST",
                        "/api/v1/webhook-endpoints",
                        """{"url":"https://example.com/"}"""
                    )
                let path = $"""/api/v1/webhook-endpoints/{made.Text "id"}"""
                let! kept = scene.Send("DELETE", path, "", stale)
                Expect.equal kept.Code "precondition_failed" ""
                let! all = scene.As("operator", "GET", "/api/v1/webhook-endpoints", "")
                Expect.hasLength (items "data" all.Body) 1 ""
                let! runs = scene.As("operator", "GET", "/api/v1/reconciliation/runs", "")
                Expect.equal runs.Status 200 ""
                let! licenses = scene.Get "/api/v1/licenses"
                let license = text "id" (items "data" licenses.Body).Head
                let! one = scene.Get $"/api/v1/licenses/{license}"
                Expect.equal (one.Text "status") "active" ""
                let! events = scene.As("operator", "GET", "/api/v1/admin/webhook-events?state=processed", "")
                let event = number "id" (items "data" events.Body).Head
                let! replayed =
                    scene.As("operator", "POST", $"/api/v1/admin/webhook-events/{event}/replay", "")
                Expect.equal (replayed.Status, replayed.Code) (409, "event_not_replayable") ""
                scene.World.Faults.Add(
                    Fault(
                        "hyperswitch.payments.create",
                        FaultMode.ErrorBefore,
                        Times = Nullable 1,
                        Status = 400,
                        Code = "IR_07"
                    )
                )
                let! refused =
                    scene.Post(
                        "/api/v1/subscriptions",
                        """{"subscriber_id":"sam","plan":{"code":"pro","amount":900,"currency":"EUR","interval":"month"}}"""
                    )
                Expect.equal (refused.Status, refused.Code) (422, "provider_refused") ""
                use held = new Net.Http.HttpRequestMessage(Net.Http.HttpMethod.Get, "/api/v1/events")
                held.Headers.Add("Authorization", "Bearer " + scene.Key "read")
                use! stream = scene.Http.SendAsync(held, Net.Http.HttpCompletionOption.ResponseHeadersRead)
                Expect.equal (int stream.StatusCode) 200 ""
                let! full = scene.Get "/api/v1/events"
                Expect.equal (full.Status, full.Code) (429, "too_many_streams") ""
            })
    ]
