module Veza.Domain.Tests.TransferTests

open System
open Expecto
open Veza.Domain
open Veza.Domain.Transfers
open Veza.Domain.Tests.Histories
open Veza.Domain.Tests.TransferStories

[<Tests>]
let sending =
    testList "transfer, on its way" [
        test "completes with Stripe's id" { [ Taken; accepted ] |> becomes "completed" }
        test "fails on a refusal and takes a new key" {
            [ Taken; refused OtherCause ] |> becomes "failed"
            Expect.notEqual
                (sentAs [ Taken; refused OtherCause; Taken ])
                (sentAs [ Taken ])
                "the old key repeats the refusal"
        }
        test "keeps its key after a doubt" {
            [ Taken; noAnswer ] |> becomes "pending"
            Expect.equal (sentAs [ Taken; noAnswer; Taken ]) (sentAs [ Taken ]) "a new key could pay twice"
        }
        test "keeps its key after a crash between send and save" {
            Expect.equal
                (sentAs [ Taken; Passes 5; Taken ])
                (sentAs [ Taken ])
                "the send was written down first"
        }
        test "waits without spending a retry when the platform's balance is empty" {
            let attempt = attemptAfter [ Taken; refused PlatformFunds ]
            Expect.equal (attempt.Retries, attempt.Waiting) (0, ForPlatformFunds) "somebody must top it up"
        }
        test "gives up after its retries" {
            List.replicate 4 [ Taken; refused OtherCause ] |> List.concat |> becomes "permanently_failed"
        }
        test "looks once more before it gives up on a doubt" {
            let doubtful = List.replicate 4 [ Taken; noAnswer ] |> List.concat
            becomes "pending" doubtful
            Expect.equal (attemptAfter doubtful).Move LookUp "one last look-up"
            doubtful @ [ Taken; Hears(TransferSeen [ tr 1 ]) ] |> becomes "completed"
            doubtful @ [ Taken; Hears(TransferSeen []) ] |> becomes "permanently_failed"
        }
        test "more than one match is for a person" {
            [ Taken; noAnswer; Hears(TransferSeen [ tr 1; tr 2 ]) ] |> becomes "permanently_failed"
        }
        test "an operator's retry looks before it sends what is in doubt" {
            let doubtful = List.replicate 4 [ Taken; noAnswer ] |> List.concat
            let retried = doubtful @ [ Hears(TransferSeen []); Hears RetryRequested ]
            becomes "pending" retried
            Expect.equal (attemptAfter retried).Move Prove "money may have moved"
            let anew = retried @ [ Taken; Hears(TransferSeen []); Taken ]
            Expect.notEqual (sentAs anew) (sentAs [ Taken ]) "proven absent by hand: a new key"
        }
        test "a key a day old is not sent" {
            Expect.equal
                (attemptAfter [ Taken; noAnswer; Passes(24 * 60); Taken ]).Move
                LookUp
                "a forgotten key pays twice"
        }
    ]

