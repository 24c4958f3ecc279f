/// What an operator can do about money that belongs to nothing.
module Veza.Host.Tests.DepositTests

open System
open System.Threading
open Expecto
open Microsoft.Extensions.DependencyInjection
open Veza.Adapters.Postgres.Queries
open Veza.Domain
open Veza.Host.Tests.Browser
open Veza.Host.Tests.Scene
open Veza.Sandbox.Control
open Veza.Sandbox.Hyperswitch

let private note = """{"note":"agreed with the buyer"}"""

let private nobody = "01a20d86-0000-7000-8000-000000000000"

/// So much of an order's payment was captured.
let private captured (scene: Scene) status (amount: int64) =
    task {
        let! order = scene.Order()
        let! offered = scene.OfferPayment order
        let payment = offered.Text "payment_id"
        scene.World.Hyperswitch.Become(payment, status, Nullable amount) |> ignore
        do! scene.DepositIs(payment, "held")
        let! id = scene.Scalar<Guid> $"select id from deposits where payment_id = '{payment}'"
        return order, payment, string id
    }

let private giveBack (scene: Scene) id =
    scene.As("operator", "POST", $"/api/v1/admin/deposits/{id}/refund", note)

let private rings (scene: Scene) =
    task {
        let! raised = scene.Services.GetRequiredService<Alarms>().Raised(CancellationToken.None)
        return raised |> Seq.exists (fun found -> found.Alarm = Alarm.MoneyInSuspense)
    }

let private isGivenBackOnce (scene: Scene) payment amount =
    task {
        do! scene.DepositIs(payment, "cleared")
        let struct (_, refunded) = scene.World.Hyperswitch.Totals()["EUR"]
        Expect.equal refunded amount "once"
        let! suspense = scene.Balance "suspense"
        Expect.equal suspense 0L ""
        let! isRaised = rings scene
        Expect.isFalse isRaised "the alarm is silent"
        do! scene.BooksAgree()
    }

