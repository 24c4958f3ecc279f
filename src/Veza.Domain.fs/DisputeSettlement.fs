/// What a bank's word on a dispute does to the order, its sellers and the books: all of it or nothing.
namespace Veza.Domain

open Veza.Domain.Disputes
open Veza.Domain.Ledger
open Veza.Domain.Orders
open Veza.Domain.Refunds

/// Everything that changes together. `Imposed` is the refund that a lost dispute becomes.
type DisputeEffect = { Dispute: Dispute; Imposed: Refund option; Rest: Effect }

module DisputeSettlement =
    let private scoped refund shares = { Refund = refund; Scope = OfDispute; Shares = shares }

    /// As much of the claim as no refund has taken or reserved.
    let private free (amount: Money) (order: Order) =
        match Order.planRefund (Amount(min amount.Minor order.Left)) order with
        | Ok(_, shares) -> shares
        | Error _ -> []

    let private reservation (dispute: Dispute) = scoped (RefundId dispute.Id.Value) dispute.Shares

    let private onOrder signal (order: Order) =
        match Order.apply signal order with
        | Orders.Advanced next -> next
        | Orders.Unchanged
        | Orders.Refused _ -> order

    /// Set aside, so that a refund cannot take it as well.
    let private reserve (dispute: Dispute) (order: Order) =
        let dispute = dispute |> Dispute.reserving (free dispute.Amount order)
        if dispute.Shares.IsEmpty then
            dispute, order
        else
            dispute, order |> onOrder (RefundReserved(reservation dispute))

    let private release (dispute: Dispute) order =
        if dispute.Shares.IsEmpty then
            order
        else
            order |> onOrder (RefundReleased(reservation dispute))

    let private onlyOrder dispute order =
        Settled { Dispute = dispute; Imposed = None; Rest = { Settlement.nothing with Order = Some order } }

    /// What the bank took beyond what was left of the order: the buyer had been refunded already, and the
    /// platform bears it.
    let private excess (dispute: Dispute) : Posting list =
        let beyond = dispute.Amount.Minor - dispute.Reserved
        if beyond = 0L then
            []
        else
            [ { Account = PlatformCash; Amount = -beyond }; { Account = PlatformLosses; Amount = beyond } ]

    let private opposite postings : Posting list = [
        for posting: Posting in postings -> { posting with Amount = -posting.Amount }
    ]

    let private merely dispute postings =
        Settled { Dispute = dispute; Imposed = None; Rest = { Settlement.nothing with Postings = postings } }

    let private lost rules now refund (dispute: Dispute) (order: Order) licenses transfers =
        if dispute.Shares.IsEmpty then
            merely dispute (excess dispute)
        else
            let amount = { dispute.Amount with Minor = dispute.Reserved }
            let imposed = Refund.imposed refund order.Id amount dispute.Shares (Some dispute.Provider)
            match Settlement.refunded rules now imposed order licenses transfers with
            | Settled effect ->
                Settled {
                    Dispute = dispute
                    Imposed = Some imposed
                    Rest = { effect with Refund = None; Postings = effect.Postings @ excess dispute }
                }
            | AlreadyKnown -> AlreadyKnown
            | Quarantined why -> Quarantined why

    /// Lost and won after all: the refund that it had become is undone like any other that failed after success.
    let private regained refundRules rules now dispute (imposed: Refund option) order licenses transfers =
        match imposed with
        | None -> merely dispute (opposite (excess dispute))
        | Some refund ->
            let won = { Cause = OtherCause; Code = "dispute_won"; Message = "The bank gave the money back." }
            match Refund.apply refundRules now (ProviderSays(HasFailed won)) refund with
            | Refunds.Unchanged
            | Refunds.Refused _ -> AlreadyKnown
            | Refunds.Advanced next ->
                match Settlement.undone rules now next order licenses transfers with
                | Settled effect ->
                    Settled {
                        Dispute = dispute
                        Imposed = None
                        Rest = { effect with Postings = effect.Postings @ opposite (excess dispute) }
                    }
                | AlreadyKnown -> AlreadyKnown
                | Quarantined why -> Quarantined why

    /// The first word of a dispute.
    let raised rules now id provider amount fact disputeRules (order: Order) licenses transfers =
        let dispute = Dispute.start id order.Id provider amount [] fact disputeRules now
        match dispute.Status with
        | Won -> onlyOrder dispute order
        | Open _ -> reserve dispute order ||> onlyOrder
        | Lost refund ->
            let dispute, reserved = reserve dispute order
            lost rules now refund dispute reserved licenses transfers

    /// A further word. `imposed` is the refund that the dispute had become, if it was lost.
    let ruled refundRules rules disputeRules now fact (dispute: Dispute) imposed order licenses transfers =
        match Dispute.apply disputeRules now (ProviderRules fact) dispute with
        | Disputes.Unchanged -> AlreadyKnown
        | Disputes.Advanced next ->
            match dispute.Status, next.Status with
            | Open _, Open _
            | Won, Won
            | Lost _, Lost _ -> merely next []
            | Won, Open _ -> reserve next order ||> onlyOrder
            | Open _, Won -> onlyOrder next (release next order)
            | Open _, Lost refund -> lost rules now refund next order licenses transfers
            | Won, Lost refund ->
                let next, reserved = reserve next order
                lost rules now refund next reserved licenses transfers
            | Lost _, Won -> regained refundRules rules now next imposed order licenses transfers
            // Unreachable by the table of Dispute: lost stays lost until it is won.
            | Lost _, Open _ -> merely next []
