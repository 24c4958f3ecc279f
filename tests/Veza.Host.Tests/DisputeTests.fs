/// Banks that take payments back, or try to, at both providers: Veza, Hyperswitch and Stripe end the same.
module Veza.Host.Tests.DisputeTests

open System
open System.Threading.Tasks
open Expecto
open Veza.Sandbox.Control
open Veza.Sandbox.Hyperswitch
open Veza.Host.Tests.Scene

let private paymentOf (scene: Scene) (order: string) =
    task {
        let! answer = scene.Get $"/api/v1/orders/{order}"
        return text "payment_id" (answer.Body.GetProperty "payment")
    }

let private disputeOf (scene: Scene) order (amount: int64) stage =
    task {
        let! payment = paymentOf scene order
        return
            nonNull (scene.World.Hyperswitch.Dispute(payment, Nullable amount, stage, DisputeWebhooks.Both))
    }

let private dispute scene order = disputeOf scene order 100_00L DisputeStage.Dispute

let private change (scene: Scene) id step =
    Expect.equal (scene.World.Hyperswitch.Change(id, step)) (Nullable true) "the bank may do so"

let private rule scene id (outcome: DisputeOutcome) =
    change scene id (DisputeChange(Outcome = Nullable outcome))

let private disputeHas (scene: Scene) order what holds =
    scene.Until(
        what,
        fun () ->
            task {
                let! answer = scene.Get $"/api/v1/orders/{order}"
                return items "disputes" answer.Body |> List.exists holds
            }
    )

let private disputeIs scene order status =
    disputeHas scene order $"the dispute to be {status}" (fun dispute -> text "status" dispute = status)

let private refundable (scene: Scene) order =
    task {
        let! answer = scene.Get $"/api/v1/orders/{order}"
        return number "refundable_amount" answer.Body
    }

/// What Hyperswitch calls the refund that an answer speaks of.
let private refundName (scene: Scene) (refund: Answer) =
    task {
        let! shown = scene.Get $"""/api/v1/refunds/{refund.Text "id"}"""
        return shown.Text "provider_refund_id"
    }

let private nothingWaits (scene: Scene) =
    scene.Until(
        "every event to have its effect",
        fun () ->
            task {
                let! waiting =
                    scene.Scalar<int64>
                        "select count(*) from webhook_events where state in ('received', 'asking')"
                return waiting = 0L
            }
    )

let private nothingIsQuarantined (scene: Scene) =
    task {
        let! count =
            scene.Scalar<int64>
                "select count(*) from webhook_events where state in ('quarantined', 'poisoned', 'parked')"
        Expect.equal count 0L "every event is understood"
    }

/// Hyperswitch's own event of a refund, as if it had been delivered late or again.
let private staleEvent (scene: Scene) name kind =
    task {
        let body = scene.World.Hyperswitch.GetRefund(name).Body.DeepClone()
        body["status"] <-
            Text.Json.Nodes.JsonValue.Create(if kind = "refund_failed" then "failed" else "succeeded")
        return!
            scene.Webhook
                $$$"""{"event_id":"evt_{{{Guid.NewGuid():N}}}","event_type":"{{{kind}}}","content":{"type":"refund_details","object":{{{body.ToJsonString()}}}}}"""
    }

