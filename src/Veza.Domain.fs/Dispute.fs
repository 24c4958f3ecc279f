/// A buyer's bank takes a payment back, or tries to. Lost, it reverses like a refund; its amount is reserved on the
/// order from the start, so that a refund and a dispute never both take the money.
namespace Veza.Domain.Disputes

open System
open Veza.Domain
open Veza.Domain.Refunds

/// Where the bank stands, in its order. A dispute that was won may be lost at a later stage, and the other way
/// round (Hyperswitch's `core/utils.rs`).
type Stage =
    | PreDispute
    | Dispute
    | PreArbitration
    | Arbitration
    | DisputeReversal

/// What the provider says at a stage.
type Ruling =
    | Opened
    | Challenged
    | WonByUs
    /// Also accepted by us, or not answered in time.
    | LostByUs

/// One report: late and reordered ones are told apart by the stage and what was ruled at it.
type DisputeFact = { Stage: Stage; Ruling: Ruling }

type DisputeStatus =
    /// The bank decides. `DueAt`: when the provider is asked if nothing is heard.
    | Open of DueAt: DateTimeOffset
    | Won
    /// The refund that it has become.
    | Lost of Refund: RefundId

type DisputeSignal =
    | ProviderRules of Fact: DisputeFact
    | ProviderSilent

type DisputeRules = { AskEvery: TimeSpan }

/// Begins with `start`, changes through `apply`, returns from a row with `ofRow`: no other way.
type Dispute = private {
    id: DisputeId
    order: OrderId
    provider: string
    amount: Money
    shares: Share list
    seen: DisputeFact
    status: DisputeStatus
} with

    member dispute.Id = dispute.id
    member dispute.Order = dispute.order
    /// Hyperswitch's name for it.
    member dispute.Provider = dispute.provider
    /// What the bank claims.
    member dispute.Amount = dispute.amount
    /// What the order had left to be taken when the dispute was raised; the platform bears the rest.
    member dispute.Shares = dispute.shares
    member dispute.Status = dispute.status
    member dispute.Reserved = dispute.shares |> List.sumBy _.Amount

type DisputeOutcome =
    | Advanced of Next: Dispute
    | Unchanged

type DisputeRow = {
    Id: Guid
    OrderId: Guid
    ProviderDisputeId: string
    Amount: int64
    Currency: string
    ShareSellers: string array
    ShareAmounts: int64 array
    Stage: string
    Ruling: string
    Status: string
    DueAt: Nullable<DateTimeOffset>
    RefundId: Nullable<Guid>
}

module DisputeWords =
    let stage stage =
        match stage with
        | PreDispute -> "pre_dispute"
        | Dispute -> "dispute"
        | PreArbitration -> "pre_arbitration"
        | Arbitration -> "arbitration"
        | DisputeReversal -> "dispute_reversal"

    let everyStage = [ PreDispute; Dispute; PreArbitration; Arbitration; DisputeReversal ]

    let ruling ruling =
        match ruling with
        | Opened -> "opened"
        | Challenged -> "challenged"
        | WonByUs -> "won"
        | LostByUs -> "lost"

    let everyRuling = [ Opened; Challenged; WonByUs; LostByUs ]

    let status status =
        match status with
        | Open _ -> "open"
        | Won -> "won"
        | Lost _ -> "lost"

    let signal signal =
        match signal with
        | ProviderRules { Ruling = ruled } -> "dispute_" + ruling ruled
        | ProviderSilent -> "provider_silent"

[<CompilationRepresentation(CompilationRepresentationFlags.ModuleSuffix)>]
module Dispute =
    /// Lost stays lost until somebody rules that it is won: the money is with the bank meanwhile.
    let private statusAfter rules (now: DateTimeOffset) id (fact: DisputeFact) before =
        match fact.Ruling, before with
        | (Opened | Challenged), Lost refund -> Lost refund
        | (Opened | Challenged), (Open _ | Won) -> Open(now + rules.AskEvery)
        | WonByUs, (Open _ | Won | Lost _) -> Won
        | LostByUs, Lost refund -> Lost refund
        | LostByUs, (Open _ | Won) -> Lost(RefundId.OfDispute(id, DisputeWords.stage fact.Stage))

    /// First heard of, whatever it says.
    let start id order provider amount shares fact rules now = {
        id = id
        order = order
        provider = provider
        amount = amount
        shares = shares
        seen = fact
        status = statusAfter rules now id fact Won
    }

    /// Every status meets every signal. A later stage, or a later word at the same stage, decides; anything
    /// else is old news.
    let apply rules (now: DateTimeOffset) signal dispute =
        match dispute.status, signal with
        | (Open _ | Won | Lost _), ProviderRules fact when fact > dispute.seen ->
            Advanced {
                dispute with
                    seen = fact
                    status = statusAfter rules now dispute.id fact dispute.status
            }
        | Open _, (ProviderRules _ | ProviderSilent) ->
            Advanced { dispute with status = Open(now + rules.AskEvery) }
        | (Won | Lost _), (ProviderRules _ | ProviderSilent) -> Unchanged

    /// What is reserved on the order for it.
    let reserving shares (dispute: Dispute) = { dispute with shares = shares }

    let toRow (dispute: Dispute) : DisputeRow = {
        Id = dispute.id.Value
        OrderId = dispute.order.Value
        ProviderDisputeId = dispute.provider
        Amount = dispute.amount.Minor
        Currency = dispute.amount.Currency.Code
        ShareSellers = [| for share in dispute.shares -> share.Seller.Value |]
        ShareAmounts = [| for share in dispute.shares -> share.Amount |]
        Stage = DisputeWords.stage dispute.seen.Stage
        Ruling = DisputeWords.ruling dispute.seen.Ruling
        Status = DisputeWords.status dispute.status
        DueAt =
            (match dispute.status with
             | Open due -> Nullable due
             | Won
             | Lost _ -> Nullable())
        RefundId =
            (match dispute.status with
             | Lost refund -> Nullable refund.Value
             | Open _
             | Won -> Nullable())
    }

    /// The dispute that left this row behind.
    let ofRow (row: DisputeRow) =
        let stage = AttemptWords.parse "a stage" DisputeWords.everyStage DisputeWords.stage row.Stage
        let ruling = AttemptWords.parse "a ruling" DisputeWords.everyRuling DisputeWords.ruling row.Ruling

        let status =
            match row.Status, row.DueAt.HasValue, row.RefundId.HasValue with
            | "open", true, false -> Ok(Open row.DueAt.Value)
            | "won", false, false -> Ok Won
            | "lost", false, true -> Ok(Lost(RefundId row.RefundId.Value))
            | unknown -> Error $"No dispute stands like %A{unknown}."

        match
            stage,
            ruling,
            status,
            Share.ofColumns row.ShareSellers row.ShareAmounts,
            Currency.parse row.Currency
        with
        | Ok stage, Ok ruling, Ok status, Ok shares, Ok currency ->
            Ok {
                id = DisputeId row.Id
                order = OrderId row.OrderId
                provider = row.ProviderDisputeId
                amount = { Minor = row.Amount; Currency = currency }
                shares = shares
                seen = { Stage = stage; Ruling = ruling }
                status = status
            }
        | Error why, _, _, _, _
        | _, Error why, _, _, _
        | _, _, Error why, _, _
        | _, _, _, Error why, _
        | _, _, _, _, Error why -> Error why
