/// The contract of POST /webhooks/hyperswitch, to the letter.
module Veza.Host.Tests.WebhookTests

open System.Net.Http
open System.Text
open System.Text.Json.Nodes
open System.Threading.Tasks
open Expecto
open Veza.Adapters.Http
open Veza.Host.Tests.Scene
open Veza.Sandbox.Control

let private event (id: string) (kind: string) (content: string) (about: string) =
    $$$"""{"merchant_id":"m","event_id":"{{{id}}}","event_type":"{{{kind}}}","content":{"type":"{{{content}}}","object":{{{about}}} },"timestamp":"2026-11-23T12:00:00.000Z"}"""

let private paymentEvent id (payment: string) (amount: int) (currency: string) (order: string) =
    $$$"""{"payment_id":"{{{payment}}}","status":"succeeded","amount":{{{amount}}},"amount_received":{{{amount}}},"currency":"{{{currency}}}","metadata":{"order_id":"{{{order}}}"}}"""
    |> event id "payment_succeeded" "payment_details"

let private stateOf (scene: Scene) id =
    scene.Scalar<string>
        $"select state || coalesce(':' || reason, '') from webhook_events where event_id = '{id}'"

let private becomes (scene: Scene) id state =
    scene.Until(
        $"event {id} to be {state}",
        fun () ->
            task {
                let! found = stateOf scene id
                return found = state
            }
    )

