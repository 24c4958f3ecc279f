module Veza.Domain.Tests.SettlementTests

open System
open Expecto
open Veza.Domain
open Veza.Domain.Disputes
open Veza.Domain.Ledger
open Veza.Domain.Licenses
open Veza.Domain.Orders
open Veza.Domain.Refunds
open Veza.Domain.Transfers
open Veza.Domain.Tests.Histories

/// Everything one order concerns, and its books.
type private World = {
    Order: Order
    Licenses: Map<LicenseId, License>
    Transfers: Map<TransferId, Transfer>
    Refunds: Map<RefundId, Refund>
    Disputes: Dispute list
    Postings: Posting list
}

let private fact (order: Order) = {
    Payment = (PaymentId.For order.Id).Value
    Amount = order.Total
    Currency = order.Currency.Code
    OrderNamed = order.Id.Value.ToString "D"
}

let private take world (effect: Effect) = {
    world with
        Order = effect.Order |> Option.defaultValue world.Order
        Licenses =
            (world.Licenses, effect.Granted @ effect.Revoked @ effect.Restored)
            ||> List.fold (fun licenses license -> Map.add license.Id license licenses)
        Transfers =
            (world.Transfers, List.map snd effect.Claimed @ effect.Scheduled)
            ||> List.fold (fun transfers transfer -> Map.add transfer.Id transfer transfers)
        Refunds =
            (world.Refunds, Option.toList effect.Refund)
            ||> List.fold (fun refunds refund -> Map.add refund.Id refund refunds)
        Postings = world.Postings @ effect.Postings
}

let private settle world verdict =
    match verdict with
    | Settled effect -> take world effect
    | AlreadyKnown -> world
    | Quarantined why -> failtest $"quarantined: {why}"

let private start basket = {
    Order = orderOf basket |> advance PaymentRequested
    Licenses = Map.empty
    Transfers = Map.empty
    Refunds = Map.empty
    Disputes = []
    Postings = []
}

let private pay world =
    Settlement.paymentSucceeded now TimeSpan.Zero (fact world.Order) world.Order |> settle world

let private values map = map |> Map.toList |> List.map snd

let private request number request world =
    match Order.planRefund request world.Order with
    | Error _ -> world
    | Ok(scope, shares) ->
        let id = RefundId(guid number)
        let amount = { Minor = shares |> List.sumBy _.Amount; Currency = world.Order.Currency }
        let refund = Refund.reserve id world.Order.Id amount scope shares None refundRules now
        let reservation = { Refund = id; Scope = scope; Shares = shares }
        {
            world with
                Order = advance (RefundReserved reservation) world.Order
                Refunds = Map.add id refund world.Refunds
        }

let private report says number world =
    match Map.tryFind (RefundId(guid number)) world.Refunds with
    | None -> world
    | Some refund ->
        let report = {
            Amount = refund.Amount.Minor
            Currency = world.Order.Currency.Code
            Payment = (PaymentId.For world.Order.Id).Value
            Says = says
        }
        Settlement.refundReported
            refundRules
            rules
            now
            report
            refund
            world.Order
            (values world.Licenses)
            (values world.Transfers)
        |> settle world

/// Stripe does what every transfer asks for, until none asks for anything.
let rec private work world =
    let step world (transfer: Transfer) =
        let claimed = Transfer.claimed rules now transfer
        let signal =
            match Transfer.duty claimed with
            | Some(SendTransfer _ | FindTransfer _) -> Some(TransferAnswered(Accepted(tr 1)))
            | Some(SendReversal _ | FindReversal _) ->
                Some(ReversalAnswered(Accepted(trr (world.Postings.Length + 1))))
            | Some ReportMissingId
            | None -> None
        match signal |> Option.map (fun signal -> Transfer.apply rules now signal claimed) with
        | Some(Transfers.Advanced(next, movements)) -> {
            world with
                Transfers =
                    (world.Transfers, next :: Transfer.compensations movements next now)
                    ||> List.fold (fun transfers transfer -> Map.add transfer.Id transfer transfers)
                Postings = world.Postings @ Ledger.ofMovements next movements
          }
        | Some(Transfers.Unchanged | Transfers.Refused _)
        | None -> world
    let next = world.Transfers |> values |> List.fold step world
    if next = world then world else work next

let private balance account world =
    world.Postings |> List.filter (fun posting -> posting.Account = account) |> List.sumBy _.Amount

