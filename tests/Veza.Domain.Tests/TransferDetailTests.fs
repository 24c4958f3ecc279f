/// How long a transfer waits and under which key it asks; what it makes of contradictions, and of claims that shrink.
module Veza.Domain.Tests.TransferDetailTests

open System
open Expecto
open Veza.Domain
open Veza.Domain.Transfers
open Veza.Domain.Tests.Histories
open Veza.Domain.Tests.TransferStories

/// Every wait has its length, every change of the request its new key: the table says where to, these say when.
[<Tests>]
let waiting =
    testList "transfer, how long and under which key" [
        test "a hold is a hold" {
            let held =
                Transfer.schedule
                    owed.Id
                    owed.Order
                    owed.Seller
                    owed.Account
                    owed.Amount
                    now
                    (TimeSpan.FromDays 7.)
            let attempt = Option.get held.Attempt
            Expect.equal (attempt.Waiting, attempt.DueAt) (OnHold, now.AddDays 7.) ""
            let attempt = Option.get owed.Attempt
            Expect.equal (attempt.Waiting, attempt.DueAt) (Due, now) "without one it is due"
        }
        test "what did not execute waits a moment" {
            Expect.equal (waits [ Taken; hindered ]) (ForProvider, policy.Base) ""
            Expect.equal
                (waits (due @ [ Hears(ReversalAnswered(NotExecuted(CircuitOpen, ""))) ]))
                (ForProvider, policy.Base)
                ""
        }
        test "a refusal waits its backoff, in its own state" {
            Expect.equal (waits [ Taken; refused OtherCause ]) (ForRetry, spent 0) ""
            Expect.equal
                (waits [ Taken; refused OtherCause; Taken; refused OtherCause ])
                (ForRetry, spent 1)
                "longer"
            Expect.equal (waits (due @ [ notReversed OtherCause ])) (ForRetry, spent 0) ""
        }
        test "a reversal gives up after its retries, and not before" {
            let refusals times = due @ List.concat (List.replicate times [ notReversed OtherCause; Taken ])
            becomes "reversal_pending" (refusals policy.MaxRetries)
            becomes "permanently_failed" (refusals (policy.MaxRetries + 1))
            let afterwards = refusals (policy.MaxRetries + 1) @ [ Hears RetryRequested ]
            Expect.equal (attemptAfter afterwards).Retries 0 "an operator's fresh start"
            becomes "reversal_pending" afterwards
        }
        test "an empty seller balance waits for ever" {
            becomes
                "reversal_pending"
                (due @ List.concat (List.replicate 50 [ notReversed SellerFunds; Taken ]))
        }
        test "an empty platform waits for its own clock" {
            becomes "failed" [ Taken; refused PlatformFunds ]
            Expect.equal (waits [ Taken; refused PlatformFunds ]) (ForPlatformFunds, rules.FundsInterval) ""
        }
        test "a doubt waits its backoff" {
            Expect.equal (waits [ Taken; noAnswer ]) (ForAnswer, spent 0) ""
            Expect.equal (waits (due @ [ Hears(ReversalAnswered(InDoubt NoAnswer)) ])) (ForAnswer, spent 0) ""
        }
        test "a look-up is made at once, and one that failed comes again later" {
            let stored = Hears(TransferAnswered(InDoubt StoredServerError))
            Expect.equal (waits [ Taken; stored ]) (ForAnswer, TimeSpan.Zero) "Stripe's books know"
            becomes "pending" [ Taken; stored ]
            Expect.equal (attemptAfter [ Taken; stored ]).Move LookUp ""
            Expect.equal
                (waits [ Taken; stored; Taken; Hears(LookUpFailed noWord) ])
                (ForProvider, policy.Base)
                ""
            let duplicate = due @ [ Hears(ReversalAnswered(Duplicate("seen", false))); Taken ]
            Expect.equal (waits (duplicate @ [ Hears(LookUpFailed noWord) ])) (ForProvider, policy.Base) ""
        }
        test "what the key can no longer tell is looked up, reversals too" {
            for answer, move in
                [
                    Duplicate("seen", false), Confirm
                    KeyReused "reused", Confirm
                    InDoubt StoredServerError, LookUp
                ] do
                Expect.equal (attemptAfter (due @ [ Hears(ReversalAnswered answer) ])).Move move $"{answer}"
                Expect.equal
                    (waits (due @ [ Hears(ReversalAnswered answer) ]))
                    (ForAnswer, TimeSpan.Zero)
                    "at once"
            let doubts = List.concat (List.replicate 4 [ Hears(ReversalAnswered(InDoubt NoAnswer)); Taken ])
            Expect.equal (attemptAfter (due @ doubts)).Move LookUp "one last look-up"
            becomes "permanently_failed" (due @ doubts @ [ seen None 0L ])
            becomes "reversed" (due @ doubts @ [ seen (Some(trr 3)) 100_00L ])
        }
        test "what was not found is sent again under its key while that lives, and under a new one after" {
            let lookedUp = [ Taken; Hears(TransferAnswered(InDoubt StoredServerError)); Taken; notFound ]
            becomes "pending" lookedUp
            Expect.equal (attemptAfter lookedUp).Move Send ""
            Expect.equal (sentAs lookedUp) (sentAs [ Taken ]) "the key lives"
            let old = [ Taken; noAnswer; Passes(24 * 60); Taken; notFound ]
            Expect.notEqual (sentAs old) (sentAs [ Taken ]) "a forgotten key pays twice"
            let seenNone = due @ [ Hears(ReversalAnswered(InDoubt StoredServerError)); Taken; seen None 0L ]
            Expect.equal (sentAs seenNone) (sentAs due) "the reversal's key lives"
            let refused = due @ [ Hears(ReversalAnswered(Duplicate("seen", false))); Taken; seen None 0L ]
            Expect.notEqual (sentAs refused) (sentAs due) "a refusal is stored under the key"
            let late =
                due @ [ Hears(ReversalAnswered(InDoubt NoAnswer)); Passes(24 * 60); Taken; seen None 0L ]
            Expect.notEqual (sentAs late) (sentAs due) "and then it does not"
        }
        test "another amount is another request" {
            for before in
                [
                    [ Taken; hindered ]
                    [ Taken; refused OtherCause ]
                    List.concat (List.replicate 4 [ Taken; refused OtherCause ])
                ] do
                let key steps = (Option.get (tell steps).Transfer.Attempt).Operation.Generation
                Expect.isGreaterThan (key (before @ [ refunded 1 40_00L ])) (key before) "it shrank"
                let grown = before @ [ refunded 1 40_00L; Hears(ClaimResized(claim 1 0L)) ]
                Expect.isGreaterThan (key grown) (key (before @ [ refunded 1 40_00L ])) "it grew again"
        }
        test "a key says what it is for" {
            let id = owed.Id.Value.ToString "D"
            let refund = (RefundId(guid 1)).Value.ToString "D"
            Expect.equal (sentAs [ Taken ]) $"transfer:{id}:0" ""
            Expect.equal (sentAs due) $"reverse:{id}:{refund}:0" ""
            Expect.equal (sentAs (due @ [ notReversed OtherCause ])) $"reverse:{id}:{refund}:1" ""
        }
        test "a cent too much is compensated" {
            let taken = due @ [ Hears(ClaimResized(claim 1 99_99L)); reversed 1 ]
            Expect.contains (tell taken).Movements (CompensationOwed(claim 1 1L, 99_99L)) "one cent"
        }
    ]

