/// One money-moving call to a provider, and what its answers allow us to do next.
namespace Veza.Domain

open System

/// Why a provider said no, in its own words where it gave any.
type Refusal = { Cause: RefusalCause; Code: string; Message: string }

and RefusalCause =
    /// The seller's balance at Stripe is too small for the reversal.
    | SellerFunds
    /// The platform's balance at Stripe is too small for the transfer.
    | PlatformFunds
    | OtherCause

module RefusalCause =
    let word cause =
        match cause with
        | SellerFunds -> "seller_funds"
        | PlatformFunds -> "platform_funds"
        | OtherCause -> "other"

    let every = [ SellerFunds; PlatformFunds; OtherCause ]

/// Why a request certainly did nothing. It may be sent again as it is.
type Hindrance =
    /// The provider's own limit (429).
    | RateLimited
    /// STRIPE_RATE_LIMIT: the queue before it is full.
    | HeldBack
    | CircuitOpen
    /// No connection could be made, so nothing was sent.
    | Unreachable
    /// Another request under the same key is still running.
    | KeyInUse
    /// The provider's object is locked by somebody else's request.
    | ObjectLocked
    /// Our credentials were not accepted (401); whoever runs Veza must mend them.
    | Unauthorized
    /// They were accepted and do not allow this (403).
    | Forbidden

module Hindrance =
    /// The provider's status where it answered with one.
    let code hindrance =
        match hindrance with
        | RateLimited -> "429"
        | HeldBack -> "held_back"
        | CircuitOpen -> "circuit_open"
        | Unreachable -> "unreachable"
        | KeyInUse -> "idempotency_key_in_use"
        | ObjectLocked -> "lock_timeout"
        | Unauthorized -> "401"
        | Forbidden -> "403"

    /// As a person reads it on the object that waits.
    let shown hindrance (message: string) = { Cause = OtherCause; Code = code hindrance; Message = message }

    /// Nothing gets better by itself until a person has acted.
    let needsPerson hindrance =
        match hindrance with
        | Unauthorized
        | Forbidden -> true
        | RateLimited
        | HeldBack
        | CircuitOpen
        | Unreachable
        | KeyInUse
        | ObjectLocked -> false

/// Why we cannot know whether a request took effect.
type Doubt =
    /// Timeout, broken connection, cancelled call.
    | NoAnswer
    | ServerError
    /// A server error that the provider has stored under the key: the same request will only repeat it.
    | StoredServerError
    /// It said yes, but the answer could not be read.
    | Unreadable

module Refusal =
    /// In Stripe's words, until its books have told what they mean.
    let unclear message = { Cause = OtherCause; Code = "invalid_request_error"; Message = message }

module Doubt =
    let shown (doubt: Doubt) = {
        Cause = OtherCause
        Code = "in_doubt"
        Message = $"No definite answer (%A{doubt})."
    }

/// All that a provider can answer.
type Answer<'receipt> =
    | Accepted of Receipt: 'receipt
    /// `Replayed`: the provider says this is its stored answer to the first request under the key.
    | Denied of Refusal: Refusal * Replayed: bool
    | NotExecuted of Hindrance: Hindrance * Message: string
    | InDoubt of Doubt: Doubt
    /// The object that was to be changed does not exist.
    | Missing
    /// A refusal in words that could also mean that it has happened before: already reversed, more than is left. Only
    /// a look at the provider's books tells what. `Replayed`: as for any refusal.
    | Duplicate of Message: string * Replayed: bool
    /// The key was used before with other parameters, so nothing of ours will ever happen under it.
    | KeyReused of Message: string

module Answer =
    /// What stands on the object that waits, until it gets a better answer.
    let shown answer =
        match answer with
        | Accepted _
        | Missing -> None
        | Denied(refusal, _) -> Some refusal
        | NotExecuted(hindrance, message) -> Some(Hindrance.shown hindrance message)
        | InDoubt doubt -> Some(Doubt.shown doubt)
        | Duplicate(message, _)
        | KeyReused message -> Some(Refusal.unclear message)

/// What we know of a request under one key.
type Certainty =
    | Unsent
    /// On the wire at least once, with no definite answer yet.
    | Sent of First: DateTimeOffset * Sends: int

/// A new generation is a new key. It is taken only when the old key's request certainly moved nothing.
type Operation = { Generation: int; Certainty: Certainty }

/// What an answer allows.
type NextStep<'receipt> =
    | Done of Receipt: 'receipt
    /// It certainly did not happen; another try needs a new key, or the provider repeats its stored refusal.
    | Declined of Refusal: Refusal
    /// Nothing happened this time; send the same again.
    | Hindered of Hindrance: Hindrance * Message: string
    /// It may have happened; the same key finds out.
    | AskAgain of Doubt: Doubt
    /// It may have happened and the key can no longer tell; look into the provider's books first.
    | LookUpFirst
    /// Look into the books too. What they do not show is refused for certain: the provider would only repeat its
    /// refusal under this key, so another try needs a new one.
    | LookUpRefusal of Message: string
    | Gone

module Operation =
    let first = { Generation = 0; Certainty = Unsent }

    let renewed operation = { Generation = operation.Generation + 1; Certainty = Unsent }

    let keyIsStale (now: DateTimeOffset) operation =
        match operation.Certainty with
        | Unsent -> false
        | Sent(first, _) -> now - first >= IdempotencyKey.Life

    /// Written down before the request leaves, so that a crash in between counts as a request sent.
    let sending now operation =
        match operation.Certainty with
        | Unsent -> { operation with Certainty = Sent(now, 1) }
        | Sent(first, sends) -> { operation with Certainty = Sent(first, sends + 1) }

    /// A request that certainly did nothing leaves no trace, unless an earlier one is still in doubt.
    let unsending operation =
        match operation.Certainty with
        | Sent(_, 1) -> { operation with Certainty = Unsent }
        | Sent(first, sends) -> { operation with Certainty = Sent(first, sends - 1) }
        | Unsent -> operation

    /// Whether an earlier request under the key may still be under way.
    let isReplay operation =
        match operation.Certainty with
        | Unsent -> false
        | Sent(_, sends) -> sends > 1

    /// The decision table for a POST to Stripe (its idempotency rules: docs.stripe.com/error-low-level).
    /// A refusal settles the matter only on the first send, or when Stripe says that it replays its stored
    /// answer; on any other repeat it says nothing about what the first request did. Then the key stays: if the refusal
    /// is stored under it, the next answer is a replay and says so.
    let next now operation answer =
        match answer with
        | Accepted receipt -> Done receipt
        | Denied(refusal, true) -> Declined refusal
        | Denied(refusal, false) -> if isReplay operation then LookUpFirst else Declined refusal
        | NotExecuted(hindrance, message) -> Hindered(hindrance, message)
        | InDoubt StoredServerError -> LookUpFirst
        | InDoubt(NoAnswer | ServerError | Unreadable as doubt) ->
            if keyIsStale now operation then
                LookUpFirst
            else
                AskAgain doubt
        | Missing -> Gone
        | Duplicate(message, replayed) ->
            if replayed || not (isReplay operation) then
                LookUpRefusal message
            else
                LookUpFirst
        | KeyReused message -> LookUpRefusal message
