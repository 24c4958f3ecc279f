/// Each row of what Hyperswitch can answer, over HTTP: by code and status, never by the type it names.
module Veza.Adapters.Tests.HyperswitchAnswerTests

open Expecto
open System.Net.Http
open System.Text.Json
open Veza.Adapters.Http
open Veza.Adapters.Hyperswitch
open Veza.Adapters.Stripe
open Veza.Adapters.Tests.Wire
open Veza.Domain
open Veza.Domain.Refunds
open Veza.Sandbox.Control
open Veza.Sandbox.Hyperswitch

let private page = "<html><body>Not here</body></html>"
let private error status code = Fault("*", FaultMode.ErrorBefore, Status = status, Code = code)

/// (what Hyperswitch does, how, what it is when something was to be made, what it is when it was only asked)
let private rows = [
    "no answer", Fault("*", FaultMode.TimeoutAfter), "in doubt: NoAnswer", "in doubt: NoAnswer"
    "500 HE_00", error 500 "HE_00", "in doubt: ServerError", "in doubt: ServerError"
    "502 that is a proxy's page",
    Fault("*", FaultMode.ErrorBefore, Status = 502, Body = page),
    "in doubt: ServerError",
    "in doubt: ServerError"
    "404 that is a proxy's page",
    Fault("*", FaultMode.ErrorBefore, Status = 404, Body = page),
    "in doubt: Unreadable",
    "in doubt: Unreadable"
    "404 IR_02, a wrong address", error 404 "IR_02", "in doubt: Unreadable", "in doubt: Unreadable"
    "200 that cannot be read",
    Fault("*", FaultMode.Unreadable),
    "in doubt: Unreadable",
    "in doubt: Unreadable"
    "401 IR_01", error 401 "IR_01", "not executed: Unauthorized", "not executed: Unauthorized"
    "403 IR_22", error 403 "IR_22", "not executed: Forbidden", "not executed: Forbidden"
    "429", error 429 "HE_00", "not executed: RateLimited", "not executed: RateLimited"
    "422 HE_00, busy", error 422 "HE_00", "not executed: ObjectLocked", "not executed: ObjectLocked"
    "400 HE_01, a duplicate", error 400 "HE_01", "duplicate", "in doubt: NoAnswer"
    "400 IR_06, an unknown field", error 400 "IR_06", "denied: other IR_06", "in doubt: NoAnswer"
    "400 CE_01, the connector refuses", error 400 "CE_01", "denied: other CE_01", "in doubt: NoAnswer"
    "200 with an error, blocked", error 200 "HE_03", "denied: other HE_03", "in doubt: NoAnswer"
]

