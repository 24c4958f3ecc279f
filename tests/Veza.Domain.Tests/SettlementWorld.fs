/// Everything that one order concerns, in memory, with books of its own: payments, refunds and disputes happen to it.
module Veza.Domain.Tests.SettlementWorld

open System
open Expecto
open Veza.Domain
open Veza.Domain.Disputes
open Veza.Domain.Ledger
open Veza.Domain.Licenses
open Veza.Domain.Orders
open Veza.Domain.Refunds
open Veza.Domain.Transfers
open Veza.Domain.Tests.Histories

/// Everything one order concerns, and its books.
type World = {
    Order: Order
    Licenses: Map<LicenseId, License>
    Transfers: Map<TransferId, Transfer>
    Refunds: Map<RefundId, Refund>
    Disputes: Map<DisputeId, Dispute>
    Postings: Posting list
}

let fact (order: Order) = {
    Payment = (PaymentId.For order.Id).Value
    Amount = order.Total
    Currency = order.Currency.Code
    OrderNamed = order.Id.Value.ToString "D"
}

/// The last of what an effect makes of the aggregates of one kind.
let private last pick (effect: Effect) = effect.Steps |> List.rev |> List.tryPick (fun step -> pick step.Next)

let orderIn effect =
    last
        (fun next ->
            match next with
            | Aggregate.Order order -> Some order
            | _ -> None)
        effect

let depositIn effect =
    last
        (fun next ->
            match next with
            | Aggregate.Deposit deposit -> Some deposit
            | _ -> None)
        effect

let subscriptionIn effect =
    last
        (fun next ->
            match next with
            | Aggregate.Subscription known -> Some known
            | _ -> None)
        effect

let private takeStep world (step: Veza.Domain.Step) =
    match step.Next with
    | Aggregate.Order order -> { world with World.Order = order }
    | Aggregate.License license -> { world with Licenses = Map.add license.Id license world.Licenses }
    | Aggregate.Transfer transfer -> { world with Transfers = Map.add transfer.Id transfer world.Transfers }
    | Aggregate.Refund refund -> { world with Refunds = Map.add refund.Id refund world.Refunds }
    | Aggregate.Dispute dispute -> { world with Disputes = Map.add dispute.Id dispute world.Disputes }
    | Aggregate.Payout _
    | Aggregate.Subscription _
    | Aggregate.Deposit _ -> world

let take world (effect: Effect) =
    let next = List.fold takeStep world effect.Steps
    {
        next with
            Postings = next.Postings @ List.collect (fun (booking: Booking) -> booking.Postings) effect.Books
    }

let values map = map |> Map.toList |> List.map snd

let asking = { AskEvery = TimeSpan.FromHours 12.; AskAfterwards = TimeSpan.FromDays 120. }

let caseOf world : Case = {
    Order = world.Order
    Licenses = values world.Licenses
    Transfers = values world.Transfers
}

/// As the host does after every effect on an order.
let private freed world =
    DisputeSettlement.takeFreed
        refundRules
        rules
        asking
        now
        (values world.Refunds)
        (values world.Disputes)
        (caseOf world)
    |> take world

let settle world verdict =
    match verdict with
    | Settled effect -> take world effect |> freed
    | AlreadyKnown
    | MustBeAsked -> world
    | Quarantined why -> failtest $"quarantined: {why}"

let start basket = {
    Order = orderOf basket |> advance PaymentRequested
    Licenses = Map.empty
    Transfers = Map.empty
    Refunds = Map.empty
    Disputes = Map.empty
    Postings = []
}

/// What Hyperswitch says of the order's payment.
let paymentSays meaning fact order deposit =
    let told = { Fact = fact; Meaning = meaning; Refusal = because OtherCause }
    Settlement.paymentReported refundRules now TimeSpan.Zero told order deposit

let pay world = paymentSays PaidInFull (fact world.Order) world.Order None |> settle world

