/// What somebody reverses at Stripe without Veza: posted when it is seen, once, and taken up by the claims to come.
module Veza.Domain.Tests.ForeignReversalTests

open Expecto
open Veza.Domain
open Veza.Domain.Transfers
open Veza.Domain.Tests.Histories
open Veza.Domain.Tests.TransferStories

let private noticed ours amount =
    Hears(ReversalsNoticed { Ours = ours; AmountReversed = amount; Keyless = [] })
let private noticedWithoutKey reversals =
    let keyless = [ for number, amount in reversals -> { Reversal = trr number; Reversed = amount } ]
    let reversed = keyless |> List.sumBy _.Reversed
    Hears(ReversalsNoticed { Ours = None; AmountReversed = reversed; Keyless = keyless })
let private sent = [ Taken; accepted ]

let private movedBy before steps =
    (tell (before @ steps)).Movements |> List.skip (tell before).Movements.Length

let private asksFor steps =
    match Transfer.duty (tell steps).Transfer with
    | Some(SendReversal(_, amount, _)) -> amount
    | duty -> failtest $"{duty}"

let private settled steps = [
    for claim in (tell steps).Transfer.Settled -> claim.Claim.Amount, claim.Settling
]

[<Tests>]
let tests =
    testList "transfer, reversed by somebody else" [
        test "before any refund, it is posted once and kept as the seller's credit" {
            Expect.equal (movedBy sent [ noticed None 30_00L ]) [ ReturnedUnasked 30_00L ] ""
            Expect.isEmpty (movedBy (sent @ [ noticed None 30_00L ]) [ noticed None 30_00L ]) "seen before"
            Expect.equal
                (movedBy (sent @ [ noticed None 30_00L ]) [ noticed None 45_00L ])
                [ ReturnedUnasked 15_00L ]
                "only what is new"
            becomes "completed" (sent @ [ noticed None 30_00L ])
            Expect.equal (tell (sent @ [ noticed None 30_00L ])).Transfer.Foreign 30_00L ""
        }
        test "a claim takes it up before anything is asked for" {
            let claimed = sent @ [ noticed None 30_00L; refunded 1 50_00L ]
            Expect.equal (asksFor claimed) 20_00L "the seller gives back no more than refunds account for"
            let story = tell (claimed @ [ Taken; reversed 1 ])
            Expect.contains story.Movements (MoneyReturned 20_00L) "the rest"
            Expect.equal
                (settled (claimed @ [ Taken; reversed 1 ]))
                [ 50_00L, Returned(Some(trr 1), 30_00L) ]
                ""
            Expect.equal story.Transfer.Foreign 0L "used up"
        }
        test "a claim that it covers is settled at once, and moves nothing" {
            let claimed = sent @ [ noticed None 30_00L; refunded 1 20_00L ]
            becomes "completed" claimed
            Expect.equal (settled claimed) [ 20_00L, Returned(None, 20_00L) ] ""
            Expect.equal (tell claimed).Transfer.Foreign 10_00L "for the next one"
            Expect.equal (asksFor (claimed @ [ refunded 2 15_00L ])) 5_00L ""
        }
        test "all of it, it is reversed, and a refund that comes later is settled by it" {
            let all = sent @ [ noticed None 100_00L ]
            becomes "reversed" all
            becomes "reversed" (all @ [ refunded 1 40_00L; refunded 2 60_00L ])
            Expect.isEmpty (movedBy all [ refunded 1 40_00L; refunded 2 60_00L ]) "nothing moves twice"
            Expect.equal
                (Transfer.apply
                    rules
                    now
                    (RefundSucceeded(claim 3 1L))
                    (tell (all @ [ refunded 1 100_00L ])).Transfer)
                (Refused MoreThanIsLeft)
                ""
        }
        test "while nothing of ours is on the wire, the claim takes it up" {
            let waiting = due @ [ notReversed SellerFunds ]
            becomes "reversed" (waiting @ [ noticed None 100_00L ])
            Expect.equal (asksFor (waiting @ [ noticed None 30_00L ])) 70_00L ""
            Expect.notEqual
                (sentAs (waiting @ [ noticed None 30_00L ]))
                (sentAs waiting)
                "another amount needs another key"
        }
        test "while ours is on the wire, it is posted and not taken up" {
            let half = [ Taken; accepted; refunded 1 50_00L; Taken ]
            let noticedMeanwhile = half @ [ noticed None 30_00L ]
            Expect.equal (sentAs noticedMeanwhile) (sentAs half) "the request stays what it was"
            Expect.equal
                (movedBy half [ noticed None 30_00L; reversed 1 ])
                [ ReturnedUnasked 30_00L; MoneyReturned 50_00L ]
                "both happened"
            Expect.equal
                (tell (noticedMeanwhile @ [ reversed 1 ])).Transfer.Foreign
                30_00L
                "the seller's credit"
        }
        test "what may be ours is not called theirs" {
            let half = [ Taken; accepted; refunded 1 50_00L; Taken ]
            Expect.equal
                (movedBy half [ noticed None 80_00L ])
                [ ReturnedUnasked 50_00L ]
                "50 of the 100 may be our own"
            Expect.equal
                (movedBy half [
                    noticed None 80_00L
                    Hears(ReversalAnswered(Duplicate("more", false)))
                    Taken
                    seen None 80_00L
                ])
                [ ReturnedUnasked 50_00L; ReturnedUnasked 30_00L ]
                "the look-up tells, and the claim is settled by it"
        }
        test "ours, noticed before its answer is heard, settles the claim" {
            becomes "reversed" (due @ [ noticed (Some(trr 1)) 100_00L ])
            Expect.isEmpty (movedBy (due @ [ noticed (Some(trr 1)) 100_00L ]) [ reversed 1 ]) "heard twice"
        }
        testList "beside a claim that has adopted some" [
            let half = [
                Taken
                accepted
                refunded 1 50_00L
                Taken
                Hears(ReversalAnswered(Duplicate("more", false)))
                Taken
            ]
            let partly = half @ [ seen None 30_00L; Taken ]
            test "ours is only the rest of it, and what is more is theirs" {
                Expect.equal
                    (movedBy partly [ noticed (Some(trr 1)) 65_00L ])
                    [ ReturnedUnasked 15_00L; MoneyReturned 20_00L ]
                    "30 adopted, 20 ours, 15 by others"
            }
            test "only the rest of it may be on the wire" {
                Expect.equal
                    (movedBy partly [ noticed None 90_00L ])
                    [ ReturnedUnasked 50_00L ]
                    "20 of the 100 may be ours"
            }
            let looking = partly @ [ Hears(ReversalAnswered(Duplicate("more", false))); Taken ]
            test "it adopts the rest as well, and no more than that" {
                let story = looking @ [ seen None 65_00L ]
                Expect.equal (settled story) [ 50_00L, Returned(None, 50_00L) ] ""
                Expect.equal (tell story).Transfer.Foreign 15_00L "for the next one"
            }
            test "ours, found in Stripe's books, is only the rest of it" {
                Expect.equal
                    (movedBy looking [ seen (Some(trr 1)) 65_00L ])
                    [ ReturnedUnasked 15_00L; MoneyReturned 20_00L ]
                    ""
            }
            test "a claim of a cent is covered by a cent" {
                let owed = [
                    Taken
                    accepted
                    refunded 1 1L
                    Taken
                    Hears(ReversalAnswered(Duplicate("more", false)))
                    Taken
                ]
                Expect.equal (settled (owed @ [ seen None 1L ])) [ 1L, Returned(None, 1L) ] ""
            }
            test "by a cent, too" {
                Expect.equal (asksFor (half @ [ seen None 1L ])) 49_99L ""
                Expect.equal (asksFor (half @ [ seen None 49_99L ])) 1L ""
            }
        ]
        testList "without a key of ours, while ours is in doubt" [
            let inDoubt = due @ [ Taken; Hears(ReversalAnswered(Answer.InDoubt NoAnswer)) ]
            test "it is posted once: ours never goes without its key" {
                let whole = noticedWithoutKey [ 8, 100_00L ]
                Expect.equal
                    (movedBy inDoubt [ whole ])
                    [ ReturnedUnasked 100_00L ]
                    "nothing else would find it"
                Expect.isEmpty (movedBy (inDoubt @ [ whole ]) [ whole ]) "seen before"
                becomes "reversal_pending" (inDoubt @ [ whole ])
                Expect.isEmpty (movedBy inDoubt [ noticed None 100_00L ]) "with a key it may be ours"
            }
            test "only what is new of it is posted" {
                let half = noticedWithoutKey [ 8, 50_00L ]
                let more = noticedWithoutKey [ 8, 50_00L; 9, 30_00L ]
                Expect.equal
                    (movedBy inDoubt [ half; more ])
                    [ ReturnedUnasked 50_00L; ReturnedUnasked 30_00L ]
                    ""
            }
            test "what a claim has taken up is not posted again" {
                let first = sent @ [ noticedWithoutKey [ 8, 30_00L ]; refunded 1 20_00L; refunded 2 40_00L ]
                let again = first @ [ Taken; Hears(ReversalAnswered(Answer.InDoubt NoAnswer)) ]
                Expect.isEmpty (movedBy again [ noticedWithoutKey [ 8, 30_00L ] ]) "20 settled, 10 adopted"
                Expect.equal
                    (movedBy again [ noticedWithoutKey [ 8, 30_00L; 9, 70_00L ] ])
                    [ ReturnedUnasked 70_00L ]
                    ""
            }
            test "and a claim is written off meanwhile, it is the seller's credit" {
                let unsure = [ Taken; Hears(ReversalAnswered(Answer.InDoubt NoAnswer)) ]
                let absent = [ Taken; seen None 0L ]
                let givenUp = due @ List.concat (List.replicate 4 unsure) @ absent
                becomes "permanently_failed" givenUp
                let closed = givenUp @ [ noticedWithoutKey [ 8, 100_00L ]; Hears WriteOffRequested ]
                becomes "written_off" closed
                Expect.equal
                    (tell closed).Transfer.Foreign
                    100_00L
                    "the claim is forgiven, and the money is here"
                Expect.contains (tell closed).Movements (ReturnedUnasked 100_00L) ""
            }
            test "a reversal from before keys were kept is known by its name" {
                let old = sent @ [ refunded 1 30_00L; Taken; reversed 1; refunded 2 70_00L ]
                let unsure = old @ [ Taken; Hears(ReversalAnswered(Answer.InDoubt NoAnswer)) ]
                Expect.isEmpty (movedBy unsure [ noticedWithoutKey [ 1, 30_00L ] ]) ""
            }
        ]
        test "after a write-off it is posted, and nothing else changes" {
            let lost = due @ [ Hears(ReversalAnswered Missing); Hears WriteOffRequested ]
            Expect.equal (movedBy lost [ noticed None 10_00L ]) [ ReturnedUnasked 10_00L ] ""
            becomes "written_off" (lost @ [ noticed None 100_00L ])
            Expect.isEmpty (movedBy (lost @ [ noticed None 10_00L ]) [ noticed None 10_00L ]) ""
            let dropped =
                due
                @ [
                    Hears(ClaimResized(claim 1 0L))
                    Hears(ReversalAnswered Missing)
                    Hears WriteOffRequested
                ]
            becomes "written_off" (dropped @ [ noticed None 100_00L ])
        }
        test "after Veza gave up, it settles what it covers" {
            let failed = due @ [ Hears(ReversalAnswered(Denied(because OtherCause, false))) ]
            let givenUp = failed @ (List.replicate 3 [ Taken; notReversed OtherCause ] |> List.concat)
            becomes "permanently_failed" givenUp
            becomes "reversed" (givenUp @ [ noticed None 100_00L ])
            becomes "permanently_failed" (givenUp @ [ noticed None 99_99L ])
        }
        test "what an adopted claim gives up goes back to the credit" {
            let partly = due @ [ Hears(ReversalAnswered(Duplicate("more", false))); Taken; seen None 30_00L ]
            let less = partly @ [ Hears(ClaimResized(claim 1 20_00L)) ]
            Expect.equal (settled less) [ 20_00L, Returned(None, 20_00L) ] ""
            Expect.equal (tell less).Transfer.Foreign 10_00L ""
            let none = partly @ [ Hears(ClaimResized(claim 1 0L)) ]
            Expect.equal (settled none) [ 100_00L, Dropped ] ""
            Expect.equal (tell none).Transfer.Foreign 30_00L ""
        }
        test "written off, what others took is the seller's credit" {
            let partly = due @ [ Hears(ReversalAnswered(Duplicate("more", false))); Taken; seen None 30_00L ]
            let stuck = partly @ [ Taken; Hears(ReversalAnswered Missing); Hears WriteOffRequested ]
            Expect.equal (tell stuck).Transfer.Foreign 30_00L ""
            Expect.contains (tell stuck).Movements (ClaimForgiven 100_00L) "the claim is given up whole"
        }
        test "a transfer that was never sent has nothing to reverse" {
            let refuses steps =
                Expect.equal
                    (Transfer.apply
                        rules
                        now
                        (ReversalsNoticed { Ours = None; AmountReversed = 1L; Keyless = [] })
                        (tell steps).Transfer)
                    (Refused NothingSent)
                    ""
            refuses []
            refuses [ refunded 1 100_00L ]
            refuses (List.replicate 4 [ Taken; refused OtherCause ] |> List.concat)
        }
        test "is looked for under the key of the claim under way" {
            let sighting steps = Transfer.sighting (tell steps).Transfer
            let key steps =
                match sighting steps with
                | ValueSome struct (_, key) -> key |> Option.map _.Value
                | ValueNone -> failtest "there is a transfer to look at"
            Expect.equal (sighting []) ValueNone "not sent"
            Expect.equal (key sent) None "nothing of ours is under way"
            Expect.equal (key due) (Some(sentAs due)) ""
        }
    ]

[<Tests>]
let funds =
    testList "transfer, when a balance is filled" [
        test "a reversal that waits for the seller's goes on at once" {
            Expect.equal
                (waits (due @ [ notReversed SellerFunds; Hears FundsArrived ]))
                (Due, System.TimeSpan.Zero)
                ""
        }
        test "a transfer that waits for the platform's goes on at once" {
            let dry = [ Taken; refused PlatformFunds ]
            Expect.equal (waits (dry @ [ Hears FundsArrived ])) (Due, System.TimeSpan.Zero) ""
            Expect.equal (sentAs (dry @ [ Hears FundsArrived ])) (sentAs dry) "the key is new already"
        }
        test "whatever waits for something else goes on waiting" {
            for steps in
                [ []; [ Taken ]; [ Taken; refused OtherCause ]; sent; due; due @ [ notReversed OtherCause ] ] do
                let story = tell steps
                Expect.equal (Transfer.apply rules story.At FundsArrived story.Transfer) Unchanged ""
        }
    ]
