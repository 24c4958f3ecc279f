/// Subscriptions over HTTP: active on a confirmed payment only, each period charged once.
module Veza.Host.Tests.SubscriptionTests

open Expecto
open Veza.Host.Tests.Scene

let private monthly =
    """{"subscriber_id":"sam","plan":{"code":"pro","amount":900,"currency":"EUR","interval":"month"}}"""

let private hurried = [
    "SUBSCRIPTION_CHECK_INTERVAL", "30ms"
    "SUBSCRIPTION_BACKOFF_BASE", "100ms"
    "SUBSCRIPTION_BACKOFF_MAX", "100ms"
    "SUBSCRIPTION_MAX_RETRIES", "1"
]

let private paymentOf (answer: Answer) = text "payment_id" (answer.Body.GetProperty "payment")

let private isNow (scene: Scene) (id: string) status =
    scene.Until(
        $"the subscription to be {status}",
        fun () ->
            task {
                let! answer = scene.Get $"/api/v1/subscriptions/{id}"
                return answer.Text "status" = status
            }
    )

let private good = "4242424242424242"
let private declined = "4000000000000002"

let private subscribed (scene: Scene) =
    task {
        let! asked = scene.Post("/api/v1/subscriptions", monthly)
        Expect.equal (asked.Status, asked.Text "status") (201, "pending_payment") ""
        scene.World.Hyperswitch.Confirm(paymentOf asked, good) |> ignore
        do! isNow scene (asked.Text "id") "active"
        return asked
    }

let private date (name: string) (answer: Answer) = answer.Body.GetProperty(name).GetDateTimeOffset()

let private paidPeriods (scene: Scene) (id: string) count =
    scene.Until(
        $"{count} periods to be paid",
        fun () ->
            task {
                let! now = scene.Get $"/api/v1/subscriptions/{id}"
                return number "paid_periods" now.Body = count
            }
    )

/// Its paid period is over.
let private periodEnds (scene: Scene) =
    scene.Execute
        "update subscriptions set since = since - interval '32 days', due_at = now(), paid_until = now()"

