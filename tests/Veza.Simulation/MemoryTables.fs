/// The rows of all hosts: aggregates are taken apart and put together as PostgreSQL would.
module Veza.Simulation.MemoryTables

open System
open System.Collections.Generic
open Veza.Adapters.Ports
open Veza.Adapters.Postgres.Queries
open Veza.Domain.Licenses
open Veza.Domain.Deposits
open Veza.Domain.Disputes
open Veza.Domain.Orders
open Veza.Domain.Payouts
open Veza.Domain.Refunds
open Veza.Domain.Subscriptions
open Veza.Domain.Transfers

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
    member val Connector: string | null = null with get, set

type EventRow(event: WaitingEvent) =
    member _.Event = event
    member val ObjectId = "" with get, set
    member val State = "received" with get, set
    member val Due = Nullable<DateTimeOffset>() with get, set
    member val Reason: string | null = null with get, set
    member val Awaits: string | null = null with get, set

/// Rows, not aggregates: what does not survive being stored shows here as it would in PostgreSQL.
type Tables() =
    member val Orders = Dictionary<Guid, struct (OrderRow * LineRow list * LegRow list * int)>()
    member val Refunds = SortedDictionary<Guid, struct (RefundRow * int)>()
    member val Licenses = SortedDictionary<Guid, struct (LicenseRow * int)>()
    member val Transfers = SortedDictionary<Guid, struct (TransferRow * ReversalRow list * int)>()
    member val Payouts = SortedDictionary<Guid, struct (PayoutRow * int)>()
    member val Disputes = SortedDictionary<Guid, struct (DisputeRow * int)>()
    member val Subscriptions = SortedDictionary<Guid, struct (SubscriptionRow * int)>()
    member val Deposits = SortedDictionary<Guid, struct (DepositRow * int)>()
    /// By Hyperswitch's name for the payment; and what each subscription was paid with.
    member val Charges = Dictionary<string, KnownCharge>()
    /// Hyperswitch's name for a period's payment, by its connector's.
    member val ChargeConnectors = Dictionary<string, string>()
    member val PaymentMethods = Dictionary<Guid, string>()
    member val Payments = Dictionary<Guid, PaymentRow>()
    /// How far a walk has come, and until when somebody is at it.
    member val Walks = Dictionary<string, struct (DateTimeOffset * DateTimeOffset)>()
    member val Events = List<EventRow>()
    /// The names of the events that were ever recorded.
    member val Recorded = HashSet<struct (string * string)>()
    /// (order, what brought it, account, currency, amount)
    member val Entries = List<struct (Nullable<Guid> * Guid * string * string * int64)>()
    /// Who holds a row: until the end of its transaction.
    member val Locks = Dictionary<string, obj>()
    /// Who waits for which row.
    member val Waiting = Dictionary<obj, string>(HashIdentity.Reference)
    /// PostgreSQL breaks them after a second; there should be none to break.
    member val Deadlocks = List<string>()

    /// Whether what a parked event is about is here, or the money that it takes from.
    member tables.IsHere(event: EventRow) =
        let name = event.ObjectId
        tables.Payments.Values |> Seq.exists (fun row -> row.Payment = name || string row.Connector = name)
        || tables.Refunds.Values |> Seq.exists (fun (struct (row, _)) -> row.ProviderRefundId = name)
        || match event.Awaits with
           | NonNull awaited ->
               let payment = tables.ChargeConnectors.GetValueOrDefault(awaited, awaited)
               tables.Deposits.Values |> Seq.exists (fun (struct (row, _)) -> row.PaymentId = payment)
           | _ -> false

    static member private Read(read: Result<'t, string>, version) =
        match read with
        | Ok found -> Versioned<'t>(found, version)
        | Error why -> raise (ViolationException why)

    member tables.Order id =
        let struct (row, lines, legs, version) = tables.Orders[id]
        Tables.Read(OrderRow.ofRow row lines legs, version)

    member tables.Refund id =
        let struct (row, version) = tables.Refunds[id]
        Tables.Read(Refund.ofRow row, version)

    member tables.License id =
        let struct (row, version) = tables.Licenses[id]
        Tables.Read(License.ofRow row, version)

    member tables.Transfer id =
        let struct (row, reversals, version) = tables.Transfers[id]
        Tables.Read(TransferRow.ofRow row reversals, version)

    member tables.Payout id =
        let struct (row, version) = tables.Payouts[id]
        Tables.Read(PayoutRow.ofRow row, version)

    member tables.Subscription id =
        let struct (row, version) = tables.Subscriptions[id]
        Tables.Read(Subscription.ofRow row, version)

    member tables.Deposit id =
        let struct (row, version) = tables.Deposits[id]
        Tables.Read(DepositRow.ofRow row, version)

    member tables.Dispute id =
        let struct (row, version) = tables.Disputes[id]
        Tables.Read(Dispute.ofRow row, version)
