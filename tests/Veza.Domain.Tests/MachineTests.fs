/// The smaller machines: payouts, subscriptions, disputes, refunds and licenses, by histories.
module Veza.Domain.Tests.MachineTests

open System
open Expecto
open FsCheck
open FsCheck.FSharp
open Veza.Domain
open Veza.Domain.Disputes
open Veza.Domain.Licenses
open Veza.Domain.Payouts
open Veza.Domain.Refunds
open Veza.Domain.Subscriptions
open Veza.Domain.Tests.Histories

let private po number = certain (StripePayoutId.Parse $"po_{number}")
let private trying = { Trying = policy; Lease = TimeSpan.FromMinutes 2.; AskEvery = TimeSpan.FromHours 1. }
let private sight says = { StripeId = po 1; Says = says }
let private failure = PayoutFact.HasFailed(because OtherCause)
let private payoutFacts = [ IsPending; IsInTransit; IsPaid; IsCanceled; failure ]

let private asked =
    Payout.request (PayoutId(guid 1)) (seller "ada") (account "ada") { Minor = 50_00L; Currency = euro } now

type PayoutStep =
    | PayoutTaken
    | PayoutHears of PayoutSignal

let private livePayout payout step =
    match step with
    | PayoutTaken -> Payout.claimed trying now payout
    | PayoutHears signal ->
        match Payout.apply trying now signal payout with
        | Advanced next -> next
        | Unchanged
        | Refused _ -> payout

let private tellPayout steps = List.fold livePayout asked steps

let private charging = { Charging = policy; AskEvery = TimeSpan.FromHours 1. }

let private subscribed =
    Subscription.subscribe
        (SubscriptionId(guid 2))
        "buyer"
        { Code = "pro"; Price = { Minor = 9_99L; Currency = euro }; Interval = Month }
        now

let private periodOf (subscription: Subscription) =
    subscription.Paid |> Option.map _.Payment.Period |> Option.defaultValue 0

type SubscriptionStep =
    | Days of int
    | SubscriptionHears of SubscriptionSignal

let private liveSubscription (subscription, at: DateTimeOffset) step =
    match step with
    | Days days -> subscription, at.AddDays(float days)
    | SubscriptionHears signal ->
        match Subscription.apply charging at signal subscription with
        | Advanced next -> next, at
        | Unchanged
        | Refused _ -> subscription, at

let private tellSubscription steps = List.fold liveSubscription (subscribed, now) steps

let private disputing = { AskEvery = TimeSpan.FromHours 12.; AskAfterwards = TimeSpan.FromDays 120. }

let private reportOf fact = { Fact = fact; Amount = 10_00L; Terms = DisputeTerms.Unknown }

let private disputed =
    let report = reportOf { Stage = PreDispute; Ruling = Opened }
    Dispute.start (DisputeId(guid 3)) (OrderId(guid 4)) "dp_1" euro report disputing now

let private hearDispute source dispute fact =
    match Dispute.apply disputing now (ProviderReports(source, reportOf fact)) dispute with
    | Advanced next -> next
    | Unchanged
    | Refused Contradicts -> dispute

let private reserved =
    Refund.reserve
        (RefundId(guid 5))
        (OrderId(guid 4))
        { Minor = 10_00L; Currency = euro }
        OfRest
        [ { Seller = seller "ada"; Amount = 10_00L } ]
        (Some "broken")
        refundRules
        now

let private hearRefund refund signal =
    match Refund.apply refundRules now signal refund with
    | Advanced next -> next
    | Unchanged
    | Refused _ -> refund

