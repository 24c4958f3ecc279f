/// Money on its way from a seller's Stripe balance to the seller's bank, because an operator asked for it.
namespace Veza.Domain.Payouts

open System
open Veza.Domain

/// What Stripe says of a payout. `paid` means expected to arrive: it can still fail later, when the bank refuses.
type PayoutFact =
    | IsPending
    | IsInTransit
    | IsPaid
    | IsCanceled
    | HasFailed of Refusal: Refusal

/// A payout as Stripe describes it, in an answer, a webhook or a look-up: the same fact each time.
type PayoutSight = { StripeId: StripePayoutId; Says: PayoutFact }

type PayoutStatus =
    /// Being asked for; Stripe's answer is not known.
    | Requested of Attempt: Attempt
    /// Stripe has it. `DueAt`: when Stripe is asked if nothing is heard.
    | Pending of StripeId: StripePayoutId * DueAt: DateTimeOffset
    | InTransit of StripeId: StripePayoutId * DueAt: DateTimeOffset
    | Paid of StripeId: StripePayoutId
    /// Without an id: a person says that Stripe has never made it, and it shall not be made.
    | Canceled of StripeId: StripePayoutId option
    /// Refused, or sent back by the bank. The money is in the seller's Stripe balance.
    | Failed of StripeId: StripePayoutId option * Refusal: Refusal
    /// Stripe's answer could not be learnt; a person must look.
    | InDoubt of Attempt: Attempt

/// What a person says became of a payout in doubt, where Stripe shows none or cannot be asked.
type PayoutByHand =
    | PaidByHand of StripeId: StripePayoutId
    | CanceledByHand of StripeId: StripePayoutId option
    | FailedByHand of StripeId: StripePayoutId option * Note: string

type PayoutSignal =
    | PayoutAnswered of PayoutAnswer: Answer<PayoutSight>
    /// What a look-up by metadata on the seller's account found.
    | PayoutSeen of Found: PayoutSight list
    | PayoutReported of Sight: PayoutSight
    /// Stripe could not be asked, or its answer tells nothing.
    | LookUpFailed of Why: Refusal
    | RetryRequested
    | SettledByHand of Says: PayoutByHand

type PayoutRefusal =
    /// An operator decides only what Veza cannot find out.
    | NotInDoubt
    /// Stripe names another payout than the one we know: money may have moved twice.
    | AnotherPayoutExists

type PayoutRules = {
    Trying: RetryPolicy
    Lease: TimeSpan
    /// How often Stripe is asked about a payout that is under way.
    AskEvery: TimeSpan
}

/// Begins with `request`, changes through `apply`, returns from a row with `ofRow`: no other way.
type Payout = private {
    id: PayoutId
    seller: SellerId
    account: StripeAccountId
    amount: Money
    status: PayoutStatus
    /// The provider's last refusal or doubt, for people.
    trouble: Refusal option
    /// Since when it waits for what it waits for now. No try moves it on, only progress; so alarms count from here.
    since: DateTimeOffset option
} with

    member payout.Id = payout.id
    member payout.Seller = payout.seller
    member payout.Account = payout.account
    member payout.Amount = payout.amount
    member payout.Status = payout.status
    member payout.Trouble = payout.trouble
    member payout.Since = payout.since

type PayoutOutcome = Outcome<Payout, PayoutRefusal>

type PayoutDuty =
    | SendPayout of Key: IdempotencyKey
    | FindPayout of Key: IdempotencyKey
    | AskAbout of StripeId: StripePayoutId

module PayoutWords =
    let status status =
        match status with
        | Requested _ -> "requested"
        | Pending _ -> "pending"
        | InTransit _ -> "in_transit"
        | Paid _ -> "paid"
        | Canceled _ -> "canceled"
        | Failed _ -> "failed"
        | InDoubt _ -> "in_doubt"

    /// What the outside sees: whatever is not known at Stripe yet is pending.
    let shown status' =
        match status' with
        | Requested _
        | InDoubt _ -> "pending"
        | Pending _
        | InTransit _
        | Paid _
        | Canceled _
        | Failed _ -> status status'

    /// As Stripe spells it.
    let fact fact =
        match fact with
        | IsPending -> "pending"
        | IsInTransit -> "in_transit"
        | IsPaid -> "paid"
        | IsCanceled -> "canceled"
        | HasFailed _ -> "failed"

    let signal signal =
        match signal with
        | PayoutAnswered(Accepted _) -> "payout_accepted"
        | PayoutAnswered(Denied _) -> "payout_refused"
        | PayoutAnswered(NotExecuted _) -> "payout_not_executed"
        | PayoutAnswered(Answer.InDoubt _) -> "payout_in_doubt"
        | PayoutAnswered(Missing | Duplicate _ | KeyReused _) -> "payout_duplicate"
        | PayoutSeen [] -> "payout_not_found"
        | PayoutSeen [ _ ] -> "payout_found"
        | PayoutSeen(_ :: _ :: _) -> "several_payouts_found"
        | PayoutReported { Says = says } -> "payout_" + fact says
        | LookUpFailed _ -> "look_up_failed"
        | RetryRequested -> "retry_requested"
        | SettledByHand(PaidByHand _) -> "settled_as_paid"
        | SettledByHand(CanceledByHand _) -> "settled_as_canceled"
        | SettledByHand(FailedByHand _) -> "settled_as_failed"

