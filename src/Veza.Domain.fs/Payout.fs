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
    | Canceled of StripeId: StripePayoutId
    /// Refused, or sent back by the bank. The money is in the seller's Stripe balance.
    | Failed of StripeId: StripePayoutId option * Refusal: Refusal
    /// Stripe's answer could not be learnt; a person must look.
    | InDoubt of Attempt: Attempt

type PayoutSignal =
    | PayoutAnswered of PayoutAnswer: Answer<PayoutSight>
    /// What a look-up by metadata on the seller's account found.
    | PayoutSeen of Found: PayoutSight list
    | PayoutReported of Sight: PayoutSight
    | LookUpFailed
    | RetryRequested

type PayoutRefusal =
    | NotRetryable
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
} with

    member payout.Id = payout.id
    member payout.Seller = payout.seller
    member payout.Account = payout.account
    member payout.Amount = payout.amount
    member payout.Status = payout.status

type PayoutOutcome =
    | Advanced of Next: Payout
    | Unchanged
    | Refused of Why: PayoutRefusal

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
        | PayoutReported { Says = IsPending } -> "payout_pending"
        | PayoutReported { Says = IsInTransit } -> "payout_in_transit"
        | PayoutReported { Says = IsPaid } -> "payout_paid"
        | PayoutReported { Says = IsCanceled } -> "payout_canceled"
        | PayoutReported { Says = HasFailed _ } -> "payout_failed"
        | LookUpFailed -> "look_up_failed"
        | RetryRequested -> "retry_requested"

[<CompilationRepresentation(CompilationRepresentationFlags.ModuleSuffix)>]
module Payout =
    let request id seller account amount (now: DateTimeOffset) = {
        id = id
        seller = seller
        account = account
        amount = amount
        status = Requested(Attempt.startAt now Due)
    }

    let private key payout attempt =
        IdempotencyKey.Make("payout", payout.id.Value.ToString "D", attempt.Operation.Generation)

    let private becomes status payout = Advanced { payout with status = status }

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
        | IsCanceled -> Canceled sight.StripeId
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
        | Hindered hindrance ->
            payout |> becomes (Requested(Attempt.hindered rules.Trying now hindrance attempt))
        | AskAgain _ when Attempt.isExhausted rules.Trying attempt ->
            payout |> becomes (Requested(Attempt.lookingUp now attempt))
        | AskAgain _ ->
            let attempt = Attempt.spent rules.Trying now payout.id.Value ForAnswer attempt
            payout |> becomes (Requested attempt)
        | LookUpFirst -> payout |> becomes (Requested(Attempt.lookingUp now attempt))
        | Gone when Operation.isReplay attempt.Operation ->
            payout |> becomes (Requested(Attempt.lookingUp now attempt))
        | LookUpRefusal _
        | Gone -> payout |> becomes (Requested(Attempt.confirming now attempt))

    let private seen rules now attempt found payout =
        match found with
        | [ sight ] -> payout |> becomes (known rules now sight)
        | _ :: _ :: _ -> payout |> becomes (InDoubt attempt)
        | [] when attempt.Move.IsProve ->
            payout |> becomes (Requested(Attempt.again Due now (Attempt.renewed attempt)))
        | [] when Attempt.isExhausted rules.Trying attempt ->
            payout |> becomes (InDoubt(Attempt.givenUp attempt))
        | [] ->
            let attempt = Attempt.absent now attempt
            payout |> becomes (Requested(Attempt.spent rules.Trying now payout.id.Value ForRetry attempt))

    /// The whole life of a payout: every status meets every signal.
    let apply rules now signal payout =
        match payout.status, signal with
        | Requested attempt, PayoutAnswered answer -> payout |> answered rules now attempt answer
        | Requested attempt, PayoutSeen found -> payout |> seen rules now attempt found
        | (Requested _ | InDoubt _), PayoutReported sight -> payout |> becomes (known rules now sight)
        | Requested attempt, LookUpFailed ->
            payout |> becomes (Requested(Attempt.postponed rules.Trying now attempt))
        | Requested _, RetryRequested -> Refused NotRetryable

        | InDoubt _, (PayoutAnswered(Accepted sight) | PayoutSeen [ sight ]) ->
            payout |> becomes (known rules now sight)
        | InDoubt _, (PayoutAnswered _ | PayoutSeen _ | LookUpFailed) -> Unchanged
        | InDoubt attempt, RetryRequested -> payout |> becomes (Requested(Attempt.restarted now attempt))

        | (Pending(id, _) | InTransit(id, _) | Paid id | Canceled id | Failed(Some id, _)),
          (PayoutAnswered(Accepted sight) | PayoutSeen [ sight ] | PayoutReported sight) ->
            payout |> heard rules now id sight
        | Failed(None, _), (PayoutAnswered(Accepted sight) | PayoutSeen [ sight ] | PayoutReported sight) ->
            payout |> becomes (known rules now sight)
        | Pending(id, _), LookUpFailed -> payout |> becomes (Pending(id, now + rules.AskEvery))
        | InTransit(id, _), LookUpFailed -> payout |> becomes (InTransit(id, now + rules.AskEvery))
        | (Pending _ | InTransit _ | Paid _ | Canceled _ | Failed _), (PayoutAnswered _ | PayoutSeen _) ->
            Unchanged
        | (Paid _ | Canceled _ | Failed _), LookUpFailed -> Unchanged
        | (Pending _ | InTransit _ | Paid _ | Canceled _ | Failed _), RetryRequested -> Refused NotRetryable

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
