/// The walks of refunds, payments, disputes and money that belongs to nothing.
module Veza.Host.Tests.RunbookPayments

open System
open System.Threading.Tasks
open Expecto
open Veza.Domain
open Veza.Host.Tests.Scene
open Veza.Host.Tests.RunbookWalk
open Veza.Sandbox.Control
open Veza.Sandbox.Hyperswitch

let private refund (scene: Scene) =
    task {
        let! order = scene.SettledOrder()
        let! refund = scene.Refund(order, "")
        return order, refund.Text "id"
    }

let private refundOld = "update refunds set created_at = least(created_at, now() - interval '2 days')"

let private refunded (scene: Scene) order id () =
    task {
        do! scene.RefundIs(id, "succeeded")
        do! scene.TransfersAre(order, "reversed")
        do! scene.BooksAgree()
    }

let private refunds = [
    walk Alarm.RefundUndecided "Hyperswitch has it and does not know its end" [] (fun scene _ ->
        task {
            scene.World.Hyperswitch.Decide(RefundFate.StaysPending, 1)
            let! order, id = refund scene
            let! shown = scene.Get $"/api/v1/refunds/{id}"
            return {
                situation with
                    Ages = refundOld
                    Elsewhere = [
                        "at Hyperswitch: sync the refund with its connector (GET /refunds/{refund_id}?force_sync=true, or its support)",
                        (fun () ->
                            scene.World.Hyperswitch.Conclude(shown.Text "provider_refund_id", true)
                            |> ignore
                            Task.FromResult())
                    ]
                    Over = refunded scene order id
            }
        })
    for way, words, happens in
        [
            "Hyperswitch refuses our key: `failure` says `401` or `403`",
            "on every host: set a HYPERSWITCH_API_KEY that may make refunds, and restart it",
            Fault("hyperswitch.refunds.*", FaultMode.ErrorBefore, Status = 401, Code = "IR_01")
            "Hyperswitch does not have it",
            "at Hyperswitch: it answers again",
            Fault("hyperswitch.refunds.*", FaultMode.TimeoutBefore)
        ] do
        walk Alarm.RefundUndecided way [] (fun scene _ ->
            task {
                let! order = scene.SettledOrder()
                scene.World.Faults.Add happens
                let! refund = scene.Refund(order, "")
                return {
                    situation with
                        Ages = refundOld
                        Elsewhere = [
                            words,
                            (fun () ->
                                scene.World.Faults.Clear()
                                Task.FromResult())
                        ]
                        Over = refunded scene order (refund.Text "id")
                }
            })
]

/// The payment comes to a status in which nothing goes on without a person, and out of it again.
let private paymentIn (status: string) reason words ages (scene: Scene) (_: Hosts) =
    task {
        let! order, payment = SuspenseTests.offered scene
        scene.World.Hyperswitch.Become(payment, status, 0L) |> ignore
        let! event =
            task {
                if reason = "" then
                    return ""
                else
                    return! eventWaits scene reason
            }
        return {
            Variables = [ "EVENT", event ]
            Ages = ages
            Elsewhere = [
                words,
                (fun () ->
                    task {
                        scene.World.Hyperswitch.Become(payment, "succeeded") |> ignore
                        do! scene.OrderIs(order, "completed")
                    })
            ]
            Over = fun () -> task { do! scene.TransfersAre(order, "completed") }
        }
    }

let private payments = [
    walk
        Alarm.PaymentUndecided
        "It waits for a capture: `requires_capture`"
        []
        (paymentIn "requires_capture" "not_captured" "at Hyperswitch: capture the payment, or void it" "")
    walk
        Alarm.PaymentUndecided
        "It is in review: `review`, `conflicted`, `requires_merchant_action`"
        []
        (paymentIn "review" "payment_in_review" "at Hyperswitch: approve the payment, or refuse it" "")
    walk
        Alarm.PaymentUndecided
        "It has been processed for days"
        []
        (paymentIn
            "processing"
            ""
            "at Hyperswitch: sync the payment with its connector (GET /payments/{payment_id}?force_sync=true, or its support)"
            "update payments set created_at = least(created_at, now() - interval '3 days')")
]

let private byHand (scene: Scene) payment amount () =
    task {
        scene.World.Hyperswitch.Decide(RefundFate.Succeeded, 1)
        scene.World.Hyperswitch.RefundByHand(payment, amount) |> ignore
        do! scene.DepositIs(payment, "cleared")
    }

