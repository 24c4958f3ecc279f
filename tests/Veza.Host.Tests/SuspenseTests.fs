/// Money that came in and belongs to nothing: booked when seen, shown, and out again.
module Veza.Host.Tests.SuspenseTests

open System
open System.Threading
open Expecto
open Microsoft.Extensions.DependencyInjection
open Veza.Adapters.Postgres.Queries
open Veza.Domain
open Veza.Host.Tests.Scene
open Veza.Sandbox.Control
open Veza.Sandbox.Hyperswitch

let offered (scene: Scene) =
    task {
        let! order = scene.Order()
        let! payment = scene.OfferPayment order
        return order, payment.Text "payment_id"
    }

/// Declined first, then cancelled, then paid after all.
let paidLate (scene: Scene) =
    task {
        let! order, payment = offered scene
        scene.World.Hyperswitch.Confirm(payment, "4000000000000002") |> ignore
        do! scene.OrderIs(order, "payment_failed")
        let! cancelled = scene.Post($"/api/v1/orders/{order}/cancel", "")
        Expect.equal (cancelled.Text "status") "cancelled" ""
        scene.World.Hyperswitch.Confirm(payment, "4242424242424242") |> ignore
        return order, payment
    }

let private totals (scene: Scene) =
    let struct (captured, refunded) = scene.World.Hyperswitch.Totals()["EUR"]
    captured, refunded

let private rings (scene: Scene) alarm =
    task {
        let! raised = scene.Services.GetRequiredService<Alarms>().Raised(CancellationToken.None)
        return raised |> Seq.exists (fun found -> found.Alarm = alarm)
    }

/// What becomes of a webhook that says this of a payment.
let private told (scene: Scene) payment status =
    task {
        let event = $"evt_{Guid.NewGuid():N}"
        let received = if status = "succeeded" then 10000 else 6000
        let body =
            $$$"""{"merchant_id":"m","event_id":"{{{event}}}","event_type":"payment_processing","content":{
                "type":"payment_details","object":{"payment_id":"{{{payment}}}","status":"{{{status}}}","amount":10000,
                "amount_received":{{{received}}},"currency":"EUR"}},"timestamp":"2026-11-25T10:00:00.000Z"}"""
        let! answer = scene.Webhook body
        Expect.equal answer.Status 200 status
        let stands () =
            scene.Scalar<string>
                $"select state || coalesce(':' || reason, '') from webhook_events where event_id = '{event}'"
        do!
            scene.Until(
                $"'{status}' to be heard",
                fun () ->
                    task {
                        let! now = stands ()
                        return now <> "received"
                    }
            )
        return! stands ()
    }

