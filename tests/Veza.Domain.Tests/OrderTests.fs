module Veza.Domain.Tests.OrderTests

open Expecto
open Veza.Domain
open Veza.Domain.Orders
open Veza.Domain.Refunds
open Veza.Domain.Tests.Histories

let private paid basket = orderOf basket |> advance PaymentRequested |> advance PaymentSucceeded

let private reserve number request (order: Order) =
    Order.planRefund request order
    |> Result.map (fun (scope, shares) ->
        let reservation = { Refund = RefundId(guid number); Scope = scope; Shares = shares }
        reservation, advance (RefundReserved reservation) order)

let private refund number request order =
    reserve number request order
    |> Result.map (fun (reservation, reserved) -> advance (RefundHasSucceeded reservation) reserved)

[<Tests>]
let order =
    testList "order" [
        testList "when it is created" [
            test "legs and fees sum to the total, the fee rounded in the seller's favour" {
                let order = orderOf { two with Gross = [ 9_99L ] }
                Expect.equal order.Legs[0].Fee 99L "⌊999 × 10 %⌋"
                Expect.equal order.Legs[0].Net 900L "the rest"
            }
            test "every fault is named with its field" {
                let line = (orderOf two).Lines[0]
                let faulty = [
                    { line with Quantity = 0 }
                    { line with UnitAmount = -1L; Seller = seller "nobody" }
                ]
                let faults =
                    Expect.wantError (Order.create (OrderId(guid 4)) "b" euro Keep faulty []) "it is faulty"
                let fields = faults |> List.map _.Field
                Expect.contains fields "lines[0].quantity" ""
                Expect.contains fields "lines[1].unit_amount" ""
                Expect.contains fields "lines[1].seller_id" ""
            }
            property "legs and fees always sum to the total" (fun (basket: Basket) ->
                let order = orderOf basket
                order.Total = List.sum [ for leg in order.Legs -> leg.Net + leg.Fee ]
                && order.Total = List.sum basket.Gross)
        ]
        testList "at its limits" [
            let made lines = Order.create (OrderId(guid 4)) "b" euro Keep lines
            let terms = [
                {
                    Seller = sellerOf 0
                    Account = account "seller0"
                    FeeBps = 0
                    Transfer = TransferId(guid 300)
                }
            ]
            let line amount = { (orderOf { two with Gross = [ 1L ] }).Lines[0] with UnitAmount = amount }
            let faults lines =
                match made lines terms with
                | Ok _ -> []
                | Error faults -> [ for fault in faults -> fault.Field, fault.Code ]

            test "the largest order is taken, a cent more is not" {
                Expect.isEmpty (faults [ line Minor.most ]) ""
                Expect.equal (faults [ line (Minor.most + 1L) ]) [ "lines[0].unit_amount", "too_large" ] ""
                Expect.equal (faults [ line Minor.most; line 1L ]) [ "lines", "too_large" ] ""
                Expect.equal
                    (faults [ { line Minor.most with Quantity = 2 } ])
                    [ "lines[0].unit_amount", "too_large" ]
                    ""
            }
            test "an order is worth something" {
                Expect.equal (faults [ line 0L ]) [ "lines", "too_small" ] ""
                Expect.equal (faults []) [ "lines", "required" ] ""
                Expect.isEmpty (faults [ line 0L; line 1L ]) "a line may be free"
            }
            test "a quantity of nothing is refused, and a price below nothing" {
                Expect.equal
                    (faults [ { line 1L with Quantity = 0 } ])
                    [ "lines[0].quantity", "too_small" ]
                    ""
                Expect.equal (faults [ line -1L ]) [ "lines[0].unit_amount", "too_small" ] ""
            }
        ]
        testList "when it is refunded" [
            test "by amount is spread in proportion" {
                let _, reserved = Expect.wantOk (reserve 1 (Amount 50_00L) (paid two)) "half"
                Expect.equal (reserved.Legs |> List.map _.Reserved) [ 30_00L; 20_00L ] "3 : 2"
            }
            test "by line takes that line's leg" {
                let order = paid two
                let _, reserved = Expect.wantOk (reserve 1 (Lines [ order.Lines[1].Id ]) order) "one line"
                Expect.equal (reserved.Legs |> List.map _.Reserved) [ 0L; 40_00L ] "its leg alone"
            }
            test "the same line twice is refused" {
                let order = paid two
                let line = order.Lines[1].Id
                let once = Expect.wantOk (refund 1 (Lines [ line ]) order) "once"
                Expect.equal
                    (Order.planRefund (Lines [ line ]) once)
                    (Error(LineAlreadyRefunded line))
                    "not twice"
            }
            test "more than is left is refused, with what is left" {
                let once = Expect.wantOk (refund 1 (Amount 99_99L) (paid two)) "almost all"
                Expect.equal (Order.planRefund (Amount 2L) once) (Error(MoreThanIsLeft 1L)) "one cent is left"
            }
            test "what is reserved and not yet refunded counts" {
                let _, reserved = Expect.wantOk (reserve 1 (Amount 60_00L) (paid two)) "on its way"
                Expect.equal (Order.planRefund (Amount 40_01L) reserved) (Error(MoreThanIsLeft 40_00L)) ""
            }
            test "a failed refund gives back what it reserved" {
                let order = paid two
                let reservation, reserved = Expect.wantOk (reserve 1 AllThatIsLeft order) "all"
                Expect.equal (advance (RefundReleased reservation) reserved) order "as before"
            }
            test "a leg that gives nothing back has no share" {
                let order = paid { two with Gross = [ 60_00L; 0L ] }
                for request in [ Amount 1L; AllThatIsLeft; Lines [ for line in order.Lines -> line.Id ] ] do
                    let _, shares = Expect.wantOk (Order.planRefund request order) "something is left"
                    Expect.hasLength shares 1 "the free line's seller is not asked"
            }
            test
                "free lines, and lines beyond what is left of their seller's part, are refused as what they are" {
                let order = paid { two with Gross = [ 60_00L; 0L ] }
                Expect.equal
                    (Order.planRefund (Lines [ order.Lines[1].Id ]) order)
                    (Error NothingPaid)
                    "nothing was paid for it"
                let order = paid two
                let once = Expect.wantOk (refund 1 (Amount 50_00L) order) "half of each"
                let line = once.Lines[1]
                Expect.equal
                    (Order.planRefund (Lines [ line.Id ]) once)
                    (Error(MoreThanSellersPart(line.Seller, 40_00L, 20_00L)))
                    "half of what the second seller sold is left"
            }
            test "the last cent of a leg is part of the rest" {
                let once = Expect.wantOk (refund 1 (Amount 99_99L) (paid two)) "almost all"
                let _, shares = Expect.wantOk (Order.planRefund AllThatIsLeft once) "a cent"
                Expect.equal (shares |> List.sumBy _.Amount) 1L ""
                Expect.hasLength shares 1 "the other leg has nothing left"
            }
            test "nothing is left of what is refunded" {
                let all = Expect.wantOk (refund 1 AllThatIsLeft (paid two)) "all"
                for request in [ AllThatIsLeft; Amount 1L; Lines [ all.Lines[0].Id ] ] do
                    Expect.equal (Order.planRefund request all) (Error(MoreThanIsLeft 0L)) ""
            }
            test "undone, its amount may be asked for again" {
                let order = paid two
                let reservation, reserved =
                    Expect.wantOk (reserve 1 (Lines [ order.Lines[0].Id ]) order) "a line"
                let refunded = advance (RefundHasSucceeded reservation) reserved
                Expect.equal (advance (OrderSignal.RefundUndone reservation) refunded) order "as before"
                let second, both = Expect.wantOk (reserve 2 AllThatIsLeft refunded) "the rest"
                let both = advance (RefundHasSucceeded second) both
                let undone = advance (OrderSignal.RefundUndone reservation) both
                Expect.equal (undone.Status, undone.Left) (PartiallyRefunded, 60_00L) ""
            }
            test "an unpaid order cannot be refunded" {
                Expect.equal (Order.planRefund AllThatIsLeft (orderOf two)) (Error NotRefundable) ""
            }
            property
                "any sequence of partial refunds ends exactly at zero, no leg overdrawn"
                (fun (basket: Basket) (parts: FsCheck.PositiveInt list) ->
                    let step (order: Order) (number, FsCheck.PositiveInt part) =
                        match refund number (Amount(min order.Left (int64 part * 997L))) order with
                        | Ok next -> next
                        | Error _ -> order
                    let nearly = parts |> List.indexed |> List.fold step (paid basket)
                    let legsHold (order: Order) =
                        order.Legs
                        |> List.forall (fun leg -> 0L <= leg.Refunded && leg.Refunded <= leg.Gross)
                    let ended =
                        match refund 99 AllThatIsLeft nearly with
                        | Ok order -> order
                        | Error _ -> nearly
                    legsHold nearly
                    && ended.Refunded = ended.Total
                    && ended.Status = Refunded
                    && ended.Legs |> List.forall (fun leg -> leg.Refunded = leg.Gross))
        ]
        property "a row brings the same order back" (fun (basket: Basket) ->
            let order = paid basket
            OrderRow.ofRow (OrderRow.toRow order) (OrderRow.lines order) (OrderRow.legs order) = Ok order)
    ]

