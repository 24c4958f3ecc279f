/// A buyer's money on its way back. Final for the buyer as soon as the provider says so.
namespace Veza.Domain.Refunds

open System
open Veza.Domain

/// What the refund is of, frozen when it was asked for.
type Scope =
    | OfAmount
    | OfLines of Lines: LineId list
    /// Everything that was left.
    | OfRest
    /// The buyer's bank took it, by a dispute that was lost.
    | OfDispute

/// A seller's leg and how much of its gross this refund gives back.
type Share = { Seller: SellerId; Amount: int64 }

/// One call to Hyperswitch and the asking that follows it.
type Inquiry = { SentAt: DateTimeOffset; Sends: int; DueAt: DateTimeOffset }

module Share =
    /// The shares that left these two columns behind.
    let ofColumns (sellers: string array) (amounts: int64 array) =
        let share seller amount =
            SellerId.Parse seller |> Result.map (fun seller -> { Seller = seller; Amount = amount })

        (Seq.zip sellers amounts, Ok [])
        ||> Seq.foldBack (fun (seller, amount) rest ->
            rest |> Result.bind (fun tail -> share seller amount |> Result.map (fun head -> head :: tail)))

type RefundStatus =
    /// Its amount is reserved and it was sent; no answer is known.
    | Pending of Inquiry: Inquiry
    /// The provider has it and has not decided.
    | Submitted of Inquiry: Inquiry
    | Succeeded
    /// `Undone`: it had succeeded first. The buyer's bank sent the money back to the platform.
    | Failed of Refusal: Refusal * Undone: bool

/// What the provider says of a refund, in an answer, a webhook or a look-up: the same fact each time.
type RefundFact =
    | StillPending
    | HasSucceeded
    | HasFailed of Refusal: Refusal

type RefundSignal =
    | ProviderSays of Fact: RefundFact
    | ProviderSilent
    /// It answered, and told nothing of the refund: refused credentials, a rate limit, an error.
    | ProviderTroubled of Why: Refusal
    /// The provider does not know it (HE_02).
    | ProviderMissesIt
    /// The refund is being sent again under the same id.
    | SentAgain

type RefundRefusal =
    | SucceededAfterFailure
    | AlreadyDecided

/// Begins with `reserve`, changes through `apply`, returns from a row with `ofRow`: no other way.
type Refund = private {
    id: RefundId
    order: OrderId
    amount: Money
    scope: Scope
    shares: Share list
    reason: string option
    status: RefundStatus
    /// What the provider last said instead of an answer, for people.
    trouble: Refusal option
} with

    member refund.Id = refund.id
    member refund.Order = refund.order
    member refund.Amount = refund.amount
    member refund.Scope = refund.scope
    member refund.Shares = refund.shares
    member refund.Reason = refund.reason
    member refund.Status = refund.status
    member refund.Trouble = refund.trouble

type RefundOutcome = Outcome<Refund, RefundRefusal>

type RefundDuty =
    | Ask
    /// Proven absent: the same id may be sent again.
    | SendAgain

/// How long a refund waits before the provider is asked about it.
type RefundRules = {
    SweepAfter: TimeSpan
    /// How long "unknown" may still mean "not arrived yet": Hyperswitch waits up to 30 s for its connector and
    /// up to 180 s for its lock (its `core/api_locking.rs`).
    AbsentAfter: TimeSpan
}

/// A refund laid flat, as its row keeps it.
type RefundRow = {
    Id: Guid
    OrderId: Guid
    ProviderRefundId: string
    Amount: int64
    Currency: string
    Scope: string
    LineIds: Guid array
    ShareSellers: string array
    ShareAmounts: int64 array
    Reason: string | null
    Status: string
    SentAt: Nullable<DateTimeOffset>
    Sends: int
    DueAt: Nullable<DateTimeOffset>
    FailureCode: string | null
    FailureMessage: string | null
    Undone: bool
}

