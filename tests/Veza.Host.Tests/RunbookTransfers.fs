/// The walks of transfers and reversals.
module Veza.Host.Tests.RunbookTransfers

open System
open System.Collections.Generic
open System.Threading.Tasks
open Expecto
open Veza.Domain
open Veza.Host.Tests.Scene
open Veza.Host.Tests.RunbookWalk
open Veza.Sandbox.Control

let noSending = [ "TRANSFER_RETRY_ENABLED", "false" ]
let private noReversing = [ "REVERSAL_WORKER_ENABLED", "false" ]
/// Nothing is tried again in time.
let seldom = [
    "FUNDS_RETRY_INTERVAL", "1h"
    "TRANSFER_RETRY_BACKOFF_BASE", "1h"
    "TRANSFER_RETRY_BACKOFF_MAX", "1h"
]
let unheard = [ "EVENT_WALK_INTERVAL", "1h"; "FUNDS_RETRY_INTERVAL", "1h" ]
/// Stripe does not know it.
let private revoked = [ "STRIPE_SECRET_KEY", "rk_test_revoked" ]

let since ago =
    $"update seller_transfers set waiting_since = least(waiting_since, now() - interval '{ago}') where waiting_since is not null"

let private quarter = since "16 minutes"

let private transferOf (scene: Scene) (order: string) seller =
    task {
        let! transfers = scene.Transfers order
        return transfers |> List.find (fun transfer -> text "seller_id" transfer = seller)
    }

let has (scene: Scene) order seller (field: string) value =
    scene.Until(
        $"{seller}'s transfer to have {field} {value}",
        fun () ->
            task {
                let! transfer = transferOf scene order seller
                return text field transfer = value
            }
    )

let private bothHave scene order field value =
    task {
        do! has scene order "ada" field value
        do! has scene order "bob" field value
    }

let ended scene order status () = task { do! bothHave scene order "status" status }

let silence (scene: Scene) = scene.World.Courier.Add(DeliveryRule("*", Delivery.Drop))

let private refusal code ``match`` =
    Fault("stripe.transfers.create", FaultMode.ErrorBefore, Status = 400, Code = code, Match = ``match``)

let refundAll (scene: Scene) order =
    task {
        let! refund = scene.Refund(order, "")
        do! scene.RefundIs(refund.Text "id", "succeeded")
    }

let private newKey =
    "on every host: set a STRIPE_SECRET_KEY that may make transfers and reversals, and restart it"

/// Ada's has another account by now, and her transfer was refused for the old one.
let private accountClosed settled (scene: Scene) (_: Hosts) =
    task {
        scene.World.Faults.Add(refusal "account_closed" "acct_ada")
        let! order = scene.PaidOrder()
        do! settled scene order
        scene.World.Stripe.Open "acct_new"
        return {
            Variables = [ "SELLER", "ada"; "ACCOUNT", "acct_new" ]
            Ages = quarter
            Elsewhere = []
            Over =
                fun () ->
                    task {
                        do! has scene order "ada" "status" "completed"
                        Expect.equal (scene.World.Stripe.Balance("acct_new", "eur")) 5400L "once, there"
                        do! scene.BooksAgree()
                    }
        }
    }

let private stuck = [
    walk Alarm.TransferStuck "Stripe refuses our key: `401`, `403`" noSending (fun scene hosts ->
        task {
            let! order = scene.PaidOrder()
            do! hosts.Start revoked
            do! bothHave scene order "waiting_for" "provider"
            return {
                Variables = []
                Ages = quarter
                Elsewhere = [ newKey, (fun () -> hosts.Restart []) ]
                Over = ended scene order "completed"
            }
        })
    walk Alarm.TransferStuck "Stripe's limit: `429`, `held_back`" noSending (fun scene hosts ->
        task {
            scene.World.Faults.Add(
                Fault("stripe.transfers.create", FaultMode.ErrorBefore, Status = 429, Code = "rate_limit")
            )
            let! order = scene.PaidOrder()
            do! hosts.Start []
            do! bothHave scene order "waiting_for" "provider"
            return {
                Variables = []
                Ages = quarter
                Elsewhere = [
                    "on every host: set STRIPE_RATE_LIMIT so that all hosts together stay below Stripe's limit, and restart it",
                    (fun () ->
                        scene.World.Faults.Clear()
                        hosts.Restart [ "STRIPE_RATE_LIMIT", "20" ])
                ]
                Over = ended scene order "completed"
            }
        })
    walk
        Alarm.TransferStuck
        "The seller's account: `account_invalid`, `account_closed`"
        seldom
        (accountClosed (fun scene order -> has scene order "ada" "waiting_for" "retry"))
    walk Alarm.TransferStuck "Nobody takes it up: `due`, `in_flight`" noSending (fun scene hosts ->
        task {
            let! order = scene.PaidOrder()
            return {
                Variables = []
                Ages = quarter
                Elsewhere = [
                    "on a host: start it with TRANSFER_RETRY_ENABLED=true",
                    (fun () -> hosts.Start [ "TRANSFER_RETRY_ENABLED", "true" ])
                ]
                Over = ended scene order "completed"
            }
        })
    walk Alarm.ReversalStuck "Stripe refuses our key: `401`, `403`" noReversing (fun scene hosts ->
        task {
            let! order = scene.SettledOrder()
            do! refundAll scene order
            do! hosts.Start revoked
            do! bothHave scene order "waiting_for" "provider"
            return {
                Variables = []
                Ages = quarter
                Elsewhere = [ newKey, (fun () -> hosts.Restart []) ]
                Over = ended scene order "reversed"
            }
        })
    walk Alarm.ReversalStuck "Nobody takes it up: `due`, `in_flight`" noReversing (fun scene hosts ->
        task {
            let! order = scene.SettledOrder()
            do! refundAll scene order
            return {
                Variables = []
                Ages = quarter
                Elsewhere = [
                    "on a host: start it with REVERSAL_WORKER_ENABLED=true",
                    (fun () -> hosts.Start [ "REVERSAL_WORKER_ENABLED", "true" ])
                ]
                Over = ended scene order "reversed"
            }
        })
]