[<Tests>]
let tests =
    testList "disputes" [
        play "lost reverse like a refund, heard from both providers once" [] (fun scene ->
            task {
                let! order = scene.SettledOrder()
                let! id = dispute scene order
                do! disputeIs scene order "open"
                do! scene.BooksAgree()
                let! refused = scene.Refund(order, "")
                Expect.equal
                    refused.Code
                    "refund_exceeds_remaining"
                    "a refund and a dispute never both take it"
                Expect.equal
                    [ for fault in items "errors" refused.Body -> text "field" fault, text "code" fault ]
                    [ "order_id", "held_by_dispute" ]
                    "and it is said why"
                rule scene id DisputeOutcome.Lost
                do! disputeIs scene order "lost"
                do! scene.TransfersAre(order, "reversed")
                do! scene.OrderIs(order, "refunded")
                let! rows = scene.Scalar<int64> "select count(*) from disputes"
                Expect.equal rows 1L "one dispute"
                do! scene.BooksAgree()
            })
        play
            "are listed and shown with their terms, which a silent provider does not take away"
            []
            (fun scene ->
                task {
                    let! order = scene.SettledOrder()
                    let! other = scene.SettledOrder()
                    let! payment = paymentOf scene order
                    let due = DateTimeOffset(2031, 2, 3, 4, 5, 6, TimeSpan.Zero)
                    let id =
                        scene.World.Hyperswitch.Dispute(
                            payment,
                            Nullable 40_00L,
                            DisputeStage.PreDispute,
                            DisputeWebhooks.Both,
                            "product_not_received",
                            Nullable due
                        )
                    let! _ = dispute scene other
                    for order in [ order; other ] do
                        do! disputeIs scene order "open"
                    let! list = scene.As("read", "GET", $"/api/v1/disputes?status=open&order_id={order}", "")
                    let shown = items "data" list.Body |> List.exactlyOne
                    Expect.equal
                        (text "stage" shown, text "reason" shown, number "amount" shown, text "status" shown)
                        ("pre_dispute", "product_not_received", 40_00L, "open")
                        ""
                    let until shown =
                        (shown: Text.Json.JsonElement).GetProperty("respond_by").GetDateTimeOffset()
                    Expect.equal (until shown) due ""
                    let! first = scene.As("read", "GET", "/api/v1/disputes?limit=1", "")
                    Expect.equal (text "order_id" (items "data" first.Body).Head) other "newest first"
                    let! second =
                        scene.As(
                            "read",
                            "GET",
                            $"""/api/v1/disputes?limit=1&cursor={first.Text "next_cursor"}""",
                            ""
                        )
                    Expect.equal
                        (text "order_id" (items "data" second.Body).Head, second.Text "has_more")
                        (order, "False")
                        ""
                    let! none = scene.As("read", "GET", $"/api/v1/disputes?status=won&order_id={order}", "")
                    Expect.isEmpty (items "data" none.Body) ""
                    let! bad =
                        scene.As("read", "GET", "/api/v1/disputes?status=lots&order_id=x&seller=1", "")
                    Expect.equal
                        [ for fault in items "errors" bad.Body -> text "field" fault ]
                        [ "status"; "order_id"; "seller" ]
                        "every faulty field"
                    let later = due.AddDays 3.
                    change
                        scene
                        (nonNull id)
                        (DisputeChange(Stage = Nullable DisputeStage.Dispute, RespondBy = Nullable later))
                    do! disputeHas scene order "a new last moment" (fun shown -> until shown = later)
                    rule scene (nonNull id) DisputeOutcome.Won
                    do! disputeIs scene order "won"
                    let! one = scene.As("read", "GET", $"""/api/v1/disputes/{text "id" shown}""", "")
                    Expect.equal
                        (one.Text "reason", until one.Body)
                        ("product_not_received", later)
                        "as it was"
                    let steps = items "history" one.Body
                    Expect.equal
                        (text "from" steps.Head, text "to" steps.Head)
                        ("", "open")
                        "from its first word"
                    Expect.equal (text "to" (List.last steps)) "won" "to its last"
                })
        play "won release what they had reserved" [] (fun scene ->
            task {
                let! order = scene.SettledOrder()
                let! id = dispute scene order
                do! disputeIs scene order "open"
                rule scene id DisputeOutcome.Won
                do! disputeIs scene order "won"
                do! scene.BooksAgree()
                let! refund = scene.Refund(order, "")
                Expect.equal refund.Status 201 "free again"
            })
        play
            "lost and won the next day make everybody whole again, as often as the bank likes"
            []
            (fun scene ->
                task {
                    let! order = scene.SettledOrder()
                    let! id = dispute scene order
                    rule scene id DisputeOutcome.Lost
                    do! scene.TransfersAre(order, "reversed")
                    rule scene id DisputeOutcome.Won
                    do! disputeIs scene order "won"
                    do! scene.OrderIs(order, "completed")
                    do!
                        scene.Until(
                            "the sellers to hold their shares again",
                            fun () ->
                                task {
                                    let! held =
                                        scene.Scalar<int64>
                                            "select coalesce(sum(amount), 0)::bigint from seller_transfers where status = 'completed'"
                                    return held = 90_00L
                                }
                        )
                    let! answer = scene.Get $"/api/v1/orders/{order}"
                    for license in items "licenses" answer.Body do
                        Expect.equal (text "status" license) "active" "the buyer has paid"
                    do! scene.BooksAgree()
                    rule scene id DisputeOutcome.Lost
                    do! disputeIs scene order "lost"
                    do! scene.OrderIs(order, "refunded")
                    do! nothingWaits scene
                    do! nothingIsQuarantined scene
                })
        play "take what a refund gives free when it fails, and are lost with it" [] (fun scene ->
            task {
                let! order = scene.SettledOrder()
                scene.World.Hyperswitch.Decide(RefundFate.StaysPending, 1)
                let! refund = scene.Refund(order, "")
                let! id = dispute scene order
                do! disputeIs scene order "open"
                let! name = refundName scene refund
                Expect.isTrue (scene.World.Hyperswitch.Conclude(name, false)) "the refund fails at the bank"
                do! scene.RefundIs(refund.Text "id", "failed")
                let! left = refundable scene order
                Expect.equal left 0L "the dispute claims all of it"
                rule scene id DisputeOutcome.Lost
                do! scene.OrderIs(order, "refunded")
                do! scene.TransfersAre(order, "reversed")
                do! scene.BooksAgree()
            })
        play "leave nothing refundable of what they claim when a refund is returned" [] (fun scene ->
            task {
                let! order = scene.SettledOrder()
                let! refund = scene.Refund(order, ""","amount":6000""")
                do! scene.RefundIs(refund.Text "id", "succeeded")
                let! _ = dispute scene order
                do! disputeIs scene order "open"
                let! name = refundName scene refund
                Expect.isTrue (scene.World.Hyperswitch.Return name) "the bank returns it"
                do! scene.RefundIs(refund.Text "id", "failed")
                let! left = refundable scene order
                Expect.equal left 0L "the dispute claims all of it"
                let! more = scene.Refund(order, ""","amount":4000""")
                Expect.equal more.Code "refund_exceeds_remaining" "the buyer gets it once"
                do! nothingIsQuarantined scene
                do! scene.BooksAgree()
            })
        play "that grow before they are lost take all of it" [] (fun scene ->
            task {
                let! order = scene.SettledOrder()
                let! id = disputeOf scene order 40_00L DisputeStage.Dispute
                do! disputeIs scene order "open"
                change scene id (DisputeChange(Amount = Nullable 100_00L))
                do!
                    disputeHas scene order "the claim to have grown" (fun dispute ->
                        number "amount" dispute = 100_00L)
                let! left = refundable scene order
                Expect.equal left 0L ""
                rule scene id DisputeOutcome.Lost
                do! scene.OrderIs(order, "refunded")
                do! scene.TransfersAre(order, "reversed")
                do! scene.BooksAgree()
            })
        play "at the stage of an inquiry allow the refund that ends them" [] (fun scene ->
            task {
                let! order = scene.SettledOrder()
                let! id = disputeOf scene order 100_00L DisputeStage.PreDispute
                do! disputeIs scene order "open"
                let! refund = scene.Refund(order, "")
                Expect.equal refund.Status 201 "nothing is withdrawn yet"
                do! scene.OrderIs(order, "refunded")
                rule scene id DisputeOutcome.Cancelled
                do! disputeIs scene order "won"
                do! scene.BooksAgree()
            })
        play
            "that overtake their payment hold what it brings"
            [ "SWEEP_AFTER", "300ms"; "SWEEP_INTERVAL", "200ms" ]
            (fun scene ->
                task {
                    let! order = scene.Order()
                    let! payment = scene.OfferPayment order
                    scene.World.Courier.Add(DeliveryRule("payment_succeeded", Delivery.Drop))
                    scene.World.Hyperswitch.Confirm(payment.Text "payment_id", "4242424242424242") |> ignore
                    let! id = dispute scene order
                    do! scene.OrderIs(order, "completed")
                    do! disputeIs scene order "open"
                    let! left = refundable scene order
                    Expect.equal left 0L "it holds what it claims"
                    rule scene id DisputeOutcome.Lost
                    do! scene.OrderIs(order, "refunded")
                    do! nothingWaits scene
                    do! scene.BooksAgree()
                })
        play "open are asked about when no webhook comes" [ "ASK_INTERVAL", "300ms" ] (fun scene ->
            task {
                let! order = scene.SettledOrder()
                let! id = dispute scene order
                do! disputeIs scene order "open"
                scene.World.Courier.Add(DeliveryRule("*", Delivery.Drop))
                rule scene id DisputeOutcome.Lost
                do! disputeIs scene order "lost"
            })
        play
            "decided are asked about too: the bank may change its mind and no webhook may come"
            [ "ASK_INTERVAL", "300ms" ]
            (fun scene ->
                task {
                    let! order = scene.SettledOrder()
                    let! id = dispute scene order
                    rule scene id DisputeOutcome.Lost
                    do! disputeIs scene order "lost"
                    change
                        scene
                        id
                        (DisputeChange(
                            Outcome = Nullable DisputeOutcome.Won,
                            Webhooks = DisputeWebhooks.None
                        ))
                    do! disputeIs scene order "won"
                    do! scene.OrderIs(order, "completed")
                })
        play
            "that no webhook told of, and decisions likewise, are found by reconciliation and healed"
            [ "RECONCILE_GRACE", "1ms"; "RECONCILE_INTERVAL", "1h"; "EVENT_WALK_INTERVAL", "1h" ]
            (fun scene ->
                task {
                    let compare body =
                        task {
                            let! begun = scene.As("operator", "POST", "/api/v1/reconciliation/runs", body)
                            let path = $"""/api/v1/reconciliation/runs/{begun.Text "id"}"""
                            let mutable run = begun
                            do!
                                scene.Until(
                                    "the run to end",
                                    fun () ->
                                        task {
                                            let! now = scene.As("operator", "GET", path, "")
                                            run <- now
                                            return now.Text "status" <> "running"
                                        }
                                )
                            return
                                run.Text "status",
                                items "findings" run.Body
                                |> List.map (fun found ->
                                    text "reason" found, text "entity" found, text "theirs" found)
                        }
                    let! order = scene.SettledOrder()
                    scene.World.Courier.Add(DeliveryRule("*", Delivery.Drop))
                    let! payment = paymentOf scene order
                    let id =
                        nonNull (
                            scene.World.Hyperswitch.Dispute(
                                payment,
                                Nullable 40_00L,
                                DisputeStage.Dispute,
                                DisputeWebhooks.None
                            )
                        )
                    // Stripe counts in seconds, and what is younger than the grace is only a matter of time.
                    do! Task.Delay 1100
                    let! found = compare ""
                    Expect.equal
                        found
                        ("differ", [ "missing_here", "order", "40.00 EUR open" ])
                        "Veza knows nothing of it"
                    let! healed = compare """{"heal":true}"""
                    Expect.equal (fst healed) "agree" "it is taken over"
                    do! disputeIs scene order "open"
                    do! scene.BooksAgree()
                    rule scene id DisputeOutcome.Lost
                    let! found = compare ""
                    Expect.equal
                        (fst found, snd found)
                        ("differ", [ "status", "dispute", "lost" ])
                        "decided unheard"
                    let! healed = compare """{"heal":true}"""
                    Expect.equal (fst healed) "agree" ""
                    do! disputeIs scene order "lost"
                    do! scene.OrderIs(order, "partially_refunded")
                })
    ]

