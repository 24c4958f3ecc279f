/// The walks of payouts, subscriptions, webhooks and the books.
module Veza.Host.Tests.RunbookPayouts

open System
open System.Threading.Tasks
open Expecto
open Veza.Domain
open Veza.Host.Tests.Scene
open Veza.Host.Tests.RunbookWalk
open Veza.Sandbox.Control
open Veza.Sandbox.Hyperswitch

let private payoutOld =
    "update payouts set waiting_since = least(waiting_since, now() - interval '16 minutes')"

let private askPayout (scene: Scene) =
    task {
        let! _ = scene.SettledOrder()
        return
            fun () ->
                task {
                    let! answer =
                        scene.As(
                            "operator",
                            "POST",
                            "/api/v1/payouts",
                            """{"seller_id":"ada","amount":2000,"currency":"EUR"}"""
                        )
                    return answer.Text "id"
                }
    }

let private made (scene: Scene) id () =
    WaysOutTests.payoutIs scene id "made" (fun payout -> payout.Text "external_payout_id" <> "")

let private settledAs (scene: Scene) (id: string) status () =
    WaysOutTests.payoutIs scene id status (fun payout ->
        payout.Text "status" = status && payout.Text "needs_operator" = "False")

let private disconnected =
    Fault("stripe.payouts.*", FaultMode.ErrorBefore, Status = 403, Code = "account_invalid")

let private stuckPayouts = [
    walk Alarm.PayoutStuck "Stripe refuses our key: `401`, `403`" [] (fun scene _ ->
        task {
            let! ask = askPayout scene
            scene.World.Faults.Add(Fault("stripe.payouts.*", FaultMode.ErrorBefore, Status = 401))
            let! id = ask ()
            return {
                situation with
                    Ages = payoutOld
                    Elsewhere = [
                        "on every host: set a STRIPE_SECRET_KEY that may make payouts on connected accounts, and restart it",
                        (fun () ->
                            scene.World.Faults.Clear()
                            Task.FromResult())
                    ]
                    Over = made scene id
            }
        })
    walk
        Alarm.PayoutStuck
        "The seller's account is not connected any more"
        WaysOutTests.silently
        (fun scene _ ->
            task {
                let! ask = askPayout scene
                scene.World.Faults.Add(Fault("stripe.payouts.create", FaultMode.TimeoutBefore))
                scene.World.Faults.Add disconnected
                let! id = ask ()
                do!
                    WaysOutTests.payoutIs scene id "looked for in vain" (fun payout ->
                        items "history" payout.Body
                        |> List.exists (fun step -> text "signal" step = "look_up_failed"))
                return { situation with Ages = payoutOld; Over = settledAs scene id "failed" }
            })
    walk Alarm.PayoutStuck "No host runs" [] (fun scene hosts ->
        task {
            let! ask = askPayout scene
            do! hosts.Hang "PayoutWorker"
            scene.World.Faults.Add(fault "stripe.payouts.create" FaultMode.TimeoutBefore 1)
            let! id = ask ()
            return {
                situation with
                    Ages = payoutOld
                    Elsewhere = [ "on a host: start it", (fun () -> hosts.Start []) ]
                    Over = made scene id
            }
        })
]

let private doubtfulPayout way follow =
    walk Alarm.PayoutNeedsOperator way WaysOutTests.silently (fun scene _ ->
        task {
            let! id = WaysOutTests.inDoubt scene
            return follow scene id
        })

let private doubtfulPayouts = [
    doubtfulPayout "Stripe has none, and the seller is still to be paid" (fun scene id -> {
        situation with
            Over = made scene id
    })
    doubtfulPayout "Stripe has none, and nobody wants it any more" (fun scene id -> {
        situation with
            Over = settledAs scene id "canceled"
    })
    doubtfulPayout "Stripe has one" (fun scene id ->
        let name = WaysOutTests.made scene id 2000L
        scene.World.Payouts.Decide(name, "paid", null) |> ignore
        { situation with Over = settledAs scene id "paid" })
    doubtfulPayout "Stripe has several" (fun scene id ->
        let one, _ = WaysOutTests.made scene id 2000L, WaysOutTests.made scene id 2000L
        { situation with Variables = [ "PAYOUT", one ]; Over = made scene id })
    doubtfulPayout "The seller's account is not connected any more" (fun scene id ->
        scene.World.Faults.Add disconnected
        { situation with Variables = [ "PAYOUT", "po_seen" ]; Over = settledAs scene id "paid" })
]

let private patientSubscriptions = [
    "SUBSCRIPTION_CHECK_INTERVAL", "30ms"
    "SUBSCRIPTION_BACKOFF_BASE", "200ms"
    "SUBSCRIPTION_BACKOFF_MAX", "200ms"
    "SUBSCRIPTION_MAX_RETRIES", "100"
]

/// Paid once, and its card is declined since.
let private unpaid (scene: Scene) =
    task {
        let! asked =
            scene.Post(
                "/api/v1/subscriptions",
                """{"subscriber_id":"sam","plan":{"code":"pro","amount":900,"currency":"EUR","interval":"month"}}"""
            )
        let id = asked.Text "id"
        let isNow status =
            scene.Until(
                $"the subscription to be {status}",
                fun () ->
                    task {
                        let! answer = scene.Get $"/api/v1/subscriptions/{id}"
                        return answer.Text "status" = status
                    }
            )
        let payment = text "payment_id" (asked.Body.GetProperty "payment")
        scene.World.Hyperswitch.Confirm(payment, paidCard) |> ignore
        do! isNow "active"
        let! card = scene.Scalar<string> "select payment_method_id from subscriptions"
        scene.World.Hyperswitch.ReplaceCard(card, "4000000000000002")
        do!
            scene.Execute
                "update subscriptions set since = since - interval '32 days', due_at = now(), paid_until = now()"
        do! isNow "past_due"
        return card, isNow
    }

