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

module Case =
    let private replaced key (next: 't) (known: 't list) =
        (known |> List.filter (fun one -> key one <> key next)) @ [ next ]

    let private afterStep case (step: Step) =
        match step.Next with
        | Aggregate.Order order -> { case with Case.Order = order }
        | Aggregate.License license -> {
            case with
                Licenses = case.Licenses |> replaced (fun (known: License) -> known.Id) license
          }
        | Aggregate.Transfer transfer -> {
            case with
                Transfers = case.Transfers |> replaced (fun (known: Transfer) -> known.Id) transfer
          }
        | Aggregate.Refund _
        | Aggregate.Payout _
        | Aggregate.Subscription _
        | Aggregate.Deposit _
        | Aggregate.Dispute _ -> case

    /// The case once an effect has taken place.
    let after (effect: Effect) case = List.fold afterStep case effect.Steps

module DisputeSettlement =
    /// A dispute's order on its way through a decision: the case as it has become, and all that led there.
    type private Course = { Case: Case; Effect: Effect }

    let private take effect course = {
        Case = Case.after effect course.Case
        Effect = course.Effect |> Effect.andThen effect
    }

    let private reservation (dispute: Dispute) shares = {
        Refund = RefundId dispute.Id.Value
        Scope = OfDispute
        Shares = shares
    }

    let private tellOrder signal course =
        match Order.apply signal course.Case.Order with
        | Advanced next -> course |> take (Effect.ofSteps [ Step.order course.Case.Order signal next ])
        | Unchanged
        | Refused _ -> course

    let private holding signal dispute shares course =
        if List.isEmpty shares then
            course
        else
            course |> tellOrder (signal (reservation dispute shares))

    /// As much of so much as nothing else has taken or keeps.
    let private free amount (order: Order) =
        match Order.planRefund (Amount(max 0L (min amount order.Left))) order with
        | Ok(_, shares) -> shares
        | Error _ -> []

    let private regained = {
        Cause = OtherCause
        Code = "dispute_won"
        Message = "The bank gave the money back."
    }

    /// A decision on a refund of the dispute's, behind the refund's own step.
    let private settled refundStep verdict course =
        match verdict with
        | Settled effect -> Ok(course |> take (Effect.ofSteps [ refundStep ]) |> take effect)
        | Quarantined why -> Error why
        | AlreadyKnown
        | MustBeAsked -> Ok course

    /// What was taken from the order is given back, like a refund that failed after it had succeeded.
    let private returned refundRules rules now (imposed: Refund list) (dispute: Dispute) course =
        let signal = ProviderSays(HasFailed regained)
        let giveBack (taken: TakenBack) course =
            match imposed |> List.tryFind (fun refund -> refund.Id = taken.Refund) with
            | None -> Error OrderNotRefundable
            | Some refund ->
                match Refund.apply refundRules now signal refund with
                | Unchanged
                | Refused _ -> Ok course
                | Advanced next ->
                    let { Order = order; Licenses = licenses; Transfers = transfers } = course.Case
                    let verdict = Settlement.undone rules now next order licenses transfers
                    course |> settled (Step.refund refund signal next) verdict
        (Ok course, dispute.Refunds) ||> List.fold (fun course taken -> Result.bind (giveBack taken) course)

    /// The bank has it: the order is refunded by so much, whatever anybody here thinks of it.
    let private taken rules now (dispute: Dispute) shares course =
        let amount = shares |> List.sumBy (fun (share: Share) -> share.Amount)
        let refund =
            Refund.imposed
                (Dispute.nextRefund dispute)
                dispute.Order
                { dispute.Amount with Minor = amount }
                shares
                (Some dispute.Provider)
        let reserved = course |> holding RefundReserved dispute shares
        let { Order = order; Licenses = licenses; Transfers = transfers } = reserved.Case
        let verdict = Settlement.refunded rules now refund order licenses transfers
        reserved |> settled (Step.refundImposed refund) verdict

    /// The dispute itself is told; its own step stands behind what brought it.
    let private tellDispute disputeRules now signal (dispute: Dispute, course) =
        match Dispute.apply disputeRules now signal dispute with
        | Advanced next -> next, course |> take (Effect.ofSteps [ Step.dispute dispute signal next ])
        | Unchanged
        | Refused _ -> dispute, course

    /// Keeping the same as before is no step of the order.
    let private unlessSame (before: Case) course =
        if course.Case.Order = before.Order then
            let steps = course.Effect.Steps |> List.filter (fun step -> not step.Next.IsOrder)
            { course with Effect = { course.Effect with Steps = steps } }
        else
            course

    /// All of it is booked as the dispute's.
    let private booked (before: Dispute option) (dispute: Dispute) (effect: Effect) =
        let booking postings = {
            Order = Some dispute.Order
            Source = "dispute"
            SourceId = dispute.Id.Value
            Currency = dispute.Amount.Currency
            Postings = postings
        }
        let postings = (effect.Books |> List.collect _.Postings) @ Ledger.ofDispute before dispute
        { effect with Books = [ booking postings ] }

    /// Brings the order to what the dispute claims now. `before` is the dispute as it was, if it was known; `report` the
    /// step that brought it here, if there was one.
    let private claimed
        refundRules
        rules
        disputeRules
        now
        imposed
        before
        report
        (next: Dispute)
        (case: Case)
        =
        let was = before |> Option.defaultValue next
        let released =
            { Case = case; Effect = Effect.ofSteps report } |> holding RefundReleased was was.Shares

        let givenBack =
            if next.Taken > next.Claim || next.Status.IsWon then
                returned refundRules rules now imposed was released
                |> Result.map (fun course -> (next, course) |> tellDispute disputeRules now ClaimReturned)
            else
                Ok(next, released)

        let taking (next: Dispute, course) =
            let shares = free (next.Claim - next.Taken) course.Case.Order
            match next.Status with
            | Lost _ when not shares.IsEmpty ->
                let amount = shares |> List.sumBy _.Amount
                taken rules now next shares course
                |> Result.map (fun course ->
                    (next, course) |> tellDispute disputeRules now (ClaimTaken amount))
            | Open _ ->
                let held = course |> holding RefundReserved next shares
                Ok((next, held) |> tellDispute disputeRules now (ClaimHeld shares))
            | Won
            | Lost _ -> Ok(next, course)

        givenBack
        |> Result.bind taking
        |> Result.map (fun (next, course) -> {
            Next = next
            Effect = (unlessSame case course).Effect |> booked before next
        })

    let private verdict result =
        match result with
        | Ok(decision: Decision<Dispute>) -> Settled decision.Effect
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
            let raised = [ Step.disputeRaised report next ]
            claimed refundRules rules disputeRules now [] None raised next case |> verdict

    /// A further word. `imposed` are the refunds that the dispute has become.
    let reported refundRules rules disputeRules now source report imposed (dispute: Dispute) case =
        match doubtful source report case.Order with
        | Some verdict -> verdict
        | None ->
            let signal = ProviderReports(source, report)
            match Dispute.apply disputeRules now signal dispute with
            | Unchanged -> AlreadyKnown
            | Refused Contradicts -> MustBeAsked
            | Advanced next ->
                let step = [ Step.dispute dispute signal next ]
                claimed refundRules rules disputeRules now imposed (Some dispute) step next case |> verdict

    /// Something of the order may have become free: a payment came in, a refund failed, another dispute was won. What
    /// disputes claim and could not get, they take now.
    let takeFreed refundRules rules disputeRules now imposed (disputes: Dispute list) case =
        let take (case, effect) (dispute: Dispute) =
            if dispute.Unmet <= 0L || case.Order.Left = 0L then
                case, effect
            else
                match claimed refundRules rules disputeRules now imposed (Some dispute) [] dispute case with
                | Ok decision when decision.Next <> dispute ->
                    Case.after decision.Effect case, effect |> Effect.andThen decision.Effect
                | Ok _
                | Error _ -> case, effect
        disputes |> List.sortBy _.Id.Value |> List.fold take (case, Effect.nothing) |> snd