[<Tests>]
let refunding =
    testList "transfer, refunded" [
        testList "before it was sent" [
            test "in full, is cancelled" { [ refunded 1 100_00L ] |> becomes "cancelled" }
            test "in part, shrinks" {
                let story = tell [ refunded 1 30_00L ]
                Expect.equal story.Transfer.Sendable 70_00L "only the rest is sent"
                Expect.equal story.Movements [ ClaimWithheld 30_00L ] "nothing left the platform"
            }
        ]
        testList "while in doubt" [
            test "waits for the transfer's outcome" {
                [ Taken; refunded 1 30_00L ] |> becomes "pending"
                [ Taken; refunded 1 30_00L; accepted ] |> becomes "reversal_pending"
            }
            test "is withheld if Stripe refuses" {
                [ Taken; refunded 1 100_00L; refused OtherCause ] |> becomes "cancelled"
            }
        ]
        testList "after it was sent" [
            test "in full, is reversed once Stripe confirms" {
                [ Taken; accepted; refunded 1 100_00L ] |> becomes "reversal_pending"
                [ Taken; accepted; refunded 1 100_00L; Taken; reversed 1 ] |> becomes "reversed"
            }
            test "in part, goes back to completed" {
                [ Taken; accepted; refunded 1 40_00L; Taken; reversed 1 ] |> becomes "completed"
            }
            test "twice, one after the other" {
                let story = [ Taken; accepted; refunded 1 40_00L; refunded 2 60_00L; Taken; reversed 1 ]
                becomes "reversal_pending" story
                story @ [ Taken; reversed 2 ] |> becomes "reversed"
            }
            test "the same refund heard twice is one claim" {
                let once = tell [ Taken; accepted; refunded 1 40_00L ]
                Expect.equal (live once (refunded 1 40_00L)) once "nothing new"
            }
            test "never gives back more than is left" {
                let story = tell [ Taken; accepted; refunded 1 90_00L ]
                let outcome = Transfer.apply rules now (RefundSucceeded(claim 2 10_01L)) story.Transfer
                Expect.equal outcome (Refused MoreThanIsLeft) "a cent too much"
            }
        ]
        testList "while its reversal is under way" [
            test "an empty seller balance waits and spends no retry" {
                let attempt = attemptAfter (due @ [ notReversed SellerFunds ])
                Expect.equal
                    (attempt.Retries, attempt.Waiting)
                    (0, ForSellerFunds)
                    "it waits on its own clock"
                Expect.equal attempt.DueAt (now + rules.FundsInterval) "an hour"
                Expect.equal attempt.Operation.Generation 1 "the old key would repeat the refusal for a day"
            }
            test "a rate limit and an open circuit spend no retry" {
                for hindrance in
                    [ RateLimited; CircuitOpen; KeyInUse; ObjectLocked; Unauthorized; Unreachable ] do
                    let attempt = attemptAfter (due @ [ Hears(ReversalAnswered(NotExecuted(hindrance, ""))) ])
                    Expect.equal (attempt.Retries, attempt.Waiting) (0, ForProvider) "nothing happened"
            }
            test "a server error spends one and keeps the key" {
                let attempt = attemptAfter (due @ [ Hears(ReversalAnswered(InDoubt ServerError)) ])
                Expect.equal (attempt.Retries, attempt.Operation.Generation) (1, 0) "it may have happened"
                Expect.isGreaterThanOrEqual attempt.DueAt (now + policy.Base) "not before its backoff"
            }
            test "already reversed by us is reversed" {
                due
                @ [ Hears(ReversalAnswered(Duplicate("already", false))); Taken; seen (Some(trr 9)) 100_00L ]
                |> becomes "reversed"
            }
            test "already reversed by somebody else is adopted" {
                let story =
                    tell (
                        due
                        @ [ Hears(ReversalAnswered(Duplicate("already", false))); Taken; seen None 100_00L ]
                    )
                Expect.equal (TransferWords.status story.Transfer.Status) "reversed" "the money is back"
                Expect.equal
                    story.Transfer.Settled
                    [ { Claim = claim 1 100_00L; Settling = Returned(None, 100_00L); Kept = None } ]
                    "and recorded as adopted"
            }
            test "reversed in part by somebody else: the rest is still taken" {
                let story =
                    tell (
                        due @ [ Hears(ReversalAnswered(Duplicate("more", false))); Taken; seen None 30_00L ]
                    )
                match Transfer.duty story.Transfer with
                | Some(SendReversal(_, amount, _)) -> Expect.equal amount 70_00L "what is not covered"
                | duty -> failtest $"{duty}"
            }
            test "a missing transfer is for a person" {
                due @ [ Hears(ReversalAnswered Missing) ] |> becomes "permanently_failed"
            }
            test "written off, the claim is given up" {
                let story = tell (due @ [ Hears(ReversalAnswered Missing); Hears WriteOffRequested ])
                Expect.equal (TransferWords.status story.Transfer.Status) "written_off" ""
                Expect.contains story.Movements (ClaimForgiven 100_00L) "the platform bears it"
            }
            test "an answer to an earlier question is not taken for the present one's" {
                let asked = Option.get (Transfer.duty (tell due).Transfer)
                let story = tell (due @ [ notReversed OtherCause; Taken ])
                let hears signal = Transfer.hear rules story.At asked signal story.Transfer
                let late = ReversalAnswered(Denied(because OtherCause, false))
                Expect.equal (hears late) Unchanged "the key has changed"
                Expect.equal
                    (hears (ReversalAnswered(Accepted(trr 9))))
                    (Refused AnotherReversalExists)
                    "money moved that the present question does not explain"
            }
            test "a reversal's late yes does not settle the next claim" {
                let asked = Option.get (Transfer.duty (tell due).Transfer)
                let story =
                    tell [ Taken; accepted; refunded 1 40_00L; refunded 2 60_00L; Taken; reversed 1; Taken ]
                let late =
                    Transfer.hear rules story.At asked (ReversalAnswered(Accepted(trr 1))) story.Transfer
                Expect.equal late Unchanged "it was heard before"
            }
        ]
    ]

