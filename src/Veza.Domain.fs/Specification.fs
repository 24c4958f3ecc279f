/// The state machines as data, found by walking them: for documents, for tests and for the console's diagram.
/// Nothing here is drawn by hand, so nothing here can be out of date.
namespace Veza.Domain.Specifications

open System
open Veza.Domain
open Veza.Domain.Licenses
open Veza.Domain.Orders
open Veza.Domain.Refunds
open Veza.Domain.Transfers

/// What can come of a signal in a state. Several outcomes: it depends on what the state carries.
type Outcome =
    | Becomes of Status: string
    | Stays
    | IsRefused of Why: string

type Cell = { From: string; Signal: string; Outcomes: Outcome list }

type Machine = { Name: string; States: string list; Signals: string list; Cells: Cell list }

module Specification =
    type private Walk<'state, 'signal when 'state: comparison> = {
        Called: string
        Start: 'state
        Signals: 'signal list
        SignalWord: 'signal -> string
        StatusWord: 'state -> string
        Step: 'signal -> 'state -> 'state option * string option
    }

    /// Deep enough for every pair of status and signal to be met; the test of the specification proves it.
    let private depth = 5

    /// Nearest first.
    let private explore walk =
        let rec go seen frontier left =
            match frontier with
            | [] -> []
            | frontier when left = 0 -> frontier
            | frontier ->
                let next =
                    List.allPairs frontier walk.Signals
                    |> List.choose (fun (state, signal) -> fst (walk.Step signal state))
                    |> List.distinct
                    |> List.filter (fun state -> not (Set.contains state seen))
                frontier @ go (Set.union seen (Set.ofList next)) next (left - 1)
        go (Set.singleton walk.Start) [ walk.Start ] depth

    let private machine walk =
        let statuses = explore walk |> List.groupBy walk.StatusWord
        let outcome signal state =
            match walk.Step signal state with
            | Some next, _ when walk.StatusWord next = walk.StatusWord state -> Stays
            | Some next, _ -> Becomes(walk.StatusWord next)
            | None, Some why -> IsRefused why
            | None, None -> Stays
        let signals = walk.Signals |> List.groupBy walk.SignalWord
        {
            Machine.Name = walk.Called
            States = List.map fst statuses
            Signals = List.map fst signals
            Cells = [
                for status, states in statuses do
                    for word, signals in signals do
                        {
                            From = status
                            Signal = word
                            Outcomes =
                                List.allPairs signals states
                                |> List.map (fun (signal, state) -> outcome signal state)
                                |> List.distinct
                                |> List.sort
                        }
            ]
        }

    // A small world to walk in: one order of two lines, one transfer, fixed time.

    let private now = DateTimeOffset.UnixEpoch.AddYears 56
    let private id (number: int) = Guid(number, 0s, 0s, [| 0uy; 0uy; 0uy; 0uy; 0uy; 0uy; 0uy; 0uy |])

    let private certain result =
        match result with
        | Ok value -> value
        | Error why -> invalidOp $"%A{why}"

    let private seller = certain (SellerId.Parse "seller")
    let private account = certain (StripeAccountId.Parse "acct_1")
    let private euro = certain (Currency.parse "EUR")
    let private stripeTransfer = certain (StripeTransferId.Parse "tr_1")
    let private stripeReversal = certain (StripeReversalId.Parse "trr_1")
    let private policy = { MaxRetries = 1; Base = TimeSpan.FromSeconds 1.; Cap = TimeSpan.FromSeconds 10. }

    let private transferRules = {
        Sending = policy
        Reversing = policy
        FundsInterval = TimeSpan.FromHours 1.
        Lease = TimeSpan.FromMinutes 2.
    }

    let private refundRules = { SweepAfter = TimeSpan.FromMinutes 2.; AbsentAfter = TimeSpan.FromMinutes 4. }
    let private refusal cause = { Cause = cause; Code = "code"; Message = "message" }

    let private answers receipt cause = [
        Accepted receipt
        Denied(refusal OtherCause, true)
        Denied(refusal cause, true)
        NotExecuted RateLimited
        InDoubt NoAnswer
    ]

    let private transferSignals =
        List.map TransferAnswered (answers stripeTransfer PlatformFunds)
        @ [
            TransferAnswered(Duplicate "seen before")
            TransferSeen []
            TransferSeen [ stripeTransfer ]
            TransferSeen [ stripeTransfer; certain (StripeTransferId.Parse "tr_2") ]
            TransferSignal.RefundSucceeded { Refund = RefundId(id 1); Amount = 40L }
            TransferSignal.RefundSucceeded { Refund = RefundId(id 2); Amount = 60L }
            ClaimResized { Refund = RefundId(id 1); Amount = 0L }
        ]
        @ List.map ReversalAnswered (answers stripeReversal SellerFunds)
        @ [
            ReversalAnswered Missing
            ReversalAnswered(Duplicate "already reversed")
            ReversalSeen { Ours = Some stripeReversal; AmountReversed = 40L }
            ReversalSeen { Ours = None; AmountReversed = 0L }
            ReversalSeen { Ours = None; AmountReversed = 100L }
            LookUpFailed
            StripeIdMissing
            RetryRequested
            WriteOffRequested
        ]

    /// A worker's claim comes before every answer, so that a request in doubt is one that was sent.
    let private transferStep signal (transfer: Transfer) =
        let transfer =
            match signal with
            | TransferAnswered _
            | ReversalAnswered _ -> Transfer.claimed transferRules now transfer
            | TransferSeen _
            | TransferSignal.RefundSucceeded _
            | ClaimResized _
            | ReversalSeen _
            | LookUpFailed
            | StripeIdMissing
            | RetryRequested
            | WriteOffRequested -> transfer
        match Transfer.apply transferRules now signal transfer with
        | Transfers.Advanced(next, _) -> Some next, None
        | Transfers.Unchanged -> None, None
        | Transfers.Refused why -> None, Some $"%A{why}"

    let private transfer =
        machine {
            Called = "transfer"
            Start =
                Transfer.schedule
                    (TransferId(id 3))
                    (OrderId(id 4))
                    seller
                    account
                    { Minor = 100L; Currency = euro }
                    now
                    TimeSpan.Zero
            Signals = transferSignals
            SignalWord = TransferWords.signal
            StatusWord = fun transfer -> TransferWords.status transfer.Status
            Step = transferStep
        }

    let private shares = [ { Seller = seller; Amount = 100L } ]

    let private refund =
        machine {
            Called = "refund"
            Start =
                Refund.reserve
                    (RefundId(id 1))
                    (OrderId(id 4))
                    { Minor = 100L; Currency = euro }
                    OfRest
                    shares
                    None
                    refundRules
                    now
            Signals = [
                ProviderSays StillPending
                ProviderSays HasSucceeded
                ProviderSays(HasFailed(refusal OtherCause))
                ProviderSilent
                ProviderMissesIt
                SentAgain
            ]
            SignalWord = Refund.signalWord
            StatusWord = fun refund -> Refund.statusWord refund.Status
            Step =
                fun signal refund ->
                    match Refund.apply refundRules now signal refund with
                    | Refunds.Advanced next -> Some next, None
                    | Refunds.Unchanged -> None, None
                    | Refunds.Refused why -> None, Some $"%A{why}"
        }

    let private line number amount : Line = {
        Id = LineId(id number)
        License = LicenseId(id (number + 100))
        Product = "product"
        Seller = seller
        Quantity = 1
        UnitAmount = amount
        LicenseKind = "standard"
        LicenseExpiresAt = None
        RefundedBy = None
    }

    let private terms = { Seller = seller; Account = account; FeeBps = 1000; Transfer = TransferId(id 3) }

    let private order =
        let part = {
            Refund = RefundId(id 1)
            Scope = OfAmount
            Shares = [ { Seller = seller; Amount = 40L } ]
        }
        let rest = {
            Refund = RefundId(id 2)
            Scope = OfAmount
            Shares = [ { Seller = seller; Amount = 60L } ]
        }

        machine {
            Called = "order"
            Start =
                Order.create (OrderId(id 4)) "buyer" euro Proportional [ line 5 60L; line 6 40L ] [ terms ]
                |> certain
            Signals = [
                PaymentRequested
                PaymentSucceeded
                PaymentHasFailed
                CancelRequested
                RefundReserved part
                RefundHasSucceeded part
                RefundReserved rest
                RefundHasSucceeded rest
                RefundReleased part
                OrderSignal.RefundUndone part
            ]
            SignalWord = OrderWords.signal
            StatusWord = fun order -> OrderWords.status order.Status
            Step =
                fun signal order ->
                    match Order.apply signal order with
                    | Orders.Advanced next -> Some next, None
                    | Orders.Unchanged -> None, None
                    | Orders.Refused(OrderRefusal.MoreThanIsLeft _) -> None, Some "MoreThanIsLeft"
                    | Orders.Refused why -> None, Some $"%A{why}"
        }

    let private license =
        machine {
            Called = "license"
            Start =
                License.grant
                    (LicenseId(id 7))
                    (OrderId(id 4))
                    (LineId(id 5))
                    "buyer"
                    "product"
                    "standard"
                    None
            Signals = [ LineRefunded(RefundId(id 1)); LicenseSignal.RefundUndone ]
            SignalWord = License.signalWord
            StatusWord = fun license -> License.statusWord license.Status
            Step =
                fun signal license ->
                    match License.apply signal license with
                    | Licenses.Advanced next -> Some next, None
                    | Licenses.Unchanged -> None, None
        }

    /// Every machine that Veza runs, in reading order.
    let machines = [ order; refund; transfer; license ]

    /// Which states follow which, and on which signals.
    let arrows (machine: Machine) =
        List.distinct [
            for cell in machine.Cells do
                for outcome in cell.Outcomes do
                    match outcome with
                    | Becomes target -> cell.From, target, cell.Signal
                    | Stays
                    | IsRefused _ -> ()
        ]

    /// The machine as a Mermaid state diagram.
    let mermaid (machine: Machine) =
        String.concat "\n" [
            "stateDiagram-v2"
            $"    [*] --> {machine.States.Head}"
            for (from, target), signals in
                arrows machine |> List.groupBy (fun (from, target, _) -> from, target) do
                let words =
                    signals |> List.map (fun (_, _, signal) -> signal) |> List.distinct |> String.concat ", "
                $"    {from} --> {target}: {words}"
            ""
        ]

    let private outcomeText outcome =
        match outcome with
        | Becomes status -> $"**{status}**"
        | Stays -> "–"
        | IsRefused why -> $"_{why}_"

    let private cells cells = "| " + String.concat " | " cells + " |"

    /// One row for each signal, one column for each state.
    let markdown (machine: Machine) =
        String.concat "\n" [
            $"# {machine.Name}"
            ""
            "Generated by `veza export-spec`. Bold: what it becomes. Dash: nothing changes. Italic: why it is refused."
            "Several in one cell: it depends on what the state carries (amounts, retries left, doubts)."
            ""
            cells ("" :: machine.States)
            cells [ for _ in 0 .. machine.States.Length -> "---" ]
            for signal in machine.Signals do
                cells (
                    signal
                    :: [
                        for state in machine.States do
                            machine.Cells
                            |> List.filter (fun cell -> cell.From = state && cell.Signal = signal)
                            |> List.collect _.Outcomes
                            |> List.map outcomeText
                            |> String.concat " "
                    ]
                )
            ""
            "```mermaid"
            mermaid machine + "```"
            ""
        ]