/// What changes nothing is either old news or a contradiction that a person must see; the difference is money.
[<Tests>]
let contradictions =
    let exhausted = List.concat (List.replicate 4 [ Taken; refused OtherCause ])
    let completed = [ Taken; accepted ]
    let reversedAll = due @ [ reversed 1 ]
    let cancelled = [ refunded 1 100_00L ]
    let givenUp = due @ [ Hears(ReversalAnswered Missing) ]
    let yes number = TransferAnswered(Accepted(tr number))
    let found number = TransferSeen [ tr number ]
    let back number = ReversalAnswered(Accepted(trr number))
    let sight number = ReversalSeen { Ours = Some(trr number); AmountReversed = 100_00L; Keyless = [] }
    let no = ReversalAnswered(Denied(because OtherCause, false))
    let listed = ReversalSeen { Ours = None; AmountReversed = 0L; Keyless = [] }
    let nothingNew = Unchanged
    let contradicts why = Refused why

    let rows = [
        "pending", [], [ back 1; sight 1; no; listed; StripeIdMissing ], contradicts NothingSent
        "pending", [], [ RetryRequested; WriteOffRequested ], contradicts NotRetryable
        "failed", [ Taken; refused OtherCause ], [ WriteOffRequested ], contradicts NotRetryable
        "completed",
        completed,
        [ yes 1; found 1; TransferSeen []; no; listed; LookUpFailed noWord; StripeIdMissing ],
        nothingNew
        "completed", completed, [ yes 2; found 2 ], contradicts AnotherTransferExists
        "completed", completed, [ back 1; sight 1 ], contradicts AnotherReversalExists
        "completed", completed, [ RetryRequested; WriteOffRequested ], contradicts NotRetryable
        "completed", completed, [ RefundSucceeded(claim 1 100_01L) ], contradicts MoreThanIsLeft
        "reversal_pending", due, [ yes 1; found 1; TransferSeen []; TransferAnswered Missing ], nothingNew
        "reversal_pending", due, [ yes 2; found 2 ], contradicts AnotherTransferExists
        "reversal_pending", due, [ RetryRequested; WriteOffRequested ], contradicts NotRetryable
        "reversed",
        reversedAll,
        [
            yes 1
            found 1
            TransferSeen []
            back 1
            sight 1
            no
            listed
            LookUpFailed noWord
            StripeIdMissing
        ],
        nothingNew
        "reversed", reversedAll, [ yes 2; found 2 ], contradicts AnotherTransferExists
        "reversed", reversedAll, [ back 2; sight 2 ], contradicts AnotherReversalExists
        "reversed", reversedAll, [ RefundSucceeded(claim 1 100_00L) ], nothingNew
        "reversed", reversedAll, [ RefundSucceeded(claim 2 1L) ], contradicts MoreThanIsLeft
        "reversed", reversedAll, [ RetryRequested; WriteOffRequested ], contradicts NotRetryable
        "cancelled", cancelled, [ yes 1; found 1; TransferSeen [ tr 1; tr 2 ] ], contradicts MovedAfterAll
        "cancelled",
        cancelled,
        [ TransferSeen []; TransferAnswered Missing; LookUpFailed noWord; RefundSucceeded(claim 1 1L) ],
        nothingNew
        "cancelled", cancelled, [ back 1; listed; StripeIdMissing ], contradicts NothingSent
        "cancelled", cancelled, [ RetryRequested; WriteOffRequested ], contradicts NotRetryable
        "permanently_failed, sending",
        exhausted,
        [ TransferSeen []; TransferAnswered Missing; LookUpFailed noWord ],
        nothingNew
        "permanently_failed, sending", exhausted, [ back 1; listed; StripeIdMissing ], contradicts NothingSent
        "permanently_failed, reversing",
        givenUp,
        [ no; listed; yes 1; found 1; TransferSeen []; LookUpFailed noWord; StripeIdMissing ],
        nothingNew
        "permanently_failed, reversing", givenUp, [ yes 2; found 2 ], contradicts AnotherTransferExists
        "written_off, unsent",
        exhausted @ [ Hears WriteOffRequested ],
        [ yes 1; found 1 ],
        contradicts MovedAfterAll
        "written_off, unsent",
        exhausted @ [ Hears WriteOffRequested ],
        [ TransferSeen []; no; listed; LookUpFailed noWord; StripeIdMissing ],
        nothingNew
        "written_off",
        givenUp @ [ Hears WriteOffRequested ],
        [ yes 1; found 1; TransferSeen []; no; listed; LookUpFailed noWord ],
        nothingNew
        "written_off",
        givenUp @ [ Hears WriteOffRequested ],
        [ yes 2; found 2 ],
        contradicts AnotherTransferExists
        "written_off",
        givenUp @ [ Hears WriteOffRequested ],
        [ back 1; sight 1 ],
        contradicts AnotherReversalExists
        "written_off",
        givenUp @ [ Hears WriteOffRequested ],
        [ RetryRequested; WriteOffRequested ],
        contradicts NotRetryable
    ]

    testList "transfer, told what it knows or cannot be" [
        for status, steps, signals, expected in rows do
            for signal in signals do
                test $"{status} hears %A{signal}" {
                    let story = tell steps
                    Expect.equal (Transfer.apply rules story.At signal story.Transfer) expected ""
                }
        test "an operator may hurry what waits for the seller's balance, and nothing else that waits" {
            let empty = due @ [ notReversed SellerFunds ]
            Expect.equal (waits (empty @ [ Hears RetryRequested ])) (Due, TimeSpan.Zero) ""
            let refusedOnce = due @ [ notReversed OtherCause ]
            let story = tell refusedOnce
            Expect.equal
                (Transfer.apply rules story.At RetryRequested story.Transfer)
                (contradicts NotRetryable)
                "it comes by itself"
        }
        test "a cent that somebody reversed by hand is adopted" {
            let cent = [
                Taken
                accepted
                refunded 1 1L
                Taken
                Hears(ReversalAnswered(Duplicate("x", false)))
                Taken
            ]
            Expect.equal (tell (cent @ [ seen None 1L ])).Transfer.Returned 1L ""
            let rows = TransferRow.reversals (tell (cent @ [ seen None 1L ])).Transfer
            Expect.equal [ for row in rows -> row.AdoptedAmount, row.Kept.HasValue ] [ 1L, false ] ""
        }
        test "its rows say what was withheld, given up and let go" {
            let row steps =
                let row = TransferRow.reversals (tell steps).Transfer |> List.exactlyOne
                row.Status, row.AdoptedAmount, row.Amount
            Expect.equal (row [ refunded 1 40_00L ]) ("withheld", 0L, 40_00L) ""
            Expect.equal (row (givenUp @ [ Hears WriteOffRequested ])) ("written_off", 0L, 100_00L) ""
            Expect.equal
                (row [ refunded 1 40_00L; Hears(ClaimResized(claim 1 0L)) ])
                ("cancelled", 0L, 40_00L)
                ""
            Expect.equal (row due) ("pending", 0L, 100_00L) ""
            Expect.equal
                (row [ Taken; refunded 1 40_00L ])
                ("pending", 0L, 40_00L)
                "it waits for the transfer's outcome"
        }
        test "its rows say which claim has failed and which wait" {
            let rows = TransferRow.reversals (tell (givenUp @ [ refunded 2 0L ])).Transfer
            Expect.equal [ for row in rows -> row.Status ] [ "failed"; "pending" ] ""
            let rows =
                TransferRow.reversals
                    (tell [ Taken; accepted; refunded 1 40_00L; refunded 2 60_00L; Taken; reversed 1 ])
                        .Transfer
            Expect.equal [ for row in rows -> row.Status, row.Position ] [ "reversed", 0; "pending", 1 ] ""
        }
    ]

