using System.CommandLine;
using System.Diagnostics;
using System.Net.Http.Headers;
using System.Text.Json;
using System.Text.Json.Nodes;
using Spectre.Console;
using Veza.Domain;

namespace Veza.Host.Cli;

/// <summary>
/// <c>veza smoke</c>: one order through the configured providers, step by step. It runs a host of its own on a free port
/// beside whatever serves already; a key for the while is made and revoked.
/// </summary>
static class SmokeCommand
{
    const string Seller = "veza-smoke";
    const int Amount = 100;

    public static Command Create()
    {
        var live = new Option<bool>("--live") { Description = "Run even with live keys: real money moves" };
        var account = new Option<string?>("--account")
        {
            Description =
                "The connected account to pay; with a live key it must be named (default: the probe's own, or one of the "
                + "platform's test accounts)",
        };
        var currency = new Option<string>("--currency")
        {
            Description = "Of the order",
            DefaultValueFactory = _ => "EUR",
        };
        var patience = new Option<int>("--timeout")
        {
            Description = "Seconds that a step may take",
            DefaultValueFactory = _ => 60,
        };
        var json = new Option<bool>("--json") { Description = "Print a JSON line for each step" };
        var command = new Command(
            "smoke",
            "The end-to-end probe against the configured providers: order, paid, transfer, refund, reversal_pending, reversed. "
                + "Exit code 0: every step was taken"
        )
        {
            live,
            account,
            currency,
            patience,
            json,
        };
        command.SetAction(
            (parsed, cancellation) =>
                Run(
                    parsed.GetValue(live),
                    parsed.GetValue(account),
                    parsed.GetValue(currency)!,
                    TimeSpan.FromSeconds(parsed.GetValue(patience)),
                    parsed.GetValue(json),
                    cancellation
                )
        );
        return command;
    }

    static async Task<int> Run(
        bool live,
        string? account,
        string currency,
        TimeSpan patience,
        bool json,
        CancellationToken cancellation
    )
    {
        if (SettingsLoader.Settings() is not { } settings)
        {
            return 1;
        }

        if (settings.IsLive && !live)
        {
            await System.Console.Error.WriteLineAsync(
                "STRIPE_SECRET_KEY is a live key: the probe would move real money. --live does it all the same."
            );
            return 1;
        }

        if (settings.IsLive && account is null)
        {
            await System.Console.Error.WriteLineAsync(
                "With a live key the probe pays no account that was not named: say whose with --account acct_…"
            );
            return 1;
        }

        if (patience <= TimeSpan.Zero)
        {
            await System.Console.Error.WriteLineAsync("--timeout must be 1 second or more.");
            return 1;
        }

        await using var app = Composition.Build(Hurried(settings));
        using var probe = new Probe(app.Services, account, currency, patience, json);
        try
        {
            if (app.Services.GetRequiredService<Migrator>().Missing() is { Count: > 0 } missing)
            {
                await System.Console.Error.WriteLineAsync(
                    $"The database lacks {string.Join(", ", missing)}. Run 'veza migrate' first."
                );
                return 1;
            }

            await app.StartAsync(cancellation);
            return await probe.Play(app.Urls.First(), cancellation) ? 0 : 1;
        }
        finally
        {
            // Cancelled or not, the host stops in good order.
            await app.StopAsync(CancellationToken.None);
        }
    }

    /// <summary>The same deployment, asked about sooner: nobody sends this host webhooks.</summary>
    static Settings Hurried(Settings settings) =>
        settings with
        {
            Urls = "http://127.0.0.1:0",
            LogLevel = LogLevel.Critical,
            SweepAfter = TimeSpan.FromSeconds(2),
            SweepInterval = TimeSpan.FromSeconds(1),
            TransferHold = TimeSpan.Zero,
            Transfers = settings.Transfers with { Enabled = true, CheckInterval = TimeSpan.FromSeconds(1) },
            Reversals = settings.Reversals with { Enabled = true, CheckInterval = TimeSpan.FromSeconds(1) },
        };

