/// One policy around each provider: what it turns away was certainly not sent, and who goes last goes last.
module Veza.Adapters.Tests.ResilienceTests

open System
open System.Net.Http
open System.Threading.Tasks
open Expecto
open Microsoft.Extensions.DependencyInjection
open Veza.Adapters.Http
open Veza.Adapters.Tests.Wire
open Veza.Domain
open Veza.Sandbox.Control

/// The handler chain that the host builds, for one provider.
let private policy (perSecond: int) =
    let services = ServiceCollection()
    services.AddSingleton<StripeRateLimiter>(new StripeRateLimiter(perSecond, TimeProvider.System))
    |> ignore
    ProviderPipeline.AddPolicy(
        services.AddHttpClient "stripe",
        "stripe",
        (fun provider -> provider.GetRequiredService<StripeRateLimiter>()),
        TimeSpan.FromSeconds 5.,
        TimeProvider.System
    )
    let provider = services.BuildServiceProvider()
    provider.GetRequiredService<IHttpMessageHandlerFactory>().CreateHandler "stripe"

[<Tests>]
let tests =
    testList "resilience" [
        play "an open circuit is not executed, and an outage costs a few calls" (fun wire ->
            task {
                let behind = wire.Over(policy 10_000, wire.StripeUrl)
                wire.World.Faults.Add(Fault("stripe.*", FaultMode.ErrorBefore, Status = 503))
                let answers = ResizeArray<string>()
                for _ in 1..40 do
                    let! answer = send behind (owed ())
                    answers.Add(describe answer)
                Expect.contains answers "not executed: CircuitOpen" ""
                Expect.isLessThan wire.World.Faults.Struck 40 "the others never left"
                Expect.equal answers[0] "in doubt: ServerError" "until it opened, each was a doubt"
            })
        play "a request that is late is a doubt" (fun wire ->
            task {
                let behind = wire.Over(policy 10_000, wire.StripeUrl)
                wire.World.Faults.Add(
                    Fault("stripe.transfers.create", FaultMode.Slow, Delay = TimeSpan.FromSeconds 8.)
                )
                let! answer = send behind (owed ())
                Expect.equal (describe answer) "in doubt: NoAnswer" ""
            })
        play "at the limit nothing is refused by Stripe" (fun wire ->
            task {
                wire.World.Limits.PerSecond <- 50
                let behind = wire.Over(policy 50, wire.StripeUrl)
                let! answers = Task.WhenAll [ for _ in 1..100 -> send behind (owed ()) ]
                Expect.equal wire.World.Limits.Refused 0L "no 429"
                Expect.all answers (fun answer -> describe answer <> "not executed: RateLimited") ""
            })
        play "a limit that nobody reaches is one that works" (fun wire ->
            task {
                let! answer = send (wire.Over(policy Int32.MaxValue, wire.StripeUrl)) (owed ())
                Expect.notEqual (describe answer) "not executed: RateLimited" "nor does it overflow"
            })
        play "what goes last lets everything else go first" (fun wire ->
            task {
                let chain = policy 50
                let first = wire.Over(chain, wire.StripeUrl)
                let last = wire.Over(new LowPriorityHandler(chain), wire.StripeUrl)
                let order = ResizeArray<string>()
                let note name (work: Task) =
                    task {
                        do! work
                        lock order (fun () -> order.Add name)
                    }
                let behind = [ for _ in 1..20 -> note "last" (last.Books.Transfer("tr_x", none)) ]
                let before = [ for _ in 1..20 -> note "first" (send first (owed ())) ]
                do! Task.WhenAll(behind @ before |> List.map (fun task -> task :> Task))
                let place name = Seq.findIndexBack ((=) name) order
                Expect.isLessThan
                    (order |> Seq.truncate 24 |> Seq.filter ((=) "last") |> Seq.length)
                    5
                    "refunds' work before backfill's"
                Expect.isGreaterThan (place "last") (place "first") ""
            })
        play "a full queue is not executed" (fun wire ->
            task {
                let behind = wire.Over(policy 1, wire.StripeUrl)
                let sends = [ for _ in 1..140 -> send behind (owed ()) ]
                let! turnedAway =
                    task {
                        let! first = Task.WhenAny [ for send in sends |> List.skip 110 -> send :> Task ]
                        do! first
                        return [
                            for send: Task<Answer<StripeTransferId>> in sends do
                                if send.IsCompletedSuccessfully then
                                    describe send.Result
                        ]
                    }
                Expect.contains turnedAway "not executed: HeldBack" "nothing was sent"
            })
    ]
