/// What waits says why, since when, and rings when it has waited too long; and what an operator can do with it.
module Veza.Host.Tests.WaitingTests

open System
open System.Collections.Generic
open System.IO
open System.Threading
open System.Threading.Tasks
open Expecto
open Microsoft.Extensions.DependencyInjection
open Npgsql
open Veza.Adapters.Ports
open Veza.Adapters.Postgres.Queries
open Veza.Adapters.Postgres.Repositories
open Veza.Domain
open Veza.Domain.Deposits
open Veza.Domain.Disputes
open Veza.Domain.Payouts
open Veza.Domain.Refunds
open Veza.Domain.Subscriptions
open Veza.Domain.Transfers
open Veza.Host.Tests.Scene
open Veza.Sandbox.Control
open Veza.Sandbox.Demo

let private none = CancellationToken.None
let private off = [ "REVERSAL_WORKER_ENABLED", "false"; "TRANSFER_RETRY_ENABLED", "false" ]

let private certain result = Expect.wantOk result "the test's own data should be valid"
let private euro = certain (Currency.parse "EUR")
let private ada = certain (SellerId.Parse "ada")
let private account = certain (StripeAccountId.Parse "acct_ada")
/// Nothing of it is due yet, so no worker touches it.
let private start = DateTimeOffset(2126, 11, 2, 12, 0, 0, TimeSpan.Zero)
let private policy = { MaxRetries = 1; Base = TimeSpan.FromMinutes 1.; Cap = TimeSpan.FromHours 1. }

let private rules = {
    Sending = policy
    Reversing = policy
    FundsInterval = TimeSpan.FromHours 1.
    Lease = TimeSpan.FromSeconds 25.
}

let private because cause = { Cause = cause; Code = "code"; Message = "message" }

/// Minutes after the start: a worker takes it, or it hears something.
type private Step =
    | Takes of Minutes: float
    | Hears of Minutes: float * Signal: TransferSignal

let private live (transfer: Transfer) step =
    match step with
    | Takes minutes -> Transfer.claimed rules (start.AddMinutes minutes) transfer
    | Hears(minutes, signal) ->
        match Transfer.apply rules (start.AddMinutes minutes) signal transfer with
        | Advanced(next, _) -> next
        | other -> failtest $"{signal}: {other}"

let private stripeName prefix (id: Guid) = prefix + id.ToString "N"

/// Every state that Watch tells apart, and some that must not ring.
let private transferStates =
    let claim = { Refund = RefundId(Guid.CreateVersion7()); Amount = 40_00L }
    let sent id = Accepted(certain (StripeTransferId.Parse(stripeName "tr_" id)))
    let back id = Accepted(certain (StripeReversalId.Parse(stripeName "trr_" id)))
    let refuses cause minutes = [
        Takes minutes
        Hears(minutes, TransferAnswered(Denied(because cause, false)))
    ]
    let hinders minutes = [
        Takes minutes
        Hears(minutes, TransferAnswered(NotExecuted(Unauthorized, "Invalid API Key provided.")))
    ]
    let returning id = [
        Takes 0.
        Hears(0., TransferAnswered(sent id))
        Hears(10., TransferSignal.RefundSucceeded claim)
    ]
    let keeps cause minutes = [
        Takes minutes
        Hears(minutes, ReversalAnswered(Denied(because cause, false)))
    ]
    [
        "due", (fun _ -> [])
        "in flight", (fun _ -> [ Takes 5. ])
        "in doubt", (fun _ -> [ Takes 5.; Hears(5., TransferAnswered(Answer.InDoubt NoAnswer)) ])
        "refused", (fun _ -> refuses OtherCause 5.)
        "credentials refused, again and again",
        (fun _ -> List.collect hinders [ 5.; 10.; 14.; 17.; 30.; 45. ])
        "without the platform's funds", (fun _ -> refuses PlatformFunds 5.)
        "tried again without the platform's funds", (fun _ -> refuses PlatformFunds 5. @ [ Takes 65. ])
        "the platform's funds have come", (fun _ -> refuses PlatformFunds 5. @ [ Hears(30., FundsArrived) ])
        "given up", (fun _ -> refuses OtherCause 5. @ refuses OtherCause 7.)
        "sent", (fun id -> [ Takes 0.; Hears(0., TransferAnswered(sent id)) ])
        "to be taken back", returning
        "on its way back", (fun id -> returning id @ [ Takes 15. ])
        "hindered on its way back",
        (fun id ->
            returning id
            @ [ Takes 15.; Hears(15., ReversalAnswered(NotExecuted(RateLimited, "Too many requests."))) ])
        "without the seller's funds", (fun id -> returning id @ keeps SellerFunds 15.)
        "tried again without the seller's funds",
        (fun id -> returning id @ keeps SellerFunds 15. @ [ Takes 75. ])
        "given up on its way back", (fun id -> returning id @ keeps OtherCause 15. @ keeps OtherCause 17.)
        "back", (fun id -> returning id @ [ Takes 15.; Hears(15., ReversalAnswered(back id)) ])
        "written off", (fun id -> returning id @ keeps SellerFunds 15. @ [ Hears(20., WriteOffRequested) ])
        "cancelled", (fun _ -> [ Hears(5., TransferSignal.RefundSucceeded { claim with Amount = 100_00L }) ])
    ]