let request number request world =
    match Order.planRefund request world.Order with
    | Error _ -> world
    | Ok(scope, shares) ->
        let id = RefundId(guid number)
        let amount = { Minor = shares |> List.sumBy _.Amount; Currency = world.Order.Currency }
        let refund = Refund.reserve id world.Order.Id amount scope shares None refundRules now
        let reservation = { Refund = id; Scope = scope; Shares = shares }
        {
            world with
                Order = advance (RefundReserved reservation) world.Order
                Refunds = Map.add id refund world.Refunds
        }

let report says number world =
    match Map.tryFind (RefundId(guid number)) world.Refunds with
    | None -> world
    | Some refund ->
        let report = {
            Amount = refund.Amount.Minor
            Currency = world.Order.Currency.Code
            Payment = (PaymentId.For world.Order.Id).Value
            Says = says
        }
        Settlement.refundReported
            refundRules
            rules
            now
            ByAnswer
            report
            refund
            world.Order
            (values world.Licenses)
            (values world.Transfers)
        |> settle world

/// Stripe does what every transfer asks for, until none asks for anything.
let rec work world =
    let step world (transfer: Transfer) =
        let claimed = Transfer.claimed rules now transfer
        let signal =
            match Transfer.duty claimed with
            | Some(SendTransfer _ | FindTransfer _) -> Some(TransferAnswered(Accepted(tr 1)))
            | Some(SendReversal _ | FindReversal _) ->
                Some(ReversalAnswered(Accepted(trr (world.Postings.Length + 1))))
            | Some ReportMissingId
            | None -> None
        match signal |> Option.map (fun signal -> Transfer.apply rules now signal claimed) with
        | Some(Advanced(next, movements)) -> {
            world with
                Transfers =
                    (world.Transfers, next :: Transfer.compensations movements next now)
                    ||> List.fold (fun transfers transfer -> Map.add transfer.Id transfer transfers)
                Postings = world.Postings @ Ledger.ofMovements next movements
          }
        | Some(Unchanged | Refused _)
        | None -> world
    let next = world.Transfers |> values |> List.fold step world
    if next = world then world else work next

let balance account world =
    world.Postings |> List.filter (fun posting -> posting.Account = account) |> List.sumBy _.Amount

let sellersHold world =
    values world.Transfers
    |> List.sumBy (fun transfer ->
        match transfer.Status with
        | TransferStatus.Completed _
        | ReversalPending _
        | Reversed _ -> transfer.Sendable - transfer.Returned
        | TransferStatus.Pending _
        | TransferStatus.Failed _
        | PermanentlyFailed _
        | TransferStatus.Cancelled
        | WrittenOff _ -> 0L)

/// A worker has taken everything that is due and died.
let taken (world: World) = {
    world with
        Transfers = world.Transfers |> Map.map (fun _ transfer -> Transfer.claimed rules now transfer)
}

let failed = HasFailed(because OtherCause)
let opened = { Stage = Dispute; Ruling = Opened }
let lost = { Stage = Dispute; Ruling = LostByUs }
let won = { Stage = Dispute; Ruling = WonByUs }
let wonLater = { Stage = Arbitration; Ruling = WonByUs }
let disputeId number = DisputeId(guid (770 + number))

/// What is said of the dispute of that number, for the first time or again.
let say source number amount fact world =
    let report = { Fact = fact; Amount = amount; Terms = DisputeTerms.Unknown }
    let id = disputeId number
    match Map.tryFind id world.Disputes with
    | None ->
        DisputeSettlement.raised refundRules rules asking now source id $"dp_{number}" report (caseOf world)
        |> settle world
    | Some dispute ->
        let imposed = values world.Refunds
        DisputeSettlement.reported refundRules rules asking now source report imposed dispute (caseOf world)
        |> settle world

let disputed amount fact world = world |> say ByAnswer 1 amount fact

let ruled fact world = world |> say ByAnswer 1 world.Disputes[disputeId 1].Amount.Minor fact
