/// Buyers' money: payments and refunds through the simulated Hyperswitch.
module Veza.Host.Tests.PaymentTests

open System.Text.Json
open System.Threading.Tasks
open Expecto
open Veza.Host.Tests.Scene
open Veza.Sandbox.Control
open Veza.Sandbox.Hyperswitch

let private captured (scene: Scene) =
    match scene.World.Hyperswitch.Totals().TryGetValue "EUR" with
    | true, struct (captured, refunded) -> captured, refunded
    | false, _ -> 0L, 0L

[<Tests>]
let payments =
    testList "payments" [
        play "asked twice, the same payment" [] (fun scene ->
            task {
                let! order = scene.Order()
                let! first = scene.OfferPayment order
                let! second = scene.OfferPayment order
                Expect.equal (first.Status, second.Status) (201, 201) ""
                Expect.equal (first.Text "payment_id") (second.Text "payment_id") "one payment"
                Expect.equal (first.Text "client_secret") (second.Text "client_secret") "one secret"
            })
        play "without an answer: 503, then the same payment" [] (fun scene ->
            task {
                let! order = scene.Order()
                scene.World.Faults.Add(fault "hyperswitch.payments.create" FaultMode.TimeoutAfter 1)
                let! doubtful = scene.OfferPayment order
                Expect.equal (doubtful.Status, doubtful.Code) (503, "provider_in_doubt") ""
                let! again = scene.OfferPayment order
                Expect.equal again.Status 201 "HE_01 is looked up"
                scene.World.Hyperswitch.Confirm(again.Text "payment_id", "4242") |> ignore
                do! scene.OrderIs(order, "completed")
                Expect.equal (captured scene) (10000L, 0L) "paid once"
            })
        play "a definite refusal is 422 with the provider's code" [] (fun scene ->
            task {
                let! order = scene.Order()
                scene.World.Faults.Add(
                    Fault(
                        "hyperswitch.payments.create",
                        FaultMode.ErrorBefore,
                        Times = 1,
                        Status = 400,
                        Code = "IR_39"
                    )
                )
                let! refused = scene.OfferPayment order
                Expect.equal (refused.Status, refused.Code) (422, "provider_refused") ""
                Expect.equal (refused.Text "provider_code") "IR_39" ""
            })
        play "an error inside HTTP 200 is a refusal too" [] (fun scene ->
            task {
                let! order = scene.Order()
                scene.World.Faults.Add(
                    Fault(
                        "hyperswitch.payments.create",
                        FaultMode.ErrorBefore,
                        Times = 1,
                        Status = 200,
                        Code = "HE_03",
                        Type = "blocked"
                    )
                )
                let! refused = scene.OfferPayment order
                Expect.equal (refused.Status, refused.Text "provider_code") (422, "HE_03") ""
            })
        play "a declined card leaves the same payment to be tried again" [] (fun scene ->
            task {
                let! order = scene.Order()
                let! payment = scene.OfferPayment order
                scene.World.Hyperswitch.Confirm(payment.Text "payment_id", "4000000000000002") |> ignore
                do! scene.OrderIs(order, "payment_failed")
                scene.World.Hyperswitch.Confirm(payment.Text "payment_id", "4242") |> ignore
                do! scene.OrderIs(order, "completed")
            })
        play "a declined card, then a paid one whose webhook is lost, is found by asking" [] (fun scene ->
            task {
                let! order = scene.Order()
                let! payment = scene.OfferPayment order
                let id = payment.Text "payment_id"
                scene.World.Hyperswitch.Confirm(id, "4000000000000002") |> ignore
                do! scene.OrderIs(order, "payment_failed")
                scene.World.Courier.Add(DeliveryRule("payment_succeeded", Delivery.Drop, Times = 1))
                scene.World.Hyperswitch.Confirm(id, "4242424242424242") |> ignore
                do! scene.OrderIs(order, "completed")
            })
        play "a lost webhook is made up for by asking" [] (fun scene ->
            task {
                scene.World.Courier.Add(DeliveryRule("payment_succeeded", Delivery.Drop, Times = 1))
                let! _ = scene.PaidOrder()
                Expect.equal scene.World.Courier.Dropped 1 "it really was lost"
            })
        play "an order that is paid, cancelled or unknown is not payable" [] (fun scene ->
            task {
                let! paid = scene.PaidOrder()
                let! again = scene.OfferPayment paid
                Expect.equal (again.Status, again.Code) (409, "order_not_payable") ""
                Expect.equal (again.Text "order_status") "completed" ""
                let! order = scene.Order()
                let! _ = scene.Post($"/api/v1/orders/{order}/cancel", "")
                let! cancelled = scene.OfferPayment order
                Expect.equal cancelled.Status 409 ""
                let! unknown = scene.OfferPayment "01980000-0000-7000-8000-000000000000"
                Expect.equal (unknown.Status, unknown.Code) (404, "not_found") ""
            })
    ]

