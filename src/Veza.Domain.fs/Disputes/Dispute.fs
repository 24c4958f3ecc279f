/// A buyer's bank takes a payment back, or tries to. While it decides, nothing of what it claims can be refunded as
/// well; lost, the claim is taken from the sellers like a refund, and may still be won.
namespace Veza.Domain.Disputes

open System
open Veza.Domain
open Veza.Domain.Refunds

/// Where the bank stands, in its order. A dispute that was won may be lost at a later stage, and the other way
/// round (Hyperswitch's `core/utils.rs`).
type Stage =
    /// An inquiry: nothing is withdrawn, and a refund ends it.
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

type DisputeFact = { Stage: Stage; Ruling: Ruling }

/// What whoever answers the bank has to know. It moves no money.
type DisputeTerms = {
    /// What the buyer told the bank, in the provider's word.
    Reason: string option
    /// The last moment for evidence.
    RespondBy: DateTimeOffset option
} with

    static member Unknown = { Reason = None; RespondBy = None }

    /// As a provider writes them; either may be missing. One provider gives the moment to the second, the other finer.
    static member Of(reason: string | null, respondBy: Nullable<DateTimeOffset>) = {
        Reason = reason |> Option.ofObj |> Option.filter (fun word -> word <> "")
        RespondBy =
            respondBy
            |> Option.ofNullable
            |> Option.map (fun time -> DateTimeOffset.FromUnixTimeSeconds(time.ToUnixTimeSeconds()))
    }

    /// What is said now, and what was known before where nothing is said: providers leave out what they told already.
    member told.Over(known: DisputeTerms) = {
        Reason = told.Reason |> Option.orElse known.Reason
        RespondBy = told.RespondBy |> Option.orElse known.RespondBy
    }

/// What the provider says of a dispute. The claim may grow or shrink while it is open.
type DisputeReport = { Fact: DisputeFact; Amount: int64; Terms: DisputeTerms }

/// The refund by which a lost dispute took so much from the order.
type TakenBack = { Refund: RefundId; Amount: int64 }

type DisputeStatus =
    /// The bank decides. `Held` is kept from being refunded; `Taken` was taken when the dispute had been lost before.
    | Open of Held: Share list * Taken: TakenBack list
    | Won
    | Lost of Taken: TakenBack list

type DisputeSignal =
    | ProviderReports of Source: Source * Report: DisputeReport
    /// So much of the order is kept for it.
    | ClaimHeld of Shares: Share list
    /// Its next refund took so much from the order.
    | ClaimTaken of Amount: int64
    /// All that it took has been given back.
    | ClaimReturned

/// Why a report is not followed.
type DisputeRefusal =
    /// It contradicts what is known, and a webhook may only be old: the provider is asked.
    | Contradicts

type DisputeRules = {
    /// How often the provider is asked about an open dispute.
    AskEvery: TimeSpan
    /// How long it is still asked about a decided one, ever more rarely: banks change their minds, and Hyperswitch
    /// sends no second event of one type.
    AskAfterwards: TimeSpan
}

/// Begins with `start`, changes through `apply`, returns from a row with `ofRow`: no other way.
type Dispute = private {
    id: DisputeId
    order: OrderId
    provider: string
    amount: Money
    seen: DisputeFact
    terms: DisputeTerms
    status: DisputeStatus
    /// When its status last changed between open, won and lost.
    since: DateTimeOffset
    /// When the provider is asked next; none once a decision is old enough.
    due: DateTimeOffset option
    /// How often it has taken something from the order, each time by a refund of its own, or was opened again. While it
    /// is open, more than none says that it was decided before.
    rounds: int
} with

    member dispute.Id = dispute.id
    member dispute.Order = dispute.order
    /// The provider's name for it.
    member dispute.Provider = dispute.provider
    /// What the bank claims.
    member dispute.Amount = dispute.amount
    member dispute.Seen = dispute.seen
    member dispute.Terms = dispute.terms
    member dispute.Status = dispute.status
    member dispute.DueAt = dispute.due

    /// What the bank has withdrawn from the platform.
    member dispute.Claim =
        match dispute.status, dispute.seen.Stage with
        | Won, _
        | (Open _ | Lost _), PreDispute -> 0L
        | (Open _ | Lost _), (Stage.Dispute | PreArbitration | Arbitration | DisputeReversal) ->
            dispute.amount.Minor

    /// Kept on the order so that it cannot be refunded as well.
    member dispute.Shares =
        match dispute.status with
        | Open(held, _) -> held
        | Won
        | Lost _ -> []

    /// The refunds that it has become.
    member dispute.Refunds =
        match dispute.status with
        | Open(_, taken)
        | Lost taken -> taken
        | Won -> []

    member dispute.Held = dispute.Shares |> List.sumBy _.Amount
    member dispute.Taken = dispute.Refunds |> List.sumBy _.Amount

    /// What it claims and the order does not have to give: it takes what becomes free.
    member dispute.Unmet = dispute.Claim - dispute.Held - dispute.Taken

