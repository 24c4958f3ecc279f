/// A whole Veza on a database of its own, between two simulated providers, in this process.
module Veza.Host.Tests.Scene

open System
open System.Collections.Generic
open System.Net
open System.Net.Http
open System.Text
open System.Text.Json
open System.Threading
open System.Threading.Tasks
open Expecto
open Microsoft.Extensions.Configuration
open Microsoft.Extensions.DependencyInjection
open Npgsql
open Veza.Host.AdminConsole
open Veza.Host.Configuration
open Veza.Host.Http
open Veza.Host.Startup
open Veza.Adapters.Postgres.Repositories
open Veza.Sandbox
open Veza.Sandbox.Control
open Veza.Sandbox.Hyperswitch

/// Minutes become tens of milliseconds.
let private hurried = [
    "REVERSAL_CHECK_INTERVAL", "20ms"
    "REVERSAL_BACKOFF_BASE", "20ms"
    "REVERSAL_BACKOFF_MAX", "100ms"
    "REVERSAL_MAX_RETRIES", "3"
    "TRANSFER_RETRY_CHECK_INTERVAL", "20ms"
    "TRANSFER_RETRY_BACKOFF_BASE", "20ms"
    "TRANSFER_RETRY_BACKOFF_MAX", "100ms"
    "TRANSFER_RETRY_MAX_RETRIES", "3"
    "SWEEP_INTERVAL", "100ms"
    "SWEEP_AFTER", "300ms"
    "ABSENT_AFTER", "600ms"
    "FUNDS_RETRY_INTERVAL", "200ms"
    "WORKER_LEASE", "10s"
    "STRIPE_TIMEOUT", "5s"
    "HYPERSWITCH_TIMEOUT", "5s"
    "STRIPE_RATE_LIMIT", "10000"
    "LOG_LEVEL", "critical"
]

let text (name: string) (element: JsonElement) =
    match element.GetProperty name with
    | found when found.ValueKind = JsonValueKind.Null -> ""
    | found -> string found

type Answer = {
    Status: int
    Body: JsonElement
    Replayed: bool
} with

    member answer.Text(name: string) : string = text name answer.Body
    member answer.Code = answer.Text "code"

let number (name: string) (element: JsonElement) = element.GetProperty(name).GetInt64()
let items (name: string) (element: JsonElement) = [
    for item in element.GetProperty(name).EnumerateArray() -> item
]

let settingsFrom (values: (string * string) list) =
    let pairs = [ for name, value in values -> KeyValuePair<string, string | null>(name, value) ]
    SettingsReader(ConfigurationBuilder().AddInMemoryCollection(pairs).Build())

