/// The pages under docs/spec come from the code that runs, so they cannot drift from it.
module Veza.Domain.Tests.SpecificationTests

open System
open System.IO
open Expecto
open FSharp.Reflection
open Veza.Domain.Licenses
open Veza.Domain.Orders
open Veza.Domain.Refunds
open Veza.Domain.Specifications
open Veza.Domain.Transfers

let private folder = Path.GetFullPath(Path.Combine(__SOURCE_DIRECTORY__, "..", "..", "docs", "spec"))

let private machine name = Specification.machines |> List.find (fun machine -> machine.Name = name)
let private cases (union: Type) = (FSharpType.GetUnionCases union).Length

[<Tests>]
let tests =
    testList "specification" [
        test "every status can be reached" {
            for name, union in
                [
                    "order", typeof<OrderStatus>
                    "refund", typeof<RefundStatus>
                    "transfer", typeof<TransferStatus>
                    "license", typeof<LicenseStatus>
                ] do
                Expect.hasLength (machine name).States (cases union) $"no status of a {name} is dead"
        }
        test "every signal meets every status" {
            for machine in Specification.machines do
                for state in machine.States do
                    for signal in machine.Signals do
                        let met =
                            machine.Cells
                            |> List.exists (fun cell ->
                                cell.From = state && cell.Signal = signal && not cell.Outcomes.IsEmpty)
                        Expect.isTrue met $"{machine.Name}: {signal} in {state}"
        }
        test "no signal is without a column" {
            Expect.isGreaterThanOrEqual (machine "transfer").Signals.Length (cases typeof<TransferSignal>) ""
            Expect.equal (machine "order").Signals.Length (cases typeof<OrderSignal>) ""
        }
        test "the pages say what the code does" {
            for machine in Specification.machines do
                let page = Path.Combine(folder, machine.Name + ".md")
                let text = Specification.markdown machine
                if Environment.GetEnvironmentVariable "VEZA_WRITE_SPEC" = "1" then
                    Directory.CreateDirectory folder |> ignore
                    File.WriteAllText(page, text)
                Expect.equal (File.ReadAllText page) text "run 'dotnet fsi build.fsx -t Spec' to rewrite it"
        }
    ]
