/// Veza's own flows, as the host composes them, on the store in memory and the providers' models.
module Veza.Simulation.Hosts

open System
open System.Collections.Generic
open System.Net.Http
open System.Threading
open System.Threading.Tasks
open Microsoft.Extensions.Configuration
open Microsoft.Extensions.Logging.Abstractions
open Veza.Host.Background
open Veza.Host.Configuration
open Veza.Host.Polling
open Veza.Host.Decisions
open Veza.Host.Deposits
open Veza.Host.Disputes
open Veza.Host.Orders
open Veza.Host.Payments
open Veza.Host.ProviderEvents
open Veza.Host.Refunds
open Veza.Host.Subscriptions
open Veza.Host.Transfers
open Veza.Adapters.Hyperswitch
open Veza.Adapters.Ports
open Veza.Adapters.Stripe
open Veza.Domain
open Veza.Domain.Orders
open Veza.Domain.Transfers
open Veza.Simulation.HyperswitchModel
open Veza.Simulation.MemoryStore
open Veza.Simulation.MemoryTables
open Veza.Simulation.Scheduler
open Veza.Simulation.StripeModel

let private none = CancellationToken.None

/// The defaults of the host, read by the host's own reader.
let settings =
    let given =
        dict [
            "DATABASE_URL", "postgres://nowhere/veza"
            "HYPERSWITCH_BASE_URL", "http://hyperswitch"
            "HYPERSWITCH_API_KEY", "key"
            "STRIPE_SECRET_KEY", "sk_test_simulation"
            // A dispute may stay open to the end, and asking about it every hour takes a while.
            "ASK_INTERVAL", "12h"
        ]
    let configuration =
        ConfigurationBuilder()
            .AddInMemoryCollection(given |> Seq.map (fun pair -> KeyValuePair(pair.Key, pair.Value)))
            .Build()
    SettingsReader(configuration).Read() |> Unchecked.nonNull

type World = {
    Scheduler: Scheduler
    Tables: Tables
    Stripe: StripeModel
    Hyperswitch: HyperswitchModel
    Hosts: List<Host>
    LostCommits: unit -> int
}

