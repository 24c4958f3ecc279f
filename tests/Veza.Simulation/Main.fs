module Veza.Simulation.Main

open System
open System.Diagnostics
open System.Threading
open Expecto
open Expecto.Impl
open Veza.Simulation.Plans
open Veza.Simulation.Runs

/// A filter that matches nothing is a mistake, not a success.
let private failWhenNothingRan =
    SummaryHandler(fun summary ->
        if List.isEmpty summary.results then
            eprintfn "No test matched."
            exit 2)

let private help =
    """Runs Veza's flows against models of its providers, each seed a world of its own.

  veza-simulation --simulate [--from SEED] [--seeds N] [--minutes M]
  veza-simulation --simulate --survey [--from SEED] [--seeds N]
                                                      every seed, and how many fail in which way
  veza-simulation --simulate --seed SEED              one seed, with its story, step by step
  veza-simulation --simulate --scenario N --crash STEP  a named story, a host killed at that step

Ends with 1 and a short story if a seed fails."""

let private number (argv: string array) name otherwise =
    match Array.tryFindIndex ((=) name) argv with
    | Some place when place + 1 < argv.Length ->
        match Int32.TryParse argv[place + 1] with
        | true, value -> value
        | false, _ ->
            eprintfn $"{name} takes a number, not '{argv[place + 1]}'."
            exit 2
    | Some _
    | None -> otherwise

let private show plan play =
    Scheduler.trace <- true
    let result: Result = play plan
    for minutes, act in plan.Acts do
        printfn $"{minutes, 6} min  {describe act}"
    printfn ""
    List.iter (printfn "%s") result.Story
    List.iter (printfn "✗ %s") result.Violations
    if result.Violations.IsEmpty then 0 else 1

let private shrunk seed violation =
    let plan = shrink (kind violation) (ofSeed seed)
    tell plan (play plan)

let private many first seeds minutes =
    let clock = Stopwatch.StartNew()
    let isTerminal = not Console.IsOutputRedirected
    let limit = TimeSpan.FromMinutes(float minutes)
    let rec go from steps moves =
        let left = first + seeds - from
        if left <= 0 || clock.Elapsed > limit then
            printfn
                $"\n{from - first} seeds, {steps} steps, {moves} movements of money, 0 violations, {clock.Elapsed:g}"
            0
        else
            let batch = [| from .. from + min 100 left - 1 |]
            let results = batch |> Array.Parallel.map (fun seed -> seed, play (ofSeed seed))
            match results |> Array.tryFind (fun (_, result) -> not result.Violations.IsEmpty) with
            | Some(seed, result) ->
                printfn "\n%s" (shrunk seed result.Violations.Head)
                1
            | None ->
                let steps = steps + (results |> Array.sumBy (fun (_, result) -> int64 result.Steps))
                let moves = moves + (results |> Array.sumBy (fun (_, result) -> int64 result.Moves))
                if isTerminal then
                    printf
                        $"\r{from + batch.Length - first} of {seeds} seeds, {steps} steps, {clock.Elapsed:g} "
                go (from + batch.Length) steps moves
    go first 0L 0L

let private survey first seeds =
    let failed =
        [| first .. first + seeds - 1 |]
        |> Array.Parallel.collect (fun seed -> [|
            for violation in List.distinctBy kind (play (ofSeed seed)).Violations -> seed, violation
        |])
    printfn $"{Array.length (Array.distinctBy fst failed)} of {seeds} seeds fail"
    for _, ofKind in failed |> Array.groupBy (snd >> kind) |> Array.sortBy (fun (_, ofKind) -> -ofKind.Length) do
        let seed, violation = Array.minBy fst ofKind
        printfn $"\n{ofKind.Length} seeds: {violation}"
        printfn $"{shrunk seed violation}"
    if failed.Length = 0 then 0 else 1

[<EntryPoint>]
let main argv =
    if Array.contains "--simulate" argv && Array.contains "--help" argv then
        printfn "%s" help
        0
    elif Array.contains "--simulate" argv then
        let number = number argv
        match number "--seed" 0, number "--scenario" 0 with
        | 0, scenario when scenario > 0 && scenario <= Scenarios.all.Length ->
            let _, plan = Scenarios.all[scenario - 1]
            show plan (playCrashingAt (number "--crash" 0))
        | 0, _ when Array.contains "--survey" argv -> survey (number "--from" 1) (number "--seeds" 1000)
        | 0, _ ->
            let minutes = number "--minutes" 0
            // With a time limit alone there is no other end.
            let seeds = number "--seeds" (if minutes = 0 then 10_000 else Int32.MaxValue / 2)
            many (number "--from" 1) seeds (if minutes = 0 then 24 * 60 else minutes)
        | seed, _ -> show (ofSeed seed) play
    else
        runTestsInAssemblyWithCLIArgs
            [ Append_Summary_Handler failWhenNothingRan; Fail_On_Focused_Tests ]
            argv
