/// What the store promises beneath the flows: claims, guards, migrations.
module Veza.Host.Tests.StoreTests

open System
open System.Threading
open System.Threading.Tasks
open Expecto
open Microsoft.Extensions.DependencyInjection
open Microsoft.Extensions.Logging.Abstractions
open Npgsql
open Veza.Host.Configuration
open Veza.Adapters.Ports
open Veza.Adapters.Postgres
open Veza.Domain
open Veza.Domain.Transfers
open Veza.Host.Tests.Scene

let private off = [ "REVERSAL_WORKER_ENABLED", "false"; "TRANSFER_RETRY_ENABLED", "false" ]
let private none = CancellationToken.None

let private stored (scene: Scene) (ids: Guid list) =
    task {
        use! session = scene.Services.GetRequiredService<IStore>().Begin none
        let! transfers = session.Transfers(ResizeArray ids, none)
        return transfers
    }

[<Tests>]
let tests =
    testList "store" [
        play "a claim does to the row what the domain does to the transfer" off (fun scene ->
            task {
                let! order = scene.PaidOrder()
                let! transfers = scene.Transfers order
                let ids = [ for transfer in transfers -> Guid(text "id" transfer) ]
                let rules = scene.Services.GetRequiredService<Settings>().TransferRules
                let queue = scene.Services.GetRequiredService<IStore>()
                // Fresh, then in flight and taken over, then with a key too old to be trusted.
                for hours in [ 1.; 2.; 30. ] do
                    let now = DateTimeOffset.UtcNow.AddHours hours
                    let! before = stored scene ids
                    let! claimed = queue.ClaimTransfers(Work.Sending, 10, now, rules.Lease, none)
                    Expect.hasLength claimed 2 "both are due"
                    for taken in claimed do
                        let expected = Transfer.claimed rules now before[taken.Value.Id.Value].Value
                        let close (transfer: Transfer) =
                            // PostgreSQL keeps microseconds.
                            { TransferRow.toRow transfer with DueAt = Nullable(); FirstSentAt = Nullable() }
                        Expect.equal (close taken.Value) (close expected) "the same"
                        Expect.equal
                            taken.Version
                            (before[taken.Value.Id.Value].Version + 1)
                            "and its version counted"
                        let due (transfer: Transfer) = transfer.Attempt.Value.DueAt.ToUnixTimeMilliseconds()
                        Expect.equal (due taken.Value) (due expected) "with the same lease"
            })
        play "two workers never claim the same transfer" off (fun scene ->
            task {
                for _ in 1..10 do
                    let! _ = scene.PaidOrder()
                    ()
                let queue = scene.Services.GetRequiredService<IStore>()
                let now = DateTimeOffset.UtcNow
                let! claims =
                    Task.WhenAll [
                        for _ in 1..8 ->
                            queue.ClaimTransfers(Work.Sending, 5, now, TimeSpan.FromMinutes 1., none)
                    ]
                let ids = claims |> Seq.concat |> Seq.map _.Value.Id |> List.ofSeq
                Expect.equal (List.distinct ids) ids "each once"
            })
        play
            "what is in hand stays with its host as long as its lease is renewed, and under its version"
            off
            (fun scene ->
                task {
                    let! _ = scene.PaidOrder()
                    let queue = scene.Services.GetRequiredService<IStore>()
                    let lease = TimeSpan.FromMinutes 1.
                    let start = DateTimeOffset.UtcNow
                    let claim (minutes: float) =
                        queue.ClaimTransfers(Work.Sending, 10, start.AddMinutes minutes, lease, none)
                    let hold (minutes: float) version (claimed: Versioned<Transfer> seq) =
                        let held = [|
                            for taken in claimed do
                                Lease(Leased.Transfer, string taken.Value.Id.Value, taken.Version + version)
                        |]
                        queue.HoldUntil(held, start.AddMinutes minutes, none)
                    let! claimed = claim 0.
                    Expect.hasLength claimed 2 "both are due"
                    do! hold 3. 0 claimed
                    do! hold 2. 0 claimed
                    let! early = claim 2.5
                    Expect.isEmpty early "renewed, and never taken back"
                    let! after = claim 3.
                    Expect.hasLength after 2 "nobody renewed it any more"
                    do! hold 9. 0 claimed
                    let! again = claim 4.
                    Expect.hasLength again 2 "who lost it cannot renew it"
                })
        play "whatever can be in hand can be renewed" off (fun scene ->
            task {
                let! order = scene.PaidOrder()
                let queue = scene.Services.GetRequiredService<IStore>()
                let until = DateTimeOffset.UtcNow.AddDays 1.
                let nobody = Guid.CreateVersion7()
                let held = [|
                    for what in Enum.GetValues<Leased>() do
                        match what with
                        | Leased.Event -> Lease(what, "0")
                        | Leased.Delivery -> Lease(what, $"{nobody}:1")
                        | Leased.Payment -> Lease(what, order)
                        | _ -> Lease(what, string nobody)
                |]
                do! scene.Execute $"update payments set due_at = now() where order_id = '{order}'"
                do! queue.HoldUntil(held, until, none)
                let! due = scene.Scalar<DateTime> $"select due_at from payments where order_id = '{order}'"
                Expect.isGreaterThan due (DateTime.UtcNow.AddHours 23.) "a payment that is being asked about"
            })
        play "of two writers on one version the second one is told" off (fun scene ->
            task {
                let! order = scene.PaidOrder()
                let! transfers = scene.Transfers order
                let id = Guid(text "id" transfers[0])
                let! before = stored scene [ id ]
                let rules = scene.Services.GetRequiredService<Settings>().TransferRules
                let write () =
                    task {
                        use! session = scene.Services.GetRequiredService<IStore>().Begin none
                        let changes = Changes()
                        let next = Transfer.claimed rules DateTimeOffset.UtcNow before[id].Value
                        changes.Transfers.Read(id, before[id])
                        changes.Transfers.Become(id, next) |> ignore
                        do! session.Write(changes, DateTimeOffset.UtcNow, none)
                        do! session.Commit none
                    }
                do! write ()
                let! second =
                    task {
                        try
                            do! write ()
                            return false
                        with :? ConcurrentChangeException ->
                            return true
                    }
                Expect.isTrue second "reload and decide again"
            })
        play "a row no transfer could have left behind is an error, never a guess" off (fun scene ->
            task {
                let! order = scene.PaidOrder()
                let! transfers = scene.Transfers order
                let id = text "id" transfers[0]
                do!
                    scene.Execute
                        "alter table seller_transfers drop constraint seller_transfers_status_check"
                do! scene.Execute $"update seller_transfers set status = 'forged' where id = '{id}'"
                let! refused =
                    task {
                        try
                            let! _ = stored scene [ Guid id ]
                            return false
                        with :? IO.InvalidDataException ->
                            return true
                    }
                Expect.isTrue refused "it is refused"
            })
        testTask "migrations may run from several hosts at once, and again" {
            let! (connectionString: string) = Databases.bare ()
            let migrate () =
                let settings = NpgsqlConnectionStringBuilder(connectionString)
                Migrator(settings, Database.Open settings, NullLogger<Migrator>.Instance).Migrate none
            let! (applied: System.Collections.Generic.IReadOnlyList<string> array) =
                Task.WhenAll [ for _ in 1..4 -> migrate () ]
            let names = typeof<Migrator>.Assembly.GetManifestResourceNames()
            let migrations = names |> Array.filter _.EndsWith(".sql") |> Array.length
            Expect.equal (applied |> Seq.sumBy _.Count) migrations "each migration once"
            let! again = migrate ()
            Expect.isEmpty again "and never again"
            let! journal = Databases.scalar<int64> connectionString "select count(*) from schema_versions"
            Expect.equal journal (int64 migrations) ""
        }
        testTask "981 says how many completed transfers have no Stripe id" {
            let! connectionString = Databases.fresh ()
            let! indexes =
                Databases.scalar<int64>
                    connectionString
                    "select count(*) from pg_indexes where indexdef like '%UNIQUE%' and indexdef like '%<> ''''%' and indexname like 'seller_transfer%stripe%'"
            Expect.equal indexes 2L "both Stripe ids are unique where there is one"
        }
        test "a database is named by URL or by keywords, and a bad one is refused without its password" {
            let url = Database.Parse "postgres://user:p%40ss@one:5433,two:5434/shop?sslmode=require"
            Expect.equal (url.Host, url.Password, url.Database) ("one:5433,two:5434", "p@ss", "shop") ""
            Expect.equal url.TargetSessionAttributes "primary" "several hosts: only the one that writes"
            for bad in [ "postgres://user:secret@/db?nonsense=1"; "nonsense"; "Password=secret;Hots=x" ] do
                let why =
                    try
                        Database.Parse bad |> ignore
                        ""
                    with :? FormatException as error ->
                        error.Message
                Expect.isNotEmpty why bad
                Expect.isFalse (why.Contains "secret") "the password stays out of it"
        }
    ]
