/// Keeps books of its own and believes nobody. It knows what people asked for and what the providers did, and none of
/// Veza's rules: what a seller is due is worked out here once more.
module Veza.Simulation.Auditor

open System
open System.Collections.Generic
open Veza.Simulation.MemoryTables
open Veza.Simulation.Truth

/// One seller's part of one order.
type private Leg = { Order: Guid; Purchase: Purchase; Seller: int; Gross: int64; Fee: int64 }

let private legs (asked: Asked) = [
    for purchase in asked.Purchases.Values do
        for seller in List.distinct (List.map fst purchase.Lines) do
            let gross = purchase.Lines |> List.filter (fun (one, _) -> one = seller) |> List.sumBy snd
            {
                Order = purchase.Order
                Purchase = purchase
                Seller = seller
                Gross = gross
                Fee = gross * int64 purchase.Bps / 10_000L
            }
]

let private transfersOf (books: Books) leg =
    let order = leg.Order.ToString "D"
    books.Transfers
    |> Seq.filter (fun transfer ->
        transfer.Meta "order_id" = order && transfer.Destination = account leg.Seller)
    |> List.ofSeq

let private isByHand (reversal: StripeReversal) = reversal.Operation = "by hand"

let private sent transfers = transfers |> List.sumBy (fun (transfer: StripeTransfer) -> transfer.Amount)

let private reversed byHand transfers =
    List.sum [
        for transfer: StripeTransfer in transfers do
            for reversal in transfer.Reversals do
                if isByHand reversal = byHand then
                    reversal.Amount
    ]

let private refundsOf (books: Books) (order: Guid) =
    books.Refunds.Values
    |> Seq.filter (fun refund -> refund.Payment.Order = order.ToString "D")
    |> List.ofSeq

let private refunded books order =
    refundsOf books order
    |> List.filter (fun refund -> refund.Status = "succeeded")
    |> List.sumBy _.Amount

let private capture (books: Books) (order: Guid) =
    books.Payments.Values
    |> Seq.filter (fun payment -> payment.Order = order.ToString "D" && payment.Status = "succeeded")
    |> Seq.sumBy _.Amount

/// What must hold at every moment.
let watch (asked: Asked) (books: Books) = [
    yield! books.Complaints

    for name, transfers in books.Transfers |> Seq.groupBy (fun transfer -> transfer.Meta "transfer_id") do
        if Seq.length transfers > 1 then
            $"Transfer {name} was sent {Seq.length transfers} times."

    for transfer in books.Transfers do
        let operations = [
            for reversal in transfer.Reversals do
                if not (isByHand reversal) then
                    reversal.Operation.Substring(0, reversal.Operation.LastIndexOf ':')
        ]
        if List.distinct operations <> operations then
            $"One claim on {transfer.Id} was taken back twice."

    for leg in legs asked do
        let transfers = transfersOf books leg
        let out, back = sent transfers, reversed false transfers
        let net = leg.Gross - leg.Fee
        if out > 0L && capture books leg.Order = 0L then
            $"Seller {leg.Seller} was paid for an order that nobody has paid."
        let held = out - back - reversed true transfers
        if held > net then
            $"Seller {leg.Seller} holds {held} of an order that is worth {net} to them."
        let everRefunded = refundsOf books leg.Order |> List.filter _.HasSucceeded |> List.sumBy _.Amount
        if back > everRefunded then
            $"{back} was taken back from seller {leg.Seller}, of {everRefunded} refunded."

    for refund in books.Refunds.Values do
        let isAsked = asked.Refunds.Keys |> Seq.exists (fun id -> refund.Id = Names.refund id)
        if not isAsked then
            $"Nobody asked for refund {refund.Id}."

    for purchase in asked.Purchases.Values do
        let total = purchase.Lines |> List.sumBy snd
        if refunded books purchase.Order > total then
            $"More than the whole of order {purchase.Order} was refunded."
        let claims = refundsOf books purchase.Order
        for refund in claims do
            match asked.Refunds |> Seq.tryFind (fun pair -> refund.Id = Names.refund pair.Key) with
            | Some(KeyValue(_, (_, AskAmount amount))) when refund.Amount <> amount ->
                $"{amount} was asked for and {refund.Amount} refunded."
            | Some _
            | None -> ()
]

/// What the seller gives back once so much of the leg is refunded.
let private sellerBack leg refunded =
    if leg.Purchase.Keeps then
        min refunded (leg.Gross - leg.Fee)
    elif leg.Gross = 0L then
        0L
    else
        refunded - (leg.Fee - leg.Fee * (leg.Gross - refunded) / leg.Gross)

