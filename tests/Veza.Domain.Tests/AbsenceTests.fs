/// Every way from "perhaps it has happened already" over "the books do not show it" to another request: money moves at
/// most once, and no key that can only repeat a refusal keeps it from moving.
module Veza.Domain.Tests.AbsenceTests

open System
open System.Collections.Generic
open Expecto
open FsCheck
open FsCheck.FSharp
open Veza.Domain
open Veza.Domain.Payouts
open Veza.Domain.Transfers
open Veza.Domain.Tests.Histories
open Veza.Domain.Tests.TransferStories

/// What becomes of one request. Whatever began to execute is stored under its key and replayed, as Stripe does it.
type Luck =
    | Works
    | WorksUnheard
    | WorksAndBreaks
    | Refuses
    | RefusesUnheard
    /// Without a code: it may mean that it was done before.
    | RefusesVaguely
    | RefusesVaguelyUnheard
    /// Before it is looked whether the key is known, so nothing is stored.
    | IsInvalid
    | Breaks
    | BreaksStored
    | IsLost
    | IsLimited
    /// Somebody else has used the key for something else.
    | KeyIsTaken
    | ADayPasses

type Lucks =
    static member Luck() =
        Arb.fromGen (
            Gen.elements [
                WorksUnheard
                WorksAndBreaks
                Refuses
                RefusesUnheard
                RefusesVaguely
                RefusesVaguelyUnheard
                IsInvalid
                Breaks
                BreaksStored
                IsLost
                IsLimited
                KeyIsTaken
                ADayPasses
            ]
        )

type private Stored =
    | Yes
    | No
    | Vague
    | Broken
    | OtherParameters

type private Asked =
    | Post of Key: string
    | Look of Key: string
    | Nothing

/// What moves money, as the worker sees it.
type private Work = {
    Asks: unit -> Asked
    DueAt: unit -> DateTimeOffset
    Take: DateTimeOffset -> unit
    Hear: DateTimeOffset -> Answer<string> -> unit
    See: DateTimeOffset -> bool -> unit
    /// Vague refusals are told apart from definite ones.
    IsVague: bool
    IsDone: unit -> bool
}

/// Stripe's books and its memory of keys, for one piece of work.
type private Provider() =
    let keys = Dictionary<string, struct (Stored * DateTimeOffset)>()
    let effects = List<string>()
    let refusal = because OtherCause

    let said isVague replayed stored =
        match stored with
        | Yes -> Accepted "1"
        | No -> Denied(refusal, replayed)
        | Vague when isVague -> Duplicate("already reversed", replayed)
        | Vague -> Denied(refusal, replayed)
        | Broken when replayed -> Answer.InDoubt StoredServerError
        | Broken -> Answer.InDoubt ServerError
        | OtherParameters -> KeyReused "other parameters"

    member _.Effects = effects
    member _.IsBroken key =
        match keys.TryGetValue key with
        | true, struct (Broken, _) -> not (effects.Contains key)
        | true, struct ((Yes | No | Vague | OtherParameters), _)
        | false, _ -> false

    member _.Post isVague (now: DateTimeOffset) luck key =
        let execute stored isHeard =
            if stored = Yes then
                effects.Add key
            keys[key] <- struct (stored, now)
            if isHeard then
                said isVague false stored
            else
                Answer.InDoubt NoAnswer
        if luck = KeyIsTaken && not (keys.ContainsKey key) then
            keys[key] <- struct (OtherParameters, now)
        match luck, keys.TryGetValue key with
        | IsLost, _ -> Answer.InDoubt NoAnswer
        | IsLimited, _ -> NotExecuted(RateLimited, "")
        | IsInvalid, _ -> said isVague false Vague
        | Breaks, _ -> Answer.InDoubt ServerError
        | _, (true, struct (stored, at)) when now - at < TimeSpan.FromHours 24. ->
            said isVague (stored <> OtherParameters) stored
        | (Works | KeyIsTaken | ADayPasses), _ -> execute Yes true
        | WorksUnheard, _ -> execute Yes false
        | WorksAndBreaks, _ ->
            effects.Add key
            execute Broken true
        | Refuses, _ -> execute No true
        | RefusesUnheard, _ -> execute No false
        | RefusesVaguely, _ -> execute Vague true
        | RefusesVaguelyUnheard, _ -> execute Vague false
        | BreaksStored, _ -> execute Broken true