let private trying = { Trying = policy; Lease = TimeSpan.FromSeconds 25.; AskEvery = TimeSpan.FromHours 1. }

let private payoutStates =
    let hear minutes signal payout =
        match Payout.apply trying (start.AddMinutes minutes) signal payout with
        | Advanced next -> next
        | other -> failtest $"{signal}: {other}"
    let take minutes = Payout.claimed trying (start.AddMinutes minutes)
    let sight says (payout: Payout) = {
        StripeId = certain (StripePayoutId.Parse(stripeName "po_" payout.Id.Value))
        Says = says
    }
    let says fact minutes payout = hear minutes (PayoutReported(sight fact payout)) payout
    let refused = Hindrance.shown Unauthorized "Invalid API Key provided."
    [
        "requested", id
        "hindered",
        take 5. >> hear 5. (PayoutAnswered(NotExecuted(Unauthorized, "Invalid API Key provided.")))
        "at Stripe", says PayoutFact.IsPending 5.
        "at Stripe, and nobody can ask", says IsInTransit 5. >> hear 65. (PayoutSignal.LookUpFailed refused)
        "in doubt",
        take 5.
        >> hear 5. (PayoutAnswered(Answer.InDoubt StoredServerError))
        >> hear 6. (PayoutSeen [])
        >> take 8.
        >> hear 8. (PayoutAnswered(Answer.InDoubt StoredServerError))
        >> hear 9. (PayoutSeen [])
        "paid", says IsPaid 5.
        "refused", take 5. >> hear 5. (PayoutAnswered(Denied(because OtherCause, false)))
    ]

let private plan = { Code = "plan"; Price = { Minor = 100L; Currency = euro }; Interval = Month }
let private charging = { Charging = policy; AskEvery = TimeSpan.FromHours 1. }

/// Each step at so many days after the start.
let private subscriptionStates =
    let first = { Period = 1; Try = 0 }
    let second = { Period = 2; Try = 0 }
    let refused = because OtherCause
    let paid = [ 0., ChargeSent; 0., PeriodPaid first ]
    let pastDue = paid @ [ 40., ChargeSent ]
    [
        "never paid", []
        "being paid for the first time", [ 0., ChargeSent; 3., SubscriptionSignal.ProviderSilent ]
        "refused the first time", [ 0., ChargeSent; 1., PeriodFailed(first, refused) ]
        "refused to the end",
        [
            0., ChargeSent
            1., PeriodFailed(first, refused)
            2., ChargeSent
            3., PeriodFailed({ first with Try = 1 }, refused)
        ]
        "paid", paid
        "past due", pastDue
        "past due, and nobody can tell", pastDue @ [ 45., SubscriptionSignal.ProviderSilent ]
        "past due, tried again", pastDue @ [ 41., PeriodFailed(second, refused); 44., ChargeSent ]
        "cancelled", paid @ [ 2., CancelRequested ]
    ]

let private asking = { SweepAfter = TimeSpan.FromMinutes 2.; AbsentAfter = TimeSpan.FromMinutes 4. }

