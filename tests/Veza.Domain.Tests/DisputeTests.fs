/// A dispute is a claim on the order exactly like a refund, and it may go back and forth.
module Veza.Domain.Tests.DisputeTests

open Expecto
open FsCheck.FSharp
open Veza.Domain
open Veza.Domain.Disputes
open Veza.Domain.Ledger
open Veza.Domain.Orders
open Veza.Domain.Refunds
open Veza.Domain.Tests.Histories
open Veza.Domain.Tests.SettlementWorld

let private whole = 100_00L
let private paid = start two |> pay |> work
let private inquiry = { Stage = PreDispute; Ruling = Opened }

/// What the providers' own books say the platform holds.
let private cash world =
    let withdrawn (dispute: Dispute) =
        match dispute.Status, dispute.Seen.Stage with
        | Won, _
        | _, PreDispute -> 0L
        | _ -> dispute.Amount.Minor
    let refunded =
        values world.Refunds
        |> List.filter (fun refund -> refund.Status = Succeeded && refund.Scope <> OfDispute)
        |> List.sumBy _.Amount.Minor
    world.Order.Total - refunded - (values world.Disputes |> List.sumBy withdrawn) - sellersHold world

let private sellersAreDue world =
    world.Order.Legs
    |> List.sumBy (fun leg ->
        leg.Net - snd (Allocation.givenBack world.Order.FeePolicy leg.Gross leg.Fee leg.Refunded))

let private isInOrder world =
    let balanced = List.sum [ for posting in world.Postings -> posting.Amount ] = 0L
    let legs =
        world.Order.Legs
        |> List.forall (fun leg -> leg.Refunded <= leg.Reserved && leg.Reserved <= leg.Gross)
    // Nothing that an open or lost dispute claims may be refunded as well.
    let claimed =
        world.Order.Left = 0L || values world.Disputes |> List.forall (fun dispute -> dispute.Unmet <= 0L)
    balanced && legs && claimed

type Deed =
    | Says of Dispute: int * Stage * Ruling * Percent: int
    | IsAsked of Percent: int
    | IsTold of Refund: int * RefundFact
    | Works

let private deeds =
    Gen.frequency [
        6,
        gen {
            let! number = Gen.choose (1, 2)
            let! stage = Gen.elements DisputeWords.everyStage
            let! ruling = Gen.elements DisputeWords.everyRuling
            let! percent = Gen.choose (1, 100)
            return Says(number, stage, ruling, percent)
        }
        2, Gen.choose (1, 100) |> Gen.map IsAsked
        4,
        gen {
            let! number = Gen.choose (1, 4)
            let! fact = Gen.elements [ HasSucceeded; HasSucceeded; failed; StillPending ]
            return IsTold(number, fact)
        }
        2, Gen.constant Works
    ]

let private amountOf percent world = max 1L (world.Order.Total * int64 percent / 100L)

let private perform world deed =
    match deed with
    | Says(number, stage, ruling, percent) ->
        world |> say ByAnswer number (amountOf percent world) { Stage = stage; Ruling = ruling }
    | IsAsked percent ->
        let number =
            1 + (values world.Refunds |> List.filter (fun refund -> refund.Scope <> OfDispute)).Length
        if world.Order.Left = 0L then
            world
        else
            world |> request number (Amount(min world.Order.Left (amountOf percent world)))
    | IsTold(number, fact) ->
        // A refund that failed and was not undone cannot succeed: that is put before a person.
        match Map.tryFind (RefundId(guid number)) world.Refunds with
        | Some refund when not (Refund.isToBeAsked fact refund && fact = HasSucceeded) ->
            world |> report fact number
        | Some _
        | None -> world
    | Works -> work world

/// Every refund and dispute is decided, every transfer has moved.
let private settleAll world =
    let refunds =
        (world, [ 1..4 ])
        ||> List.fold (fun world number ->
            match Map.tryFind (RefundId(guid number)) world.Refunds with
            | Some refund when refund.Status.IsPending || refund.Status.IsSubmitted ->
                world |> report HasSucceeded number
            | Some _
            | None -> world)
    (refunds, values refunds.Disputes)
    ||> List.fold (fun world dispute ->
        if dispute.Status.IsOpen then
            let number = if dispute.Id = disputeId 1 then 1 else 2
            world |> say ByAnswer number dispute.Amount.Minor lost
        else
            world)
    |> work