let private patient = { policy with MaxRetries = 1000 }
let private patiently = { rules with Sending = patient; Reversing = patient }

let private ofTransfer (start: Transfer) isReversal isDone (provider: Provider) =
    let mutable transfer = start
    let hear now signal =
        match Transfer.apply patiently now signal transfer with
        | Advanced(next, _) -> transfer <- next
        | Unchanged
        | Refused _ -> ()
    {
        Asks =
            fun () ->
                match Transfer.duty transfer with
                | Some(SendTransfer(_, key) | SendReversal(_, _, key)) -> Post key.Value
                | Some(FindTransfer key | FindReversal(_, key)) -> Look key.Value
                | Some ReportMissingId
                | None -> Nothing
        DueAt = fun () -> transfer.Attempt |> Option.map _.DueAt |> Option.defaultValue now
        Take = fun now -> transfer <- Transfer.claimed patiently now transfer
        Hear =
            fun now answer ->
                let named receipt =
                    match answer with
                    | Accepted _ -> Accepted receipt
                    | Denied(refusal, replayed) -> Denied(refusal, replayed)
                    | NotExecuted(hindrance, why) -> NotExecuted(hindrance, why)
                    | Answer.InDoubt doubt -> Answer.InDoubt doubt
                    | Missing -> Missing
                    | Duplicate(message, replayed) -> Duplicate(message, replayed)
                    | KeyReused message -> KeyReused message
                if isReversal then
                    hear now (ReversalAnswered(named (trr 1)))
                else
                    hear now (TransferAnswered(named (tr 1)))
        See =
            fun now isOurs ->
                if isReversal then
                    let amount = 100_00L * int64 provider.Effects.Count
                    let ours = if isOurs then Some(trr 1) else None
                    hear now (ReversalSeen { Ours = ours; AmountReversed = amount; Keyless = [] })
                else
                    hear now (TransferSeen [ for _ in provider.Effects -> tr 1 ])
        IsVague = isReversal
        IsDone = fun () -> isDone transfer.Status
    }

let private transfer =
    ofTransfer owed false (fun status ->
        match status with
        | TransferStatus.Completed _ -> true
        | TransferStatus.Pending _
        | TransferStatus.Failed _
        | ReversalPending _
        | Reversed _
        | PermanentlyFailed _
        | Cancelled
        | WrittenOff _ -> false)

let private reversal =
    ofTransfer (tell [ Taken; accepted; refunded 1 100_00L ]).Transfer true _.IsReversed

let private payout (provider: Provider) =
    let mutable payout =
        Payout.request (PayoutId(guid 8)) (seller "ada") (account "ada") { Minor = 100L; Currency = euro } now
    let trying = { Trying = patient; Lease = TimeSpan.FromMinutes 2.; AskEvery = TimeSpan.FromHours 1. }
    let sight = { StripeId = certain (StripePayoutId.Parse "po_1"); Says = IsPaid }
    let hear now signal =
        match Payout.apply trying now signal payout with
        | Advanced next -> payout <- next
        | Unchanged
        | Refused _ -> ()
    {
        Asks =
            fun () ->
                match Payout.duty payout with
                | Some(SendPayout key) -> Post key.Value
                | Some(FindPayout key) -> Look key.Value
                | Some(AskAbout _)
                | None -> Nothing
        DueAt =
            fun () ->
                match payout.Status with
                | Requested attempt -> attempt.DueAt
                | PayoutStatus.Pending _
                | InTransit _
                | Paid _
                | Canceled _
                | PayoutStatus.Failed _
                | PayoutStatus.InDoubt _ -> now
        Take = fun now -> payout <- Payout.claimed trying now payout
        Hear =
            fun now answer ->
                match answer with
                | Accepted _ -> Accepted sight
                | Denied(refusal, replayed) -> Denied(refusal, replayed)
                | NotExecuted(hindrance, why) -> NotExecuted(hindrance, why)
                | Answer.InDoubt doubt -> Answer.InDoubt doubt
                | Missing -> Missing
                | Duplicate(message, replayed) -> Duplicate(message, replayed)
                | KeyReused message -> KeyReused message
                |> PayoutAnswered
                |> hear now
        See = fun now _ -> hear now (PayoutSeen [ for _ in provider.Effects -> sight ])
        IsVague = false
        // What Stripe refuses for certain is over: another payout is another request.
        IsDone = fun () -> payout.Status.IsPaid || payout.Status.IsFailed
    }

