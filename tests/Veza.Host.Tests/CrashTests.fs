/// A host as a process of its own, killed as kill -9 kills.
module Veza.Host.Tests.CrashTests

open System
open System.Collections.Generic
open System.Diagnostics
open System.IO
open System.Threading
open System.Threading.Tasks
open Expecto
open Veza.Host.Tests.Scene
open Veza.Sandbox.Control
open Veza.Sandbox.Demo

/// The executable that the build put beside the tests' own.
let program =
    Path.GetFullPath(
        Path.Combine(
            AppContext.BaseDirectory,
            "..",
            "..",
            "Veza.Host",
            DirectoryInfo(AppContext.BaseDirectory).Name,
            "veza"
        )
    )

let private environment (scene: Scene) =
    dict [
        "DATABASE_URL", scene.ConnectionString
        "HYPERSWITCH_BASE_URL", scene.HyperswitchUrl
        "HYPERSWITCH_API_KEY", "snd_test_key_for_hyperswitch"
        "HYPERSWITCH_WEBHOOK_SECRET", scene.World.Wiring.HyperswitchSecret
        "STRIPE_API_BASE", scene.StripeUrl
        "STRIPE_SECRET_KEY", "sk_test_key_for_stripe"
        "REVERSAL_CHECK_INTERVAL", "50ms"
        "WORKER_LEASE", "1s"
        "STRIPE_TIMEOUT", "10s"
    ]

let private off = [ "REVERSAL_WORKER_ENABLED", "false" ]

[<Tests>]
let tests =
    testList "crash" [
        play "killed between send and save: finished after the restart, once" off (fun scene ->
            task {
                let! order = scene.SettledOrder()
                // Its event would tell sooner than the lease runs out.
                scene.World.Wiring.StripeTarget <- null
                let! answer = scene.Refund(order, "")
                do! scene.RefundIs(answer.Text "id", "succeeded")
                // Stripe does it and takes its time to say so; meanwhile the host dies.
                scene.World.Faults.Add(
                    Fault(
                        "stripe.reversals.create",
                        FaultMode.Slow,
                        Times = 2,
                        Delay = TimeSpan.FromSeconds 30.
                    )
                )
                let settings = Dictionary<string, string>(environment scene)
                use host = VezaProcess.At(program, settings)
                do! host.Start CancellationToken.None
                let done' () =
                    scene.World.Stripe.Transfers() |> Seq.sumBy (fun transfer -> transfer.Reversed)
                do! scene.Until("Stripe to have done it", fun () -> Task.FromResult(done' () = 9000L))
                let! transfers = scene.Transfers order
                Expect.all
                    transfers
                    (fun transfer -> text "status" transfer = "reversal_pending")
                    "nobody has heard of it"
                do! host.Kill()
                do! host.Start CancellationToken.None
                do! scene.TransfersAre(order, "reversed")
                Expect.equal (done' ()) 9000L "once"
                do! scene.BooksAgree()
            })
        play
            "killed with work in hand: another host takes it up within WORKER_LEASE, not at its next check"
            off
            (fun scene ->
                task {
                    let lease = TimeSpan.FromSeconds 4.
                    let! order = scene.SettledOrder()
                    scene.World.Wiring.StripeTarget <- null
                    let! answer = scene.Refund(order, "")
                    do! scene.RefundIs(answer.Text "id", "succeeded")
                    scene.World.Faults.Add(
                        Fault(
                            "stripe.reversals.create",
                            FaultMode.Slow,
                            Times = 2,
                            Delay = TimeSpan.FromSeconds 30.
                        )
                    )
                    let settings = Dictionary<string, string>(environment scene)
                    settings["WORKER_LEASE"] <- "4s"
                    settings["REVERSAL_CHECK_INTERVAL"] <- "10m"
                    use host = VezaProcess.At(program, settings)
                    do! host.Start CancellationToken.None
                    let done' () =
                        scene.World.Stripe.Transfers() |> Seq.sumBy (fun transfer -> transfer.Reversed)
                    do! scene.Until("Stripe to have done it", fun () -> Task.FromResult(done' () = 9000L))
                    let! second =
                        Second.With scene [ "WORKER_LEASE", "4s"; "REVERSAL_CHECK_INTERVAL", "10m" ]
                    do! host.Kill()
                    let killed = Stopwatch.StartNew()
                    do! scene.TransfersAre(order, "reversed")
                    // The call itself, and the look at it from here.
                    Expect.isLessThan killed.Elapsed (lease + TimeSpan.FromSeconds 3.) "within the lease"
                    do! second.DisposeAsync()
                    Expect.equal (done' ()) 9000L "once"
                    do! scene.BooksAgree()
                })
        play
            "what waits for its turn longer than a lease stays with its host, and is sent once"
            [ "STRIPE_RATE_LIMIT", "1"; "WORKER_LEASE", "3s"; "TRANSFER_RETRY_ENABLED", "false" ]
            (fun scene ->
                task {
                    for _ in 1..3 do
                        let! _ = scene.PaidOrder()
                        ()
                    let! second =
                        Second.With scene [
                            "STRIPE_RATE_LIMIT", "1"
                            "WORKER_LEASE", "3s"
                            "REVERSAL_WORKER_ENABLED", "false"
                        ]
                    let mutable sends = 0
                    do!
                        scene.Until(
                            "all to be sent",
                            fun () ->
                                task {
                                    let! most = scene.Scalar<int> "select max(sends) from seller_transfers"
                                    sends <- max sends most
                                    let! left =
                                        scene.Scalar<int64>
                                            "select count(*) from seller_transfers where status <> 'completed'"
                                    return left = 0L
                                }
                        )
                    do! second.DisposeAsync()
                    Expect.equal sends 1 "nobody took it for abandoned"
                })
        play "stopped politely, it finishes what is in flight" off (fun scene ->
            task {
                let! order = scene.SettledOrder()
                let! answer = scene.Refund(order, "")
                do! scene.RefundIs(answer.Text "id", "succeeded")
                scene.World.Faults.Add(
                    Fault(
                        "stripe.reversals.create",
                        FaultMode.Slow,
                        Times = 2,
                        Delay = TimeSpan.FromMilliseconds 700.
                    )
                )
                let! second = Second.Worker scene
                do! scene.Until("the calls", fun () -> Task.FromResult(scene.World.Faults.Struck = 2))
                do! second.DisposeAsync()
                let! transfers = scene.Transfers order
                Expect.all
                    transfers
                    (fun transfer -> text "status" transfer = "reversed")
                    "its answers are stored"
            })
    ]