type Scene
    private
    (
        app: Microsoft.AspNetCore.Builder.WebApplication,
        sandbox: SandboxServer,
        connectionString: string,
        address: string,
        keys: Map<string, string>
    ) =
    let http = new HttpClient(BaseAddress = Uri address)

    static member Open(changes: (string * string) list) =
        task {
            let! connectionString = Databases.fresh ()
            let! sandbox = SandboxServer.Start(0, CancellationToken.None)
            let wiring = sandbox.World.Wiring
            let byName =
                [
                    yield! hurried
                    "DATABASE_URL", connectionString
                    "VEZA_URLS", "http://127.0.0.1:0"
                    "HYPERSWITCH_BASE_URL", sandbox.HyperswitchUrl
                    "HYPERSWITCH_API_KEY", "snd_test_key_for_hyperswitch"
                    "HYPERSWITCH_WEBHOOK_SECRET", wiring.HyperswitchSecret
                    "STRIPE_API_BASE", sandbox.StripeUrl
                    "STRIPE_SECRET_KEY", "sk_test_key_for_stripe"
                    "STRIPE_WEBHOOK_SECRET", wiring.StripeSecret
                    yield! changes
                ]
                |> Map.ofList
            let reader = settingsFrom (Map.toList byName)
            let settings = reader.Read()
            Expect.isEmpty reader.Faults "the test's settings should be valid"
            let app = Composition.Build(nonNull settings)
            let apiKeys = app.Services.GetRequiredService<ApiKeys>()
            let mutable keys = Map.empty
            for role in [ Role.Read; Role.Service; Role.Operator ] do
                let! struct (_, key) = apiKeys.Create(string role, role, "cli:test", CancellationToken.None)
                keys <- keys |> Map.add (ApiKeys.Word role) key
            do! app.StartAsync()
            let address = Seq.head app.Urls
            wiring.SendTo address
            return new Scene(app, sandbox, connectionString, address, keys)
        }

    member _.World = sandbox.World
    member _.HyperswitchUrl = sandbox.HyperswitchUrl
    member _.StripeUrl = sandbox.StripeUrl
    member _.Address = address
    member _.ConnectionString = connectionString
    member _.Services = app.Services
    member _.Key role = keys[role]
    member _.Http = http

    member scene.Send(verb: string, path: string, body: string, headers: (string * string) list) =
        scene.SendBytes(verb, path, Encoding.UTF8.GetBytes body, headers)

    member _.SendBytes(verb: string, path: string, body: byte[], headers: (string * string) list) =
        task {
            use request = new HttpRequestMessage(HttpMethod verb, path)
            if body.Length > 0 then
                let content = new ByteArrayContent(body)
                content.Headers.ContentType <- Headers.MediaTypeHeaderValue "application/json"
                request.Content <- content
            for name, value in headers do
                request.Headers.TryAddWithoutValidation(name, value) |> ignore
            use! response = http.SendAsync request
            let! answer = response.Content.ReadAsStringAsync()
            let kind =
                match response.Content.Headers.ContentType with
                | null -> ""
                | found -> string found.MediaType
            match ApiDocument.fault verb path (int response.StatusCode) kind answer with
            | null -> ()
            | fault -> failtest fault
            let json = if answer = "" then "{}" else answer
            return {
                Status = int response.StatusCode
                Body = JsonDocument.Parse(json).RootElement
                Replayed = response.Headers.Contains "Idempotency-Replayed"
            }
        }

    member scene.As(role, verb, path, body) =
        scene.Send(verb, path, body, [ "Authorization", "Bearer " + keys[role] ])

    member scene.Post(path, body) = scene.As("service", "POST", path, body)
    member scene.Get(path) = scene.As("service", "GET", path, "")

    member scene.Webhook(body: string) =
        let signature = Signatures.Hyperswitch(body, sandbox.World.Wiring.HyperswitchSecret)
        scene.Send("POST", "/webhooks/hyperswitch", body, [ "X-Webhook-Signature-512", signature ])

    /// To the byte, signed as each of the two signs.
    member scene.WebhookOf(provider: string, body: byte[]) =
        let wiring = sandbox.World.Wiring
        scene.SendBytes(
            "POST",
            "/webhooks/" + provider,
            body,
            [
                "X-Webhook-Signature-512", Signatures.Hyperswitch(body, wiring.HyperswitchSecret)
                "Stripe-Signature", Signatures.Stripe(body, wiring.StripeSecret, DateTimeOffset.UtcNow)
            ]
        )

    member _.Execute(sql) = Databases.execute connectionString sql
    member _.Scalar<'t>(sql) = Databases.scalar<'t> connectionString sql

    /// Asks again until it holds, for at most ten seconds.
    member _.Until(what: string, holds: unit -> Task<bool>) =
        task {
            let limit = DateTime.UtcNow.AddSeconds 10.
            let mutable held = false
            while not held do
                let! now = holds ()
                held <- now
                if not held then
                    if DateTime.UtcNow > limit then
                        failtest $"waited ten seconds for: {what}"
                    do! Task.Delay 20
        }

    member scene.Seller(name: string) =
        task {
            let account = $"acct_{name}"
            sandbox.World.Stripe.Open account
            let! answer =
                scene.As(
                    "service",
                    "PUT",
                    $"/api/v1/sellers/{name}",
                    $$"""{"stripe_account_id":"{{account}}"}"""
                )
            Expect.equal answer.Status 200 "the seller is registered"
        }

    /// An order of 60.00 € from ada and 40.00 € from bob, at a fee of a tenth.
    member scene.Order() =
        task {
            do! scene.Seller "ada"
            do! scene.Seller "bob"
            let! answer =
                scene.Post(
                    "/api/v1/orders",
                    """{"buyer_id":"buyer-1","currency":"EUR","lines":[
                        {"product_id":"book","seller_id":"ada","quantity":2,"unit_amount":3000},
                        {"product_id":"lamp","seller_id":"bob","quantity":1,"unit_amount":4000,"license":{"kind":"pro"}}]}"""
                )
            Expect.equal answer.Status 201 "the order is made"
            return answer.Text "id"
        }

    member scene.OfferPayment(order: string) =
        scene.Post("/api/v1/payments", $$"""{"order_id":"{{order}}"}""")

    member scene.OrderIs(order: string, status: string) =
        scene.Until(
            $"the order to be {status}",
            fun () ->
                task {
                    let! answer = scene.Get $"/api/v1/orders/{order}"
                    return answer.Text "status" = status
                }
        )

    /// Paid by its buyer and completed.
    member scene.PaidOrder() =
        task {
            let! order = scene.Order()
            let! payment = scene.OfferPayment order
            sandbox.World.Hyperswitch.Confirm(payment.Text "payment_id", "4242424242424242") |> ignore
            do! scene.OrderIs(order, "completed")
            return order
        }

    member scene.Transfers(order: string) =
        task {
            let! answer = scene.Get $"/api/v1/transfers?order_id={order}"
            return answer.Body |> items "data" |> List.sortBy (text "seller_id")
        }

    member scene.TransfersAre(order: string, status: string) =
        scene.Until(
            $"the transfers to be {status}",
            fun () ->
                task {
                    let! transfers = scene.Transfers order
                    return
                        not transfers.IsEmpty
                        && transfers |> List.forall (fun transfer -> text "status" transfer = status)
                }
        )

    /// Its sellers have their money.
    member scene.SettledOrder() =
        task {
            let! order = scene.PaidOrder()
            do! scene.TransfersAre(order, "completed")
            return order
        }

    member scene.Refund(order: string, more: string) =
        scene.Post("/api/v1/refunds", $$"""{"order_id":"{{order}}"{{more}}}""")

    member scene.RefundIs(refund: string, status: string) =
        scene.Until(
            $"the refund to be {status}",
            fun () ->
                task {
                    let! answer = scene.Get $"/api/v1/refunds/{refund}"
                    return answer.Text "status" = status
                }
        )

    /// A payment outside of an order's books.
    member scene.DepositIs(payment: string, status: string) =
        scene.Until(
            $"the deposit to be {status}",
            fun () ->
                task {
                    let! found =
                        scene.Scalar<int64>
                            $"select count(*) from deposits where payment_id = '{payment}' and status = '{status}'"
                    return found = 1L
                }
        )

    member scene.Balance(account: string) =
        scene.Scalar<int64>
            $"select coalesce(sum(amount), 0)::bigint from ledger_entries where account = '{account}'"

    /// Every currency's postings sum to zero, and what the ledger holds as cash is what Stripe holds.
    member scene.BooksAgree() =
        task {
            let! answer = scene.Get "/api/v1/ledger/trial-balance"
            for currency in items "data" answer.Body do
                Expect.equal (number "sum" currency) 0L "double entry sums to zero"
                let cash =
                    items "accounts" currency
                    |> List.filter (fun account -> text "account" account = "platform_cash")
                    |> List.sumBy (number "balance")
                Expect.equal
                    (sandbox.World.Stripe.Balance(Stripe.StripeBooks.Platform, text "currency" currency))
                    cash
                    "what the ledger says happened is what the providers did"
        }

    interface IAsyncDisposable with
        member _.DisposeAsync() =
            ValueTask(
                task {
                    http.Dispose()
                    do! app.StopAsync()
                    do! app.DisposeAsync()
                    do! sandbox.DisposeAsync()
                    NpgsqlConnection.ClearAllPools()
                }
            )