[<Tests>]
let late =
    testList "webhooks that contradict what is known" [
        play
            "a refund that failed after its success is not believed before Hyperswitch says so"
            []
            (fun scene ->
                task {
                    let! order = scene.SettledOrder()
                    let! refund = scene.Refund(order, "")
                    do! scene.OrderIs(order, "refunded")
                    do! scene.TransfersAre(order, "reversed")
                    let! name = refundName scene refund
                    let! stale = staleEvent scene name "refund_failed"
                    Expect.equal stale.Status 200 "kept"
                    do! nothingWaits scene
                    let! answer = scene.Get $"""/api/v1/refunds/{refund.Text "id"}"""
                    Expect.equal (answer.Text "status") "succeeded" "Hyperswitch still says so"
                    let! transfers = scene.Transfers order
                    Expect.all
                        transfers
                        (fun transfer -> text "status" transfer = "reversed")
                        "no seller is paid because of an old event"
                    do! nothingIsQuarantined scene
                    do! scene.BooksAgree()
                })
        play "one that did fail is undone once Hyperswitch has said so" [] (fun scene ->
            task {
                let! order = scene.SettledOrder()
                let! refund = scene.Refund(order, "")
                do! scene.TransfersAre(order, "reversed")
                let! name = refundName scene refund
                Expect.isTrue (scene.World.Hyperswitch.Return name) "the bank returns it"
                do! scene.RefundIs(refund.Text "id", "failed")
                do! scene.OrderIs(order, "completed")
            })
    ]
