module Veza.Domain.Tests.SettlementTests

open System
open Expecto
open Veza.Domain
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
    Postings: Posting list
}

let private fact (order: Order) = {
    Payment = (PaymentId.For order.Id).Value
    Amount = order.Total
    Currency = "EUR"
    OrderNamed = order.Id.Value.ToString "D"
}

let private take world (effect: Effect) = {
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
        let amount = { Minor = shares |> List.sumBy _.Amount; Currency = euro }
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
            Currency = "EUR"
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
            | Some(SendReversal _ | FindReversal _) -> Some(ReversalAnswered(Accepted(trr 1)))
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

let private two = { Gross = [ 60_00L; 40_00L ]; Bps = 1000; Policy = Proportional }

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
                let world = paid |> request 1 AllThatIsLeft |> report (HasFailed(because OtherCause)) 1
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
        testList "the books" [
            property
                "balance after every history, and nothing is lost"
                (fun (basket: Basket) (parts: FsCheck.PositiveInt list) ->
                    let step world (number, FsCheck.PositiveInt part) =
                        let number = number + 1
                        let refunded =
                            world |> request number (Amount(min world.Order.Left (int64 part * 1009L)))
                        let told =
                            if part % 7 = 0 then
                                HasFailed(because OtherCause)
                            else
                                HasSucceeded
                        let heard = refunded |> report told number |> report told number
                        if part % 3 = 0 then work heard else heard
                    let world = parts |> List.indexed |> List.fold step (pay (start basket)) |> work
                    let sellers = world.Order.Legs |> List.map _.Seller
                    let captured = world.Order.Total - world.Order.Refunded
                    let withSellers =
                        values world.Transfers
                        |> List.filter (fun transfer -> not transfer.Status.IsCancelled)
                        |> List.sumBy (fun transfer -> transfer.Sendable - transfer.Returned)
                    List.sum [ for posting in world.Postings -> posting.Amount ] = 0L
                    && balance PlatformCash world = captured - withSellers
                    && sellers |> List.forall (fun seller -> balance (SellerPayable seller) world = 0L)
                    && sellers |> List.forall (fun seller -> balance (SellerDebt seller) world = 0L))
        ]
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
