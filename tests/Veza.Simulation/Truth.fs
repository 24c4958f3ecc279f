/// What is in the providers' books, and what people asked for: what the auditor believes, and Veza must come to.
module Veza.Simulation.Truth

open System
open System.Collections.Generic

type StripeReversal = { Id: string; Amount: int64; Operation: string; At: DateTimeOffset }

type StripeTransfer = {
    Id: string
    Destination: string
    Currency: string
    Amount: int64
    Group: string
    Metadata: IReadOnlyDictionary<string, string>
    Created: DateTimeOffset
    Reversals: List<StripeReversal>
} with

    member transfer.Reversed = transfer.Reversals |> Seq.sumBy _.Amount
    member transfer.Meta name = transfer.Metadata.GetValueOrDefault(name, "")

type Payment = {
    Id: string
    /// What it pays, as its metadata names it: an order or a subscription.
    Order: string
    Subscription: string
    Amount: int64
    Currency: string
    mutable Status: string
} with

    /// Stripe's PaymentIntent.
    member payment.Connector = "pi_" + payment.Id.Substring 4
    member payment.IsCaptured = payment.Status = "succeeded"

type ProviderRefund = {
    Id: string
    Payment: Payment
    Amount: int64
    mutable Status: string
    mutable HasSucceeded: bool
    /// The connector never answered: asking again shows nothing new.
    mutable IsStuck: bool
    /// Made by somebody in Hyperswitch's dashboard.
    IsByHand: bool
}

/// Hyperswitch's stages of a dispute, in their order.
[<RequireQualifiedAccess>]
type Stage =
    /// An inquiry: nothing is withdrawn.
    | Inquiry
    | Dispute
    | PreArbitration
    | Arbitration
    | Reversal

/// How the bank stands at a stage. A dispute that was won may be lost after all, and the other way round.
[<RequireQualifiedAccess>]
type Ruling =
    | Opened
    | Challenged
    | Won
    | Lost

type BankDispute = {
    /// Stripe's name for it.
    Id: string
    /// Hyperswitch's.
    Name: string
    Payment: Payment
    mutable Amount: int64
    mutable Stage: Stage
    mutable Ruling: Ruling
    /// All that was ever lost by it, each time anew: so much may have been taken back from sellers.
    mutable EverLost: int64
    /// What was lost by it when it last changed.
    mutable LostBefore: int64
} with

    member dispute.IsOpen = dispute.Ruling = Ruling.Opened || dispute.Ruling = Ruling.Challenged
    member dispute.IsInquiry = dispute.Stage = Stage.Inquiry
    /// What the bank has withdrawn and not given back.
    member dispute.Away =
        if dispute.IsInquiry || dispute.Ruling = Ruling.Won then
            0L
        else
            dispute.Amount
    member dispute.Lost = if dispute.Ruling = Ruling.Lost then dispute.Amount else 0L

type Books = {
    Transfers: List<StripeTransfer>
    Payments: Dictionary<string, Payment>
    Refunds: Dictionary<string, ProviderRefund>
    Disputes: List<BankDispute>
    /// What sellers have paid out to their banks, by account.
    PaidOut: Dictionary<string, int64>
    /// What the platform's balance at Stripe lacks at the moment.
    mutable PlatformDrained: bool
    /// How many of the next requests for money Stripe refuses with a 400 that has no code.
    mutable CodelessRefusals: int
    /// Broken rules of the providers themselves, seen by their models.
    Complaints: List<string>
}

let emptyBooks () = {
    Transfers = List()
    Payments = Dictionary()
    Refunds = Dictionary()
    Disputes = List()
    PaidOut = Dictionary()
    PlatformDrained = false
    CodelessRefusals = 0
    Complaints = List()
}

/// A line as it was bought: (seller, gross amount).
type Purchase = { Order: Guid; Currency: string; Bps: int; Keeps: bool; Lines: (int * int64) list }

type Ask =
    | AskAmount of int64
    | AskLine of int
    | AskRest

/// What people did, in the order in which they did it.
type Asked = {
    Purchases: Dictionary<int, Purchase>
    Refunds: Dictionary<Guid, int * Ask>
    /// By their number in the plan: (id, price, currency).
    Subscriptions: Dictionary<int, Guid * int64 * string>
}

let account seller = $"acct_seller{seller}"

/// What the seller's balance at Stripe holds.
let balance (books: Books) (acct: string) =
    let held =
        books.Transfers
        |> Seq.filter (fun transfer -> transfer.Destination = acct)
        |> Seq.sumBy (fun transfer -> transfer.Amount - transfer.Reversed)
    held - books.PaidOut.GetValueOrDefault(acct, 0L)

let refundsOf (books: Books) (payment: Payment) =
    books.Refunds.Values |> Seq.filter (fun refund -> refund.Payment.Id = payment.Id) |> List.ofSeq

let disputesOf (books: Books) (payment: Payment) =
    books.Disputes |> Seq.filter (fun dispute -> dispute.Payment.Id = payment.Id) |> List.ofSeq
