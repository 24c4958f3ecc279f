/// The API's manners: keys and roles, faults, lists, repeats.
module Veza.Host.Tests.ApiTests

open System
open System.Threading.Tasks
open Expecto
open Veza.Host.Tests.Scene

let private order =
    """{"buyer_id":"b","currency":"EUR","lines":[{"product_id":"p","seller_id":"ada","quantity":1,"unit_amount":100}]}"""

let private fieldsOf (answer: Answer) = items "errors" answer.Body |> List.map (text "field")

let private scene = play

[<Tests>]
let tests =
    testList "api" [
        scene "no or an unknown key is 401, a role too low 403, and revocation holds at once" [] (fun scene ->
            task {
                for headers in
                    [
                        []
                        [ "Authorization", "Bearer veza_service_wrong" ]
                        [ "Authorization", "Basic eDp5" ]
                    ] do
                    let! answer = scene.Send("GET", "/api/v1/orders", "", headers)
                    Expect.equal (answer.Status, answer.Code) (401, "unauthorized") ""
                let! forbidden = scene.As("read", "POST", "/api/v1/orders", order)
                Expect.equal (forbidden.Status, forbidden.Code) (403, "forbidden") ""
                let! allowed = scene.As("operator", "GET", "/api/v1/orders", "")
                Expect.equal allowed.Status 200 "roles nest"
                do! scene.Execute "update api_keys set revoked_at = now() where role = 'read'"
                let! revoked = scene.As("read", "GET", "/api/v1/orders", "")
                Expect.equal revoked.Status 401 ""
            })
        scene "all faults of a request are named at once" [] (fun scene ->
            task {
                let! answer =
                    scene.Post(
                        "/api/v1/orders",
                        """{"buyer_id":" ","currency":"eur","nonsense":1,"lines":[{"product_id":7,"seller_id":"ada","quantity":0,"unit_amount":-1,"license":{"kind":"x","until":1}},{"product_id":"p","quantity":1.5,"unit_amount":99999999999999}]}"""
                    )
                Expect.equal (answer.Status, answer.Code) (422, "invalid_fields") ""
                Expect.containsAll
                    (fieldsOf answer)
                    [
                        "buyer_id"
                        "currency"
                        "nonsense"
                        "lines[0].product_id"
                        "lines[0].quantity"
                        "lines[0].unit_amount"
                        "lines[0].license.until"
                        "lines[1].seller_id"
                        "lines[1].quantity"
                        "lines[1].unit_amount"
                    ]
                    ""
            })
        scene "an unknown seller, an empty order and one worth nothing are refused by field" [] (fun scene ->
            task {
                let! unknown = scene.Post("/api/v1/orders", order)
                Expect.equal (fieldsOf unknown) [ "lines[0].seller_id" ] ""
                let! empty = scene.Post("/api/v1/orders", """{"buyer_id":"b","currency":"EUR","lines":[]}""")
                Expect.equal (empty.Status, fieldsOf empty) (422, [ "lines" ]) ""
                do! scene.Seller "ada"
                let! free = scene.Post("/api/v1/orders", order.Replace("100", "0"))
                Expect.equal (free.Status, fieldsOf free) (422, [ "lines" ]) ""
            })
        scene "what is not JSON is 400, what is too large 413, what is unknown 404" [] (fun scene ->
            task {
                for body in [ "{"; "[]"; "7"; "" ] do
                    let! broken = scene.Post("/api/v1/orders", body)
                    Expect.equal (broken.Status, broken.Code) (400, "invalid_json") body
                let! large = scene.Post("/api/v1/orders", "\"" + String('x', 300_000) + "\"")
                Expect.equal (large.Status, large.Code) (413, "body_too_large") ""
                for path in [ "orders"; "refunds"; "transfers"; "licenses" ] do
                    let! answer = scene.Get $"/api/v1/{path}/01980000-0000-7000-8000-000000000000"
                    Expect.equal (answer.Status, answer.Code) (404, "not_found") path
                let! nowhere = scene.Get "/api/v1/nowhere"
                Expect.equal nowhere.Status 404 ""
            })
        scene "a bad seller is refused by field" [] (fun scene ->
            task {
                let! answer =
                    scene.As(
                        "service",
                        "PUT",
                        "/api/v1/sellers/ada",
                        """{"stripe_account_id":"x","platform_fee_bps":10001}"""
                    )
                Expect.equal
                    (answer.Status, fieldsOf answer)
                    (422, [ "platform_fee_bps"; "stripe_account_id" ])
                    ""
            })
        scene
            "the same Idempotency-Key and body replay the first answer, another body does not"
            []
            (fun scene ->
                task {
                    do! scene.Seller "ada"
                    let key = [
                        "Authorization", "Bearer " + scene.Key "service"
                        "Idempotency-Key", "order-1"
                    ]
                    let! first = scene.Send("POST", "/api/v1/orders", order, key)
                    let! again = scene.Send("POST", "/api/v1/orders", order, key)
                    Expect.equal (first.Status, again.Status) (201, 201) ""
                    Expect.isTrue (again.Replayed && not first.Replayed) "the second is a replay"
                    Expect.equal (again.Text "id") (first.Text "id") "one order"
                    let! other = scene.Send("POST", "/api/v1/orders", order.Replace("100", "200"), key)
                    Expect.equal (other.Status, other.Code) (422, "idempotency_key_reused") ""
                    let long = [ key[0]; "Idempotency-Key", String('k', 256) ]
                    let! tooLong = scene.Send("POST", "/api/v1/orders", order, long)
                    Expect.equal tooLong.Status 422 ""
                })
        scene "twenty at once with one key make one order" [] (fun scene ->
            task {
                do! scene.Seller "ada"
                let key = [ "Authorization", "Bearer " + scene.Key "service"; "Idempotency-Key", "order-2" ]
                let! answers =
                    Task.WhenAll [ for _ in 1..20 -> scene.Send("POST", "/api/v1/orders", order, key) ]
                Expect.all
                    answers
                    (fun answer -> answer.Status = 201 || answer.Code = "idempotency_key_in_use")
                    ""
                let! count = scene.Scalar<int64> "select count(*) from orders"
                Expect.equal count 1L ""
            })
        scene
            "a request that still runs is not taken for one that has crashed"
            [ "HYPERSWITCH_TIMEOUT", "20s"; "WORKER_LEASE", "30s" ]
            (fun scene ->
                task {
                    let! order = scene.Order()
                    scene.World.Faults.Add(
                        Veza.Sandbox.Control.Fault(
                            "hyperswitch.payments.create",
                            Veza.Sandbox.Control.FaultMode.Slow,
                            Times = Nullable 1,
                            Delay = TimeSpan.FromSeconds 7.
                        )
                    )
                    let key = [
                        "Authorization", "Bearer " + scene.Key "service"
                        "Idempotency-Key", "slow-1"
                    ]
                    let body = $$"""{"order_id":"{{order}}"}"""
                    let running = scene.Send("POST", "/api/v1/payments", body, key)
                    do!
                        scene.Until(
                            "its lease to be renewed",
                            fun () ->
                                task {
                                    let! renewed =
                                        scene.Scalar<int64>
                                            "select count(*) from idempotent_requests where locked_until > created_at + interval '16 seconds'"
                                    return renewed = 1L
                                }
                        )
                    let! beside = scene.Send("POST", "/api/v1/payments", body, key)
                    Expect.equal (beside.Status, beside.Code) (409, "idempotency_key_in_use") ""
                    let! answer = running
                    Expect.equal answer.Status 201 ""
                })
        scene "a request that crashed half-way and is repeated finds what it made" [] (fun scene ->
            task {
                do! scene.Seller "ada"
                let key = [ "Authorization", "Bearer " + scene.Key "service"; "Idempotency-Key", "order-3" ]
                let! first = scene.Send("POST", "/api/v1/orders", order, key)
                // As a kill between the effect's commit and the answer's leaves it.
                do!
                    scene.Execute
                        "update idempotent_requests set status = null, body = null, locked_until = now() - interval '1 second'"
                let! again = scene.Send("POST", "/api/v1/orders", order, key)
                Expect.equal (again.Status, again.Text "id") (201, first.Text "id") "the same order"
                let! count = scene.Scalar<int64> "select count(*) from orders"
                Expect.equal count 1L ""
            })
        scene "pages are stable while orders are added, and bad ones are refused" [] (fun scene ->
            task {
                do! scene.Seller "ada"
                for _ in 1..5 do
                    let! _ = scene.Post("/api/v1/orders", order)
                    ()
                let! first = scene.Get "/api/v1/orders?limit=2"
                Expect.isTrue (first.Body.GetProperty("has_more").GetBoolean()) ""
                let! _ = scene.Post("/api/v1/orders", order)
                let! second = scene.Get $"""/api/v1/orders?limit=100&cursor={first.Text "next_cursor"}"""
                let ids page = items "data" page |> List.map (text "id")
                Expect.hasLength (List.distinct (ids first.Body @ ids second.Body)) 5 "none twice, none lost"
                for bad in
                    [ "limit=0"; "limit=101"; "limit=x"; "cursor=zz"; "status=nonsense"; "colour=red" ] do
                    let! answer = scene.Get $"/api/v1/orders?{bad}"
                    Expect.equal (answer.Status, fieldsOf answer) (422, [ bad.Split('=')[0] ]) bad
            })
        scene "filters find their own" [] (fun scene ->
            task {
                let! paid = scene.PaidOrder()
                let! _ = scene.Order()
                for filter, expected in
                    [
                        "status=completed", 1
                        "status=created", 1
                        "seller_id=bob", 2
                        "seller_id=eve", 0
                        "buyer_id=buyer-1", 2
                    ] do
                    let! answer = scene.Get $"/api/v1/orders?{filter}"
                    Expect.hasLength (items "data" answer.Body) expected filter
                let! entries = scene.Get $"/api/v1/ledger/entries?order_id={paid}"
                Expect.equal
                    (items "data" entries.Body |> List.sumBy (number "amount"))
                    0L
                    "its postings sum to zero"
            })
        scene "an order is cancelled once, and not while its payment is open" [] (fun scene ->
            task {
                let! id = scene.Order()
                let! cancelled = scene.Post($"/api/v1/orders/{id}/cancel", "")
                Expect.equal (cancelled.Status, cancelled.Text "status") (200, "cancelled") ""
                let! again = scene.Post($"/api/v1/orders/{id}/cancel", "")
                Expect.equal again.Status 200 "said twice, heard once"
                let! open' = scene.Order()
                let! _ = scene.OfferPayment open'
                let! refused = scene.Post($"/api/v1/orders/{open'}/cancel", "")
                Expect.equal (refused.Status, refused.Text "order_status") (409, "awaiting_payment") ""
            })
        scene "readiness says what is missing" [ "STRIPE_WEBHOOK_SECRET", "" ] (fun scene ->
            task {
                let! ready = scene.Get "/health/ready"
                Expect.equal (ready.Status, ready.Text "status") (200, "ready") ""
                Expect.stringContains (string (ready.Body.GetProperty "problems")) "STRIPE_WEBHOOK_SECRET" ""
                let! live = scene.Get "/health/live"
                Expect.equal live.Status 200 ""
            })
    ]
