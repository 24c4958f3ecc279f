/// Money outside of the books of orders: periods that were paid, and payments that belong to nothing.
module Veza.Domain.Tests.DepositTests

open System
open Expecto
open Veza.Domain
open Veza.Domain.Deposits
open Veza.Domain.Disputes
open Veza.Domain.Ledger
open Veza.Domain.Refunds
open Veza.Domain.Subscriptions
open Veza.Domain.Tests.Histories
open Veza.Domain.Tests.SettlementWorld

let private rules = { Charging = policy; AskEvery = TimeSpan.FromHours 1. }
let private plan = { Code = "pro"; Price = { Minor = 900L; Currency = euro }; Interval = Month }
let private first = { Period = 1; Try = 0 }

let private subscribed = Subscription.subscribe (SubscriptionId(guid 2)) "sam" plan now

let private hears at signal subscription =
    match Subscription.apply rules at signal subscription with
    | Advanced next -> next
    | Unchanged -> subscription
    | Refused why -> failtest $"refused: {why}"

let private active = subscribed |> hears now ChargeSent |> hears now (PeriodPaid first)
let private afterMonth = now.AddMonths 1

let private earned =
    Deposit.earn (PaymentId.ForPeriod(active.Id, 1, 0)).Value (OfPeriod(active.Id, first)) {
        Minor = 900L
        Currency = euro
    }

let private two = { Gross = [ 60_00L; 40_00L ]; Bps = 1000; Policy = Proportional; Code = "EUR" }

let private balance account (postings: Posting list) =
    postings |> List.filter (fun posting -> posting.Account = account) |> List.sumBy _.Amount

let private refund name amount says (deposit: Deposit) subscription =
    let report = { Amount = amount; Currency = "EUR"; Payment = deposit.Payment; Says = says }
    SubscriptionSettlement.refundReported
        refundRules
        rules
        now
        name
        report
        ByWebhook
        deposit
        (Some subscription)

let private dispute amount stage ruling source (deposit: Deposit) subscription =
    let fact = { Stage = stage; Ruling = ruling }
    SubscriptionSettlement.disputeReported
        refundRules
        rules
        now
        "dp_1"
        amount
        "EUR"
        fact
        source
        deposit
        (Some subscription)

let private settled verdict =
    match verdict with
    | Settled effect when (depositIn effect).IsSome -> (depositIn effect).Value, subscriptionIn effect
    | verdict -> failtest $"not settled: %A{verdict}"

/// Both as they stand after these words, one after the other.
let private after words =
    ((earned, active), words)
    ||> List.fold (fun (deposit, subscription) word ->
        let next, changed = settled (word deposit subscription)
        next, changed |> Option.defaultValue subscription)

let private says meaning fact payment (subscription: Subscription) deposit =
    let report = { Fact = fact; Meaning = meaning; Refusal = because OtherCause }
    SubscriptionSettlement.paymentReported refundRules rules now report payment subscription deposit

let private factOf (payment: Payment) amount = {
    Payment = (PaymentId.ForPeriod(active.Id, payment.Period, payment.Try)).Value
    Amount = amount
    Currency = "EUR"
    OrderNamed = null
}

