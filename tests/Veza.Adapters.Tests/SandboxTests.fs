/// What people and banks do to the simulated world, over HTTP: the sandbox's own promises (docs/sandbox.md).
module Veza.Adapters.Tests.SandboxTests

open System
open System.Collections.Concurrent
open System.IO
open System.Net.Http
open System.Text
open System.Text.Json
open System.Threading.Tasks
open Expecto
open Microsoft.AspNetCore.Builder
open Microsoft.AspNetCore.Hosting
open Microsoft.AspNetCore.Http
open Microsoft.Extensions.Logging
open Veza.Adapters.Tests.Wire
open Veza.Domain

/// Takes every webhook and keeps its body.
type private Listener(app: WebApplication, bodies: ConcurrentQueue<string>) =
    member _.Address = Seq.head app.Urls
    member _.Bodies = List.ofSeq bodies

    static member Start() =
        task {
            let builder = WebApplication.CreateSlimBuilder()
            builder.WebHost.UseUrls("http://127.0.0.1:0") |> ignore
            builder.Logging.ClearProviders() |> ignore
            let app = builder.Build()
            let bodies = ConcurrentQueue<string>()
            let take (context: HttpContext) : Task =
                task {
                    use reader = new StreamReader(context.Request.Body)
                    let! body = reader.ReadToEndAsync()
                    bodies.Enqueue body
                }
            app.Run(RequestDelegate take)
            do! app.StartAsync()
            return new Listener(app, bodies)
        }

    /// Waits until one of them holds these words.
    member listener.Hears(words: string) =
        task {
            let limit = DateTime.UtcNow.AddSeconds 20.
            while listener.Bodies |> List.forall (fun body -> not (body.Contains words)) do
                Expect.isLessThan DateTime.UtcNow limit $"no webhook says {words}"
                do! Task.Delay 20
        }

    interface IAsyncDisposable with
        member _.DisposeAsync() = app.DisposeAsync()

/// The answer's status and body.
let private call (wire: Wire) (verb: string) (path: string) (json: string) =
    task {
        use http = new HttpClient()
        use request = new HttpRequestMessage(HttpMethod verb, wire.Address + path)
        request.Headers.TryAddWithoutValidation("Authorization", "Bearer sk_test") |> ignore
        request.Headers.TryAddWithoutValidation("api-key", "snd") |> ignore
        if json <> "" then
            request.Content <- new StringContent(json, Encoding.UTF8, "application/json")
        use! response = http.SendAsync request
        let! body = response.Content.ReadAsStringAsync()
        return int response.StatusCode, body
    }

let private control wire path json = call wire "POST" ("/control" + path) json

let private read (body: string) (field: string) =
    use document = JsonDocument.Parse body
    document.RootElement.GetProperty(field).ToString()

let private platform (wire: Wire) = wire.World.Stripe.Balance("platform", "eur")

let private eventTypes (wire: Wire) =
    task {
        let! _, body = call wire "GET" "/stripe/v1/events?limit=100&type=charge.dispute.*" ""
        use document = JsonDocument.Parse body
        return [
            for one in document.RootElement.GetProperty("data").EnumerateArray() do
                (string (one.GetProperty "type")).Replace("charge.dispute.", "")
        ]
    }

/// 100.00 EUR paid, and a dispute of some of it.
let private disputed (wire: Wire) (more: string) =
    task {
        let! order = paid wire
        let payment = (PaymentId.For order.Id).Value
        let! status, body = control wire "/disputes" $"""{{"payment_id":"{payment}"{more}}}"""
        Expect.equal status 200 body
        return payment, read body "id"
    }

