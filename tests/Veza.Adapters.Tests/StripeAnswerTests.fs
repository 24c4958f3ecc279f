/// Each row of the table of what Stripe can answer, over HTTP. What an answer allows is the domain's (docs/spec/operation.md).
module Veza.Adapters.Tests.StripeAnswerTests

open System
open System.Collections.Generic
open System.Net.Http
open System.Threading
open System.Threading.Tasks
open Expecto
open Veza.Adapters.Tests.Wire
open Veza.Domain
open Veza.Domain.Transfers
open Veza.Sandbox.Control

let private page = "<html><body>Bad gateway</body></html>"
let private headers pairs = Dictionary<string, string>(dict pairs)

let private before status code = Fault("*", FaultMode.ErrorBefore, Status = status, Code = code)

/// (what Stripe does, how, what it is)
let private transferRows = [
    "200 that cannot be read", Fault("*", FaultMode.Unreadable), "in doubt: Unreadable"
    "no answer, done", Fault("*", FaultMode.TimeoutAfter), "in doubt: NoAnswer"
    "no answer, not done", Fault("*", FaultMode.TimeoutBefore), "in doubt: NoAnswer"
    for status in [ 500; 502; 503; 504; 424 ] do
        $"{status}", before status null, "in doubt: ServerError"
    "500 with Stripe-Should-Retry: false",
    Fault("*", FaultMode.ErrorBefore, Status = 500, Headers = headers [ "Stripe-Should-Retry", "false" ]),
    "in doubt: StoredServerError"
    "409 idempotency_key_in_use", before 409 "idempotency_key_in_use", "not executed: KeyInUse"
    "429 of a limiter", before 429 null, "not executed: RateLimited"
    "429 lock_timeout", before 429 "lock_timeout", "not executed: ObjectLocked"
    "401", before 401 null, "not executed: Unauthorized"
    "403", before 403 null, "not executed: Forbidden"
    "403 account_invalid: not our key, the seller's account",
    before 403 "account_invalid",
    "denied: other account_invalid"
    "400 parameter", before 400 "parameter_invalid_integer", "denied: other parameter_invalid_integer"
    "404 resource_missing", before 404 "resource_missing", "denied: other resource_missing"
    "400 transfers_not_allowed", before 400 "transfers_not_allowed", "denied: other transfers_not_allowed"
    "400 balance_insufficient",
    before 400 "balance_insufficient",
    "denied: platform_funds balance_insufficient"
    "402 insufficient_funds", before 402 "insufficient_funds", "denied: platform_funds insufficient_funds"
    for status in [ 400; 404; 413 ] do
        $"{status} that is a proxy's page",
        Fault("*", FaultMode.ErrorBefore, Status = status, Body = page),
        "in doubt: Unreadable"
    "502 that is a proxy's page",
    Fault("*", FaultMode.ErrorBefore, Status = 502, Body = page),
    "in doubt: ServerError"
]

let private reversalRows = [
    "200 that cannot be read", Fault("*", FaultMode.Unreadable), "in doubt: Unreadable"
    "no answer, done", Fault("*", FaultMode.TimeoutAfter), "in doubt: NoAnswer"
    "500", before 500 null, "in doubt: ServerError"
    "429 lock_timeout", before 429 "lock_timeout", "not executed: ObjectLocked"
    "404 resource_missing", before 404 "resource_missing", "missing"
    "404 that is a proxy's page",
    Fault("*", FaultMode.ErrorBefore, Status = 404, Body = page),
    "in doubt: Unreadable"
    "400 without a code", before 400 null, "duplicate"
    "400 balance_insufficient", before 400 "balance_insufficient", "denied: seller_funds balance_insufficient"
    "400 without a code that speaks of funds",
    Fault(
        "*",
        FaultMode.ErrorBefore,
        Status = 400,
        Message = "The recipient of this transfer does not have sufficient funds in their Stripe balance."
    ),
    "denied: seller_funds balance_insufficient"
    "400 with another code", before 400 "account_invalid", "denied: other account_invalid"
]

