/// What callers may ask for, and what they are told where they may not.
module Veza.Host.Tests.EdgeTests

open System
open System.Net.Http
open System.Text.RegularExpressions
open Expecto
open Veza.Host.Tests.Scene
open Veza.Sandbox.Control

let private faultsOf (answer: Answer) =
    match answer.Body.TryGetProperty "errors" with
    | true, _ -> items "errors" answer.Body |> List.map (fun fault -> text "field" fault, text "code" fault)
    | false, _ -> []

let private nobody = "01a20d86-0000-7000-8000-000000000000"

let private line = """{"product_id":"p","seller_id":"ada","quantity":1,"unit_amount":100"""

/// Every optional field that chooses what is done, and how much of it.
let private widening = [
    "POST", "/api/v1/refunds", $$"""{"order_id":"{{nobody}}","amount":null}""", "amount"
    "POST", "/api/v1/refunds", $$"""{"order_id":"{{nobody}}","lines":null}""", "lines"
    "POST",
    "/api/v1/orders",
    $$"""{"buyer_id":"b","currency":"EUR","lines":[{{line}},"license":null}]}""",
    "lines[0].license"
    "POST",
    "/api/v1/orders",
    $$$"""{"buyer_id":"b","currency":"EUR","lines":[{{{line}}},"license":{"expires_at":null}}]}""",
    "lines[0].license.expires_at"
    "POST",
    "/api/v1/orders",
    $$$"""{"buyer_id":"b","currency":"EUR","lines":[{{{line}}},"license":{"kind":null}}]}""",
    "lines[0].license.kind"
    for field in [ "provider"; "state"; "type"; "reason"; "dry_run" ] do
        "POST", "/api/v1/admin/webhook-events/replay", $$"""{"{{field}}":null}""", field
    for field in [ "since"; "heal" ] do
        "POST", "/api/v1/reconciliation/runs", $$"""{"{{field}}":null}""", field
    for field in [ "sequence"; "since_sequence"; "state" ] do
        "POST", $"/api/v1/webhook-endpoints/{nobody}/replay", $$"""{"{{field}}":null}""", field
    "POST",
    "/api/v1/webhook-endpoints",
    """{"url":"https://example.com/","event_types":null}""",
    "event_types"
    for field in [ "url"; "event_types"; "description"; "enabled" ] do
        "PATCH", $"/api/v1/webhook-endpoints/{nobody}", $$"""{"{{field}}":null}""", field
]

let private put (scene: Scene) seller body = scene.As("service", "PUT", $"/api/v1/sellers/{seller}", body)

let private pay (scene: Scene) order (url: string) =
    scene.Post("/api/v1/payments", $$"""{"order_id":"{{order}}","return_url":"{{url}}"}""")

let private linesOf (scene: Scene) order =
    task {
        let! found = scene.Get $"/api/v1/orders/{order}"
        return [ for line in items "lines" found.Body -> text "id" line ]
    }