[<Tests>]
let disputes =
    testList "a dispute as a claim" [
        test "lost and won the next day is undone like a refund that fails after success" {
            let gone = paid |> disputed whole opened |> ruled lost |> work
            Expect.equal (sellersHold gone) 0L "both shares came back"
            let back = gone |> ruled won |> work
            Expect.equal back.Order paid.Order "as if nothing had happened"
            Expect.equal (sellersHold back) 90_00L "the sellers are whole"
            Expect.isFalse (values back.Licenses |> List.exists _.Status.IsRevoked) "so are the licenses"
            Expect.equal (balance PlatformCash back) 10_00L "the fee"
            Expect.equal (balance PlatformLosses back) 0L "nothing lost"
            let again = back |> ruled lost |> work |> ruled won |> work |> ruled lost |> work
            Expect.equal (sellersHold again) 0L "as often as the bank likes"
            Expect.isTrue (isInOrder again) ""
        }
        test "takes what a refund gives free when it fails" {
            let world = paid |> request 1 AllThatIsLeft |> disputed whole opened |> report failed 1
            Expect.equal world.Order.Left 0L "the dispute claims it now"
            let gone = world |> ruled lost |> work
            Expect.equal (sellersHold gone) 0L "the sellers gave it back"
            Expect.equal gone.Order.Status OrderStatus.Refunded "the buyer has it"
            Expect.equal (balance PlatformLosses gone) 0L "the platform bears nothing"
        }
        test "lost takes what a refund gives free when it fails afterwards" {
            let world =
                paid |> request 1 AllThatIsLeft |> report HasSucceeded 1 |> disputed whole lost |> work
            Expect.equal (balance PlatformLosses world) whole "the buyer has been paid twice"
            let back = world |> report failed 1 |> work
            Expect.equal (sellersHold back) 0L "the dispute has what the refund gave back"
            Expect.equal (balance PlatformLosses back) 0L ""
            Expect.equal (balance PlatformCash back) 0L ""
        }
        test "open keeps a returned refund from being refunded again" {
            let world =
                paid
                |> request 1 (Amount 60_00L)
                |> report HasSucceeded 1
                |> disputed whole opened
                |> report failed 1
            Expect.equal world.Order.Left 0L "all of it is claimed"
        }
        test "that overtakes its payment ends like one that follows it" {
            for facts in [ [ opened ]; [ lost ]; [ opened; lost ]; [ opened; won ]; [ lost; won ] ] do
                let told world = (world, facts) ||> List.fold (fun world fact -> disputed 40_00L fact world)
                let early, late = start two |> told |> pay |> work, start two |> pay |> told |> work
                Expect.equal early.Order late.Order $"%A{facts}"
                Expect.equal (sellersHold early) (sellersHold late) $"%A{facts}"
                Expect.equal (balance PlatformCash early) (balance PlatformCash late) $"%A{facts}"
        }
        test "that grows before it is lost takes all of it" {
            let world = paid |> disputed 40_00L opened |> disputed whole opened |> ruled lost |> work
            Expect.equal (sellersHold world) 0L ""
            Expect.equal (balance PlatformCash world) 0L ""
        }
        test "at the stage of an inquiry withdraws nothing and leaves the refund that ends it" {
            let world = paid |> disputed whole inquiry
            Expect.equal world.Order.Left whole "a refund is what ends it"
            Expect.equal (balance PlatformCash world) 10_00L "nothing is withdrawn"
            let refunded = world |> request 1 AllThatIsLeft |> report HasSucceeded 1 |> work
            Expect.equal refunded.Order.Status OrderStatus.Refunded ""
            let closed = refunded |> ruled { Stage = PreDispute; Ruling = WonByUs }
            Expect.equal closed.Order refunded.Order ""
        }
        test "withdraws its amount when it opens" {
            let world = paid |> disputed 40_00L opened
            Expect.equal (balance DisputedFunds world) 40_00L ""
            Expect.equal (balance PlatformCash world) (10_00L - 40_00L) ""
            Expect.equal (balance DisputedFunds (world |> ruled won)) 0L "given back"
            Expect.equal (balance DisputedFunds (world |> ruled lost)) 0L "it is a refund now"
        }
        test "several at once share what there is" {
            let world = paid |> say ByAnswer 1 70_00L opened |> say ByAnswer 2 70_00L opened
            Expect.equal world.Order.Left 0L ""
            let world = world |> say ByAnswer 1 70_00L won
            Expect.equal
                (values world.Disputes |> List.sumBy _.Held)
                70_00L
                "the other takes what becomes free"
            Expect.equal world.Order.Left 30_00L ""
        }
        test "keep their terms where a later word leaves them out, and learn them when they are decided" {
            let terms = { Reason = Some "fraudulent"; RespondBy = Some now }
            let report fact terms = { Fact = fact; Amount = whole; Terms = terms }
            let heard source report dispute =
                match Dispute.apply asking now (ProviderReports(source, report)) dispute with
                | Advanced next -> next
                | Unchanged -> dispute
                | Refused why -> failtest $"{why}"
            let first terms =
                Dispute.start (disputeId 1) paid.Order.Id "dp_1" euro (report opened terms) asking now
            for source in [ ByAnswer; ByWebhook ] do
                let silent = first terms |> heard source (report lost DisputeTerms.Unknown)
                Expect.equal silent.Terms terms "nothing said erases nothing"
                let partly = { DisputeTerms.Unknown with Reason = Some "duplicate" }
                let corrected = silent |> heard source (report lost partly)
                Expect.equal
                    corrected.Terms
                    { terms with Reason = Some "duplicate" }
                    "what is said later counts"
                let learnt = first DisputeTerms.Unknown |> heard source (report opened terms)
                Expect.equal learnt.Terms terms ""
                let row = Dispute.toRow learnt
                Expect.equal (Dispute.ofRow row) (Ok learnt) "and the row keeps them"
                let known = Dispute.apply asking now (ProviderReports(source, report opened terms)) learnt
                Expect.equal known Unchanged "heard twice"
        }
        test "of an amount that cannot be is not believed" {
            let verdict source amount =
                let report = { Fact = opened; Amount = amount; Terms = DisputeTerms.Unknown }
                DisputeSettlement.raised
                    refundRules
                    rules
                    asking
                    now
                    source
                    (disputeId 1)
                    "dp_1"
                    report
                    (caseOf paid)
            Expect.equal (verdict ByAnswer 0L) (Quarantined AmountDiffers) "nothing"
            Expect.equal (verdict ByWebhook -1L) (Quarantined AmountDiffers) "less than nothing"
            Expect.equal (verdict ByWebhook (whole + 1L)) MustBeAsked "more than was paid"
            Expect.isTrue (verdict ByAnswer (whole + 1L)).IsSettled "what the provider says, it has done"
        }
        test "follows no webhook that takes something back" {
            let gone = paid |> disputed whole opened |> ruled lost |> work
            for fact in [ won; opened; wonLater ] do
                Expect.equal (gone |> say ByWebhook 1 whole fact) gone $"%A{fact}: the provider is asked"
            let kept = paid |> disputed whole opened |> ruled won
            Expect.equal (kept |> say ByWebhook 1 whole lost) kept "the provider is asked"
            let open' = paid |> disputed whole opened
            Expect.equal (open' |> say ByWebhook 1 40_00L opened) open' "less than was claimed"
            Expect.equal (open' |> say ByWebhook 1 whole inquiry) open' "an earlier stage"
            Expect.equal (open' |> say ByWebhook 1 whole lost) (open' |> ruled lost) "but it may be decided"
        }
        test "opened again, it is decided by no webhook: that may be the older decision" {
            for decided in [ won; lost ] do
                let again = paid |> disputed whole opened |> ruled decided |> work |> ruled opened
                for late in [ won; lost ] do
                    Expect.equal
                        (again |> say ByWebhook 1 whole late)
                        again
                        $"%A{late}: the provider is asked"
                    Expect.notEqual (again |> ruled late) again "and followed"
        }
        property
            "and refunds never take the same money, whatever happens"
            (Prop.forAll (Arb.fromGen (Gen.listOf deeds)) (fun deeds ->
                let states = deeds |> List.scan perform paid
                let rest = states |> List.last |> settleAll
                List.forall isInOrder states
                && isInOrder rest
                && sellersHold rest = sellersAreDue rest
                && balance PlatformCash rest = cash rest
                && balance DisputedFunds rest = 0L
                && values rest.Disputes |> List.forall (fun dispute -> dispute.Held = 0L)))
    ]

[<Tests>]
let refunds =
    testList "a refund's report by webhook" [
        let reportedBy source says world =
            let refund = world.Refunds[RefundId(guid 1)]
            Settlement.refundReported
                refundRules
                rules
                now
                source
                {
                    Amount = refund.Amount.Minor
                    Currency = "EUR"
                    Payment = (PaymentId.For world.Order.Id).Value
                    Says = says
                }
                refund
                world.Order
                (values world.Licenses)
                (values world.Transfers)
        test "that it failed after its success is asked about before a seller is paid" {
            let world = paid |> request 1 AllThatIsLeft |> report HasSucceeded 1
            Expect.equal (reportedBy ByWebhook failed world) MustBeAsked ""
            match reportedBy ByAnswer failed world with
            | Settled _ -> ()
            | other -> failtest $"%A{other}"
        }
        test "that it failed is asked about before its amount may be refunded again" {
            let world = paid |> request 1 AllThatIsLeft
            Expect.equal (reportedBy ByWebhook failed world) MustBeAsked ""
            Expect.isTrue (reportedBy ByAnswer failed world).IsSettled "Hyperswitch says so"
            Expect.isTrue (reportedBy ByWebhook HasSucceeded world).IsSettled "a success sends nothing"
        }
        test "that it succeeded after its failure is asked about" {
            let world = paid |> request 1 AllThatIsLeft |> report failed 1
            Expect.equal (reportedBy ByWebhook HasSucceeded world) MustBeAsked ""
            Expect.equal
                (reportedBy ByAnswer HasSucceeded world)
                (Quarantined RefundSucceededAfterFailure)
                "Hyperswitch itself contradicts itself"
        }
    ]
