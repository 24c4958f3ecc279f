/// Our line beside theirs: each reason, and what may be healed without a person.
module Veza.Domain.Tests.ReconciliationTests

open System
open Expecto
open Veza.Domain
open Veza.Domain.Orders
open Veza.Domain.Payouts
open Veza.Domain.Reconciliation
open Veza.Domain.Refunds
open Veza.Domain.Transfers
open Veza.Domain.Tests.Histories
open Veza.Domain.Tests.TransferStories

let private cutOff = now.AddHours 1.
let private old what = { Is = what; ChangedAt = now }
let private young what = { Is = what; ChangedAt = cutOff.AddSeconds 1. }

let private atStripe: StripeTransferLine = {
    Fact = { StripeId = tr 1; Amount = 100_00L; Currency = "eur"; Destination = owed.Account.Value }
    TransferId = Some owed.Id
    AmountReversed = 0L
}

let private after steps = (tell steps).Transfer
let private sent = after [ Taken; accepted ]

let private found (differences: Difference list) = [
    for difference in differences ->
        Difference.word difference.Reason, Difference.remedyWord difference.Remedy
]

let private transfers ours theirs = found (Compare.transfer cutOff (old ours) theirs)

let private paid =
    let order = orderOf { Gross = [ 100_00L ]; Bps = 1000; Policy = Proportional; Code = "EUR" }
    order |> advance PaymentRequested |> advance PaymentSucceeded

let private awaiting =
    orderOf { Gross = [ 100_00L ]; Bps = 1000; Policy = Proportional; Code = "EUR" }
    |> advance PaymentRequested

let private payment succeeded amount : PaymentLine = {
    Fact = { Payment = (PaymentId.For paid.Id).Value; Amount = amount; Currency = "EUR"; OrderNamed = null }
    HasSucceeded = succeeded
    Status = if succeeded then "succeeded" else "processing"
}

let private payments ours theirs = found (Compare.payment cutOff (old ours) theirs)

let private refund facts =
    let begun =
        Refund.reserve
            (RefundId(guid 1))
            paid.Id
            { Minor = 40_00L; Currency = euro }
            OfAmount
            [ { Seller = sellerOf 0; Amount = 40_00L } ]
            None
            refundRules
            now
    List.fold
        (fun refund fact ->
            match Refund.apply refundRules now (ProviderSays fact) refund with
            | Advanced next -> next
            | Unchanged
            | Refused _ -> refund)
        begun
        facts

let private failure = HasFailed { Cause = OtherCause; Code = "x"; Message = "x" }

let private refunds facts says =
    found (
        Compare.refund cutOff (old (refund facts)) {
            Amount = 40_00L
            Currency = "EUR"
            Payment = ""
            Says = says
        }
    )

let private payout signals =
    let rules = { Trying = policy; Lease = TimeSpan.FromMinutes 2.; AskEvery = TimeSpan.FromHours 1. }
    let begun =
        Payout.request (PayoutId(guid 8)) (seller "ada") (account "ada") { Minor = 5L; Currency = euro } now
    List.fold
        (fun payout signal ->
            match Payout.apply rules now signal payout with
            | Advanced next -> next
            | Unchanged
            | Refused _ -> payout)
        begun
        signals

let private sight says = { StripeId = certain (StripePayoutId.Parse "po_1"); Says = says }