/// Each step at so many minutes after the start.
let private depositStates =
    let leaving = [ 5., PaymentConfirmed ]
    let taken = WithdrawalSeen({ Name = "re"; Amount = 100_00L; By = ByRefund Taken }, ByAnswer)
    [
        "earned", None, []
        "of another amount", Some WrongAmount, []
        "late", Some LatePayment, []
        "late, and nobody confirms it", Some LatePayment, [ 5., DepositSignal.ProviderSilent ]
        "on its way back", Some LatePayment, leaving
        "on its way back, and nobody can tell",
        Some LatePayment,
        leaving @ [ 60., DepositSignal.ProviderSilent ]
        "not taken back", Some SecondPayment, leaving @ [ 60., ReturnRefused(because OtherCause) ]
        "to be given back as an operator says", Some WrongCurrency, [ 60., ReturnRequested ]
        "given back", Some WrongAmount, [ 60., taken ]
        "taken by its order", Some LatePayment, [ 60., OrderTookIt ]
    ]

/// A clock that stands.
let private at (time: DateTimeOffset) = {
    new TimeProvider() with
        member _.GetUtcNow() = time
}

let private raised (scene: Scene) time =
    task {
        let database = scene.Services.GetRequiredService<NpgsqlDataSource>()
        let! raised = Alarms(database, at time).Raised none
        return [ for alarm in raised -> alarm.Word, alarm.Example, alarm.Since ]
    }

let private store (scene: Scene) fill =
    task {
        use! session = scene.Services.GetRequiredService<IStore>().Begin none
        let changes = Changes()
        fill changes
        do! session.Write(changes, start, none)
        do! session.Commit none
    }

/// Silent to the last moment of its patience, and then exactly that alarm, with that example and since then.
let private ringsAs scene what (watch: Watch option) example made =
    task {
        match watch with
        | None ->
            let! ringing = raised scene (start.AddYears 1)
            Expect.isEmpty ringing $"{what}: nothing to tell anybody"
        | Some watch ->
            let since = watch.Since |> Option.defaultValue made
            let over = since + watch.Patience
            let! before = raised scene (over.AddSeconds -1.)
            Expect.isEmpty before $"{what}: not yet"
            let! ringing = raised scene (over.AddSeconds 1.)
            Expect.equal ringing [ Alarm.word watch.Alarm, example, since ] what
    }

let private ready (scene: Scene) =
    task {
        let! body = scene.Http.GetStringAsync(scene.Address + "/health/ready")
        return body
    }

let private operator (scene: Scene) path body = scene.As("operator", "POST", path, body)
let private admin transfer what = $"""/api/v1/admin/transfers/{text "id" transfer}/{what}"""

let private waitingFor (scene: Scene) order what =
    scene.Until(
        $"the transfers to wait for {what}",
        fun () ->
            task {
                let! transfers = scene.Transfers order
                return transfers |> List.forall (fun transfer -> text "waiting_for" transfer = what)
            }
    )