let private refundOf (scene: Scene) order more =
    task {
        let! answer = scene.Refund(order, more)
        return answer, (if answer.Status < 300 then answer.Text "id" else "")
    }

[<Tests>]
let refunds =
    testList "refunds" [
        play
            "in full: the order is refunded, licenses revoked, every leg to be reversed, in one transaction"
            [ "REVERSAL_WORKER_ENABLED", "false" ]
            (fun scene ->
                task {
                    let! order = scene.SettledOrder()
                    let! answer, id = refundOf scene order ""
                    Expect.equal answer.Status 201 ""
                    Expect.contains [ "submitted"; "succeeded" ] (answer.Text "status") ""
                    do! scene.RefundIs(id, "succeeded")
                    let! found = scene.Get $"/api/v1/orders/{order}"
                    Expect.equal (found.Text "status") "refunded" ""
                    Expect.all
                        (items "licenses" found.Body)
                        (fun license -> text "status" license = "revoked")
                        ""
                    for transfer in items "transfers" found.Body do
                        Expect.equal (text "status" transfer) "reversal_pending" "whatever Stripe's state"
                        Expect.isNonEmpty (text "next_retry_at" transfer) "its next time is set"
                    let! times =
                        scene.Scalar<int64>
                            $"select count(distinct at) from transitions where order_id = '{order}' and signal in ('refund_succeeded', 'revoked')"
                    Expect.equal times 1L "all of it at one time"
                    Expect.equal (captured scene) (10000L, 10000L) "the buyer has it all"
                })
        play "at once: succeeded in the answer, and everything follows" [] (fun scene ->
            task {
                let! order = scene.SettledOrder()
                scene.World.Hyperswitch.Decide(RefundFate.Succeeded, 1)
                let! answer, _ = refundOf scene order ""
                Expect.equal (answer.Status, answer.Text "status") (201, "succeeded") ""
                do! scene.TransfersAre(order, "reversed")
                do! scene.BooksAgree()
            })
        play "by amount, by line, and the rest: nothing is left and every cent is back" [] (fun scene ->
            task {
                let! order = scene.SettledOrder()
                let! found = scene.Get $"/api/v1/orders/{order}"
                let line = items "lines" found.Body |> List.last |> text "id"
                let! byAmount, first = refundOf scene order ""","amount":3333"""
                Expect.equal byAmount.Status 201 ""
                do! scene.RefundIs(first, "succeeded")
                do! scene.OrderIs(order, "partially_refunded")
                let! tooMuch, _ = refundOf scene order $""","lines":["{line}"]"""
                Expect.equal
                    (tooMuch.Status, tooMuch.Code)
                    (422, "refund_exceeds_remaining")
                    "part of it is back already"
                let! rest, last = refundOf scene order ""
                Expect.equal rest.Status 201 ""
                do! scene.RefundIs(last, "succeeded")
                do! scene.OrderIs(order, "refunded")
                do! scene.TransfersAre(order, "reversed")
                do! scene.BooksAgree()
                Expect.equal (scene.World.Stripe.Balance("acct_ada", "eur")) 0L "ada gave everything back"
            })
        play "by line takes that line's seller alone" [] (fun scene ->
            task {
                let! order = scene.SettledOrder()
                let! found = scene.Get $"/api/v1/orders/{order}"
                let line = items "lines" found.Body |> List.head |> text "id"
                let! answer, id = refundOf scene order $""","lines":["{line}"],"reason":"damaged" """
                Expect.equal answer.Status 201 ""
                do! scene.RefundIs(id, "succeeded")
                do!
                    scene.Until(
                        "ada's reversal",
                        fun () ->
                            task {
                                let! transfers = scene.Transfers order
                                return text "status" transfers[0] = "reversed"
                            }
                    )
                let! transfers = scene.Transfers order
                Expect.equal (text "status" transfers[1]) "completed" "bob keeps his"
                let! licenses = scene.Get "/api/v1/licenses?status=revoked"
                Expect.hasLength (items "data" licenses.Body) 1 "one license"
            })
        play "more than is left is 422 with what is left" [] (fun scene ->
            task {
                let! order = scene.PaidOrder()
                let! answer, _ = refundOf scene order ""","amount":10001"""
                Expect.equal (answer.Status, answer.Code) (422, "refund_exceeds_remaining") ""
                Expect.equal (number "remaining" answer.Body) 10000L ""
            })
        play "an unpaid order is 409" [] (fun scene ->
            task {
                let! order = scene.Order()
                let! answer, _ = refundOf scene order ""
                Expect.equal (answer.Status, answer.Code) (409, "order_not_refundable") ""
            })
        play "refused: kept as failed, its amount released" [] (fun scene ->
            task {
                let! order = scene.PaidOrder()
                scene.World.Hyperswitch.Decide(RefundFate.Failed, 1)
                let! refused, _ = refundOf scene order ""
                Expect.equal (refused.Status, refused.Code) (422, "provider_refused") ""
                let! kept = scene.Get $"""/api/v1/refunds/{refused.Text "refund_id"}"""
                Expect.equal (kept.Text "status") "failed" ""
                let! again, _ = refundOf scene order ""
                Expect.equal again.Status 201 "the whole amount is free again"
            })
        for mode in [ FaultMode.TimeoutAfter; FaultMode.ErrorAfter; FaultMode.Unreadable ] do
            play
                $"no clear answer ({mode}): 202 pending, then found by asking; refunded once"
                []
                (fun scene ->
                    task {
                        let! order = scene.SettledOrder()
                        scene.World.Faults.Add(fault "hyperswitch.refunds.create" mode 1)
                        scene.World.Courier.Add(DeliveryRule("refund_succeeded", Delivery.Drop, Times = 1))
                        let! answer, id = refundOf scene order ""
                        Expect.equal (answer.Status, answer.Text "status") (202, "pending") ""
                        let! more, _ = refundOf scene order ""","amount":1"""
                        Expect.equal more.Status 422 "its amount stays reserved"
                        do! scene.RefundIs(id, "succeeded")
                        Expect.equal (captured scene) (10000L, 10000L) "once"
                        do! scene.TransfersAre(order, "reversed")
                        do! scene.BooksAgree()
                    })
        play "never arrived: sent again under the same id once that is proven" [] (fun scene ->
            task {
                let! order = scene.SettledOrder()
                scene.World.Faults.Add(fault "hyperswitch.refunds.create" FaultMode.TimeoutBefore 1)
                let! answer, id = refundOf scene order ""
                Expect.equal answer.Status 202 ""
                do! scene.RefundIs(id, "succeeded")
                Expect.equal (captured scene) (10000L, 10000L) "once"
            })
        play
            "a repeat hears how the first one stands and sends nothing: a full refund sent twice would look refused"
            [ "SWEEP_INTERVAL", "1h" ]
            (fun scene ->
                task {
                    let! order = scene.SettledOrder()
                    scene.World.Faults.Add(fault "hyperswitch.refunds.create" FaultMode.TimeoutAfter 1)
                    scene.World.Courier.Add(DeliveryRule("refund_succeeded", Delivery.Drop, Times = 1))
                    let key = [
                        "Authorization", "Bearer " + scene.Key "service"
                        "Idempotency-Key", "refund-1"
                    ]
                    let send () =
                        scene.Send("POST", "/api/v1/refunds", $$"""{"order_id":"{{order}}"}""", key)
                    let! first = send ()
                    Expect.equal (first.Status, first.Text "status") (202, "pending") "nobody knows"
                    // As a crash before the answer was stored leaves it.
                    do!
                        scene.Execute
                            "update idempotent_requests set status = null, body = null, locked_until = null"
                    let! again = send ()
                    Expect.equal (again.Status, again.Text "id") (202, first.Text "id") "still nobody knows"
                    Expect.equal (captured scene) (10000L, 10000L) "sent once"
                    let! kept = scene.Get $"""/api/v1/refunds/{first.Text "id"}"""
                    Expect.equal (kept.Text "status") "pending" "and not taken for failed"
                })
        play "pending for ever is asked about, and never sent twice" [] (fun scene ->
            task {
                let! order = scene.SettledOrder()
                scene.World.Hyperswitch.Decide(RefundFate.StaysPending, 1)
                let! answer, id = refundOf scene order ""
                Expect.equal (answer.Status, answer.Text "status") (201, "submitted") ""
                do! Task.Delay 1000
                let! still = scene.Get $"/api/v1/refunds/{id}"
                Expect.equal (still.Text "status") "submitted" ""
                Expect.equal (captured scene) (10000L, 0L) "nothing moved"
            })
        play "fifty at once never take more than was paid" [] (fun scene ->
            task {
                let! order = scene.SettledOrder()
                let! answers = Task.WhenAll [ for _ in 1..50 -> scene.Refund(order, ""","amount":900""") ]
                let taken = answers |> Array.filter (fun answer -> answer.Status = 201) |> Array.length
                Expect.equal taken 11 "eleven times nine euros fit into a hundred"
                Expect.all
                    answers
                    (fun answer -> answer.Status = 201 || answer.Code = "refund_exceeds_remaining")
                    ""
                do! scene.Until("the refunds", fun () -> task { return snd (captured scene) = 9900L })
            })
        play
            "FEE_REFUND_POLICY=keep: the seller gives the whole part back, at most what it received"
            [ "FEE_REFUND_POLICY", "keep" ]
            (fun scene ->
                task {
                    let! order = scene.SettledOrder()
                    let! _, id = refundOf scene order ""
                    do! scene.RefundIs(id, "succeeded")
                    do! scene.TransfersAre(order, "reversed")
                    do! scene.BooksAgree()
                    let! transfers = scene.Transfers order
                    Expect.equal
                        [ for transfer in transfers -> number "reversed_amount" transfer ]
                        [ 5400L; 3600L ]
                        ""
                })
    ]