let private sellersHold world =
    values world.Transfers
    |> List.sumBy (fun transfer ->
        match transfer.Status with
        | TransferStatus.Completed _
        | ReversalPending _
        | Reversed _ -> transfer.Sendable - transfer.Returned
        | TransferStatus.Pending _
        | TransferStatus.Failed _
        | PermanentlyFailed _
        | TransferStatus.Cancelled
        | WrittenOff _ -> 0L)

/// A worker has taken everything that is due and died.
let private taken world = {
    world with
        Transfers = world.Transfers |> Map.map (fun _ transfer -> Transfer.claimed rules now transfer)
}

let private failed = HasFailed(because OtherCause)
let private opened = { Stage = Dispute; Ruling = Opened }
let private lost = { Stage = Dispute; Ruling = LostByUs }
let private won = { Stage = Dispute; Ruling = WonByUs }
let private wonLater = { Stage = Arbitration; Ruling = WonByUs }
let private asking = { DisputeRules.AskEvery = TimeSpan.FromHours 12. }

let private takeDispute world verdict =
    match verdict with
    | Settled effect ->
        let world = take world effect.Rest
        {
            world with
                Disputes = [ effect.Dispute ]
                Refunds =
                    (world.Refunds, Option.toList effect.Imposed)
                    ||> List.fold (fun refunds refund -> Map.add refund.Id refund refunds)
        }
    | AlreadyKnown -> world
    | Quarantined why -> failtest $"quarantined: {why}"

let private disputed amount fact world =
    let amount = { Minor = amount; Currency = euro }
    DisputeSettlement.raised
        rules
        now
        (DisputeId(guid 77))
        "dp_1"
        amount
        fact
        asking
        world.Order
        (values world.Licenses)
        (values world.Transfers)
    |> takeDispute world

let private ruled fact world =
    let dispute = List.head world.Disputes
    let imposed =
        match dispute.Status with
        | Lost refund -> Map.tryFind refund world.Refunds
        | Open _
        | Won -> None
    DisputeSettlement.ruled
        refundRules
        rules
        asking
        now
        fact
        dispute
        imposed
        world.Order
        (values world.Licenses)
        (values world.Transfers)
    |> takeDispute world

let private two = { Gross = [ 60_00L; 40_00L ]; Bps = 1000; Policy = Proportional; Code = "EUR" }

