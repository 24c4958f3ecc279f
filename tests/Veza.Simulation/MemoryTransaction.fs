/// The transactions and guards of the real store: rows locked until the end, statuses and versions checked, unique
/// names, nothing visible before its commit, everything gone that was not committed.
module Veza.Simulation.MemoryTransaction

open System
open System.Collections.Generic
open System.Threading.Tasks
open Veza.Adapters.Ports
open Veza.Adapters.Postgres.Queries
open Veza.Domain
open Veza.Domain.Licenses
open Veza.Domain.Deposits
open Veza.Domain.Disputes
open Veza.Domain.Orders
open Veza.Domain.Payouts
open Veza.Domain.Refunds
open Veza.Domain.Subscriptions
open Veza.Domain.Transfers
open Veza.Simulation.MemoryTables
open Veza.Simulation.Scheduler

type Transaction(host: int, scheduler: Scheduler, tables: Tables, lostCommits: int) =
    let held = List<string>()
    let writes = List<unit -> unit>()
    let orderStatus = Dictionary<Guid, string>()
    let pass what = scheduler.Pass(host, what)

    /// Whether whoever holds this lock waits, over however many others, for one of ours.
    member private transaction.LeadsBack(key: string) =
        match tables.Locks.TryGetValue key with
        | true, owner when obj.ReferenceEquals(owner, transaction) -> true
        | true, owner ->
            match tables.Waiting.TryGetValue owner with
            | true, next -> transaction.LeadsBack next
            | false, _ -> false
        | false, _ -> false

    member private transaction.Lock(key: string) =
        task {
            let mine () =
                match tables.Locks.TryGetValue key with
                | true, owner -> obj.ReferenceEquals(owner, transaction)
                | false, _ -> true
            if not (mine ()) then
                tables.Waiting[transaction] <- key
                if transaction.LeadsBack key then
                    tables.Waiting.Remove transaction |> ignore
                    tables.Deadlocks.Add $"Two transactions waited for each other over {key}."
                    raise (PassingException "deadlock detected")
                do! scheduler.PassWhen(host, $"waits for {key}", mine)
                tables.Waiting.Remove transaction |> ignore
            if tables.Locks.TryAdd(key, transaction) then
                held.Add key
        }

    member private transaction.LockAll(keys: string seq) =
        task {
            for key in Seq.sort keys do
                do! transaction.Lock key
        }

    /// Locked; those of them that are there.
    member private transaction.Held(what: string, ids: Guid seq, isThere: Guid -> bool) =
        task {
            do! transaction.LockAll [ for id in ids -> $"{what} {id}" ]
            return ids |> Seq.distinct |> Seq.filter isThere |> List.ofSeq
        }

    member transaction.Release() =
        tables.Waiting.Remove transaction |> ignore
        for key in held do
            tables.Locks.Remove key |> ignore
        held.Clear()

    member private _.Guard(what: string, isAsRead: bool) =
        if not isAsRead then
            raise (ConcurrentChangeException what)

    member private _.Unique(what: string, isTaken: bool) =
        if isTaken then
            raise (ViolationException $"{what} is taken")

    /// A new aggregate must be new, a known one as it was read.
    member private transaction.WriteAll<'t, 'row when 't: not struct and 't: not null>
        (
            what: string,
            changes: IReadOnlyDictionary<Guid, Change<'t>>,
            table: SortedDictionary<Guid, struct ('row * int)>,
            stored: Guid -> Versioned<'t>,
            toRow: 't -> 'row
        ) =
        for KeyValue(id, change) in changes do
            let version =
                match change.Before with
                | null ->
                    transaction.Unique($"{what} {id}", table.ContainsKey id)
                    1
                | before ->
                    transaction.Guard(what, (stored id).Version = before.Version)
                    before.Version + 1
            let row = toRow change.After
            writes.Add(fun () -> table[id] <- struct (row, version))

    /// Its guard covers its reversals; Stripe's ids are nobody else's.
    member private transaction.WriteTransfer(id: Guid, change: Change<Transfer>) =
        let version =
            match change.Before with
            | null ->
                transaction.Unique($"transfer {id}", tables.Transfers.ContainsKey id)
                1
            | before ->
                let stored = tables.Transfer id
                transaction.Guard(
                    "transfer",
                    stored.Version = before.Version
                    && TransferWords.status stored.Value.Status = TransferWords.status before.Value.Status
                )
                before.Version + 1
        let row, reversals = TransferRow.toRow change.After, TransferRow.reversals change.After
        let names =
            set [
                for reversal in reversals do
                    yield! Option.toList (Option.ofObj reversal.StripeReversalId)
            ]
        for KeyValue(other, struct (otherRow, otherReversals, _)) in tables.Transfers do
            if other <> id then
                transaction.Unique(
                    "a Stripe transfer's id",
                    not (isNull row.StripeTransferId) && otherRow.StripeTransferId = row.StripeTransferId
                )
                transaction.Unique(
                    "a Stripe reversal's id",
                    otherReversals
                    |> List.exists (fun reversal ->
                        Option.ofObj reversal.StripeReversalId |> Option.exists names.Contains)
                )
        writes.Add(fun () -> tables.Transfers[id] <- struct (row, reversals, version))

    interface ITransaction with
        member transaction.Orders(ids, _) =
            task {
                do! pass "reads orders"
                let! ids = transaction.Held("order", ids, tables.Orders.ContainsKey)
                return Dictionary(dict [ for id in ids -> id, tables.Order id ])
            }

        member _.InsertOrder(order, _, _, _) =
            task {
                do! pass "inserts an order"
                let id = order.Id.Value
                writes.Add(fun () ->
                    tables.Orders.Add(
                        id,
                        struct (OrderRow.toRow order, OrderRow.lines order, OrderRow.legs order, 1)
                    ))
            }

        member transaction.Transfers(ids, _) =
            task {
                do! pass "reads transfers"
                let! ids = transaction.Held("transfer", ids, tables.Transfers.ContainsKey)
                return Dictionary(dict [ for id in ids -> id, tables.Transfer id ])
            }

        member transaction.TransfersOf(orders, others, _) =
            task {
                do! pass "reads transfers"
                let orders = set [ for order in orders -> order.Id.Value ]
                let ids = [
                    for KeyValue(id, struct (row, _, _)) in tables.Transfers do
                        if orders.Contains row.OrderId || Seq.contains id others then
                            id
                ]
                do! transaction.LockAll [ for id in ids -> $"transfer {id}" ]
                return Dictionary(dict [ for id in ids -> id, tables.Transfer id ])
            }

        member _.TransfersNamed(names, _) =
            task {
                do! pass "reads transfers' names"
                return
                    Dictionary(
                        dict [
                            for KeyValue(id, struct (row, _, _)) in tables.Transfers do
                                match row.StripeTransferId with
                                | NonNull name when Seq.contains name names -> name, id
                                | _ -> ()
                        ]
                    )
            }

        member transaction.Payouts(ids, _) =
            task {
                do! pass "reads payouts"
                let! ids = transaction.Held("payout", ids, tables.Payouts.ContainsKey)
                return Dictionary(dict [ for id in ids -> id, tables.Payout id ])
            }

        member transaction.Subscriptions(ids, _) =
            task {
                do! pass "reads subscriptions"
                let! ids = transaction.Held("subscription", ids, tables.Subscriptions.ContainsKey)
                return Dictionary(dict [ for id in ids -> id, tables.Subscription id ])
            }

        member transaction.Deposits(ids, _) =
            task {
                do! pass "reads deposits by id"
                let known = ids |> Seq.filter tables.Deposits.ContainsKey |> Seq.sort |> List.ofSeq
                do! transaction.LockAll [ for id in known -> $"deposit {id}" ]
                return Dictionary(dict [ for id in known -> id, tables.Deposit id ])
            }

        member transaction.DepositsOf(payments, _) =
            task {
                do! pass "reads deposits"
                let ids = [
                    for KeyValue(id, struct (row, _)) in tables.Deposits do
                        if Seq.contains row.PaymentId payments then
                            id
                ]
                do! transaction.LockAll [ for id in ids -> $"deposit {id}" ]
                return
                    Dictionary(dict [ for id in ids -> (tables.Deposit id).Value.Payment, tables.Deposit id ])
            }

        member _.ChargesNamed(names, _) =
            task {
                do! pass "reads charges"
                return
                    Dictionary(
                        dict [
                            for name in names do
                                match
                                    tables.Charges.TryGetValue(
                                        tables.ChargeConnectors.GetValueOrDefault(name, name)
                                    )
                                with
                                | true, charge -> name, charge
                                | false, _ -> ()
                        ]
                    )
            }

        member _.IntendCharge(subscription, _, _) =
            task {
                do! pass "intends a charge"
                let row = Subscription.toRow subscription
                let name = (PaymentId.ForPeriod(subscription.Id, row.Period, row.Retries)).Value
                let charge = KnownCharge(row.Id, { Period = row.Period; Try = row.Retries })
                writes.Add(fun () -> tables.Charges.TryAdd(name, charge) |> ignore)
            }

        member _.WriteCharges(payments, _, _) =
            task {
                do! pass "writes charges"
                for payment in payments do
                    match payment.ConnectorPayment with
                    | NonNull connector ->
                        writes.Add(fun () -> tables.ChargeConnectors[connector] <- payment.PaymentId)
                    | _ -> ()
                    match payment.PaymentMethod with
                    | NonNull paidWith when payment.HasSucceeded ->
                        let id = tables.Charges[payment.PaymentId].Subscription
                        writes.Add(fun () -> tables.PaymentMethods[id] <- paidWith)
                    | _ -> ()
            }

        member _.PaymentMethodOf(id, _) =
            task {
                do! pass "reads a payment method"
                let paidWith: string | null =
                    match tables.PaymentMethods.TryGetValue id with
                    | true, paidWith -> paidWith
                    | false, _ -> null
                return paidWith
            }

        member _.OrdersOfDisputes(names, _) =
            task {
                do! pass "reads which orders are disputed"
                return
                    Dictionary(
                        dict [
                            for KeyValue(_, struct (row, _)) in tables.Disputes do
                                if Seq.contains row.ProviderDisputeId names then
                                    row.ProviderDisputeId, row.OrderId
                        ]
                    )
            }

        member transaction.DisputesOf(orders, _) =
            task {
                do! pass "reads disputes"
                let ids = [
                    for KeyValue(id, struct (row, _)) in tables.Disputes do
                        if Seq.contains row.OrderId orders then
                            id
                ]
                do! transaction.LockAll [ for id in List.sort ids -> $"dispute {id}" ]
                return List [ for id in List.sort ids -> tables.Dispute id ]
            }

        member transaction.Refunds(ids, _) =
            task {
                do! pass "reads refunds"
                let! ids = transaction.Held("refund", ids, tables.Refunds.ContainsKey)
                return List [ for id in ids -> tables.Refund id ]
            }

        member transaction.RefundsNamed(names, _) =
            task {
                do! pass "reads refunds"
                let ids = [
                    for KeyValue(id, struct (row, _)) in tables.Refunds do
                        if Seq.contains row.ProviderRefundId names then
                            id
                ]
                do! transaction.LockAll [ for id in ids -> $"refund {id}" ]
                return List [ for id in ids -> tables.Refund id ]
            }

        member _.LicensesOf(orders, _) =
            task {
                do! pass "reads licenses"
                return
                    List [
                        for KeyValue(id, struct (row, _)) in tables.Licenses do
                            if Seq.contains row.OrderId orders then
                                tables.License id
                    ]
            }

        member _.OrdersOfPayments(names, _) =
            task {
                do! pass "reads payments"
                return
                    Dictionary(
                        dict [
                            for payment in tables.Payments.Values do
                                for name in [ payment.Payment; string payment.Connector ] do
                                    if Seq.contains name names then
                                        name, payment.Order
                        ]
                    )
            }

        member _.ReturnUrlOf(_, _) = Task.FromResult<string | null> null

        member _.IntendPayment(order, _, due, now, _) =
            task {
                do! pass "intends a payment"
                writes.Add(fun () ->
                    match tables.Payments.TryGetValue order.Id.Value with
                    | true, row -> row.Due <- Nullable due
                    | false, _ ->
                        let name = (PaymentId.For order.Id).Value
                        tables.Payments.Add(order.Id.Value, PaymentRow(order.Id.Value, name, now, due)))
            }

        member _.FindPayment(order, _) =
            task {
                do! pass "reads a payment"
                return
                    match tables.Payments.TryGetValue order with
                    | true, row ->
                        match Option.ofObj row.Secret with
                        | Some secret -> KnownPayment(row.Payment, secret, row.Status)
                        | None -> Unchecked.defaultof<KnownPayment>
                    | false, _ -> Unchecked.defaultof<KnownPayment>
            }

        member _.WritePayments(payments, _, _) =
            task {
                do! pass "writes payments"
                for payment in payments do
                    writes.Add(fun () ->
                        for row in tables.Payments.Values do
                            let isFinal = row.Status = "succeeded" && isNull row.ErrorCode
                            if row.Payment = payment.PaymentId && not isFinal then
                                let status =
                                    match orderStatus.TryGetValue row.Order with
                                    | true, status -> status
                                    | false, _ ->
                                        let struct (order, _, _, _) = tables.Orders[row.Order]
                                        order.Status
                                let waits =
                                    not (Seq.contains payment.Status ProviderWords.over)
                                    && (status = "awaiting_payment"
                                        || status = "payment_failed"
                                        || (status = "cancelled" && payment.Status <> "succeeded"))
                                row.Status <- payment.Status
                                row.Connector <-
                                    (match payment.ConnectorPayment with
                                     | null -> row.Connector
                                     | connector -> connector)
                                row.ErrorCode <- payment.ErrorCode
                                row.Secret <-
                                    (match row.Secret with
                                     | null -> payment.ClientSecret
                                     | secret -> secret)
                                if not waits then
                                    row.Due <- Nullable())
            }

        member _.TakeEvents(most, _) =
            task {
                do! pass "takes events"
                let free =
                    tables.Events
                    |> Seq.filter (fun row ->
                        row.State = "received" && not (tables.Locks.ContainsKey $"event {row.Event.Seq}"))
                    |> Seq.truncate most
                    |> List.ofSeq
                for row in free do
                    let key = $"event {row.Event.Seq}"
                    tables.Locks.Add(key, held)
                    held.Add key
                return List [ for row in free -> row.Event ]
            }

        member _.CloseEvents(closed, now, _) =
            task {
                do! pass "closes events"
                for closing in closed do
                    writes.Add(fun () ->
                        for row in tables.Events do
                            if row.Event.Seq = closing.Event.Seq then
                                row.State <- (string closing.State).ToLowerInvariant()
                                row.Due <-
                                    (if closing.State = EventState.Asking then
                                         Nullable now
                                     else
                                         Nullable())
                                row.Reason <- closing.Reason
                                row.Awaits <- closing.Awaits)
            }

        member transaction.Write(changes, _, _) =
            task {
                do! pass "writes"
                do!
                    transaction.LockAll [
                        for id in changes.Orders.Changed.Keys -> $"order {id}"
                        for id in changes.Refunds.Changed.Keys -> $"refund {id}"
                        for id in changes.Licenses.Changed.Keys -> $"license {id}"
                        for id in changes.Transfers.Changed.Keys -> $"transfer {id}"
                        for id in changes.Payouts.Changed.Keys -> $"payout {id}"
                        for id in changes.Disputes.Changed.Keys -> $"dispute {id}"
                        for id in changes.Subscriptions.Changed.Keys -> $"subscription {id}"
                        for id in changes.Deposits.Changed.Keys -> $"deposit {id}"
                    ]
                for KeyValue(id, change) in changes.Orders.Changed do
                    match change.Before with
                    | null -> ()
                    | before ->
                        let stored = tables.Order id
                        transaction.Guard(
                            "order",
                            stored.Version = before.Version && stored.Value.Status = before.Value.Status
                        )
                        let after = change.After
                        orderStatus[id] <- OrderWords.status after.Status
                        writes.Add(fun () ->
                            tables.Orders[id] <-
                                struct (OrderRow.toRow after,
                                        OrderRow.lines after,
                                        OrderRow.legs after,
                                        stored.Version + 1))
                transaction.WriteAll(
                    "refund",
                    changes.Refunds.Changed,
                    tables.Refunds,
                    tables.Refund,
                    Refund.toRow
                )
                transaction.WriteAll(
                    "license",
                    changes.Licenses.Changed,
                    tables.Licenses,
                    tables.License,
                    License.toRow
                )
                transaction.WriteAll(
                    "payout",
                    changes.Payouts.Changed,
                    tables.Payouts,
                    tables.Payout,
                    PayoutRow.toRow
                )
                transaction.WriteAll(
                    "dispute",
                    changes.Disputes.Changed,
                    tables.Disputes,
                    tables.Dispute,
                    Dispute.toRow
                )
                transaction.WriteAll(
                    "subscription",
                    changes.Subscriptions.Changed,
                    tables.Subscriptions,
                    tables.Subscription,
                    Subscription.toRow
                )
                transaction.WriteAll(
                    "deposit",
                    changes.Deposits.Changed,
                    tables.Deposits,
                    tables.Deposit,
                    DepositRow.toRow
                )
                for KeyValue(id, change) in changes.Transfers.Changed do
                    transaction.WriteTransfer(id, change)
                for entry in changes.Entries do
                    writes.Add(fun () ->
                        tables.Entries.Add(
                            struct (entry.OrderId,
                                    entry.SourceId,
                                    entry.Account,
                                    entry.Currency,
                                    entry.Amount)
                        ))
            }

        member transaction.Commit _ =
            task {
                do! pass "commits"
                for write in writes do
                    write ()
                writes.Clear()
                transaction.Release()
                do! pass "has committed"
                if scheduler.Chance lostCommits then
                    scheduler.Say($"host {host}", "commits, and is told that it failed")
                    raise (PassingException "The connection broke during the commit.")
            }

        member transaction.DisposeAsync() =
            transaction.Release()
            ValueTask.CompletedTask