type Machines =
    static member PayoutStep() =
        Arb.fromGen (
            Gen.frequency [
                1, Gen.constant PayoutTaken
                2,
                Gen.elements [
                    Accepted(sight IsPending)
                    Denied(because OtherCause, false)
                    Denied(because OtherCause, true)
                    NotExecuted(RateLimited, "")
                    NotExecuted(KeyInUse, "")
                    Answer.InDoubt NoAnswer
                    Answer.InDoubt StoredServerError
                    Duplicate("seen", false)
                    KeyReused "other parameters"
                    Missing
                ]
                |> Gen.map (PayoutAnswered >> PayoutHears)
                2, Gen.elements payoutFacts |> Gen.map (sight >> PayoutReported >> PayoutHears)
                1,
                Gen.elements [
                    PayoutSeen []
                    PayoutSeen [ sight IsPaid ]
                    PayoutSignal.LookUpFailed noWord
                    PayoutSignal.RetryRequested
                    SettledByHand(PaidByHand(po 1))
                    SettledByHand(CanceledByHand None)
                    SettledByHand(FailedByHand(None, "nobody has it"))
                ]
                |> Gen.map PayoutHears
            ]
        )

    static member SubscriptionStep() =
        let payment =
            Gen.map2
                (fun period attempt -> { Period = period; Try = attempt })
                (Gen.choose (1, 3))
                (Gen.choose (0, 3))
        Arb.fromGen (
            Gen.frequency [
                2, Gen.elements [ 1; 15; 31; 62 ] |> Gen.map Days
                3, payment |> Gen.map (PeriodPaid >> SubscriptionHears)
                2,
                payment
                |> Gen.map (fun payment -> SubscriptionHears(PeriodFailed(payment, because OtherCause)))
                3, Gen.constant (SubscriptionHears ChargeSent)
                1, Gen.constant (SubscriptionHears SubscriptionSignal.ProviderSilent)
                1, payment |> Gen.map (PaymentDisputed >> SubscriptionHears)
                1, payment |> Gen.map (PaymentLost >> SubscriptionHears)
                1, payment |> Gen.map (PaymentRegained >> SubscriptionHears)
                1,
                Gen.frequency [
                    1, Gen.constant (SubscriptionHears SubscriptionSignal.CancelRequested)
                    6, Gen.constant (Days 1)
                ]
            ]
        )

    static member Fact() =
        Gen.map2
            (fun stage ruling -> { Stage = stage; Ruling = ruling })
            (Gen.elements DisputeWords.everyStage)
            (Gen.elements DisputeWords.everyRuling)
        |> Arb.fromGen

let private property name =
    testPropertyWithConfig { config with arbitrary = typeof<Machines> :: config.arbitrary } name

let private shuffled (seed: int) list =
    let random = Random seed
    list |> List.sortBy (fun _ -> random.Next())