/// A test with a scene of its own.
let play name changes (act: Scene -> Task<unit>) =
    testTask name {
        use! scene = Scene.Open changes
        do! act scene
    }

/// So many events that came before the money which they take from.
let parked (scene: Scene) count =
    scene.Until(
        $"{count} events to be parked",
        fun () ->
            task {
                let! now =
                    scene.Scalar<int64>
                        "select count(*) from webhook_events where state = 'parked' and awaits <> ''"
                return now = count
            }
    )

let fault operation mode times = Fault(operation, mode, Times = Nullable times)

/// An address for a second host, known before it starts.
let freeAddress () =
    use listener = new Sockets.TcpListener(IPAddress.Loopback, 0)
    listener.Start()
    $"http://{listener.LocalEndpoint}"

/// A second host on the same database, with its workers on.
module Second =
    let With (scene: Scene) (changes: (string * string) list) =
        task {
            let world = scene.World
            let values =
                hurried
                @ [
                    "DATABASE_URL", scene.ConnectionString
                    "VEZA_URLS", "http://127.0.0.1:0"
                    "HYPERSWITCH_BASE_URL", scene.HyperswitchUrl
                    "HYPERSWITCH_API_KEY", "snd_test_key_for_hyperswitch"
                    "HYPERSWITCH_WEBHOOK_SECRET", world.Wiring.HyperswitchSecret
                    "STRIPE_API_BASE", scene.StripeUrl
                    "STRIPE_SECRET_KEY", "sk_test_key_for_stripe"
                ]
                @ changes
            let byName = Map.toList (Map.ofList values)
            let app = Composition.Build(nonNull ((settingsFrom byName).Read()))
            do! app.StartAsync()
            return {
                new IAsyncDisposable with
                    member _.DisposeAsync() =
                        ValueTask(
                            task {
                                do! app.StopAsync()
                                do! app.DisposeAsync()
                            }
                        )
            }
        }

    let Worker scene = With scene []
