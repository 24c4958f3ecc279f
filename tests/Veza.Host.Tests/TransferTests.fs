/// Sellers' money on its way: transfers at the simulated Stripe, whatever it answers.
module Veza.Host.Tests.TransferTests

open System.Threading.Tasks
open Expecto
open Veza.Host.Tests.Scene
open Veza.Sandbox.Control
open Veza.Sandbox.Stripe

let private sentTo (scene: Scene) account =
    scene.World.Stripe.Transfers()
    |> Seq.filter (fun transfer -> transfer.Destination = account)
    |> List.ofSeq

/// Ada and Bob have their shares, each once.
let private paidOnce (scene: Scene) =
    Expect.equal [ for transfer in sentTo scene "acct_ada" -> transfer.Amount ] [ 5400L ] "ada's, once"
    Expect.equal [ for transfer in sentTo scene "acct_bob" -> transfer.Amount ] [ 3600L ] "bob's, once"

let private misfortune = [
    "the connection breaks before", Fault("stripe.transfers.create", FaultMode.TimeoutBefore, Times = 2)
    "the answer is lost after it was done",
    Fault("stripe.transfers.create", FaultMode.TimeoutAfter, Times = 2)
    "503, nothing done", Fault("stripe.transfers.create", FaultMode.ErrorBefore, Times = 2, Status = 503)
    "500, although it was done",
    Fault("stripe.transfers.create", FaultMode.ErrorAfter, Times = 2, Status = 500)
    "200 that cannot be read", Fault("stripe.transfers.create", FaultMode.Unreadable, Times = 2)
    "429", Fault("stripe.transfers.create", FaultMode.ErrorBefore, Times = 4, Status = 429)
    "409, key in use",
    Fault(
        "stripe.transfers.create",
        FaultMode.ErrorBefore,
        Times = 2,
        Status = 409,
        Code = "idempotency_key_in_use"
    )
    "429 for a lock",
    Fault("stripe.transfers.create", FaultMode.ErrorBefore, Times = 2, Status = 429, Code = "lock_timeout")
    "401", Fault("stripe.transfers.create", FaultMode.ErrorBefore, Times = 2, Status = 401)
    "a refusal, stored",
    Fault("stripe.transfers.create", FaultMode.ErrorStored, Times = 2, Status = 400, Code = "account_invalid")
]