[<Tests>]
let settlement =
    testList "settlement" [
        testList "a payment" [
            test "completes the order, grants a license per line and owes one transfer per seller" {
                let world = pay (start two)
                Expect.equal world.Order.Status OrderStatus.Completed ""
                Expect.equal (world.Licenses.Count, world.Transfers.Count) (2, 2) ""
                Expect.equal
                    [ for transfer in values world.Transfers -> transfer.Amount.Minor ]
                    [ 54_00L; 36_00L ]
                    "net"
            }
            test "heard three times is heard once" {
                let once = pay (start two)
                Expect.equal (once |> pay |> pay) once "nothing new"
            }
            test "of another amount, currency or order is quarantined by name" {
                let order = (start two).Order
                let verdict change = Settlement.paymentSucceeded now TimeSpan.Zero (change (fact order)) order
                Expect.equal (verdict (fun fact -> { fact with Amount = 1L })) (Quarantined AmountDiffers) ""
                Expect.equal
                    (verdict (fun fact -> { fact with Currency = "USD" }))
                    (Quarantined CurrencyDiffers)
                    ""
                Expect.equal
                    (verdict (fun fact -> { fact with OrderNamed = "x" }))
                    (Quarantined OrderDiffers)
                    ""
                Expect.equal
                    (verdict (fun fact -> { fact with Payment = "pay_x" }))
                    (Quarantined PaymentDiffers)
                    ""
            }
            test "of a cancelled order is quarantined" {
                let order = orderOf two |> advance CancelRequested
                let verdict = Settlement.paymentSucceeded now TimeSpan.Zero (fact order) order
                Expect.equal verdict (Quarantined OrderNotPayable) "somebody must give it back"
            }
            test "of a leg without net owes no transfer" {
                let world = pay (start { two with Bps = 10_000 })
                Expect.isEmpty world.Transfers "everything is fee"
            }
        ]
        testList "a refund" [
            test "settles the buyer's side at once and sets each leg to be reversed" {
                let world = start two |> pay |> work |> request 1 AllThatIsLeft |> report HasSucceeded 1
                Expect.equal world.Order.Status Refunded ""
                Expect.isTrue (values world.Licenses |> List.forall _.Status.IsRevoked) "all revoked"
                Expect.isTrue (values world.Transfers |> List.forall _.Status.IsReversalPending) "all legs"
            }
            test "by line revokes that line's license alone" {
                let paid = start two |> pay |> work
                let world = paid |> request 1 (Lines [ paid.Order.Lines[0].Id ]) |> report HasSucceeded 1
                Expect.equal (values world.Licenses |> List.filter _.Status.IsRevoked |> List.length) 1 ""
            }
            test "by amount revokes nothing until nothing is left" {
                let part = start two |> pay |> work |> request 1 (Amount 99_99L) |> report HasSucceeded 1
                Expect.isFalse (values part.Licenses |> List.exists _.Status.IsRevoked) "a cent is left"
                let rest = part |> request 2 (Amount 1L) |> report HasSucceeded 2
                Expect.isTrue (values rest.Licenses |> List.forall _.Status.IsRevoked) "nothing is left"
            }
            test "that fails gives its reservation back and touches nothing else" {
                let paid = start two |> pay |> work
                let world = paid |> request 1 AllThatIsLeft |> report failed 1
                Expect.equal world.Order paid.Order "as before"
                Expect.equal world.Transfers paid.Transfers "as before"
            }
            test "of another amount is quarantined" {
                let world = start two |> pay |> request 1 AllThatIsLeft
                let refund = world.Refunds[RefundId(guid 1)]
                let report = {
                    Amount = 1L
                    Currency = "EUR"
                    Payment = (PaymentId.For world.Order.Id).Value
                    Says = HasSucceeded
                }
                Expect.equal
                    (Settlement.refundReported
                        refundRules
                        rules
                        now
                        report
                        refund
                        world.Order
                        []
                        (values world.Transfers))
                    (Quarantined AmountDiffers)
                    ""
            }
        ]
        testList "a refund that succeeds and fails after all" [
            let undone paid request' = paid |> request 1 request' |> report HasSucceeded 1 |> report failed 1

            test "gives the order and its licenses back" {
                let paid = start two |> pay |> work
                let world = undone paid AllThatIsLeft
                Expect.equal world.Order paid.Order "as before"
                Expect.equal world.Licenses paid.Licenses "as before"
            }
            test "lets its claims go where nothing has moved" {
                let paid = start two |> pay |> work
                let world = undone paid AllThatIsLeft
                Expect.hasLength (values world.Transfers) 2 "no other transfer is needed"
                Expect.isTrue
                    (values world.Transfers |> List.forall _.Status.IsCompleted)
                    "the sellers keep theirs"
            }
            test "gives an unsent transfer its amount back" {
                let world = undone (start two |> pay) (Amount 50_00L) |> work
                Expect.hasLength (values world.Transfers) 2 "no other transfer is needed"
                Expect.equal
                    [ for transfer in values world.Transfers -> transfer.Sendable ]
                    [ 54_00L; 36_00L ]
                    "whole"
            }
            test "makes the seller whole by another transfer where money came back" {
                let paid = start two |> pay |> work
                let world =
                    paid
                    |> request 1 AllThatIsLeft
                    |> report HasSucceeded 1
                    |> work
                    |> report failed 1
                    |> work
                let made = values world.Transfers |> List.filter _.Compensates.IsSome
                Expect.equal
                    (List.sort [ for transfer in made -> transfer.Amount.Minor ])
                    [ 36_00L; 54_00L ]
                    "what was taken"
                Expect.equal
                    [ for transfer in made -> transfer.Compensates ]
                    [ Some(RefundId(guid 1)); Some(RefundId(guid 1)) ]
                    ""
                Expect.equal (sellersHold world) 90_00L "each has its share"
            }
            test "is undone once" {
                let paid = start two |> pay |> work
                let once =
                    paid
                    |> request 1 AllThatIsLeft
                    |> report HasSucceeded 1
                    |> work
                    |> report failed 1
                    |> work
                Expect.equal
                    (once |> report failed 1 |> report HasSucceeded 1 |> report failed 1)
                    once
                    "nothing new"
            }
            test "leaves the licenses that another refund covers" {
                let paid = start two |> pay |> work
                let line = paid.Order.Lines[0].Id
                let both =
                    paid
                    |> request 1 (Lines [ line ])
                    |> report HasSucceeded 1
                    |> request 2 AllThatIsLeft
                    |> report HasSucceeded 2
                let world = both |> report failed 2
                let revoked = values world.Licenses |> List.filter _.Status.IsRevoked
                Expect.equal [ for license in revoked -> license.Line ] [ line ] "the first refund stands"
            }
            test
                "while its reversal may be on its way waits for Stripe's word, and a later refund takes it up" {
                let paid = start { two with Gross = [ 100_00L ] } |> pay |> work
                let sent =
                    paid |> request 1 AllThatIsLeft |> report HasSucceeded 1 |> taken |> report failed 1
                let transfer = List.head (values sent.Transfers)
                Expect.equal (transfer.Undoing, transfer.Unclaimed) (90_00L, 0L) "only Stripe can tell"
                let again = sent |> request 2 (Amount 40_00L) |> report HasSucceeded 2
                let transfer = List.head (values again.Transfers)
                Expect.equal transfer.Undoing 54_00L "the later refund accounts for its part"
                let over = work again
                Expect.equal (sellersHold over) 54_00L "100 − 40, less the fee"
            }
        ]
        testList "a dispute" [
            test "reserves what is left, so that no refund takes it as well" {
                let world = start two |> pay |> work |> disputed 80_00L opened
                Expect.equal world.Order.Left 20_00L ""
            }
            test "that is lost reverses like a refund" {
                let world = start two |> pay |> work |> disputed 100_00L opened |> ruled lost |> work
                Expect.equal world.Order.Status Refunded ""
                Expect.equal (sellersHold world) 0L "both shares came back"
                Expect.isTrue (values world.Licenses |> List.forall _.Status.IsRevoked) ""
                Expect.equal (balance PlatformCash world) 0L "the bank has it all"
            }
            test "that is won gives back what it had reserved" {
                let paid = start two |> pay |> work
                let world = paid |> disputed 100_00L opened |> ruled won
                Expect.equal world.Order paid.Order "as before"
            }
            test "that is lost at once, and won at a later stage, makes the sellers whole" {
                let world =
                    start two |> pay |> work |> disputed 100_00L lost |> work |> ruled wonLater |> work
                Expect.equal world.Order.Status OrderStatus.Completed ""
                Expect.equal (sellersHold world) 90_00L ""
                Expect.equal (balance PlatformCash world) 10_00L "the fee"
            }
            test "and a refund never both take the sellers' money; the platform bears the rest" {
                let world =
                    start two
                    |> pay
                    |> work
                    |> request 1 (Amount 70_00L)
                    |> report HasSucceeded 1
                    |> disputed 100_00L opened
                    |> ruled lost
                    |> work
                Expect.equal (sellersHold world) 0L "each gave back its share once"
                Expect.equal (balance PlatformLosses world) 70_00L "the bank took what the buyer had already"
                Expect.equal (balance PlatformCash world) -70_00L ""
            }
        ]
        testList "the books" [
            property
                "balance after every history, and nothing is lost"
                (fun (basket: Basket) (parts: FsCheck.PositiveInt list) ->
                    let step world (number, FsCheck.PositiveInt part) =
                        let number = number + 1
                        let asked =
                            match part % 4 with
                            | 0 -> AllThatIsLeft
                            | 1 -> Lines [ world.Order.Lines[part % world.Order.Lines.Length].Id ]
                            | _ -> Amount(min world.Order.Left (int64 part * 1009L))
                        let refunded = world |> request number asked
                        let heard =
                            match part % 7 with
                            | 0
                            | 1 -> refunded |> report failed number |> report failed number
                            | 2
                            | 3 -> refunded |> report HasSucceeded number |> report failed number
                            | 4 -> refunded |> report HasSucceeded number |> taken |> report failed number
                            | _ -> refunded |> report HasSucceeded number |> report HasSucceeded number
                        if part % 3 = 0 then work heard else heard
                    let world = parts |> List.indexed |> List.fold step (pay (start basket)) |> work
                    let sellers = world.Order.Legs |> List.map _.Seller
                    let captured = world.Order.Total - world.Order.Refunded
                    let due =
                        world.Order.Legs
                        |> List.sumBy (fun leg ->
                            leg.Net
                            - snd (Allocation.givenBack basket.Policy leg.Gross leg.Fee leg.Refunded))
                    List.sum [ for posting in world.Postings -> posting.Amount ] = 0L
                    && sellersHold world = due
                    && balance PlatformCash world = captured - due
                    && sellers |> List.forall (fun seller -> balance (SellerPayable seller) world = 0L)
                    && sellers |> List.forall (fun seller -> balance (SellerDebt seller) world = 0L)
                    && world.Order.Legs
                       |> List.forall (fun leg -> leg.Reserved = leg.Refunded && leg.Reserved <= leg.Gross))
            property
                "end the same whatever order the refunds' facts come in"
                (fun (basket: Basket) (parts: FsCheck.PositiveInt list) (seed: int) ->
                    let paid = start basket |> pay |> work
                    let asked =
                        (paid, List.indexed (List.truncate 6 parts))
                        ||> List.fold (fun world (number, FsCheck.PositiveInt part) ->
                            request (number + 1) (Amount(min world.Order.Left (int64 part * 997L))) world)
                    let facts = [
                        for number in 1 .. asked.Refunds.Count do
                            number, HasSucceeded
                            if number % 3 = 0 then
                                number, failed
                    ]
                    let random = Random seed
                    // What one refund says stays in its order; refunds overtake each other.
                    let mixed =
                        facts |> List.groupBy fst |> List.sortBy (fun _ -> random.Next()) |> List.collect snd
                    let told facts =
                        List.fold (fun world (number, fact) -> report fact number world) asked facts |> work
                    let one, other = told facts, told mixed
                    one.Order = other.Order
                    && sellersHold one = sellersHold other
                    && balance PlatformCash one = balance PlatformCash other)
        ]
    ]