[<Tests>]
let payouts =
    testList "payout" [
        property "a row brings the same payout back" (fun (history: PayoutStep list) ->
            let payout = tellPayout history
            PayoutRow.ofRow (PayoutRow.toRow payout) = Ok payout)
        property
            "any order of the same facts ends the same"
            (fun (facts: FsCheck.NonNegativeInt list) (seed: int) ->
                let facts = facts |> List.map (fun fact -> List.item (fact.Get % 5) payoutFacts)
                let told facts =
                    PayoutTaken
                    :: PayoutHears(PayoutAnswered(Accepted(sight IsPending)))
                    :: [ for fact in facts -> PayoutHears(PayoutReported(sight fact)) ]
                    |> tellPayout
                (told facts).Status = (told (shuffled seed facts)).Status)
        property
            "a fact heard twice is heard once"
            (fun (history: PayoutStep list) (fact: FsCheck.NonNegativeInt) ->
                let hears = PayoutHears(PayoutReported(sight (List.item (fact.Get % 5) payoutFacts)))
                let once = livePayout (tellPayout history) hears
                livePayout once hears = once)
        property "no retry passes its limit, and what waits has a time" (fun (history: PayoutStep list) ->
            let payout = tellPayout history
            match payout.Status with
            | Requested attempt
            | PayoutStatus.InDoubt attempt -> attempt.Retries <= policy.MaxRetries
            | PayoutStatus.Pending _
            | InTransit _
            | Paid _
            | PayoutStatus.Canceled _
            | PayoutStatus.Failed _ -> true)
        property "a new key is taken only after a definite no" (fun (history: PayoutStep list) ->
            let generation (payout: Payout) =
                match payout.Status with
                | Requested attempt
                | PayoutStatus.InDoubt attempt -> attempt.Operation.Generation
                | PayoutStatus.Pending _
                | InTransit _
                | Paid _
                | PayoutStatus.Canceled _
                | PayoutStatus.Failed _ -> 0
            // Without an operator's proof, or a refusal and the proof that it meant what it said, a payout that was sent
            // keeps its key for as long as that lives.
            let proves step =
                match step with
                | PayoutHears(PayoutSignal.RetryRequested | PayoutAnswered(Duplicate _ | KeyReused _ | Missing)) ->
                    true
                | PayoutHears _
                | PayoutTaken -> false
            List.exists proves history || generation (tellPayout history) = 0)
        test "a doubt keeps its key, and its last retry is a look-up" {
            let doubt = [ PayoutTaken; PayoutHears(PayoutAnswered(Answer.InDoubt NoAnswer)) ]
            let payout = List.replicate 4 doubt |> List.concat |> tellPayout
            match Payout.duty payout with
            | Some(FindPayout key) -> Expect.stringEnds key.Value ":0" "the first key"
            | duty -> failtest $"{duty}"
        }
        test "a stored server error is looked up, and what is not found is asked for again" {
            let looking =
                tellPayout [ PayoutTaken; PayoutHears(PayoutAnswered(Answer.InDoubt StoredServerError)) ]
            match Payout.duty looking with
            | Some(FindPayout _) -> ()
            | duty -> failtest $"{duty}"
            match Payout.duty (livePayout looking (PayoutHears(PayoutSeen []))) with
            | Some(SendPayout key) -> Expect.stringEnds key.Value ":0" "the same key while it lives"
            | duty -> failtest $"{duty}"
        }
        test "what is under way is asked about, and waits for that" {
            for fact in [ IsPending; IsInTransit ] do
                let known = tellPayout [ PayoutHears(PayoutReported(sight fact)) ]
                Expect.equal (Payout.duty known) (Some(PayoutDuty.AskAbout(po 1))) ""
                let due (payout: Payout) =
                    match payout.Status with
                    | PayoutStatus.Pending(_, due)
                    | InTransit(_, due) -> due
                    | status -> failtest $"{status}"
                Expect.equal (due known) (now.AddHours 1.) "Stripe tells by itself before that"
                Expect.equal (due (livePayout known PayoutTaken)) (now.AddMinutes 2.) "a worker's lease"
                let silent =
                    livePayout (livePayout known PayoutTaken) (PayoutHears(PayoutSignal.LookUpFailed noWord))
                Expect.equal (due silent) (now.AddHours 1.) "no answer: later"
        }
        property "a person settles only what is in doubt" (fun (history: PayoutStep list) ->
            let payout = tellPayout history
            for says in [ PaidByHand(po 1); CanceledByHand None; FailedByHand(None, "nobody has it") ] do
                match Payout.apply trying now (SettledByHand says) payout with
                | Advanced next ->
                    Expect.isTrue (Payout.isInDoubt payout) "only then"
                    Expect.isNone (Payout.duty next) "nothing is owed after that"
                | Refused NotInDoubt -> Expect.isFalse (Payout.isInDoubt payout) "or not at all"
                | outcome -> failtest $"{outcome}")
        test "a look-up that is under way leaves a payout as much in doubt as the one before it" {
            let doubtful =
                tellPayout [
                    PayoutTaken
                    PayoutHears(PayoutAnswered(Answer.InDoubt StoredServerError))
                    PayoutTaken
                    PayoutHears(PayoutSignal.LookUpFailed noWord)
                ]
            Expect.isTrue (Payout.isInDoubt doubtful) "the look-up has failed"
            Expect.isTrue (Payout.isInDoubt (livePayout doubtful PayoutTaken)) "and the next one runs"
            let sending = tellPayout [ PayoutTaken ]
            Expect.isFalse (Payout.isInDoubt sending) "a request on the wire is another matter"
        }
        test "Stripe's word on what was settled by hand is heard all the same" {
            let doubtful = tellPayout [ PayoutTaken; PayoutHears(PayoutSeen [ sight IsPaid; sight IsPaid ]) ]
            for says in [ CanceledByHand None; FailedByHand(None, "nobody has it") ] do
                let settled = livePayout doubtful (PayoutHears(SettledByHand says))
                let told = livePayout settled (PayoutHears(PayoutReported(sight IsPaid)))
                Expect.equal told.Status (Paid(po 1)) "it was made after all"
        }
        test "what a person says is held against what Stripe shows" {
            let report says amount = {
                Sight = sight says
                Amount = amount
                Currency = "eur"
                Account = asked.Account.Value
            }
            let said ending named = { Ending = ending; Named = named; Note = "seen" }
            let judge ending named look = PayoutSettlement.judge (said ending named) look asked
            let one says = Shown [ report says 50_00L ]
            let seen says = Tell(PayoutSeen [ sight says ])
            let byHand says = Tell(SettledByHand says)
            let paid, failed, canceled = Some EndedPaid, Some EndedFailed, Some EndedCanceled
            for ending, named, look, expected in
                [
                    None, None, one IsInTransit, seen IsInTransit
                    paid, None, one IsPaid, seen IsPaid
                    failed, Some(po 1), one failure, seen failure
                    canceled, Some(po 1), one IsCanceled, seen IsCanceled
                    failed, None, one IsPaid, SaysOtherwise(sight IsPaid)
                    paid, Some(po 1), one IsInTransit, SaysOtherwise(sight IsInTransit)
                    canceled, None, one failure, SaysOtherwise(sight failure)
                    None, Some(po 1), Shown [ report IsPaid 49_00L ], NotThisOne
                    None, Some(po 2), Shown [], NotThisOne
                    None,
                    None,
                    Shown [ report IsPaid 1L; report IsPaid 2L ],
                    SeveralShown [ sight IsPaid; sight IsPaid ]
                    None, None, Shown [], byHand (FailedByHand(None, "seen"))
                    failed, None, Shown [], byHand (FailedByHand(None, "seen"))
                    canceled, None, Shown [], byHand (CanceledByHand None)
                    paid, None, Shown [], NameMissing
                    None, Some(po 1), Hidden, EndingMissing
                    paid, None, Hidden, NameMissing
                    paid, Some(po 1), Hidden, byHand (PaidByHand(po 1))
                    failed, Some(po 1), Hidden, byHand (FailedByHand(Some(po 1), "seen"))
                    canceled, None, Hidden, byHand (CanceledByHand None)
                ] do
                Expect.equal (judge ending named look) expected $"{ending} {named} {look}"
        }
        test "told once more what it knows, it waits anew" {
            let later = now.AddMinutes 30.
            let known = tellPayout [ PayoutHears(PayoutReported(sight IsInTransit)) ]
            match Payout.apply trying later (PayoutReported(sight IsInTransit)) known with
            | Advanced next -> Expect.equal next.Status (InTransit(po 1, later.AddHours 1.)) ""
            | outcome -> failtest $"{outcome}"
        }
        test "a hindrance and a failed look-up wait a moment" {
            for steps in
                [
                    [ PayoutTaken; PayoutHears(PayoutAnswered(NotExecuted(RateLimited, ""))) ]
                    [ PayoutTaken; PayoutHears(PayoutSignal.LookUpFailed noWord) ]
                ] do
                match (tellPayout steps).Status with
                | Requested attempt ->
                    Expect.equal (attempt.DueAt, attempt.Waiting) (now + policy.Base, ForProvider) ""
                | status -> failtest $"{status}"
        }
        test "more than one match, or none after the last retry, is for a person" {
            let several = [ sight IsPending; { StripeId = po 2; Says = IsPending } ]
            Expect.isTrue (tellPayout [ PayoutHears(PayoutSeen several) ]).Status.IsInDoubt ""
            let doubt = [ PayoutTaken; PayoutHears(PayoutAnswered(Answer.InDoubt NoAnswer)) ]
            let stuck = tellPayout (List.concat (List.replicate 4 doubt) @ [ PayoutHears(PayoutSeen []) ])
            Expect.isTrue stuck.Status.IsInDoubt "one last look-up"
            let retried = livePayout stuck (PayoutHears PayoutSignal.RetryRequested)
            match Payout.duty retried with
            | Some(FindPayout key) -> Expect.stringEnds key.Value ":0" "proof first"
            | duty -> failtest $"{duty}"
            match Payout.duty (livePayout retried (PayoutHears(PayoutSeen []))) with
            | Some(SendPayout key) -> Expect.stringEnds key.Value ":1" "proven absent by hand: a new key"
            | duty -> failtest $"{duty}"
            for payout in [ asked; tellPayout [ PayoutHears(PayoutReported(sight IsPaid)) ] ] do
                Expect.equal
                    (Payout.apply trying now PayoutSignal.RetryRequested payout)
                    (Refused NotInDoubt)
                    ""
        }
        test "a refusal is final, and said" {
            let refused =
                tellPayout [ PayoutTaken; PayoutHears(PayoutAnswered(Denied(because SellerFunds, false))) ]
            Expect.equal refused.Status (PayoutStatus.Failed(None, because SellerFunds)) ""
            Expect.equal (Payout.duty refused) None "an operator asks for another one"
        }
        test "paid may still fail, and failed does not become paid" {
            let paid = tellPayout [ PayoutHears(PayoutReported(sight IsPaid)) ]
            let failed = livePayout paid (PayoutHears(PayoutReported(sight failure)))
            Expect.isTrue failed.Status.IsFailed "the bank refused it"
            Expect.equal (livePayout failed (PayoutHears(PayoutReported(sight IsPaid)))) failed "old news"
        }
        test "another payout under our name is for a person" {
            let paid = tellPayout [ PayoutHears(PayoutReported(sight IsPaid)) ]
            let other = { StripeId = po 2; Says = IsPaid }
            Expect.equal
                (Payout.apply trying now (PayoutReported other) paid)
                (Refused AnotherPayoutExists)
                "money may have moved twice"
        }
    ]

