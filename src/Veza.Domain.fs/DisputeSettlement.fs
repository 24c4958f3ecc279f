/// What a bank's word on a dispute does to the order, its sellers and the books: all of it or nothing. A dispute is a
/// claim on the order exactly like a refund: it takes what is free, and whatever becomes free while it lasts.
namespace Veza.Domain

open Veza.Domain.Disputes
open Veza.Domain.Ledger
open Veza.Domain.Licenses
open Veza.Domain.Orders
open Veza.Domain.Refunds
open Veza.Domain.Transfers

/// An order with all that a refund or a dispute of it may touch.
type Case = { Order: Order; Licenses: License list; Transfers: Transfer list }

/// One thing after another that a dispute does. `Imposed` is the refund that the bank has made of the claim.
type DisputeStep = { Imposed: Refund option; Effect: Effect }

/// Everything that changes together, in its order.
type DisputeEffect = { Dispute: Dispute; Steps: DisputeStep list }

module Case =
    let private replaced key (changed: 't list) (known: 't list) =
        (known |> List.filter (fun one -> changed |> List.forall (fun other -> key other <> key one)))
        @ changed

    /// The case once an effect has taken place.
    let after (effect: Effect) case = {
        Order = effect.Order |> Option.defaultValue case.Order
        Licenses =
            case.Licenses
            |> replaced
                (fun (license: License) -> license.Id)
                (effect.Granted @ effect.Revoked @ effect.Restored)
        Transfers =
            case.Transfers
            |> replaced
                (fun (transfer: Transfer) -> transfer.Id)
                (effect.Scheduled @ List.map snd effect.Claimed)
    }

