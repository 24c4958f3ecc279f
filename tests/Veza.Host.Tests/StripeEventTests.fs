/// What happens at Stripe without Veza having asked: by hand in its dashboard, at a bank, or behind a lost webhook.
module Veza.Host.Tests.StripeEventTests

open System
open System.Threading.Tasks
open Expecto
open Veza.Host.Tests.Scene
open Veza.Sandbox.Control

let private off = "REVERSAL_WORKER_ENABLED", "false"
let private notWalking = "EVENT_WALK_INTERVAL", "1h"

let private stripeIdOf transfer = text "stripe_transfer_id" transfer

let private byHand (scene: Scene) transfer amount =
    let form = dict [ "amount", string<int64> amount ]
    let answer = scene.World.Stripe.Reverse(stripeIdOf transfer, Collections.Generic.Dictionary form)
    Expect.equal answer.Status 200 "Stripe reverses it"

/// A transfer as it stands, once it stands so.
let private becomes (scene: Scene) order what holds =
    scene.Until(
        what,
        fun () ->
            task {
                let! transfers = scene.Transfers order
                return holds transfers
            }
    )

let private eventIs (scene: Scene) kind state =
    scene.Until(
        $"{kind} to be {state}",
        fun () ->
            task {
                let! count =
                    scene.Scalar<int64>
                        $"select count(*) from webhook_events where type = '{kind}' and state || coalesce(':' || reason, '') = '{state}'"
                return count > 0L
            }
    )

let private payout (scene: Scene) amount =
    scene.As(
        "operator",
        "POST",
        "/api/v1/payouts",
        $$"""{"seller_id":"ada","amount":{{amount}},"currency":"EUR"}"""
    )

let private payoutIs (scene: Scene) id status =
    scene.Until(
        $"the payout to be {status}",
        fun () ->
            task {
                let! answer = scene.As("operator", "GET", $"/api/v1/payouts/{id}", "")
                return answer.Text "status" = status
            }
    )