[<Tests>]
let tests =
    testList "webhooks" [
        play
            "an empty secret is 500 webhook_secret_missing"
            [ "HYPERSWITCH_WEBHOOK_SECRET", "" ]
            (fun scene ->
                task {
                    let! answer = scene.Webhook "{}"
                    Expect.equal (answer.Status, answer.Code) (500, "webhook_secret_missing") ""
                })
        play "a missing or wrong signature is 401" [] (fun scene ->
            task {
                for signature in [ ""; "00"; System.String('0', 128); "zz" ] do
                    let! answer =
                        scene.Send(
                            "POST",
                            "/webhooks/hyperswitch",
                            "{}",
                            [ "X-Webhook-Signature-512", signature ]
                        )
                    Expect.equal (answer.Status, answer.Code) (401, "signature_invalid") signature
                let! none = scene.Send("POST", "/webhooks/hyperswitch", "{}", [])
                Expect.equal none.Status 401 "no header at all"
                let! stored = scene.Scalar<int64> "select count(*) from webhook_events"
                Expect.equal stored 0L "nothing of it is kept"
            })
        play "a signature over other bytes is 401" [] (fun scene ->
            task {
                let signature = Signatures.Hyperswitch("""{"a":1}""", scene.World.Wiring.HyperswitchSecret)
                let! answer =
                    scene.Send(
                        "POST",
                        "/webhooks/hyperswitch",
                        """{"a": 1}""",
                        [ "X-Webhook-Signature-512", signature ]
                    )
                Expect.equal answer.Status 401 "the raw bytes are signed, not their meaning"
            })
        play
            "each of several secrets is accepted"
            [ "HYPERSWITCH_WEBHOOK_SECRET", "old-secret, new-secret" ]
            (fun scene ->
                task {
                    for secret, status in [ "old-secret", 200; "new-secret", 200; "other", 401 ] do
                        let body = event secret "payment_succeeded" "payment_details" "{}"
                        let! answer =
                            scene.Send(
                                "POST",
                                "/webhooks/hyperswitch",
                                body,
                                [ "X-Webhook-Signature-512", Signatures.Hyperswitch(body, secret) ]
                            )
                        Expect.equal answer.Status status secret
                })
        play "a signed body that is not JSON is 400" [] (fun scene ->
            task {
                for body in [ "not json"; "[1]"; "\"text\"" ] do
                    let! answer = scene.Webhook body
                    Expect.equal (answer.Status, answer.Code) (400, "invalid_json") body
            })
        play "200 is said when the event is on disk, and once is enough" [] (fun scene ->
            task {
                let body = event "evt_1" "something_new" "new_details" "{}"
                for _ in 1..3 do
                    let! answer = scene.Webhook body
                    Expect.equal answer.Status 200 ""
                let! stored =
                    scene.Scalar<int64> "select count(*) from webhook_events where event_id = 'evt_1'"
                Expect.equal stored 1L "recorded once"
                do! becomes scene "evt_1" "ignored:unknown_type"
            })
        play "an event about an unknown object is kept and visible" [] (fun scene ->
            task {
                let! answer = scene.Webhook(paymentEvent "evt_2" "pay_of_somebody_else" 100 "EUR" "x")
                Expect.equal answer.Status 200 ""
                do! becomes scene "evt_2" "parked:unknown_payment"
            })
        play "a faulty object is set aside with its reason, and the next event passes" [] (fun scene ->
            task {
                let! order = scene.Order()
                let! payment = scene.OfferPayment order
                let! bad =
                    scene.Webhook(
                        event "evt_bad" "payment_succeeded" "payment_details" """{"payment_id":7}"""
                    )
                Expect.equal bad.Status 200 "recorded"
                let! _ = scene.Webhook(paymentEvent "evt_good" (payment.Text "payment_id") 10000 "EUR" order)
                do! scene.OrderIs(order, "completed")
                let! state = stateOf scene "evt_bad"
                Expect.stringStarts state "poisoned:" "kept for a person"
            })
        play "an event whose order is damaged is set aside alone, and the others take effect" [] (fun scene ->
            task {
                let! damaged = scene.Order()
                let! damagedPayment = scene.OfferPayment damaged
                let! order = scene.Order()
                let! payment = scene.OfferPayment order
                do! scene.Execute $"update orders set total = 1 where id = '{damaged}'"
                let! _ =
                    Task.WhenAll [
                        scene.Webhook(
                            paymentEvent "evt_d" (damagedPayment.Text "payment_id") 10000 "EUR" damaged
                        )
                        scene.Webhook(paymentEvent "evt_w" (payment.Text "payment_id") 10000 "EUR" order)
                    ]
                do! scene.OrderIs(order, "completed")
                do!
                    scene.Until(
                        "the damaged one to be set aside",
                        fun () ->
                            task {
                                let! state = stateOf scene "evt_d"
                                return state.StartsWith "poisoned:"
                            }
                    )
            })
        play "three identical payments complete one order, once" [] (fun scene ->
            task {
                let! order = scene.Order()
                let! payment = scene.OfferPayment order
                let body = paymentEvent "evt_3" (payment.Text "payment_id") 10000 "EUR" order
                let! answers = Task.WhenAll [ for _ in 1..3 -> scene.Webhook body ]
                Expect.all answers (fun answer -> answer.Status = 200) "each is 200"
                let! again = scene.Webhook(body.Replace("evt_3", "evt_4"))
                Expect.equal again.Status 200 "another event, the same fact"
                do! becomes scene "evt_4" "known"
                let! found = scene.Get $"/api/v1/orders/{order}"
                Expect.equal (found.Text "status") "completed" ""
                Expect.hasLength (items "licenses" found.Body) 2 "one license per line"
                Expect.hasLength (items "transfers" found.Body) 2 "one transfer per seller"
            })
        play "a payment of another amount, currency or order is quarantined by name" [] (fun scene ->
            task {
                let! order = scene.Order()
                let! payment = scene.OfferPayment order
                let id = payment.Text "payment_id"
                for event, amount, currency, named, reason in
                    [
                        "evt_a", 9999, "EUR", order, "amount_differs"
                        "evt_c", 10000, "USD", order, "currency_differs"
                        "evt_o", 10000, "EUR", "another-order", "order_differs"
                    ] do
                    let! answer = scene.Webhook(paymentEvent event id amount currency named)
                    Expect.equal answer.Status 200 "recorded"
                    do! becomes scene event $"quarantined:{reason}"
                let! found = scene.Get $"/api/v1/orders/{order}"
                Expect.equal (found.Text "status") "awaiting_payment" "nothing completed"
            })
        play "an event that came before its object takes effect when the object is here" [] (fun scene ->
            task {
                let! order = scene.Order()
                let payment = Veza.Domain.PaymentId.For(Veza.Domain.OrderId(System.Guid order))
                let! early = scene.Webhook(paymentEvent "evt_early" payment.Value 10000 "EUR" order)
                Expect.equal early.Status 200 "never a 4xx for coming early"
                do! becomes scene "evt_early" "parked:unknown_payment"
                let! _ = scene.OfferPayment order
                do! scene.OrderIs(order, "completed")
            })
        play "after 200 the effect is visible within two seconds" [ "SWEEP_INTERVAL", "1h" ] (fun scene ->
            task {
                let! order = scene.Order()
                let! payment = scene.OfferPayment order
                let! _ = scene.Webhook(paymentEvent "evt_5" (payment.Text "payment_id") 10000 "EUR" order)
                do! scene.OrderIs(order, "completed")
            })
        play "Stripe's events are verified, dated, recorded once and kept" [] (fun scene ->
            task {
                let body =
                    """{"id":"evt_s1","type":"transfer.created","livemode":false,"data":{"object":{"id":"tr_1",
                        "amount":5,"currency":"eur","destination":"acct_other","metadata":{}}}}"""
                let now = System.DateTimeOffset.UtcNow
                let send signature =
                    scene.Send("POST", "/webhooks/stripe", body, [ "Stripe-Signature", signature ])
                let secret = scene.World.Wiring.StripeSecret
                for wrong in
                    [
                        ""
                        "t=,v1="
                        "nonsense"
                        Signatures.Stripe(body, "other", now)
                        Signatures.Stripe(body, secret, now.AddMinutes -6.)
                        Signatures.Stripe(body + " ", secret, now)
                    ] do
                    let! answer = send wrong
                    Expect.equal (answer.Status, answer.Code) (401, "signature_invalid") wrong
                let several =
                    Signatures.Stripe(body, secret, now).Replace("v1=", $"v1={System.String('0', 64)},v1=")
                for signature in [ Signatures.Stripe(body, secret, now); several ] do
                    let! answer = send signature
                    Expect.equal answer.Status 200 "verified and on disk"
                do! becomes scene "evt_s1" "ignored:not_ours"
                let! stored =
                    scene.Scalar<int64> "select count(*) from webhook_events where event_id = 'evt_s1'"
                Expect.equal stored 1L "recorded once"
            })
        play "an empty Stripe secret is 500 too" [ "STRIPE_WEBHOOK_SECRET", "" ] (fun scene ->
            task {
                let! answer = scene.Send("POST", "/webhooks/stripe", "{}", [])
                Expect.equal (answer.Status, answer.Code) (500, "webhook_secret_missing") ""
            })
        testList "signatures" [
            test "an empty list of secrets matches nothing" {
                let body = Encoding.UTF8.GetBytes "{}"
                Expect.isFalse
                    (WebhookSignatures.IsHyperswitchs(body, Signatures.Hyperswitch("{}", ""), [||]))
                    ""
            }
            test "upper-case hex and a shortened signature are not mistaken" {
                let body = Encoding.UTF8.GetBytes "{}"
                let secrets = WebhookSignatures.Secrets "secret"
                let signature = Signatures.Hyperswitch("{}", "secret")
                Expect.isTrue (WebhookSignatures.IsHyperswitchs(body, signature, secrets)) "as it is"
                Expect.isFalse
                    (WebhookSignatures.IsHyperswitchs(body, signature.Substring 2, secrets))
                    "shortened"
            }
        ]
    ]
