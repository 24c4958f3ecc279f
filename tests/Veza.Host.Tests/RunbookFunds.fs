/// The walks of transfers and reversals that lack money.
module Veza.Host.Tests.RunbookFunds

open Expecto
open Veza.Domain
open Veza.Host.Tests.Scene
open Veza.Host.Tests.RunbookWalk
open Veza.Host.Tests.RunbookTransfers

let private week = since "8 days"

/// Ada has been paid out before her share is taken back.
let private paidOut (scene: Scene) =
    task {
        let! order = scene.SettledOrder()
        scene.World.Stripe.PayOut("acct_ada", "eur") |> ignore
        do! refundAll scene order
        do! has scene order "ada" "waiting_for" "seller_funds"
        return order
    }

/// Enough for bob and not for ada.
let private short (scene: Scene) (hosts: Hosts) =
    task {
        let! order = scene.PaidOrder()
        scene.World.Stripe.Move("platform", "eur", -6000L)
        do! hosts.Start seldom
        do! has scene order "bob" "status" "completed"
        do! has scene order "ada" "waiting_for" "platform_funds"
        return order
    }

let private fill (scene: Scene) account () =
    control scene $"accounts/{account}/top-up" """{"currency":"eur","amount":6000}"""

let walks = [
    for way, isHeard in [ "The seller's money comes", true; "Try it now", false ] do
        walk Alarm.SellerFundsMissing way unheard (fun scene _ ->
            task {
                let! order = paidOut scene
                if not isHeard then
                    silence scene
                return {
                    Variables = []
                    Ages = week
                    Elsewhere = [ "at Stripe: the seller's balance is filled", fill scene "acct_ada" ]
                    Over = ended scene order "reversed"
                }
            })
    walk Alarm.SellerFundsMissing "Give it up" unheard (fun scene _ ->
        task {
            let! order = paidOut scene
            return {
                Variables = []
                Ages = week
                Elsewhere = []
                Over =
                    fun () ->
                        task {
                            do! has scene order "ada" "status" "written_off"
                            let! balance = scene.Get "/api/v1/sellers/ada/balance"
                            Expect.equal (number "debt" (items "data" balance.Body).Head) 0L "forgiven"
                            do! scene.BooksAgree()
                        }
            }
        })
    for way, isHeard in [ "Top up", true; "Send one now", false ] do
        walk Alarm.PlatformFundsMissing way (noSending @ unheard) (fun scene hosts ->
            task {
                let! order = short scene hosts
                if not isHeard then
                    silence scene
                return {
                    Variables = []
                    Ages = ""
                    Elsewhere = [
                        "at Stripe: top up the platform's balance, and switch its automatic payouts to manual",
                        fill scene "platform"
                    ]
                    Over = ended scene order "completed"
                }
            })
]