/// The books, line by line: each set sums to zero.
[<Tests>]
let ledger =
    let ada = owed.Seller
    let posted account amount = { Account = account; Amount = amount }
    let difference = { Refund = RefundId(guid 1); Amount = 5L }
    let rows = [
        MoneySent 5L, [ posted (SellerPayable ada) 5L; posted PlatformCash -5L ]
        MoneyReturned 5L, [ posted PlatformCash 5L; posted (SellerDebt ada) -5L ]
        ClaimWithheld 5L, [ posted (SellerPayable ada) 5L; posted (SellerDebt ada) -5L ]
        ClaimForgiven 5L, [ posted PlatformLosses 5L; posted (SellerDebt ada) -5L ]
        Movement.SettledOutside 5L, [ posted (SellerPayable ada) 5L; posted (Account.SettledOutside ada) -5L ]
        ClaimRestored 5L, [ posted (SellerDebt ada) 5L; posted (SellerPayable ada) -5L ]
        CompensationOwed(difference, 0L), [ posted (SellerDebt ada) 5L; posted (SellerPayable ada) -5L ]
        ForgivenessUndone 5L, [ posted (SellerDebt ada) 5L; posted PlatformLosses -5L ]
    ]
    testList "ledger" [
        for movement, expected in rows do
            test $"%A{movement}" { Expect.equal (Ledger.ofMovements owed [ movement ]) expected "" }
        test "a refund's postings and their mirror" {
            let shares = [ ada, 10L, 1L, 8L ]
            let expected = [
                posted PlatformCash -10L
                posted PlatformFees 1L
                posted (SellerDebt ada) 8L
                posted PlatformLosses 1L
            ]
            Expect.equal (Ledger.ofRefund shares) expected "a fee that is kept is the platform's loss"
            Expect.equal
                (Ledger.ofRefundUndone shares)
                [ for posting in expected -> { posting with Amount = -posting.Amount } ]
                ""
        }
        test "a payment's postings" {
            let order = orderOf two
            Expect.equal
                (Ledger.ofPayment order)
                [
                    posted PlatformCash 100_00L
                    posted (SellerPayable(sellerOf 0)) -54_00L
                    posted PlatformFees -10_00L
                    posted (SellerPayable(sellerOf 1)) -36_00L
                ]
                ""
        }
    ]

[<Tests>]
let refund =
    testList "refund" [
        property "a row brings the same refund back" (fun (basket: Basket) ->
            let world = start basket |> pay |> request 1 AllThatIsLeft
            values world.Refunds
            |> List.forall (fun refund -> Refund.ofRow (Refund.toRow refund) = Ok refund))
        test "is asked about, and sent again only when it is certainly absent" {
            let world = start two |> pay |> request 1 AllThatIsLeft
            let refund = world.Refunds[RefundId(guid 1)]
            Expect.equal (Refund.duty refundRules now false refund) (Some Ask) "ask first"
            Expect.equal
                (Refund.duty refundRules (now.AddMinutes 3.) true refund)
                (Some Ask)
                "it may still arrive"
            Expect.equal
                (Refund.duty refundRules (now.AddMinutes 4.) true refund)
                (Some SendAgain)
                "proven absent"
        }
    ]
