/// Who may do what, and who did: roles, the audit log, and where a seller's money was told to go.
module Veza.Host.Tests.AuditTests

open System
open System.Text.Json
open Expecto
open Veza.Host.Tests.CommandTests
open Veza.Host.Tests.Browser
open Veza.Host.Tests.Scene
open Veza.Sandbox.Control

let private audit (scene: Scene) (query: string) =
    task {
        let! answer = scene.As("read", "GET", $"/api/v1/admin/audit{query}", "")
        Expect.equal answer.Status 200 query
        return items "data" answer.Body
    }

let private actions entries = entries |> List.map (text "action")

let private part (name: string) (inner: string) (entry: JsonElement) = text inner (entry.GetProperty name)

let private nobody = "01a20d86-0000-7000-8000-000000000000"

let private calls = [
    for path in (ApiDocument.read "openapi.json").Paths do
        for operation in path.Value do
            if path.Key.StartsWith "/api/" && path.Key <> "/api/v1/events" then
                operation.Key.ToUpperInvariant(),
                path.Key
                    .Replace("/admin/webhook-events/{id}", "/admin/webhook-events/1")
                    .Replace("{id}", nobody)
                    .Replace("{position}", "1")
                    .Replace("{seller_id}", "ada")
]

let private refusing =
    Fault("stripe.transfers.create", FaultMode.ErrorStored, Status = 400, Code = "account_invalid")

let private changes (scene: Scene) (account: string) (role: string) =
    task {
        scene.World.Stripe.Open account
        return!
            scene.As(
                role,
                "PUT",
                "/api/v1/sellers/ada",
                $$"""{"stripe_account_id":"{{account}}","platform_fee_bps":500}"""
            )
    }