let private empty (scene: Scene) () =
    task {
        let! left = scene.Balance "suspense"
        Expect.equal left 0L "nothing belongs to nothing any more"
        do! scene.BooksAgree()
    }

/// So much of an order's payment is captured.
let private inPart (scene: Scene) status =
    task {
        let! order, payment = SuspenseTests.offered scene
        scene.World.Hyperswitch.Become(payment, status, 6000L) |> ignore
        do! scene.DepositIs(payment, "held")
        let! _ = eventWaits scene "partially_captured"
        return order, payment
    }

let private suspense = [
    walk Alarm.MoneyInSuspense "The rest of it can still be captured" [] (fun scene _ ->
        task {
            let! order, payment = inPart scene "partially_captured_and_capturable"
            return {
                situation with
                    Elsewhere = [
                        "at Hyperswitch: capture the rest of the payment",
                        (fun () ->
                            task {
                                scene.World.Hyperswitch.Become(payment, "succeeded") |> ignore
                                do! scene.OrderIs(order, "completed")
                            })
                    ]
                    Over = empty scene
            }
        })
    walk Alarm.MoneyInSuspense "It is to go back to the buyer" [] (fun scene _ ->
        task {
            let! _, payment = inPart scene "partially_captured"
            let! deposit = scene.Scalar<Guid> $"select id from deposits where payment_id = '{payment}'"
            return {
                situation with
                    Variables = [ "DEPOSIT", string deposit ]
                    Over =
                        fun () ->
                            task {
                                do! scene.DepositIs(payment, "cleared")
                                do! empty scene ()
                                do!
                                    scene.Execute
                                        "update payments set created_at = least(created_at, now() - interval '3 days')"
                            }
            }
        })
    walk Alarm.MoneyInSuspense "Hyperswitch has refused to give it back" [] (fun scene _ ->
        task {
            scene.World.Hyperswitch.Decide(RefundFate.Failed, 1)
            let! _, payment = SuspenseTests.paidLate scene
            do! scene.DepositIs(payment, "held")
            return {
                situation with
                    Elsewhere = [ "at Hyperswitch: refund the payment", byHand scene payment 10000L ]
                    Over = empty scene
            }
        })
]

let private dispute (scene: Scene) stage =
    task {
        let! order = scene.SettledOrder()
        let! shown = scene.Get $"/api/v1/orders/{order}"
        let payment = text "payment_id" (shown.Body.GetProperty "payment")
        let id = nonNull (scene.World.Hyperswitch.Dispute(payment, Nullable(), stage, DisputeWebhooks.Both))
        return
            order,
            fun outcome () ->
                scene.World.Hyperswitch.Change(id, DisputeChange(Outcome = Nullable outcome)) |> ignore
                Task.FromResult()
    }

let private disputeIs (scene: Scene) order status () =
    scene.Until(
        $"the dispute to be {status}",
        fun () ->
            task {
                let! answer = scene.Get $"/api/v1/orders/{order}"
                return items "disputes" answer.Body |> List.forall (fun one -> text "status" one = status)
            }
    )

let private disputeOld =
    "update disputes set created_at = least(created_at, now() - interval '61 days')"

let private disputes = [
    walk Alarm.DisputeUndecided "It is a dispute" [] (fun scene _ ->
        task {
            let! order, decide = dispute scene DisputeStage.Dispute
            return {
                situation with
                    Ages = disputeOld
                    Elsewhere = [
                        "at Stripe: submit the evidence, or accept the dispute, and wait for the bank",
                        decide DisputeOutcome.Won
                    ]
                    Over = disputeIs scene order "won"
            }
        })
    walk Alarm.DisputeUndecided "It is an inquiry (`stage` `pre_dispute`)" [] (fun scene _ ->
        task {
            let! order, decide = dispute scene DisputeStage.PreDispute
            return {
                Variables = [ "ORDER", order ]
                Ages = disputeOld
                Elsewhere = [
                    "at Stripe: wait until the bank has closed the inquiry", decide DisputeOutcome.Cancelled
                ]
                Over =
                    fun () ->
                        task {
                            do! disputeIs scene order "won" ()
                            do! scene.OrderIs(order, "refunded")
                            do! scene.TransfersAre(order, "reversed")
                        }
            }
        })
]

let walks = refunds @ payments @ suspense @ disputes
