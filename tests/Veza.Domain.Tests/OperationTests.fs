/// The decision table for one money-moving call: docs/spec and Stripe's rules for idempotent requests.
module Veza.Domain.Tests.OperationTests

open System
open Expecto
open Veza.Domain
open Veza.Domain.Tests.Histories

let private firstSend = Operation.first |> Operation.sending now
let private replay = firstSend |> Operation.sending now
let private next operation (answer: Answer<string>) = Operation.next now operation answer
let private refusal = because OtherCause

[<Tests>]
let tests =
    testList "operation" [
        testList "on the first send" [
            test "yes is done" { Expect.equal (next firstSend (Accepted "id")) (Done "id") "" }
            test "no is no, and the next try needs a new key" {
                Expect.equal (next firstSend (Denied(refusal, false))) (Declined refusal) ""
            }
            test "what did not execute is sent again as it is" {
                Expect.equal (next firstSend (NotExecuted(RateLimited, ""))) (Hindered(RateLimited, "")) ""
            }
            test "no answer is asked again under the same key" {
                Expect.equal (next firstSend (InDoubt NoAnswer)) (AskAgain NoAnswer) ""
                Expect.equal (next firstSend (InDoubt Unreadable)) (AskAgain Unreadable) ""
            }
            test "a stored server error is looked up, because the key only repeats it" {
                Expect.equal (next firstSend (InDoubt StoredServerError)) LookUpFirst ""
            }
            test
                "already done, or a key used with other parameters, is looked up, and the key has had its day" {
                Expect.equal (next firstSend (Duplicate("already", false))) (LookUpRefusal "already") ""
                Expect.equal (next firstSend (KeyReused "other")) (LookUpRefusal "other") ""
            }
            test "a missing object is gone" { Expect.equal (next firstSend Missing) Gone "" }
        ]
        testList "on a repeat" [
            test "a refusal that is not replayed says nothing of the first send" {
                Expect.equal (next replay (Denied(refusal, false))) LookUpFirst ""
            }
            test
                "already done settles nothing either, unless it is replayed; a key used otherwise is of no use" {
                Expect.equal (next replay (Duplicate("already", false))) LookUpFirst ""
                Expect.equal (next replay (Duplicate("already", true))) (LookUpRefusal "already") ""
                Expect.equal (next replay (KeyReused "other")) (LookUpRefusal "other") ""
            }
            test "a replayed refusal settles it" {
                Expect.equal (next replay (Denied(refusal, true))) (Declined refusal) ""
            }
            test "what did not execute leaves the earlier send in doubt" {
                Expect.equal (Operation.unsending replay) firstSend "one send is still out there"
            }
        ]
        test "a key older than 23 hours is looked up, never trusted" {
            let later = now + IdempotencyKey.Life
            Expect.isTrue (Operation.keyIsStale later firstSend) "Stripe may have forgotten it"
            Expect.equal (Operation.next later firstSend (InDoubt NoAnswer: Answer<string>)) LookUpFirst ""
            Expect.isFalse (Operation.keyIsStale later Operation.first) "an unsent key cannot grow old"
        }
        test "a worker's claim writes the send down and takes a lease" {
            let attempt = Attempt.startAt now Due
            let claimed = Attempt.claimed (TimeSpan.FromMinutes 2.) now attempt
            Expect.equal claimed.DueAt (now.AddMinutes 2.) "until then it is this worker's"
            Expect.equal
                (claimed.Operation.Certainty, claimed.Waiting)
                (Sent(now, 1), InFlight)
                "a crash counts as sent"
            let looking = Attempt.claimed (TimeSpan.FromMinutes 2.) now (Attempt.lookingUp now attempt)
            Expect.equal looking.Operation.Certainty Unsent "looking sends nothing"
        }
        test "a row's sends and first time fit each other" {
            Expect.equal (AttemptWords.certainty 0 (Nullable())) (Ok Unsent) ""
            Expect.equal (AttemptWords.certainty 2 (Nullable now)) (Ok(Sent(now, 2))) ""
            for sends, first in [ 0, Nullable now; -1, Nullable now; 1, Nullable() ] do
                Expect.isError (AttemptWords.certainty sends first) "no attempt looks like that"
        }
        test "a first send that did not execute leaves no trace" {
            Expect.equal (Operation.unsending firstSend) Operation.first ""
        }
    ]