    sealed class Probe(
        IServiceProvider services,
        string? account,
        string currency,
        TimeSpan patience,
        bool json
    ) : IDisposable
    {
        readonly Stopwatch time = Stopwatch.StartNew();
        readonly HttpClient http = new();
        string step = "";

        public async Task<bool> Play(string address, CancellationToken cancellation)
        {
            http.BaseAddress = new Uri(address);
            var keys = services.GetRequiredService<ApiKeys>();
            var (id, key) = await keys.Create("veza smoke", Role.Service, ApiKeyCommands.Actor, cancellation);
            http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", key);
            try
            {
                await Steps(cancellation);
                return true;
            }
            catch (StepFailedException failed)
            {
                Say(step, "failed", failed.Message);
                return false;
            }
            finally
            {
                // Cancelled or not, the key must not outlive the test.
                await keys.Revoke(id, ApiKeyCommands.Actor, CancellationToken.None);
            }
        }

        public void Dispose() => http.Dispose();

        async Task Steps(CancellationToken cancellation)
        {
            step = "seller";
            var chosen = await Account(cancellation);
            await Send(
                HttpMethod.Put,
                $"/api/v1/sellers/{Seller}",
                new JsonObject { ["stripe_account_id"] = chosen, ["platform_fee_bps"] = 1000 },
                cancellation
            );
            Say(step, "registered", chosen);

            step = "order";
            var order = Text(
                await Send(
                    HttpMethod.Post,
                    "/api/v1/orders",
                    new JsonObject
                    {
                        ["buyer_id"] = "veza-smoke",
                        ["currency"] = currency,
                        ["lines"] = new JsonArray(
                            new JsonObject
                            {
                                ["product_id"] = "probe",
                                ["seller_id"] = Seller,
                                ["quantity"] = 1,
                                ["unit_amount"] = Amount,
                            }
                        ),
                    },
                    cancellation
                ),
                "id"
            );
            Say(step, "created", order);

            step = "paid";
            await Send(
                HttpMethod.Post,
                "/api/v1/payments",
                new JsonObject { ["order_id"] = order },
                cancellation
            );
            var payment = PaymentId.For(OrderId.Of(Guid.Parse(order)));
            var confirmed = await services
                .GetRequiredService<HyperswitchClient>()
                .ConfirmWithTestCard(payment, cancellation);
            if (confirmed.Answer is not Answer<ProviderPayment>.Accepted)
            {
                throw new StepFailedException($"Hyperswitch does not take the test card: {confirmed.Answer}");
            }

            await Until(
                $"/api/v1/orders/{order}",
                found => Text(found, "status") == "completed",
                cancellation
            );
            Say(step, "completed", payment.Value);

            step = "transfer";
            var transfer = await UntilTransfer(order, "completed", cancellation);
            Say(step, "completed", Text(transfer, "stripe_transfer_id"));

            step = "refund";
            var refund = Text(
                await Send(
                    HttpMethod.Post,
                    "/api/v1/refunds",
                    new JsonObject { ["order_id"] = order, ["reason"] = "veza smoke" },
                    cancellation
                ),
                "id"
            );
            await Until(
                $"/api/v1/refunds/{refund}",
                found =>
                    Text(found, "status") switch
                    {
                        "succeeded" => true,
                        "failed" => throw new StepFailedException(
                            "Hyperswitch says that the refund has failed."
                        ),
                        _ => false,
                    },
                cancellation
            );
            Say(step, "succeeded", refund);

            step = "reversal_pending";
            transfer = await UntilTransfer(order, null, cancellation);
            var reversal = transfer.GetProperty("reversals")[0];
            Say(step, "owed", Money.Display(reversal.GetProperty("amount").GetInt64(), currency));

            step = "reversed";
            transfer = await UntilTransfer(order, "reversed", cancellation);
            Say(step, "reversed", Text(transfer.GetProperty("reversals")[0], "stripe_reversal_id"));
        }

        /// <summary>The one that was named, the probe's last one, or the newest of the platform's that can be paid.</summary>
        async Task<string> Account(CancellationToken cancellation)
        {
            if (account is not null)
            {
                return account;
            }

            var sellers = services.GetRequiredService<SellerRepository>();
            if ((await sellers.Find([Seller], cancellation)).TryGetValue(Seller, out var known))
            {
                return known.StripeAccountId;
            }

            try
            {
                var page = await services.GetRequiredService<StripeReader>().Accounts(cancellation);
                var active = page.Items.FirstOrDefault(item => StripeReader.StandingOf(item).TransfersActive);
                if (active.ValueKind == JsonValueKind.Object)
                {
                    return Text(active, "id");
                }
            }
            catch (Exception error)
                when (error is JsonException or KeyNotFoundException
                    || StripeTransfers.IsPassing(error, cancellation)
                )
            {
                throw new StepFailedException($"Stripe does not list the accounts: {error.Message}");
            }

            throw new StepFailedException(
                "No connected account can be paid: name one with --account acct_… (its transfers must be active)."
            );
        }

        async Task<JsonElement> UntilTransfer(string order, string? status, CancellationToken cancellation)
        {
            var list = await Until(
                $"/api/v1/transfers?order_id={order}",
                found =>
                    found.GetProperty("data") is var data
                    && data.GetArrayLength() > 0
                    && (
                        status is null
                            ? data[0].GetProperty("reversals").GetArrayLength() > 0
                            : Text(data[0], "status") == status
                    ),
                cancellation
            );
            return list.GetProperty("data")[0];
        }

        async Task<JsonElement> Until(
            string path,
            Func<JsonElement, bool> holds,
            CancellationToken cancellation
        )
        {
            var limit = time.Elapsed + patience;
            while (true)
            {
                var found = await Send(HttpMethod.Get, path, null, cancellation);
                if (holds(found))
                {
                    return found;
                }

                if (time.Elapsed > limit)
                {
                    var state = found.ToString();
                    throw new StepFailedException(
                        $"not within {patience.TotalSeconds:F0} s; {path} says {state[..Math.Min(600, state.Length)]}"
                    );
                }

                await Task.Delay(TimeSpan.FromMilliseconds(200), cancellation);
            }
        }

        async Task<JsonElement> Send(
            HttpMethod method,
            string path,
            JsonObject? body,
            CancellationToken cancellation
        )
        {
            using var request = new HttpRequestMessage(method, path);
            if (body is not null)
            {
                request.Content = JsonContent.Create(body);
            }

            using var response = await http.SendAsync(request, cancellation);
            var text = await response.Content.ReadAsStringAsync(cancellation);
            return response.IsSuccessStatusCode
                ? JsonDocument.Parse(text).RootElement
                : throw new StepFailedException($"{method} {path}: {(int)response.StatusCode} {text}");
        }

        void Say(string name, string state, string detail)
        {
            if (json)
            {
                System.Console.WriteLine(
                    JsonSerializer.Serialize(
                        new
                        {
                            step = name,
                            state,
                            detail,
                            at_ms = (long)time.Elapsed.TotalMilliseconds,
                        }
                    )
                );
                return;
            }

            var mark = state == "failed" ? "[red]✗[/]" : "[green]✓[/]";
            AnsiConsole.MarkupLine(
                $"{mark} {time.Elapsed.TotalSeconds, 6:F1} s  {name, -17} {state, -11} [grey]{Markup.Escape(detail)}[/]"
            );
        }

        static string Text(JsonElement element, string name) => element.GetProperty(name).GetString() ?? "";
    }

    sealed class StepFailedException(string why) : Exception(why);
}