module Refund =
    /// Its amount is reserved on the order and it is about to be sent, which is written down first.
    let reserve id order amount scope shares reason rules (now: DateTimeOffset) = {
        id = id
        order = order
        amount = amount
        scope = scope
        shares = shares
        reason = reason
        status = Pending { Inquiry.SentAt = now; Sends = 1; DueAt = now + rules.SweepAfter }
        trouble = None
    }

    /// A lost dispute: the buyer has the money already, whatever anybody here thinks of it.
    let imposed id order amount shares reason = {
        id = id
        order = order
        amount = amount
        scope = OfDispute
        shares = shares
        reason = reason
        status = Succeeded
        trouble = None
    }

    /// The whole life of a refund: every status meets every signal.
    let apply rules (now: DateTimeOffset) signal refund =
        let becomes status = Advanced { refund with status = status; trouble = None }
        // Each wait is half of the age: what stays undecided is asked about ever more rarely and never given up.
        let later (inquiry: Inquiry) = {
            inquiry with
                DueAt = now + max rules.SweepAfter (TimeSpan.FromTicks((now - inquiry.SentAt).Ticks / 2L))
        }

        match refund.status, signal with
        | Pending inquiry, ProviderSays StillPending -> becomes (Submitted(later inquiry))
        | Pending _, ProviderSays HasSucceeded -> becomes Succeeded
        | Pending _, ProviderSays(HasFailed refusal) -> becomes (Failed(refusal, false))
        | Pending inquiry, (ProviderSilent | ProviderMissesIt) -> becomes (Pending(later inquiry))
        | Pending inquiry, ProviderTroubled why ->
            Advanced { refund with status = Pending(later inquiry); trouble = Some why }
        | Pending inquiry, SentAgain ->
            becomes (Pending { later inquiry with SentAt = now; Sends = inquiry.Sends + 1 })

        | Submitted _, ProviderSays HasSucceeded -> becomes Succeeded
        | Submitted _, ProviderSays(HasFailed refusal) -> becomes (Failed(refusal, false))
        | Submitted inquiry, (ProviderSays StillPending | ProviderSilent | ProviderMissesIt) ->
            becomes (Submitted(later inquiry))
        | Submitted inquiry, ProviderTroubled why ->
            Advanced { refund with status = Submitted(later inquiry); trouble = Some why }
        | Submitted _, SentAgain -> Refused AlreadyDecided

        // Hyperswitch overwrites a success when the bank gives the money back (its core/webhooks/incoming.rs).
        | Succeeded, ProviderSays(HasFailed refusal) -> becomes (Failed(refusal, true))
        | Succeeded,
          (ProviderSays(StillPending | HasSucceeded) | ProviderSilent | ProviderTroubled _ | ProviderMissesIt) ->
            Unchanged
        | Succeeded, SentAgain -> Refused AlreadyDecided

        | Failed(_, true), ProviderSays HasSucceeded -> Unchanged
        | Failed(_, false), ProviderSays HasSucceeded -> Refused SucceededAfterFailure
        | Failed _,
          (ProviderSays(StillPending | HasFailed _) | ProviderSilent | ProviderTroubled _ | ProviderMissesIt) ->
            Unchanged
        | Failed _, SentAgain -> Refused AlreadyDecided

    /// Whether the provider is asked before a webhook's word is followed, because money would be sent on the strength of
    /// what may only be old: a failure after the success pays sellers again, and any failure gives its amount free to be
    /// refunded once more. What had succeeded and was undone stays undone: Hyperswitch does not hear of every failure
    /// that Stripe knows of.
    let isToBeAsked fact (refund: Refund) =
        match refund.status, fact with
        | (Pending _ | Submitted _ | Succeeded), HasFailed _
        | Failed(_, false), HasSucceeded -> true
        | (Pending _ | Submitted _), (StillPending | HasSucceeded)
        | Succeeded, (StillPending | HasSucceeded)
        | Failed(_, true), HasSucceeded
        | Failed _, (StillPending | HasFailed _) -> false

    /// What a worker does with a refund that has heard nothing for too long. Asking comes first; `missing` is
    /// what the asking showed.
    let duty rules (now: DateTimeOffset) missing refund =
        match refund.status with
        | Pending inquiry when missing && now - inquiry.SentAt >= rules.AbsentAfter -> Some SendAgain
        | Pending _
        | Submitted _ -> Some Ask
        | Succeeded
        | Failed _ -> None

    let statusWord status =
        match status with
        | Pending _ -> "pending"
        | Submitted _ -> "submitted"
        | Succeeded -> "succeeded"
        | Failed _ -> "failed"

    let signalWord signal =
        match signal with
        | ProviderSays StillPending -> "refund_pending"
        | ProviderSays HasSucceeded -> "refund_succeeded"
        | ProviderSays(HasFailed _) -> "refund_failed"
        | ProviderSilent -> "provider_silent"
        | ProviderTroubled _ -> "provider_troubled"
        | ProviderMissesIt -> "provider_misses_it"
        | SentAgain -> "sent_again"

    let toRow (refund: Refund) : RefundRow =
        let row = {
            Id = refund.id.Value
            OrderId = refund.order.Value
            ProviderRefundId = (ProviderRefundId.For refund.id).Value
            Amount = refund.amount.Minor
            Currency = refund.amount.Currency.Code
            Scope = ""
            LineIds = [||]
            ShareSellers = [| for share in refund.shares -> share.Seller.Value |]
            ShareAmounts = [| for share in refund.shares -> share.Amount |]
            Reason = Option.toObj refund.reason
            Status = statusWord refund.status
            SentAt = Nullable()
            Sends = 0
            DueAt = Nullable()
            FailureCode = refund.trouble |> Option.map _.Code |> Option.toObj
            FailureMessage = refund.trouble |> Option.map _.Message |> Option.toObj
            Undone = false
        }

        let row =
            match refund.scope with
            | OfAmount -> { row with Scope = "amount" }
            | OfLines lines -> { row with Scope = "lines"; LineIds = [| for line in lines -> line.Value |] }
            | OfRest -> { row with Scope = "rest" }
            | OfDispute -> { row with Scope = "dispute" }

        match refund.status with
        | Pending inquiry
        | Submitted inquiry -> {
            row with
                SentAt = Nullable inquiry.SentAt
                Sends = inquiry.Sends
                DueAt = Nullable inquiry.DueAt
          }
        | Succeeded -> row
        | Failed(refusal, undone) -> {
            row with
                FailureCode = refusal.Code
                FailureMessage = refusal.Message
                Undone = undone
          }

    let private scopeOf row =
        match row.Scope with
        | "amount" -> Ok OfAmount
        | "lines" -> Ok(OfLines [ for line in row.LineIds -> LineId line ])
        | "rest" -> Ok OfRest
        | "dispute" -> Ok OfDispute
        | unknown -> Error $"No refund is of '{unknown}'."

    let private statusOf row =
        let inquiry () : Inquiry = { SentAt = row.SentAt.Value; Sends = row.Sends; DueAt = row.DueAt.Value }

        match row.Status, row.SentAt.HasValue && row.DueAt.HasValue, row.FailureCode, row.FailureMessage with
        | "pending", true, null, null
        | "pending", true, NonNull _, NonNull _ -> Ok(Pending(inquiry ()))
        | "submitted", true, null, null
        | "submitted", true, NonNull _, NonNull _ -> Ok(Submitted(inquiry ()))
        | "succeeded", false, null, null -> Ok Succeeded
        | "failed", false, NonNull code, NonNull message ->
            Ok(Failed({ Cause = OtherCause; Code = code; Message = message }, row.Undone))
        | unknown -> Error $"No refund stands like %A{unknown}."

    let private troubleOf row =
        match Option.ofObj row.FailureCode, Option.ofObj row.FailureMessage with
        | Some code, Some message when row.Status <> "failed" ->
            Some { Cause = OtherCause; Code = code; Message = message }
        | (Some _ | None), (Some _ | None) -> None

    /// The refund that left this row behind.
    let ofRow row =
        match
            scopeOf row,
            Share.ofColumns row.ShareSellers row.ShareAmounts,
            statusOf row,
            Currency.parse row.Currency
        with
        | Ok scope, Ok shares, Ok status, Ok currency ->
            Ok {
                id = RefundId row.Id
                order = OrderId row.OrderId
                amount = { Minor = row.Amount; Currency = currency }
                scope = scope
                shares = shares
                reason = Option.ofObj row.Reason
                status = status
                trouble = troubleOf row
            }
        | Error why, _, _, _
        | _, Error why, _, _
        | _, _, Error why, _
        | _, _, _, Error why -> Error why
