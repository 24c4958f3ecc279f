/// What a whole run of the mutation showed that nobody would have noticed: limits by one, the words for giving up, what
/// stands in rows by default, and who comes first.
module Veza.Domain.Tests.UnnoticedTests

open System
open Expecto
open Veza.Domain
open Veza.Domain.Disputes
open Veza.Domain.Ledger
open Veza.Domain.Orders
open Veza.Domain.Payouts
open Veza.Domain.Refunds
open Veza.Domain.Subscriptions
open Veza.Domain.Transfers
open Veza.Domain.Tests.Histories
open Veza.Domain.Tests.SettlementWorld
open Veza.Domain.Tests.TransferStories

let private statusOf steps = (tell steps).Transfer.Status

let private givenUpBecause steps =
    match statusOf steps with
    | PermanentlyFailed(_, why) -> why
    | other -> failtest $"%A{other}"

let private times count steps = List.replicate count steps |> List.concat
let private two = { Gross = [ 60_00L; 40_00L ]; Bps = 1000; Policy = Proportional; Code = "EUR" }
let private settledOrder = start two |> pay |> work

/// The order after its first refund, whose money had moved when the bank sent it back.
let private madeGood asked =
    settledOrder |> request 1 asked |> report HasSucceeded 1 |> work |> report failed 1 |> work

/// Of each claim of the second refund: whether it lies on a transfer that made good for the first.
let private makeGoodsTaken world = [
    for transfer in values world.Transfers do
        for settled in transfer.Settled do
            if settled.Claim.Refund = RefundId(guid 2) then
                transfer.Compensates.IsSome
]

[<Tests>]
let transfers =
    testList "unnoticed, of transfers" [
        test "why Veza gave up is said rightly" {
            let exhausted steps = Expect.equal (givenUpBecause steps) RetriesExhausted $"%A{steps}"
            exhausted (times 4 [ Taken; refused OtherCause ])
            exhausted (times 4 [ Taken; noAnswer ] @ [ Taken; notFound ])
            exhausted (due @ [ notReversed OtherCause ] @ times 3 [ Taken; notReversed OtherCause ])
            let doubtful = Hears(ReversalAnswered(Answer.InDoubt NoAnswer))
            exhausted (due @ [ doubtful ] @ times 3 [ Taken; doubtful ] @ [ Taken; seen None 0L ])
            Expect.equal (givenUpBecause (due @ [ Hears(ReversalAnswered Missing) ])) TransferMissing ""
        }
        test "what was refused once and is hindered, or not found, is pending again" {
            let failedOnce = [ Taken; refused OtherCause ]
            Expect.isTrue
                (statusOf (failedOnce @ [ Taken; hindered ])).IsPending
                "nothing was refused this time"
            Expect.isTrue (statusOf (failedOnce @ [ Taken; Hears(LookUpFailed noWord) ])).IsPending ""
            let proving =
                times 4 [ Taken; noAnswer ] @ [ Taken; notFound; Hears RetryRequested; Taken; notFound ]
            Expect.isTrue (statusOf proving).IsPending "proven absent by hand"
        }
        test "a row of a transfer at rest has adopted nothing" {
            let row = TransferRow.toRow (tell [ Taken; accepted ]).Transfer
            Expect.equal (row.Adopted, row.Foreign, row.Taking.HasValue) (0L, 0L, false) ""
        }
        test "only the claim under way has adopted anything" {
            let story = [
                Taken
                accepted
                refunded 1 50_00L
                refunded 2 20_00L
                Taken
                Hears(ReversalAnswered(Duplicate("more", false)))
                Taken
                seen None 30_00L
            ]
            let rows = TransferRow.reversals (tell story).Transfer
            Expect.equal
                [ for row in rows -> row.Amount, row.AdoptedAmount ]
                [ 50_00L, 30_00L; 20_00L, 0L ]
                ""
        }
        test "the first send is no repeat" {
            let denied = Denied(because OtherCause, false)
            Expect.equal
                (Operation.next now Operation.first (denied: Answer<StripeTransferId>))
                (Declined(because OtherCause))
                ""
        }
    ]

