/// The buyers' bank: it takes payments back, in part or whole, and changes its mind as often as it likes. What it does
/// is done at Hyperswitch and at Stripe alike, and both tell of it.
module Veza.Simulation.BankModel

open Veza.Simulation.HyperswitchModel
open Veza.Simulation.Scheduler
open Veza.Simulation.StripeModel
open Veza.Simulation.Truth

let private next stage =
    match stage with
    | Stage.Inquiry -> Stage.Dispute
    | Stage.Dispute -> Stage.PreArbitration
    | Stage.PreArbitration -> Stage.Arbitration
    | Stage.Arbitration
    | Stage.Reversal -> Stage.Reversal

type BankModel(scheduler: Scheduler, books: Books, hyperswitch: HyperswitchModel, stripe: StripeModel) =
    let tell (kind: string) (dispute: BankDispute) =
        dispute.EverLost <- dispute.EverLost + max 0L (dispute.Lost - dispute.LostBefore)
        dispute.LostBefore <- dispute.Lost
        scheduler.Say(
            "bank",
            $"{dispute.Id}: {dispute.Amount}, %A{dispute.Stage}, %A{dispute.Ruling} ({dispute.Away} is away)"
        )
        stripe.Tell(kind, dispute)
        hyperswitch.Tell dispute

    /// What no other dispute claims of the payment. Refunds do not count: the bank withdraws what it claims.
    let room (payment: Payment) (but: BankDispute option) =
        let others =
            disputesOf books payment
            |> List.filter (fun dispute -> Some dispute.Id <> (but |> Option.map _.Id))
            |> List.filter (fun dispute -> dispute.Ruling <> Ruling.Won)
        payment.Amount - List.sumBy _.Amount others

    /// So many percent of what was captured.
    let part (payment: Payment) percent = max 1L (payment.Amount * int64 percent / 100L)

    member _.Open(payment: Payment, percent: int, isInquiry: bool) =
        let amount = min (part payment percent) (room payment None)
        if payment.IsCaptured && amount > 0L then
            let number = books.Disputes.Count + 1
            let dispute = {
                Id = $"dp_{number}"
                Name = $"dis_{number}"
                Payment = payment
                Amount = amount
                Stage = (if isInquiry then Stage.Inquiry else Stage.Dispute)
                Ruling = Ruling.Opened
                EverLost = 0L
                LostBefore = 0L
            }
            books.Disputes.Add dispute
            tell "created" dispute

    member _.Grow(dispute: BankDispute, percent: int) =
        let amount = min (part dispute.Payment percent) (room dispute.Payment (Some dispute))
        if dispute.IsOpen && amount > dispute.Amount then
            dispute.Amount <- amount
            tell "updated" dispute

    /// An inquiry becomes a dispute; one that was won is taken up again at the next stage.
    member _.Escalate(dispute: BankDispute) =
        let goesOn = dispute.IsInquiry || dispute.Ruling = Ruling.Won
        if
            goesOn && dispute.Stage <> Stage.Reversal && room dispute.Payment (Some dispute) >= dispute.Amount
        then
            dispute.Stage <- next dispute.Stage
            dispute.Ruling <- Ruling.Opened
            tell "updated" dispute

    /// `advances`: at the next stage and not at the present one.
    member _.Rule(dispute: BankDispute, ruling: Ruling, advances: bool) =
        let isMoot =
            dispute.Ruling = ruling
            || (ruling <> Ruling.Won && room dispute.Payment (Some dispute) < dispute.Amount)
        // What is decided is not open again without a new stage.
        let isBackward = ruling = Ruling.Challenged && not dispute.IsOpen
        if not (isMoot || isBackward) then
            // An inquiry is not lost: it has become a dispute before that.
            if (advances && not dispute.IsInquiry) || (dispute.IsInquiry && ruling = Ruling.Lost) then
                dispute.Stage <- next dispute.Stage
            dispute.Ruling <- ruling
            tell (if ruling = Ruling.Challenged then "updated" else "closed") dispute
