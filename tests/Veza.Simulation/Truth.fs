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

type Payment = { Id: string; Order: string; Amount: int64; Currency: string; mutable Status: string }

type ProviderRefund = {
    Id: string
    Payment: Payment
    Amount: int64
    mutable Status: string
    mutable HasSucceeded: bool
    /// The connector never answered: asking again shows nothing new.
    mutable IsStuck: bool
}

type Books = {
    Transfers: List<StripeTransfer>
    Payments: Dictionary<string, Payment>
    Refunds: Dictionary<string, ProviderRefund>
    /// What sellers have paid out to their banks, by account.
    PaidOut: Dictionary<string, int64>
    /// What the platform's balance at Stripe lacks at the moment.
    mutable PlatformDrained: bool
    /// Broken rules of the providers themselves, seen by their models.
    Complaints: List<string>
}

let emptyBooks () = {
    Transfers = List()
    Payments = Dictionary()
    Refunds = Dictionary()
    PaidOut = Dictionary()
    PlatformDrained = false
    Complaints = List()
}

/// A line as it was bought: (seller, gross amount).
type Purchase = { Order: Guid; Currency: string; Bps: int; Keeps: bool; Lines: (int * int64) list }

type Ask =
    | AskAmount of int64
    | AskLine of int
    | AskRest

/// What people did, in the order in which they did it.
type Asked = { Purchases: Dictionary<int, Purchase>; Refunds: Dictionary<Guid, int * Ask> }

let account seller = $"acct_seller{seller}"

/// What the seller's balance at Stripe holds.
let balance (books: Books) (acct: string) =
    let held =
        books.Transfers
        |> Seq.filter (fun transfer -> transfer.Destination = acct)
        |> Seq.sumBy (fun transfer -> transfer.Amount - transfer.Reversed)
    held - books.PaidOut.GetValueOrDefault(acct, 0L)