[<Tests>]
let tests =
    testList "subscriptions" [
        play "is active once its first payment is confirmed, and not before" hurried (fun scene ->
            task {
                let! asked = scene.Post("/api/v1/subscriptions", monthly)
                let id = asked.Text "id"
                Expect.stringContains
                    (text "client_secret" (asked.Body.GetProperty "payment"))
                    "secret"
                    "the subscriber can pay"
                let! before = scene.Get $"/api/v1/subscriptions/{id}"
                Expect.equal (before.Text "status") "pending_payment" "asking does not pay"
                scene.World.Hyperswitch.Confirm(paymentOf asked, good) |> ignore
                do! isNow scene id "active"
                let! after = scene.Get $"/api/v1/subscriptions/{id}"
                Expect.equal (number "paid_periods" after.Body) 1L ""
                do! scene.BooksAgree()
            })
        play "every period is charged once, without the subscriber" hurried (fun scene ->
            task {
                let! asked = subscribed scene
                do! periodEnds scene
                do!
                    scene.Until(
                        "the second period to be paid",
                        fun () ->
                            task {
                                let! now = scene.Get $"""/api/v1/subscriptions/{asked.Text "id"}"""
                                return number "paid_periods" now.Body = 2L && now.Text "status" = "active"
                            }
                    )
                let! payments = scene.Scalar<int64> "select count(*) from subscription_payments"
                Expect.equal payments 2L "two periods, two payments"
                do! scene.BooksAgree()
            })
        play "a card that is declined makes it past due, and in the end expired" hurried (fun scene ->
            task {
                let! asked = subscribed scene
                let! method' = scene.Scalar<string> "select payment_method_id from subscriptions"
                scene.World.Hyperswitch.ReplaceCard(method', declined)
                do! periodEnds scene
                do! isNow scene (asked.Text "id") "expired"
                let! words =
                    scene.Scalar<string>
                        "select string_agg(to_status, ' ' order by seq) from transitions where entity = 'subscription'"
                Expect.equal
                    words
                    "pending_payment pending_payment active past_due past_due past_due expired"
                    "charged, refused, charged again, refused"
                do! scene.BooksAgree()
            })
        play "is canceled once, and a payment after that is given back" hurried (fun scene ->
            task {
                let! asked = scene.Post("/api/v1/subscriptions", monthly)
                let id = asked.Text "id"
                for _ in 1..2 do
                    let! canceled = scene.Post($"/api/v1/subscriptions/{id}/cancel", "")
                    Expect.equal (canceled.Status, canceled.Text "status") (200, "canceled") ""
                scene.World.Hyperswitch.Confirm(paymentOf asked, good) |> ignore
                do! scene.DepositIs(paymentOf asked, "cleared")
                let struct (paid, back) = scene.World.Hyperswitch.Totals()["EUR"]
                Expect.equal (paid, back) (900L, 900L) "once"
                do! scene.BooksAgree()
            })
        play "what was paid gives access to its end, also once it is canceled" hurried (fun scene ->
            task {
                let! asked = subscribed scene
                let! active = scene.Get $"""/api/v1/subscriptions/{asked.Text "id"}"""
                let! canceled = scene.Post($"""/api/v1/subscriptions/{asked.Text "id"}/cancel""", "")
                Expect.equal (canceled.Text "status") "canceled" ""
                Expect.isNonEmpty (canceled.Text "paid_until") ""
                Expect.equal (canceled.Text "paid_until") (active.Text "paid_until") ""
            })
        play "after five missed months one is charged" hurried (fun scene ->
            task {
                let! asked = subscribed scene
                let id = asked.Text "id"
                do!
                    scene.Execute
                        "update subscriptions set since = since - interval '5 months', due_at = now(), paid_until = now()"
                do! paidPeriods scene id 2L
                let! now = scene.Get $"/api/v1/subscriptions/{id}"
                Expect.equal (now.Text "status") "active" ""
                Expect.isGreaterThan
                    (date "paid_until" now)
                    System.DateTimeOffset.UtcNow
                    "it is the present one"
                let! payments = scene.Scalar<int64> "select count(*) from subscription_payments"
                Expect.equal payments 2L "one charge for the first month, one for the sixth"
                do! scene.BooksAgree()
            })
        play
            "refunded in full at Hyperswitch: revenue reversed, access ended, charged no more"
            hurried
            (fun scene ->
                task {
                    let! asked = subscribed scene
                    let id = asked.Text "id"
                    scene.World.Hyperswitch.Decide(Veza.Sandbox.Hyperswitch.RefundFate.Succeeded, 1)
                    Expect.isNotNull
                        (scene.World.Hyperswitch.RefundByHand(paymentOf asked, 900L))
                        "made there"
                    do! isNow scene id "canceled"
                    let! now = scene.Get $"/api/v1/subscriptions/{id}"
                    Expect.isLessThanOrEqual
                        (date "paid_until" now)
                        System.DateTimeOffset.UtcNow
                        "access has ended"
                    let! revenue = scene.Balance "subscription_revenue"
                    Expect.equal revenue 0L ""
                    do! scene.BooksAgree()
                    do! scene.Execute "update subscriptions set since = since - interval '32 days'"
                    let! payments = scene.Scalar<int64> "select count(*) from subscription_payments"
                    Expect.equal payments 1L "charged no more"
                })
        play "refunded in part: the rest is earned and access stays" hurried (fun scene ->
            task {
                let! asked = subscribed scene
                scene.World.Hyperswitch.Decide(Veza.Sandbox.Hyperswitch.RefundFate.Succeeded, 1)
                scene.World.Hyperswitch.RefundByHand(paymentOf asked, 400L) |> ignore
                do!
                    scene.Until(
                        "the rest to be earned",
                        fun () ->
                            task {
                                let! revenue = scene.Balance "subscription_revenue"
                                return revenue = -500L
                            }
                    )
                do! isNow scene (asked.Text "id") "active"
                do! scene.BooksAgree()
            })
        for outcome, access in
            [
                Veza.Sandbox.Hyperswitch.DisputeOutcome.Lost, false
                Veza.Sandbox.Hyperswitch.DisputeOutcome.Won, true
            ] do
            play $"disputed and {outcome}: charged no more, the books follow" hurried (fun scene ->
                task {
                    let! asked = subscribed scene
                    let id = asked.Text "id"
                    let dispute = scene.World.Hyperswitch.Dispute(paymentOf asked, System.Nullable(), false)
                    do! isNow scene id "canceled"
                    let! held = scene.Get $"/api/v1/subscriptions/{id}"
                    Expect.isGreaterThan (date "paid_until" held) System.DateTimeOffset.UtcNow "not lost yet"
                    do! scene.BooksAgree()
                    scene.World.Hyperswitch.Change(
                        nonNull dispute,
                        Veza.Sandbox.Hyperswitch.DisputeChange(Outcome = outcome)
                    )
                    |> ignore
                    do!
                        scene.Until(
                            "the bank's word to be followed",
                            fun () ->
                                task {
                                    let! revenue = scene.Balance "subscription_revenue"
                                    let! now = scene.Get $"/api/v1/subscriptions/{id}"
                                    let isOpen = date "paid_until" now > System.DateTimeOffset.UtcNow
                                    return revenue = (if access then -900L else 0L) && isOpen = access
                                }
                        )
                    do! isNow scene id "canceled"
                    do! scene.BooksAgree()
                })
        play "disputed before its payment was heard of: the dispute waits for it" hurried (fun scene ->
            task {
                scene.World.Courier.Add(
                    Veza.Sandbox.Control.DeliveryRule(
                        "payment_succeeded",
                        Veza.Sandbox.Control.Delivery.Drop,
                        Times = 1
                    )
                )
                let! asked = scene.Post("/api/v1/subscriptions", monthly)
                scene.World.Faults.Add(
                    Veza.Sandbox.Control.Fault(
                        "hyperswitch.payments.get",
                        Veza.Sandbox.Control.FaultMode.ErrorBefore,
                        Status = 503
                    )
                )
                scene.World.Hyperswitch.Confirm(paymentOf asked, good) |> ignore
                scene.World.Hyperswitch.Dispute(paymentOf asked, System.Nullable(), false) |> ignore
                // Hyperswitch's word by its name for the payment, and Stripe's two by their own.
                do! parked scene 3L
                scene.World.Faults.Clear()
                do! isNow scene (asked.Text "id") "canceled"
                do! parked scene 0L
                do! scene.BooksAgree()
            })
        play "a lost answer is found out by asking, and charges nobody twice" hurried (fun scene ->
            task {
                scene.World.Faults.Add(
                    fault "hyperswitch.payments.create" Veza.Sandbox.Control.FaultMode.TimeoutAfter 1
                )
                let! asked = scene.Post("/api/v1/subscriptions", monthly)
                Expect.equal (asked.Status, asked.Text "status") (202, "pending_payment") ""
                let id = asked.Text "id"
                do!
                    scene.Until(
                        "the client secret to be known",
                        fun () ->
                            task {
                                let! now = scene.Get $"/api/v1/subscriptions/{id}"
                                return text "client_secret" (now.Body.GetProperty "payment") <> ""
                            }
                    )
                scene.World.Hyperswitch.Confirm(paymentOf asked, good) |> ignore
                do! isNow scene id "active"
                do! scene.BooksAgree()
            })
        play "two hosts charge a period once" hurried (fun scene ->
            task {
                let! asked = subscribed scene
                use! _second = Second.With scene hurried
                do! periodEnds scene
                do! isNow scene (asked.Text "id") "active"
                do!
                    scene.Until(
                        "the second period to be paid",
                        fun () ->
                            task {
                                let! now = scene.Get $"""/api/v1/subscriptions/{asked.Text "id"}"""
                                return number "paid_periods" now.Body = 2L
                            }
                    )
                do! scene.BooksAgree()
            })
        play "faults are named, lists are filtered" hurried (fun scene ->
            task {
                let! bad =
                    scene.Post(
                        "/api/v1/subscriptions",
                        """{"plan":{"code":"","amount":0,"currency":"XXQ","interval":"fortnight","trial":1}}"""
                    )
                Expect.equal bad.Status 422 ""
                Expect.containsAll
                    (items "errors" bad.Body |> List.map (text "field"))
                    [
                        "subscriber_id"
                        "plan.code"
                        "plan.amount"
                        "plan.currency"
                        "plan.interval"
                        "plan.trial"
                    ]
                    ""
                let! _ = scene.Post("/api/v1/subscriptions", monthly)
                let! found = scene.Get "/api/v1/subscriptions?subscriber_id=sam&status=pending_payment"
                Expect.hasLength (items "data" found.Body) 1 ""
                let! none = scene.Get "/api/v1/subscriptions?subscriber_id=eve"
                Expect.isEmpty (items "data" none.Body) ""
                let! unknown = scene.Get $"/api/v1/subscriptions/{System.Guid.Empty}"
                Expect.equal (unknown.Status, unknown.Code) (404, "not_found") ""
            })
    ]
