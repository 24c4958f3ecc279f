/// Whether the histories that all tests have written are in the words of the specification. Runs when all others have.
module Veza.Host.Tests.HistoryTests

open System
open Expecto
open Npgsql
open Veza.Domain.Specifications

/// (machine, from, signal, to); from is empty where the aggregate begins.
let private steps (connectionString: string) =
    task {
        let apart = NpgsqlConnectionStringBuilder(connectionString, Pooling = false)
        use connection = new NpgsqlConnection(apart.ConnectionString)
        do! connection.OpenAsync()
        use command =
            new NpgsqlCommand(
                "select distinct entity, coalesce(from_status, ''), signal, to_status from transitions",
                connection
            )
        use! reader = command.ExecuteReaderAsync()
        let steps = ResizeArray()
        while reader.Read() do
            steps.Add((reader.GetString 0, reader.GetString 1, reader.GetString 2, reader.GetString 3))
        return List.ofSeq steps
    }

let private isSpecified (name, from, signal, target) =
    Machines.all ()
    |> List.exists (fun machine ->
        machine.Name = name && Specification.makes machine (if from = "" then null else from) signal target)

[<Tests>]
let tests =
    testSequenced
    <| testList "histories" [
        testTask "every step that any test has made is on its machine's page" {
            let made = System.Collections.Generic.HashSet()
            for database in Databases.used do
                let! steps = steps database
                made.UnionWith steps
            let foreign = made |> Seq.filter (isSpecified >> not) |> Seq.sort |> List.ofSeq
            Expect.isEmpty foreign (String.Join("\n", foreign |> List.map string))
            Expect.isGreaterThan made.Count 0 "nothing was written, so nothing was looked at"
        }
    ]