[<Tests>]
let tests =
    testList "the sandbox" [
        testList "disputes" [
            play "go to and fro, grow and shrink, and the platform's balance follows" (fun wire ->
                task {
                    let! _, id = disputed wire ""","amount":4000,"stage":"pre_dispute" """
                    let held = platform wire
                    let! status, body = call wire "GET" $"/hyperswitch/disputes/{id}" ""
                    Expect.equal (status, read body "dispute_stage") (200, "pre_dispute") ""
                    Expect.isNotEmpty (read body "challenge_required_by") "until when to answer"
                    let stripeId = read body "connector_dispute_id"
                    for change, hyperswitch, stripe, withdrawn in
                        [
                            """{"stage":"dispute"}""", "dispute_opened", "needs_response", 40_00L
                            """{"amount":10000}""", "dispute_opened", "needs_response", 100_00L
                            """{"outcome":"lost"}""", "dispute_lost", "lost", 100_00L
                            """{"outcome":"won"}""", "dispute_won", "won", 0L
                            """{"outcome":"won"}""", "dispute_won", "won", 0L
                            """{"outcome":"lost","stage":"arbitration"}""", "dispute_lost", "lost", 100_00L
                            """{"amount":2500}""", "dispute_lost", "lost", 25_00L
                            """{"outcome":"opened"}""", "dispute_opened", "needs_response", 25_00L
                            """{"outcome":"expired"}""", "dispute_expired", "lost", 25_00L
                            """{"stage":"pre_dispute","outcome":"won"}""",
                            "dispute_cancelled",
                            "warning_closed",
                            0L
                        ] do
                        let! status, _ = control wire $"/disputes/{id}" change
                        Expect.equal status 204 change
                        let! _, one = call wire "GET" $"/hyperswitch/disputes/{id}" ""
                        let! _, other = call wire "GET" $"/stripe/v1/disputes/{stripeId}" ""
                        Expect.equal
                            (read one "dispute_status", read one "connector_status", read other "status")
                            (hyperswitch, stripe, stripe)
                            change
                        Expect.equal (read one "amount") (read other "amount") "both say the same amount"
                        Expect.equal (held - platform wire) withdrawn change
                    let! types = eventTypes wire
                    Expect.equal
                        (types
                         |> List.filter (fun name -> name.StartsWith "funds")
                         |> List.sort
                         |> List.countBy (fun name -> name))
                        [ "funds_reinstated", 3; "funds_withdrawn", 3 ]
                        "each movement of the balance is told"
                })
            play "are refused what the payment does not have" (fun wire ->
                task {
                    let! payment, id = disputed wire ""
                    for body, expected in
                        [
                            """{"amount":10001}""", 409
                            """{"amount":0}""", 409
                            """{"outcome":"forgiven"}""", 422
                            """{"stadium":"dispute"}""", 422
                        ] do
                        let! status, _ = control wire $"/disputes/{id}" body
                        Expect.equal status expected body
                    let! missing, _ = control wire "/disputes/dis_nowhere" """{"outcome":"won"}"""
                    Expect.equal missing 404 ""
                    let! more, _ =
                        control wire "/disputes" $"""{{"payment_id":"{payment}","amount":10001}}"""
                    Expect.equal more 409 ""
                })
            play "lost ones count against refunds at Hyperswitch" (fun wire ->
                task {
                    let! payment, id = disputed wire ""","amount":4000"""
                    let! _ = control wire $"/disputes/{id}" """{"outcome":"lost"}"""
                    let refund amount =
                        call
                            wire
                            "POST"
                            "/hyperswitch/refunds"
                            $"""{{"payment_id":"{payment}","amount":{amount}}}"""
                    let! status, body = refund 60_01
                    Expect.equal status 400 ""
                    Expect.stringContains body "IR_13" ""
                    let! status, _ = refund 60_00
                    Expect.equal status 200 "the rest is the buyer's to have"
                })
            play "silent steps are in Stripe's list of events, and nowhere else" (fun wire ->
                task {
                    use! heard = Listener.Start()
                    wire.World.Wiring.HyperswitchTarget <- heard.Address
                    wire.World.Wiring.StripeTarget <- heard.Address
                    let! _, id = disputed wire ""","webhooks":"none" """
                    let! _ = control wire $"/disputes/{id}" """{"outcome":"lost","webhooks":"stripe"}"""
                    do! heard.Hears "charge.dispute.closed"
                    Expect.isFalse
                        (heard.Bodies
                         |> List.exists (fun body ->
                             body.Contains "dispute_lost" || body.Contains "dispute.created"))
                        "only Stripe's last word came"
                    let! types = eventTypes wire
                    Expect.equal types [ "closed"; "funds_withdrawn"; "created" ] ""
                })
        ]
        play "a pending refund is decided" (fun wire ->
            task {
                wire.World.Hyperswitch.Decide(Veza.Sandbox.Hyperswitch.RefundFate.StaysPending, 2)
                let! order = paid wire
                let payment = (PaymentId.For order.Id).Value
                for status in [ "failed"; "succeeded" ] do
                    let! _, made =
                        call
                            wire
                            "POST"
                            "/hyperswitch/refunds"
                            $"""{{"payment_id":"{payment}","amount":1000}}"""
                    let id = read made "refund_id"
                    let! told, _ = control wire $"/refunds/{id}" $"""{{"status":"{status}"}}"""
                    let! _, after = call wire "GET" $"/hyperswitch/refunds/{id}" ""
                    Expect.equal (told, read after "status") (204, status) ""
                    let! again, _ = control wire $"/refunds/{id}" """{"status":"failed"}"""
                    Expect.equal again 404 "it is not pending any more"
            })
        play "a renewal is declined by the card behind it" (fun wire ->
            task {
                let create (more: string) =
                    call
                        wire
                        "POST"
                        "/hyperswitch/payments"
                        $"""{{"amount":900,"currency":"EUR","customer_id":"sam",{more}}}"""
                let! _, first = create "\"setup_future_usage\":\"off_session\""
                let payment = read first "payment_id"
                let! before, _ =
                    control wire $"/payments/{payment}/card" """{"card_number":"4000000000000002"}"""
                Expect.equal before 404 "nothing is kept yet"
                let! _, confirmed = call wire "POST" $"/hyperswitch/payments/{payment}/confirm" "{}"
                let kept = read confirmed "payment_method_id"
                let renew () =
                    create
                        $"\"confirm\":true,\"off_session\":true,\"recurring_details\":{{\"type\":\"payment_method_id\",\"data\":\"{kept}\"}}"
                let! changed, _ =
                    control wire $"/payments/{payment}/card" """{"card_number":"4000000000000002"}"""
                let! _, declined = renew ()
                Expect.equal (changed, read declined "status") (204, "failed") ""
                let! _ = control wire $"/payments/{payment}/card" """{"card_number":"4242424242424242"}"""
                let! _, paid = renew ()
                Expect.equal (read paid "status") "succeeded" "and paid again"
            })
    ]
