/// The seller's leg of a refund: what no open system automates. Each case of the issue that asked for it has its
/// test here, through a real PostgreSQL and HTTP.
module Veza.Host.Tests.ReversalTests

open System.Threading.Tasks
open Expecto
open Veza.Host.Tests.Scene
open Veza.Sandbox.Control

let private off = "REVERSAL_WORKER_ENABLED", "false"

/// A refund of the whole order, with whatever goes wrong from then on.
let private refunded (scene: Scene) =
    task {
        let! order = scene.SettledOrder()
        let! answer = scene.Refund(order, "")
        Expect.equal answer.Status 201 ""
        do! scene.RefundIs(answer.Text "id", "succeeded")
        return order
    }

let private given (scene: Scene) =
    scene.World.Stripe.Transfers()
    |> Seq.collect _.Reversals
    |> Seq.map _.Amount
    |> Seq.sort
    |> List.ofSeq

let private givenBackOnce (scene: Scene) =
    Expect.equal (given scene) [ 3600L; 5400L ] "each share came back, once"
    scene.BooksAgree()

let private permanently why (scene: Scene) order =
    task {
        do! scene.TransfersAre(order, "permanently_failed")
        let! transfers = scene.Transfers order
        Expect.all transfers (fun transfer -> text "given_up" transfer = why) why
    }

let private misfortunes = [
    "the answer is lost after it was done",
    Fault("stripe.reversals.create", FaultMode.TimeoutAfter, Times = 2)
    "the connection breaks before", Fault("stripe.reversals.create", FaultMode.TimeoutBefore, Times = 2)
    "500, nothing done", Fault("stripe.reversals.create", FaultMode.ErrorBefore, Times = 2, Status = 500)
    "500, although it was done",
    Fault("stripe.reversals.create", FaultMode.ErrorAfter, Times = 2, Status = 500)
    "200 that cannot be read", Fault("stripe.reversals.create", FaultMode.Unreadable, Times = 2)
    "429", Fault("stripe.reversals.create", FaultMode.ErrorBefore, Times = 6, Status = 429)
    "a refusal that passes",
    Fault(
        "stripe.reversals.create",
        FaultMode.ErrorStored,
        Times = 2,
        Status = 400,
        Code = "processing_error"
    )
    "a refusal without a code, which Stripe stores and repeats under the same key",
    Fault("stripe.reversals.create", FaultMode.ErrorStored, Times = 2, Status = 400)
]

