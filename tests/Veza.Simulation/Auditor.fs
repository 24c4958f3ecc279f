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

/// What the providers' books say of some payments.
type private Standing = {
    Captured: int64
    /// Refunds that have succeeded, those that once had, and all that have not failed.
    Returned: int64
    EverReturned: int64
    Underway: int64
    /// Disputes' amounts: withdrawn, lost, and ever lost.
    Away: int64
    Lost: int64
    EverLost: int64
    /// Withdrawn by disputes that are open, and by those of them that were lost before.
    Undecided: int64
    Reopened: int64
} with

    /// What a lost dispute takes is the sellers' as far as no refund has taken it; the rest is the platform's loss. An
    /// open one keeps what it holds from a lost one until it is decided.
    member standing.LeastGivenBack =
        min
            (max standing.Returned (standing.Captured - standing.Undecided))
            (standing.Returned + standing.Lost)
    /// One that was lost and is open again has taken what it took: the bank has it meanwhile.
    member standing.MostGivenBack =
        min standing.Captured (standing.Returned + standing.Lost + standing.Reopened)
    member standing.Claimed = min standing.Captured (standing.Underway + standing.Away)

let private standing (books: Books) (isOf: Payment -> bool) =
    let payments = books.Payments.Values |> Seq.filter isOf |> List.ofSeq
    let refunds = payments |> List.collect (refundsOf books)
    let disputes = payments |> List.collect (disputesOf books)
    let sum isMeant = refunds |> List.filter isMeant |> List.sumBy _.Amount
    {
        Captured = payments |> List.filter _.IsCaptured |> List.sumBy _.Amount
        Returned = sum (fun refund -> refund.Status = "succeeded")
        EverReturned = sum _.HasSucceeded
        Underway = sum (fun refund -> refund.Status <> "failed")
        Away = disputes |> List.sumBy _.Away
        Lost = disputes |> List.sumBy _.Lost
        EverLost = disputes |> List.sumBy _.EverLost
        Undecided = disputes |> List.filter _.IsOpen |> List.sumBy _.Away
        Reopened =
            disputes
            |> List.filter (fun dispute -> dispute.IsOpen && dispute.EverLost > 0L)
            |> List.sumBy _.Away
    }

let private ofOrder (books: Books) (order: Guid) =
    let name = order.ToString "D"
    standing books (fun payment -> payment.Order = name)

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
        let standing = ofOrder books leg.Order
        if out > 0L && standing.Captured = 0L then
            $"Seller {leg.Seller} was paid for an order that nobody has paid."
        let held = out - back - reversed true transfers
        if held > net then
            $"Seller {leg.Seller} holds {held} of an order that is worth {net} to them."
        let everGone = standing.EverReturned + standing.EverLost
        if back > everGone then
            $"{back} was taken back from seller {leg.Seller}, of {everGone} refunded or lost."

    for refund in books.Refunds.Values do
        let isAsked = asked.Refunds.Keys |> Seq.exists (fun id -> refund.Id = Names.refund id)
        // Late money is given back without being asked for: what is left of it, and no seller was paid from it.
        let paidOut =
            books.Transfers
            |> Seq.exists (fun transfer ->
                refund.Payment.Order <> "" && transfer.Meta "order_id" = refund.Payment.Order)
        if not isAsked && not refund.IsByHand && paidOut then
            $"Nobody asked for refund {refund.Id}."

    for purchase in asked.Purchases.Values do
        let total = purchase.Lines |> List.sumBy snd
        if (ofOrder books purchase.Order).Returned > total then
            $"More than the whole of order {purchase.Order} was refunded."
        let name = purchase.Order.ToString "D"
        for refund in books.Refunds.Values |> Seq.filter (fun refund -> refund.Payment.Order = name) do
            match asked.Refunds |> Seq.tryFind (fun pair -> refund.Id = Names.refund pair.Key) with
            | Some(KeyValue(_, (_, AskAmount amount))) when refund.Amount <> amount ->
                $"{amount} was asked for and {refund.Amount} refunded."
            | Some _
            | None -> ()
]