[<Tests>]
let subscriptions =
    testList "subscription" [
        property "a row brings the same subscription back" (fun (history: SubscriptionStep list) ->
            let subscription, _ = tellSubscription history
            Subscription.ofRow (Subscription.toRow subscription) = Ok subscription)
        property "is active only on a confirmed payment" (fun (history: SubscriptionStep list) ->
            let subscription, _ = tellSubscription history
            let isPaid =
                history
                |> List.exists (fun step ->
                    match step with
                    | SubscriptionHears(PeriodPaid _) -> true
                    | SubscriptionHears _
                    | Days _ -> false)
            not subscription.Status.IsActive || isPaid)
        property "a payment heard twice is heard once" (fun (history: SubscriptionStep list) ->
            let paid = SubscriptionHears(PeriodPaid { Period = 1; Try = 0 })
            let once = liveSubscription (tellSubscription history) paid
            liveSubscription once paid = once)
        property "the paid periods only grow" (fun (history: SubscriptionStep list) ->
            List.scan liveSubscription (subscribed, now) history
            |> List.pairwise
            |> List.forall (fun ((before, _), (after, _)) -> periodOf before <= periodOf after))
        property "each try has a payment id of its own" (fun (history: SubscriptionStep list) ->
            let charges =
                List.scan liveSubscription (subscribed, now) history
                |> List.choose (fun (subscription, at) ->
                    match Subscription.duty at subscription with
                    | Some(ChargePeriod payment) -> Some payment.Value
                    | Some(AskAbout _)
                    | None -> None)
                |> List.distinct
            charges |> List.forall (fun payment -> payment.Length = 30))
        test "begins unpaid, becomes active, falls due and recovers" {
            let paid period attempt = SubscriptionHears(PeriodPaid { Period = period; Try = attempt })
            let status steps = SubscriptionWords.status (fst (tellSubscription steps)).Status
            let first = [ SubscriptionHears ChargeSent; paid 1 0 ]
            Expect.equal (status []) "pending_payment" ""
            Expect.equal (status first) "active" ""
            Expect.equal
                (status (first @ [ Days 10; SubscriptionHears ChargeSent ]))
                "active"
                "it is paid for a month"
            let due = first @ [ Days 31; SubscriptionHears ChargeSent ]
            Expect.equal (status due) "past_due" ""
            Expect.equal (status (due @ [ paid 2 0 ])) "active" ""
            let failed attempt = [
                SubscriptionHears ChargeSent
                SubscriptionHears(PeriodFailed({ Period = 2; Try = attempt }, because OtherCause))
            ]
            Expect.equal
                (status (first @ [ Days 31 ] @ List.collect failed [ 0..3 ]))
                "expired"
                "its tries are used up"
            Expect.equal
                (status (first @ [ SubscriptionHears SubscriptionSignal.CancelRequested ]))
                "canceled"
                ""
        }
        test "each interval has its length, and an open charge is asked about in time" {
            let until interval period =
                let made =
                    Subscription.subscribe
                        (SubscriptionId(guid 2))
                        "buyer"
                        { subscribed.Plan with Interval = interval }
                        now
                let rec pay subscription number =
                    match
                        Subscription.apply charging now (PeriodPaid { Period = number; Try = 0 }) subscription
                    with
                    | Advanced next when number = period -> next
                    | Advanced next -> pay next (number + 1)
                    | outcome -> failtest $"{outcome}"
                match (pay made 1).Status with
                | Active paid -> paid.Until
                | status -> failtest $"{status}"
            Expect.equal (until Day 3) (now.AddDays 3.) ""
            Expect.equal (until Week 3) (now.AddDays 21.) ""
            Expect.equal (until Month 3) (now.AddMonths 3) ""
            Expect.equal (until Year 3) (now.AddYears 3) ""
            let charge, _ = tellSubscription [ SubscriptionHears ChargeSent ]
            Expect.equal
                charge.Status
                (PendingPayment { Period = 1; Retries = 0; DueAt = now.AddHours 1.; IsOpen = true })
                ""
            let failed, _ =
                tellSubscription [
                    SubscriptionHears ChargeSent
                    SubscriptionHears(PeriodFailed({ Period = 1; Try = 0 }, because OtherCause))
                ]
            Expect.equal
                failed.Status
                (PendingPayment {
                    Period = 1
                    Retries = 1
                    DueAt = now + Backoff.spread policy 0 (guid 2)
                    IsOpen = false
                })
                "the next try after its backoff"
        }
        test "what is open is asked about, what is due is charged, what is paid rests" {
            let duty steps =
                let subscription, at = tellSubscription steps
                Subscription.duty at subscription
            let payment period attempt = PaymentId.ForPeriod(SubscriptionId(guid 2), period, attempt)
            Expect.equal (duty []) (Some(ChargePeriod(payment 1 0))) ""
            Expect.equal (duty [ SubscriptionHears ChargeSent ]) (Some(AskAbout(payment 1 0))) ""
            let paid = [ SubscriptionHears(PeriodPaid { Period = 1; Try = 0 }) ]
            Expect.equal (duty paid) None "until the month is over"
            Expect.isFalse
                (Subscription.toRow (fst (tellSubscription paid))).IsOpen
                "nothing is being charged"
            Expect.equal (duty (paid @ [ Days 31 ])) (Some(ChargePeriod(payment 2 0))) ""
        }
        test "an earlier period's payment that was not booked then is one too many" {
            let second, at =
                tellSubscription [
                    for period in 1..2 -> SubscriptionHears(PeriodPaid { Period = period; Try = 0 })
                ]
            for attempt in 0..1 do
                Expect.equal
                    (Subscription.apply charging at (PeriodPaid { Period = 1; Try = attempt }) second)
                    (Refused PaidTwice)
                    "what was booked is known by its deposit, before anybody asks the subscription"
        }
        test "two payments for one period are for a person" {
            let active, at = tellSubscription [ SubscriptionHears(PeriodPaid { Period = 1; Try = 0 }) ]
            Expect.equal
                (Subscription.apply charging at (PeriodPaid { Period = 1; Try = 1 }) active)
                (Refused PaidTwice)
                "one must be given back"
            let over, at = tellSubscription [ SubscriptionHears SubscriptionSignal.CancelRequested ]
            Expect.equal
                (Subscription.apply charging at (PeriodPaid { Period = 1; Try = 0 }) over)
                (Refused PaidAfterTheEnd)
                "nobody is served for it"
        }
        test "the 31st stays the 31st after a February" {
            let since = DateTimeOffset(2027, 1, 31, 0, 0, 0, TimeSpan.Zero)
            let plan = subscribed.Plan
            let made = Subscription.subscribe (SubscriptionId(guid 2)) "buyer" plan since
            let until period =
                match Subscription.apply charging since (PeriodPaid { Period = 1; Try = 0 }) made with
                | Advanced next when period = 1 -> next.Status
                | Advanced next ->
                    match
                        Subscription.apply charging since (PeriodPaid { Period = period; Try = 0 }) next
                    with
                    | Advanced next -> next.Status
                    | outcome -> failtest $"{outcome}"
                | outcome -> failtest $"{outcome}"
            Expect.equal
                (until 1)
                (Active {
                    Payment = { Period = 1; Try = 0 }
                    Until = DateTimeOffset(2027, 2, 28, 0, 0, 0, TimeSpan.Zero)
                })
                ""
            Expect.equal
                (until 2)
                (Active {
                    Payment = { Period = 2; Try = 0 }
                    Until = DateTimeOffset(2027, 3, 31, 0, 0, 0, TimeSpan.Zero)
                })
                ""
        }
    ]