and Host(id: int, world: World) =
    let scheduler = world.Scheduler
    let tables = world.Tables
    let store = MemoryStore(id, scheduler, tables, world.LostCommits())
    let istore = store :> IStore
    let clock = scheduler.Clock
    let decider = Decider(istore, clock)
    let wakes = WorkSignals()
    // Nothing is renewed here: a call that outlives its lease is one of the misfortunes.
    let leases = new LeaseKeeper(settings, istore, clock, NullLogger<LeaseKeeper>.Instance)
    let settler = SettlementService settings
    let observations = ProviderReportService(istore, decider, settler, clock)
    let client =
        let http = new HttpClient(new StripeNetwork(id, world.Stripe), Timeout = Timeout.InfiniteTimeSpan)
        StripeClients.Open(http, "http://stripe", "sk_test_simulation")
    let connect = StripeTransfers client
    let stripe = StripeTransferExecutor connect
    let stripeBooks = StripeReader client
    let hyperswitch =
        let http =
            new HttpClient(
                new HyperswitchNetwork(id, world.Hyperswitch),
                Timeout = Timeout.InfiniteTimeSpan,
                BaseAddress = Uri "http://hyperswitch/"
            )
        HyperswitchClient(http, null)
    let calls = RefundCalls hyperswitch
    let orders = OrderService(decider)
    let payments =
        PaymentService(
            settings,
            istore,
            decider,
            hyperswitch,
            observations,
            leases,
            wakes,
            clock,
            NullLogger<PaymentService>.Instance
        )
    let refunds =
        RefundService(
            settings,
            istore,
            decider,
            hyperswitch,
            calls,
            observations,
            leases,
            wakes,
            clock,
            NullLogger<RefundService>.Instance
        )
    let transfers = TransferService(settings, istore, decider, connect, observations, wakes, clock)
    let subscriptions =
        SubscriptionService(
            settings,
            istore,
            decider,
            hyperswitch,
            observations,
            clock,
            NullLogger<SubscriptionService>.Instance
        )
    let disputes = DisputeService(settings, istore, hyperswitch, stripeBooks, observations, leases, clock)
    let deposits =
        DepositService(
            settings,
            istore,
            decider,
            hyperswitch,
            calls,
            observations,
            leases,
            clock,
            NullLogger<DepositService>.Instance
        )
    let inbox =
        new InboxWorker(settings, istore, decider, settler, wakes, clock, NullLogger<InboxWorker>.Instance)
    let sweeper =
        new ProviderPollingWorker(
            settings,
            istore,
            payments,
            refunds,
            disputes,
            deposits,
            wakes,
            clock,
            NullLogger<ProviderPollingWorker>.Instance
        )
    let inquirer =
        new EventLookupWorker(
            settings,
            istore,
            transfers,
            refunds,
            disputes,
            stripeBooks,
            leases,
            wakes,
            clock,
            NullLogger<EventLookupWorker>.Instance
        )
    let walker =
        new StripeEventBackfillWorker(
            settings,
            istore,
            stripeBooks,
            wakes,
            clock,
            NullLogger<StripeEventBackfillWorker>.Instance
        )
    let worker work (chosen: WorkSettings) =
        new TransferWorker(
            work,
            chosen,
            settings,
            istore,
            decider,
            stripe,
            leases,
            wakes.Sending,
            clock,
            NullLogger<TransferWorker>.Instance
        )
    let sending = worker Work.Sending settings.Transfers
    let reversing = worker Work.Reversing settings.Reversals

    /// The worker's loop without its timers: claim, ask for all at once, store what comes back.
    let move (worker: TransferWorker) =
        task {
            let! claimed = worker.ClaimBatch none
            let execute (transfer: Versioned<Transfer>) : Task =
                task {
                    let! result = worker.Perform(transfer, none)
                    match result with
                    | null -> ()
                    | result -> do! worker.Store [| result |]
                }
            do! Task.WhenAll [ for transfer in claimed -> execute transfer ]
        }

    /// What a worker does with a fault: it says so and comes again; leases bring back what it held.
    let guarded name (turn: unit -> Task) : Task =
        task {
            try
                do! turn ()
            with
            | :? ViolationException as violation ->
                scheduler.Say($"host {id}", $"{name}: {violation.Message}")
            | fault -> scheduler.Say($"host {id}", $"{name} fails: {fault.Message}")
        }

    let tried name (turn: unit -> Task) =
        task {
            try
                do! turn ()
                return true
            with fault ->
                scheduler.Say($"host {id}", $"{name} fails: {fault.Message}")
                return false
        }

    /// The least of the times that are seen; nothing if none is.
    let earliest (look: (DateTimeOffset -> unit) -> unit) =
        let mutable least = ValueNone
        look (fun time ->
            match least with
            | ValueSome known when known <= time -> ()
            | ValueSome _
            | ValueNone -> least <- ValueSome time)
        least

    let nextTransfer isWork () =
        earliest (fun see ->
            for KeyValue(_, struct (row, _, _)) in tables.Transfers do
                if isWork row.Status then
                    see row.DueAt.Value)

    let mutable lastSweep = scheduler.Now

    let nextSweep () =
        let due =
            earliest (fun see ->
                for KeyValue(_, struct (row, _)) in tables.Refunds do
                    if row.DueAt.HasValue then
                        see row.DueAt.Value
                for KeyValue(_, payment) in tables.Payments do
                    if payment.Due.HasValue then
                        see payment.Due.Value
                for KeyValue(_, struct (row, _)) in tables.Disputes do
                    if row.DueAt.HasValue then
                        see row.DueAt.Value
                for KeyValue(_, struct (row, _)) in tables.Deposits do
                    if row.DueAt.HasValue then
                        see row.DueAt.Value
                // Looking after those whose object is not here shows nothing.
                for event in tables.Events do
                    if event.State = "parked" && tables.IsHere event then
                        see (lastSweep + settings.SweepInterval))
        due |> ValueOption.map (fun time -> max time (lastSweep + settings.SweepInterval))

    let nextEvent () =
        earliest (fun see ->
            for row in tables.Events do
                if row.State = "received" && not (tables.Locks.ContainsKey $"event {row.Event.Seq}") then
                    see scheduler.Now)

    let sweep () : Task =
        lastSweep <- scheduler.Now
        sweeper.Sweep none

    let mutable lastCharge = scheduler.Now

    let nextCharge () =
        earliest (fun see ->
            for KeyValue(_, struct (row, _)) in tables.Subscriptions do
                if isCharged row.Status then
                    see row.DueAt.Value)
        |> ValueOption.map (fun time -> max time (lastCharge + settings.SubscriptionCheckInterval))

    let charge () : Task =
        lastCharge <- scheduler.Now
        subscriptions.MoveDue none

    let nextInquiry () =
        earliest (fun see ->
            for event in tables.Events do
                if event.State = "asking" then
                    see event.Due.Value)

    let mutable lastWalk = scheduler.Now

    /// Walking a list in which nothing is new shows nothing, and a month of it takes a while.
    let nextWalk () =
        match world.Stripe.Missing(fun name -> tables.Recorded.Contains(struct ("stripe", name))) with
        | ValueSome at ->
            let visible = at + settings.SweepAfter + TimeSpan.FromSeconds 1.
            ValueSome(max visible (lastWalk + settings.EventWalkInterval))
        | ValueNone -> ValueNone

    let walk () : Task =
        lastWalk <- scheduler.Now
        walker.Walk none

    let takeEvents () : Task =
        task {
            try
                let! _ = inbox.Process(200, none)
                ()
            with _ ->
                do! inbox.ProcessOneByOne none
        }

    member _.Id = id
    member _.DropConnections() = store.DropConnections()

    member _.Start() =
        let isOwed status = status = "pending" || status = "failed"
        let isDueBack status = status = "reversal_pending"
        let add name next turn = scheduler.Add(id, name, next, (fun () -> guarded name turn))
        add "sending" (nextTransfer isOwed) (fun () -> move sending)
        add "reversing" (nextTransfer isDueBack) (fun () -> move reversing)
        add "inbox" nextEvent takeEvents
        add "sweeper" nextSweep sweep
        add "subscriptions" nextCharge charge
        add "inquirer" nextInquiry (fun () -> inquirer.Inquire none)
        add "walker" nextWalk walk

    // What comes from outside. False if it is to be asked again.

    member _.Receive event = tried "intake" (fun () -> istore.RecordEvents([| event |], scheduler.Now, none))
    member _.Create(order: Order) = tried "order" (fun () -> orders.Create(order, "{}", "shop", none))
    member _.Cancel order = tried "cancelling" (fun () -> orders.Cancel(order, "shop", none))
    member _.Pay order = tried "payment" (fun () -> payments.Pay(order, null, "shop", none))

    /// `refused` is told that the order has not so much left.
    member _.Refund(id, order, request, refused) =
        tried "refund" (fun () ->
            task {
                let! answer = refunds.Refund(id, order, request, null, "shop", none)
                match answer with
                | :? RefundAnswer.NotAllowed as refusal when refusal.Why.IsMoreThanIsLeft -> refused ()
                | _ -> ()
                return answer
            })

    member _.Subscribe(id, plan) =
        tried "subscription" (fun () -> subscriptions.Subscribe(id, "subscriber", plan, "shop", none))

    member _.EndSubscription id = tried "cancelling" (fun () -> subscriptions.Cancel(id, "shop", none))

    member _.Tell(transfer, signal) =
        tried "operator" (fun () -> transfers.Tell(transfer, signal, "operator", null, Nullable(), none))