/// Lives through the luck, and then through good luck for ever. Answers how often it was sent in good luck.
let private play work (lucks: Luck list) =
    let provider = Provider()
    let work = work provider
    let mutable time = now
    let mutable sends = 0
    let step luck =
        time <- max time (work.DueAt())
        work.Take time
        match work.Asks() with
        | Post key ->
            if luck = Works then
                sends <- sends + 1
            work.Hear time (provider.Post work.IsVague time luck key)
        | Look key -> work.See time (provider.Effects.Contains key)
        | Nothing -> ()
    for luck in lucks do
        if luck = ADayPasses then
            time <- time.AddHours 24.
        step luck
    let isStuck () =
        match work.Asks() with
        | Post key
        | Look key -> provider.IsBroken key
        | Nothing -> false
    for _ in 1..8 do
        if not (work.IsDone() || isStuck ()) then
            step Works
    Expect.isLessThanOrEqual provider.Effects.Count 1 "money moves at most once"
    // What a stored server error means only a person can prove.
    if not (isStuck ()) then
        Expect.isTrue (work.IsDone()) "nothing stands in its way"
        Expect.isLessThanOrEqual sends 2 "a replay tells what is stored; after it the key is a new one"

let private config = { config with arbitrary = [ typeof<Lucks> ]; endSize = 12 }

[<Tests>]
let tests =
    testList "perhaps already, and absent" [
        for name, work in [ "a transfer", transfer; "a reversal", reversal; "a payout", payout ] do
            testPropertyWithConfig
                config
                $"{name} moves once, and nothing that is stored keeps it"
                (play work)
        test "a reversal refused without a code on its first send goes under a new key" {
            let answered answer = due @ [ Hears(ReversalAnswered answer); Taken; seen None 0L ]
            Expect.notEqual (sentAs (answered (Duplicate("no", false)))) (sentAs due) "refused for certain"
            Expect.notEqual (sentAs (answered (KeyReused "no"))) (sentAs due) "the key is somebody else's"
            Expect.equal
                (sentAs (answered (Answer.InDoubt StoredServerError)))
                (sentAs due)
                "only a person renews it"
        }
        test "on a repeat the key stays until the refusal is a replay" {
            let repeated answer =
                due
                @ [ Hears(ReversalAnswered(Answer.InDoubt NoAnswer)); Taken ]
                @ [ Hears(ReversalAnswered answer); Taken; seen None 0L ]
            Expect.equal
                (sentAs (repeated (Duplicate("no", false))))
                (sentAs due)
                "the first may be on its way"
            Expect.notEqual (sentAs (repeated (Duplicate("no", true)))) (sentAs due) "the first was refused"
        }
        test "what was refused to the last is unsent; what was in doubt is not" {
            let rec refusedAt tries =
                let before = if tries = 0 then due else refusedAt (tries - 1) @ [ Taken ]
                before @ [ Hears(ReversalAnswered(Duplicate("no", false))); Taken; seen None 0L ]
            becomes "permanently_failed" (refusedAt policy.MaxRetries)
            Expect.equal (attemptAfter (refusedAt policy.MaxRetries)).Operation.Certainty Unsent ""
        }
    ]