/// What an order has left by all that Veza knows: an inquiry claims nothing.
let refundable (tables: Tables) (order: Guid) =
    let struct (_, lines, _, _) = tables.Orders[order]
    let total = lines |> List.sumBy (fun line -> int64 line.Quantity * line.UnitAmount)
    let refunds =
        List.sum [
            for KeyValue(_, struct (row, _)) in tables.Refunds do
                if row.OrderId = order && row.Status <> "failed" && row.Scope <> "dispute" then
                    row.Amount
        ]
    let claims =
        List.sum [
            for KeyValue(_, struct (row, _)) in tables.Disputes do
                if row.OrderId = order && row.Status <> "won" && row.Stage <> "pre_dispute" then
                    row.Amount
        ]
    total - refunds - claims

/// A refund that Veza has just decided to make.
let overdrawn (tables: Tables) (refund: Veza.Domain.Refunds.RefundRow) = [
    if refund.Scope <> "dispute" && refundable tables refund.OrderId < 0L then
        $"{refund.Amount} is refunded, and {-(refundable tables refund.OrderId)} of it was not there any more."
]

/// What the seller gives back once so much of the leg is refunded.
let private sellerBack leg refunded =
    if leg.Purchase.Keeps then
        min refunded (leg.Gross - leg.Fee)
    elif leg.Gross = 0L then
        0L
    else
        refunded - (leg.Fee - leg.Fee * (leg.Gross - refunded) / leg.Gross)

let private balanceOf (tables: Tables) (order: Nullable<Guid>) (prefix: string) =
    let mutable sum = 0L
    for struct (entryOrder, _, entryAccount, _, amount) in tables.Entries do
        if entryOrder = order && entryAccount.StartsWith prefix then
            sum <- sum + amount
    sum