let private subscriptionOld =
    "update subscriptions set past_due_since = now() - interval '8 days', paid_until = now() - interval '8 days' where status = 'past_due'"

let private subscriptions = [
    walk Alarm.SubscriptionUnpaid "The subscriber pays" patientSubscriptions (fun scene _ ->
        task {
            let! card, isNow = unpaid scene
            return {
                situation with
                    Ages = subscriptionOld
                    Elsewhere = [
                        "at Hyperswitch: the subscriber's payment method works again",
                        (fun () ->
                            scene.World.Hyperswitch.ReplaceCard(card, paidCard)
                            Task.FromResult())
                    ]
                    Over = fun () -> isNow "active"
            }
        })
    walk Alarm.SubscriptionUnpaid "End it" patientSubscriptions (fun scene _ ->
        task {
            let! _, isNow = unpaid scene
            return { situation with Ages = subscriptionOld; Over = fun () -> isNow "canceled" }
        })
]

let private events = [
    walk Alarm.EventNeedsOperator "The cause is gone" [] (fun scene _ ->
        task {
            let! order, payment = SuspenseTests.offered scene
            scene.World.Hyperswitch.Become(payment, "requires_capture", 0L) |> ignore
            let! id = eventWaits scene "not_captured"
            scene.World.Hyperswitch.Become(payment, "succeeded") |> ignore
            do! scene.OrderIs(order, "completed")
            return { situation with Variables = [ "EVENT", id ] }
        })
    walk Alarm.EventNeedsOperator "It is settled otherwise, or its object will never come" [] (fun scene _ ->
        task {
            let! order = scene.SettledOrder()
            let group = $"order_{(Guid.Parse order):N}"
            do!
                control
                    scene
                    "dashboard/transfers"
                    $$"""{"destination":"acct_ada","amount":5,"currency":"eur","transfer_group":"{{group}}"}"""
            let! id = eventWaits scene "foreign_transfer"
            return { situation with Variables = [ "EVENT", id ] }
        })
    walk Alarm.EventNeedsOperator "It waits in the queue: `received`, `asking`" [] (fun scene hosts ->
        task {
            let! order, payment = SuspenseTests.offered scene
            do! hosts.Hang "InboxWorker"
            do! hosts.Hang "ProviderPollingWorker"
            scene.World.Hyperswitch.Confirm(payment, paidCard) |> ignore
            let! id =
                task {
                    let mutable id = 0L
                    do!
                        scene.Until(
                            "the webhook to be in the queue",
                            fun () ->
                                task {
                                    let! listed = scene.Get "/api/v1/admin/webhook-events?state=received"
                                    for event in items "data" listed.Body do
                                        id <- number "id" event
                                    return id > 0L
                                }
                        )
                    return id
                }
            let! early =
                scene.As(
                    "operator",
                    "POST",
                    $"/api/v1/admin/webhook-events/{id}/dismiss",
                    """{"note":"no"}"""
                )
            Expect.equal (early.Status, early.Code) (409, "event_not_dismissible") "it is not for a person"
            return {
                situation with
                    Ages =
                        "update webhook_events set received_at = least(received_at, now() - interval '16 minutes') where state = 'received'"
                    Elsewhere = [ "on every host: restart it", (fun () -> hosts.Start []) ]
                    Over = fun () -> scene.OrderIs(order, "completed")
            }
        })
]

let private paymentOf (scene: Scene) order =
    task {
        let! shown = scene.Get $"/api/v1/orders/{order}"
        return text "payment_id" (shown.Body.GetProperty "payment")
    }

let private books = [
    walk Alarm.BooksDisagree "The provider's word alone mends it" ReconciliationTests.quiet (fun scene _ ->
        task {
            let! order = scene.SettledOrder()
            let! transfers = scene.Transfers order
            scene.World.Courier.Add(DeliveryRule("*", Delivery.Drop))
            let form = Collections.Generic.Dictionary(dict [ "amount", "100" ])
            scene.World.Stripe.Reverse(text "stripe_transfer_id" transfers.Head, form) |> ignore
            let! _ = ReconciliationTests.run scene ""
            return { situation with Over = scene.BooksAgree }
        })
    walk Alarm.BooksDisagree "You have settled it otherwise" ReconciliationTests.quiet (fun scene _ ->
        task {
            let! order = scene.SettledOrder()
            let! payment = paymentOf scene order
            scene.World.Courier.Add(DeliveryRule("*", Delivery.Drop))
            scene.World.Hyperswitch.RefundByHand(payment, 500L) |> ignore
            let! run = ReconciliationTests.run scene ""
            let finding =
                items "findings" run.Body |> List.find (fun finding -> text "reason" finding = "foreign")
            return { situation with Variables = [ "POSITION", string (number "position" finding) ] }
        })
    walk Alarm.BooksDisagree "It could not compare" ReconciliationTests.quiet (fun scene _ ->
        task {
            let! _ = scene.SettledOrder()
            scene.World.Faults.Add(Fault("hyperswitch.refunds.list", FaultMode.ErrorBefore, Status = 500))
            let! run = ReconciliationTests.run scene ""
            Expect.equal (run.Text "status") "failed" ""
            return {
                situation with
                    Elsewhere = [
                        "at the provider that the run's error names: it answers again",
                        (fun () ->
                            scene.World.Faults.Clear()
                            Task.FromResult())
                    ]
            }
        })
]

let walks = List.concat [ stuckPayouts; doubtfulPayouts; subscriptions; events; books ]
