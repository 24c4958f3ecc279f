/// One money-moving call in progress: what is done next, when, and how often it was tried.
namespace Veza.Domain

open System

/// Why something waits. None but the doubt and the refusal spend retries.
type Waiting =
    /// The worker takes it as soon as its time has come.
    | Due
    /// The marketplace holds sellers' money back for a while (TRANSFER_HOLD).
    | OnHold
    | InFlight
    | ForAnswer
    | ForRetry
    | ForSellerFunds
    | ForPlatformFunds
    /// Rate limit, open circuit, lock, refused credentials.
    | ForProvider

/// What the worker does when the time has come.
type Move =
    | Send
    /// Look up, and send what is absent again under the same key while it lives.
    | LookUp
    /// Stripe has refused it, in words that could also mean that it happened before. Look up; what is absent is tried
    /// again under a new key, because Stripe repeats its stored refusal under the old one.
    | Confirm
    /// Look up, and if nothing is found start anew under a new key: an operator has asked for it, which is the
    /// proof by hand that Stripe's rules for a stored server error ask for.
    | Prove

/// The key follows from the operation, so a crash forgets nothing.
type Attempt = { Operation: Operation; Move: Move; Retries: int; DueAt: DateTimeOffset; Waiting: Waiting }

module Attempt =
    let startAt due waiting = {
        Operation = Operation.first
        Move = Send
        Retries = 0
        DueAt = due
        Waiting = waiting
    }

    // Waiting for somebody else keeps the count; a refusal or a doubt spends a retry.

    let again waiting due attempt = { attempt with Waiting = waiting; DueAt = due }
    let renewed attempt = { attempt with Operation = Operation.renewed attempt.Operation; Move = Send }
    let lookingUp now attempt = { again ForAnswer now attempt with Move = LookUp }
    let confirming now attempt = { again ForAnswer now attempt with Move = Confirm }
    let isExhausted policy attempt = attempt.Retries >= policy.MaxRetries

    let spent policy (now: DateTimeOffset) id waiting attempt =
        let due = now + Backoff.spread policy attempt.Retries id
        again waiting due { attempt with Retries = attempt.Retries + 1 }

    /// Nothing happened this time. A key in use is another matter: somebody's request under it is still running.
    let hindered policy (now: DateTimeOffset) hindrance attempt =
        let operation =
            match hindrance with
            | RateLimited
            | HeldBack
            | CircuitOpen
            | Unreachable
            | ObjectLocked
            | Unauthorized
            | Forbidden -> Operation.unsending attempt.Operation
            | KeyInUse -> attempt.Operation
        again ForProvider (now + Backoff.delay policy 0) { attempt with Operation = operation }

    /// The look-up came to nothing: another one, later.
    let postponed policy (now: DateTimeOffset) attempt =
        again ForProvider (now + Backoff.delay policy attempt.Retries) attempt

    /// Whether what is proven absent now is tried again under a new key.
    let isRenewedIfAbsent now attempt =
        match attempt.Move with
        | Confirm
        | Prove -> true
        | Send
        | LookUp -> Operation.keyIsStale now attempt.Operation

    /// Proven absent. The key may be used again while it lives, unless a refusal is stored under it; after that only a
    /// new one is safe.
    let absent now attempt =
        if isRenewedIfAbsent now attempt then
            renewed attempt
        else
            { attempt with Move = Send }

    /// The last try, proven absent. What Stripe has refused is unsent; what was only in doubt is looked up once more
    /// before anything else is done with it.
    let givenUp attempt =
        match attempt.Move with
        | Confirm -> renewed attempt
        | Send
        | LookUp
        | Prove -> attempt

    /// An operator's fresh start. What is in doubt is looked up before anything is sent.
    let restarted now attempt =
        let move = if attempt.Operation.Certainty.IsUnsent then Send else Prove
        { again Due now attempt with Move = move; Retries = 0 }

    /// A worker takes it for a while. Written down before anything is sent: a crash in between counts as a
    /// request sent, and a key too old to be trusted is looked up instead of used.
    let claimed (lease: TimeSpan) (now: DateTimeOffset) attempt =
        let attempt =
            if attempt.Move.IsSend && Operation.keyIsStale now attempt.Operation then
                { attempt with Move = LookUp }
            else
                attempt
        let operation =
            match attempt.Move with
            | Send -> Operation.sending now attempt.Operation
            | LookUp
            | Confirm
            | Prove -> attempt.Operation
        { again InFlight (now + lease) attempt with Operation = operation }

/// The words for an attempt that the outside sees and the rows keep.
module AttemptWords =
    let waiting waiting =
        match waiting with
        | Due -> "due"
        | OnHold -> "hold"
        | InFlight -> "in_flight"
        | ForAnswer -> "answer"
        | ForRetry -> "retry"
        | ForSellerFunds -> "seller_funds"
        | ForPlatformFunds -> "platform_funds"
        | ForProvider -> "provider"

    let everyWaiting = [
        Due
        OnHold
        InFlight
        ForAnswer
        ForRetry
        ForSellerFunds
        ForPlatformFunds
        ForProvider
    ]

    let move move =
        match move with
        | Send -> "send"
        | LookUp -> "look_up"
        | Confirm -> "confirm"
        | Prove -> "prove"

    let everyMove = [ Send; LookUp; Confirm; Prove ]

    /// The one of `every` that is spelled so.
    let parse what every spell (text: string | null) =
        match every |> List.tryFind (fun one -> spell one = text) with
        | Some one -> Ok one
        | None -> Error $"'{text}' is not {what}."

    let certainty sends (firstSentAt: Nullable<DateTimeOffset>) =
        match sends, firstSentAt.HasValue with
        | 0, false -> Ok Unsent
        | sends, true when sends > 0 -> Ok(Sent(firstSentAt.Value, sends))
        | sends, _ -> Error $"{sends} sends do not fit the time of the first."
