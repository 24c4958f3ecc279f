/// The store in memory, with the transactions and guards of the real one: rows locked until the end, statuses and
/// versions checked, unique names, nothing visible before its commit, everything gone that was not committed.
module Veza.Simulation.MemoryStore

open System
open System.Collections.Generic
open System.Threading.Tasks
open Veza.Adapters.Hyperswitch
open Veza.Adapters.Storage
open Veza.Domain
open Veza.Domain.Licenses
open Veza.Domain.Disputes
open Veza.Domain.Orders
open Veza.Domain.Payouts
open Veza.Domain.Refunds
open Veza.Domain.Transfers
open Veza.Simulation.Scheduler

/// A failure that passes: a lost connection, or a commit of which nobody knows.
type PassingException(message) =
    inherit Exception(message)

/// What a real database would refuse.
type ViolationException(message) =
    inherit Exception(message)

[<Sealed; AllowNullLiteral>]
type PaymentRow(order: Guid, payment: string, created: DateTimeOffset, due: DateTimeOffset) =
    member _.Order = order
    member _.Payment = payment
    member _.Created = created
    member val Due = Nullable due with get, set
    member val Secret: string | null = null with get, set
    member val Status: string | null = null with get, set
    member val ErrorCode: string | null = null with get, set

type EventRow(event: WaitingEvent) =
    member _.Event = event
    member val ObjectId = "" with get, set
    member val State = "received" with get, set
    member val Due = Nullable<DateTimeOffset>() with get, set
    member val Reason: string | null = null with get, set

/// Rows, not aggregates: what does not survive being stored shows here as it would in PostgreSQL.
type Tables() =
    member val Orders = Dictionary<Guid, struct (OrderRow * LineRow list * LegRow list * int)>()
    member val Refunds = SortedDictionary<Guid, struct (RefundRow * int)>()
    member val Licenses = SortedDictionary<Guid, struct (LicenseRow * int)>()
    member val Transfers = SortedDictionary<Guid, struct (TransferRow * ReversalRow list * int)>()
    member val Payouts = SortedDictionary<Guid, struct (PayoutRow * int)>()
    member val Disputes = SortedDictionary<Guid, struct (DisputeRow * int)>()
    member val Payments = Dictionary<Guid, PaymentRow>()
    /// How far a walk has come, and until when somebody is at it.
    member val Walks = Dictionary<string, struct (DateTimeOffset * DateTimeOffset)>()
    member val Events = List<EventRow>()
    member val Entries = List<struct (Guid * string * string * int64)>()
    /// Who holds a row: until the end of its transaction.
    member val Locks = Dictionary<string, obj>()
    /// Who waits for which row.
    member val Waiting = Dictionary<obj, string>(HashIdentity.Reference)
    /// PostgreSQL breaks them after a second; there should be none to break.
    member val Deadlocks = List<string>()

    member tables.Order id =
        let struct (row, lines, legs, version) = tables.Orders[id]
        match OrderRow.ofRow row lines legs with
        | Ok order -> Versioned<Order>(order, version)
        | Error why -> raise (ViolationException why)

    member tables.Refund id =
        let struct (row, version) = tables.Refunds[id]
        match Refund.ofRow row with
        | Ok refund -> Versioned<Refund>(refund, version)
        | Error why -> raise (ViolationException why)

    member tables.License id =
        let struct (row, version) = tables.Licenses[id]
        match License.ofRow row with
        | Ok license -> Versioned<License>(license, version)
        | Error why -> raise (ViolationException why)

    member tables.Transfer id =
        let struct (row, reversals, version) = tables.Transfers[id]
        match TransferRow.ofRow row reversals with
        | Ok transfer -> Versioned<Transfer>(transfer, version)
        | Error why -> raise (ViolationException why)

    member tables.Payout id =
        let struct (row, version) = tables.Payouts[id]
        match PayoutRow.ofRow row with
        | Ok payout -> Versioned<Payout>(payout, version)
        | Error why -> raise (ViolationException why)

    member tables.Dispute id =
        let struct (row, version) = tables.Disputes[id]
        match Dispute.ofRow row with
        | Ok dispute -> Versioned<Dispute>(dispute, version)
        | Error why -> raise (ViolationException why)

let private isUnsettled (status: string) = status = "pending" || status = "submitted"

