using System.Text.Json;
using System.Text.Json.Nodes;

namespace Veza.Sandbox.Demo;

/// <summary>A marketplace's own system: it talks to Veza's API, and its buyers pay at Hyperswitch.</summary>
/// <param name="hosts">Of Veza; whichever answers will do.</param>
sealed class Shop(IReadOnlyList<string> hosts, string serviceKey, string operatorKey, string hyperswitch)
    : IDisposable
{
    readonly HttpClient api = Client(hosts, "Authorization", "Bearer " + serviceKey);
    readonly HttpClient operations = Client(hosts, "Authorization", "Bearer " + operatorKey);
    readonly HttpClient checkout = Client([hyperswitch], "api-key", "pk_snd_sandbox");

    /// <summary>A shop beside everything that a stage has.</summary>
    public static Shop At(Stage stage) =>
        new(
            [.. stage.Hosts.Select(host => host.Address)],
            stage.ServiceKey,
            stage.OperatorKey,
            stage.Providers.HyperswitchUrl
        );

    public Task Register(string seller, string account, int? bps, CancellationToken cancellation) =>
        Send(
            api,
            HttpMethod.Put,
            $"/api/v1/sellers/{seller}",
            new JsonObject { ["stripe_account_id"] = account, ["platform_fee_bps"] = bps },
            null,
            cancellation
        );

    public async Task<JsonElement> Order(JsonObject order, string key, CancellationToken cancellation) =>
        await Send(api, HttpMethod.Post, "/api/v1/orders", order, key, cancellation);

    public async Task<string> OfferPayment(string order, CancellationToken cancellation)
    {
        var payment = await Send(
            api,
            HttpMethod.Post,
            "/api/v1/payments",
            new JsonObject { ["order_id"] = order },
            $"pay-{order}",
            cancellation
        );
        return payment.GetProperty("payment_id").GetString()!;
    }

    /// <summary>The buyer's browser, with the card they typed.</summary>
    public Task Pay(string payment, string card, CancellationToken cancellation) =>
        Send(
            checkout,
            HttpMethod.Post,
            $"/payments/{payment}/confirm",
            new JsonObject
            {
                ["payment_method_data"] = new JsonObject
                {
                    ["card"] = new JsonObject { ["card_number"] = card },
                },
            },
            null,
            cancellation
        );

    public Task<JsonElement> Refund(JsonObject refund, string key, CancellationToken cancellation) =>
        Send(api, HttpMethod.Post, "/api/v1/refunds", refund, key, cancellation);

    public Task Retry(string transfer, CancellationToken cancellation) =>
        Send(
            operations,
            HttpMethod.Post,
            $"/api/v1/admin/transfers/{transfer}/retry",
            [],
            null,
            cancellation
        );

    public Task PayOut(
        string seller,
        long amount,
        string currency,
        string key,
        CancellationToken cancellation
    ) =>
        Send(
            operations,
            HttpMethod.Post,
            "/api/v1/payouts",
            new JsonObject
            {
                ["seller_id"] = seller,
                ["amount"] = amount,
                ["currency"] = currency,
            },
            key,
            cancellation
        );

    public async Task<JsonElement> GetAsOperator(string path, CancellationToken cancellation) =>
        await operations.GetFromJsonAsync<JsonElement>(path, cancellation);

    public async Task<JsonElement> Get(string path, CancellationToken cancellation) =>
        await api.GetFromJsonAsync<JsonElement>(path, cancellation);

    /// <summary>A list to its last page.</summary>
    public async Task<IReadOnlyList<JsonElement>> All(string path, CancellationToken cancellation)
    {
        var found = new List<JsonElement>();
        string? cursor = null;
        do
        {
            var join = path.Contains('?', StringComparison.Ordinal) ? '&' : '?';
            var page = await Get(
                $"{path}{join}limit=100{(cursor is null ? "" : "&cursor=" + cursor)}",
                cancellation
            );
            found.AddRange(page.GetProperty("data").EnumerateArray());
            cursor = page.GetProperty("next_cursor").GetString();
        } while (cursor is not null);

        return found;
    }

    /// <summary>Two minutes, at four a second.</summary>
    const int Tries = 480;

    /// <summary>Nobody knows yet, or the first request of this key has not been finished by its host.</summary>
    static bool IsPassing(int status, string text) =>
        status is 500 or 502 or 503
        || (status == 409 && text.Contains("idempotency_key_in_use", StringComparison.Ordinal));

    /// <summary>Repeats what found nobody there, as a caller with an Idempotency-Key may.</summary>
    static async Task<JsonElement> Send(
        HttpClient http,
        HttpMethod method,
        string path,
        JsonObject body,
        string? key,
        CancellationToken cancellation
    )
    {
        for (var tries = 0; ; tries++)
        {
            using var request = new HttpRequestMessage(method, http.BaseAddress + path.TrimStart('/'))
            {
                Content = JsonContent.Create(body),
            };
            if (key is not null)
            {
                request.Headers.Add("Idempotency-Key", key);
            }

            try
            {
                using var response = await http.SendAsync(request, cancellation);
                var text = await response.Content.ReadAsStringAsync(cancellation);
                if (response.IsSuccessStatusCode)
                {
                    return JsonDocument.Parse(text.Length == 0 ? "{}" : text).RootElement;
                }

                if (!IsPassing((int)response.StatusCode, text) || tries >= Tries)
                {
                    throw new InvalidOperationException(
                        $"{method} {path}: {(int)response.StatusCode} {text}"
                    );
                }
            }
            catch (Exception error)
                when (error is HttpRequestException or IOException or JsonException && tries < Tries)
            {
                // The host is being restarted, or an answer was cut off.
            }

            await Task.Delay(250, cancellation);
        }
    }

    static HttpClient Client(IReadOnlyList<string> addresses, string header, string value)
    {
        var http = new HttpClient(new Either(addresses))
        {
            BaseAddress = new Uri(addresses[0].TrimEnd('/') + "/"),
        };
        http.DefaultRequestHeaders.TryAddWithoutValidation(header, value);
        return http;
    }

    /// <summary>In turn to each of them, as a load balancer does; and to the next where nobody is there.</summary>
    sealed class Either(IReadOnlyList<string> addresses) : DelegatingHandler(new SocketsHttpHandler())
    {
        int turn;

        protected override async Task<HttpResponseMessage> SendAsync(
            HttpRequestMessage request,
            CancellationToken cancellationToken
        )
        {
            for (var tries = 1; ; tries++)
            {
                var next = new Uri(addresses[Interlocked.Increment(ref turn) % addresses.Count]);
                request.RequestUri = new UriBuilder(request.RequestUri!)
                {
                    Host = next.Host,
                    Port = next.Port,
                }.Uri;
                try
                {
                    return await base.SendAsync(request, cancellationToken);
                }
                catch (HttpRequestException error)
                    when (error.HttpRequestError == HttpRequestError.ConnectionError
                        && tries < addresses.Count
                    )
                {
                    // The other one.
                }
            }
        }
    }

    public void Dispose()
    {
        api.Dispose();
        operations.Dispose();
        checkout.Dispose();
    }
}