[<Tests>]
let tests =
    testList "waiting" [
        testList "alarms ring as the specification says" [
            play "transfers, in every state" off (fun scene ->
                task {
                    for what, story in transferStates do
                        let id = Guid.CreateVersion7()
                        let owed =
                            Transfer.schedule
                                (TransferId id)
                                (OrderId(Guid.CreateVersion7()))
                                ada
                                account
                                { Minor = 100_00L; Currency = euro }
                                start
                                TimeSpan.Zero
                        let transfer = List.fold live owed (story id)
                        do! store scene (fun changes -> changes.Transfers.Become(id, owed) |> ignore)
                        do!
                            store scene (fun changes ->
                                changes.Transfers.Read(id, Versioned<Transfer>(owed, 1))
                                changes.Transfers.Become(id, transfer) |> ignore)
                        do! ringsAs scene what (Watch.ofTransfer transfer) (string id) start
                        do!
                            scene.Execute
                                "delete from seller_transfer_reversals; delete from seller_transfers"
                })
            play "payouts, in every state" off (fun scene ->
                task {
                    do! scene.Seller "ada"
                    for what, story in payoutStates do
                        let id = Guid.CreateVersion7()
                        let asked =
                            Payout.request (PayoutId id) ada account { Minor = 1L; Currency = euro } start
                        let payout = story asked
                        do! store scene (fun changes -> changes.Payouts.Become(id, asked) |> ignore)
                        do!
                            store scene (fun changes ->
                                changes.Payouts.Read(id, Versioned<Payout>(asked, 1))
                                changes.Payouts.Become(id, payout) |> ignore)
                        do! ringsAs scene what (Watch.ofPayout payout) (string id) start
                        do! scene.Execute "delete from payouts"
                })
            play
                "payments, in every status that Hyperswitch has: all but those in which the buyer is to act"
                off
                (fun scene ->
                    task {
                        let! order = scene.Order()
                        let! _ = scene.OfferPayment order
                        let waitsForTheBuyer = [
                            "requires_payment_method"
                            "requires_confirmation"
                            "requires_customer_action"
                            "failed"
                            "cancelled"
                            "expired"
                        ]
                        let others = [
                            "processing"
                            "requires_merchant_action"
                            "requires_capture"
                            "partially_captured"
                            "partially_captured_and_capturable"
                            "partially_authorized_and_requires_capture"
                            "partially_captured_and_processing"
                            "cancelled_post_capture"
                            "conflicted"
                            "review"
                            "a status of next year"
                        ]
                        let over = start + Alarm.patience PaymentUndecided
                        for status in waitsForTheBuyer @ others do
                            do!
                                scene.Execute
                                    $"update payments set provider_status = '{status}', created_at = '{start:u}', due_at = '{start:u}'"
                            let! before = raised scene (over.AddSeconds -1.)
                            if List.contains status ProviderWords.needingPerson then
                                Expect.hasLength before 1 $"{status}: a person at Hyperswitch must act"
                            else
                                Expect.isEmpty before $"{status}: not yet"
                            let! ringing = raised scene (over.AddSeconds 1.)
                            let expected =
                                if List.contains status others then
                                    [ "payment_undecided" ]
                                else
                                    []
                            Expect.equal [ for word, _, _ in ringing -> word ] expected status
                    })
            play "refunds, in every state" off (fun scene ->
                task {
                    let! order = scene.Order()
                    let rules = {
                        SweepAfter = TimeSpan.FromMinutes 2.
                        AbsentAfter = TimeSpan.FromMinutes 4.
                    }
                    let says = [
                        "pending", []
                        "submitted", [ ProviderSays StillPending ]
                        "refused credentials", [ ProviderTroubled(Hindrance.shown Unauthorized "said") ]
                        "succeeded", [ ProviderSays HasSucceeded ]
                        "failed", [ ProviderSays(RefundFact.HasFailed(because OtherCause)) ]
                    ]
                    for what, signals in says do
                        let id = Guid.CreateVersion7()
                        let reserved =
                            Refund.reserve
                                (RefundId id)
                                (OrderId(Guid order))
                                { Minor = 1L; Currency = euro }
                                OfRest
                                []
                                None
                                rules
                                start
                        let refund =
                            (reserved, signals)
                            ||> List.fold (fun refund signal ->
                                match Refund.apply rules (start.AddDays 3) signal refund with
                                | Advanced next -> next
                                | other -> failtest $"{other}")
                        do! store scene (fun changes -> changes.Refunds.Become(id, reserved) |> ignore)
                        do!
                            store scene (fun changes ->
                                changes.Refunds.Read(id, Versioned<Refund>(reserved, 1))
                                changes.Refunds.Become(id, refund) |> ignore)
                        do! ringsAs scene what (Watch.ofRefund refund) (string id) start
                        do! scene.Execute "delete from refunds"
                })
            play "subscriptions, in every state" off (fun scene ->
                task {
                    for what, signals in subscriptionStates do
                        let id = Guid.CreateVersion7()
                        let begun = Subscription.subscribe (SubscriptionId id) "buyer" plan start
                        let subscription =
                            (begun, signals)
                            ||> List.fold (fun subscription (days: float, signal) ->
                                match
                                    Subscription.apply charging (start.AddDays days) signal subscription
                                with
                                | Advanced next -> next
                                | other -> failtest $"{what}: {other}")
                        do! store scene (fun changes -> changes.Subscriptions.Become(id, begun) |> ignore)
                        do!
                            store scene (fun changes ->
                                changes.Subscriptions.Read(id, Versioned<Subscription>(begun, 1))
                                changes.Subscriptions.Become(id, subscription) |> ignore)
                        do! ringsAs scene what (Watch.ofSubscription subscription) (string id) start
                        do! scene.Execute "delete from subscriptions"
                })
            play "payments outside of an order's books, in every state" off (fun scene ->
                task {
                    let! order = scene.Order()
                    let order = OrderId(Guid order)
                    let payment = (PaymentId.For order).Value
                    let amount = { Minor = 100_00L; Currency = euro }
                    for what, stray, signals in depositStates do
                        let came =
                            match stray with
                            | None -> Deposit.earn payment (OfOrder order) amount
                            | Some stray -> Deposit.hold start payment (OfOrder order) amount stray
                        let deposit =
                            (came, signals)
                            ||> List.fold (fun deposit (minutes: float, signal) ->
                                match Deposit.apply asking (start.AddMinutes minutes) signal deposit with
                                | Advanced next -> next
                                | other -> failtest $"{what}: {other}")
                        let id = came.Id.Value
                        do! store scene (fun changes -> changes.Deposits.Become(id, came) |> ignore)
                        do!
                            store scene (fun changes ->
                                changes.Deposits.Read(id, Versioned<Deposit>(came, 1))
                                changes.Deposits.Become(id, deposit) |> ignore)
                        do! ringsAs scene what (Watch.ofDeposit deposit) payment start
                        do! scene.Execute "delete from deposits"
                })
            play "disputes, in every state" off (fun scene ->
                task {
                    let! order = scene.Order()
                    let order = OrderId(Guid order)
                    let rules = { AskEvery = TimeSpan.FromHours 1.; AskAfterwards = TimeSpan.FromDays 100. }
                    let report ruling = {
                        Fact = { Stage = Stage.Dispute; Ruling = ruling }
                        Amount = 100_00L
                        Terms = DisputeTerms.Unknown
                    }
                    for what, first, later in
                        [
                            "open", Opened, []
                            "challenged", Opened, [ Challenged ]
                            "won", Opened, [ WonByUs ]
                            "lost", LostByUs, []
                            "opened again", LostByUs, [ Opened ]
                        ] do
                        let id = DisputeId(Guid.CreateVersion7())
                        let raised = Dispute.start id order what euro (report first) rules start
                        let dispute =
                            (raised, later)
                            ||> List.fold (fun dispute ruling ->
                                let signal = ProviderReports(ByAnswer, report ruling)
                                match Dispute.apply rules (start.AddDays 1) signal dispute with
                                | Advanced next -> next
                                | other -> failtest $"{what}: {other}")
                        do! store scene (fun changes -> changes.Disputes.Become(id.Value, raised) |> ignore)
                        do!
                            store scene (fun changes ->
                                changes.Disputes.Read(id.Value, Versioned<Dispute>(raised, 1))
                                changes.Disputes.Become(id.Value, dispute) |> ignore)
                        do! ringsAs scene what (Watch.ofDispute dispute) (string id.Value) start
                        do! scene.Execute "delete from disputes"
                })
        ]
        for status, code, isOurs in [ 401, "401", true; 403, "403", true; 429, "429", false ] do
            play
                $"{status} from Stripe stands on the transfers, and no try moves their waiting on"
                [ "TRANSFER_RETRY_MAX_RETRIES", "1" ]
                (fun scene ->
                    task {
                        scene.World.Faults.Add(
                            Fault(
                                "stripe.transfers.create",
                                FaultMode.ErrorBefore,
                                Status = status,
                                Code = (if status = 429 then "rate_limit" else "refused"),
                                Message = "Not with this key."
                            )
                        )
                        let! order = scene.PaidOrder()
                        do! waitingFor scene order "provider"
                        let! first = scene.Transfers order
                        do!
                            scene.Until(
                                "some tries",
                                fun () -> Task.FromResult(scene.World.Faults.Struck > 10)
                            )
                        let! transfers = scene.Transfers order
                        for before, transfer in List.zip first transfers do
                            let failure = transfer.GetProperty "failure"
                            Expect.equal
                                (text "code" failure, text "message" failure)
                                (code, "Not with this key.")
                                ""
                            Expect.equal (number "retry_count" transfer) 0L "nothing was refused"
                            let since = transfer.GetProperty("waiting_since").GetDateTimeOffset()
                            let first = before.GetProperty("waiting_since").GetDateTimeOffset()
                            Expect.equal since first "no try is progress"
                            let! ringing = raised scene (since.AddMinutes 16.)
                            Expect.contains [ for word, _, _ in ringing -> word ] "transfer_stuck" "it rings"
                        let! said = ready scene
                        Expect.equal
                            (said.Contains $"refuses our credentials for POST stripe/transfers with {code}")
                            isOurs
                            said
                        scene.World.Faults.Clear()
                        do! scene.TransfersAre(order, "completed")
                        let! after = scene.Transfers order
                        for transfer in after do
                            Expect.equal
                                (text "failure" transfer, text "waiting_since" transfer)
                                ("", "")
                                "over"
                        let! said = ready scene
                        Expect.isFalse (said.Contains "refuses our credentials") said
                    })
        play "401 from Hyperswitch stands on the refund until it has an answer" off (fun scene ->
            task {
                let! order = scene.PaidOrder()
                scene.World.Faults.Add(
                    Fault(
                        "hyperswitch.*",
                        FaultMode.ErrorBefore,
                        Status = 401,
                        Code = "IR_01",
                        Message = "API key invalid"
                    )
                )
                let! answer = scene.Refund(order, "")
                Expect.equal answer.Status 202 "nobody knows"
                let! refund = scene.Get $"""/api/v1/refunds/{answer.Text "id"}"""
                Expect.equal (refund.Body.GetProperty "failure" |> text "code") "401" "what it said"
                let! said = ready scene
                Expect.stringContains said "hyperswitch refuses our credentials" "and in readiness"
                scene.World.Faults.Clear()
                do! scene.RefundIs(answer.Text "id", "succeeded")
                let! refund = scene.Get $"""/api/v1/refunds/{answer.Text "id"}"""
                Expect.equal (text "failure" refund.Body) "" "it has an answer"
            })
        play
            "a host whose key is refused says so in its log, with the transfer and what happens next"
            off
            (fun scene ->
                task {
                    scene.World.Faults.Add(
                        Fault(
                            "stripe.*",
                            FaultMode.ErrorBefore,
                            Status = 401,
                            Message = "Invalid API Key provided."
                        )
                    )
                    let! order = scene.PaidOrder()
                    let! transfers = scene.Transfers order
                    let settings =
                        Dictionary(
                            dict [
                                "DATABASE_URL", scene.ConnectionString
                                "HYPERSWITCH_BASE_URL", scene.HyperswitchUrl
                                "HYPERSWITCH_API_KEY", "snd_test_key_for_hyperswitch"
                                "STRIPE_API_BASE", scene.StripeUrl
                                "STRIPE_SECRET_KEY", "sk_test_key_for_stripe"
                                "LOG_LEVEL", "error"
                            ]
                        )
                    use host = VezaProcess.At(CrashTests.program, settings)
                    do! host.Start none
                    let log () =
                        use file =
                            new FileStream(host.LogFile, FileMode.Open, FileAccess.Read, FileShare.ReadWrite)
                        use reader = new StreamReader(file)
                        reader.ReadToEnd()
                    do!
                        scene.Until(
                            "the log to say so",
                            fun () ->
                                task {
                                    let said = log ()
                                    return
                                        said.Contains "stripe refuses our credentials"
                                        && transfers
                                           |> List.forall (fun transfer ->
                                               said.Contains
                                                   $"""Transfer {text "id" transfer} waits for provider: 401, Invalid API Key provided. It will be retried at""")
                                }
                        )
                })
        play
            "a reversal that waits for the seller's funds is written off: the debt is forgiven"
            [ "FUNDS_RETRY_INTERVAL", "1h" ]
            (fun scene ->
                task {
                    let! order = scene.SettledOrder()
                    for account in [ "acct_ada"; "acct_bob" ] do
                        scene.World.Stripe.PayOut(account, "eur") |> ignore
                    let! refund = scene.Refund(order, ",\"amount\":4000")
                    do! scene.RefundIs(refund.Text "id", "succeeded")
                    do! waitingFor scene order "seller_funds"
                    let! behind = scene.Refund(order, ",\"amount\":2000")
                    do! scene.RefundIs(behind.Text "id", "succeeded")
                    let! transfers = scene.Transfers order
                    for transfer in transfers do
                        let! without = operator scene (admin transfer "write-off") "{}"
                        Expect.equal without.Status 422 "a note is required"
                        let note = """{"note":"the seller is bankrupt"}"""
                        let! answer = operator scene (admin transfer "write-off") note
                        Expect.equal (answer.Status, answer.Text "status") (200, "written_off") ""
                        let! again = operator scene (admin transfer "write-off") note
                        Expect.equal (again.Status, again.Code) (409, "transfer_not_retryable") "once"
                    let! balance = scene.Get "/api/v1/sellers/ada/balance"
                    let! ringing = raised scene (DateTimeOffset.UtcNow.AddDays 30)
                    Expect.isFalse
                        (ringing |> List.exists (fun (word, _, _) -> word = "seller_funds_missing"))
                        "and nobody is called any more"
                    let euros = List.head (items "data" balance.Body)
                    Expect.equal
                        (number "debt" euros, number "reversal_pending" euros)
                        (0L, 0L)
                        "nothing is owed"
                    do! scene.BooksAgree()
                })
        play
            "what has not left is redirected to the seller's present account, and arrives there"
            [ "TRANSFER_RETRY_ENABLED", "false" ]
            (fun scene ->
                task {
                    let! order = scene.PaidOrder()
                    let! transfers = scene.Transfers order
                    let transfer = transfers.Head
                    let note = """{"note":"ticket 4712"}"""
                    let! same = operator scene (admin transfer "redirect") note
                    Expect.equal
                        (same.Status, same.Code)
                        (409, "transfer_not_redirectable")
                        "it is his account"
                    scene.World.Stripe.Open "acct_adanew"
                    do! scene.Execute "update sellers set stripe_account_id = 'acct_adanew' where id = 'ada'"
                    let! seen = scene.Get $"""/api/v1/transfers/{text "id" transfer}"""
                    Expect.equal
                        (seen.Text "redirectable_to")
                        "acct_adanew"
                        "a retry would go to the old one"
                    let! without = operator scene (admin transfer "redirect") "{}"
                    Expect.equal without.Status 422 "a note is required"
                    let! unknown =
                        operator scene $"/api/v1/admin/transfers/{Guid.CreateVersion7()}/redirect" note
                    Expect.equal unknown.Status 404 ""
                    let! answer = operator scene (admin transfer "redirect") note
                    Expect.equal (answer.Status, answer.Text "stripe_account_id") (200, "acct_adanew") ""
                    Expect.equal (answer.Text "redirectable_to") "" "there is no other"
                    let step =
                        items "history" answer.Body
                        |> List.find (fun step -> text "signal" step = "redirect_requested")
                    Expect.equal
                        (text "detail" step, text "actor" step)
                        ("acct_ada to acct_adanew: ticket 4712", "key:Operator")
                        "both accounts, and who did it"
                    let! second = Second.With scene [ "TRANSFER_RETRY_ENABLED", "true" ]
                    do! scene.TransfersAre(order, "completed")
                    do! second.DisposeAsync()
                    let arrived = scene.World.Stripe.Balance("acct_adanew", "eur")
                    Expect.equal
                        (arrived, scene.World.Stripe.Balance("acct_ada", "eur"))
                        (5400L, 0L)
                        "once, there"
                    let! late = operator scene (admin transfer "redirect") note
                    Expect.equal (late.Status, late.Code) (409, "transfer_not_redirectable") "it has left"
                    Expect.equal (late.Text "transfer_status") "completed" ""
                    do! scene.BooksAgree()
                })
    ]
