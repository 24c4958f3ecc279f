module Veza.Simulation.Main

open System
open Veza.Simulation.Plans
open Veza.Simulation.Runs

[<EntryPoint>]
let main argv =
    let from, upto = int argv[0], int argv[1]
    let clock = Diagnostics.Stopwatch.StartNew()
    let mutable steps = 0
    let mutable failures = 0
    for seed in from..upto do
        let result = play (ofSeed seed)
        steps <- steps + result.Steps
        if from = upto && argv.Length > 2 then
            List.iter (printfn "%s") result.Story
            printfn "moves %d" result.Moves
        if not result.Violations.IsEmpty then
            failures <- failures + 1
            printfn $"seed {seed}: {List.head result.Violations}"
            if failures <= 1 || upto - from < 3 then
                let plan = shrink (ofSeed seed)
                printfn "%s" (tell plan (play plan))
    printfn $"{upto - from + 1} seeds, {steps} steps, {failures} failures, {clock.Elapsed}"
    0