/// Every shape a claim can have when its refund turns out to have failed.
[<Tests>]
let resizing =
    let resized number amount = Hears(ClaimResized(claim number amount))
    let settled steps = [
        for settled in (tell steps).Transfer.Settled -> settled.Claim.Amount, settled.Settling, settled.Kept
    ]
    let movedBy steps more = (tell (steps @ more)).Movements |> List.skip (tell steps).Movements.Length
    let refusedWith why steps signal =
        let story = tell steps
        Expect.equal (Transfer.apply rules story.At signal story.Transfer) (Refused why) ""
    let unchanged steps signals =
        for signal in signals do
            let story = tell steps
            Expect.equal (Transfer.apply rules story.At signal story.Transfer) Unchanged "nothing new"

    testList "transfer, when refunds account for less of a claim" [
        test "withheld and unsent, the transfer grows again" {
            let cancelledIn = [ refunded 1 40_00L ]
            Expect.equal (movedBy cancelledIn [ resized 1 10_00L ]) [ ClaimRestored 30_00L ] ""
            Expect.equal (tell (cancelledIn @ [ resized 1 10_00L ])).Transfer.Sendable 90_00L ""
            Expect.equal (settled (cancelledIn @ [ resized 1 0L ])) [ 40_00L, Dropped, None ] ""
            becomes "failed" [ Taken; refused OtherCause; refunded 1 40_00L; resized 1 0L ]
            becomes
                "permanently_failed"
                (List.concat (List.replicate 4 [ Taken; refused OtherCause ])
                 @ [ refunded 1 40_00L; resized 1 0L ])
        }
        test "withheld and cancelled, another transfer makes it good" {
            let cancelled = [ refunded 1 100_00L ]
            Expect.equal (movedBy cancelled [ resized 1 0L ]) [ CompensationOwed(claim 1 100_00L, 0L) ] ""
            becomes "cancelled" (cancelled @ [ resized 1 0L ])
        }
        test "withheld and the rest on its way, another transfer makes it good" {
            let sent = [ refunded 1 40_00L; Taken ]
            Expect.equal (movedBy sent [ resized 1 0L ]) [ CompensationOwed(claim 1 40_00L, 0L) ] ""
            Expect.equal (settled (sent @ [ resized 1 0L ])) [ 40_00L, Withheld, Some 0L ] ""
        }
        test "waiting behind another, it shrinks or goes" {
            let queued = [ Taken; accepted; refunded 1 40_00L; refunded 2 60_00L ]
            Expect.equal (tell (queued @ [ resized 2 20_00L ])).Transfer.Queue [ claim 2 20_00L ] ""
            Expect.isEmpty (tell (queued @ [ resized 2 0L ])).Transfer.Queue ""
            Expect.equal (settled (queued @ [ resized 2 0L ])) [ 60_00L, Dropped, None ] ""
            refusedWith MoreThanIsLeft queued (ClaimResized(claim 2 61_00L))
            unchanged queued [ ClaimResized(claim 2 60_00L) ]
        }
        test "due and unsent, it is let go, or asked for in part under a new key" {
            let asked = [ Taken; accepted; refunded 1 40_00L ]
            becomes "completed" (asked @ [ resized 1 0L ])
            becomes "reversal_pending" (asked @ [ resized 1 10_00L ])
            match Transfer.duty (tell (asked @ [ resized 1 10_00L ])).Transfer with
            | Some(SendReversal(_, amount, key)) ->
                Expect.equal amount 10_00L ""
                Expect.stringEnds key.Value ":1" "another amount is another request"
            | duty -> failtest $"{duty}"
            becomes "reversal_pending" (asked @ [ refunded 2 5_00L; resized 1 0L ])
        }
        test "on its way, it waits for Stripe's word" {
            let sent = due @ [ resized 1 30_00L ]
            becomes "reversal_pending" sent
            Expect.equal (tell sent).Transfer.Undoing 70_00L ""
            Expect.equal
                (movedBy sent [ reversed 1 ])
                [ MoneyReturned 100_00L; CompensationOwed(claim 1 70_00L, 30_00L) ]
                "it came back"
            becomes "reversed" (sent @ [ reversed 1 ])
            let declined = sent @ [ notReversed OtherCause ]
            becomes "reversal_pending" declined
            Expect.equal (tell declined).Transfer.ToTake [ claim 1 30_00L ] "only that is asked for now"
            becomes "completed" (due @ [ resized 1 0L; notReversed OtherCause ])
            becomes
                "completed"
                (due @ [ resized 1 0L; Hears(ReversalAnswered(NotExecuted(RateLimited, ""))) ])
            becomes "reversal_pending" (due @ [ resized 1 0L; Hears(ReversalAnswered(InDoubt NoAnswer)) ])
            Expect.equal
                (tell (sent @ [ resized 1 100_00L ])).Transfer.Undoing
                0L
                "a later refund takes it up"
            refusedWith MoreThanIsLeft due (ClaimResized(claim 1 100_01L))
            unchanged sent [ ClaimResized(claim 1 30_00L) ]
        }
        test "on its way and not found, it is let go only when its key is old or a person says so" {
            let doubtful = due @ [ resized 1 0L; Hears(ReversalAnswered(InDoubt StoredServerError)); Taken ]
            becomes "reversal_pending" (doubtful @ [ seen None 0L ])
            Expect.equal (sentAs (doubtful @ [ seen None 0L ])) (sentAs due) "the same key tells for certain"
            becomes "reversal_pending" (doubtful @ [ seen None 100_00L ])
            becomes "completed" (doubtful @ [ Passes(24 * 60); Taken; seen None 0L ])
        }
        test "after it came back, another transfer makes it good, again and again" {
            let over = due @ [ reversed 1 ]
            Expect.equal (movedBy over [ resized 1 60_00L ]) [ CompensationOwed(claim 1 40_00L, 60_00L) ] ""
            Expect.equal
                (movedBy (over @ [ resized 1 60_00L ]) [ resized 1 0L ])
                [ CompensationOwed(claim 1 60_00L, 0L) ]
                ""
            unchanged (over @ [ resized 1 60_00L ]) [ ClaimResized(claim 1 60_00L) ]
            refusedWith MoreThanIsLeft (over @ [ resized 1 60_00L ]) (ClaimResized(claim 1 70_00L))
            Expect.equal (tell (over @ [ resized 1 60_00L ])).Transfer.Claims [ claim 1 60_00L ] ""
        }
        test "given up before, so much is no loss any more" {
            let lost = due @ [ Hears(ReversalAnswered Missing); Hears WriteOffRequested ]
            Expect.equal (movedBy lost [ resized 1 30_00L ]) [ ForgivenessUndone 70_00L ] ""
            becomes "written_off" (lost @ [ resized 1 30_00L ])
            becomes "completed" (lost @ [ resized 1 0L ])
        }
        test "undone and then written off, nothing is forgiven that nobody asks for" {
            let stuck = due @ [ resized 1 0L; Hears(ReversalAnswered Missing) ]
            Expect.isEmpty (movedBy stuck [ Hears WriteOffRequested ]) ""
            Expect.equal (settled (stuck @ [ Hears WriteOffRequested ])) [ 100_00L, Dropped, None ] ""
        }
        test "covered by somebody's reversal by hand, it is settled by that" {
            let partly = due @ [ Hears(ReversalAnswered(Duplicate("more", false))); Taken; seen None 30_00L ]
            Expect.isEmpty (movedBy partly [ resized 1 20_00L ]) "it was posted when it was seen"
            becomes "completed" (partly @ [ resized 1 30_00L ])
            becomes "reversal_pending" (partly @ [ resized 1 30_01L ])
            Expect.equal (settled (partly @ [ resized 1 20_00L ])) [ 20_00L, Returned(None, 20_00L), None ] ""
        }
        test "an unknown claim is nobody's" { unchanged due [ ClaimResized(claim 9 0L) ] }
    ]