[<Tests>]
let disputes =
    testList "dispute" [
        property "a row brings the same dispute back" (fun (facts: DisputeFact list) ->
            let dispute = List.fold (hearDispute ByAnswer) disputed facts
            Dispute.ofRow (Dispute.toRow dispute) = Ok dispute)
        property "a fact heard twice is heard once" (fun (facts: DisputeFact list) ->
            let heard facts = List.fold (hearDispute ByWebhook) disputed facts
            heard facts = heard (facts |> List.collect (fun fact -> [ fact; fact ])))
        property
            "an answer is followed wherever it leads"
            (fun (facts: DisputeFact list) (last: DisputeFact) ->
                let dispute = hearDispute ByAnswer (List.fold (hearDispute ByAnswer) disputed facts) last
                let word =
                    match last.Ruling with
                    | Opened
                    | Challenged -> "open"
                    | WonByUs -> "won"
                    | LostByUs -> "lost"
                dispute.Seen = last && DisputeWords.status dispute.Status = word)
        property
            "a late webhook never changes what is decided"
            (fun (facts: DisputeFact list) (late: DisputeFact) ->
                let dispute = List.fold (hearDispute ByAnswer) disputed facts
                dispute.Status.IsOpen || hearDispute ByWebhook dispute late = dispute)
        test "is asked about for four months after its decision, ever more rarely" {
            let decided = hearDispute ByAnswer disputed { Stage = Dispute; Ruling = WonByUs }
            let next days = (Dispute.polled disputing (now.AddDays days) decided).DueAt
            Expect.equal (next 0.) (Some(now.AddHours 12.)) "the steady pace at first"
            Expect.equal (next 60.) (Some(now.AddDays 90.)) "half of its age"
            Expect.equal (next 120.) None "enough"
            let open' = Dispute.polled disputing (now.AddDays 200.) disputed
            Expect.equal open'.DueAt (Some((now.AddDays 200.).AddHours 12.)) "an open one for ever"
        }
    ]

