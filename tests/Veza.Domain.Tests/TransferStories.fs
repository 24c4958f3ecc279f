/// The steps that transfers' tests are told in.
module Veza.Domain.Tests.TransferStories

open System
open Expecto
open Veza.Domain
open Veza.Domain.Transfers
open Veza.Domain.Tests.Histories

let accepted = Hears(TransferAnswered(Accepted(tr 1)))
let refused cause = Hears(TransferAnswered(Denied(because cause, false)))
let noAnswer = Hears(TransferAnswered(InDoubt NoAnswer))
let refunded number amount = Hears(RefundSucceeded(claim number amount))
let reversed number = Hears(ReversalAnswered(Accepted(trr number)))
let notReversed cause = Hears(ReversalAnswered(Denied(because cause, false)))
let seen ours amount = Hears(ReversalSeen { Ours = ours; AmountReversed = amount; Keyless = [] })

let statusAfter steps = TransferWords.status (tell steps).Transfer.Status
let attemptAfter steps = Option.get (tell steps).Transfer.Attempt
let becomes status steps = Expect.equal (statusAfter steps) status "it should stand there"

let keyOf duty =
    match duty with
    | Some(SendTransfer(_, key) | FindTransfer key | SendReversal(_, _, key) | FindReversal(_, key)) ->
        key.Value
    | Some ReportMissingId
    | None -> failtest "there should be something to ask"

let sentAs steps = keyOf (Transfer.duty (tell steps).Transfer)

/// A reversal of everything, on its way.
let due = [ Taken; accepted; refunded 1 100_00L; Taken ]

let waits steps =
    let story = tell steps
    let attempt = Option.get story.Transfer.Attempt
    attempt.Waiting, attempt.DueAt - story.At

let hindered = Hears(TransferAnswered(NotExecuted(RateLimited, "")))
let notFound = Hears(TransferSeen [])
let spent retries = Backoff.spread policy retries owed.Id.Value