[<Tests>]
let tests =
    testList "audit" [
        play "a body is read as JSON and its note kept, also where curl calls it a form" [] (fun scene ->
            task {
                scene.World.Faults.Add refusing
                let! order = scene.PaidOrder()
                do! scene.TransfersAre(order, "permanently_failed")
                let! transfers = scene.Transfers order
                let path = $"""/api/v1/admin/transfers/{text "id" transfers.Head}/write-off"""
                use request = new System.Net.Http.HttpRequestMessage(System.Net.Http.HttpMethod.Post, path)
                request.Headers.Add("Authorization", "Bearer " + scene.Key "operator")
                request.Content <-
                    new System.Net.Http.StringContent(
                        """{"note":"paid by bank transfer"}""",
                        System.Text.Encoding.UTF8,
                        "application/x-www-form-urlencoded"
                    )
                use! response = scene.Http.SendAsync request
                Expect.equal (int response.StatusCode) 200 "curl's own Content-Type"
                let! entries = audit scene "?action=transfer.write_off"
                Expect.equal (entries |> List.map (text "note")) [ "paid by bank transfer" ] ""
            })
        play "a read key reads everything and acts on nothing" [] (fun scene ->
            task {
                do! scene.Seller "ada"
                for verb, path in calls do
                    let! answer = scene.As("read", verb, path, "")
                    if verb = "GET" then
                        Expect.contains [ 200; 404 ] answer.Status $"{verb} {path}"
                    else
                        Expect.equal answer.Code "forbidden" $"{verb} {path}"
            })
        play "a read key sees no secret with which one could pay" [] (fun scene ->
            task {
                let! made =
                    scene.Post(
                        "/api/v1/subscriptions",
                        """{"subscriber_id":"sam","plan":{"code":"pro","amount":900,"currency":"EUR","interval":"month"}}"""
                    )
                let id = made.Text "id"
                let secret = text "client_secret" (made.Body.GetProperty "payment")
                Expect.isNotEmpty secret ""
                let body =
                    sprintf
                        """{"event_id":"evt_s","event_type":"payment_succeeded","content":{"type":"payment_details","object":{"payment_id":7, "client_secret": "%s"}}}"""
                        secret
                let! _ = scene.Webhook body
                let paths = [
                    $"/api/v1/subscriptions/{id}"
                    "/api/v1/subscriptions"
                    "/api/v1/admin/webhook-events/1"
                ]
                for path in paths do
                    let! whole = scene.As("operator", "GET", path, "")
                    Expect.stringContains (string whole.Body) secret path
                    let! seen = scene.As("read", "GET", path, "")
                    Expect.equal seen.Status 200 path
                    Expect.isFalse ((string seen.Body).Contains secret) path
                let! event = scene.As("read", "GET", paths[2], "")
                let inner = JsonDocument.Parse(event.Text "body").RootElement
                Expect.equal
                    (part "content" "type" inner)
                    "payment_details"
                    "the rest of the body can still be read"
            })
        play "where a seller's money goes stands in the seller's history and in the log" [] (fun scene ->
            task {
                let! _ = changes scene "acct_ada" "service"
                let! _ = changes scene "acct_elsewhere" "service"
                let! last = changes scene "acct_elsewhere" "service"
                let history = items "history" last.Body
                Expect.hasLength history 2 "saying the same again changes nothing"
                Expect.equal
                    (history[0].GetProperty("from").ValueKind, part "to" "stripe_account_id" history[0])
                    (JsonValueKind.Null, "acct_ada")
                    "registered"
                Expect.equal
                    (part "from" "stripe_account_id" history[1],
                     part "to" "stripe_account_id" history[1],
                     part "to" "platform_fee_bps" history[1],
                     text "actor" history[1])
                    ("acct_ada", "acct_elsewhere", "500", "key:Service")
                    "from where to where, and by whom"
                let! log = audit scene "?object=seller"
                Expect.equal
                    [ for entry in log -> text "role" entry, text "object_id" entry, text "outcome" entry ]
                    (List.replicate 3 ("service", "ada", "done"))
                    "whoever says it"
                Expect.equal
                    (part "old" "stripe_account_id" log[1], part "new" "stripe_account_id" log[1])
                    ("acct_ada", "acct_elsewhere")
                    ""
                Expect.equal (string (log[0].GetProperty "new")) "{}" "nothing changed"
                let! none = audit scene "?action=order.create"
                Expect.isEmpty none "what a shop does all day is no operator's act"
            })
        play "every act of an operator is written down: who, what, why, and what changed" [] (fun scene ->
            task {
                scene.World.Faults.Add refusing
                let! order = scene.PaidOrder()
                do! scene.TransfersAre(order, "permanently_failed")
                scene.World.Faults.Clear()
                let! transfers = scene.Transfers order
                let first, second = text "id" transfers[0], text "id" transfers[1]
                let act path body =
                    scene.Send(
                        "POST",
                        path,
                        body,
                        [
                            "Authorization", "Bearer " + scene.Key "operator"
                            "X-Request-Id", "ticket-4711"
                            "Idempotency-Key", path
                        ]
                    )
                let write = $"/api/v1/admin/transfers/{first}/write-off"
                let! _ = act write """{"note":"paid by hand"}"""
                let! repeated = act write """{"note":"paid by hand"}"""
                Expect.isTrue repeated.Replayed ""
                let! _ =
                    act $"/api/v1/admin/transfers/{second}/retry" """{"note":"the account is right now"}"""
                do!
                    scene.Until(
                        "it to be paid",
                        fun () ->
                            task {
                                let! answer = scene.Get $"/api/v1/transfers/{second}"
                                return answer.Text "status" = "completed"
                            }
                    )
                let! refused = act $"/api/v1/admin/transfers/{first}/retry" "{broken"
                Expect.equal refused.Status 400 ""
                let! late =
                    act $"/api/v1/admin/transfers/{second}/write-off" """{"note":"too late \u0000"}"""
                Expect.isGreaterThanOrEqual late.Status 400 ""
                let! log = audit scene "?actor=key:Operator"
                Expect.equal
                    [ for entry in log -> text "action" entry, text "object_id" entry, text "outcome" entry ]
                    [
                        "transfer.write_off", second, "refused"
                        "transfer.retry", first, "refused"
                        "transfer.retry", second, "done"
                        "transfer.write_off", first, "done"
                    ]
                    "each once, the newest first; a repeat acts on nothing"
                let written = List.last log
                Expect.equal
                    (text "note" written, text "request_id" written, text "via" written, text "role" written)
                    ("paid by hand", "ticket-4711", "api", "operator")
                    ""
                Expect.equal
                    (part "old" "status" written, part "new" "status" written)
                    ("permanently_failed", "written_off")
                    "what changed"
                Expect.equal (part "old" "status" log[2]) "permanently_failed" "a retry too"
                Expect.equal (log[0].GetProperty("new").ValueKind) JsonValueKind.Null "nothing was done"
            })
        play "what an operator makes, changes and deletes is told, and no secret" [] (fun scene ->
            task {
                let root = "/api/v1/webhook-endpoints"
                let! made = scene.As("operator", "POST", root, """{"url":"https://example.com/"}""")
                let id = made.Text "id"
                let! rotated = scene.As("operator", "POST", $"{root}/{id}/rotate-secret", "")
                let! _ = scene.As("operator", "PATCH", $"{root}/{id}", """{"enabled":false}""")
                let! _ = scene.As("operator", "DELETE", $"{root}/{id}", "")
                let! _ = scene.As("operator", "POST", "/api/v1/reconciliation/runs", "")
                let! log = audit scene $"?object={id}"
                Expect.equal
                    (actions log)
                    [
                        "webhook_endpoint.delete"
                        "webhook_endpoint.update"
                        "webhook_endpoint.rotate_secret"
                        "webhook_endpoint.create"
                    ]
                    "found by the object's id, made or not yet"
                Expect.equal
                    (part "old" "enabled" log[1], part "new" "enabled" log[1])
                    ("True", "False")
                    "only what changed"
                Expect.isFalse (fst ((log[1].GetProperty "new").TryGetProperty "url")) ""
                Expect.equal (part "old" "url" log[0]) "https://example.com/" "what is gone can be read here"
                let! all = audit scene ""
                Expect.contains (actions all) "reconciliation_run.create" ""
                for secret in [ made.Text "secret"; rotated.Text "secret"; scene.Key "operator" ] do
                    for entry in all do
                        Expect.isFalse ((string entry).Contains secret) "never a secret"
            })
        play "it is a list like every other" [] (fun scene ->
            task {
                for number in 1..5 do
                    let! _ = changes scene $"acct_{number}" "operator"
                    ()
                let! first = scene.As("read", "GET", "/api/v1/admin/audit?limit=2&action=seller.update", "")
                let cursor = first.Text "next_cursor"
                let! rest =
                    scene.As("read", "GET", $"/api/v1/admin/audit?action=seller.update&cursor={cursor}", "")
                Expect.equal ((items "data" first.Body).Length, (items "data" rest.Body).Length) (2, 3) ""
                let third = items "data" rest.Body |> List.head
                let at = Uri.EscapeDataString((third.GetProperty("at").GetDateTimeOffset()).ToString "O")
                let! later = audit scene $"?action=seller.update&created_after={at}"
                let! earlier = audit scene $"?action=seller.update&created_before={at}"
                Expect.equal (later.Length, earlier.Length) (2, 2) "neither is that moment itself"
                let! bad = scene.As("read", "GET", "/api/v1/admin/audit?created_after=yesterday&who=me", "")
                Expect.equal
                    (items "errors" bad.Body |> List.map (text "field"))
                    [ "created_after"; "who" ]
                    ""
            })
        play "nothing in it can be changed or deleted" [] (fun scene ->
            task {
                let! _ = changes scene "acct_ada" "operator"
                for table in [ "audit_log"; "audit_outcomes"; "seller_changes" ] do
                    for sql in
                        [
                            $"update {table} set at = now()"
                            $"delete from {table}"
                            $"truncate {table} cascade"
                        ] do
                        let! refusal =
                            task {
                                try
                                    do! scene.Execute sql
                                    return ""
                                with :? Npgsql.PostgresException as error ->
                                    return error.MessageText
                            }
                        Expect.stringContains refusal "append-only" sql
            })
        play "an entry is there before its action, even if that never ends" [] (fun scene ->
            task {
                do! scene.Execute "alter table sellers rename to sellers_away"
                let! failed = changes scene "acct_ada" "operator"
                Expect.equal failed.Status 500 ""
                do! scene.Execute "alter table sellers_away rename to sellers"
                let! log = audit scene "?action=seller.update"
                Expect.equal [ for entry in log -> text "outcome" entry ] [ "failed" ] ""
                do!
                    scene.Execute
                        "insert into audit_log (id, actor, role, via, action, object, at) values (gen_random_uuid(), 'key:ann', 'operator', 'api', 'transfer.retry', 'transfer', now())"
                let! died = audit scene "?actor=key:ann"
                Expect.equal [ for entry in died -> text "outcome" entry ] [ "unknown" ] "its host died"
            })
        play "the console's acts are there as well, with who signed in" [] (fun scene ->
            task {
                scene.World.Faults.Add refusing
                let! order = scene.PaidOrder()
                do! scene.TransfersAre(order, "permanently_failed")
                let! transfers = scene.Transfers order
                let id = text "id" transfers[0]
                use browser = new Browser(scene.Address)
                let! _ = browser.SignIn(scene.Key "operator")
                let page = $"/console/transfers/{id}"
                let form = [ "version", string (number "version" transfers[0]); "note", "settled by hand" ]
                let! _ = browser.Submit(page, page + "/write-off", form, true)
                let! _ = browser.Submit(page, "/console/sign-out", [], true)
                let! log = audit scene "?actor=key:Operator"
                Expect.equal (actions log) [ "session.sign_out"; "transfer.write_off"; "session.sign_in" ] ""
                Expect.equal
                    (text "via" log[1], text "note" log[1], text "object_id" log[1])
                    ("console", "settled by hand", id)
                    ""
                Expect.equal (part "new" "status" log[1]) "written_off" ""
            })
        play "keys made and revoked by a command name whoever sat there" [] (fun scene ->
            task {
                let settings = [
                    "DATABASE_URL", scene.ConnectionString
                    "HYPERSWITCH_BASE_URL", scene.HyperswitchUrl
                    "HYPERSWITCH_API_KEY", "snd_key"
                    "STRIPE_SECRET_KEY", "sk_test_key"
                ]
                let! created, key, _ =
                    veza settings [ "api-keys"; "create"; "--role"; "operator"; "--name"; "grace" ]
                Expect.equal created 0 ""
                let! id = scene.Scalar<Guid> "select id from api_keys where name = 'grace'"
                let! revoked, _, _ = veza settings [ "api-keys"; "revoke"; string id ]
                Expect.equal revoked 0 ""
                let! log = audit scene $"?object={id}"
                Expect.equal (actions log) [ "api_key.revoke"; "api_key.create" ] ""
                for entry in log do
                    Expect.equal (text "actor" entry) $"cli:{Environment.UserName}" ""
                    Expect.equal (part "new" "role" entry) "operator" "what it may do"
                    Expect.isFalse ((string entry).Contains(key.Trim())) "never the key"
            })
        test "every call that changes something has a name of its own for what it does" {
            let names = [
                for verb, path in calls do
                    if verb <> "GET" then
                        let struct (action, _) =
                            Veza.Host.Audit.AuditedActions.Of(
                                verb,
                                path.Replace("/ada", "/{id}").Replace(nobody, "{id}")
                            )
                        action
            ]
            for name in names do
                Expect.isMatch name @"^[a-z]+(_[a-z]+)*\.[a-z]+(_[a-z]+)*$" ""
            for name in
                [
                    "seller.update"
                    "refund.create"
                    "order.cancel"
                    "transfer.write_off"
                    "webhook_event.replay"
                    "webhook_endpoint.delete"
                    "reconciliation_run.acknowledge"
                ] do
                Expect.contains names name ""
        }
    ]