[<Tests>]
let tests =
    testList "suspense" [
        for words, becomes in
            [
                [
                    "requires_payment_method"
                    "requires_confirmation"
                    "requires_customer_action"
                    "processing"
                ],
                "known"
                [ "failed"; "cancelled"; "expired"; "cancelled_post_capture"; "succeeded" ], "processed"
                [
                    "partially_captured"
                    "partially_captured_and_capturable"
                    "partially_captured_and_processing"
                ],
                "quarantined:partially_captured"
                [ "requires_capture"; "partially_authorized_and_requires_capture" ],
                "quarantined:not_captured"
                [ "requires_merchant_action"; "conflicted"; "review" ], "quarantined:payment_in_review"
                [ "teleported" ], "quarantined:unknown_status"
            ] do
            play $"a payment that is {List.head words} leads somewhere" [] (fun scene ->
                task {
                    for word in words do
                        let! _, payment = offered scene
                        let! stands = told scene payment word
                        Expect.equal stands becomes word
                })
        play
            "captured in part: in suspense, before a person, and out again by a refund at Hyperswitch"
            []
            (fun scene ->
                task {
                    let! order, payment = offered scene
                    scene.World.Hyperswitch.Become(payment, "partially_captured", 6000L) |> ignore
                    do! scene.DepositIs(payment, "held")
                    do! scene.BooksAgree()
                    let! suspense = scene.Balance "suspense"
                    Expect.equal suspense -6000L "it belongs to nothing"
                    let! isRaised = rings scene Alarm.MoneyInSuspense
                    Expect.isTrue isRaised "somebody is told"
                    scene.World.Hyperswitch.Decide(RefundFate.Succeeded, 1)
                    scene.World.Hyperswitch.RefundByHand(payment, 6000L) |> ignore
                    do! scene.DepositIs(payment, "cleared")
                    let! after = scene.Balance "suspense"
                    Expect.equal after 0L ""
                    let! stillRaised = rings scene Alarm.MoneyInSuspense
                    Expect.isFalse stillRaised "and silent again"
                    do! scene.BooksAgree()
                    let! found = scene.Get $"/api/v1/orders/{order}"
                    Expect.equal (found.Text "status") "awaiting_payment" "it was never paid"
                })
        play "captured in part, then to the end: the order takes it over" [] (fun scene ->
            task {
                let! order, payment = offered scene
                scene.World.Hyperswitch.Become(payment, "partially_captured_and_capturable", 6000L) |> ignore
                do! scene.DepositIs(payment, "held")
                scene.World.Hyperswitch.Become(payment, "succeeded") |> ignore
                do! scene.OrderIs(order, "completed")
                do! scene.TransfersAre(order, "completed")
                let! suspense = scene.Balance "suspense"
                Expect.equal suspense 0L ""
                do! scene.BooksAgree()
            })
        play "in review: a person is told at once" [] (fun scene ->
            task {
                let! _, payment = offered scene
                scene.World.Courier.Add(DeliveryRule("action_required", Delivery.Drop, Times = 1))
                scene.World.Hyperswitch.Become(payment, "review") |> ignore
                do!
                    scene.Until(
                        "the sweep to find it, and the alarm",
                        fun () -> rings scene Alarm.PaymentUndecided
                    )
            })
        play "a late payment of a cancelled order is given back once, without a person" [] (fun scene ->
            task {
                let! order, payment = paidLate scene
                do! scene.DepositIs(payment, "cleared")
                Expect.equal (totals scene) (10000L, 10000L) "once"
                let! suspense = scene.Balance "suspense"
                Expect.equal suspense 0L ""
                do! scene.BooksAgree()
                let! found = scene.Get $"/api/v1/orders/{order}"
                Expect.equal (found.Text "status") "cancelled" ""
                let! waiting =
                    scene.Scalar<int64> "select count(*) from webhook_events where state = 'quarantined'"
                Expect.equal waiting 0L "nobody has to look"
            })
        for mode in
            [ FaultMode.TimeoutAfter; FaultMode.TimeoutBefore; FaultMode.ErrorAfter; FaultMode.Unreadable ] do
            play $"and once too where its refund has no clear answer ({mode})" [] (fun scene ->
                task {
                    scene.World.Faults.Add(fault "hyperswitch.refunds.create" mode 1)
                    scene.World.Courier.Add(DeliveryRule("refund_succeeded", Delivery.Drop, Times = 1))
                    let! _, payment = paidLate scene
                    do! scene.DepositIs(payment, "cleared")
                    Expect.equal (totals scene) (10000L, 10000L) "once"
                    do! scene.BooksAgree()
                })
        play "a refund of it that is refused is for a person" [] (fun scene ->
            task {
                scene.World.Hyperswitch.Decide(RefundFate.Failed, 1)
                let! _, payment = paidLate scene
                do! scene.DepositIs(payment, "held")
                let! isRaised = rings scene Alarm.MoneyInSuspense
                Expect.isTrue isRaised ""
                do! scene.BooksAgree()
            })
        play "nothing is given back on a webhook's word alone" [] (fun scene ->
            task {
                let! order, payment = offered scene
                scene.World.Hyperswitch.Confirm(payment, "4000000000000002") |> ignore
                do! scene.OrderIs(order, "payment_failed")
                let! _ = scene.Post($"/api/v1/orders/{order}/cancel", "")
                let! stands = told scene payment "succeeded"
                Expect.equal stands "processed" ""
                do! scene.DepositIs(payment, "to_confirm")
                do!
                    scene.Until(
                        "Hyperswitch to be asked",
                        fun () ->
                            task {
                                let! asked =
                                    scene.Scalar<int64>
                                        "select count(*) from transitions where entity = 'deposit' and signal = 'provider_silent'"
                                return asked > 0L
                            }
                    )
                let! sent = scene.Scalar<int64> "select count(*) from deposits where sends > 0"
                Expect.equal sent 0L "the provider has nothing"
            })
        play "a dispute of a late payment takes it" [ "SWEEP_INTERVAL", "1h" ] (fun scene ->
            task {
                let! _, payment = paidLate scene
                do! scene.DepositIs(payment, "to_confirm")
                scene.World.Hyperswitch.Dispute(payment, Nullable(), false) |> ignore
                do! scene.DepositIs(payment, "cleared")
                let! suspense = scene.Balance "suspense"
                Expect.equal suspense 0L ""
                do! scene.BooksAgree()
            })
        play "a late payment that is refunded at Hyperswitch before anybody has heard of it" [] (fun scene ->
            task {
                scene.World.Courier.Add(DeliveryRule("payment_succeeded", Delivery.Drop, Times = 1))
                let! _, payment = offered scene
                scene.World.Hyperswitch.Confirm(payment, "4000000000000002") |> ignore
                let! order = scene.Scalar<Guid> "select id from orders"
                do! scene.OrderIs(string order, "payment_failed")
                let! _ = scene.Post($"/api/v1/orders/{order}/cancel", "")
                // Nobody hears of the payment by asking until the refund has been told.
                scene.World.Faults.Add(
                    Fault("hyperswitch.payments.get", FaultMode.ErrorBefore, Status = 503)
                )
                scene.World.Hyperswitch.Confirm(payment, "4242424242424242") |> ignore
                scene.World.Hyperswitch.Decide(RefundFate.Succeeded, 1)
                scene.World.Hyperswitch.RefundByHand(payment, 10000L) |> ignore
                do! parked scene 1L
                scene.World.Faults.Clear()
                do! scene.DepositIs(payment, "cleared")
                do! parked scene 0L
                let! suspense = scene.Balance "suspense"
                Expect.equal suspense 0L "what was given back is known"
                do! scene.BooksAgree()
            })
    ]