[<Tests>]
let periods =
    testList "paid periods" [
        test "what was paid gives access to its end, whatever becomes of the subscription" {
            let canceled = active |> hears (now.AddDays 3.) SubscriptionSignal.CancelRequested
            Expect.equal (canceled.Paid |> Option.map _.Until) (Some afterMonth) "canceled"
            let pastDue = active |> hears afterMonth ChargeSent
            Expect.equal (pastDue.Paid |> Option.map _.Until) (Some afterMonth) "past due"
            let row = Subscription.toRow canceled
            Expect.equal row.PaidUntil (Nullable afterMonth) "and stands in the row"
        }
        test "of five missed months only the present one is charged" {
            let late = now.AddMonths(5).AddDays 2.
            let charged = active |> hears late ChargeSent
            match charged.Status with
            | PastDue(charge, _) -> Expect.equal charge.Period 6 "the sixth month has begun"
            | status -> failtest $"%A{status}"
            let paid = charged |> hears late (PeriodPaid { Period = 6; Try = 0 })
            Expect.equal (paid.Paid |> Option.map _.Until) (Some(now.AddMonths 6)) ""
            Expect.isNone (Subscription.duty late paid) "and nothing more"
        }
        test "a try that comes after its period is over is for the present one" {
            let pastDue =
                active
                |> hears afterMonth ChargeSent
                |> hears afterMonth (PeriodFailed({ Period = 2; Try = 0 }, because OtherCause))
            let late = now.AddMonths(4).AddDays 1.
            Expect.equal
                (Subscription.duty late pastDue)
                (Some(ChargePeriod(PaymentId.ForPeriod(active.Id, 5, 1))))
                "not for the second"
        }
        test "a first payment after its period begins the subscription" {
            let late = now.AddMonths 5
            let paid = subscribed |> hears now ChargeSent |> hears late (PeriodPaid first)
            Expect.equal (paid.Paid |> Option.map _.Until) (Some(late.AddMonths 1)) ""
            Expect.isNone (Subscription.duty late paid) "and is not charged at once again"
        }
    ]