[<Tests>]
let tests =
    testList "edge" [
        play "null is not absence: refused where it would choose what is done" [] (fun scene ->
            task {
                for verb, path, body, field in widening do
                    let! answer = scene.As("operator", verb, path, body)
                    Expect.equal answer.Status 422 $"{path} {body}"
                    Expect.contains (faultsOf answer) (field, "is_null") $"{path} {body}"
                let! order = scene.SettledOrder()
                let! refused = scene.Refund(order, ""","amount":null""")
                Expect.equal (refused.Status, faultsOf refused) (422, [ "amount", "is_null" ]) ""
                let! refunds = scene.Get $"/api/v1/refunds?order_id={order}"
                Expect.isEmpty (items "data" refunds.Body) "nothing was refunded"
                let! words = scene.Refund(order, ""","amount":100,"reason":null""")
                Expect.equal words.Status 201 "where only people read it, null says nothing"
                let! noMetadata =
                    scene.Post(
                        "/api/v1/orders",
                        $$"""{"buyer_id":"b","currency":"EUR","metadata":null,"lines":[{{line}}}]}"""
                    )
                Expect.equal noMetadata.Status 201 ""
            })
        play "an Idempotency-Key that is empty is refused, not taken for none" [] (fun scene ->
            task {
                let headers more = ("Authorization", "Bearer " + scene.Key "service") :: more
                for key, code in [ "", "blank"; " ", "blank"; String('k', 256), "too_long" ] do
                    let! answer =
                        scene.Send("POST", "/api/v1/orders", "{}", headers [ "Idempotency-Key", key ])
                    Expect.equal (answer.Status, faultsOf answer) (422, [ "Idempotency-Key", code ]) key
            })
        testList "sellers" [
            play "are addressed by any text, and read again by it" [] (fun scene ->
                task {
                    scene.World.Stripe.Open "acct_ada"
                    for written, id in
                        [ "a%2Fb", "a/b"; "a%252Fb", "a%2Fb"; "%C3%B6", "ö"; "a+b", "a+b"; "x%20y", "x y" ] do
                        let! made = put scene written """{"stripe_account_id":"acct_ada"}"""
                        Expect.equal (made.Status, made.Text "seller_id") (200, id) written
                        let! found = scene.Get $"/api/v1/sellers/{written}"
                        Expect.equal (found.Status, found.Text "seller_id") (200, id) written
                        let! balance = scene.Get $"/api/v1/sellers/{written}/balance"
                        Expect.equal balance.Status 200 written
                    let! count = scene.Scalar<int64> "select count(*) from sellers"
                    Expect.equal count 5L "each its own"
                })
            play
                "keep the fee that was agreed until another is named"
                [ "PLATFORM_FEE_BPS", "1000" ]
                (fun scene ->
                    task {
                        scene.World.Stripe.Open "acct_ada"
                        let fee (answer: Answer) = answer.Text "platform_fee_bps"
                        for body, expected in
                            [
                                """{"stripe_account_id":"acct_ada"}""", ""
                                """{"stripe_account_id":"acct_ada","platform_fee_bps":250}""", "250"
                                """{"stripe_account_id":"acct_ada"}""", "250"
                                """{"stripe_account_id":"acct_ada","platform_fee_bps":0}""", "0"
                                """{"stripe_account_id":"acct_ada"}""", "0"
                                """{"stripe_account_id":"acct_ada","platform_fee_bps":null}""", ""
                            ] do
                            let! answer = put scene "ada" body
                            Expect.equal (answer.Status, fee answer) (200, expected) body
                    })
            play
                "have an account that Stripe knows; where it is silent, its standing is unknown"
                []
                (fun scene ->
                    task {
                        for account in [ "acct_x y"; "acct_"; "acct_ä"; "acct_a/../b"; "x" ] do
                            let! answer = put scene "ada" $$"""{"stripe_account_id":"{{account}}"}"""
                            Expect.equal
                                (answer.Status, faultsOf answer)
                                (422, [ "stripe_account_id", "invalid" ])
                                account
                        let! unknown = put scene "ada" """{"stripe_account_id":"acct_nobody"}"""
                        Expect.equal (unknown.Status, unknown.Code) (422, "unknown_stripe_account") ""
                        Expect.equal (faultsOf unknown) [ "stripe_account_id", "unknown_stripe_account" ] ""
                        let! none = scene.Get "/api/v1/sellers/ada"
                        Expect.equal none.Status 404 "nothing was registered"
                        scene.World.Stripe.Open "acct_ada"
                        let! made = put scene "ada" """{"stripe_account_id":"acct_ada"}"""
                        Expect.equal
                            (made.Text "payouts_enabled", made.Text "transfers_active")
                            ("True", "True")
                            ""
                        scene.World.Faults.Add(Fault("stripe.accounts.get", FaultMode.ErrorBefore))
                        let! same =
                            put scene "ada" """{"stripe_account_id":"acct_ada","platform_fee_bps":1}"""
                        Expect.equal
                            (same.Status, same.Text "payouts_enabled")
                            (200, "True")
                            "not asked again"
                        let! silent = put scene "ada" """{"stripe_account_id":"acct_other"}"""
                        Expect.equal
                            (silent.Status, silent.Text "payouts_enabled")
                            (200, "")
                            "the new one's is unknown"
                        scene.World.Faults.Clear()
                        scene.World.Faults.Add(
                            Fault("stripe.accounts.get", FaultMode.ErrorBefore, Status = 401)
                        )
                        let! refused = put scene "bob" """{"stripe_account_id":"acct_bob"}"""
                        Expect.equal refused.Status 200 "a refused key says nothing of the account"
                        scene.World.Faults.Clear()
                        let! told = put scene "ada" """{"stripe_account_id":"acct_other"}"""
                        Expect.equal
                            told.Code
                            "unknown_stripe_account"
                            "and is asked about when it is named again"
                    })
        ]
        play "a payment's return_url is https, and the first one stays" [] (fun scene ->
            task {
                let! order = scene.Order()
                for url, code in
                    [
                        "javascript:alert(1)", "not_an_address"
                        "data:text/html,x", "not_an_address"
                        "/thanks", "not_an_address"
                        "https://a:b@shop.example/", "not_an_address"
                        "http://shop.example/", "not_https"
                    ] do
                    let! answer = pay scene order url
                    Expect.equal (answer.Status, faultsOf answer) (422, [ "return_url", code ]) url
                scene.World.Faults.Add(fault "hyperswitch.payments.create" FaultMode.TimeoutBefore 1)
                let! doubt = pay scene order "https://shop.example/thanks"
                Expect.equal doubt.Status 503 "no answer"
                let! again = scene.OfferPayment order
                Expect.equal again.Status 201 ""
                let payment = scene.World.Hyperswitch.GetPayment(again.Text "payment_id")
                Expect.equal
                    (string payment.Body["return_url"])
                    "https://shop.example/thanks"
                    "asked again without one, it is made with the first"
                let! same = pay scene order "https://shop.example/thanks"
                Expect.equal (same.Status, same.Text "payment_id") (201, again.Text "payment_id") ""
                let! other = pay scene order "https://shop.example/elsewhere"
                Expect.equal (other.Status, other.Code) (409, "return_url_differs") ""
                let! plain = scene.Order()
                let! _ = scene.OfferPayment plain
                let! late = pay scene plain "http://127.0.0.1:8080/thanks"
                Expect.equal (late.Status, late.Code) (409, "return_url_differs") "it was made without"
            })
        play "a time has its offset" [] (fun scene ->
            task {
                do! scene.Seller "ada"
                let order (time: string) =
                    scene.Post(
                        "/api/v1/orders",
                        $$$"""{"buyer_id":"b","currency":"EUR","lines":[{{{line}}},"license":{"expires_at":"{{{time}}}"}}]}"""
                    )
                for time in
                    [
                        "2027-01-01"
                        "2027-01-01T00:00:00"
                        "2027-01-01T00:00Z"
                        "2027-01-01 00:00:00Z"
                        "2027-02-30T00:00:00Z"
                        "9999-12-31T23:59:59.9999999Z"
                        "0001-01-01T00:00:00Z"
                        "tomorrow"
                        "2027-01-01T00:00:00Z\\n"
                    ] do
                    let! answer = order time
                    Expect.equal
                        (answer.Status, faultsOf answer)
                        (422, [ "lines[0].license.expires_at", "not_a_time" ])
                        time
                for time in
                    [ "2027-01-01T00:00:00Z"; "2027-01-01t01:00:00.123456789+01:00"; "9999-12-31T23:59:59Z" ] do
                    let! answer = order time
                    Expect.equal answer.Status 201 time
                let! since =
                    scene.As(
                        "operator",
                        "POST",
                        "/api/v1/reconciliation/runs",
                        """{"since":"2026-01-01T00:00:00"}"""
                    )
                Expect.equal (faultsOf since) [ "since", "not_a_time" ] ""
            })
        play
            "every faulty field at once: what only the database or the whole order can tell, too"
            []
            (fun scene ->
                task {
                    do! scene.Seller "ada"
                    for body, expected in
                        [
                            """{"buyer_id":" ","currency":"eur","lines":[]}""",
                            [ "buyer_id"; "currency"; "lines" ]
                            """{"buyer_id":" ","currency":"EUR","lines":[
                            {"product_id":"p","seller_id":"eve","quantity":0,"unit_amount":1},
                            {"product_id":"p","seller_id":"ann","quantity":1,"unit_amount":1},
                            {"product_id":"p","seller_id":"ada","quantity":1000000,"unit_amount":999999999999}]}""",
                            [
                                "buyer_id"
                                "lines[0].quantity"
                                "lines[0].seller_id"
                                "lines[1].seller_id"
                                "lines[2].unit_amount"
                            ]
                            """{"buyer_id":" ","currency":"EUR","lines":[
                            {"product_id":"p","seller_id":"ada","quantity":1,"unit_amount":0}]}""",
                            [ "buyer_id"; "lines" ]
                            """{"currency":"EUR"}""", [ "buyer_id"; "lines" ]
                        ] do
                        let! answer = scene.Post("/api/v1/orders", body)
                        Expect.equal (List.sort (List.map fst (faultsOf answer))) (List.sort expected) body
                    let! payout =
                        scene.As(
                            "operator",
                            "POST",
                            "/api/v1/payouts",
                            """{"seller_id":"nobody","amount":0,"currency":"EUR"}"""
                        )
                    Expect.equal (List.map fst (faultsOf payout)) [ "amount"; "seller_id" ] ""
                })
        play "a refund that cannot be is refused by what was sent, and why" [] (fun scene ->
            task {
                do! scene.Seller "ada"
                do! scene.Seller "bob"
                let! made =
                    scene.Post(
                        "/api/v1/orders",
                        """{"buyer_id":"b","currency":"EUR","lines":[
                            {"product_id":"gift","seller_id":"ada","quantity":1,"unit_amount":0},
                            {"product_id":"book","seller_id":"ada","quantity":1,"unit_amount":6000},
                            {"product_id":"lamp","seller_id":"bob","quantity":1,"unit_amount":4000}]}"""
                    )
                let order = made.Text "id"
                let! payment = scene.OfferPayment order
                scene.World.Hyperswitch.Confirm(payment.Text "payment_id", "4242424242424242") |> ignore
                do! scene.OrderIs(order, "completed")
                let! lines = linesOf scene order
                let! free = scene.Refund(order, $""","lines":["{lines[0]}"]""")
                Expect.equal (free.Status, free.Code) (422, "invalid_fields") "nothing of it was paid"
                Expect.equal (faultsOf free) [ "lines", "nothing_paid" ] ""
                let! part = scene.Refund(order, ""","amount":5000""")
                Expect.equal part.Status 201 ""
                let! line = scene.Refund(order, $""","lines":["{lines[1]}"]""")
                Expect.equal
                    (line.Status, line.Code, faultsOf line)
                    (422, "refund_exceeds_remaining", [ "lines", "exceeds_sellers_part" ])
                    ""
                Expect.stringContains (line.Text "detail") "60.00 EUR" "what the line is worth"
                Expect.stringContains (line.Text "detail") "30.00 EUR" "what is left of ada's part"
                Expect.equal (number "remaining" line.Body) 3000L ""
                let! more = scene.Refund(order, ""","amount":5001""")
                Expect.equal
                    (more.Code, faultsOf more)
                    ("refund_exceeds_remaining", [ "amount", "too_large" ])
                    ""
                Expect.equal (more.Text "detail") "Only 50.00 EUR is left to refund." ""
                let! rest = scene.Refund(order, "")
                Expect.equal rest.Status 201 ""
                let! nothing = scene.Refund(order, "")
                Expect.equal
                    (nothing.Code, faultsOf nothing)
                    ("refund_exceeds_remaining", [ "order_id", "nothing_left" ])
                    "no field is named that was not sent"
            })
        play "HEAD is answered wherever GET is, without a body" [] (fun scene ->
            task {
                let! order = scene.Order()
                let paths = [
                    "/health/live"
                    "/health/ready"
                    "/metrics"
                    "/openapi/v1.json"
                    "/docs"
                    "/console/sign-in"
                    "/api/v1/orders"
                    $"/api/v1/orders/{order}"
                    "/api/v1/sellers/ada"
                    "/api/v1/events"
                ]
                for path in paths do
                    use request = new HttpRequestMessage(HttpMethod.Head, path)
                    request.Headers.Add("Authorization", "Bearer " + scene.Key "service")
                    use! response = scene.Http.SendAsync(request).WaitAsync(TimeSpan.FromSeconds 10.)
                    let! body = response.Content.ReadAsStringAsync()
                    Expect.equal (int response.StatusCode, body) (200, "") path
                use missing = new HttpRequestMessage(HttpMethod.Head, "/api/v1/orders")
                use! unauthorized = scene.Http.SendAsync missing
                Expect.equal (int unauthorized.StatusCode) 401 "as GET would be"
                use post = new HttpRequestMessage(HttpMethod.Head, "/webhooks/stripe")
                use! notAllowed = scene.Http.SendAsync post
                Expect.equal (int notAllowed.StatusCode) 405 "where GET is not"
            })
        play "liveness touches nothing: not the database, whatever cookie comes with it" [] (fun scene ->
            task {
                use http = new HttpClient(BaseAddress = Uri scene.Address)
                let! page = http.GetStringAsync "/console/sign-in"
                let token =
                    Regex.Match(page, "__RequestVerificationToken\" value=\"([^\"]+)\"").Groups[1].Value
                let fields = [ "__RequestVerificationToken", token; "key", scene.Key "operator" ]
                use form = new FormUrlEncodedContent(dict fields)
                use! signedIn = http.PostAsync("/console/sign-in", form)
                Expect.isLessThan (int signedIn.StatusCode) 400 "signed in"
                do! scene.Execute "alter schema public rename to gone"
                for path in [ "/health/live"; "/openapi/v1.json"; "/metrics" ] do
                    use! answer = http.GetAsync path
                    Expect.equal (int answer.StatusCode) 200 path
                do! scene.Execute "alter schema gone rename to public"
            })
        play "secrets are told as they are, and all JSON is of one style" [] (fun scene ->
            task {
                let read path =
                    task {
                        use request = new HttpRequestMessage(HttpMethod.Get, (path: string))
                        request.Headers.Add("Authorization", "Bearer " + scene.Key "operator")
                        use! response = scene.Http.SendAsync request
                        return! response.Content.ReadAsStringAsync()
                    }
                let! order = scene.PaidOrder()
                for path in
                    [
                        $"/api/v1/orders/{order}"
                        "/api/v1/orders"
                        "/api/v1/ledger/entries"
                        "/api/v1/reconciliation"
                        "/health/ready"
                        "/api/v1/nowhere"
                    ] do
                    let! json = read path
                    let style = Text.Json.JsonSerializerOptions()
                    style.Encoder <- Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping
                    let again = Text.Json.Nodes.JsonNode.Parse(json)
                    Expect.equal json ((nonNull again).ToJsonString style) path
                for _ in 1..20 do
                    use request = new HttpRequestMessage(HttpMethod.Post, "/api/v1/webhook-endpoints")
                    request.Headers.Add("Authorization", "Bearer " + scene.Key "operator")
                    request.Content <- new StringContent("""{"url":"https://example.com/"}""")
                    use! response = scene.Http.SendAsync request
                    let! json = response.Content.ReadAsStringAsync()
                    Expect.isFalse (json.Contains "\\u") "nothing is escaped in what people copy"
            })
        play
            "a run's list goes on where its page ended, and before the first run there is none"
            []
            (fun scene ->
                task {
                    let! before = scene.As("operator", "GET", "/api/v1/reconciliation", "")
                    Expect.equal (before.Text "last_run") "" "null"
                    for _ in 1..3 do
                        let! made = scene.As("operator", "POST", "/api/v1/reconciliation/runs", "")
                        Expect.equal made.Status 201 ""
                    let page query =
                        scene.As("operator", "GET", $"/api/v1/reconciliation/runs?limit=2{query}", "")
                    let! first = page ""
                    Expect.isTrue (first.Body.GetProperty("has_more").GetBoolean()) ""
                    let! second = page $"""&cursor={first.Text "next_cursor"}"""
                    Expect.isFalse (second.Body.GetProperty("has_more").GetBoolean()) ""
                    let ids = [
                        for run in items "data" first.Body @ items "data" second.Body -> text "id" run
                    ]
                    Expect.hasLength (List.distinct ids) 3 "none twice, none lost"
                    let! bad = page "&cursor=zz"
                    Expect.equal (faultsOf bad) [ "cursor", "invalid_cursor" ] ""
                })
        play "what is told whole is a list like any other" [] (fun scene ->
            task {
                let! _ = scene.SettledOrder()
                for path in [ "/api/v1/sellers/ada/balance"; "/api/v1/ledger/trial-balance" ] do
                    let! answer = scene.Get path
                    Expect.hasLength (items "data" answer.Body) 1 path
                    Expect.equal (answer.Text "has_more", answer.Text "next_cursor") ("False", "") path
            })
    ]
