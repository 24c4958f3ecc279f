/// What an operator does where Veza cannot go on by itself: payouts in doubt, webhooks that wait for a person.
module Veza.Host.Tests.WaysOutTests

open System
open System.Collections.Generic
open System.Text.Json
open Expecto
open Veza.Host.Tests.Browser
open Veza.Host.Tests.Scene
open Veza.Sandbox.Control

let private payout (scene: Scene) (id: string) = scene.As("read", "GET", $"/api/v1/payouts/{id}", "")

let payoutIs (scene: Scene) id what holds =
    scene.Until(
        $"the payout to be {what}",
        fun () ->
            task {
                let! answer = payout scene id
                return holds answer
            }
    )

let private retry (scene: Scene) (id: string) body =
    scene.As("operator", "POST", $"/api/v1/admin/payouts/{id}/retry", body)

let private settle (scene: Scene) (id: string) body =
    scene.As("operator", "POST", $"/api/v1/admin/payouts/{id}/settle", body)

let private fieldsOf (answer: Answer) = [
    for fault in items "errors" answer.Body -> text "field" fault, text "code" fault
]

/// Whatever Stripe makes is not told: what Veza knows it must have asked for.
let silently = [ "EVENT_WALK_INTERVAL", "1h" ]

/// Asked for so often that Veza gives up: nothing has ever reached Stripe.
let inDoubt (scene: Scene) =
    task {
        let! _ = scene.SettledOrder()
        scene.World.Courier.Add(DeliveryRule("*", Delivery.Drop))
        scene.World.Faults.Add(Fault("stripe.payouts.create", FaultMode.TimeoutBefore))
        let! answer =
            scene.As(
                "operator",
                "POST",
                "/api/v1/payouts",
                """{"seller_id":"ada","amount":2000,"currency":"EUR"}"""
            )
        let id = answer.Text "id"
        do! payoutIs scene id "in doubt" (fun payout -> payout.Text "needs_operator" = "True")
        scene.World.Faults.Clear()
        return id
    }

/// At Stripe, as if it had been made for ours; how it ends is decided here.
let made (scene: Scene) (id: string) (amount: int64) =
    scene.World.Payouts.ArrivesAfter <- Nullable()
    let form =
        dict [
            "amount", string amount
            "currency", "eur"
            if id <> "" then
                "metadata[payout_id]", id
        ]
    let answer = scene.World.Payouts.Create(Dictionary form, "acct_ada")
    Expect.equal answer.Status 200 "Stripe makes it"
    string (answer.Body["id"])

let private webhookIs (scene: Scene) (id: int64) state =
    scene.Until(
        $"the webhook to be {state}",
        fun () ->
            task {
                let! answer = scene.As("read", "GET", $"/api/v1/admin/webhook-events/{id}", "")
                return answer.Text "state" = state
            }
    )

let private alarms (scene: Scene) =
    task {
        let! answer = scene.As("read", "GET", "/api/v1/reconciliation", "")
        return items "alarms" answer.Body |> List.map (text "alarm")
    }

let quarantined (scene: Scene) =
    task {
        let! order = scene.Order()
        let! payment = scene.OfferPayment order
        let body =
            sprintf
                """{"event_id":"evt_q","event_type":"payment_succeeded","content":{"type":"payment_details","object":{"payment_id":"%s","status":"succeeded","amount":1,"amount_received":1,"currency":"EUR"}}}"""
                (payment.Text "payment_id")
        let! _ = scene.Webhook body
        let mutable id = 0L
        do!
            scene.Until(
                "it to be quarantined",
                fun () ->
                    task {
                        let! listed =
                            scene.As("read", "GET", "/api/v1/admin/webhook-events?state=quarantined", "")
                        match items "data" listed.Body with
                        | event :: _ ->
                            id <- number "id" event
                            return true
                        | [] -> return false
                    }
            )
        return id
    }

