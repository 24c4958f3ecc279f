/// Veza's books beside the providers', over HTTP and from the command line: each reason is made to happen, told, and
/// healed where it may be.
module Veza.Host.Tests.ReconciliationTests

open System
open System.Text.Json
open System.Threading.Tasks
open Expecto
open Veza.Host.Tests.Scene
open Veza.Host.Tests.CommandTests
open Veza.Sandbox.Control

/// Nothing is found by anybody but the run that is asked for.
let quiet = [ "EVENT_WALK_INTERVAL", "1h"; "RECONCILE_INTERVAL", "1h"; "RECONCILE_GRACE", "1ms" ]

let run (scene: Scene) (body: string) =
    task {
        do! Task.Delay 20
        let! begun = scene.As("operator", "POST", "/api/v1/reconciliation/runs", body)
        Expect.equal begun.Status 201 ""
        let mutable result = begun
        do!
            scene.Until(
                "the run to end",
                fun () ->
                    task {
                        let! now =
                            scene.As(
                                "operator",
                                "GET",
                                $"""/api/v1/reconciliation/runs/{begun.Text "id"}""",
                                ""
                            )
                        result <- now
                        return now.Text "status" <> "running"
                    }
            )
        return result
    }

let private findings (answer: Answer) = [
    for finding in items "findings" answer.Body do
        if text "reason" finding <> "timing" then
            text "reason" finding,
            text "entity" finding,
            text "remedy" finding,
            text "healed" finding = "True"
]

let private dropAll (scene: Scene) = scene.World.Courier.Add(DeliveryRule("*", Delivery.Drop))

let settingsOf (scene: Scene) = [
    "DATABASE_URL", scene.ConnectionString
    "HYPERSWITCH_BASE_URL", scene.HyperswitchUrl
    "HYPERSWITCH_API_KEY", "snd_test_key_for_hyperswitch"
    "STRIPE_API_BASE", scene.StripeUrl
    "STRIPE_SECRET_KEY", "sk_test_key_for_stripe"
    "STRIPE_RATE_LIMIT", "1000"
    "RECONCILE_GRACE", "1ms"
]

let private command scene arguments = veza (settingsOf scene) arguments

/// Rows from before Stripe's ids were kept, for what Stripe has.
let private forgetIds (scene: Scene) =
    scene.Execute "update seller_transfers set stripe_transfer_id = null where status = 'completed'"

