/// What stands on a transfer or a payout that waits: since when, and what the provider last said; and what an operator
/// can do with it.
module Veza.Domain.Tests.WaitingTests

open System
open Expecto
open Veza.Domain
open Veza.Domain.Payouts
open Veza.Domain.Transfers
open Veza.Domain.Tests.Histories
open Veza.Domain.Tests.TransferStories

/// A try that comes to nothing, some time after the last.
type Luckless =
    | Hindered' of Hindrance
    | Doubted of Minutes: int
    | Lost of Minutes: int

    member luckless.Steps =
        match luckless with
        | Hindered' hindrance -> [ Passes 10; Taken; Hears(TransferAnswered(NotExecuted(hindrance, "said"))) ]
        | Doubted minutes -> [ Passes(abs minutes); Taken; noAnswer ]
        | Lost minutes -> [ Passes(abs minutes); Taken; Hears(LookUpFailed noWord) ]

let private refusedBy hindrance = Hears(TransferAnswered(NotExecuted(hindrance, "said")))
let private sinceOf steps = (tell steps).Transfer.Since
let private troubleOf steps =
    (tell steps).Transfer.Trouble |> Option.map (fun refusal -> refusal.Code, refusal.Message)
let private redirect = Hears(RedirectRequested(account "bob"))
let private outcome signal steps = Transfer.apply rules now signal (tell steps).Transfer
let private waitingForSeller = due @ [ notReversed SellerFunds ]