[<Tests>]
let tests =
    testList "reversals" [
        play "success stores Stripe's reversal id and reaches reversed" [] (fun scene ->
            task {
                let! order = refunded scene
                do! scene.TransfersAre(order, "reversed")
                let! transfers = scene.Transfers order
                for transfer in transfers do
                    let reversal = items "reversals" transfer |> List.exactlyOne
                    Expect.stringStarts (text "stripe_reversal_id" reversal) "trr_" ""
                    Expect.equal (text "status" reversal) "reversed" ""
                    Expect.equal (number "reversed_amount" transfer) (number "amount" transfer) ""
                do! givenBackOnce scene
            })
        for what, misfortune in misfortunes do
            play $"come back once through: {what}" [] (fun scene ->
                task {
                    let! order = scene.SettledOrder()
                    scene.World.Faults.Add misfortune
                    let! answer = scene.Refund(order, "")
                    do! scene.RefundIs(answer.Text "id", "succeeded")
                    do! scene.TransfersAre(order, "reversed")
                    do! givenBackOnce scene
                })
        play
            "already reversed by us (the answer was lost and the key forgotten): found, not repeated"
            [ off ]
            (fun scene ->
                task {
                    let! order = refunded scene
                    let! transfers = scene.Transfers order
                    for transfer in transfers do
                        // What a send leaves behind whose answer nobody heard, a day and an hour ago.
                        let id = text "id" transfer
                        let refund = items "reversals" transfer |> List.head |> text "refund_id"
                        let form =
                            dict [
                                "amount", string (number "amount" transfer)
                                "metadata[operation_id]", $"reverse:{id}:{refund}:0"
                            ]
                        let answer =
                            scene.World.Stripe.Reverse(
                                text "stripe_transfer_id" transfer,
                                System.Collections.Generic.Dictionary form
                            )
                        Expect.equal answer.Status 200 ""
                        do!
                            scene.Execute
                                $"update seller_transfers set sends = 1, first_sent_at = now() - interval '25 hours' where id = '{id}'"
                    use! _second = Second.Worker scene
                    do! scene.TransfersAre(order, "reversed")
                    do! givenBackOnce scene
                    let! after = scene.Transfers order
                    Expect.all
                        after
                        (fun transfer -> text "stripe_reversal_id" (items "reversals" transfer).Head <> "")
                        "with its id"
                })
        for id in [ "ffffffff-ffff-4fff-bfff-ffffffffffff"; "ffffffff-ffff-7fff-bfff-ffffffffffff" ] do
            play $"come back whatever id their refund has: {id}" [ off ] (fun scene ->
                task {
                    let! order = refunded scene
                    do!
                        scene.Execute
                            $"update seller_transfer_reversals set refund_id = '{id}'; update seller_transfers set taking = '{id}' where taking is not null"
                    use! _second = Second.Worker scene
                    do! scene.TransfersAre(order, "reversed")
                    do! givenBackOnce scene
                })
        play "already reversed by somebody else: adopted" [ off ] (fun scene ->
            task {
                let! order = refunded scene
                let! transfers = scene.Transfers order
                for transfer in transfers do
                    scene.World.Stripe.Reverse(
                        text "stripe_transfer_id" transfer,
                        System.Collections.Generic.Dictionary()
                    )
                    |> ignore
                use! _second = Second.Worker scene
                do! scene.TransfersAre(order, "reversed")
                do! givenBackOnce scene
                let! after = scene.Transfers order
                Expect.all
                    after
                    (fun transfer ->
                        number "adopted_amount" (items "reversals" transfer).Head = number "amount" transfer)
                    "recorded as adopted"
            })
        play "reversed in part by somebody else: what is left is taken" [ off ] (fun scene ->
            task {
                let! order = refunded scene
                let! transfers = scene.Transfers order
                for transfer in transfers do
                    scene.World.Stripe.Reverse(
                        text "stripe_transfer_id" transfer,
                        System.Collections.Generic.Dictionary(dict [ "amount", "1000" ])
                    )
                    |> ignore
                use! _second = Second.Worker scene
                do! scene.TransfersAre(order, "reversed")
                Expect.equal (given scene) [ 1000L; 1000L; 2600L; 4400L ] "the rest, no more"
                do! scene.BooksAgree()
            })
        play "a missing transfer is permanently_failed" [] (fun scene ->
            task {
                let! order = scene.SettledOrder()
                scene.World.Faults.Add(
                    Fault(
                        "stripe.reversals.create",
                        FaultMode.ErrorBefore,
                        Status = 404,
                        Code = "resource_missing"
                    )
                )
                let! answer = scene.Refund(order, "")
                do! scene.RefundIs(answer.Text "id", "succeeded")
                do! permanently "transfer_missing" scene order
            })
        play "a missing transfer that is looked up is not looked up for ever" [] (fun scene ->
            task {
                let! order = scene.SettledOrder()
                scene.World.Faults.Add(Fault("stripe.reversals.create", FaultMode.ErrorStored, Times = 2))
                scene.World.Faults.Add(
                    Fault(
                        "stripe.transfers.get",
                        FaultMode.ErrorBefore,
                        Status = 404,
                        Code = "resource_missing"
                    )
                )
                let! answer = scene.Refund(order, "")
                do! scene.RefundIs(answer.Text "id", "succeeded")
                do! permanently "transfer_missing" scene order
            })
        play
            "a transient 5xx bumps the count, sets the next time and stays pending"
            [ "REVERSAL_BACKOFF_BASE", "1h"; "REVERSAL_BACKOFF_MAX", "2h" ]
            (fun scene ->
                task {
                    let! order = scene.SettledOrder()
                    scene.World.Faults.Add(
                        Fault("stripe.reversals.create", FaultMode.ErrorBefore, Status = 503)
                    )
                    let! answer = scene.Refund(order, "")
                    do! scene.RefundIs(answer.Text "id", "succeeded")
                    do!
                        scene.Until(
                            "one retry spent",
                            fun () ->
                                task {
                                    let! transfers = scene.Transfers order
                                    return
                                        transfers
                                        |> List.forall (fun transfer -> number "retry_count" transfer = 1L)
                                }
                        )
                    let! transfers = scene.Transfers order
                    for transfer in transfers do
                        Expect.equal
                            (text "status" transfer, text "waiting_for" transfer)
                            ("reversal_pending", "answer")
                            ""
                        let next = System.DateTimeOffset.Parse(text "next_retry_at" transfer)
                        Expect.isGreaterThan
                            next
                            (System.DateTimeOffset.UtcNow.AddMinutes 59.)
                            "an hour from now"
                })
        play
            "the backoff is capped: base 1 s, at most 10 s, after four retries 10 s"
            [ off; "REVERSAL_BACKOFF_BASE", "1s"; "REVERSAL_BACKOFF_MAX", "10s"; "REVERSAL_MAX_RETRIES", "9" ]
            (fun scene ->
                task {
                    let! order = refunded scene
                    do!
                        scene.Execute
                            $"update seller_transfers set retry_count = 4 where order_id = '{order}'"
                    scene.World.Faults.Add(
                        Fault("stripe.reversals.create", FaultMode.ErrorBefore, Status = 503)
                    )
                    use! _second =
                        Second.With scene [
                            "REVERSAL_BACKOFF_BASE", "1s"
                            "REVERSAL_BACKOFF_MAX", "10s"
                            "REVERSAL_MAX_RETRIES", "9"
                        ]
                    do!
                        scene.Until(
                            "the fifth retry",
                            fun () ->
                                task {
                                    let! transfers = scene.Transfers order
                                    return
                                        transfers
                                        |> List.forall (fun transfer -> number "retry_count" transfer = 5L)
                                }
                        )
                    let! transfers = scene.Transfers order
                    for transfer in transfers do
                        let next = System.DateTimeOffset.Parse(text "next_retry_at" transfer)
                        let changed = System.DateTimeOffset.Parse(text "updated_at" transfer)
                        Expect.equal
                            (next - changed)
                            (System.TimeSpan.FromSeconds 10.)
                            "ten seconds, no more"
                })
        play "retries exhausted is permanently_failed, and an operator brings it back" [] (fun scene ->
            task {
                let! order = scene.SettledOrder()
                scene.World.Faults.Add(Fault("stripe.reversals.create", FaultMode.ErrorBefore, Status = 503))
                let! answer = scene.Refund(order, "")
                do! scene.RefundIs(answer.Text "id", "succeeded")
                do! permanently "retries_exhausted" scene order
                let! transfers = scene.Transfers order
                Expect.all
                    transfers
                    (fun transfer -> number "retry_count" transfer = 3L)
                    "REVERSAL_MAX_RETRIES"
                scene.World.Faults.Clear()
                for transfer in transfers do
                    let! answer =
                        scene.As(
                            "operator",
                            "POST",
                            $"""/api/v1/admin/transfers/{text "id" transfer}/retry""",
                            ""
                        )
                    Expect.equal answer.Status 200 ""
                do! scene.TransfersAre(order, "reversed")
                do! givenBackOnce scene
            })
        play
            "a server error stored for nothing ends with an operator, whose retry takes a new key"
            []
            (fun scene ->
                task {
                    let! order = scene.SettledOrder()
                    scene.World.Faults.Add(
                        Fault("stripe.reversals.create", FaultMode.ErrorStored, Times = 2, Status = 500)
                    )
                    let! answer = scene.Refund(order, "")
                    do! scene.RefundIs(answer.Text "id", "succeeded")
                    do! permanently "retries_exhausted" scene order
                    let! transfers = scene.Transfers order
                    for transfer in transfers do
                        let! _ =
                            scene.As(
                                "operator",
                                "POST",
                                $"""/api/v1/admin/transfers/{text "id" transfer}/retry""",
                                ""
                            )
                        ()
                    do! scene.TransfersAre(order, "reversed")
                    do! givenBackOnce scene
                })
        play "a row without Stripe id is permanently_failed without calling Stripe" [] (fun scene ->
            task {
                let! order = scene.SettledOrder()
                do!
                    scene.Execute
                        $"update seller_transfers set stripe_transfer_id = null where order_id = '{order}'"
                scene.World.Faults.Add(Fault("stripe.*", FaultMode.ErrorBefore))
                let! answer = scene.Refund(order, "")
                do! scene.RefundIs(answer.Text "id", "succeeded")
                do! permanently "no_stripe_id" scene order
                Expect.equal scene.World.Faults.Struck 0 "Stripe was not called"
            })
        play "nothing but reversal_pending is picked up" [ "TRANSFER_RETRY_ENABLED", "false" ] (fun scene ->
            task {
                let! order = scene.PaidOrder()
                do! Task.Delay 300
                let! transfers = scene.Transfers order
                Expect.all
                    transfers
                    (fun transfer -> text "status" transfer = "pending")
                    "the reversal worker leaves them"
                Expect.isEmpty (scene.World.Stripe.Transfers()) ""
            })
        play "a row whose time has not come is left" [ off ] (fun scene ->
            task {
                let! order = refunded scene
                do!
                    scene.Execute
                        $"update seller_transfers set due_at = now() + interval '1 hour' where order_id = '{order}'"
                use! _second = Second.Worker scene
                do! Task.Delay 400
                Expect.isEmpty (given scene) "not yet"
                do! scene.Execute $"update seller_transfers set due_at = now() where order_id = '{order}'"
                do! scene.TransfersAre(order, "reversed")
            })
        play
            "an empty seller balance waits without spending a retry, until there is money"
            [ "REVERSAL_MAX_RETRIES", "0" ]
            (fun scene ->
                task {
                    let! order = scene.SettledOrder()
                    for account in [ "acct_ada"; "acct_bob" ] do
                        scene.World.Stripe.PayOut(account, "eur") |> ignore
                    let! answer = scene.Refund(order, "")
                    do! scene.RefundIs(answer.Text "id", "succeeded")
                    do!
                        scene.Until(
                            "waiting for funds",
                            fun () ->
                                task {
                                    let! transfers = scene.Transfers order
                                    return
                                        transfers
                                        |> List.forall (fun transfer ->
                                            text "waiting_for" transfer = "seller_funds")
                                }
                        )
                    do! Task.Delay 600
                    let! transfers = scene.Transfers order
                    Expect.all
                        transfers
                        (fun transfer ->
                            text "status" transfer = "reversal_pending"
                            && number "retry_count" transfer = 0L)
                        ""
                    do!
                        scene.Until(
                            "it is ada's debt, but for the moments in which it is tried",
                            fun () ->
                                task {
                                    let! balance = scene.Get "/api/v1/sellers/ada/balance"
                                    return (items "data" balance.Body).Head |> number "debt" = 5400L
                                }
                        )
                    for account in [ "acct_ada"; "acct_bob" ] do
                        scene.World.Stripe.Move(account, "eur", 10000L)
                    do! scene.TransfersAre(order, "reversed")
                    do! givenBackOnce scene
                })
        play "the worker switched off: nothing moves" [ off ] (fun scene ->
            task {
                let! order = refunded scene
                do! Task.Delay 500
                let! transfers = scene.Transfers order
                Expect.all transfers (fun transfer -> text "status" transfer = "reversal_pending") ""
                Expect.isEmpty (given scene) ""
            })
        play "two refunds of one transfer queue up, one in flight at a time" [] (fun scene ->
            task {
                let! order = scene.SettledOrder()
                let! answers =
                    Task.WhenAll [
                        for amount in [ 2000; 3000; 5000 ] -> scene.Refund(order, $""","amount":{amount}""")
                    ]
                Expect.all answers (fun answer -> answer.Status = 201) ""
                do! scene.OrderIs(order, "refunded")
                do! scene.TransfersAre(order, "reversed")
                Expect.equal (List.sum (given scene)) 9000L "to the cent"
                do! scene.BooksAgree()
            })
        testList "a refund that fails after it had succeeded" [
            let returned (scene: Scene) order =
                task {
                    let! answer = scene.Get $"/api/v1/refunds?order_id={order}"
                    let refund = List.head (items "data" answer.Body)
                    Expect.isTrue
                        (scene.World.Hyperswitch.Return(text "provider_refund_id" refund))
                        "the bank returns it"
                    do! scene.RefundIs(text "id" refund, "failed")
                    let! answer = scene.Get $"""/api/v1/refunds/{text "id" refund}"""
                    Expect.isTrue (answer.Body.GetProperty("undone").GetBoolean()) "it had succeeded"
                    do! scene.OrderIs(order, "completed")
                    let! answer = scene.Get $"/api/v1/orders/{order}"
                    for license in items "licenses" answer.Body do
                        Expect.equal (text "status" license) "active" "restored"
                }

            play "after its reversals, makes each seller whole by another transfer" [] (fun scene ->
                task {
                    let! order = refunded scene
                    do! scene.TransfersAre(order, "reversed")
                    do! returned scene order
                    do!
                        scene.Until(
                            "the sellers to be whole",
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
                    let! transfers = scene.Transfers order
                    let made =
                        transfers
                        |> List.filter (fun transfer -> text "compensates_refund_id" transfer <> "")
                    Expect.hasLength made 2 "one for each seller"
                    for transfer in transfers do
                        let! balance = scene.Get $"""/api/v1/sellers/{text "seller_id" transfer}/balance"""
                        let line = (items "data" balance.Body).Head
                        Expect.equal
                            (number "transferred" line - number "reversed" line)
                            (number "earned" line)
                            "whole"
                    do! scene.BooksAgree()
                })
            play "before its reversals, lets the claims go and moves nothing" [ off ] (fun scene ->
                task {
                    let! order = refunded scene
                    do! scene.TransfersAre(order, "reversal_pending")
                    do! returned scene order
                    do! scene.TransfersAre(order, "completed")
                    let! transfers = scene.Transfers order
                    Expect.hasLength transfers 2 "no other transfer is needed"
                    Expect.isEmpty (given scene) "nothing was taken back"
                    do! scene.BooksAgree()
                })
        ]
    ]