[<Tests>]
let tests =
    testList "reconciliation" [
        play "agrees on orders paid, refunded in part and reversed" quiet (fun scene ->
            task {
                let! order = scene.SettledOrder()
                let! refund = scene.Refund(order, ""","amount":3333""")
                do! scene.RefundIs(refund.Text "id", "succeeded")
                do!
                    scene.Until(
                        "both to be back",
                        fun () ->
                            task {
                                let! transfers = scene.Transfers order
                                return
                                    transfers
                                    |> List.forall (fun transfer ->
                                        text "status" transfer = "completed"
                                        && number "reversed_amount" transfer > 0L)
                            }
                    )
                let! answer = run scene ""
                Expect.equal (answer.Text "status", findings answer) ("agree", []) ""
                let compared = answer.Body.GetProperty "compared"
                Expect.equal
                    (number "stripe_transfers" compared,
                     number "hyperswitch_payments" compared,
                     number "orders" compared)
                    (2L, 1L, 1L)
                    "line by line"
                let! latest = scene.As("operator", "GET", "/api/v1/reconciliation", "")
                Expect.equal (text "status" (latest.Body.GetProperty "last_run")) "agree" ""
                Expect.isEmpty (items "alarms" latest.Body) "nothing waits for anybody"
            })
        play
            "finds a refund that failed after its success when its webhook is lost, and heals it"
            quiet
            (fun scene ->
                task {
                    let! order = scene.SettledOrder()
                    let! refund = scene.Refund(order, "")
                    do! scene.RefundIs(refund.Text "id", "succeeded")
                    do! scene.TransfersAre(order, "reversed")
                    dropAll scene
                    let! shown = scene.Get $"""/api/v1/refunds/{refund.Text "id"}"""
                    scene.World.Hyperswitch.Return(shown.Text "provider_refund_id") |> ignore
                    let! found = run scene ""
                    Expect.equal
                        (findings found)
                        [ "status", "refund", "tell_the_fact", false ]
                        "told, not touched"
                    let! healed = run scene """{"heal":true}"""
                    Expect.equal
                        (healed.Text "status", findings healed)
                        ("agree", [ "status", "refund", "tell_the_fact", true ])
                        ""
                    do! scene.RefundIs(refund.Text "id", "failed")
                    do! scene.OrderIs(order, "completed")
                    do!
                        scene.Until(
                            "both sellers made whole",
                            fun () ->
                                task {
                                    let! transfers = scene.Transfers order
                                    return
                                        transfers
                                        |> List.filter (fun transfer -> text "status" transfer = "completed")
                                        |> List.length
                                            =
                                            2
                                }
                        )
                    do! scene.BooksAgree()
                })
        play
            "finds a payment whose webhook and sweep were lost, and heals it"
            ([ "SWEEP_INTERVAL", "1h" ] @ quiet)
            (fun scene ->
                task {
                    let! order = scene.Order()
                    let! payment = scene.OfferPayment order
                    dropAll scene
                    scene.World.Hyperswitch.Confirm(payment.Text "payment_id", "4242424242424242") |> ignore
                    let! healed = run scene """{"heal":true}"""
                    Expect.equal (findings healed) [ "status", "order", "tell_the_fact", true ] ""
                    do! scene.TransfersAre(order, "completed")
                })
        play "finds a reversal by hand whose webhook was lost, and heals it" quiet (fun scene ->
            task {
                let! order = scene.SettledOrder()
                let! transfers = scene.Transfers order
                dropAll scene
                scene.World.Stripe.Reverse(
                    text "stripe_transfer_id" transfers.Head,
                    Collections.Generic.Dictionary(dict [ "amount", "100" ])
                )
                |> ignore
                let! found = run scene ""
                Expect.equal (findings found) [ "missing_here", "transfer", "look_into_reversals", false ] ""
                let! _ = run scene """{"heal":true}"""
                let! after = scene.Transfers order
                Expect.equal (number "foreign_amount" after.Head) 100L ""
                do! scene.BooksAgree()
            })
        play
            "puts what others made before a person: a transfer, a refund, a second payment"
            quiet
            (fun scene ->
                task {
                    let! order = scene.SettledOrder()
                    dropAll scene
                    let group = $"order_{(Guid.Parse order):N}"
                    scene.World.Stripe.Create(
                        Collections.Generic.Dictionary(
                            dict [
                                "destination", "acct_ada"
                                "amount", "700"
                                "currency", "eur"
                                "transfer_group", group
                            ]
                        )
                    )
                    |> ignore
                    let! shown = scene.Get $"/api/v1/orders/{order}"
                    let payment = text "payment_id" (shown.Body.GetProperty "payment")
                    scene.World.Hyperswitch.RefundByHand(payment, 500L) |> ignore
                    let! answer = run scene """{"heal":true}"""
                    Expect.equal
                        (List.sort (findings answer))
                        [
                            "foreign", "order", "needs_operator", false
                            "foreign", "order", "needs_operator", false
                        ]
                        "nothing of it is healed by guessing"
                })
        play "tells a transfer that Stripe does not have from one it has twice" quiet (fun scene ->
            task {
                let! order = scene.SettledOrder()
                let! transfers = scene.Transfers order
                do!
                    scene.Execute
                        $"""update seller_transfers set stripe_transfer_id = 'tr_other' where id = '{text "id" transfers.Head}'"""
                let! answer = run scene ""
                Expect.equal (findings answer) [ "duplicate", "transfer", "needs_operator", false ] ""
                let! unknown =
                    scene.Scalar<string>
                        "select theirs from reconciliation_findings where reason = 'duplicate' limit 1"
                Expect.stringStarts unknown "tr_1Sandbox" "Stripe's own"
            })
        play "finds an order whose own books contradict themselves" quiet (fun scene ->
            task {
                let! order = scene.SettledOrder()
                do!
                    scene.Execute
                        $"insert into ledger_entries (order_id, source, source_id, account, currency, amount, at)
                          values ('{order}', 'order', '{order}', 'platform_cash', 'EUR', 1, now())"
                let! answer = run scene ""
                Expect.equal
                    (List.sort (findings answer))
                    [
                        "conservation", "order", "needs_operator", false
                        "ledger", "order", "needs_operator", false
                    ]
                    "a cent from nowhere"
            })
        play "says that it could not compare when a provider does not answer" quiet (fun scene ->
            task {
                let! _ = scene.SettledOrder()
                scene.World.Faults.Add(
                    Fault("hyperswitch.refunds.list", FaultMode.ErrorBefore, Status = 500)
                )
                let! answer = run scene ""
                Expect.equal (answer.Text "status") "failed" ""
                Expect.stringContains (answer.Text "error") "Hyperswitch" "it says who"
                let! latest = scene.As("operator", "GET", "/api/v1/reconciliation", "")
                Expect.contains
                    [ for alarm in items "alarms" latest.Body -> text "alarm" alarm ]
                    "books_disagree"
                    "somebody is told"
                let! wrong =
                    scene.As("operator", "POST", "/api/v1/reconciliation/runs", """{"since":"soon","x":1}""")
                Expect.equal
                    [ for fault in items "errors" wrong.Body -> text "field" fault ]
                    [ "since"; "x" ]
                    ""
            })
        play
            "runs by itself, and heals"
            [ "EVENT_WALK_INTERVAL", "1h"; "RECONCILE_INTERVAL", "300ms"; "RECONCILE_GRACE", "50ms" ]
            (fun scene ->
                task {
                    let! order = scene.SettledOrder()
                    let! refund = scene.Refund(order, "")
                    do! scene.RefundIs(refund.Text "id", "succeeded")
                    dropAll scene
                    let! shown = scene.Get $"""/api/v1/refunds/{refund.Text "id"}"""
                    scene.World.Hyperswitch.Return(shown.Text "provider_refund_id") |> ignore
                    do! scene.RefundIs(refund.Text "id", "failed")
                    let! actor =
                        scene.Scalar<string>
                            $"""select actor from transitions where entity_id = '{refund.Text "id"}' order by seq desc limit 1"""
                    Expect.equal actor "reconciliation" "attributed"
                })
        play
            "what differs differs until it is mended, or a person says that it is settled"
            [ "EVENT_WALK_INTERVAL", "1h"; "RECONCILE_INTERVAL", "300ms"; "RECONCILE_GRACE", "20ms" ]
            (fun scene ->
                task {
                    let! order = scene.SettledOrder()
                    let! shown = scene.Get $"/api/v1/orders/{order}"
                    let payment = text "payment_id" (shown.Body.GetProperty "payment")
                    scene.World.Hyperswitch.RefundByHand(payment, 500L) |> ignore
                    let last () =
                        task {
                            let! answer = scene.As("operator", "GET", "/api/v1/reconciliation", "")
                            return answer.Body.GetProperty "last_run"
                        }
                    let isDifferent (run: JsonElement) =
                        run.ValueKind = JsonValueKind.Object && text "status" run = "differ"
                    do!
                        scene.Until(
                            "it is found",
                            fun () ->
                                task {
                                    let! run = last ()
                                    return isDifferent run
                                }
                        )
                    do! Task.Delay 1500
                    let! later = last ()
                    Expect.isTrue (isDifferent later) "runs later it is still told"
                    let path = $"""/api/v1/reconciliation/runs/{text "id" later}/findings/0/acknowledge"""
                    let! bare = scene.As("operator", "POST", path, "")
                    Expect.equal bare.Status 422 "with a note"
                    let! settled = scene.As("operator", "POST", path, """{"note":"by support"}""")
                    Expect.equal settled.Status 200 ""
                    do!
                        scene.Until(
                            "it counts no more",
                            fun () ->
                                task {
                                    let! run = last ()
                                    return text "status" run = "agree" && number "differences" run = 0L
                                }
                        )
                    let! actor = scene.Scalar<string> "select actor from reconciliation_acknowledgements"
                    Expect.equal actor "key:Operator" "attributed"
                    scene.World.Hyperswitch.RefundByHand(payment, 7L) |> ignore
                    do!
                        scene.Until(
                            "another one is another difference",
                            fun () ->
                                task {
                                    let! run = last ()
                                    return isDifferent run
                                }
                        )
                })
        play "from the command line: 0 agree, 2 differ, 1 not compared" quiet (fun scene ->
            task {
                let! order = scene.SettledOrder()
                let! code, output, _ = command scene [ "reconcile"; "--json" ]
                Expect.equal code 0 output
                use report = JsonDocument.Parse output
                Expect.equal (text "agrees" report.RootElement) "True" ""
                let! transfers = scene.Transfers order
                dropAll scene
                scene.World.Stripe.Reverse(
                    text "stripe_transfer_id" transfers.Head,
                    Collections.Generic.Dictionary(dict [ "amount", "100" ])
                )
                |> ignore
                let! code, output, _ = command scene [ "reconcile" ]
                Expect.equal code 2 output
                Expect.stringContains output "missing_here" ""
                let! code, output, _ = command scene [ "reconcile"; "--heal" ]
                Expect.equal code 0 output
                let! code, _, errors = command scene [ "reconcile"; "--since"; "tomorrow" ]
                Expect.equal code 1 errors
                scene.World.Faults.Add(Fault("stripe.transfers.list", FaultMode.ErrorBefore, Status = 503))
                let! code, _, errors = command scene [ "reconcile" ]
                Expect.equal code 1 errors
                Expect.stringContains errors "could not be compared" ""
            })
        testList "of nameless transfers" [
            play "finds the id by group, writes it with --apply, and the refund goes on" quiet (fun scene ->
                task {
                    let! order = scene.SettledOrder()
                    do! forgetIds scene
                    let! code, output, _ = command scene [ "backfill-transfer-ids"; "--json" ]
                    Expect.equal code 0 output
                    Expect.equal (output.Split("\"found\"").Length - 1) 2 "a dry run by default"
                    let! empty =
                        scene.Scalar<int64>
                            "select count(*) from seller_transfers where stripe_transfer_id is null"
                    Expect.equal empty 2L "nothing is written"
                    let report = IO.Path.GetTempFileName()
                    IO.File.Delete report
                    let! code, output, errors =
                        command scene [ "backfill-transfer-ids"; "--apply"; "--report"; report ]
                    Expect.equal code 0 (output + errors)
                    Expect.hasLength (IO.File.ReadAllLines report) 2 "a line for each"
                    let! named =
                        scene.Scalar<int64>
                            "select count(*) from seller_transfers where stripe_transfer_id like 'tr_%'"
                    Expect.equal named 2L ""
                    let! again, _, said = command scene [ "backfill-transfer-ids"; "--apply" ]
                    Expect.equal again 0 said
                    Expect.stringContains said "Every completed transfer has its Stripe id" ""
                    let! _ = scene.Refund(order, "")
                    do! scene.TransfersAre(order, "reversed")
                    IO.File.Delete report
                })
            play "never chooses between two, and says what it could not find" quiet (fun scene ->
                task {
                    let! order = scene.SettledOrder()
                    do! forgetIds scene
                    let group = $"order_{(Guid.Parse order):N}"
                    let twin =
                        dict [
                            "destination", "acct_ada"
                            "amount", "5400"
                            "currency", "eur"
                            "transfer_group", group
                        ]
                    scene.World.Stripe.Move("platform", "eur", 5400L)
                    scene.World.Stripe.Create(Collections.Generic.Dictionary twin) |> ignore
                    do!
                        scene.Execute
                            "update seller_transfers set stripe_account_id = 'acct_elsewhere' where seller_id = 'bob'"
                    let! code, output, _ = command scene [ "backfill-transfer-ids"; "--apply"; "--json" ]
                    Expect.equal code 2 "something is left for a person"
                    Expect.stringContains output "\"several\"" "two match"
                    Expect.stringContains output "\"not_found\"" "none matches"
                    let! named =
                        scene.Scalar<int64>
                            "select count(*) from seller_transfers where stripe_transfer_id is not null"
                    Expect.equal named 0L "no guess is written"
                })
        ]
        testList "by a probe" [
            play "smoke goes through every step" quiet (fun scene ->
                task {
                    let! code, output, errors = command scene [ "smoke"; "--json" ]
                    Expect.equal (code, errors) (1, "") "there is no account yet"
                    Expect.stringContains output "--account" "it says what to do"
                    scene.World.Stripe.Open "acct_probe"
                    let! code, output, errors = command scene [ "smoke"; "--json"; "--timeout"; "20" ]
                    Expect.equal code 0 (output + errors)
                    for step in [ "order"; "paid"; "transfer"; "refund"; "reversal_pending"; "reversed" ] do
                        Expect.stringContains output $"\"step\":\"{step}\"" ""
                    let! active =
                        scene.Scalar<int64>
                            "select count(*) from api_keys where name = 'veza smoke' and revoked_at is null"
                    Expect.equal active 0L "its key is revoked"
                    let! code, output, _ = command scene [ "reconcile" ]
                    Expect.equal code 0 output
                })
            play "smoke refuses live keys" quiet (fun scene ->
                task {
                    let settings =
                        settingsOf scene
                        |> Map.ofList
                        |> Map.add "STRIPE_SECRET_KEY" "sk_live_x"
                        |> Map.toList
                    let! code, _, errors = veza settings [ "smoke" ]
                    Expect.equal code 1 ""
                    Expect.stringContains errors "--live" "it says how"
                })
        ]
    ]