[<Tests>]
let tests =
    testList "stripe's answers" [
        testList "to a transfer" [
            play "200" (fun wire ->
                task {
                    let! answer = send wire (owed ())
                    Expect.equal (describe answer) "accepted" ""
                })
            for what, fault, expected in transferRows do
                play what (fun wire ->
                    task {
                        wire.World.Faults.Add fault
                        let! answer = send wire (owed ())
                        Expect.equal (describe answer) expected ""
                    })
            play "no connection" (fun wire ->
                task {
                    let nobody = wire.Over(new SocketsHttpHandler(), "http://127.0.0.1:1/stripe")
                    let! answer = send nobody (owed ())
                    Expect.equal (describe answer) "not executed: Unreachable" ""
                })
            play "400 idempotency_error: the key was used with other parameters" (fun wire ->
                task {
                    let transfer = owed ()
                    match Transfer.duty transfer with
                    | Some(SendTransfer(amount, key)) ->
                        let! _ = wire.Connect.Send(transfer, amount, key, none)
                        let! other = wire.Connect.Send(transfer, amount - 1L, key, none)
                        Expect.equal (describe other.Answer) "key reused" ""
                    | duty -> failtest $"{duty}"
                })
            play "a stored refusal is replayed, and says so" (fun wire ->
                task {
                    wire.World.Stripe.Move("platform", "eur", -1_000_00L)
                    let transfer = owed ()
                    let! first = send wire transfer
                    Expect.equal (describe first) "denied: platform_funds balance_insufficient" ""
                    wire.World.Stripe.Move("platform", "eur", 1_000_00L)
                    let! again = send wire transfer
                    Expect.equal
                        (describe again)
                        "denied: platform_funds balance_insufficient, replayed"
                        "the money came, and the key still says no"
                })
            play "a stored 500 is replayed, and is final" (fun wire ->
                task {
                    wire.World.Faults.Add(Fault("*", FaultMode.ErrorStored, Times = 1, Status = 500))
                    let transfer = owed ()
                    let! first = send wire transfer
                    let! again = send wire transfer
                    Expect.equal
                        (describe first, describe again)
                        ("in doubt: ServerError", "in doubt: StoredServerError")
                        ""
                })
            play "the same key a day later is a new request" (fun wire ->
                task {
                    let transfer = owed ()
                    let! _ = send wire transfer
                    let! _ = send wire transfer
                    Expect.hasLength (wire.World.Stripe.Transfers()) 1 "within the day"
                    wire.World.Clock.Jump(TimeSpan.FromHours 25.)
                    let! _ = send wire transfer
                    Expect.hasLength
                        (wire.World.Stripe.Transfers())
                        2
                        "which is why the domain never sends it"
                })
            play "the caller's own cancellation is the caller's" (fun wire ->
                task {
                    use gone = new CancellationTokenSource()
                    gone.Cancel()
                    let transfer = owed ()
                    match Transfer.duty transfer with
                    | Some(SendTransfer(amount, key)) ->
                        let! cancelled =
                            task {
                                try
                                    let! _ = wire.Connect.Send(transfer, amount, key, gone.Token)
                                    return false
                                with :? OperationCanceledException ->
                                    return true
                            }
                        Expect.isTrue cancelled "no answer is made up"
                    | duty -> failtest $"{duty}"
                })
            play "it is found again by its metadata, in its group or at its account" (fun wire ->
                task {
                    let transfer = owed ()
                    wire.World.Faults.Add(
                        Fault("stripe.transfers.create", FaultMode.TimeoutAfter, Times = 1)
                    )
                    let! _ = send wire transfer
                    let! found = wire.Connect.Find(transfer, none)
                    Expect.hasLength found 1 ""
                    let! nothing = wire.Connect.Find(owed (), none)
                    Expect.isEmpty nothing "another's"
                })
        ]
        testList "to a reversal" [
            play "200" (fun wire ->
                task {
                    let! transfer = toReverse wire 20_00L
                    let! answer = reverse wire transfer
                    Expect.equal (describe answer) "accepted" ""
                    Expect.equal
                        (wire.World.Stripe.Balance("acct_ada", "eur"))
                        30_00L
                        "the amount is always named"
                })
            for what, fault, expected in reversalRows do
                play what (fun wire ->
                    task {
                        let! transfer = toReverse wire 20_00L
                        wire.World.Faults.Add fault
                        let! answer = reverse wire transfer
                        Expect.equal (describe answer) expected ""
                    })
            play "a stored refusal without a code is replayed, and says so" (fun wire ->
                task {
                    let! transfer = toReverse wire 20_00L
                    wire.World.Faults.Add(Fault("*", FaultMode.ErrorStored, Times = 1, Status = 400))
                    let! first = reverse wire transfer
                    let! again = reverse wire transfer
                    Expect.equal
                        (describe first, describe again)
                        ("duplicate", "duplicate, replayed")
                        "only another key will do"
                })
            play "already fully reversed, and more than is left, have no code: the list decides" (fun wire ->
                task {
                    for byHand in [ 50_00L; 40_00L ] do
                        let! transfer = toReverse wire 20_00L
                        let id =
                            match Transfer.duty transfer with
                            | Some(SendReversal(id, _, _)) -> id
                            | duty -> failtest $"{duty}"
                        let form = Dictionary(dict [ "amount", string byHand ])
                        wire.World.Stripe.Reverse(id.Value, form) |> ignore
                        let! answer = reverse wire transfer
                        Expect.equal (describe answer) "duplicate" ""
                        match Transfer.sighting transfer with
                        | ValueSome struct (id, key) ->
                            let! sight = wire.Connect.FindReversal(id, Option.toObj key, none)
                            Expect.equal (sight.Ours, sight.AmountReversed) (None, byHand) "somebody else's"
                            Expect.equal
                                [ for reversal in sight.Keyless -> reversal.Reversed ]
                                [ byHand ]
                                "for certain"
                        | ValueNone -> failtest "it was sent"
                })
            play "the seller's empty balance" (fun wire ->
                task {
                    let! transfer = toReverse wire 20_00L
                    wire.World.Stripe.PayOut("acct_ada", "eur") |> ignore
                    let! answer = reverse wire transfer
                    Expect.equal (describe answer) "denied: seller_funds balance_insufficient" ""
                })
            play "ours is found among more than one page of others'" (fun wire ->
                task {
                    let! transfer = toReverse wire 20_00L
                    let! answer = reverse wire transfer
                    match Transfer.sighting transfer with
                    | ValueSome struct (id, key) ->
                        for _ in 1..120 do
                            wire.World.Stripe.Reverse(id.Value, Dictionary(dict [ "amount", "1" ])) |> ignore
                        let! sight = wire.Connect.FindReversal(id, Option.toObj key, none)
                        Expect.equal
                            (sight.Ours, sight.AmountReversed)
                            ((match answer with
                              | Accepted id -> Some id
                              | _ -> None),
                             21_20L)
                            "the embedded list shows ten"
                        Expect.equal sight.Keyless.Length 120 "ours has its key"
                    | ValueNone -> failtest "it was sent"
                })
        ]
        testList "to a payout" [
            play "200 and an empty balance, on the seller's own account" (fun wire ->
                task {
                    let! refused = payOut wire 10_00L
                    Expect.equal (describe refused) "denied: seller_funds balance_insufficient" ""
                    let! _ = send wire (owed ())
                    let! answer = payOut wire 10_00L
                    Expect.equal (describe answer) "accepted" ""
                    Expect.equal (wire.World.Stripe.Balance("acct_ada", "eur")) 40_00L ""
                })
            play "no answer" (fun wire ->
                task {
                    let! _ = send wire (owed ())
                    wire.World.Faults.Add(Fault("stripe.payouts.create", FaultMode.TimeoutAfter))
                    let! answer = payOut wire 10_00L
                    Expect.equal (describe answer) "in doubt: NoAnswer" ""
                })
        ]
    ]