[<Tests>]
let orders =
    testList "unnoticed, of orders and their refunds" [
        test "a leg of nothing gives nothing back" {
            for policy in [ Proportional; Keep ] do
                Expect.equal (Allocation.givenBack policy 0L 0L 0L) (0L, 0L) ""
        }
        test "a line of one cent can be refunded by itself" {
            let order =
                orderOf { two with Gross = [ 1L; 40_00L ] }
                |> advance PaymentRequested
                |> advance PaymentSucceeded
            match Order.planRefund (Lines [ order.Lines[0].Id ]) order with
            | Ok(_, shares) -> Expect.equal [ for share in shares -> share.Amount ] [ 1L ] ""
            | Error why -> failtest $"{why}"
        }
        test "the largest amount there is may be asked for, and no more" {
            let line = { (orderOf two).Lines[0] with UnitAmount = Minor.most }
            let terms = [
                { Seller = line.Seller; Account = account "a"; FeeBps = 0; Transfer = TransferId(guid 300) }
            ]
            let make line = Order.create (OrderId(guid 4)) "b" euro Keep [ line ] terms
            Expect.isOk (make line) ""
            Expect.isError (make { line with UnitAmount = Minor.most + 1L }) ""
        }
        test "where nothing is left, nothing can be asked for" {
            let reserved = settledOrder |> request 1 AllThatIsLeft
            Expect.equal
                (Order.planRefund AllThatIsLeft reserved.Order)
                (Error(OrderRefusal.MoreThanIsLeft 0L))
                "all of it is reserved"
            let refunded = (reserved |> report HasSucceeded 1).Order
            let late = { Refund = RefundId(guid 9); Scope = OfAmount; Shares = [] }
            Expect.equal
                (Order.apply (RefundReserved late) refunded)
                (Refused(OrderRefusal.MoreThanIsLeft 0L))
                ""
        }
        test "a refund is asked about later, and each send is counted" {
            let begun = (settledOrder |> request 1 AllThatIsLeft).Refunds[RefundId(guid 1)]
            let row = Refund.toRow begun
            Expect.equal row.DueAt (Nullable(now + refundRules.SweepAfter)) ""
            Expect.isFalse row.Undone ""
            match Refund.apply refundRules (now.AddHours 1.) SentAgain begun with
            | Advanced next -> Expect.equal (Refund.toRow next).Sends 2 ""
            | other -> failtest $"{other}"
        }
        test "a cent that is on its way back for nobody is taken up again" {
            let undone =
                start { two with Bps = 0 }
                |> pay
                |> work
                |> request 1 (Amount 1L)
                |> report HasSucceeded 1
                |> taken
                |> report failed 1
            let again = undone |> request 2 (Amount 1L) |> report HasSucceeded 2
            let claims = [
                for transfer in values again.Transfers do
                    for claim in transfer.ToTake do
                        claim.Refund, claim.Amount
            ]
            Expect.equal claims [ RefundId(guid 1), 1L ] "one reversal, which serves the second refund"
        }
        test "the seller's share itself is asked first, then what made good for it" {
            let takenFrom world =
                world |> request 2 (Amount 10L) |> report HasSucceeded 2 |> work |> makeGoodsTaken
            let afterAll = takenFrom (madeGood AllThatIsLeft)
            Expect.isNonEmpty afterAll "something was taken"
            Expect.all afterAll id "the share itself is all back; only what made good has anything left"
            let afterHalf = takenFrom (madeGood (Amount 50_00L))
            Expect.isNonEmpty afterHalf "something was taken"
            Expect.all afterHalf not "where the share itself still has something, it comes first"
        }
        test "an undone refund takes its own claim back first" {
            let both =
                settledOrder
                |> request 1 (Amount 10_00L)
                |> report HasSucceeded 1
                |> work
                |> request 2 (Amount 10_00L)
                |> report HasSucceeded 2
            let undone = both |> report failed 2
            let dropped = [
                for transfer in values undone.Transfers do
                    for settled in transfer.Settled do
                        if settled.Settling.IsDropped then
                            settled.Claim.Refund
            ]
            Expect.all dropped (fun refund -> refund = RefundId(guid 2)) "the second had not moved yet"
            Expect.isNonEmpty dropped "and is let go"
            let kept = [
                for transfer in values undone.Transfers do
                    for settled in transfer.Settled do
                        if settled.Kept.IsSome then
                            settled.Claim.Refund
            ]
            Expect.isEmpty kept "the first is left alone: its money had moved"
        }
        test "an undone refund looks first at the transfer it took from" {
            let compensated =
                settledOrder
                |> request 1 (Amount 50_00L)
                |> report HasSucceeded 1
                |> work
                |> request 2 AllThatIsLeft
                |> report HasSucceeded 2
                |> work
                |> report failed 1
                |> work
            let taken = compensated |> request 3 (Amount 10_00L) |> report HasSucceeded 3
            let undone = taken |> report failed 3
            Expect.equal
                (Map.count undone.Transfers)
                (Map.count compensated.Transfers)
                "nothing had moved, so nobody is sent money anew"
            let letGo = [
                for transfer in values undone.Transfers do
                    for settled in transfer.Settled do
                        if settled.Settling.IsDropped then
                            settled.Claim.Refund
            ]
            Expect.isNonEmpty letGo "the third is let go"
            Expect.all letGo (fun refund -> refund = RefundId(guid 3)) "and no other"
        }
        test "a dispute beyond what is left by a cent costs the platform a cent" {
            let world = settledOrder |> disputed 100_01L lost
            Expect.equal (balance PlatformLosses world) 1L ""
            let exact = settledOrder |> disputed 100_00L lost
            Expect.equal (balance PlatformLosses exact) 0L ""
            Expect.all exact.Postings (fun posting -> posting.Amount <> 0L) "no posting of nothing"
        }
        test "a ruling heard twice is heard once" {
            let report = { Fact = won; Amount = 1L; Terms = DisputeTerms.Unknown }
            let dispute = Dispute.start (DisputeId(guid 3)) (OrderId(guid 4)) "dp_1" euro report asking now
            for source in [ ByWebhook; ByAnswer ] do
                let outcome = Dispute.apply asking now (ProviderReports(source, report)) dispute
                Expect.equal outcome Unchanged ""
        }
    ]