[<Tests>]
let strays =
    testList "payments that belong to nothing" [
        test "what was captured in part is given back on an operator's word, each time under another name" {
            let hears signal deposit =
                match Deposit.apply refundRules now signal deposit with
                | Advanced next -> next
                | Unchanged
                | Refused _ -> failtest $"nothing came of {signal}"
            let returning deposit = deposit |> hears ReturnRequested |> hears PaymentConfirmed
            let taken (deposit: Deposit) amount =
                let withdrawal = {
                    Name = deposit.OwnRefund.Value
                    Amount = amount
                    By = ByRefund RefundStand.Taken
                }
                deposit |> hears (WithdrawalSeen(withdrawal, ByAnswer))
            let order = OrderId(guid 7)
            let amount = { Minor = 6000L; Currency = euro }
            let held = Deposit.hold now "pay_1" (OfOrder order) amount CapturedInPart
            for meaning, isThere in [ PaidInPart, true; PaidInFull, true; Uncaptured, false ] do
                Expect.equal (Deposit.isConfirmedBy meaning 6000L held) isThere $"{meaning}"
            Expect.isFalse
                (Deposit.isConfirmedBy PaidInPart 9000L held)
                "more has come in: that is booked first"
            let first = returning held
            let cleared = taken first 6000L
            Expect.isTrue cleared.Status.IsCleared ""
            let again = cleared |> hears (AmountCaptured 9000L)
            Expect.isTrue again.Status.IsHeld "the rest of it came in"
            let second = returning again
            Expect.notEqual second.OwnRefund first.OwnRefund "the first one's name says nothing of the rest"
            Expect.isTrue (taken second 3000L).Status.IsCleared ""
        }
        test "of an ended subscription are given back" {
            let canceled = subscribed |> hears now SubscriptionSignal.CancelRequested
            let deposit, _ = settled (says PaidInFull (factOf first 900L) first canceled None)
            Expect.equal deposit.Status (ToConfirm(LatePayment, now)) ""
            Expect.equal (balance Suspense (Ledger.ofDeposit None deposit)) -900L "in suspense meanwhile"
        }
        test "the second of one period is given back" {
            let second = { first with Try = 1 }
            let deposit, _ = settled (says PaidInFull (factOf second 900L) second active None)
            Expect.equal deposit.Status (ToConfirm(SecondPayment, now)) ""
        }
        test "of a skipped period are given back" {
            let skipped = active |> hears (now.AddMonths 5) ChargeSent
            let missed = { Period = 3; Try = 0 }
            let deposit, _ = settled (says PaidInFull (factOf missed 900L) missed skipped None)
            Expect.equal deposit.Status (ToConfirm(SecondPayment, now)) ""
        }
        test "captured in part, then to the end: the period is paid" {
            let part, _ = settled (says PaidInPart (factOf first 400L) first subscribed None)
            Expect.equal part.Status (Held(CapturedInPart, now, None)) ""
            let whole, subscription =
                settled (says PaidInFull (factOf first 900L) first subscribed (Some part))
            Expect.equal (whole.Status, whole.Amount.Minor) (Earned, 900L) ""
            Expect.isTrue (subscription |> Option.exists _.Status.IsActive) ""
            let postings = Ledger.ofDeposit None part @ Ledger.ofDeposit (Some part) whole
            Expect.equal (balance Suspense postings, balance SubscriptionRevenue postings) (0L, -900L) ""
        }
        test "are booked once, however often they are reported" {
            let part, _ = settled (says PaidInPart (factOf first 400L) first subscribed None)
            Expect.equal
                (says PaidInPart (factOf first 400L) first subscribed (Some part))
                (Quarantined PartiallyCaptured)
                "and stay before a person while they are there"
            let cleared, _ = settled (refund "ref_x" 400L HasSucceeded part subscribed)
            Expect.equal cleared.Status (Cleared CapturedInPart) ""
            Expect.equal
                (says PaidInPart (factOf first 400L) first subscribed (Some cleared))
                AlreadyKnown
                "given back: nothing to look at"
        }
        test "an order captured in part, then to the end, completes" {
            let order = (start two).Order
            let part = { fact order with Amount = 6000L }
            let held, _ = settled (paymentSays PaidInPart part order None)
            match paymentSays PaidInFull (fact order) order (Some held) with
            | Settled effect ->
                Expect.isSome (orderIn effect) "it is paid"
                let adopted = (depositIn effect).Value
                Expect.equal adopted.Status Adopted ""
                Expect.equal
                    (balance Suspense (Ledger.ofDeposit None held @ Ledger.ofDeposit (Some held) adopted))
                    0L
                    ""
            | verdict -> failtest $"%A{verdict}"
        }
        test "of which a part is back already complete no order" {
            let order = (start two).Order
            let held, _ = settled (paymentSays PaidInPart { fact order with Amount = 6000L } order None)
            let partly, _ = settled (refund "ref_x" 1000L HasSucceeded held active)
            Expect.equal
                (paymentSays PaidInFull (fact order) order (Some partly))
                (Quarantined PartlyTakenBack)
                ""
        }
        test
            "our own refund is sent once the payment is confirmed, and again only under a new name once refused" {
            let held =
                Deposit.hold
                    now
                    "pay_1"
                    (OfOrder(OrderId(guid 4)))
                    { Minor = 900L; Currency = euro }
                    LatePayment
            let told signal deposit =
                match Deposit.apply refundRules now signal deposit with
                | Advanced next -> next
                | outcome -> failtest $"%A{outcome}"
            let refused = held |> told PaymentConfirmed |> told (ReturnRefused(because OtherCause))
            Expect.isTrue refused.Status.IsHeld "for a person"
            let again = refused |> told ReturnRequested
            Expect.notEqual again.OwnRefund held.OwnRefund "what was refused keeps its name"
            Expect.equal (Deposit.duty again) (Some ConfirmPayment) ""
        }
    ]

