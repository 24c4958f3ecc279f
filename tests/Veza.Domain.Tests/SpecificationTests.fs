/// The pages under docs/spec come from the code that runs, so they cannot drift from it.
module Veza.Domain.Tests.SpecificationTests

open System
open System.IO
open Expecto
open FSharp.Reflection
open Veza.Domain
open Veza.Domain.Deposits
open Veza.Domain.Disputes
open Veza.Domain.Licenses
open Veza.Domain.Orders
open Veza.Domain.Payouts
open Veza.Domain.Refunds
open Veza.Domain.Specifications
open Veza.Domain.Subscriptions
open Veza.Domain.Transfers

let private folder = Path.GetFullPath(Path.Combine(__SOURCE_DIRECTORY__, "..", "..", "docs", "spec"))

let private machine name = Machines.all () |> List.find (fun machine -> machine.Name = name)
let private cases (union: Type) = (FSharpType.GetUnionCases union).Length

let private unions = [
    "order", typeof<OrderStatus>, typeof<OrderSignal>
    "refund", typeof<RefundStatus>, typeof<RefundSignal>
    "transfer", typeof<TransferStatus>, typeof<TransferSignal>
    "license", typeof<LicenseStatus>, typeof<LicenseSignal>
    "payout", typeof<PayoutStatus>, typeof<PayoutSignal>
    "subscription", typeof<SubscriptionStatus>, typeof<SubscriptionSignal>
    "deposit", typeof<DepositStatus>, typeof<DepositSignal>
    "dispute", typeof<DisputeStatus>, typeof<DisputeSignal>
]

[<Tests>]
let tests =
    testList "specification" [
        test "every machine is walked" {
            Expect.equal
                [ for machine in Machines.all () -> machine.Name ]
                [ for name, _, _ in unions -> name ]
                ""
            let walked = Machines.all () |> List.sumBy _.Walked
            let states = Machines.all () |> List.sumBy _.Reached.Length
            printfn
                $"specification: {(Machines.all ()).Length} machines, {states} states reached, {walked} transitions walked"
            Expect.isGreaterThan walked 50_000 "a walk that hardly leaves its start proves nothing"
        }
        test "every status can be reached" {
            for name, statuses, _ in unions do
                Expect.hasLength (machine name).States (cases statuses) $"no status of a {name} is dead"
        }
        test "every signal meets every status" {
            for machine in Machines.all () do
                for state in machine.States do
                    for signal in machine.Signals do
                        let met =
                            machine.Cells
                            |> List.exists (fun cell ->
                                cell.From.Status = state
                                && cell.Signal = signal
                                && not cell.Responses.IsEmpty)
                        Expect.isTrue met $"{machine.Name}: {signal} in {state}"
        }
        test "no signal is without a column" {
            for name, _, signals in unions do
                Expect.isGreaterThanOrEqual (machine name).Signals.Length (cases signals) name
        }
        testList "whatever waits" [
            test "has an owner, a next time and an alarm" {
                for machine in Machines.all () do
                    for reached in machine.Reached do
                        match reached.Watch with
                        | None ->
                            Expect.isFalse
                                reached.HasDuty
                                $"{machine.Name} in {reached.At} has a duty and no owner"
                        | Some watch ->
                            // A payment's next time stands with the payment, not with its order.
                            Expect.isTrue
                                (watch.Next.IsSome || machine.Name = "order")
                                $"{machine.Name} in {reached.At} waits without a time"
            }
            test "and that a worker cannot move is the operator's" {
                for machine in Machines.all () do
                    for reached in machine.Reached do
                        match reached.Watch with
                        | Some { Owner = Operator } ->
                            Expect.isTrue
                                reached.IsRetryable
                                $"{machine.Name} in {reached.At}: nothing can be done"
                        | Some _
                        | None ->
                            Expect.isFalse
                                (reached.IsRetryable && not reached.HasDuty)
                                $"{machine.Name} in {reached.At} waits for an operator whom nobody tells"
            }
            test "has an alarm that is reachable" {
                let raised =
                    Machines.all () |> List.collect _.Waits |> List.map _.Alarm |> List.distinct |> List.sort
                let all = Alarm.every |> List.except Alarm.ofNoMachine |> List.map Alarm.word |> List.sort
                Expect.equal raised all "no alarm is dead"
                Expect.hasLength Alarm.every (cases typeof<Alarm>) "and none is left out"
            }
            test "is given up on only after its patience" {
                for alarm in Alarm.every do
                    Expect.isGreaterThanOrEqual (Alarm.patience alarm) TimeSpan.Zero (Alarm.word alarm)
            }
        ]
        test "the pages say what the code does" {
            if Environment.GetEnvironmentVariable "VEZA_MUTATION" = "1" then
                skiptest "a stale page would notice every mutation; the other tests shall"
            let pages =
                [ for machine in Machines.all () -> machine.Name, Specification.markdown machine ]
                @ [ "operation", OperationTable.markdown; "words", WordTable.markdown ]
            for name, text in pages do
                let page = Path.Combine(folder, name + ".md")
                if Environment.GetEnvironmentVariable "VEZA_WRITE_SPEC" = "1" then
                    Directory.CreateDirectory folder |> ignore
                    File.WriteAllText(page, text)
                Expect.isTrue
                    (File.Exists page && File.ReadAllText page = text)
                    $"{name}.md is stale: run 'dotnet fsi build.fsx -t Spec'"
        }
    ]