type DisputeOutcome = Outcome<Dispute, DisputeRefusal>

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
    Since: DateTimeOffset
    DueAt: Nullable<DateTimeOffset>
    RefundIds: Guid array
    RefundAmounts: int64 array
    Rounds: int
    Reason: string | null
    RespondBy: Nullable<DateTimeOffset>
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

    /// The status that a ruling leads to.
    let ruled ruling =
        match ruling with
        | Opened
        | Challenged -> "open"
        | WonByUs -> "won"
        | LostByUs -> "lost"

    let signal signal =
        match signal with
        | ProviderReports(_, report) -> "dispute_" + ruling report.Fact.Ruling
        | ClaimHeld _ -> "claim_held"
        | ClaimTaken _ -> "claim_taken"
        | ClaimReturned -> "claim_returned"

[<CompilationRepresentation(CompilationRepresentationFlags.ModuleSuffix)>]
module Dispute =
    /// What a ruling makes of a dispute. What it took while it was lost stays taken until it is won: the bank has the
    /// money meanwhile.
    let private statusAfter ruling before =
        match ruling, before with
        | (Opened | Challenged), Open(held, taken) -> Open(held, taken)
        | (Opened | Challenged), Won -> Open([], [])
        | (Opened | Challenged), Lost taken -> Open([], taken)
        | WonByUs, (Open _ | Won | Lost _) -> Won
        | LostByUs, Open(_, taken)
        | LostByUs, Lost taken -> Lost taken
        | LostByUs, Won -> Lost []

    /// An open dispute is asked about at a steady pace, a decided one after half of its age each time.
    let private nextTime rules (now: DateTimeOffset) since status =
        let age: TimeSpan = now - since
        match status with
        | Open _ -> Some(now + rules.AskEvery)
        | Won
        | Lost _ when age >= rules.AskAfterwards -> None
        | Won
        | Lost _ -> Some(now + max rules.AskEvery (age / 2.))

    /// First heard of, whatever is said.
    let start id order provider currency (report: DisputeReport) rules now =
        let status = statusAfter report.Fact.Ruling (Open([], []))
        {
            id = id
            order = order
            provider = provider
            amount = { Minor = report.Amount; Currency = currency }
            seen = report.Fact
            terms = report.Terms
            status = status
            since = now
            due = nextTime rules now now status
            rounds = 0
        }

    let private follow rules now (report: DisputeReport) dispute =
        let status = statusAfter report.Fact.Ruling dispute.status
        let terms = report.Terms.Over dispute.terms
        let isSame = DisputeWords.status status = DisputeWords.status dispute.status
        let isKnown =
            isSame
            && dispute.seen = report.Fact
            && dispute.amount.Minor = report.Amount
            && dispute.terms = terms
        if isKnown then
            Unchanged
        else
            let since = if isSame then dispute.since else now
            let isReopened = not isSame && status.IsOpen
            Advanced {
                dispute with
                    rounds = dispute.rounds + (if isReopened then 1 else 0)
                    amount = { dispute.amount with Minor = report.Amount }
                    seen = report.Fact
                    terms = terms
                    status = status
                    since = since
                    due = nextTime rules now since status
            }

    /// What its next refund is called.
    let internal nextRefund dispute = RefundId.OfDispute(dispute.id, dispute.rounds)

    let private taking amount dispute =
        match dispute.status with
        | Won -> Unchanged
        | Open(held, before) ->
            let taken = { Refund = nextRefund dispute; Amount = amount }
            let status = Open(held, before @ [ taken ])
            Advanced { dispute with status = status; rounds = dispute.rounds + 1 }
        | Lost before ->
            let taken = { Refund = nextRefund dispute; Amount = amount }
            Advanced { dispute with status = Lost(before @ [ taken ]); rounds = dispute.rounds + 1 }

    /// Every status meets every signal. An answer is followed wherever it leads. A webhook may be old: it may open,
    /// enlarge and decide a dispute; where it takes something back, or decides one that was decided before, the provider
    /// is asked.
    let apply rules (now: DateTimeOffset) signal dispute =
        match dispute.status, signal with
        | (Open _ | Won | Lost _), ProviderReports(ByAnswer, report) -> dispute |> follow rules now report
        | Open _, ProviderReports(ByWebhook, report) when
            report.Fact.Stage < dispute.seen.Stage || report.Amount < dispute.amount.Minor
            ->
            Refused Contradicts
        | Open _, ProviderReports(ByWebhook, { Fact = { Ruling = WonByUs | LostByUs } }) when
            dispute.rounds > 0
            ->
            Refused Contradicts
        // It was opened before it was challenged, whatever arrives first.
        | Open _, ProviderReports(ByWebhook, report) ->
            let fact = max report.Fact dispute.seen
            dispute |> follow rules now { report with Fact = fact }
        // Its terms contradict nothing.
        | (Won | Lost _), ProviderReports(ByWebhook, report) ->
            match dispute |> follow rules now { report with Terms = DisputeTerms.Unknown } with
            | Advanced _ -> Refused Contradicts
            | Refused _ as outcome -> outcome
            | Unchanged -> dispute |> follow rules now report

        | Open(held, _), ClaimHeld shares when held = shares -> Unchanged
        | Open(_, taken), ClaimHeld shares -> Advanced { dispute with status = Open(shares, taken) }
        | (Won | Lost _), ClaimHeld _ -> Unchanged

        | (Open _ | Won | Lost _), ClaimTaken amount -> dispute |> taking amount

        | Open(held, _ :: _), ClaimReturned -> Advanced { dispute with status = Open(held, []) }
        | Lost(_ :: _), ClaimReturned -> Advanced { dispute with status = Lost [] }
        | (Open(_, []) | Won | Lost []), ClaimReturned -> Unchanged

    /// The provider is about to be asked. The next time is set first, so that no other host asks as well.
    let polled rules now dispute = { dispute with due = nextTime rules now dispute.since dispute.status }

    let toRow (dispute: Dispute) : DisputeRow = {
        Id = dispute.id.Value
        OrderId = dispute.order.Value
        ProviderDisputeId = dispute.provider
        Amount = dispute.amount.Minor
        Currency = dispute.amount.Currency.Code
        ShareSellers = [| for share in dispute.Shares -> share.Seller.Value |]
        ShareAmounts = [| for share in dispute.Shares -> share.Amount |]
        Stage = DisputeWords.stage dispute.seen.Stage
        Ruling = DisputeWords.ruling dispute.seen.Ruling
        Status = DisputeWords.status dispute.status
        Since = dispute.since
        DueAt = Option.toNullable dispute.due
        RefundIds = [| for taken in dispute.Refunds -> taken.Refund.Value |]
        RefundAmounts = [| for taken in dispute.Refunds -> taken.Amount |]
        Rounds = dispute.rounds
        Reason = Option.toObj dispute.terms.Reason
        RespondBy = Option.toNullable dispute.terms.RespondBy
    }

    /// The dispute that left this row behind.
    let ofRow (row: DisputeRow) =
        let stage = AttemptWords.parse "a stage" DisputeWords.everyStage DisputeWords.stage row.Stage
        let ruling = AttemptWords.parse "a ruling" DisputeWords.everyRuling DisputeWords.ruling row.Ruling
        let shares = Share.ofColumns row.ShareSellers row.ShareAmounts
        let taken = [
            for refund, amount in Seq.zip row.RefundIds row.RefundAmounts ->
                { Refund = RefundId refund; Amount = amount }
        ]

        let status =
            match row.Status, shares, taken with
            | "open", Ok held, taken -> Ok(Open(held, taken))
            | "won", Ok [], [] -> Ok Won
            | "lost", Ok [], taken -> Ok(Lost taken)
            | unknown -> Error $"No dispute stands like %A{unknown}."

        match stage, ruling, status, Currency.parse row.Currency with
        | Ok stage, Ok ruling, Ok status, Ok currency ->
            Ok {
                id = DisputeId row.Id
                order = OrderId row.OrderId
                provider = row.ProviderDisputeId
                amount = { Minor = row.Amount; Currency = currency }
                seen = { Stage = stage; Ruling = ruling }
                terms = DisputeTerms.Of(row.Reason, row.RespondBy)
                status = status
                since = row.Since
                due = Option.ofNullable row.DueAt
                rounds = row.Rounds
            }
        | Error why, _, _, _
        | _, Error why, _, _
        | _, _, Error why, _
        | _, _, _, Error why -> Error why
