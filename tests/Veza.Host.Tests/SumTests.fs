/// What PostgreSQL sums up is what the domain says, in every state that it reaches; and it says so everywhere.
module Veza.Host.Tests.SumTests

open System
open System.Text.Json
open System.Threading
open Expecto
open FsCheck
open FsCheck.FSharp
open Microsoft.Extensions.DependencyInjection
open Npgsql
open Veza.Adapters.Ports
open Veza.Adapters.Postgres.Queries
open Veza.Adapters.Postgres.Repositories
open Veza.Domain
open Veza.Domain.Reconciliation
open Veza.Domain.Tests.Histories
open Veza.Domain.Transfers
open Veza.Host.Tests.Scene

let private none = CancellationToken.None
let private off = [ "REVERSAL_WORKER_ENABLED", "false"; "TRANSFER_RETRY_ENABLED", "false" ]

let private store (scene: Scene) fill =
    task {
        use! session = scene.Services.GetRequiredService<IStore>().Begin none
        let changes = Changes()
        fill changes
        do! session.Write(changes, now, none)
        do! session.Commit none
    }

let private rows (scene: Scene) sql read =
    task {
        let database = scene.Services.GetRequiredService<NpgsqlDataSource>()
        use command = database.CreateCommand sql
        use! reader = command.ExecuteReaderAsync none
        let found = ResizeArray()
        while reader.Read() do
            found.Add(read reader)
        return List.ofSeq found
    }

/// Stripe gives no two reversals one name, and the database holds it to that; the generator does not.
let private namesEachOnce (transfer: Transfer) =
    let names = [
        for settled in transfer.Settled do
            match settled.Settling with
            | Returned(Some name, _) -> name
            | Returned(None, _)
            | Withheld
            | Forgiven
            | Dropped -> ()
    ]
    List.distinct names = names

/// The same histories in every run, so that the states they reach are known.
let private stories =
    let steps = Gen.listOf (Arbitraries.Step().Generator)
    Gen.sampleWithSeed (Rnd 20261125UL) 40 400 steps
    |> Seq.map tell
    |> Seq.filter (fun story -> namesEachOnce story.Transfer)
    |> List.ofSeq

let private isWaiting (transfer: Transfer) = transfer.Status.IsPending || transfer.Status.IsFailed

[<Tests>]
let tests =
    testList "sums" [
        play "of transfers are the domain's, in every state that it reaches" off (fun scene ->
            task {
                let! _ = scene.PaidOrder()
                let id = owed.Id.Value
                do!
                    scene.Execute
                        $"delete from seller_transfers; update order_legs set transfer_id = '{id}' where seller_id = 'ada'"
                let views = scene.Services.GetRequiredService<ReadModels>()
                let backlog = Backlog(scene.Services.GetRequiredService<NpgsqlDataSource>())
                for story in stories do
                    let transfer = story.Transfer
                    do! store scene (fun changes -> changes.Transfers.Become(id, owed) |> ignore)
                    if transfer <> owed then
                        do!
                            store scene (fun changes ->
                                changes.Transfers.Read(id, Versioned<Transfer>(owed, 1))
                                changes.Transfers.Become(id, transfer) |> ignore)
                    let! sums =
                        rows
                            scene
                            "select s.* from seller_transfers t cross join lateral transfer_sums(t) s"
                            (fun row -> [ for column in 0..4 -> row.GetInt64 column ])
                    Expect.equal
                        sums
                        [
                            [
                                transfer.Withheld
                                transfer.Sent
                                transfer.ReversedAtStripe
                                transfer.ReversalsPending
                                transfer.Debt
                            ]
                        ]
                        $"{transfer}"

                    let! seen = views.FindTransfer(id, none)
                    use seen = JsonDocument.Parse(string seen)
                    Expect.equal
                        (number "withheld_amount" seen.RootElement, number "reversed_amount" seen.RootElement)
                        (transfer.Withheld, transfer.ReversedAtStripe)
                        $"the API: {transfer}"
                    let! balance = views.FindBalance("ada", none)
                    use balance = JsonDocument.Parse(string balance)
                    let euros = balance.RootElement[0]
                    Expect.equal
                        [
                            for name in [ "transferred"; "reversed"; "reversal_pending"; "debt" ] ->
                                number name euros
                        ]
                        [
                            transfer.Sent
                            transfer.ReversedAtStripe
                            transfer.ReversalsPending
                            transfer.Debt
                        ]
                        $"the balance: {transfer}"
                    let! waiting = backlog.Read none
                    let inQueue name =
                        Seq.sum [
                            for entry in waiting do
                                if entry.Queue = name then
                                    entry.Amount
                        ]
                    Expect.equal
                        (inQueue "transfers", inQueue "reversals")
                        ((if isWaiting transfer then transfer.Sendable else 0L),
                         transfer.ReversalsPending + transfer.Debt)
                        $"the gauge: {transfer}"
                    do! scene.Execute "delete from seller_transfer_reversals; delete from seller_transfers"

                let reached = [ for story in stories -> TransferWords.status story.Transfer.Status ]
                let every = [
                    "pending"
                    "failed"
                    "completed"
                    "reversal_pending"
                    "reversed"
                    "permanently_failed"
                    "cancelled"
                    "written_off"
                ]
                Expect.containsAll reached every "the histories reach every status"
                let some (what: Transfer -> bool) = stories |> List.exists (fun story -> what story.Transfer)
                Expect.isTrue (some (fun transfer -> transfer.Debt > 0L)) "a debt"
                Expect.isTrue (some (fun transfer -> transfer.ReversalsPending > 0L)) "a pending reversal"
                let adopts (transfer: Transfer) =
                    transfer.UnderWay |> Option.exists (fun taking -> taking.Adopted > 0L)
                Expect.isTrue (some adopts) "a claim that took up what somebody else had reversed"
            })
        play "of one transfer are read by its id, without a call of the function" off (fun scene ->
            task {
                let! plan =
                    rows
                        scene
                        $"""
                        set enable_seqscan = off;
                        explain select s.* from seller_transfers t cross join lateral transfer_sums(t) s
                        where t.id = '{Guid.CreateVersion7()}'"""
                        (fun row -> row.GetString 0)
                do! scene.Execute "reset enable_seqscan"
                let plan = String.concat "\n" plan
                Expect.stringContains plan "seller_transfer_reversals_pkey" "by the index on its claims"
                Expect.isFalse (plan.Contains "Function Scan") plan
            })
        play "of differences count what the domain counts" off (fun scene ->
            task {
                let reasons = [ yield! List.map Difference.word Difference.every; "ledger"; "conservation" ]
                for reason in reasons do
                    for isHealed in [ true; false ] do
                        for acknowledged in [ None; Some "key:Operator" ] do
                            let by =
                                match acknowledged with
                                | Some name -> $"'{name}'"
                                | None -> "null"
                            let! counted =
                                rows
                                    scene
                                    $"select {ReconciliationRuns.Counts} from (values ('{reason}', {isHealed}, {by})) f(reason, healed, acknowledged_by)"
                                    (fun row -> row.GetBoolean 0)
                            Expect.equal
                                counted
                                [ Difference.counts reason isHealed acknowledged.IsSome ]
                                $"{reason}, {isHealed}, {acknowledged}"
            })
    ]