[<Tests>]
let tests =
    testList "ways out" [
        play "a payout in doubt is tried again: looked for, not found, paid once" silently (fun scene ->
            task {
                let! id = inDoubt scene
                let! again = retry scene id """{"note":"Stripe is back"}"""
                Expect.equal again.Status 200 ""
                do! payoutIs scene id "made" (fun payout -> payout.Text "external_payout_id" <> "")
                Expect.equal (scene.World.Stripe.Balance("acct_ada", "eur")) 3400L "it left the balance once"
                let! known = payout scene id
                let steps = items "history" known.Body
                let step = steps |> List.find (fun step -> text "signal" step = "retry_requested")
                Expect.equal
                    (text "from" step, text "to" step, text "actor" step, text "detail" step)
                    ("in_doubt", "requested", "key:Operator", "Stripe is back")
                    "by whom and why"
                let! late = retry scene id ""
                Expect.equal (late.Status, late.Code) (409, "payout_not_in_doubt") ""
                Expect.isNotEmpty (late.Text "payout_status") ""
            })
        play "a payout in doubt is tried again: found, and not made twice" silently (fun scene ->
            task {
                let! id = inDoubt scene
                let name = made scene id 2000L
                let! again = retry scene id ""
                Expect.equal again.Status 200 ""
                do! payoutIs scene id "known" (fun payout -> payout.Text "external_payout_id" = name)
                Expect.equal (scene.World.Stripe.Balance("acct_ada", "eur")) 3400L "it left the balance once"
            })
        play "a payout that Stripe never made is settled as failed, and stays so" silently (fun scene ->
            task {
                let! id = inDoubt scene
                let! nameless = settle scene id """{"note":"it was paid","outcome":"paid"}"""
                Expect.equal
                    (nameless.Status, fieldsOf nameless)
                    (422, [ "external_payout_id", "required" ])
                    ""
                let! unknown =
                    settle
                        scene
                        id
                        """{"note":"here it is","outcome":"paid","external_payout_id":"po_nowhere"}"""
                Expect.equal
                    (unknown.Status, fieldsOf unknown)
                    (422, [ "external_payout_id", "not_found" ])
                    ""
                let! bad = settle scene id """{"outcome":"lost","external_payout_id":"tr_1"}"""
                Expect.equal
                    (fieldsOf bad |> List.map fst |> List.sort)
                    [ "external_payout_id"; "note"; "outcome" ]
                    "all faults at once"
                let! settled = settle scene id """{"note":"support: never made"}"""
                Expect.equal
                    (settled.Status, settled.Text "status", settled.Text "needs_operator")
                    (200, "failed", "False")
                    ""
                let failure = settled.Body.GetProperty "failure"
                Expect.equal
                    (text "code" failure, text "message" failure)
                    ("settled_by_operator", "support: never made")
                    ""
                let! twice = settle scene id """{"note":"once more"}"""
                Expect.equal
                    (twice.Status, twice.Code, twice.Text "payout_status")
                    (409, "payout_not_in_doubt", "failed")
                    ""
            })
        play "a payout that nobody wants any more is settled as canceled" silently (fun scene ->
            task {
                let! id = inDoubt scene
                let! settled = settle scene id """{"note":"the seller left","outcome":"canceled"}"""
                Expect.equal (settled.Text "status", settled.Text "external_payout_id") ("canceled", "") ""
                let last = items "history" settled.Body |> List.last
                Expect.equal
                    (text "signal" last, text "actor" last, text "detail" last)
                    ("settled_as_canceled", "key:Operator", "the seller left")
                    ""
            })
        play "a person's word yields to Stripe's" silently (fun scene ->
            task {
                let! id = inDoubt scene
                let name = made scene id 2000L
                scene.World.Payouts.Decide(name, "paid", null) |> ignore
                let! differs = settle scene id """{"note":"it failed","outcome":"failed"}"""
                Expect.equal
                    (differs.Status, differs.Code, differs.Text "provider_status")
                    (409, "payout_outcome_differs", "paid")
                    ""
                let! settled = settle scene id """{"note":"seen at Stripe"}"""
                Expect.equal
                    (settled.Text "status", settled.Text "external_payout_id")
                    ("paid", name)
                    "Stripe's word"
            })
        play "of several payouts the operator names the one that counts" silently (fun scene ->
            task {
                let! id = inDoubt scene
                let one, other, foreign = made scene id 2000L, made scene id 2000L, made scene "" 700L
                let! several = settle scene id """{"note":"two of them"}"""
                Expect.equal (several.Status, several.Code) (409, "several_payouts_found") ""
                let named = [
                    for name in several.Body.GetProperty("external_payout_ids").EnumerateArray() ->
                        string name
                ]
                Expect.equal (List.sort named) (List.sort [ one; other ]) "they are told"
                let! wrong = settle scene id $$"""{"note":"this one","external_payout_id":"{{foreign}}"}"""
                Expect.equal (fieldsOf wrong) [ "external_payout_id", "not_found" ] "another amount"
                let! settled = settle scene id $$"""{"note":"this one","external_payout_id":"{{other}}"}"""
                Expect.equal (settled.Text "external_payout_id") other ""
            })
        play "a payout that Stripe does not show is settled by a person's word alone" silently (fun scene ->
            task {
                let! id = inDoubt scene
                scene.World.Faults.Add(Fault("stripe.payouts.*", FaultMode.ErrorBefore, Status = 500))
                let! silent = settle scene id """{"note":"seen"}"""
                Expect.equal (silent.Status, silent.Code) (503, "provider_in_doubt") "no answer is no word"
                scene.World.Faults.Clear()
                scene.World.Faults.Add(
                    Fault("stripe.payouts.*", FaultMode.ErrorBefore, Status = 403, Code = "account_invalid")
                )
                let! wordless = settle scene id """{"note":"seen"}"""
                Expect.equal (fieldsOf wordless) [ "outcome", "required" ] "nobody says what became of it"
                let! settled =
                    settle
                        scene
                        id
                        """{"note":"the bank has it","outcome":"paid","external_payout_id":"po_seen"}"""
                Expect.equal
                    (settled.Text "status", settled.Text "external_payout_id")
                    ("paid", "po_seen")
                    "the account is not connected any more"
            })
        play "a webhook that waits for a person is closed by one, and rings no more" silently (fun scene ->
            task {
                let! id = quarantined scene
                let! ringing = alarms scene
                Expect.contains ringing "event_needs_operator" ""
                let path = $"/api/v1/admin/webhook-events/{id}"
                let! noteless = scene.As("operator", "POST", path + "/dismiss", "{}")
                Expect.equal (fieldsOf noteless) [ "note", "required" ] ""
                let! closed =
                    scene.As("operator", "POST", path + "/dismiss", """{"note":"refunded by hand"}""")
                Expect.equal
                    (closed.Status, closed.Text "state", closed.Text "reason")
                    (200, "dismissed", "amount_differs")
                    "what it was stays known"
                Expect.equal
                    (closed.Text "dismissed_by", closed.Text "dismissed_note")
                    ("key:Operator", "refunded by hand")
                    ""
                let! silent = alarms scene
                Expect.isFalse (List.contains "event_needs_operator" silent) "silence"
                let! twice = scene.As("operator", "POST", path + "/dismiss", """{"note":"again"}""")
                Expect.equal
                    (twice.Status, twice.Code, twice.Text "event_state")
                    (409, "event_not_dismissible", "dismissed")
                    ""
                let! all =
                    scene.As(
                        "operator",
                        "POST",
                        "/api/v1/admin/webhook-events/replay",
                        """{"dry_run":false}"""
                    )
                Expect.equal (number "replayed" all.Body) 0L "what is closed is not opened in passing"
                let! replayed = scene.As("operator", "POST", path + "/replay", "")
                Expect.equal replayed.Status 200 "but by name"
                do! webhookIs scene id "quarantined"
                let! again = alarms scene
                Expect.contains again "event_needs_operator" "and rings again, because nothing has changed"
            })
        play "the console closes a webhook with a note" silently (fun scene ->
            task {
                let! id = quarantined scene
                use browser = new Browser(scene.Address)
                let! _ = browser.SignIn(scene.Key "operator")
                let page = "/console/webhooks"
                let close note = browser.Submit(page, $"{page}/{id}/dismiss", [ "note", note ], true)
                let! _ = close " "
                do! webhookIs scene id "quarantined"
                let! _ = close "refunded by hand"
                do! webhookIs scene id "dismissed"
                let! _, shown, _ = browser.Get page
                Expect.isFalse (shown.Contains "evt_q") "it is not in the way any more"
            })
    ]
