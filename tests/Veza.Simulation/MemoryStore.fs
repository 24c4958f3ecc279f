/// The store in memory: what a host claims, walks and begins.
module Veza.Simulation.MemoryStore

open System
open System.Collections.Generic
open System.Threading.Tasks
open Veza.Adapters.Ports
open Veza.Domain
open Veza.Domain.Disputes
open Veza.Domain.Payouts
open Veza.Domain.Transfers
open Veza.Simulation.MemoryTables
open Veza.Simulation.MemoryTransaction
open Veza.Simulation.Scheduler

let isCharged (status: string) = List.contains status [ "pending_payment"; "active"; "past_due" ]

let private isUnsettled (status: string) = status = "pending" || status = "submitted"

/// One host's view of the tables that all hosts share.
type MemoryStore(host: int, scheduler: Scheduler, tables: Tables, lostCommits: int) =
    let open' = List<Transaction>()
    let pass what = scheduler.Pass(host, what)

    let free key = not (tables.Locks.ContainsKey key)

    /// Those whose time has come and that nobody holds, the oldest first.
    let due kind most now (waiting: (Nullable<DateTimeOffset> * Guid) list) =
        waiting
        |> List.filter (fun (dueAt, id) -> dueAt.Value <= now && free $"{kind} {id}")
        |> List.sortBy (fun (dueAt, id) -> dueAt.Value, id)
        |> List.truncate most
        |> List.map snd

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
                    due "transfer" most now [
                        for KeyValue(id, struct (row, _, _)) in tables.Transfers do
                            if isWork row then
                                row.DueAt, id
                    ]
                let claimed =
                    List [
                        for id in due do
                            let before = tables.Transfer id
                            let transfer = Transfer.claimed rules now before.Value
                            let version = before.Version + 1
                            tables.Transfers[id] <-
                                struct (TransferRow.toRow transfer, TransferRow.reversals transfer, version)
                            Versioned<Transfer>(transfer, version)
                    ]
                do! pass "has claimed transfers"
                return claimed :> IReadOnlyList<_>
            }

        member _.ClaimRefunds(most, now, lease, _) =
            task {
                do! pass "claims refunds"
                let due =
                    due "refund" most now [
                        for KeyValue(id, struct (row, _)) in tables.Refunds do
                            if isUnsettled row.Status then
                                row.DueAt, id
                    ]
                let claimed =
                    List [
                        for id in due do
                            let struct (row, version) = tables.Refunds[id]
                            tables.Refunds[id] <-
                                struct ({ row with DueAt = Nullable(now + lease) }, version + 1)
                            tables.Refund id
                    ]
                do! pass "has claimed refunds"
                return claimed :> IReadOnlyList<_>
            }

        member _.ClaimPayments(most, now, after, lease, _) =
            task {
                do! pass "claims payments"
                let due =
                    tables.Payments.Values
                    |> Seq.filter (fun row -> row.Due.HasValue && row.Due.Value <= now)
                    |> Seq.truncate most
                    |> List.ofSeq
                for row in due do
                    row.Due <- Nullable(now + lease)
                do! pass "has claimed payments"
                let next (row: PaymentRow) = now + max after ((now - row.Created) / 2.)
                return List [ for row in due -> DuePayment(row.Order, next row) ] :> IReadOnlyList<_>
            }

        member _.HoldUntil(claims, until, _) =
            task {
                do! pass "holds what it has"
                let isEarlier (due: Nullable<DateTimeOffset>) = due.HasValue && due.Value < until
                for claim in claims do
                    match claim.What with
                    | Leased.Payment ->
                        let row = tables.Payments[Guid.Parse claim.Id]
                        if isEarlier row.Due then
                            row.Due <- Nullable until
                    | Leased.Refund ->
                        let struct (row, version) = tables.Refunds[Guid.Parse claim.Id]
                        if version = claim.Version && isEarlier row.DueAt then
                            tables.Refunds[row.Id] <- struct ({ row with DueAt = Nullable until }, version)
                    | Leased.Deposit ->
                        let struct (row, version) = tables.Deposits[Guid.Parse claim.Id]
                        if version = claim.Version && isEarlier row.DueAt then
                            tables.Deposits[row.Id] <- struct ({ row with DueAt = Nullable until }, version)
                    | Leased.Dispute ->
                        let struct (row, version) = tables.Disputes[Guid.Parse claim.Id]
                        if version = claim.Version && isEarlier row.DueAt then
                            tables.Disputes[row.Id] <- struct ({ row with DueAt = Nullable until }, version)
                    | other -> invalidOp $"Nobody holds a {other} in the simulation."
            }

        member _.ClaimPayouts(most, rules, now, _) =
            task {
                do! pass "claims payouts"
                let due =
                    due "payout" most now [
                        for KeyValue(id, struct (row, _)) in tables.Payouts do
                            let isOwed =
                                row.Status = "requested"
                                || row.Status = "pending"
                                || row.Status = "in_transit"
                            if isOwed then
                                row.DueAt, id
                    ]
                let claimed =
                    List [
                        for id in due do
                            let before = tables.Payout id
                            let payout = Payout.claimed rules now before.Value
                            let version = before.Version + 1
                            tables.Payouts[id] <- struct (PayoutRow.toRow payout, version)
                            Versioned<Payout>(payout, version)
                    ]
                do! pass "has claimed payouts"
                return claimed :> IReadOnlyList<_>
            }

        member _.ClaimDisputes(most, rules, now, lease, _) =
            task {
                do! pass "claims disputes"
                let due =
                    due "dispute" most now [
                        for KeyValue(id, struct (row, _)) in tables.Disputes do
                            if row.DueAt.HasValue then
                                row.DueAt, id
                    ]
                let claimed =
                    List [
                        for id in due do
                            let stored = tables.Dispute id
                            let polled = Dispute.polled rules now stored.Value
                            let row = Dispute.toRow polled
                            let due =
                                if row.DueAt.HasValue then
                                    Nullable(min row.DueAt.Value (now + lease))
                                else
                                    Nullable()
                            tables.Disputes[id] <- struct ({ row with DueAt = due }, stored.Version + 1)
                            Versioned<Dispute>(polled, stored.Version + 1)
                    ]
                do! pass "has claimed disputes"
                return claimed :> IReadOnlyList<_>
            }

        member _.ClaimDeposits(most, now, lease, _) =
            task {
                do! pass "claims deposits"
                let due =
                    due "deposit" most now [
                        for KeyValue(id, struct (row, _)) in tables.Deposits do
                            if row.DueAt.HasValue then
                                row.DueAt, id
                    ]
                let claimed =
                    List [
                        for id in due do
                            let struct (row, version) = tables.Deposits[id]
                            tables.Deposits[id] <-
                                struct ({ row with DueAt = Nullable(now + lease) }, version + 1)
                            tables.Deposit id
                    ]
                do! pass "has claimed deposits"
                return claimed :> IReadOnlyList<_>
            }

        member _.DueSubscriptions(most, now, _) =
            task {
                do! pass "reads what subscriptions are due"
                return
                    List(
                        due "subscription" most now [
                            for KeyValue(id, struct (row, _)) in tables.Subscriptions do
                                if isCharged row.Status then
                                    row.DueAt, id
                        ]
                    )
                    :> IReadOnlyList<_>
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
                    if tables.Recorded.Add(struct (event.Provider, event.EventId)) then
                        let seq = int64 tables.Events.Count + 1L
                        let waiting = WaitingEvent(seq, event.Provider, event.EventId, event.Type, event.Body)
                        tables.Events.Add(EventRow(waiting, ObjectId = event.ObjectId))
                do! pass "has recorded events"
                return tables.Events.Count - before
            }

        member _.ReleaseParked _ =
            task {
                do! pass "releases events"
                let parked =
                    tables.Events
                    |> Seq.filter (fun row -> row.State = "parked" && tables.IsHere row)
                    |> List.ofSeq
                for row in parked do
                    row.State <- "received"
                return parked.Length
            }

        member _.IsPassing fault = fault :? ConcurrentChangeException || fault :? PassingException