let private payoutRules = {
    Trying = policy
    Lease = TimeSpan.FromMinutes 2.
    AskEvery = TimeSpan.FromHours 1.
}

let private payoutAfter signals =
    let begun =
        Payout.request (PayoutId(guid 1)) (seller "ada") (account "ada") { Minor = 5L; Currency = euro } now
    List.fold
        (fun payout signal ->
            match Payout.apply payoutRules now signal (Payout.claimed payoutRules now payout) with
            | Advanced next -> next
            | Unchanged
            | Refused _ -> payout)
        begun
        signals

let private charging = { Charging = policy; AskEvery = TimeSpan.FromHours 1. }

let private subscribed =
    Subscription.subscribe
        (SubscriptionId(guid 2))
        "buyer"
        { Code = "pro"; Price = { Minor = 9_99L; Currency = euro }; Interval = Day }
        now

let private hears signals subscription =
    List.fold
        (fun subscription (at, signal) ->
            match Subscription.apply charging at signal subscription with
            | Advanced next -> next
            | Unchanged
            | Refused _ -> subscription)
        subscription
        signals

let private paid period = PeriodPaid { Period = period; Try = 0 }
let private failedTry period number = PeriodFailed({ Period = period; Try = number }, because OtherCause)

[<Tests>]
let machines =
    testList "unnoticed, of the smaller machines" [
        test "a payout in doubt comes back from its row" {
            let found = { StripeId = certain (StripePayoutId.Parse "po_1"); Says = IsPending }
            let doubt = payoutAfter [ PayoutSeen [ found; found ] ]
            Expect.isTrue doubt.Status.IsInDoubt ""
            Expect.equal (PayoutRow.ofRow (PayoutRow.toRow doubt)) (Ok doubt) ""
            Expect.isError
                (PayoutRow.ofRow { PayoutRow.toRow doubt with DueAt = Nullable() })
                "nothing waits without a time"
        }
        test "late news of another try, or of one that is not open, changes nothing" {
            let sent = subscribed |> hears [ now, ChargeSent ]
            Expect.equal (Subscription.apply charging now (failedTry 1 1) sent) Unchanged "another try"
            Expect.equal
                (Subscription.apply charging now (failedTry 1 0) subscribed)
                Unchanged
                "nothing was sent yet"
            Expect.notEqual (Subscription.apply charging now (failedTry 1 0) sent) Unchanged ""
        }
        test "what expires has as many periods as were paid" {
            let tries = [
                for number in 0..3 do
                    now, ChargeSent
                    now, failedTry 1 number
            ]
            let expired = hears tries subscribed
            Expect.equal expired.Status (Expired None) "the first was never paid"
            Expect.equal (Subscription.ofRow (Subscription.toRow expired)) (Ok expired) ""
        }
        test "the next period is charged at its very moment, and not before" {
            let active = subscribed |> hears [ now, ChargeSent; now, paid 1 ]
            let over = now.AddDays 1.
            Expect.isNone (Subscription.duty (over.AddTicks -1L) active) ""
            Expect.isSome (Subscription.duty over active) ""
            Expect.equal
                (Subscription.apply charging (over.AddTicks -1L) ChargeSent active)
                (Refused NothingToCharge)
                ""
            match Subscription.apply charging over ChargeSent active with
            | Advanced next ->
                let row = Subscription.toRow next
                Expect.equal (row.Status, row.Period, row.Retries, row.IsOpen) ("past_due", 2, 0, true) ""
            | other -> failtest $"{other}"
        }
        test "paid again after its end is old news; a later period is not" {
            let ended = subscribed |> hears [ now, ChargeSent; now, paid 1; now, CancelRequested ]
            Expect.equal
                ended.Status
                (Canceled(Some { Payment = { Period = 1; Try = 0 }; Until = now.AddDays 1. }))
                ""
            Expect.equal (Subscription.apply charging now (paid 1) ended) Unchanged ""
            Expect.equal (Subscription.apply charging now (paid 2) ended) (Refused PaidAfterTheEnd) ""
        }
        test "an ended subscription waits for nothing, in its row as well" {
            let expired = subscribed |> hears [ now, CancelRequested ]
            let row = Subscription.toRow expired
            Expect.equal (Subscription.ofRow row) (Ok expired) ""
            Expect.isError (Subscription.ofRow { row with PastDueSince = Nullable now }) ""
            Expect.isError
                (Subscription.ofRow { row with Status = "expired"; PastDueSince = Nullable now })
                ""
            Expect.isError (Subscription.ofRow { row with DueAt = Nullable now }) ""
            let active = Subscription.toRow (subscribed |> hears [ now, ChargeSent; now, paid 1 ])
            Expect.isOk (Subscription.ofRow active) ""
            Expect.isError
                (Subscription.ofRow { active with PastDueSince = Nullable now })
                "paid, and past due"
        }
    ]