[<Tests>]
let takenBack =
    testList "periods taken back" [
        test "refunded in full: revenue reversed, access ended, charged no more" {
            let deposit, subscription = after [ refund "ref_x" 900L HasSucceeded ]
            Expect.equal (balance SubscriptionRevenue (Ledger.ofDeposit (Some earned) deposit)) 900L ""
            Expect.equal (subscription.Paid |> Option.map _.Until) (Some now) ""
            Expect.isTrue subscription.Status.IsCanceled ""
            Expect.isNone (Subscription.duty (now.AddYears 1) subscription) ""
        }
        test "refunded in part: revenue reversed by the part, access stays" {
            let deposit, subscription = after [ refund "ref_x" 400L HasSucceeded ]
            Expect.equal (balance SubscriptionRevenue (Ledger.ofDeposit (Some earned) deposit)) 400L ""
            Expect.equal subscription active ""
        }
        test "in two parts that are all of it" {
            let _, subscription = after [ refund "ref_x" 400L HasSucceeded; refund "ref_y" 500L HasSucceeded ]
            Expect.isTrue subscription.Status.IsCanceled ""
        }
        test "the same refund twice is one; another amount under its name is for a person" {
            let deposit, subscription = after [ refund "ref_x" 400L HasSucceeded ]
            Expect.equal (refund "ref_x" 400L HasSucceeded deposit subscription) AlreadyKnown ""
            Expect.equal
                (refund "ref_x" 401L HasSucceeded deposit subscription)
                (Quarantined AmountDiffers)
                ""
        }
        test "of another currency is for a person" {
            let report = { Amount = 900L; Currency = "USD"; Payment = earned.Payment; Says = HasSucceeded }
            Expect.equal
                (SubscriptionSettlement.refundReported
                    refundRules
                    rules
                    now
                    "ref_x"
                    report
                    ByWebhook
                    earned
                    None)
                (Quarantined CurrencyDiffers)
                ""
        }
        test "a failure after the success is asked about before it is believed" {
            let failed = refund "ref_x" 900L (HasFailed(because OtherCause))
            let deposit, subscription = after [ refund "ref_x" 900L HasSucceeded ]
            Expect.equal (failed deposit subscription) MustBeAsked "a webhook may be old"
            let report = {
                Amount = 900L
                Currency = "EUR"
                Payment = earned.Payment
                Says = HasFailed(because OtherCause)
            }
            let back, regained =
                SubscriptionSettlement.refundReported
                    refundRules
                    rules
                    now
                    "ref_x"
                    report
                    ByAnswer
                    deposit
                    (Some subscription)
                |> settled
            Expect.equal (Deposit.left back) 900L ""
            Expect.equal
                (regained |> Option.bind _.Paid |> Option.map _.Until)
                (Some afterMonth)
                "access again"
        }
        test
            "a failure is asked about whenever a webhook brings it: it may be older than a success nobody heard of" {
            let failed = refund "ref_x" 900L (HasFailed(because OtherCause))
            Expect.equal (failed earned active) MustBeAsked "first heard of"
            let pending, subscription = after [ refund "ref_x" 900L StillPending ]
            Expect.equal (failed pending subscription) MustBeAsked "pending until now"
        }
        test "another amount of a dispute is asked about: a webhook may be the older word" {
            let disputed, subscription = after [ dispute 900L Stage.Dispute Opened ByWebhook ]
            for amount in [ 400L; 901L ] do
                for ruling in [ Opened; Challenged ] do
                    Expect.equal
                        (dispute amount Stage.Dispute ruling ByWebhook disputed subscription)
                        MustBeAsked
                        $"{amount} {ruling}"
        }
        test "a dispute takes the money and ends the charging; lost, it ends the access" {
            let disputed, canceled = after [ dispute 900L Stage.Dispute Opened ByWebhook ]
            Expect.equal
                (balance PlatformCash (Ledger.ofDeposit (Some earned) disputed))
                -900L
                "the bank has it"
            Expect.isTrue canceled.Status.IsCanceled "not charged again"
            Expect.equal
                (canceled.Paid |> Option.map _.Until)
                (Some afterMonth)
                "what was paid is not lost yet"
            let _, lost =
                after [
                    dispute 900L Stage.Dispute Opened ByWebhook
                    dispute 900L Stage.Dispute LostByUs ByAnswer
                ]
            Expect.equal (lost.Paid |> Option.map _.Until) (Some now) ""
        }
        test "a dispute won gives the money back; lost again at a later stage takes it again" {
            let won = [
                dispute 900L Stage.Dispute Opened ByWebhook
                dispute 900L Stage.Dispute WonByUs ByAnswer
            ]
            let deposit, _ = after won
            Expect.isEmpty (Ledger.ofDeposit (Some earned) deposit) ""
            let again, subscription = after (won @ [ dispute 900L Arbitration LostByUs ByAnswer ])
            Expect.equal (Deposit.left again) 0L ""
            Expect.equal (subscription.Paid |> Option.map _.Until) (Some now) ""
        }
        test "won after lost at one stage is asked about, then followed" {
            let deposit, subscription = after [ dispute 900L Stage.Dispute LostByUs ByAnswer ]
            Expect.equal (dispute 900L Stage.Dispute WonByUs ByWebhook deposit subscription) MustBeAsked ""
            let back, _ = settled (dispute 900L Stage.Dispute WonByUs ByAnswer deposit subscription)
            Expect.equal (Deposit.left back) 900L ""
        }
        test "opened again after it was won, at whatever stage, is asked about, then followed" {
            let won = [
                dispute 900L Stage.Dispute Opened ByWebhook
                dispute 900L Stage.Dispute WonByUs ByAnswer
            ]
            let deposit, subscription = after won
            for stage in [ Stage.Dispute; PreArbitration ] do
                Expect.equal (dispute 900L stage Opened ByWebhook deposit subscription) MustBeAsked $"{stage}"
                let gone, _ = settled (dispute 900L stage Opened ByAnswer deposit subscription)
                Expect.equal (Deposit.left gone) 0L $"{stage}: the bank has it again"
        }
        test "an inquiry changes nothing" {
            let deposit, subscription = after [ dispute 900L PreDispute Opened ByWebhook ]
            Expect.isEmpty (Ledger.ofDeposit (Some earned) deposit) ""
            Expect.equal subscription active ""
        }
        test "a dispute that grows takes more; refunded and disputed, the platform bears the excess" {
            let deposit, _ =
                after [
                    refund "ref_x" 900L HasSucceeded
                    dispute 400L Stage.Dispute Opened ByWebhook
                    dispute 900L Stage.Dispute Opened ByAnswer
                ]
            let postings = Ledger.ofDeposit None deposit
            Expect.equal (balance PlatformCash postings) -900L "gone twice"
            Expect.equal (balance PlatformLosses postings) 900L ""
            Expect.equal (balance SubscriptionRevenue postings) 0L ""
        }
        test "in whatever order words come, the books sum to zero and cash is what is left" {
            let words: (Deposit -> Subscription -> Verdict<Effect>) list = [
                refund "ref_x" 400L HasSucceeded
                refund "ref_y" 900L HasSucceeded
                refund "ref_y" 900L StillPending
                dispute 900L Stage.Dispute Opened ByWebhook
                dispute 700L Stage.Dispute LostByUs ByAnswer
                dispute 900L Stage.Dispute WonByUs ByAnswer
                dispute 900L Arbitration LostByUs ByAnswer
            ]
            let rec play left (deposit, subscription, posted) =
                Expect.equal (posted |> List.sumBy (fun (p: Posting) -> p.Amount)) 0L "double entry"
                Expect.equal (balance PlatformCash posted) (900L - Deposit.taken deposit) "cash"
                Expect.equal
                    (DepositRow.ofRow (DepositRow.toRow deposit))
                    (Ok deposit)
                    "its row brings it back"
                if left > 0 then
                    for word in words do
                        match word deposit subscription with
                        | Settled effect when (depositIn effect).IsSome ->
                            let posted =
                                posted
                                @ List.collect (fun (booking: Booking) -> booking.Postings) effect.Books
                            let changed = subscriptionIn effect
                            play
                                (left - 1)
                                ((depositIn effect).Value, defaultArg changed subscription, posted)
                        | Settled _
                        | AlreadyKnown
                        | MustBeAsked
                        | Quarantined _ -> ()
            play 4 (earned, active, Ledger.ofDeposit None earned)
        }
    ]
