/// The adapters on the simulated providers, over HTTP.
module Veza.Adapters.Tests.Wire

open System
open System.Net.Http
open System.Threading
open System.Threading.Tasks
open Expecto
open Veza.Adapters.Hyperswitch
open Veza.Adapters.Ports
open Veza.Adapters.Postgres.Repositories
open Veza.Adapters.Stripe
open Veza.Domain
open Veza.Domain.Orders
open Veza.Domain.Payouts
open Veza.Domain.Refunds
open Veza.Domain.Transfers
open Veza.Sandbox

let none = CancellationToken.None
let certain result = Expect.wantOk result "the test's own data should be valid"
let now = DateTimeOffset(2026, 11, 24, 12, 0, 0, TimeSpan.Zero)
let euro = certain (Currency.parse "EUR")

let private policy = { MaxRetries = 3; Base = TimeSpan.FromSeconds 1.; Cap = TimeSpan.FromSeconds 10. }

let rules = {
    Sending = policy
    Reversing = policy
    FundsInterval = TimeSpan.FromHours 1.
    Lease = TimeSpan.FromMinutes 2.
}

/// What an answer is, in a word or two.
let describe (answer: Answer<'receipt>) =
    match answer with
    | Accepted _ -> "accepted"
    | Denied(refusal, replayed) ->
        let replayed = if replayed then ", replayed" else ""
        $"denied: {RefusalCause.word refusal.Cause} {refusal.Code}{replayed}"
    | NotExecuted(hindrance, _) -> $"not executed: %A{hindrance}"
    | Answer.InDoubt doubt -> $"in doubt: %A{doubt}"
    | Missing -> "missing"
    | Duplicate(_, false) -> "duplicate"
    | Duplicate(_, true) -> "duplicate, replayed"
    | KeyReused _ -> "key reused"

/// A world of its own for each test, with one seller and some money.
type Wire(sandbox: SandboxServer, handler: HttpMessageHandler, stripeUrl: string, hyperswitchUrl: string) =
    let http = new HttpClient(handler, disposeHandler = false)
    let client = StripeClients.Open(http, stripeUrl, "sk_test_wire")
    let hyperswitch =
        let http = new HttpClient(handler, disposeHandler = false, BaseAddress = Uri(hyperswitchUrl + "/"))
        http.DefaultRequestHeaders.Add("api-key", "snd_wire")
        HyperswitchClient(http, null)

    member _.World = sandbox.World
    member _.StripeUrl = sandbox.StripeUrl
    member _.HyperswitchUrl = sandbox.HyperswitchUrl
    member _.Address = sandbox.Address
    member _.Connect = StripeTransfers client
    member _.Payouts = StripePayouts client
    member _.Books = StripeReader client
    member _.Hyperswitch = hyperswitch

    static member Open() =
        task {
            let! sandbox = SandboxServer.Start(0, none)
            sandbox.World.Stripe.Open "acct_ada"
            sandbox.World.Stripe.Move("platform", "eur", 1_000_00L)
            sandbox.World.Payouts.ArrivesAfter <- Nullable()
            return new Wire(sandbox, new SocketsHttpHandler(), sandbox.StripeUrl, sandbox.HyperswitchUrl)
        }

    /// The same world, over another network.
    member _.Over(handler, stripeUrl) = new Wire(sandbox, handler, stripeUrl, sandbox.HyperswitchUrl)

    interface IAsyncDisposable with
        member _.DisposeAsync() =
            http.Dispose()
            sandbox.DisposeAsync()

let play name (act: Wire -> Task<unit>) =
    testTask name {
        use! wire = Wire.Open()
        do! act wire
    }

let private seller = certain (SellerId.Parse "ada")
let private account = certain (StripeAccountId.Parse "acct_ada")

/// 50.00 € that a worker has taken on.
let owed () =
    Transfer.schedule
        (TransferId(Guid.CreateVersion7()))
        (OrderId(Guid.CreateVersion7()))
        seller
        account
        { Minor = 50_00L; Currency = euro }
        now
        TimeSpan.Zero
    |> Transfer.claimed rules now

let send (wire: Wire) (transfer: Transfer) =
    task {
        match Transfer.duty transfer with
        | Some(SendTransfer(amount, key)) ->
            let! answered = wire.Connect.Send(transfer, amount, key, none)
            return answered.Answer
        | duty -> return failtest $"{duty}"
    }

let told signal transfer =
    match Transfer.apply rules now signal transfer with
    | Advanced(next, _) -> next
    | other -> failtest $"{other}"

/// Sent, refunded in part, and about to be taken back.
let toReverse (wire: Wire) amount =
    task {
        let transfer = owed ()
        let! answer = send wire transfer
        return
            transfer
            |> told (TransferAnswered answer)
            |> told (RefundSucceeded { Refund = RefundId(Guid.CreateVersion7()); Amount = amount })
            |> Transfer.claimed rules now
    }

let reverse (wire: Wire) (transfer: Transfer) =
    task {
        match Transfer.duty transfer with
        | Some(SendReversal(id, amount, key)) ->
            let! answered = wire.Connect.Reverse(transfer, id, amount, key, none)
            return answered.Answer
        | duty -> return failtest $"{duty}"
    }

let private payoutRules = {
    Trying = policy
    Lease = TimeSpan.FromMinutes 2.
    AskEvery = TimeSpan.FromHours 1.
}

let payOut (wire: Wire) amount =
    task {
        let payout =
            Payout.request
                (PayoutId(Guid.CreateVersion7()))
                seller
                account
                { Minor = amount; Currency = euro }
                now
            |> Payout.claimed payoutRules now
        let! heard = wire.Payouts.Perform(payout, Option.get (Payout.duty payout), none)
        match heard.Signal with
        | PayoutAnswered answer -> return answer
        | other -> return failtest $"{other}"
    }

/// An order of 100.00 € that is about to be paid.
let order () =
    let line: Line = {
        Id = LineId(Guid.CreateVersion7())
        License = LicenseId(Guid.CreateVersion7())
        Product = "book"
        Seller = seller
        Quantity = 1
        UnitAmount = 100_00L
        LicenseKind = "standard"
        LicenseExpiresAt = None
        RefundedBy = None
    }
    let terms = {
        Seller = seller
        Account = account
        FeeBps = 1000
        Transfer = TransferId(Guid.CreateVersion7())
    }
    Order.create (OrderId(Guid.CreateVersion7())) "bob" euro Proportional [ line ] [ terms ] |> certain

/// Paid at Hyperswitch.
let paid (wire: Wire) =
    task {
        let order = order ()
        let! _ = wire.Hyperswitch.CreatePayment(order, null, none)
        wire.World.Hyperswitch.Confirm((PaymentId.For order.Id).Value, "4242424242424242") |> ignore
        return order
    }

let refundOf (order: Order) amount =
    Refund.reserve
        (RefundId(Guid.CreateVersion7()))
        order.Id
        { Minor = amount; Currency = euro }
        OfAmount
        [ { Seller = seller; Amount = amount } ]
        None
        { SweepAfter = TimeSpan.FromMinutes 2.; AbsentAfter = TimeSpan.FromMinutes 4. }
        now