[<Tests>]
let tests =
    testList "transfers" [
        play "carry order, transfer and attempt, and store Stripe's id on the first try" [] (fun scene ->
            task {
                let! order = scene.SettledOrder()
                paidOnce scene
                let! transfers = scene.Transfers order
                for transfer in transfers do
                    let stripe =
                        scene.World.Stripe.Transfers()
                        |> Seq.find (fun sent -> sent.Id = text "stripe_transfer_id" transfer)
                    Expect.equal stripe.Metadata["order_id"] order ""
                    Expect.equal stripe.Metadata["transfer_id"] (text "id" transfer) ""
                    Expect.equal stripe.Metadata["attempt"] "0" ""
                    Expect.isNotNull stripe.Group "its group is the order's"
                do! scene.BooksAgree()
            })
        for what, misfortune in misfortune do
            play $"are made once, and their ids stored, through: {what}" [] (fun scene ->
                task {
                    scene.World.Faults.Add misfortune
                    let! order = scene.PaidOrder()
                    do! scene.TransfersAre(order, "completed")
                    paidOnce scene
                    do! scene.BooksAgree()
                })
        play
            "wait for the platform's balance without spending a retry"
            [ "TRANSFER_RETRY_MAX_RETRIES", "0" ]
            (fun scene ->
                task {
                    let! order = scene.Order()
                    let! payment = scene.OfferPayment order
                    scene.World.Stripe.Move(StripeBooks.Platform, "eur", -10000L)
                    scene.World.Hyperswitch.Confirm(payment.Text "payment_id", "4242") |> ignore
                    do! scene.TransfersAre(order, "failed")
                    let! waiting = scene.Transfers order
                    Expect.all
                        waiting
                        (fun transfer -> text "waiting_for" transfer = "platform_funds")
                        "the reason is shown"
                    do! Task.Delay 300
                    scene.World.Stripe.Move(StripeBooks.Platform, "eur", 10000L)
                    do! scene.TransfersAre(order, "completed")
                    paidOnce scene
                })
        play "give up after their retries, and an operator's retry stores the id" [] (fun scene ->
            task {
                scene.World.Faults.Add(
                    Fault(
                        "stripe.transfers.create",
                        FaultMode.ErrorStored,
                        Status = 400,
                        Code = "account_invalid"
                    )
                )
                let! order = scene.PaidOrder()
                do! scene.TransfersAre(order, "permanently_failed")
                scene.World.Faults.Clear()
                let! transfers = scene.Transfers order
                for transfer in transfers do
                    Expect.equal (transfer.GetProperty("failure") |> text "code") "account_invalid" "why"
                    let retry = $"""/api/v1/admin/transfers/{text "id" transfer}/retry"""
                    let! forbidden = scene.As("service", "POST", retry, "")
                    Expect.equal (forbidden.Status, forbidden.Code) (403, "forbidden") "operators only"
                    let! answer = scene.As("operator", "POST", retry, "")
                    Expect.equal answer.Status 200 ""
                do! scene.TransfersAre(order, "completed")
                paidOnce scene
                let! history = scene.Get $"""/api/v1/transfers/{text "id" transfers[0]}"""
                let retried =
                    items "history" history.Body
                    |> List.find (fun step -> text "signal" step = "retry_requested")
                Expect.equal (text "actor" retried) "key:Operator" "every operator action is attributed"
            })
        play "cannot be retried while nothing is wrong" [] (fun scene ->
            task {
                let! order = scene.SettledOrder()
                let! transfers = scene.Transfers order
                let! answer =
                    scene.As(
                        "operator",
                        "POST",
                        $"""/api/v1/admin/transfers/{text "id" transfers[0]}/retry""",
                        ""
                    )
                Expect.equal (answer.Status, answer.Code) (409, "transfer_not_retryable") ""
                Expect.equal (answer.Text "transfer_status") "completed" "with the current status"
            })
        play "are written off with a note" [] (fun scene ->
            task {
                scene.World.Faults.Add(
                    Fault(
                        "stripe.transfers.create",
                        FaultMode.ErrorStored,
                        Status = 400,
                        Code = "account_closed"
                    )
                )
                let! order = scene.PaidOrder()
                do! scene.TransfersAre(order, "permanently_failed")
                let! transfers = scene.Transfers order
                let path = $"""/api/v1/admin/transfers/{text "id" transfers[0]}/write-off"""
                let! without = scene.As("operator", "POST", path, "{}")
                Expect.equal without.Status 422 "a note is required"
                let! answer = scene.As("operator", "POST", path, """{"note":"paid by bank transfer"}""")
                Expect.equal (answer.Status, answer.Text "status") (200, "written_off") ""
                do! scene.BooksAgree()
            })
        play
            "are held for TRANSFER_HOLD, and a refund before that cancels or shrinks them"
            [ "TRANSFER_HOLD", "1h" ]
            (fun scene ->
                task {
                    let! order = scene.PaidOrder()
                    let! held = scene.Transfers order
                    Expect.all held (fun transfer -> text "waiting_for" transfer = "hold") ""
                    let! found = scene.Get $"/api/v1/orders/{order}"
                    let line = items "lines" found.Body |> List.head |> text "id"
                    let! answer = scene.Refund(order, $""","lines":["{line}"]""")
                    do! scene.RefundIs(answer.Text "id", "succeeded")
                    let! part = scene.Refund(order, ""","amount":1000""")
                    do! scene.RefundIs(part.Text "id", "succeeded")
                    let! transfers = scene.Transfers order
                    Expect.equal (text "status" transfers[0]) "cancelled" "all of ada's is refunded"
                    Expect.equal
                        (text "status" transfers[1], number "amount" transfers[1])
                        ("pending", 2700L)
                        "bob's shrinks"
                    Expect.isEmpty (scene.World.Stripe.Transfers()) "nothing was sent"
                    do! scene.BooksAgree()
                })
    ]
