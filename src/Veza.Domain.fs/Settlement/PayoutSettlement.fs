/// What a person says of a payout in doubt, against what Stripe shows. Stripe's own word counts where it can be had; the
/// person's alone only where Stripe has made nothing, or does not show it.
namespace Veza.Domain.Payouts

open Veza.Domain

type PayoutEnding =
    | EndedPaid
    | EndedFailed
    | EndedCanceled

/// `Named`: the payout at Stripe that the person has seen.
type PayoutSaid = { Ending: PayoutEnding option; Named: StripePayoutId option; Note: string }

type PayoutLook =
    /// The one that was named, or each that has ours in its metadata.
    | Shown of Reports: PayoutReport list
    /// Stripe refuses to show the account: it is not connected any more, or our key is not accepted.
    | Hidden

type PayoutVerdict =
    | Tell of Signal: PayoutSignal
    | SaysOtherwise of Sight: PayoutSight
    | SeveralShown of Sights: PayoutSight list
    /// The one that was named is not on the seller's account, or is of another amount or currency.
    | NotThisOne
    /// What was paid has a name at Stripe.
    | NameMissing
    /// Stripe does not show it, and nobody has said what became of it.
    | EndingMissing

module PayoutSettlement =
    let word ending =
        match ending with
        | EndedPaid -> "paid"
        | EndedFailed -> "failed"
        | EndedCanceled -> "canceled"

    let every = [ EndedPaid; EndedFailed; EndedCanceled ]

    let private isSo ending fact =
        match ending, fact with
        | None, (IsPending | IsInTransit | IsPaid | IsCanceled | HasFailed _) -> true
        | Some EndedPaid, IsPaid
        | Some EndedFailed, HasFailed _
        | Some EndedCanceled, IsCanceled -> true
        | Some EndedPaid, (IsPending | IsInTransit | IsCanceled | HasFailed _)
        | Some EndedFailed, (IsPending | IsInTransit | IsPaid | IsCanceled)
        | Some EndedCanceled, (IsPending | IsInTransit | IsPaid | HasFailed _) -> false

    let private isOf (payout: Payout) report =
        report.Account = payout.Account.Value && payout.Amount.Is(report.Amount, report.Currency)

    let private byHand says = Tell(SettledByHand says)

    let judge said look payout =
        match look, said.Ending, said.Named with
        | Shown [ report ], _, named when named.IsNone || isOf payout report ->
            if isSo said.Ending report.Sight.Says then
                Tell(PayoutSeen [ report.Sight ])
            else
                SaysOtherwise report.Sight
        | Shown _, _, Some _ -> NotThisOne
        | Shown(_ :: _ as several), _, None -> SeveralShown [ for report in several -> report.Sight ]

        | (Shown [] | Hidden), Some EndedPaid, None -> NameMissing
        | Shown [], (Some EndedFailed | None), None -> byHand (FailedByHand(None, said.Note))
        | Shown [], Some EndedCanceled, None -> byHand (CanceledByHand None)

        | Hidden, None, _ -> EndingMissing
        | Hidden, Some EndedPaid, Some id -> byHand (PaidByHand id)
        | Hidden, Some EndedFailed, named -> byHand (FailedByHand(named, said.Note))
        | Hidden, Some EndedCanceled, named -> byHand (CanceledByHand named)