[<Tests>]
let tests =
    testList "hyperswitch's answers" [
        testList "to a payment" [
            for what, fault, made, asked in rows do
                play what (fun wire ->
                    task {
                        let order = order ()
                        let! _ = wire.Hyperswitch.CreatePayment(order, null, none)
                        wire.World.Faults.Add fault
                        let! answer = wire.Hyperswitch.CreatePayment(Wire.order (), null, none)
                        Expect.equal (describe answer.Answer) made "when it was to be made"
                        let! answer = wire.Hyperswitch.GetPayment(PaymentId.For order.Id, none)
                        Expect.equal
                            (describe answer.Answer)
                            asked
                            "a question that is refused is a question without an answer"
                    })
            play "made once, whatever is repeated" (fun wire ->
                task {
                    let order = order ()
                    let! first = wire.Hyperswitch.CreatePayment(order, null, none)
                    let! again = wire.Hyperswitch.CreatePayment(order, null, none)
                    Expect.equal (describe first.Answer, describe again.Answer) ("accepted", "duplicate") ""
                    let! unknown = wire.Hyperswitch.GetPayment(PaymentId.For (Wire.order ()).Id, none)
                    Expect.equal (describe unknown.Answer) "missing" "HE_02 alone proves an absence"
                })
            play "no connection" (fun _ ->
                task {
                    let nobody =
                        Veza.Adapters.Hyperswitch.HyperswitchClient(
                            new HttpClient(BaseAddress = System.Uri "http://127.0.0.1:1/"),
                            null
                        )
                    let! answer = nobody.CreatePayment(order (), null, none)
                    Expect.equal (describe answer.Answer) "not executed: Unreachable" ""
                })
        ]
        testList "to a refund" [
            play "more than is left is IR_13, an unpaid payment IR_14, an unknown one a refusal" (fun wire ->
                task {
                    let! order = paid wire
                    let! tooMuch = wire.Hyperswitch.CreateRefund(refundOf order 100_01L, none)
                    Expect.equal (describe tooMuch.Answer) "denied: other IR_13" ""
                    let unpaid = Wire.order ()
                    let! _ = wire.Hyperswitch.CreatePayment(unpaid, null, none)
                    let! early = wire.Hyperswitch.CreateRefund(refundOf unpaid 1L, none)
                    Expect.equal (describe early.Answer) "denied: other IR_14" ""
                    let! unknown = wire.Hyperswitch.CreateRefund(refundOf (Wire.order ()) 1L, none)
                    Expect.equal (describe unknown.Answer) "denied: other HE_02" ""
                })
            play "200 and failed is a failure; 200 and pending is not decided" (fun wire ->
                task {
                    let! order = paid wire
                    for fate, expected in
                        [
                            RefundFate.Failed, "failed"
                            RefundFate.StaysPending, "pending"
                            RefundFate.Succeeded, "succeeded"
                        ] do
                        wire.World.Hyperswitch.Decide(fate, 1)
                        let! answered = wire.Hyperswitch.CreateRefund(refundOf order 10_00L, none)
                        match answered.Answer with
                        | Accepted refund ->
                            let says =
                                match refund.Report.Says with
                                | HasFailed _ -> "failed"
                                | StillPending -> "pending"
                                | HasSucceeded -> "succeeded"
                            Expect.equal says expected ""
                        | other -> failtest $"{other}"
                })
            play "review is not decided, and a word that Hyperswitch invents next is not guessed at" (fun _ ->
                task {
                    let told (status: string) =
                        use json =
                            System.Text.Json.JsonDocument.Parse
                                $$"""{"refund_id":"ref_1","payment_id":"pay_1","amount":1,"currency":"EUR","status":"{{status}}"}"""
                        Veza.Adapters.Hyperswitch.HyperswitchMapping.Refund json.RootElement
                    for status in [ "review"; "manual_review"; "pending" ] do
                        Expect.equal (told status).Report.Says StillPending status
                    // As an answer it is a doubt, as a webhook it is shown to a person.
                    Expect.throwsT<System.Text.Json.JsonException>
                        (fun () -> told "hatching" |> ignore)
                        "unknown"
                })
            play "a full refund repeated says IR_13 although the first one worked" (fun wire ->
                task {
                    let! order = paid wire
                    let refund = refundOf order 100_00L
                    let! first = wire.Hyperswitch.CreateRefund(refund, none)
                    let! again = wire.Hyperswitch.CreateRefund(refund, none)
                    Expect.equal
                        (describe first.Answer, describe again.Answer)
                        ("accepted", "denied: other IR_13")
                        "which is why it is sent once and then asked about"
                    let! books = wire.Hyperswitch.GetRefund(ProviderRefundId.For refund.Id, none)
                    Expect.equal (describe books.Answer) "accepted" ""
                })
            play "listed by time, page after page" (fun wire ->
                task {
                    let! order = paid wire
                    for _ in 1..101 do
                        let! _ = wire.Hyperswitch.CreateRefund(refundOf order 1L, none)
                        ()
                    let from = wire.World.Clock.GetUtcNow().AddHours -1.
                    let upto = wire.World.Clock.GetUtcNow().AddHours 1.
                    let! first = wire.Hyperswitch.ListRefunds(from, upto, 0, none)
                    let! second = wire.Hyperswitch.ListRefunds(from, upto, 100, none)
                    let count (answered: Answered<_>) =
                        match answered.Answer with
                        | Accepted(refunds: System.Collections.Generic.IReadOnlyList<_>) -> refunds.Count
                        | other -> failtest $"{other}"
                    Expect.equal (count first, count second) (100, 1) ""
                })
        ]
        testList "to a question about a dispute" [
            play "its amount is a string, its name Stripe's" (fun wire ->
                task {
                    let! order = paid wire
                    let id =
                        wire.World.Hyperswitch.Dispute(
                            (PaymentId.For order.Id).Value,
                            System.Nullable(),
                            false
                        )
                    let! answered = wire.Hyperswitch.GetDispute(nonNull id, none)
                    match answered.Answer with
                    | Accepted dispute ->
                        Expect.equal dispute.Amount 100_00L ""
                        Expect.stringStarts dispute.Name "dp_" "both providers report the same one"
                        let atStripe = wire.World.Charges.GetDispute(dispute.Name).Body.ToJsonString()
                        let told = StripeMapping.Dispute(JsonDocument.Parse(atStripe).RootElement)
                        Expect.equal told.Terms dispute.Terms "and in the same terms"
                        Expect.equal dispute.Terms.Reason (Some "fraudulent") ""
                        Expect.isSome dispute.Terms.RespondBy ""
                    | other -> failtest $"{other}"
                })
            test "a last moment that is missing, nought or cannot be read is none" {
                let hyperswitch (field: string) =
                    let json =
                        """{"dispute_id":"dis_1","payment_id":"pay_1","amount":"100","currency":"EUR","dispute_stage":"dispute","dispute_status":"dispute_opened","""
                        + field
                        + "}"
                    (HyperswitchMapping.Dispute(JsonDocument.Parse(json).RootElement)).Terms
                let stripe (field: string) =
                    let json =
                        """{"id":"dp_1","amount":100,"currency":"eur","status":"needs_response","""
                        + field
                        + "}"
                    (StripeMapping.Dispute(JsonDocument.Parse(json).RootElement)).Terms
                for terms in
                    [
                        hyperswitch "\"connector_reason\":null"
                        hyperswitch "\"connector_reason\":\"\",\"challenge_required_by\":null"
                        hyperswitch "\"challenge_required_by\":\"soon\""
                        stripe "\"reason\":null"
                        stripe "\"evidence_details\":null"
                        stripe "\"evidence_details\":{\"due_by\":null}"
                        stripe "\"evidence_details\":{\"due_by\":0}"
                        stripe "\"evidence_details\":{\"due_by\":9223372036854775807}"
                    ] do
                    Expect.equal terms Disputes.DisputeTerms.Unknown ""
                let moment = Some(System.DateTimeOffset(2026, 12, 1, 10, 0, 7, System.TimeSpan.Zero))
                for terms in
                    [
                        hyperswitch "\"challenge_required_by\":\"2026-12-01T10:00:07.123Z\""
                        hyperswitch "\"challenge_required_by\":\"2026-12-01T10:00:07\""
                        stripe "\"evidence_details\":{\"due_by\":1796119207}"
                    ] do
                    Expect.equal terms.RespondBy moment "to the second, in UTC"
            }
        ]
    ]
