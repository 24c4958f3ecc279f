module Veza.Domain.Tests.SettlementTests

open System
open Expecto
open Veza.Domain
open Veza.Domain.Disputes
open Veza.Domain.Ledger
open Veza.Domain.Licenses
open Veza.Domain.Deposits
open Veza.Domain.Orders
open Veza.Domain.Refunds
open Veza.Domain.Transfers
open Veza.Domain.Tests.Histories

open Veza.Domain.Tests.SettlementWorld

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
            test "of another amount, currency or order is in suspense and before a person" {
                let order = (start two).Order
                let attention change =
                    match paymentSays PaidInFull (change (fact order)) order None with
                    | Settled effect ->
                        Expect.isNone (orderIn effect) "it completes nothing"
                        Expect.isTrue (depositIn effect |> Option.exists _.Status.IsHeld) "it is in suspense"
                        effect.Attention
                    | AlreadyKnown
                    | MustBeAsked -> None
                    | Quarantined why -> Some why
                Expect.equal (attention (fun fact -> { fact with Amount = 1L })) (Some AmountDiffers) ""
                Expect.equal
                    (attention (fun fact -> { fact with Currency = "USD" }))
                    (Some CurrencyDiffers)
                    ""
                Expect.equal (attention (fun fact -> { fact with OrderNamed = "x" })) (Some OrderDiffers) ""
                Expect.equal
                    (paymentSays PaidInFull { fact order with Payment = "pay_x" } order None)
                    (Quarantined PaymentDiffers)
                    "it is another payment"
            }
            test "of a cancelled order is in suspense and to be given back" {
                let order = orderOf two |> advance CancelRequested
                match paymentSays PaidInFull (fact order) order None with
                | Settled effect ->
                    let statuses = effect.Steps |> List.map (fun step -> step.From, step.Signal, step.To)
                    Expect.equal statuses [ null, "held", "to_confirm" ] "once the provider confirms it"
                    Expect.isNone effect.Attention "it leaves by itself"
                | verdict -> failtest $"%A{verdict}"
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
                        ByAnswer
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