[<Tests>]
let allocation =
    testList "allocation" [
        property
            "shares sum to what is spread and stay within their weights"
            (fun (weights: FsCheck.NonNegativeInt list) (amount: FsCheck.NonNegativeInt) ->
                let weights = weights |> List.map (fun weight -> int64 weight.Get)
                let amount = min (int64 amount.Get) (List.sum weights)
                let shares = Allocation.spread amount weights
                (List.isEmpty weights || List.sum shares = amount)
                && List.forall2 (fun share weight -> 0L <= share && share <= weight) shares weights)
        property "each share is within a cent of its exact part" (fun (weights: FsCheck.PositiveInt list) ->
            let weights = weights |> List.map (fun weight -> int64 weight.Get)
            let whole = List.sum weights
            let amount = whole / 3L
            weights.IsEmpty
            || List.forall2
                (fun (share: int64) (weight: int64) ->
                    abs (bigint share * bigint whole - bigint amount * bigint weight) < bigint whole)
                (Allocation.spread amount weights)
                weights)
        property "what is given back only grows, and ends at the whole" (fun (basket: Basket) ->
            let gross = List.head basket.Gross
            let fee = Allocation.fee gross basket.Bps
            let steps = [
                for tenth in 0L .. 10L -> Allocation.givenBack basket.Policy gross fee (gross * tenth / 10L)
            ]
            let grows =
                steps |> List.pairwise |> List.forall (fun ((f1, s1), (f2, s2)) -> f1 <= f2 && s1 <= s2)
            let whole =
                match basket.Policy with
                | Proportional -> fee, gross - fee
                | Keep -> 0L, gross - fee
            grows && List.last steps = whole)
        test "amounts near the limit do not overflow" {
            Expect.equal (Minor.portion Minor.most Minor.most Minor.most) Minor.most "10¹² × 10¹² ÷ 10¹²"
        }
    ]
