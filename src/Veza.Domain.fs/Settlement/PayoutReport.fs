/// What Stripe says of a payout when nobody has asked.
namespace Veza.Domain

open Veza.Domain.Payouts

/// A payout as Stripe describes it. It was made with our id in its metadata.
type PayoutReport = { Sight: PayoutSight; Amount: int64; Currency: string; Account: string }

module PayoutReport =
    /// Judged against what was asked for.
    let heard rules now report (payout: Payout) =
        if report.Account <> payout.Account.Value then
            Quarantined DestinationDiffers
        elif not (payout.Amount.Currency.HasCode report.Currency) then
            Quarantined CurrencyDiffers
        elif not (payout.Amount.Is(report.Amount, report.Currency)) then
            Quarantined AmountDiffers
        else
            let signal = PayoutReported report.Sight
            match Payout.apply rules now signal payout with
            | Advanced next -> Settled(Effect.ofSteps [ Step.payout payout signal next ])
            | Unchanged -> AlreadyKnown
            | Refused(AnotherPayoutExists | NotInDoubt) -> Quarantined AnotherPayout