/// Only the run that is asked for looks.
let private unswept = quiet @ [ "SWEEP_INTERVAL", "1h"; "SUBSCRIPTION_CHECK_INTERVAL", "1h" ]

[<Tests>]
let outsideOfOrders =
    testList "reconciliation outside of orders" [
        play "agrees on a late payment that was given back" quiet (fun scene ->
            task {
                let! order = scene.Order()
                let! payment = scene.OfferPayment order
                let id = payment.Text "payment_id"
                scene.World.Hyperswitch.Confirm(id, "4000000000000002") |> ignore
                do! scene.OrderIs(order, "payment_failed")
                let! _ = scene.Post($"/api/v1/orders/{order}/cancel", "")
                scene.World.Hyperswitch.Confirm(id, "4242424242424242") |> ignore
                do! scene.DepositIs(id, "cleared")
                let! answer = run scene ""
                Expect.equal (answer.Text "status", findings answer) ("agree", []) ""
            })
        play "money that belongs to nothing is told, whoever missed it" unswept (fun scene ->
            task {
                let! order = scene.Order()
                let! payment = scene.OfferPayment order
                dropAll scene
                scene.World.Hyperswitch.Become(payment.Text "payment_id", "partially_captured", 6000L)
                |> ignore
                let! missed = run scene ""
                Expect.equal (findings missed) [ "status", "order", "tell_the_fact", false ] "nobody told us"
                let! _ = run scene """{"heal":true}"""
                do! scene.DepositIs(payment.Text "payment_id", "held")
                let! held = run scene ""
                Expect.equal
                    (held.Text "status", findings held)
                    ("differ", [ "in_suspense", "deposit", "needs_operator", false ])
                    "and it is told until it is out again"
            })
        play
            "a period's payment and its refund that nobody told of are found and healed"
            unswept
            (fun scene ->
                task {
                    let! asked =
                        scene.Post(
                            "/api/v1/subscriptions",
                            """{"subscriber_id":"sam","plan":{"code":"pro","amount":900,"currency":"EUR","interval":"month"}}"""
                        )
                    let payment = text "payment_id" (asked.Body.GetProperty "payment")
                    dropAll scene
                    scene.World.Hyperswitch.Confirm(payment, "4242424242424242") |> ignore
                    let! missed = run scene ""
                    Expect.equal
                        (findings missed)
                        [ "missing_here", "subscription", "tell_the_fact", false ]
                        ""
                    let! _ = run scene """{"heal":true}"""
                    let! active = scene.Get $"""/api/v1/subscriptions/{asked.Text "id"}"""
                    Expect.equal (active.Text "status") "active" ""
                    scene.World.Hyperswitch.Decide(Veza.Sandbox.Hyperswitch.RefundFate.Succeeded, 1)
                    scene.World.Hyperswitch.RefundByHand(payment, 900L) |> ignore
                    let! refunded = run scene ""
                    Expect.equal (findings refunded) [ "missing_here", "deposit", "tell_the_fact", false ] ""
                    let! _ = run scene """{"heal":true}"""
                    let! canceled = scene.Get $"""/api/v1/subscriptions/{asked.Text "id"}"""
                    Expect.equal (canceled.Text "status") "canceled" ""
                    let! agreed = run scene ""
                    Expect.equal (agreed.Text "status", findings agreed) ("agree", []) ""
                    do! scene.BooksAgree()
                })
    ]
