/// The one loop of all workers.
module Veza.Host.Tests.PollingWorkerTests

open System
open System.Collections.Concurrent
open System.Threading
open System.Threading.Tasks
open Expecto
open Microsoft.Extensions.Logging
open Veza.Host.Background

/// Keeps what was logged.
type private Recorder() =
    member val Lines = ConcurrentQueue<string>()
    interface ILogger with
        member _.BeginScope _ = null
        member _.IsEnabled _ = true
        member this.Log(level, _, state, error, render) =
            this.Lines.Enqueue $"{level}: {render.Invoke(state, error)}"

/// Does to each run what the test says.
type private Counting(interval: TimeSpan, log: ILogger, signal: WorkSignal | null, run: int -> bool) =
    inherit PollingWorker(interval, TimeProvider.System, log, signal)
    let mutable runs = 0
    let counted = new SemaphoreSlim 0
    override _.RunOnce _ =
        task {
            runs <- runs + 1
            counted.Release() |> ignore
            return run runs
        }
    /// Until there was one more run.
    member _.Another() =
        task {
            let! came = counted.WaitAsync(TimeSpan.FromSeconds 20.)
            Expect.isTrue came "another run"
        }
    member _.Runs = runs

let private long = TimeSpan.FromHours 1.

let private playing (worker: Counting) (play: unit -> Task) : Task =
    task {
        do! worker.StartAsync CancellationToken.None
        try
            do! play ()
        finally
            worker.StopAsync(CancellationToken.None).Wait()
            worker.Dispose()
    }

[<Tests>]
let tests =
    testList "polling worker" [
        testTask "while there is more it runs without a wait; then its signal ends the wait" {
            let signal = WorkSignal()
            let worker = new Counting(long, Recorder(), signal, (fun run -> run < 3))
            do!
                playing worker (fun () ->
                    task {
                        for _ in 1..3 do
                            do! worker.Another()
                        Expect.equal worker.Runs 3 "nothing more: it waits"
                        signal.Tap()
                        do! worker.Another()
                    })
        }
        testTask "without a signal its interval ends the wait" {
            let worker = new Counting(TimeSpan.FromMilliseconds 20., Recorder(), null, (fun _ -> false))
            do!
                playing worker (fun () ->
                    task {
                        for _ in 1..3 do
                            do! worker.Another()
                    })
        }
        testTask "a failed run is logged with the worker's name, and the next one comes" {
            let log = Recorder()
            let worker =
                new Counting(
                    TimeSpan.FromMilliseconds 20.,
                    log,
                    null,
                    (fun run -> if run = 1 then failwith "no database" else false)
                )
            do!
                playing worker (fun () ->
                    task {
                        for _ in 1..2 do
                            do! worker.Another()
                    })
            match log.Lines.ToArray() with
            | [| line |] -> Expect.stringStarts line "Error: Counting: this run failed." "said once"
            | lines -> failtest $"{lines}"
        }
        testTask "the stop of the host ends its wait and is no failure" {
            let log = Recorder()
            let worker = new Counting(long, log, WorkSignal(), (fun _ -> false))
            do! playing worker (fun () -> worker.Another())
            Expect.isEmpty log.Lines "nothing went wrong"
        }
    ]