type private Transaction(host: int, scheduler: Scheduler, tables: Tables, lostCommits: int) =
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

    /// The version that an aggregate has after this write: a new one must be new, a known one as it was read.
    member private transaction.NextVersion<'t when 't: not struct and 't: not null>
        (what: string, id: Guid, isThere: bool, before: Versioned<'t> | null, stored: Guid -> Versioned<'t>)
        =
        match before with
        | null ->
            transaction.Unique($"{what} {id}", isThere)
            1
        | before ->
            transaction.Guard(what, (stored id).Version = before.Version)
            before.Version + 1

    interface ITransaction with
        member transaction.Orders(ids, _) =
            task {
                do! pass "reads orders"
                do! transaction.LockAll [ for id in ids -> $"order {id}" ]
                return
                    Dictionary(
                        dict [
                            for id in Seq.distinct ids do
                                if tables.Orders.ContainsKey id then
                                    id, tables.Order id
                        ]
                    )
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
                do! transaction.LockAll [ for id in ids -> $"transfer {id}" ]
                return
                    Dictionary(
                        dict [
                            for id in Seq.distinct ids do
                                if tables.Transfers.ContainsKey id then
                                    id, tables.Transfer id
                        ]
                    )
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
                do! transaction.LockAll [ for id in ids -> $"payout {id}" ]
                return
                    Dictionary(
                        dict [
                            for id in Seq.distinct ids do
                                if tables.Payouts.ContainsKey id then
                                    id, tables.Payout id
                        ]
                    )
            }

        member transaction.DisputesNamed(names, _) =
            task {
                do! pass "reads disputes"
                let ids = [
                    for KeyValue(id, struct (row, _)) in tables.Disputes do
                        if Seq.contains row.ProviderDisputeId names then
                            id
                ]
                do! transaction.LockAll [ for id in ids -> $"dispute {id}" ]
                return
                    Dictionary(
                        dict [ for id in ids -> (tables.Dispute id).Value.Provider, tables.Dispute id ]
                    )
            }

        member transaction.Refunds(ids, _) =
            task {
                do! pass "reads refunds"
                do! transaction.LockAll [ for id in ids -> $"refund {id}" ]
                return
                    List [
                        for id in Seq.distinct ids do
                            if tables.Refunds.ContainsKey id then
                                tables.Refund id
                    ]
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
                                if Seq.contains payment.Payment names then
                                    payment.Payment, payment.Order
                        ]
                    )
            }

        member _.IntendPayment(order, due, now, _) =
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
                                    (status = "awaiting_payment" || status = "payment_failed")
                                    && payment.Status <> "cancelled"
                                    && payment.Status <> "expired"
                                row.Status <- payment.Status
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
                for struct (event, state, reason) in closed do
                    writes.Add(fun () ->
                        for row in tables.Events do
                            if row.Event.Seq = event.Seq then
                                row.State <- (string state).ToLowerInvariant()
                                row.Due <-
                                    (if state = EventState.Asking then
                                         Nullable now
                                     else
                                         Nullable())
                                row.Reason <- reason)
            }

        member transaction.Write(changes, _, _) =
            task {
                do! pass "writes"
                do!
                    transaction.LockAll [
                        for id in changes.Orders.Keys -> $"order {id}"
                        for id in changes.Refunds.Keys -> $"refund {id}"
                        for id in changes.Licenses.Keys -> $"license {id}"
                        for id in changes.Transfers.Keys -> $"transfer {id}"
                        for id in changes.Payouts.Keys -> $"payout {id}"
                        for id in changes.Disputes.Keys -> $"dispute {id}"
                    ]
                for KeyValue(id, change) in changes.Orders do
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
                for KeyValue(id, change) in changes.Refunds do
                    let version =
                        transaction.NextVersion(
                            "refund",
                            id,
                            tables.Refunds.ContainsKey id,
                            change.Before,
                            tables.Refund
                        )
                    let row = Refund.toRow change.After
                    writes.Add(fun () -> tables.Refunds[id] <- struct (row, version))
                for KeyValue(id, change) in changes.Licenses do
                    let version =
                        transaction.NextVersion(
                            "license",
                            id,
                            tables.Licenses.ContainsKey id,
                            change.Before,
                            tables.License
                        )
                    let row = License.toRow change.After
                    writes.Add(fun () -> tables.Licenses[id] <- struct (row, version))
                for KeyValue(id, change) in changes.Payouts do
                    let version =
                        transaction.NextVersion(
                            "payout",
                            id,
                            tables.Payouts.ContainsKey id,
                            change.Before,
                            tables.Payout
                        )
                    let row = PayoutRow.toRow change.After
                    writes.Add(fun () -> tables.Payouts[id] <- struct (row, version))
                for KeyValue(id, change) in changes.Disputes do
                    let version =
                        transaction.NextVersion(
                            "dispute",
                            id,
                            tables.Disputes.ContainsKey id,
                            change.Before,
                            tables.Dispute
                        )
                    let row = Dispute.toRow change.After
                    writes.Add(fun () -> tables.Disputes[id] <- struct (row, version))
                for KeyValue(id, change) in changes.Transfers do
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
                                && TransferWords.status stored.Value.Status =
                                    TransferWords.status before.Value.Status
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
                                not (isNull row.StripeTransferId)
                                && otherRow.StripeTransferId = row.StripeTransferId
                            )
                            transaction.Unique(
                                "a Stripe reversal's id",
                                otherReversals
                                |> List.exists (fun reversal ->
                                    Option.ofObj reversal.StripeReversalId |> Option.exists names.Contains)
                            )
                    writes.Add(fun () -> tables.Transfers[id] <- struct (row, reversals, version))
                for entry in changes.Entries do
                    writes.Add(fun () ->
                        tables.Entries.Add(
                            struct (entry.OrderId, entry.Account, entry.Currency, entry.Amount)
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

/// One host's view of the tables that all hosts share.
type MemoryStore(host: int, scheduler: Scheduler, tables: Tables, lostCommits: int) =
    let open' = List<Transaction>()
    let pass what = scheduler.Pass(host, what)

    let free key = not (tables.Locks.ContainsKey key)

    /// What PostgreSQL does when a host's connections die.
    member _.DropConnections() =
        for transaction in open' do
            transaction.Release()

    interface IStore with
        member _.Begin _ =
            task {
                do! pass "begins"
                let transaction = Transaction(host, scheduler, tables, lostCommits)
                open'.Add transaction
                return transaction :> ITransaction
            }

        member _.ClaimTransfers(work, most, now, lease, _) =
            task {
                do! pass "claims transfers"
                let rules = {
                    Sending = { MaxRetries = 0; Base = TimeSpan.Zero; Cap = TimeSpan.Zero }
                    Reversing = { MaxRetries = 0; Base = TimeSpan.Zero; Cap = TimeSpan.Zero }
                    FundsInterval = TimeSpan.Zero
                    Lease = lease
                }
                let isWork (row: TransferRow) =
                    match work with
                    | Work.Sending -> row.Status = "pending" || row.Status = "failed"
                    | _ -> row.Status = "reversal_pending"
                let due =
                    [
                        for KeyValue(id, struct (row, _, version)) in tables.Transfers do
                            if isWork row && row.DueAt.Value <= now && free $"transfer {id}" then
                                row.DueAt.Value, id, version
                    ]
                    |> List.sort
                    |> List.truncate most
                let claimed =
                    List [
                        for _, id, version in due do
                            let transfer = Transfer.claimed rules now (tables.Transfer id).Value
                            tables.Transfers[id] <-
                                struct (TransferRow.toRow transfer,
                                        TransferRow.reversals transfer,
                                        version + 1)
                            Versioned<Transfer>(transfer, version + 1)
                    ]
                do! pass "has claimed transfers"
                return claimed :> IReadOnlyList<_>
            }

        member _.ClaimRefunds(most, now, lease, _) =
            task {
                do! pass "claims refunds"
                let due =
                    [
                        for KeyValue(id, struct (row, version)) in tables.Refunds do
                            if isUnsettled row.Status && row.DueAt.Value <= now && free $"refund {id}" then
                                row.DueAt.Value, id, version
                    ]
                    |> List.sort
                    |> List.truncate most
                let claimed =
                    List [
                        for _, id, version in due do
                            let struct (row, _) = tables.Refunds[id]
                            tables.Refunds[id] <-
                                struct ({ row with DueAt = Nullable(now + lease) }, version + 1)
                            tables.Refund id
                    ]
                do! pass "has claimed refunds"
                return claimed :> IReadOnlyList<_>
            }

        member _.ClaimPayments(most, now, after, _) =
            task {
                do! pass "claims payments"
                let due =
                    tables.Payments.Values
                    |> Seq.filter (fun row -> row.Due.HasValue && row.Due.Value <= now)
                    |> Seq.truncate most
                    |> List.ofSeq
                for row in due do
                    row.Due <- Nullable(now + max after ((now - row.Created) / 2.))
                do! pass "has claimed payments"
                return List [ for row in due -> row.Order ] :> IReadOnlyList<_>
            }

        member _.ClaimPayouts(most, rules, now, _) =
            task {
                do! pass "claims payouts"
                let due =
                    [
                        for KeyValue(id, struct (row, version)) in tables.Payouts do
                            let isOwed =
                                row.Status = "requested"
                                || row.Status = "pending"
                                || row.Status = "in_transit"
                            if isOwed && row.DueAt.Value <= now && free $"payout {id}" then
                                row.DueAt.Value, id, version
                    ]
                    |> List.sort
                    |> List.truncate most
                let claimed =
                    List [
                        for _, id, version in due do
                            let payout = Payout.claimed rules now (tables.Payout id).Value
                            tables.Payouts[id] <- struct (PayoutRow.toRow payout, version + 1)
                            Versioned<Payout>(payout, version + 1)
                    ]
                do! pass "has claimed payouts"
                return claimed :> IReadOnlyList<_>
            }

        member _.ClaimDisputes(most, now, lease, _) =
            task {
                do! pass "claims disputes"
                let due =
                    [
                        for KeyValue(id, struct (row, version)) in tables.Disputes do
                            if row.Status = "open" && row.DueAt.Value <= now && free $"dispute {id}" then
                                row.DueAt.Value, id, version
                    ]
                    |> List.sort
                    |> List.truncate most
                let claimed =
                    List [
                        for _, id, version in due do
                            let struct (row, _) = tables.Disputes[id]
                            tables.Disputes[id] <-
                                struct ({ row with DueAt = Nullable(now + lease) }, version + 1)
                            tables.Dispute id
                    ]
                do! pass "has claimed disputes"
                return claimed :> IReadOnlyList<_>
            }

        member _.ClaimEvents(most, now, lease, _) =
            task {
                do! pass "claims events"
                let due =
                    tables.Events
                    |> Seq.filter (fun row -> row.State = "asking" && row.Due.Value <= now)
                    |> Seq.truncate most
                    |> List.ofSeq
                for row in due do
                    row.Due <- Nullable(now + lease)
                do! pass "has claimed events"
                return List [ for row in due -> row.Event ] :> IReadOnlyList<_>
            }

        member _.WaitingForFunds(account, most, now, _) =
            task {
                do! pass "reads what waits for funds"
                let waits (row: TransferRow) =
                    row.DueAt.HasValue
                    && row.DueAt.Value > now
                    && match account with
                       | null -> row.WaitingFor = "platform_funds"
                       | account -> row.WaitingFor = "seller_funds" && row.StripeAccountId = account
                return
                    List [
                        for KeyValue(id, struct (row, _, _)) in tables.Transfers do
                            if waits row then
                                id
                    ]
                    |> Seq.truncate most
                    |> List
                    :> IReadOnlyList<_>
            }

        // No sellers stand in the simulation.
        member _.SaveStanding(_, _, _, _) = Task.FromResult false

        member _.BeginWalk(name, start, now, lease, _) =
            task {
                do! pass "begins a walk"
                let struct (walked, until) =
                    match tables.Walks.TryGetValue name with
                    | true, walk -> walk
                    | false, _ -> struct (start, now)
                if until > now then
                    return Nullable()
                else
                    tables.Walks[name] <- struct (walked, now + lease)
                    return Nullable walked
            }

        member _.EndWalk(name, until, _, _, leaseUntil, _, _) =
            task {
                do! pass "ends a walk"
                let struct (walked, _) = tables.Walks[name]
                tables.Walks[name] <- struct (max walked until, leaseUntil)
            }

        member _.RecordEvents(events, _, _) =
            task {
                do! pass "records events"
                let before = tables.Events.Count
                for event in events do
                    let isKnown =
                        tables.Events
                        |> Seq.exists (fun row ->
                            row.Event.Provider = event.Provider && row.Event.EventId = event.EventId)
                    if not isKnown then
                        let seq = int64 tables.Events.Count + 1L
                        let waiting = WaitingEvent(seq, event.Provider, event.EventId, event.Type, event.Body)
                        tables.Events.Add(EventRow(waiting, ObjectId = event.ObjectId))
                do! pass "has recorded events"
                return tables.Events.Count - before
            }

        member _.ReleaseParked _ =
            task {
                do! pass "releases events"
                let isHere (name: string) =
                    tables.Payments.Values |> Seq.exists (fun row -> row.Payment = name)
                    || tables.Refunds.Values
                       |> Seq.exists (fun (struct (row, _)) -> row.ProviderRefundId = name)
                let parked =
                    tables.Events
                    |> Seq.filter (fun row -> row.State = "parked" && isHere row.ObjectId)
                    |> List.ofSeq
                for row in parked do
                    row.State <- "received"
                return parked.Length
            }

        member _.IsPassing fault = fault :? ConcurrentChangeException || fault :? PassingException