module DisputeSettlement =
    let private reservation (dispute: Dispute) shares = {
        Refund = RefundId dispute.Id.Value
        Scope = OfDispute
        Shares = shares
    }

    let private onOrder signal (order: Order) =
        match Order.apply signal order with
        | Orders.Advanced next -> next
        | Orders.Unchanged
        | Orders.Refused _ -> order

    let private holding signal dispute shares order =
        if List.isEmpty shares then
            order
        else
            order |> onOrder (signal (reservation dispute shares))

    /// As much of so much as nothing else has taken or keeps.
    let private free amount (order: Order) =
        match Order.planRefund (Amount(max 0L (min amount order.Left))) order with
        | Ok(_, shares) -> shares
        | Error _ -> []

    let private step case imposed (effect: Effect) steps =
        Case.after effect case, steps @ [ { Imposed = imposed; Effect = effect } ]

    let private regained = {
        Cause = OtherCause
        Code = "dispute_won"
        Message = "The bank gave the money back."
    }

    /// What was taken from the order is given back, like a refund that failed after it had succeeded.
    let private returned refundRules rules now (imposed: Refund list) (dispute: Dispute) case =
        let giveBack state (taken: TakenBack) =
            match state, imposed |> List.tryFind (fun refund -> refund.Id = taken.Refund) with
            | Error why, _ -> Error why
            | Ok _, None -> Error OrderNotRefundable
            | Ok(case, steps), Some refund ->
                match Refund.apply refundRules now (ProviderSays(HasFailed regained)) refund with
                | Refunds.Unchanged
                | Refunds.Refused _ -> Ok(case, steps)
                | Refunds.Advanced next ->
                    match Settlement.undone rules now next case.Order case.Licenses case.Transfers with
                    | Settled effect -> Ok(step case None effect steps)
                    | Quarantined why -> Error why
                    | AlreadyKnown
                    | MustBeAsked -> Ok(case, steps)
        List.fold giveBack (Ok(case, [])) dispute.Refunds

    let private onlyOrder before steps case =
        if case.Order = before.Order then
            case, steps
        else
            step case None { Settlement.nothing with Order = Some case.Order } steps

    /// The bank has it: the order is refunded by so much, whatever anybody here thinks of it.
    let private taken rules now (dispute: Dispute) shares (case: Case, steps) =
        let amount = shares |> List.sumBy (fun (share: Share) -> share.Amount)
        let refund =
            Refund.imposed
                (Dispute.nextRefund dispute)
                case.Order.Id
                { dispute.Amount with Minor = amount }
                shares
                (Some dispute.Provider)
        let reserved = { case with Order = case.Order |> holding RefundReserved dispute shares }
        match Settlement.refunded rules now refund reserved.Order reserved.Licenses reserved.Transfers with
        | Settled effect ->
            Ok(Dispute.taking amount dispute, step reserved (Some refund) { effect with Refund = None } steps)
        | Quarantined why -> Error why
        | AlreadyKnown
        | MustBeAsked -> Ok(dispute, (case, steps))

    /// Brings the order to what the dispute claims now. `before` is the dispute as it was, if it was known.
    let private claimed refundRules rules now imposed before (next: Dispute) (case: Case) =
        let was = before |> Option.defaultValue next
        let released = { case with Order = case.Order |> holding RefundReleased was was.Shares }

        let givenBack =
            if next.Taken > next.Claim || next.Status.IsWon then
                returned refundRules rules now imposed was released
                |> Result.map (fun freed -> Dispute.returning next, freed)
            else
                Ok(next, (released, []))

        let taking (next: Dispute, (freed, steps)) =
            let shares = free (next.Claim - next.Taken) freed.Order
            match next.Status with
            | Lost _ when not shares.IsEmpty -> taken rules now next shares (freed, steps)
            | Open _ ->
                let held = { freed with Order = freed.Order |> holding RefundReserved next shares }
                Ok(Dispute.holding shares next, onlyOrder case steps held)
            | Won
            | Lost _ -> Ok(next, onlyOrder case steps freed)

        let posted (next, (case, steps)) =
            let postings = Ledger.ofDispute before next
            let _, steps = step case None { Settlement.nothing with Postings = postings } steps
            { Dispute = next; Steps = steps }

        givenBack |> Result.bind taking |> Result.map posted

    let private verdict result =
        match result with
        | Ok effect -> Settled effect
        | Error why -> Quarantined why

    /// Whether an amount is believed. More than the order's total happens where currencies have moved meanwhile, but the
    /// provider is asked before it is believed.
    let private doubtful source (report: DisputeReport) (order: Order) =
        if report.Amount <= 0L then
            Some(Quarantined AmountDiffers)
        elif source = ByWebhook && report.Amount > order.Total then
            Some MustBeAsked
        else
            None

    /// The first word of a dispute.
    let raised refundRules rules disputeRules now source id provider report case =
        match doubtful source report case.Order with
        | Some verdict -> verdict
        | None ->
            let next = Dispute.start id case.Order.Id provider case.Order.Currency report disputeRules now
            claimed refundRules rules now [] None next case |> verdict

    /// A further word. `imposed` are the refunds that the dispute has become.
    let reported refundRules rules disputeRules now source report imposed (dispute: Dispute) case =
        match doubtful source report case.Order with
        | Some verdict -> verdict
        | None ->
            match Dispute.apply disputeRules now (ProviderReports(source, report)) dispute with
            | Disputes.Unchanged -> AlreadyKnown
            | Disputes.Refused Contradicts -> MustBeAsked
            | Disputes.Advanced next ->
                claimed refundRules rules now imposed (Some dispute) next case |> verdict

    /// Something of the order may have become free: a payment came in, a refund failed, another dispute was won. What
    /// disputes claim and could not get, they take now.
    let takeFreed refundRules rules now imposed (disputes: Dispute list) case =
        let take (case, effects) (dispute: Dispute) =
            if dispute.Unmet <= 0L || case.Order.Left = 0L then
                case, effects
            else
                match claimed refundRules rules now imposed (Some dispute) dispute case with
                | Ok effect when effect.Dispute <> dispute ->
                    (case, effect.Steps) ||> List.fold (fun case step -> Case.after step.Effect case),
                    effects @ [ effect ]
                | Ok _
                | Error _ -> case, effects
        disputes |> List.sortBy _.Id.Value |> List.fold take (case, []) |> snd
