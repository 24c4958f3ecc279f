module Veza.Adapters.Tests.Main

open Expecto
open Expecto.Impl

/// A filter that matches nothing is a mistake, not a success.
let private failWhenNothingRan =
    SummaryHandler(fun summary ->
        if List.isEmpty summary.results then
            eprintfn "No test matched."
            exit 2)

[<EntryPoint>]
let main argv =
    runTestsInAssemblyWithCLIArgs [ Append_Summary_Handler failWhenNothingRan; Fail_On_Focused_Tests ] argv
