using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using Spectre.Console;
using Veza.Sandbox;
using Veza.Sandbox.Demo;

namespace Veza.Bench;

/// <summary>
/// How long each call takes under many clients at once, how soon the host is ready, and what it holds in memory before
/// and after. Everything on one machine: clients, host, database and the simulated providers share its cores.
/// </summary>
sealed class Calls(VezaProcess host, SandboxServer providers, string key)
{
    const int Clients = 64;

    readonly HttpClient http = Client(host.Address, key);

    public static async Task Take(string veza, int perCall, int orders, CancellationToken cancellation)
    {
        await using var postgres = await PrivatePostgres.Start(cancellation);
        await using var providers = await SandboxServer.Start(0, cancellation);
        await using var host = VezaProcess.At(
            veza,
            new Dictionary<string, string>
            {
                ["DATABASE_URL"] = postgres.Url,
                ["HYPERSWITCH_BASE_URL"] = providers.HyperswitchUrl,
                ["HYPERSWITCH_API_KEY"] = "snd_bench",
                ["HYPERSWITCH_WEBHOOK_SECRET"] = providers.World.Wiring.HyperswitchSecret,
                ["STRIPE_API_BASE"] = providers.StripeUrl,
                ["STRIPE_SECRET_KEY"] = "sk_test_bench",
                ["STRIPE_WEBHOOK_SECRET"] = providers.World.Wiring.StripeSecret,
                ["STRIPE_RATE_LIMIT"] = "100000",
                ["API_RATE_LIMIT"] = "1000000",
                ["LOG_LEVEL"] = "warning",
            }
        );
        await host.Run(["migrate"], cancellation);
        var key = await host.Run(["api-keys", "create", "--role", "operator", "--name", "b"], cancellation);
        var table = new Table { Border = TableBorder.Rounded }.AddColumns("what", "", "p50", "p99");
        table.AddRow("start to ready on a migrated database", await Starts(host, cancellation), "", "");
        await Task.Delay(TimeSpan.FromSeconds(20), cancellation);
        table.AddRow("memory at rest", Memory(host), "", "");
        providers.World.Wiring.HyperswitchTarget = host.Address + "/webhooks/hyperswitch";
        var calls = new Calls(host, providers, key);
        await calls.Measure(table, perCall);
        table.AddRow("memory after them", Memory(host), "", "");
        await Each(table, $"POST /orders, until there are {orders:N0}", orders, calls.CreateOrder);
        table.AddRow("memory after them", Memory(host), "", "");
        table.AddRow("memory a minute later", await Later(host, cancellation), "", "");
        AnsiConsole.Write(table);
    }

    async Task Measure(Table table, int many)
    {
        foreach (var seller in (string[])["ada", "bob"])
        {
            providers.World.Stripe.Open($"acct_{seller}");
            await Put($"/api/v1/sellers/{seller}", $$"""{"stripe_account_id":"acct_{{seller}}"}""");
        }

        var made = new ConcurrentBag<string>();
        await Each(table, "", 500, CreateOrder);
        await Each(table, "POST /orders", many, async n => made.Add(IdIn(await CreateOrder(n))));
        var orders = made.ToArray();
        await Each(
            table,
            "POST /payments, Hyperswitch's simulation included",
            many,
            n => Post("/api/v1/payments", $$"""{"order_id":"{{orders[n]}}"}""")
        );
        Parallel.ForEach(
            orders,
            order => providers.World.Hyperswitch.Confirm(PaymentOf(order), "4242424242424242")
        );
        await Settled(orders[^1], many);
        await Each(table, "GET /orders/{id}", many, n => Get($"/api/v1/orders/{orders[n]}"));
        await Each(table, "GET /orders, twenty of them", many / 8, _ => Get("/api/v1/orders"));
        await Each(
            table,
            "GET /transfers?order_id=",
            many,
            n => Get($"/api/v1/transfers?order_id={orders[n]}")
        );
        await Each(table, "GET /licenses?buyer_id=", many / 8, _ => Get("/api/v1/licenses?buyer_id=buyer-7"));
        await Each(
            table,
            "GET /ledger/entries?order_id=",
            many,
            n => Get($"/api/v1/ledger/entries?order_id={orders[n]}")
        );
        await Each(
            table,
            $"GET /sellers/ada/balance, over {many:N0} orders",
            64,
            _ => Get("/api/v1/sellers/ada/balance")
        );
        await Each(
            table,
            "POST /refunds, Hyperswitch's simulation included",
            many,
            n => Post("/api/v1/refunds", $$"""{"order_id":"{{orders[n]}}"}""")
        );
    }

