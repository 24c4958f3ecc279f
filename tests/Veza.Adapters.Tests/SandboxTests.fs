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

/// A POST to Stripe, for an account or for the platform (""): the status, and the error's code and message.
let private stripe (wire: Wire) (account: string) (path: string) (fields: (string * string) list) =
    task {
        use http = new HttpClient()
        use request = new HttpRequestMessage(HttpMethod.Post, wire.StripeUrl + "/v1" + path)
        request.Headers.TryAddWithoutValidation("Authorization", "Bearer sk_test") |> ignore
        request.Headers.TryAddWithoutValidation("Idempotency-Key", string (Guid.NewGuid())) |> ignore
        if account <> "" then
            request.Headers.TryAddWithoutValidation("Stripe-Account", account) |> ignore
        request.Content <- new FormUrlEncodedContent(dict fields)
        use! response = http.SendAsync request
        let! body = response.Content.ReadAsStringAsync()
        use document = JsonDocument.Parse body
        let error (field: string) =
            match document.RootElement.TryGetProperty "error" with
            | true, error ->
                match error.TryGetProperty field with
                | true, value -> string value
                | false, _ -> ""
            | false, _ -> ""
        return int response.StatusCode, error "code", error "message"
    }

let private amounts = [
    "0", "parameter_invalid_integer", "This value must be greater than or equal to 1."
    "-5", "parameter_invalid_integer", "This value must be greater than or equal to 1."
    "12.5", "parameter_invalid_integer", "Invalid integer: 12.5"
    "many", "parameter_invalid_integer", "Invalid integer: many"
    "100000000", "amount_too_large", "Amount must be no more than 999,999.99 EUR"
]

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
        testList "refuses, as Stripe does," [
            for path, account, more in
                [ "/transfers", "", [ "destination", "acct_ada" ]; "/payouts", "acct_ada", [] ] do
                play $"amounts and currencies that are none, at {path}" (fun wire ->
                    task {
                        let ask fields = stripe wire account path (fields @ more)
                        for amount, code, message in amounts do
                            let! answer = ask [ "amount", amount; "currency", "eur" ]
                            Expect.equal answer (400, code, message) amount
                        let! status, code, message = ask [ "amount", "500"; "currency", "xyz" ]
                        Expect.equal (status, code) (400, "") "Stripe gives no code"
                        Expect.stringStarts message "Invalid currency: xyz. Stripe currently supports" ""
                        for missing in [ "amount"; "currency" ] do
                            let given = [ "amount", "500"; "currency", "eur" ]
                            let! answer = ask (given |> List.filter (fun (name, _) -> name <> missing))
                            Expect.equal
                                answer
                                (400, "parameter_missing", $"Missing required param: {missing}.")
                                ""
                        Expect.equal (platform wire) 1_000_00L "nothing has moved"
                    })
            play "amounts that are none, of a reversal" (fun wire ->
                task {
                    let! transfer = toReverse wire 20_00L
                    let id =
                        match Transfers.Transfer.duty transfer with
                        | Some(Transfers.SendReversal(id, _, _)) -> id.Value
                        | duty -> failtest $"{duty}"
                    for amount, code, message in List.truncate 4 amounts do
                        let! answer = stripe wire "" $"/transfers/{id}/reversals" [ "amount", amount ]
                        Expect.equal answer (400, code, message) amount
                    let! answer = stripe wire "" $"/transfers/{id}/reversals" [ "amount", "100000000" ]
                    let status, code, _ = answer
                    Expect.equal (status, code) (400, "") "more than is left has no code"
                })
            play "a transfer to an account that may not receive any, and gives back what it has" (fun wire ->
                task {
                    let! before = toReverse wire 20_00L
                    let! _ =
                        control
                            wire
                            "/accounts/acct_ada/standing"
                            """{"payouts_enabled":false,"transfers_active":false,"disabled_reason":"rejected.fraud"}"""
                    let! refused = send wire (owed ())
                    Expect.equal
                        (describe refused)
                        "denied: other insufficient_capabilities_for_transfer"
                        "a definite no: nothing has moved, and another try takes a new key"
                    let! back = reverse wire before
                    Expect.equal (describe back) "accepted" "a reversal needs no capability"
                    let! status, code, _ =
                        stripe wire "acct_ada" "/payouts" [ "amount", "100"; "currency", "eur" ]
                    Expect.equal (status, code) (400, "payouts_not_allowed") ""
                    let! _ =
                        control
                            wire
                            "/accounts/acct_ada/standing"
                            """{"payouts_enabled":true,"transfers_active":true,"disabled_reason":null}"""
                    let! sent = send wire (owed ())
                    Expect.equal (describe sent) "accepted" "once it may again"
                })
            play "a payout of an account that is not connected" (fun wire ->
                task {
                    let! status, code, _ =
                        stripe wire "acct_nobody" "/payouts" [ "amount", "100"; "currency", "eur" ]
                    Expect.equal (status, code) (403, "account_invalid") ""
                })
        ]
        testList "refuses, as Hyperswitch does," [
            play "amounts and currencies that it cannot read" (fun wire ->
                task {
                    for body, code, words in
                        [
                            """{"amount":-5,"currency":"EUR"}""", "IR_06", "invalid value: integer `-5`"
                            """{"amount":1.5,"currency":"EUR"}""", "IR_06", "floating point `1.5`"
                            """{"amount":"500","currency":"EUR"}""", "IR_06", "string"
                            """{"amount":500,"currency":"XYZ"}""", "IR_06", "unknown variant `XYZ`"
                            """{"amount":500,"currency":"eur"}""", "IR_06", "unknown variant `eur`"
                            """{"amount":500}""", "IR_04", "currency"
                            """{"currency":"EUR"}""", "IR_04", "amount"
                        ] do
                        let! status, answer = call wire "POST" "/hyperswitch/payments" body
                        Expect.equal status 400 body
                        Expect.stringContains answer $"\"code\":\"{code}\"" body
                        Expect.stringContains (answer.Replace("\\u0060", "`")) words body
                    let! order = paid wire
                    let payment = (PaymentId.For order.Id).Value
                    for amount, status, code in
                        [
                            "\"50\"", 400, "IR_06"
                            "1.5", 400, "IR_06"
                            "0", 422, "IR_05"
                            "-5", 422, "IR_05"
                        ] do
                        let! told, answer =
                            call
                                wire
                                "POST"
                                "/hyperswitch/refunds"
                                $"""{{"payment_id":"{payment}","amount":{amount}}}"""
                        Expect.equal told status amount
                        Expect.stringContains answer code amount
                })
            play "a payment that its connector cannot charge fails when the buyer pays" (fun wire ->
                task {
                    for amount, currency, code in
                        [ 100_000_000L, "EUR", "amount_too_large"; 500L, "GHS", "invalid_request_error" ] do
                        let! status, made =
                            call
                                wire
                                "POST"
                                "/hyperswitch/payments"
                                $"""{{"amount":{amount},"currency":"{currency}"}}"""
                        Expect.equal status 200 "Hyperswitch itself takes it"
                        let payment = read made "payment_id"
                        let! _, tried = call wire "POST" $"/hyperswitch/payments/{payment}/confirm" "{}"
                        Expect.equal (read tried "status", read tried "error_code") ("failed", code) currency
                })
        ]
    ]