[<Tests>]
let tests =
    testList "reconciliation" [
        testList "of transfers" [
            test "finds nothing where both say the same" {
                Expect.isEmpty (transfers sent atStripe) ""
                Expect.isEmpty
                    (transfers (after (due @ [ reversed 1 ])) { atStripe with AmountReversed = 100_00L })
                    "reversed by us"
                Expect.isEmpty
                    (transfers
                        (after [
                            Taken
                            accepted
                            Hears(ReversalsNoticed { Ours = None; AmountReversed = 30_00L; Keyless = [] })
                        ])
                        { atStripe with AmountReversed = 30_00L })
                    "reversed by others, and known"
            }
            test "tells what Stripe has and we do not know, where it is proven to be ours" {
                let givenUp = after (List.replicate 4 [ Taken; refused OtherCause ] |> List.concat)
                Expect.equal (transfers givenUp atStripe) [ "missing_here", "tell_the_fact" ] ""
                Expect.equal
                    (transfers givenUp { atStripe with Fact = { atStripe.Fact with Amount = 1L } })
                    [ "missing_here", "needs_operator" ]
                    "another amount is not proven"
                Expect.equal
                    (transfers (after [ refunded 1 100_00L ]) atStripe)
                    [ "missing_here", "needs_operator" ]
                    "cancelled, and moved after all"
            }
            test "looks into reversals that we do not know, and never invents one" {
                Expect.equal
                    (transfers sent { atStripe with AmountReversed = 1L })
                    [ "missing_here", "look_into_reversals" ]
                    ""
                Expect.equal
                    (transfers (after (due @ [ reversed 1 ])) atStripe)
                    [ "missing_there", "needs_operator" ]
                    "we say reversed, Stripe does not"
            }
            test "tells a second transfer from the first" {
                let second = { atStripe with Fact = { atStripe.Fact with StripeId = tr 2 } }
                Expect.equal (transfers sent second) [ "duplicate", "needs_operator" ] ""
                Expect.equal
                    (transfers sent { second with AmountReversed = 100_00L })
                    []
                    "taken back, it is out of the way"
                Expect.equal
                    (transfers sent { second with AmountReversed = 99_99L })
                    [ "duplicate", "needs_operator" ]
                    "but not a part of it"
                let nameless = { second with TransferId = None }
                Expect.equal (transfers (after []) nameless) [ "foreign", "needs_operator" ] ""
            }
            test "of several that a look-up finds, one that was taken back whole does not count" {
                let sight n reversed = { SeenId = tr n; Amount = 100_00L; Reversed = reversed }
                for what, sights, expected in
                    [
                        "none", [], []
                        "one alone", [ sight 1 100_00L ], [ tr 1 ]
                        "the superfluous one is back", [ sight 1 0L; sight 2 100_00L ], [ tr 1 ]
                        "a part of it is back", [ sight 1 0L; sight 2 99_99L ], [ tr 1; tr 2 ]
                        "nobody has kept anything", [ sight 1 100_00L; sight 2 100_00L ], [ tr 1; tr 2 ]
                    ] do
                    Expect.equal (TransferReport.counting sights) expected what
            }
            test "names every field that differs" {
                let fact = { atStripe.Fact with Amount = 1L; Currency = "usd"; Destination = "acct_eve" }
                Expect.equal
                    (transfers sent { atStripe with Fact = fact })
                    [ "amount", "needs_operator"; "currency", "needs_operator"; "status", "needs_operator" ]
                    ""
            }
            test "says amounts as people read them" {
                let told theirs = [
                    for difference in Compare.transfer cutOff (old sent) theirs ->
                        difference.Ours, difference.Theirs
                ]
                Expect.equal
                    (told { atStripe with Fact = { atStripe.Fact with Amount = 5L } })
                    [ "100.00 EUR", "0.05 EUR" ]
                    ""
                Expect.equal
                    (told { atStripe with AmountReversed = 5L })
                    [ "0.00 EUR reversed", "0.05 EUR reversed" ]
                    ""
            }
            test "what is young or on its way is a matter of time" {
                Expect.equal
                    (found (Compare.transfer cutOff (young sent) { atStripe with AmountReversed = 1L }))
                    [ "timing", "needs_operator" ]
                    ""
                Expect.equal (transfers (after [ Taken ]) atStripe) [ "timing", "needs_operator" ] "in flight"
                Expect.equal
                    (transfers (after due) { atStripe with AmountReversed = 100_00L })
                    [ "timing", "needs_operator" ]
                    "its reversal is on the wire"
            }
            test "what Stripe does not know" {
                let missing ours = found (Compare.transferMissing cutOff (old ours))
                Expect.equal (missing sent) [ "missing_there", "needs_operator" ] ""
                Expect.isEmpty (missing (after [ Taken ])) "not sent, as far as anybody knows"
                Expect.isEmpty (missing (after [ refunded 1 100_00L ])) ""
                Expect.equal
                    (found (Compare.transferMissing cutOff (young sent)))
                    [ "timing", "needs_operator" ]
                    ""
            }
        ]
        testList "of payments" [
            test "in every pairing" {
                Expect.isEmpty (payments paid (payment true 100_00L)) ""
                Expect.isEmpty (payments awaiting (payment false 100_00L)) ""
                Expect.equal
                    (payments awaiting (payment true 100_00L))
                    [ "status", "tell_the_fact" ]
                    "its webhook was lost"
                Expect.equal (payments paid (payment false 100_00L)) [ "status", "needs_operator" ] ""
                Expect.equal (payments paid (payment true 99_99L)) [ "amount", "needs_operator" ] ""
                Expect.equal
                    (found (Compare.paymentMissing cutOff (old paid)))
                    [ "missing_there", "needs_operator" ]
                    ""
                Expect.isEmpty (found (Compare.paymentMissing cutOff (old awaiting))) "nobody has paid"
            }
        ]
        testList "of refunds" [
            test "in every pairing" {
                Expect.isEmpty (refunds [] StillPending) ""
                Expect.isEmpty (refunds [ HasSucceeded ] HasSucceeded) ""
                Expect.isEmpty (refunds [ failure ] failure) ""
                Expect.isEmpty
                    (refunds [ HasSucceeded; failure ] HasSucceeded)
                    "undone because Stripe said so; Hyperswitch has not heard"
                Expect.equal (refunds [] HasSucceeded) [ "status", "tell_the_fact" ] ""
                Expect.equal (refunds [ StillPending ] failure) [ "status", "tell_the_fact" ] ""
                Expect.equal
                    (refunds [ HasSucceeded ] failure)
                    [ "status", "tell_the_fact" ]
                    "nobody asks about a refund that has succeeded; only this finds it"
                Expect.equal (refunds [ failure ] HasSucceeded) [ "status", "needs_operator" ] ""
                Expect.equal (refunds [ HasSucceeded ] StillPending) [ "status", "needs_operator" ] ""
                let missing facts = found (Compare.refundMissing cutOff (old (refund facts)))
                Expect.equal (missing [ HasSucceeded ]) [ "missing_there", "needs_operator" ] ""
                Expect.isEmpty (missing [ failure ]) "refused: it never was there"
                Expect.isEmpty (missing []) "the sweeper's"
            }
        ]
        testList "of payouts" [
            test "in every pairing" {
                let compare ours says =
                    found (
                        Compare.payout cutOff (old (payout ours)) {
                            Sight = sight says
                            Amount = 5L
                            Currency = "eur"
                            Account = "acct_ada"
                        }
                    )
                let reported says = PayoutReported(sight says)
                Expect.isEmpty (compare [ reported IsPaid ] IsPaid) ""
                Expect.isEmpty (compare [ reported IsPending ] IsPending) ""
                Expect.equal (compare [ reported IsPending ] IsPaid) [ "status", "tell_the_fact" ] ""
                Expect.equal
                    (found (Compare.payoutMissing cutOff (old (payout [ reported IsPaid ]))))
                    [ "missing_there", "needs_operator" ]
                    ""
            }
        ]
        test "every reason has a word of its own" {
            Expect.hasLength (List.distinct (List.map Difference.word Difference.every)) 8 ""
            Expect.hasLength
                (FSharp.Reflection.FSharpType.GetUnionCases typeof<Reason>)
                Difference.every.Length
                "and none is left out"
        }
    ]