    Task<string> CreateOrder(int number) =>
        Post(
            "/api/v1/orders",
            $$"""
            {"buyer_id":"buyer-{{number % 1000}}","currency":"EUR","lines":[
                {"product_id":"book","seller_id":"ada","quantity":1,"unit_amount":6000},
                {"product_id":"lamp","seller_id":"bob","quantity":1,"unit_amount":4000}]}
            """
        );

    static async Task Each(Table table, string what, int many, Func<int, Task> call)
    {
        var (next, took, time) = (-1, new double[many], Stopwatch.StartNew());
        await Task.WhenAll(
            Enumerable
                .Range(0, Clients)
                .Select(async _ =>
                {
                    int number;
                    while ((number = Interlocked.Increment(ref next)) < many)
                    {
                        var began = Stopwatch.GetTimestamp();
                        await call(number);
                        took[number] = Stopwatch.GetElapsedTime(began).TotalMilliseconds;
                    }
                })
        );
        Array.Sort(took);
        if (what.Length > 0)
        {
            table.AddRow(
                Markup.Escape(what),
                $"{many / time.Elapsed.TotalSeconds:N0}/s",
                $"{took[many / 2]:N1} ms",
                $"{took[many * 99 / 100]:N1} ms"
            );
            AnsiConsole.MarkupLineInterpolated($"  [grey]{what}: {time.Elapsed.TotalSeconds:N1} s[/]");
        }
    }

    async Task Settled(string last, int many)
    {
        for (var tries = 0; tries < many; tries++)
        {
            if ((await Get($"/api/v1/orders/{last}")).Contains("\"tr_", StringComparison.Ordinal))
            {
                break;
            }

            await Task.Delay(200);
        }

        await Task.Delay(5000);
    }

    static string PaymentOf(string order) => Domain.PaymentId.For(Domain.OrderId.Of(Guid.Parse(order))).Value;

    Task<string> Post(string path, string body) => Send(HttpMethod.Post, path, body);

    Task<string> Put(string path, string body) => Send(HttpMethod.Put, path, body);

    Task<string> Get(string path) => Send(HttpMethod.Get, path, null);

    async Task<string> Send(HttpMethod method, string path, string? body)
    {
        using var request = new HttpRequestMessage(method, path);
        if (body is not null)
        {
            request.Content = new StringContent(body, Encoding.UTF8, "application/json");
            request.Headers.Add("Idempotency-Key", Guid.CreateVersion7().ToString());
        }

        using var response = await http.SendAsync(request);
        var text = await response.Content.ReadAsStringAsync();
        return response.IsSuccessStatusCode
            ? text
            : throw new InvalidOperationException($"{method} {path}: {(int)response.StatusCode} {text}");
    }

    static string IdIn(string json)
    {
        using var document = JsonDocument.Parse(json);
        return document.RootElement.GetProperty("id").GetString()!;
    }

    static HttpClient Client(string address, string key)
    {
        var http = new HttpClient(new SocketsHttpHandler { MaxConnectionsPerServer = Clients })
        {
            BaseAddress = new Uri(address),
        };
        http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", key);
        return http;
    }

    /// <summary>The best of three: what the program needs, without what else the machine was doing.</summary>
    static async Task<string> Starts(VezaProcess host, CancellationToken cancellation)
    {
        var best = TimeSpan.MaxValue;
        for (var run = 0; run < 3; run++)
        {
            if (run > 0)
            {
                await host.Kill();
            }

            var time = Stopwatch.StartNew();
            await host.Start(cancellation);
            best = time.Elapsed < best ? time.Elapsed : best;
        }

        return $"{best.TotalSeconds.ToString("F2", CultureInfo.InvariantCulture)} s";
    }

    static async Task<string> Later(VezaProcess host, CancellationToken cancellation)
    {
        await Task.Delay(TimeSpan.FromMinutes(1), cancellation);
        return Memory(host);
    }

    static string Memory(VezaProcess host) => $"{host.ResidentBytes() / 1024 / 1024} MB";
}