/// By hand, as if it were one of ours; answers its name.
let private made (scene: Scene) (order: string) transfer =
    let form =
        dict [
            "destination", "acct_ada"
            "amount", "5400"
            "currency", "eur"
            "transfer_group", $"order_{(Guid.Parse order):N}"
            "metadata[order_id]", order
            "metadata[transfer_id]", text "id" transfer
        ]
    let answer = scene.World.Stripe.Create(Dictionary form)
    Expect.equal answer.Status 200 "Stripe makes it"
    string (answer.Body["id"])

let private givenUp = [
    walk Alarm.TransferNeedsOperator "The cause is mended" [] (fun scene _ ->
        task {
            scene.World.Faults.Add(refusal "account_invalid" "acct_ada")
            let! order = scene.PaidOrder()
            do! has scene order "ada" "status" "permanently_failed"
            scene.World.Faults.Clear()
            return { Variables = []; Ages = ""; Elsewhere = []; Over = ended scene order "completed" }
        })
    walk
        Alarm.TransferNeedsOperator
        "The seller's account is closed or wrong"
        []
        (accountClosed (fun scene order -> has scene order "ada" "status" "permanently_failed"))
    walk Alarm.TransferNeedsOperator "`no_stripe_id`" [] (fun scene _ ->
        task {
            let! order = scene.SettledOrder()
            do! scene.Execute "update seller_transfers set stripe_transfer_id = null where seller_id = 'ada'"
            do! refundAll scene order
            do! has scene order "ada" "given_up" "no_stripe_id"
            return { Variables = []; Ages = ""; Elsewhere = []; Over = ended scene order "reversed" }
        })
    walk Alarm.TransferNeedsOperator "`several_found`" (noSending @ unheard) (fun scene hosts ->
        task {
            let! order = scene.PaidOrder()
            silence scene
            scene.World.Stripe.Move("platform", "eur", 5400L)
            let! transfer = transferOf scene order "ada"
            let one, other = made scene order transfer, made scene order transfer
            do!
                scene.Execute
                    "update seller_transfers set sends = 1, first_sent_at = now() - interval '25 hours' where seller_id = 'ada'"
            do! hosts.Start []
            do! has scene order "ada" "given_up" "several_found"
            return {
                Variables = []
                Ages = ""
                Elsewhere = [
                    "at Stripe: reverse the superfluous transfer, all of it",
                    (fun () ->
                        Expect.equal (scene.World.Stripe.Reverse(other, Dictionary()).Status) 200 ""
                        Task.FromResult())
                ]
                Over =
                    fun () ->
                        task {
                            do! has scene order "ada" "stripe_transfer_id" one
                            let! run = ReconciliationTests.run scene ""
                            Expect.equal (run.Text "status") "agree" $"{run.Body}"
                        }
            }
        })
    walk Alarm.TransferNeedsOperator "`transfer_missing`, or settled otherwise" [] (fun scene _ ->
        task {
            let! order = scene.SettledOrder()
            let! transfer = transferOf scene order "ada"
            scene.World.Faults.Add(
                Fault(
                    "stripe.reversals.create",
                    FaultMode.ErrorBefore,
                    Status = 404,
                    Code = "resource_missing",
                    Match = text "stripe_transfer_id" transfer
                )
            )
            do! refundAll scene order
            do! has scene order "ada" "given_up" "transfer_missing"
            return {
                Variables = []
                Ages = ""
                Elsewhere = []
                Over = fun () -> task { do! has scene order "ada" "status" "written_off" }
            }
        })
]

let walks = stuck @ givenUp