[<Tests>]
let tests =
    testList "stripe's events" [
        play
            "a reversal by hand before any refund is posted, and the refund takes only the rest"
            []
            (fun scene ->
                task {
                    let! order = scene.SettledOrder()
                    let! transfers = scene.Transfers order
                    byHand scene transfers.Head 1000L
                    do!
                        becomes scene order "the reversal is known" (fun transfers ->
                            number "foreign_amount" transfers.Head = 1000L
                            && number "reversed_amount" transfers.Head = 1000L
                            && text "status" transfers.Head = "completed")
                    do! scene.BooksAgree()
                    let! _ = scene.Refund(order, "")
                    do! scene.TransfersAre(order, "reversed")
                    let amounts =
                        scene.World.Stripe.Transfers()
                        |> Seq.collect _.Reversals
                        |> Seq.map _.Amount
                        |> Seq.sort
                    Expect.equal (List.ofSeq amounts) [ 1000L; 3600L; 4400L ] "nothing moved twice"
                    do! scene.BooksAgree()
                })
        play "a reversal by hand while ours waits for the seller's balance settles it" [] (fun scene ->
            task {
                let! order = scene.SettledOrder()
                scene.World.Stripe.PayOut("acct_ada", "eur") |> ignore
                let! _ = scene.Refund(order, "")
                do!
                    becomes scene order "ada's to wait for funds" (fun transfers ->
                        text "waiting_for" transfers.Head = "seller_funds")
                scene.World.Stripe.Move("acct_ada", "eur", 5400L)
                let! transfers = scene.Transfers order
                byHand scene transfers.Head 5400L
                do! scene.TransfersAre(order, "reversed")
                let! after = scene.Transfers order
                let moved = scene.World.Stripe.Transfers() |> Seq.sumBy _.Reversed
                Expect.equal moved 9000L "each share came back once"
                Expect.equal (number "reversed_amount" after.Head) 5400L ""
                do! scene.BooksAgree()
            })
        play
            "a transfer made by hand for one of our orders is put before an operator"
            [ notWalking ]
            (fun scene ->
                task {
                    let! order = scene.SettledOrder()
                    let id = Guid.Parse order
                    let form =
                        dict [
                            "destination", "acct_ada"
                            "amount", "700"
                            "currency", "eur"
                            "transfer_group", $"order_{id:N}"
                        ]
                    let answer = scene.World.Stripe.Create(Collections.Generic.Dictionary form)
                    Expect.equal answer.Status 200 ""
                    do! eventIs scene "transfer.created" "quarantined:foreign_transfer"
                    let bonus = dict [ "destination", "acct_ada"; "amount", "5"; "currency", "eur" ]
                    scene.World.Stripe.Create(Collections.Generic.Dictionary bonus) |> ignore
                    do! eventIs scene "transfer.created" "ignored:not_ours"
                })
        play
            "a transfer whose answer was lost is known from its event"
            [ "TRANSFER_RETRY_BACKOFF_BASE", "1h"; "TRANSFER_RETRY_BACKOFF_MAX", "1h" ]
            (fun scene ->
                task {
                    scene.World.Faults.Add(fault "stripe.transfers.create" FaultMode.TimeoutAfter 2)
                    let! order = scene.PaidOrder()
                    do! scene.TransfersAre(order, "completed")
                    Expect.equal (Seq.length (scene.World.Stripe.Transfers())) 2 "one for each seller"
                    do! scene.BooksAgree()
                })
        play
            "an event that no webhook brought is found in Stripe's list"
            [ "EVENT_WALK_INTERVAL", "200ms" ]
            (fun scene ->
                task {
                    let! order = scene.SettledOrder()
                    scene.World.Courier.Add(DeliveryRule("transfer.reversed", Delivery.Drop))
                    let! transfers = scene.Transfers order
                    byHand scene transfers.Head 100L
                    do!
                        becomes scene order "the reversal is known" (fun transfers ->
                            number "foreign_amount" transfers.Head = 100L)
                    let! gaps =
                        scene.Scalar<int64> "select gaps_found from walks where name = 'stripe_events'"
                    Expect.isGreaterThan gaps 0L "it is counted"
                    let! source =
                        scene.Scalar<string>
                            "select source from webhook_events where type = 'transfer.reversed'"
                    Expect.equal source "list" ""
                })
        play "balance.available wakes what waits for it" [ "FUNDS_RETRY_INTERVAL", "1h" ] (fun scene ->
            task {
                let! order = scene.SettledOrder()
                for account in [ "acct_ada"; "acct_bob" ] do
                    scene.World.Stripe.PayOut(account, "eur") |> ignore
                let! _ = scene.Refund(order, "")
                do!
                    becomes scene order "both to wait" (fun transfers ->
                        transfers
                        |> List.forall (fun transfer -> text "waiting_for" transfer = "seller_funds"))
                for account in [ "acct_ada"; "acct_bob" ] do
                    let! answer =
                        (new Net.Http.HttpClient())
                            .PostAsync(
                                scene.StripeUrl.Replace("/stripe", $"/control/accounts/{account}/top-up"),
                                new Net.Http.StringContent("""{"currency":"eur","amount":100000}""")
                            )
                    Expect.isTrue answer.IsSuccessStatusCode ""
                do! scene.TransfersAre(order, "reversed")
                do! scene.BooksAgree()
            })
        play "what Stripe says of an account stands at its seller" [] (fun scene ->
            task {
                do! scene.Seller "ada"
                scene.World.Accounts.Change("acct_ada", false, true, "requirements.past_due") |> ignore
                do!
                    scene.Until(
                        "the seller's standing",
                        fun () ->
                            task {
                                let! seller = scene.Get "/api/v1/sellers/ada"
                                return
                                    seller.Text "payouts_enabled" = "False"
                                    && seller.Text "transfers_active" = "True"
                                    && seller.Text "disabled_reason" = "requirements.past_due"
                            }
                    )
                scene.World.Accounts.Open "acct_nobody" |> ignore
                scene.World.Accounts.Change("acct_nobody", true, true, null) |> ignore
                do! eventIs scene "account.updated" "ignored:not_ours"
            })
        play
            "a seller whose account is restricted is not paid, and is once it may be paid again"
            []
            (fun scene ->
                task {
                    for seller in [ "ada"; "bob" ] do
                        do! scene.Seller seller
                    scene.World.Accounts.Change("acct_ada", false, false, "rejected.fraud") |> ignore
                    let! order = scene.PaidOrder()
                    let of' seller (transfers: Text.Json.JsonElement list) =
                        transfers |> List.find (fun transfer -> text "seller_id" transfer = seller)
                    do!
                        becomes scene order "the refusal to be definite" (fun transfers ->
                            text "status" (of' "ada" transfers) = "permanently_failed"
                            && text "status" (of' "bob" transfers) = "completed")
                    Expect.equal (scene.World.Stripe.Balance("acct_ada", "eur")) 0L "nothing was sent"
                    let! answer = scene.Get $"/api/v1/transfers?order_id={order}&seller_id=ada"
                    let failed = items "data" answer.Body |> List.exactlyOne
                    Expect.stringContains
                        (failed.GetRawText())
                        "insufficient_capabilities_for_transfer"
                        "and Stripe's reason is shown"
                    scene.World.Accounts.Change("acct_ada", true, true, null) |> ignore
                    let retry = $"""/api/v1/admin/transfers/{text "id" failed}/retry"""
                    let! _ = scene.As("operator", "POST", retry, "")
                    do! scene.TransfersAre(order, "completed")
                    do! scene.BooksAgree()
                })
        play "a refund that fails at Stripe behind Hyperswitch's back is undone" [] (fun scene ->
            task {
                let! order = scene.SettledOrder()
                let! answer = scene.Refund(order, "")
                do! scene.RefundIs(answer.Text "id", "succeeded")
                do! scene.TransfersAre(order, "reversed")
                let! refund = scene.Get $"""/api/v1/refunds/{answer.Text "id"}"""
                Expect.isTrue
                    (scene.World.Hyperswitch.ReturnUnnoticed(refund.Text "provider_refund_id"))
                    "the bank sends it back"
                do! scene.RefundIs(answer.Text "id", "failed")
                do! scene.OrderIs(order, "completed")
                do!
                    becomes scene order "both sellers made whole" (fun transfers ->
                        transfers
                        |> List.filter (fun transfer -> text "status" transfer = "completed")
                        |> List.length
                            =
                            2)
                do! scene.BooksAgree()
            })
        testList "payouts" [
            play "are paid out at Stripe and followed to the bank" [] (fun scene ->
                task {
                    let! _ = scene.SettledOrder()
                    let! answer = payout scene 2000
                    Expect.equal (answer.Status, answer.Text "status") (201, "pending") ""
                    Expect.stringStarts (answer.Text "external_payout_id") "po_" ""
                    do! payoutIs scene (answer.Text "id") "paid"
                    Expect.equal
                        (scene.World.Stripe.Balance("acct_ada", "eur"))
                        3400L
                        "it left the balance once"
                    let! listed =
                        scene.As("operator", "GET", "/api/v1/payouts?seller_id=ada&status=paid", "")
                    Expect.hasLength (items "data" listed.Body) 1 ""
                    let! forbidden = scene.As("service", "POST", "/api/v1/payouts", "{}")
                    Expect.equal forbidden.Status 403 ""
                })
            play "refused by Stripe are kept as failed" [] (fun scene ->
                task {
                    let! _ = scene.SettledOrder()
                    let! answer = payout scene 9999999
                    Expect.equal (answer.Status, answer.Code) (422, "provider_refused") ""
                    let! kept =
                        scene.As("operator", "GET", $"""/api/v1/payouts/{answer.Text "payout_id"}""", "")
                    Expect.equal (kept.Text "status") "failed" ""
                    let! unknown =
                        scene.As(
                            "operator",
                            "POST",
                            "/api/v1/payouts",
                            """{"seller_id":"nobody","amount":0,"currency":"XXX","note":1}"""
                        )
                    Expect.equal unknown.Status 422 ""
                    Expect.equal
                        [ for fault in items "errors" unknown.Body -> text "field" fault ]
                        [ "amount"; "currency"; "note"; "seller_id" ]
                        "all faults at once"
                })
            for what, mode in
                [
                    "the answer is lost", FaultMode.TimeoutAfter
                    "the request is lost", FaultMode.TimeoutBefore
                    "a 500 that was done", FaultMode.ErrorAfter
                    "an answer that cannot be read", FaultMode.Unreadable
                ] do
                play $"leave once though {what}" [] (fun scene ->
                    task {
                        let! _ = scene.SettledOrder()
                        scene.World.Faults.Add(fault "stripe.payouts.create" mode 1)
                        let! answer = payout scene 2000
                        Expect.contains [ 201; 202 ] answer.Status "its event may have come first"
                        do! payoutIs scene (answer.Text "id") "paid"
                        Expect.equal (scene.World.Stripe.Balance("acct_ada", "eur")) 3400L ""
                    })
            play
                "under way are asked about when their webhook does not come"
                [ "ASK_INTERVAL", "300ms" ]
                (fun scene ->
                    task {
                        let! _ = scene.SettledOrder()
                        scene.World.Courier.Add(DeliveryRule("payout.paid", Delivery.Drop))
                        let! answer = payout scene 2000
                        do! payoutIs scene (answer.Text "id") "paid"
                    })
            play "paid may fail later" [] (fun scene ->
                task {
                    let! _ = scene.SettledOrder()
                    let! answer = payout scene 2000
                    do! payoutIs scene (answer.Text "id") "paid"
                    scene.World.Payouts.Decide(answer.Text "external_payout_id", "failed", "account_closed")
                    |> ignore
                    do! payoutIs scene (answer.Text "id") "failed"
                    let! failed = scene.As("operator", "GET", $"""/api/v1/payouts/{answer.Text "id"}""", "")
                    Expect.equal (text "code" (failed.Body.GetProperty "failure")) "account_closed" ""
                })
        ]
        testList "replayed" [
            play "one, and many after a dry run" [ notWalking ] (fun scene ->
                task {
                    let! order = scene.Order()
                    let poisoned =
                        """{"event_id":"evt_p","event_type":"payment_succeeded","content":{"type":"payment_details","object":{"payment_id":7}}}"""
                    let! _ = scene.Webhook poisoned
                    do!
                        scene.Until(
                            "it is poisoned",
                            fun () ->
                                task {
                                    let! count =
                                        scene.Scalar<int64>
                                            "select count(*) from webhook_events where state = 'poisoned'"
                                    return count = 1L
                                }
                        )
                    let list = "/api/v1/admin/webhook-events"
                    let! listed = scene.As("operator", "GET", $"{list}?state=poisoned", "")
                    let event = items "data" listed.Body |> List.exactlyOne
                    Expect.stringContains (text "reason" event) "payment_id" "it says why"
                    let! dry = scene.As("operator", "POST", $"{list}/replay", """{"state":"poisoned"}""")
                    Expect.equal
                        (number "matched" dry.Body, number "replayed" dry.Body)
                        (1L, 0L)
                        "a dry run first"
                    let! wet =
                        scene.As(
                            "operator",
                            "POST",
                            $"{list}/replay",
                            """{"state":"poisoned","dry_run":false}"""
                        )
                    Expect.equal (number "replayed" wet.Body) 1L ""
                    let id = number "id" event
                    do!
                        scene.Until(
                            "it is poisoned once more",
                            fun () ->
                                task {
                                    let! again = scene.As("operator", "GET", $"{list}/{id}", "")
                                    return
                                        again.Text "state" = "poisoned" && number "replays" again.Body = 1L
                                }
                        )
                    let! one = scene.As("operator", "POST", $"{list}/{id}/replay", "")
                    Expect.equal one.Status 200 ""
                    Expect.equal (one.Text "replayed_by") "key:Operator" "attributed"
                    let! forbidden = scene.As("service", "POST", $"{list}/{id}/replay", "")
                    Expect.equal forbidden.Status 403 ""
                    ignore order
                })
        ]
    ]
