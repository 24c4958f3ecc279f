module Veza.Simulation.Tests

open System
open Expecto
open Veza.Simulation.Plans
open Veza.Simulation.Runs

/// Each run is one thread's own world, so two cores play two worlds.
let private playAll (seeds: int array) = seeds |> Array.Parallel.map (fun seed -> seed, play (ofSeed seed))

let private told (seed, result: Result) =
    if not result.Violations.IsEmpty then
        let plan = shrink (kind result.Violations.Head) (ofSeed seed)
        failtest (tell plan (play plan))

let private seeds = 1500

/// The same plan as often as it has steps, each time with the host at that step killed there.
let private crashEverywhere name plan =
    let calm = play plan
    if not calm.Violations.IsEmpty then
        failtest (tell plan calm)
    let results = Array.Parallel.map (fun step -> step, playCrashingAt step plan) [| 1 .. calm.Steps |]
    for step, result in results do
        if not result.Violations.IsEmpty then
            let story = String.concat "\n" (List.truncate 120 result.Story)
            failtest $"{name}, a host killed at step {step}: {result.Violations.Head}\n{story}"
    printfn $"crash points: {results.Length, 5}  {name}"

[<Tests>]
let simulation =
    testSequenced
    <| testList "simulation" [
        test "a seed is the same run to the step" {
            for seed in [ 3; 413; 968; 1374 ] do
                Expect.equal
                    (play (ofSeed seed)).Story
                    (play (ofSeed seed)).Story
                    "nothing but the seed decides"
        }
        test $"{seeds} months in the life of a marketplace, in foul weather" {
            let results = playAll [| 1..seeds |]
            let steps = results |> Array.sumBy (fun (_, result) -> result.Steps)
            let moves = results |> Array.sumBy (fun (_, result) -> result.Moves)
            printfn $"simulation: {seeds} seeds, {steps} steps, {moves} movements of money"
            Array.iter told results
            Expect.isGreaterThan moves (seeds * 2) "a world where nothing moves proves nothing"
        }
        testList "a host is killed at every step of" [
            for name, plan in Scenarios.all do
                test name { crashEverywhere name plan }
        ]
    ]
