/// What Stripe says of a transfer when nobody has asked: in a webhook, its list of events, a reconciliation.
namespace Veza.Domain

open Veza.Domain.Transfers

/// A transfer as Stripe describes it. It was made with our id in its metadata.
type TransferFact = { StripeId: StripeTransferId; Amount: int64; Currency: string; Destination: string }

/// A transfer at Stripe with ours in its metadata, and how much of it was taken back.
type TransferSight = { SeenId: StripeTransferId; Amount: int64; Reversed: int64 }

module TransferReport =
    let private doubtOf why =
        match why with
        | AnotherTransferExists -> AnotherTransfer
        | MovedAfterAll -> MoneyMovedAfterAll
        | AnotherReversalExists -> AnotherReversal
        | NothingSent
        | NothingToReverse
        | MoreThanIsLeft
        | NotRetryable
        | NotRedirectable -> TransferUnexplained

    /// What was taken back whole by hand has paid nobody.
    let private isTakenBack sight = sight.Reversed >= sight.Amount

    /// Of several, those that count: a superfluous one is out of the way once it was taken back. One alone always counts,
    /// because its seller was paid before that.
    let counting sights =
        let left = sights |> List.filter (fun sight -> not (isTakenBack sight))
        [ for sight in (if left.IsEmpty then sights else left) -> sight.SeenId ]

    /// Whether Stripe's transfer carries this much to this account.
    let carries (amount: Money) (account: string) (fact: TransferFact) =
        amount.Is(fact.Amount, fact.Currency) && fact.Destination = account

    /// The same fact as Stripe's answer to the request, judged against the frozen intent.
    let heard rules now fact (transfer: Transfer) =
        if not (transfer.Amount.Currency.HasCode fact.Currency) then
            Quarantined CurrencyDiffers
        elif fact.Destination <> transfer.Account.Value then
            Quarantined DestinationDiffers
        else
            let signal = TransferAnswered(Accepted fact.StripeId)
            match Transfer.apply rules now signal transfer with
            | Unchanged -> AlreadyKnown
            | Refused why -> Quarantined(doubtOf why)
            | Advanced _ when not (fact |> carries transfer.ToSend transfer.Account.Value) ->
                Quarantined AmountDiffers
            | Advanced next -> Settled(Effect.ofTransfer now transfer signal next)

    /// What a look into the books of a transfer's reversals showed, under the key that it was looked into with
    /// (`Transfer.sighting`). A transfer that has gone on to another key meanwhile is looked at again.
    let noticed rules now (key: IdempotencyKey option) sight (transfer: Transfer) =
        match Transfer.sighting transfer with
        | ValueNone -> Quarantined TransferUnexplained
        | ValueSome struct (_, current) when current <> key -> AlreadyKnown
        | ValueSome _ ->
            let signal = ReversalsNoticed sight
            match Transfer.apply rules now signal transfer with
            | Unchanged -> AlreadyKnown
            | Refused why -> Quarantined(doubtOf why)
            | Advanced next -> Settled(Effect.ofTransfer now transfer signal next)
