/// Whether the tests have met everything that the API's description promises. Runs when all others have.
module Veza.Host.Tests.CoverageTests

open System
open System.Threading.Tasks
open Expecto
open NSwag

/// What cannot be brought about from outside: a fault of Veza's own.
let private unreachable = [ "internal_error" ]

let private promised = [
    for path in (ApiDocument.read "openapi.json").Paths do
        for operation in path.Value do
            for response in operation.Value.Responses do
                for media in response.Value.ActualResponse.Content do
                    if media.Key = "application/problem+json" then
                        for code in media.Value.Examples.Keys do
                            operation.Value.OperationId, int response.Key, code
                    else
                        operation.Value.OperationId, int response.Key, ""
]

[<Tests>]
let tests =
    testSequenced
    <| testList "coverage" [
        test "every call and every error of the description has been answered" {
            let missing =
                promised
                |> List.filter (fun (operation, status, code) ->
                    not (List.contains code unreachable)
                    && not (ApiDocument.seen.ContainsKey(operation, status, code)))
            Expect.isEmpty missing (String.Join("\n", missing |> List.map string))
        }
    ]