let private balanceOf (tables: Tables) (order: Guid) (prefix: string) =
    let mutable sum = 0L
    for struct (entryOrder, entryAccount, _, amount) in tables.Entries do
        if entryOrder = Nullable order && entryAccount.StartsWith prefix then
            sum <- sum + amount
    sum

let private licenseFaults (tables: Tables) (purchase: Purchase) = [
    let struct (order, lines, _, _) = tables.Orders[purchase.Order]
    for KeyValue(_, struct (license, _)) in tables.Licenses do
        if license.OrderId = purchase.Order then
            let line = lines |> List.find (fun line -> line.Id = license.LineId)
            let isCovered = order.Status = "refunded" || line.RefundedBy.HasValue
            if isCovered <> (license.Status = "revoked") then
                $"A license is {license.Status}, its line refunded: {isCovered}."
]

/// What must hold once everything has come to rest: Veza says what the providers did, to the cent.
let settle (asked: Asked) (books: Books) (tables: Tables) = [
    for leg in legs asked do
        match tables.Orders.TryGetValue leg.Order with
        | false, _ -> ()
        | true, struct (_, _, rows, _) ->
            let row = rows |> List.find (fun row -> row.StripeAccountId = account leg.Seller)
            let transfers = transfersOf books leg
            let held = sent transfers - reversed false transfers
            let byHand = reversed true transfers
            let isPaid = capture books leg.Order > 0L
            let due =
                if isPaid then
                    leg.Gross - leg.Fee - sellerBack leg row.Refunded
                else
                    0L
            if byHand = 0L && held <> due then
                $"Seller {leg.Seller} holds {held} and is due {due}."
            // What somebody took back by hand may serve a claim; it never makes Veza take too little or too much.
            if byHand > 0L && (held < due || held - byHand > due) then
                $"Seller {leg.Seller} holds {held}, less {byHand} by hand, and is due {due}."

    for purchase in asked.Purchases.Values do
        match tables.Orders.TryGetValue purchase.Order with
        | false, _ -> $"Order {purchase.Order} is lost."
        | true, struct (order, _, rows, _) ->
            let captured, returned = capture books purchase.Order, refunded books purchase.Order
            let isPaid = List.contains order.Status [ "completed"; "partially_refunded"; "refunded" ]
            if isPaid <> (captured > 0L) then
                $"Order {purchase.Order} is {order.Status} with {captured} captured."
            let refundedHere = rows |> List.sumBy _.Refunded
            if refundedHere <> returned then
                $"Veza says {refundedHere} refunded, Hyperswitch {returned}."
            if rows |> List.exists (fun row -> row.Reserved <> row.Refunded) then
                "Something is still reserved."
            yield! licenseFaults tables purchase

            let net =
                books.Transfers
                |> Seq.filter (fun transfer -> transfer.Meta "order_id" = purchase.Order.ToString "D")
                |> List.ofSeq
            let foreign =
                List.sum [
                    for KeyValue(_, struct (row, _, _)) in tables.Transfers do
                        if row.OrderId = purchase.Order then
                            row.Foreign
                ]
            let cash = captured - returned - sent net + reversed false net + reversed true net
            if balanceOf tables purchase.Order "platform_cash" <> cash then
                $"""The books say {balanceOf tables purchase.Order "platform_cash"} cash, the providers {cash}."""
            // What others took back before any refund asked for it is the seller's credit.
            for owed, due in [ "seller_payable", 0L; "seller_debt", -foreign ] do
                if balanceOf tables purchase.Order owed <> due then
                    $"{owed} is {balanceOf tables purchase.Order owed}, and {due} is explained."
            if balanceOf tables purchase.Order "" <> 0L then
                "The books do not balance."

    for KeyValue(id, struct (row, _)) in tables.Refunds do
        match books.Refunds.TryGetValue row.ProviderRefundId with
        | true, refund when refund.Status <> row.Status ->
            $"Refund {id} is {row.Status}, at Hyperswitch {refund.Status}."
        | true, _ -> ()
        | false, _ when row.Status <> "failed" -> $"Refund {id} is {row.Status}, and Hyperswitch knows none."
        | false, _ -> ()

    for KeyValue(id, struct (row, _, _)) in tables.Transfers do
        if not (List.contains row.Status [ "completed"; "reversed"; "cancelled" ]) then
            $"Transfer {id} rests as {row.Status} ({row.WaitingFor})."

    yield! tables.Deadlocks

    for event in tables.Events do
        if List.contains event.State [ "poisoned"; "received"; "asking"; "quarantined" ] then
            $"Event {event.Event.Type} rests as {event.State}: {event.Reason}."
]
