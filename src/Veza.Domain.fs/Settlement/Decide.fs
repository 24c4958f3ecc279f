/// Each aggregate's answer to a signal as a whole decision: its step, its postings and what begins because of it.
namespace Veza.Domain

open Veza.Domain.Deposits
open Veza.Domain.Orders
open Veza.Domain.Payouts
open Veza.Domain.Refunds
open Veza.Domain.Subscriptions
open Veza.Domain.Transfers

module Decide =
    let private by step next = { Next = next; Effect = Effect.ofSteps [ step next ] }

    let order signal order = Order.apply signal order |> Outcome.map (by (Step.order order signal))

    let refund rules now signal refund =
        Refund.apply rules now signal refund |> Outcome.map (by (Step.refund refund signal))

    let payout rules now signal payout =
        Payout.apply rules now signal payout |> Outcome.map (by (Step.payout payout signal))

    let subscription rules now signal subscription =
        Subscription.apply rules now signal subscription
        |> Outcome.map (by (Step.subscription subscription signal))

    let deposit rules now signal deposit =
        Deposit.apply rules now signal deposit
        |> Outcome.map (fun next -> { Next = next; Effect = Effect.ofDeposit deposit signal next })

    let private moved now transfer signal outcome =
        outcome
        |> Outcome.map (fun (next, movements) -> {
            Next = next
            Effect = Effect.ofTransfer now transfer signal (next, movements)
        })

    let transfer rules now signal transfer =
        Transfer.apply rules now signal transfer |> moved now transfer signal

    /// What a worker brings back from a duty that it took on.
    let transferHeard rules now asked signal transfer =
        Transfer.hear rules now asked signal transfer |> moved now transfer signal

    let createOrder order = { Next = order; Effect = Effect.ofSteps [ Step.orderCreated order ] }

    /// Whoever asks for it also sends it: it is under lease from the beginning.
    let requestPayout rules now id seller account amount =
        Payout.request id seller account amount now |> Payout.claimed rules now |> by Step.payoutRequested

    let subscribe id subscriber plan now =
        Subscription.subscribe id subscriber plan now |> by Step.subscriptionRequested