[<Tests>]
let refundsAndLicenses =
    testList "refund and license" [
        test "a refund that succeeded and failed is undone once" {
            let failed = ProviderSays(HasFailed(because OtherCause))
            let undone = hearRefund (hearRefund reserved (ProviderSays HasSucceeded)) failed
            match undone.Status with
            | RefundStatus.Failed(_, isUndone) -> Expect.isTrue isUndone "it had succeeded"
            | status -> failtest $"{status}"
            Expect.equal (Refund.apply refundRules now failed undone) Unchanged "once"
            Expect.equal
                (Refund.apply refundRules now (ProviderSays HasSucceeded) undone)
                Unchanged
                "old news"
        }
        test "a refund that only failed and then succeeded is for a person" {
            let failed = hearRefund reserved (ProviderSays(HasFailed(because OtherCause)))
            Expect.equal
                (Refund.apply refundRules now (ProviderSays HasSucceeded) failed)
                (Refused SucceededAfterFailure)
                "its amount may be refunded twice"
        }
        test "what stays undecided is asked about ever more rarely" {
            let asked at refund =
                match Refund.apply refundRules (now.AddMinutes at) RefundSignal.ProviderSilent refund with
                | Advanced next ->
                    match next.Status with
                    | RefundStatus.Pending inquiry -> inquiry.DueAt - now.AddMinutes at
                    | status -> failtest $"{status}"
                | outcome -> failtest $"{outcome}"
            Expect.equal (asked 1. reserved) (TimeSpan.FromMinutes 2.) "at first"
            Expect.equal (asked 600. reserved) (TimeSpan.FromMinutes 300.) "half of its age"
        }
        test "a row that no refund can have left is an error" {
            let row = Refund.toRow reserved
            for broken in
                [
                    { row with SentAt = Nullable() }
                    { row with DueAt = Nullable() }
                    { row with Status = "succeeded" }
                    { row with FailureCode = "x" }
                    { row with Scope = "x" }
                    { row with Currency = "x" }
                    { row with ShareSellers = [| "" |] }
                ] do
                Expect.isError (Refund.ofRow broken) $"%A{broken}"
        }
        test "a row brings an undone refund back, and one by dispute" {
            let undone =
                List.fold hearRefund reserved [
                    ProviderSays HasSucceeded
                    ProviderSays(HasFailed(because OtherCause))
                ]
            Expect.equal (Refund.ofRow (Refund.toRow undone)) (Ok undone) ""
            let imposed =
                Refund.imposed reserved.Id reserved.Order reserved.Amount reserved.Shares (Some "dp_1")
            Expect.equal (Refund.ofRow (Refund.toRow imposed)) (Ok imposed) ""
        }
        test "a license is revoked and restored" {
            let granted =
                License.grant
                    (LicenseId(guid 6))
                    (OrderId(guid 4))
                    (LineId(guid 7))
                    "buyer"
                    "product"
                    "standard"
                    (Some now)
            let hear license signal = License.apply signal license |> Option.defaultValue license
            let revoked = hear granted (LineRefunded(RefundId(guid 5)))
            Expect.isTrue revoked.Status.IsRevoked ""
            Expect.equal (hear revoked LicenseSignal.RefundUndone) granted "as before"
            for license in [ granted; revoked ] do
                Expect.equal (License.ofRow (License.toRow license)) (Ok license) ""
        }
    ]