[<Tests>]
let tests =
    testList "waiting" [
        testList "since when" [
            property "no try moves it on" (fun (tries: Luckless list) ->
                let steps = [
                    for luckless in tries do
                        yield! luckless.Steps
                ]
                let story = tell steps
                match story.Transfer.Status with
                | TransferStatus.Pending _
                | TransferStatus.Failed _ -> story.Transfer.Since = Some now
                | PermanentlyFailed _ -> story.Transfer.Since.IsSome
                | TransferStatus.Completed _
                | ReversalPending _
                | Reversed _
                | Cancelled
                | WrittenOff _ -> false)
            test "on hold it waits from the hold's end" {
                let held =
                    Transfer.schedule
                        owed.Id
                        owed.Order
                        owed.Seller
                        owed.Account
                        owed.Amount
                        now
                        (TimeSpan.FromDays 7.)
                Expect.equal held.Since (Some(now.AddDays 7.)) "nobody is late before"
            }
            test "what has come begins anew" {
                let later = Passes 90
                Expect.equal (sinceOf [ later; Taken; accepted ]) None "it waits for nothing"
                Expect.equal
                    (sinceOf [ Taken; accepted; later; refunded 1 10_00L ])
                    (Some(now.AddMinutes 90.))
                    ""
                let missing = [ Taken; later; refused PlatformFunds ]
                Expect.equal (sinceOf missing) (Some(now.AddMinutes 90.)) "it waits for money now"
                let again = missing @ [ Passes 60; Taken; refused PlatformFunds; Passes 60; Taken ]
                Expect.equal (sinceOf again) (Some(now.AddMinutes 90.)) "as it has since"
                Expect.isTrue (tell again).Transfer.LacksFunds "while it is tried, too"
                let arrived = missing @ [ Passes 60; Hears FundsArrived ]
                Expect.equal (sinceOf arrived) (Some(now.AddMinutes 150.)) "and now to be sent"
                let given = List.replicate 4 [ Taken; refused OtherCause ] |> List.concat
                Expect.equal (sinceOf (given @ [ later; Hears RetryRequested ])) (Some(now.AddMinutes 90.)) ""
            }
        ]
        testList "what the provider said last" [
            for hindrance, code in [ Unauthorized, "401"; Forbidden, "403"; RateLimited, "429" ] do
                test $"stands on the transfer: {code}" {
                    Expect.equal (troubleOf [ Taken; refusedBy hindrance ]) (Some(code, "said")) ""
                    let reversing = due @ [ Hears(ReversalAnswered(NotExecuted(hindrance, "said"))) ]
                    Expect.equal (troubleOf reversing) (Some(code, "said")) "on its way back, too"
                    let looking = [ Taken; Hears(TransferAnswered(Answer.InDoubt StoredServerError)); Taken ]
                    let failed = looking @ [ Hears(LookUpFailed(Hindrance.shown hindrance "said")) ]
                    Expect.equal (troubleOf failed) (Some(code, "said")) "and while it is looked up"
                    Expect.equal
                        (troubleOf [ Taken; refusedBy hindrance; Taken; accepted ])
                        None
                        "until it is over"
                }
            test "stands on the payout, and no try moves its time on" {
                let trying = {
                    Trying = policy
                    Lease = TimeSpan.FromMinutes 1.
                    AskEvery = TimeSpan.FromHours 1.
                }
                let payout =
                    Payout.request
                        (PayoutId(guid 8))
                        (seller "ada")
                        (account "ada")
                        { Minor = 100L; Currency = euro }
                        now
                let hear minutes signal payout =
                    match
                        Payout.apply trying (now.AddMinutes minutes) signal (Payout.claimed trying now payout)
                    with
                    | Advanced next -> next
                    | outcome -> failtest $"{outcome}"
                let refused = payout |> hear 20. (PayoutAnswered(NotExecuted(Unauthorized, "said")))
                Expect.equal (refused.Trouble |> Option.map _.Code) (Some "401") ""
                Expect.equal refused.Since (Some now) ""
                Expect.equal (PayoutRow.ofRow (PayoutRow.toRow refused)) (Ok refused) "and is kept"
                let sight = { StripeId = certain (StripePayoutId.Parse "po_1"); Says = PayoutFact.IsPending }
                let known = refused |> hear 30. (PayoutReported sight)
                Expect.equal
                    (known.Trouble, known.Since)
                    (None, Some(now.AddMinutes 90.))
                    "asked about again then"
                let silent =
                    known |> hear 200. (PayoutSignal.LookUpFailed(Hindrance.shown Unauthorized "said"))
                Expect.equal silent.Since known.Since "nobody has heard of it since"
                Expect.equal (silent.Trouble |> Option.map _.Code) (Some "401") ""
            }
        ]
        testList "written off while the seller's funds are missing" [
            test "with what waits behind it" {
                let story = tell (due @ [ notReversed SellerFunds; Hears WriteOffRequested ])
                Expect.equal (TransferWords.status story.Transfer.Status) "written_off" ""
                Expect.contains story.Movements (ClaimForgiven 100_00L) ""
                let partly = [
                    Taken
                    accepted
                    refunded 1 40_00L
                    refunded 2 25_00L
                    Taken
                    notReversed SellerFunds
                ]
                let forgiven = tell (partly @ [ Hears WriteOffRequested ])
                Expect.isEmpty forgiven.Transfer.Outstanding "nothing waits any more"
                Expect.containsAll forgiven.Movements [ ClaimForgiven 40_00L; ClaimForgiven 25_00L ] ""
                becomes "reversal_pending" (partly @ [ Hears WriteOffRequested; refunded 3 10_00L ])
            }
            test "never while its call is on its way or in doubt" {
                let refusals = [
                    "due", due
                    "tried again", waitingForSeller @ [ Passes 60; Taken ]
                    "in doubt", waitingForSeller @ [ Taken; Hears(ReversalAnswered(Answer.InDoubt NoAnswer)) ]
                    "its money has come", waitingForSeller @ [ Hears FundsArrived ]
                ]
                for why, steps in refusals do
                    Expect.equal (outcome WriteOffRequested steps) (Refused NotRetryable) why
            }
        ]
        testList "redirected" [
            test "what has certainly not left goes to the other account, under another key" {
                let unsent = [
                    "due", []
                    "hindered", [ Taken; refusedBy Unauthorized ]
                    "refused", [ Taken; refused OtherCause ]
                    "without funds", [ Taken; refused PlatformFunds ]
                    "refused to the last", List.concat (List.replicate 4 [ Taken; refused OtherCause ])
                    "in doubt, and proven absent",
                    [ Taken; Hears(TransferAnswered(KeyReused "other")); Taken; notFound ]
                ]
                for what, steps in unsent do
                    let before = tell steps
                    let after = tell (steps @ [ redirect ])
                    Expect.equal after.Transfer.Account (account "bob") what
                    Expect.equal (TransferWords.status after.Transfer.Status) "pending" what
                    Expect.equal after.Transfer.Attempt.Value.Retries 0 "with all its tries"
                    let generation (story: Story) = story.Transfer.Attempt.Value.Operation.Generation
                    Expect.isGreaterThan (generation after) (generation before) "a new key"
            }
            test "what is on hold stays on hold" {
                let held =
                    Transfer.schedule
                        owed.Id
                        owed.Order
                        owed.Seller
                        owed.Account
                        owed.Amount
                        now
                        (TimeSpan.FromDays 7.)
                match Transfer.apply rules now (RedirectRequested(account "bob")) held with
                | Advanced(next, []) ->
                    Expect.equal next.Attempt.Value.DueAt (now.AddDays 7.) "until its time"
                | other -> failtest $"{other}"
            }
            test "what has left, or may have, stays" {
                let settled = [
                    "on its way", [ Taken ]
                    "in doubt", [ Taken; noAnswer ]
                    "being looked up", [ Taken; Hears(TransferAnswered(KeyReused "other")) ]
                    "absent, under a key that lives",
                    [ Taken; Hears(TransferAnswered(Answer.InDoubt StoredServerError)); Taken; notFound ]
                    "sent", [ Taken; accepted ]
                    "on its way back", due
                    "back", due @ [ reversed 1 ]
                    "refunded before it left", [ refunded 1 100_00L ]
                ]
                for what, steps in settled do
                    let told = outcome (RedirectRequested(account "bob")) steps
                    Expect.equal told (Refused NotRedirectable) what
            }
            test "it goes to its own account already" {
                let told = outcome (RedirectRequested(account "ada")) []
                Expect.equal told (Refused NotRedirectable) "nothing would change"
            }
        ]
    ]
