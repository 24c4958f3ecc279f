namespace Veza.Domain

/// Whether the platform's fee goes back to the buyer with the seller's part (FEE_REFUND_POLICY).
type FeeRefundPolicy =
    | Proportional
    | Keep

/// How one sum becomes several, to the cent.
module Allocation =
    /// The platform's fee on a gross amount, rounded down: in the seller's favour.
    let fee (gross: int64) (bps: int) = Minor.portion gross (int64 bps) 10_000L

    /// Spreads `amount` in proportion to `weights` by largest remainder. Each share stays within its weight as
    /// long as `amount` is not above their sum, so spreading over what is left of the legs, again and again,
    /// ends exactly at zero with no leg overdrawn. Ties go to the earlier weight.
    let spread (amount: int64) (weights: int64 list) =
        let whole = List.sum weights

        if whole = 0L then
            weights |> List.map (fun _ -> 0L)
        else
            let floors = weights |> List.map (fun weight -> Minor.portion amount weight whole)
            let missing = int (amount - List.sum floors)

            let lucky =
                weights
                |> List.mapi (fun place weight -> place, bigint amount * bigint weight % bigint whole)
                |> List.sortBy (fun (place, remainder) -> -remainder, place)
                |> List.truncate missing
                |> List.map fst
                |> set

            floors |> List.mapi (fun place floor -> if lucky.Contains place then floor + 1L else floor)

    /// What a leg gives back in all once `refunded` of its `gross` is refunded: (of the fee, of the seller's
    /// part). A function of the sum and not of the step, so any sequence of steps ends exactly at the whole.
    /// Proportional: the fee on what remains is rounded down, as it was on the sale.
    /// Keep: the seller gives back the whole refunded part, at most what it received.
    let givenBack policy (gross: int64) (fee: int64) (refunded: int64) =
        match policy with
        | Proportional ->
            let feeBack =
                if gross = 0L then
                    0L
                else
                    fee - Minor.portion fee (gross - refunded) gross
            feeBack, refunded - feeBack
        | Keep -> 0L, min refunded (gross - fee)