/// What operators have given up of a seller's claims, as far as refunds still account for it.
let private forgiven (tables: Tables) leg =
    List.sum [
        for KeyValue(_, struct (row, reversals, _)) in tables.Transfers do
            if row.OrderId = leg.Order && row.StripeAccountId = account leg.Seller then
                for reversal in reversals do
                    if reversal.Status = "written_off" then
                        if reversal.Kept.HasValue then
                            reversal.Kept.Value
                        else
                            reversal.Amount
    ]

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
        | true, struct (order, _, rows, _) ->
            let row = rows |> List.find (fun row -> row.StripeAccountId = account leg.Seller)
            let transfers = transfersOf books leg
            let held = sent transfers - reversed false transfers
            let byHand = reversed true transfers
            let isPaid = (ofOrder books leg.Order).Captured > 0L && order.Status <> "cancelled"
            let due =
                if isPaid then
                    leg.Gross - leg.Fee - sellerBack leg row.Refunded + forgiven tables leg
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
            let standing = ofOrder books purchase.Order
            let isPaid = List.contains order.Status [ "completed"; "partially_refunded"; "refunded" ]
            // What is paid for an order that was cancelled belongs to nobody yet.
            if order.Status <> "cancelled" && isPaid <> (standing.Captured > 0L) then
                $"Order {purchase.Order} is {order.Status} with {standing.Captured} captured."
            let refundedHere = rows |> List.sumBy _.Refunded
            let reservedHere = rows |> List.sumBy _.Reserved
            if isPaid then
                if refundedHere < standing.LeastGivenBack || refundedHere > standing.MostGivenBack then
                    $"Veza says {refundedHere} given back; {standing.Returned} is refunded and {standing.Lost} lost."
                if reservedHere <> standing.Claimed then
                    $"Veza says {reservedHere} claimed; {standing.Underway} is refunded and {standing.Away} disputed."
                let status =
                    if refundedHere = standing.Captured then "refunded"
                    elif refundedHere > 0L then "partially_refunded"
                    else "completed"
                if order.Status <> status then
                    $"Order {purchase.Order} is {order.Status} and should be {status}."
                let fees =
                    List.sum [
                        for leg in legs asked do
                            if leg.Order = purchase.Order then
                                let row =
                                    rows |> List.find (fun row -> row.StripeAccountId = account leg.Seller)
                                if purchase.Keeps then
                                    leg.Fee
                                else
                                    leg.Fee - (row.Refunded - sellerBack leg row.Refunded)
                    ]
                if balanceOf tables (Nullable purchase.Order) "platform_fees" <> -fees then
                    $"""The platform's fees are {balanceOf tables (Nullable purchase.Order) "platform_fees"}, not {-fees}."""
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
            let cash =
                standing.Captured - standing.Returned - standing.Away - sent net
                + reversed false net
                + reversed true net
            let known = balanceOf tables (Nullable purchase.Order) "platform_cash"
            if known <> cash then
                $"The books say {known} cash, the providers {cash}."
            let undecided = balanceOf tables (Nullable purchase.Order) "disputed_funds"
            if isPaid && standing.Reopened = 0L && undecided <> standing.Undecided then
                $"The books say {undecided} is disputed, the providers {standing.Away - standing.Lost}."
            // What others took back before any refund asked for it is the seller's credit.
            for owed, due in [ "seller_payable", 0L; "seller_debt", -foreign ] do
                if balanceOf tables (Nullable purchase.Order) owed <> due then
                    $"{owed} is {balanceOf tables (Nullable purchase.Order) owed}, and {due} is explained."
            if balanceOf tables (Nullable purchase.Order) "" <> 0L then
                "The books do not balance."

    for KeyValue(number, (id, _, _)) in asked.Subscriptions do
        let name = id.ToString "D"
        let standing = standing books (fun payment -> payment.Subscription = name)
        let cash = standing.Captured - standing.Returned - standing.Away
        let known = balanceOf tables (Nullable()) "platform_cash"
        if known <> cash then
            $"The books say {known} cash of subscription {number}, the providers {cash}."
    if balanceOf tables (Nullable()) "" <> 0L then
        "The books of subscriptions do not balance."

    for dispute in books.Disputes do
        let rows = [
            for KeyValue(_, struct (row, _)) in tables.Disputes do
                if row.ProviderDisputeId = dispute.Id then
                    row
        ]
        match rows with
        | [ row ] ->
            let status =
                match dispute.Ruling with
                | Ruling.Opened
                | Ruling.Challenged -> "open"
                | Ruling.Won -> "won"
                | Ruling.Lost -> "lost"
            if row.Status <> status then
                $"Dispute {dispute.Id} is {row.Status}, at the providers {status}."
            if row.Amount <> dispute.Amount then
                $"Dispute {dispute.Id} is about {row.Amount}, at the providers {dispute.Amount}."
        | [] ->
            // Money outside of orders' books remembers what takes from it.
            let withdrawals = [
                for KeyValue(_, struct (row, _)) in tables.Deposits do
                    for name, amount in Seq.zip row.WithdrawalNames row.WithdrawalAmounts do
                        if name = dispute.Id then
                            amount
            ]
            match withdrawals with
            | [ amount ] when dispute.Away = 0L || amount = dispute.Amount -> ()
            | found -> $"Dispute {dispute.Id} is known as %A{found}, at the providers as {dispute.Amount}."
        | rows -> $"Dispute {dispute.Id} is known {rows.Length} times."

    for KeyValue(id, struct (row, _)) in tables.Refunds do
        match books.Refunds.TryGetValue row.ProviderRefundId with
        | true, refund when refund.Status <> row.Status ->
            $"Refund {id} is {row.Status}, at Hyperswitch {refund.Status}."
        | true, _ -> ()
        // A lost dispute is not Hyperswitch's refund.
        | false, _ when row.Scope = "dispute" -> ()
        | false, _ when row.Status <> "failed" -> $"Refund {id} is {row.Status}, and Hyperswitch knows none."
        | false, _ -> ()

    for KeyValue(id, struct (row, _, _)) in tables.Transfers do
        if not (List.contains row.Status [ "completed"; "reversed"; "cancelled"; "written_off" ]) then
            $"Transfer {id} rests as {row.Status} ({row.WaitingFor})."

    yield! tables.Deadlocks

    // Money that belongs to nothing may be for a person, and so is the event that told of it.
    let held =
        set [
            for KeyValue(_, struct (row, _)) in tables.Deposits do
                row.PaymentId
        ]
    for event in tables.Events do
        let isForAPerson = event.State = "quarantined" && held.Contains event.ObjectId
        if
            not isForAPerson
            && List.contains event.State [ "poisoned"; "received"; "asking"; "quarantined"; "parked" ]
        then
            $"Event {event.Event.Type} rests as {event.State}: {event.Reason}."
]