[<CompilationRepresentation(CompilationRepresentationFlags.ModuleSuffix)>]
module Payout =
    let request id seller account amount (now: DateTimeOffset) = {
        id = id
        seller = seller
        account = account
        amount = amount
        status = Requested(Attempt.startAt now Due)
        trouble = None
        since = Some now
    }

    let private key payout attempt =
        IdempotencyKey.Make("payout", payout.id.Value.ToString "D", attempt.Operation.Generation)

    let private becomes status payout = Advanced { payout with status = status; trouble = None }
    let private waits status trouble payout = Advanced { payout with status = status; trouble = Some trouble }

    /// Later words stand higher: what was said before a higher one is old news.
    let private height status =
        match status with
        | Requested _
        | InDoubt _ -> 0
        | Pending _ -> 1
        | InTransit _ -> 2
        | Paid _ -> 3
        | Canceled _ -> 4
        | Failed _ -> 5

    let private known rules (now: DateTimeOffset) sight =
        match sight.Says with
        | IsPending -> Pending(sight.StripeId, now + rules.AskEvery)
        | IsInTransit -> InTransit(sight.StripeId, now + rules.AskEvery)
        | IsPaid -> Paid sight.StripeId
        | IsCanceled -> Canceled(Some sight.StripeId)
        | HasFailed refusal -> Failed(Some sight.StripeId, refusal)

    let private heard rules now stripeId sight payout =
        let next = known rules now sight
        if sight.StripeId <> stripeId then
            Refused AnotherPayoutExists
        elif height next < height payout.status then
            Unchanged
        else
            match payout.status with
            | Requested _
            | InDoubt _
            | Pending _
            | InTransit _ -> payout |> becomes next
            | Paid _
            | Canceled _
            | Failed _ ->
                if height next = height payout.status then
                    Unchanged
                else
                    payout |> becomes next

    let private answered rules now attempt answer payout =
        match Operation.next now attempt.Operation answer with
        | Done sight -> payout |> becomes (known rules now sight)
        | Declined refusal -> payout |> becomes (Failed(None, refusal))
        | Hindered(hindrance, message) ->
            let attempt = Attempt.hindered rules.Trying now hindrance attempt
            payout |> waits (Requested attempt) (Hindrance.shown hindrance message)
        | AskAgain doubt when Attempt.isExhausted rules.Trying attempt ->
            payout |> waits (Requested(Attempt.lookingUp now attempt)) (Doubt.shown doubt)
        | AskAgain doubt ->
            let attempt = Attempt.spent rules.Trying now payout.id.Value ForAnswer attempt
            payout |> waits (Requested attempt) (Doubt.shown doubt)
        | LookUpFirst -> payout |> becomes (Requested(Attempt.lookingUp now attempt))
        | Gone when Operation.isReplay attempt.Operation ->
            payout |> becomes (Requested(Attempt.lookingUp now attempt))
        | LookUpRefusal message ->
            payout |> waits (Requested(Attempt.confirming now attempt)) (Refusal.unclear message)
        | Gone -> payout |> becomes (Requested(Attempt.confirming now attempt))

    let private seen rules now attempt found payout =
        match found with
        | [ sight ] -> payout |> becomes (known rules now sight)
        | _ :: _ :: _ -> Advanced { payout with status = InDoubt attempt }
        | [] when attempt.Move.IsProve ->
            payout |> becomes (Requested(Attempt.again Due now (Attempt.renewed attempt)))
        | [] when Attempt.isExhausted rules.Trying attempt ->
            Advanced { payout with status = InDoubt(Attempt.givenUp attempt) }
        | [] ->
            let attempt = Attempt.absent now attempt
            let status = Requested(Attempt.spent rules.Trying now payout.id.Value ForRetry attempt)
            Advanced { payout with status = status }

    /// A payout at Stripe has waited since it should have been asked about again; one that is asked for, or is for a
    /// person, since that began.
    let private sinceOf rules (now: DateTimeOffset) signal before after =
        match before.status, after.status, signal with
        | _, (Paid _ | Canceled _ | Failed _), _ -> None
        | (Pending _ | InTransit _), (Pending _ | InTransit _), LookUpFailed _ -> before.since
        | _, (Pending _ | InTransit _), _ -> Some(now + rules.AskEvery)
        | Requested _, Requested _, _
        | InDoubt _, InDoubt _, _ -> before.since
        | _, (Requested _ | InDoubt _), _ -> Some now

    /// Stripe's answer is not known and cannot be found out for now: a look-up has failed, or found nothing certain. One
    /// more that is under way just now sends nothing and changes nothing in that.
    let isInDoubt payout =
        match payout.status with
        | InDoubt _ -> true
        | Requested attempt ->
            not attempt.Move.IsSend
            && (attempt.Waiting.IsForProvider || (attempt.Waiting.IsInFlight && payout.trouble.IsSome))
        | Pending _
        | InTransit _
        | Paid _
        | Canceled _
        | Failed _ -> false

    let private settled says payout =
        if not (isInDoubt payout) then
            Refused NotInDoubt
        else
            match says with
            | PaidByHand id -> payout |> becomes (Paid id)
            | CanceledByHand id -> payout |> becomes (Canceled id)
            | FailedByHand(id, note) ->
                let refusal = { Cause = OtherCause; Code = "settled_by_operator"; Message = note }
                payout |> becomes (Failed(id, refusal))

    /// The whole life of a payout: every status meets every signal.
    let private step rules now signal payout =
        match payout.status, signal with
        | Requested attempt, PayoutAnswered answer -> payout |> answered rules now attempt answer
        | Requested attempt, PayoutSeen found -> payout |> seen rules now attempt found
        | (Requested _ | InDoubt _), PayoutReported sight -> payout |> becomes (known rules now sight)
        | Requested attempt, LookUpFailed why ->
            payout |> waits (Requested(Attempt.postponed rules.Trying now attempt)) why
        | Requested _, RetryRequested -> Refused NotInDoubt

        | (Requested _ | InDoubt _ | Pending _ | InTransit _ | Paid _ | Canceled _ | Failed _),
          SettledByHand says -> payout |> settled says

        | InDoubt _, (PayoutAnswered(Accepted sight) | PayoutSeen [ sight ]) ->
            payout |> becomes (known rules now sight)
        | InDoubt _, (PayoutAnswered _ | PayoutSeen _ | LookUpFailed _) -> Unchanged
        | InDoubt attempt, RetryRequested -> payout |> becomes (Requested(Attempt.restarted now attempt))

        | (Pending(id, _) | InTransit(id, _) | Paid id | Canceled(Some id) | Failed(Some id, _)),
          (PayoutAnswered(Accepted sight) | PayoutSeen [ sight ] | PayoutReported sight) ->
            payout |> heard rules now id sight
        | (Failed(None, _) | Canceled None),
          (PayoutAnswered(Accepted sight) | PayoutSeen [ sight ] | PayoutReported sight) ->
            payout |> becomes (known rules now sight)
        | Pending(id, _), LookUpFailed why -> payout |> waits (Pending(id, now + rules.AskEvery)) why
        | InTransit(id, _), LookUpFailed why -> payout |> waits (InTransit(id, now + rules.AskEvery)) why
        | (Pending _ | InTransit _ | Paid _ | Canceled _ | Failed _), (PayoutAnswered _ | PayoutSeen _) ->
            Unchanged
        | (Paid _ | Canceled _ | Failed _), LookUpFailed _ -> Unchanged
        | (Pending _ | InTransit _ | Paid _ | Canceled _ | Failed _), RetryRequested -> Refused NotInDoubt

    let apply rules now signal payout =
        match step rules now signal payout with
        | Advanced next -> Advanced { next with since = sinceOf rules now signal payout next }
        | Unchanged -> Unchanged
        | Refused why -> Refused why

    /// Read from where the payout stands, so a restart loses nothing.
    let duty payout =
        match payout.status with
        | Requested attempt ->
            match attempt.Move with
            | Send -> Some(SendPayout(key payout attempt))
            | LookUp
            | Confirm
            | Prove -> Some(FindPayout(key payout attempt))
        | Pending(id, _)
        | InTransit(id, _) -> Some(AskAbout id)
        | Paid _
        | Canceled _
        | Failed _
        | InDoubt _ -> None

    /// A worker takes the payout for a while.
    let claimed rules now payout =
        match payout.status with
        | Requested attempt -> { payout with status = Requested(Attempt.claimed rules.Lease now attempt) }
        | Pending(id, _) -> { payout with status = Pending(id, now + rules.Lease) }
        | InTransit(id, _) -> { payout with status = InTransit(id, now + rules.Lease) }
        | Paid _
        | Canceled _
        | Failed _
        | InDoubt _ -> payout