[<Tests>]
let tests =
    testList "suspense, by an operator" [
        play "what was captured in part is given back, and the alarm falls silent" [] (fun scene ->
            task {
                let! order, payment, id = captured scene "partially_captured" 6000L
                let! isRaised = rings scene
                Expect.isTrue isRaised ""
                let! held = scene.As("read", "GET", "/api/v1/admin/deposits?status=held", "")
                let found = items "data" held.Body |> List.exactlyOne
                Expect.equal
                    (text "id" found, text "order_id" found, text "reason" found)
                    (id, order, "partially_captured")
                    ""
                let! asked = giveBack scene id
                Expect.equal asked.Status 200 (asked.Body.ToString())
                do! isGivenBackOnce scene payment 6000L
                let! story = scene.As("read", "GET", $"/api/v1/admin/deposits/{id}", "")
                let step =
                    items "history" story.Body
                    |> List.find (fun step -> text "signal" step = "return_requested")
                Expect.equal
                    (text "actor" step, text "detail" step)
                    ("key:Operator", "agreed with the buyer")
                    "who, and why"
                let! audited = scene.As("read", "GET", $"/api/v1/admin/audit?object={id}", "")
                Expect.equal
                    (items "data" audited.Body |> List.map (text "action"))
                    [ "deposit.refund" ]
                    "in the audit log"
            })
        play "what is not held is not given back" [] (fun scene ->
            task {
                let! _, payment, id = captured scene "partially_captured" 6000L
                let! nameless = scene.As("operator", "POST", $"/api/v1/admin/deposits/{id}/refund", "{}")
                Expect.equal (nameless.Status, nameless.Code) (422, "invalid_fields") "a note is needed"
                let! service = scene.Post($"/api/v1/admin/deposits/{id}/refund", note)
                Expect.equal service.Status 403 "only an operator"
                let! unknown = giveBack scene nobody
                Expect.equal unknown.Status 404 ""
                let! none = scene.Get $"/api/v1/admin/deposits/{nobody}"
                Expect.equal none.Status 404 ""
                scene.World.Hyperswitch.Decide(RefundFate.StaysPending, 1)
                let! _ = giveBack scene id
                do! scene.DepositIs(payment, "returning")
                let! twice = giveBack scene id
                Expect.equal
                    (twice.Status, twice.Code, twice.Text "deposit_status")
                    (409, "deposit_not_refundable", "returning")
                    "it is on its way"
            })
        play "after a refund that failed, a second one under another name" [] (fun scene ->
            task {
                let! _, payment, id = captured scene "partially_captured" 6000L
                scene.World.Hyperswitch.Decide(RefundFate.Failed, 1)
                let! _ = giveBack scene id
                do! scene.DepositIs(payment, "held")
                let! failed = scene.Get $"/api/v1/admin/deposits/{id}"
                Expect.equal (text "code" (failed.Body.GetProperty "error")) "refund_failed" ""
                let! _ = giveBack scene id
                do! isGivenBackOnce scene payment 6000L
            })
        play "what may still be captured is not: Hyperswitch's refusal stands at it" [] (fun scene ->
            task {
                let! order, payment, id = captured scene "partially_captured_and_capturable" 6000L
                let! refused = giveBack scene id
                Expect.equal
                    (refused.Text "status", text "code" (refused.Body.GetProperty "error"))
                    ("held", "IR_14")
                    ""
                scene.World.Hyperswitch.Become(payment, "succeeded") |> ignore
                do! scene.OrderIs(order, "completed")
                do! scene.TransfersAre(order, "completed")
                do! scene.BooksAgree()
            })
        for mode in
            [ FaultMode.TimeoutAfter; FaultMode.TimeoutBefore; FaultMode.ErrorAfter; FaultMode.Unreadable ] do
            play $"once too where its refund has no clear answer ({mode})" [] (fun scene ->
                task {
                    let! _, payment, id = captured scene "partially_captured" 6000L
                    scene.World.Faults.Add(fault "hyperswitch.refunds.create" mode 1)
                    scene.World.Courier.Add(DeliveryRule("refund_succeeded", Delivery.Drop, Times = 1))
                    let! _ = giveBack scene id
                    do! isGivenBackOnce scene payment 6000L
                })
        play "deposits are listed newest first, page by page" [] (fun scene ->
            task {
                let! _, _, first = captured scene "partially_captured" 6000L
                let! _, _, second = captured scene "partially_captured" 5000L
                let! newest = scene.Get "/api/v1/admin/deposits?limit=1"
                Expect.equal (items "data" newest.Body |> List.map (text "id")) [ second ] ""
                let! older =
                    scene.Get $"""/api/v1/admin/deposits?limit=1&cursor={newest.Text "next_cursor"}"""
                Expect.equal (items "data" older.Body |> List.map (text "id")) [ first ] ""
                Expect.isFalse (older.Body.GetProperty("has_more").GetBoolean()) ""
                let! wrong = scene.Get "/api/v1/admin/deposits?status=lost"
                Expect.equal wrong.Status 422 ""
            })
        play "the console shows what needs an operator, and gives it back" [] (fun scene ->
            task {
                let! _, payment, id = captured scene "partially_captured" 6000L
                use browser = new Browser(scene.Address)
                let! _ = browser.SignIn(scene.Key "operator")
                let held = "/console/deposits?status=held"
                let! _, page, _ = browser.Get held
                Expect.stringContains page "60.00 EUR" ""
                let submit note =
                    browser.Submit(held, $"/console/deposits/{id}/refund", [ "note", note ], true)
                let! _ = submit " "
                let! _, told, _ = browser.Get held
                Expect.stringContains told "Nothing was done: say why" "a note is needed"
                let! status, _, back = submit "agreed"
                Expect.equal (status, back) (302, held) ""
                do! isGivenBackOnce scene payment 6000L
                let! _, after, _ = browser.Get held
                Expect.stringContains after "Nothing needs an operator." ""
            })
    ]