/// What the seller has, by the movements.
let private held movements =
    movements
    |> List.sumBy (fun movement ->
        match movement with
        | MoneySent amount -> amount
        | MoneyReturned amount
        | ReturnedUnasked amount -> -amount
        | ClaimWithheld _
        | ClaimForgiven _
        | SettledOutside _
        | ClaimRestored _
        | CompensationOwed _
        | ForgivenessUndone _ -> 0L)

/// What others took back and no settled claim accounts for.
let private inAdvance (transfer: Transfer) =
    transfer.Foreign + (transfer.UnderWay |> Option.map _.Adopted |> Option.defaultValue 0L)

[<Tests>]
let laws =
    testList "transfer, whatever happens" [
        property "a row brings the same transfer back" (fun (history: Step list) ->
            let transfer = (tell history).Transfer
            TransferRow.ofRow (TransferRow.toRow transfer) (TransferRow.reversals transfer) = Ok transfer)

        property "money leaves at most once" (fun (history: Step list) ->
            (tell history).Movements |> List.filter _.IsMoneySent |> List.length <= 1)

        property "no more comes back than left" (fun (history: Step list) ->
            held (tell history).Movements >= 0L)

        property "what the seller has is what the transfer says" (fun (history: Step list) ->
            let story = tell history
            let sent = story.Movements |> List.exists _.IsMoneySent
            held story.Movements =
                (if sent then
                     story.Transfer.Sendable - story.Transfer.Returned - inAdvance story.Transfer
                 else
                     0L))

        property "claims never exceed the amount" (fun (history: Step list) ->
            (tell history).Transfer.Unclaimed >= 0L)

        property "no history changes the amount" (fun (history: Step list) ->
            (tell history).Transfer.Amount = owed.Amount)

        property "a reversal is never asked for before the transfer is known" (fun (history: Step list) ->
            let story = tell history
            match Transfer.duty story.Transfer with
            | Some(SendReversal _ | FindReversal _) -> story.Movements |> List.exists _.IsMoneySent
            | Some(SendTransfer _ | FindTransfer _ | ReportMissingId)
            | None -> true)

        property "no retry count passes its limit" (fun (history: Step list) ->
            (tell history).Transfer.Attempt
            |> Option.forall (fun attempt -> attempt.Retries <= policy.MaxRetries))

        property "whatever waits has a time" (fun (history: Step list) ->
            let transfer = (tell history).Transfer
            (Transfer.duty transfer).IsNone || transfer.Attempt.IsSome)

        property "a fact heard twice is heard once" (fun (history: Step list) (fact: TransferSignal) ->
            let isFact =
                match fact with
                | RefundSucceeded _
                | ClaimResized _
                | TransferAnswered(Accepted _) -> true
                | TransferAnswered _
                | TransferSeen _
                | ReversalAnswered _
                | ReversalSeen _
                | ReversalsNoticed _
                | FundsArrived
                | LookUpFailed _
                | StripeIdMissing
                | RetryRequested
                | WriteOffRequested
                | RedirectRequested _ -> false
            let once = live (tell history) (Hears fact)
            not isFact || live once (Hears fact) = once)

        property "a definite yes heard twice is heard once" (fun (history: Step list) ->
            let story = tell history
            let once = live story accepted
            live once accepted = once)

        property "the same key always means the same request" (fun (history: Step list) ->
            let requests =
                List.scan live (tell []) history
                |> List.filter (fun story ->
                    story.Transfer.Attempt |> Option.exists (fun attempt -> attempt.Waiting = InFlight))
                |> List.choose (fun story ->
                    match Transfer.duty story.Transfer with
                    | Some(SendTransfer(amount, key)) ->
                        Some(key.Value, (amount, Some story.Transfer.Account))
                    | Some(SendReversal(_, amount, key)) -> Some(key.Value, (amount, None))
                    | Some(FindTransfer _)
                    | Some(FindReversal _)
                    | Some ReportMissingId
                    | None -> None)
                |> List.distinct
            List.length requests = List.length (List.distinctBy fst requests))
    ]
