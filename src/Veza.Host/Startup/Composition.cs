using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Npgsql;
using Serilog;

namespace Veza.Host.Startup;

/// <summary>Puts the parts together. Everything that <c>veza serve</c> is, in reading order.</summary>
static class Composition
{
    const int LargestBody = 256 * 1024;

    public static WebApplication Build(Settings settings, TimeProvider? clock = null)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.UseKestrelCore().ConfigureKestrel(Limit).UseUrls(settings.Urls);
        builder.Services.AddRoutingCore();
        builder.Host.UseSerilog((_, logging) => Observability.Configure(logging, settings));
        builder.Services.Configure<HostOptions>(options =>
        {
            options.ShutdownTimeout = TimeSpan.FromSeconds(25);
            options.ServicesStopConcurrently = true;
        });
        builder.Services.AddSingleton(settings);
        builder.Services.AddSingleton(clock ?? TimeProvider.System);
        AddStore(builder.Services, settings.Database);
        AddProviders(builder.Services, settings, clock ?? TimeProvider.System);
        AddServices(builder.Services);
        AddWorkers(builder.Services);
        builder.Services.AddSingleton<EventIngestion>();
        builder.Services.AddSingleton<RateLimits>();
        builder.Services.AddSingleton<EventStreamEndpoint>();
        ConsolePages.AddTo(builder.Services);
        Observability.AddTelemetry(builder);

        builder.Services.ConfigureHttpJsonOptions(options =>
            options.SerializerOptions.Encoder = JsonStyle.Encoder
        );

        var app = builder.Build();
        app.UseHead();
        app.UseTrustedProxies(settings.TrustedProxies);
        app.UseCorrelation();
        app.UseMiddleware<ExceptionMiddleware>();
        app.UseStatusCodePages(context => AnswerBare(context.HttpContext));
        ConsolePages.UseErrorPages(app);
        app.UseRouting();
        ConsolePages.Use(app);
        app.UseMiddleware<ApiKeyMiddleware>();
        app.UseMiddleware<PathMiddleware>();
        app.UseMiddleware<IdempotencyMiddleware>();
        app.UseMiddleware<AuditMiddleware>();
        SellerEndpoints.Map(app);
        OrderEndpoints.Map(app);
        PaymentEndpoints.Map(app);
        TransferEndpoints.Map(app);
        LedgerEndpoints.Map(app);
        PayoutEndpoints.Map(app);
        DepositEndpoints.Map(app);
        DisputeEndpoints.Map(app);
        SubscriptionEndpoints.Map(app);
        ProviderEventEndpoints.Map(app);
        AuditEndpoints.Map(app);
        ReconciliationEndpoints.Map(app);
        EventStreamEndpoint.Map(app);
        WebhookEndpointEndpoints.Map(app);
        HyperswitchWebhook.Map(app);
        StripeWebhook.Map(app);
        HealthEndpoints.Map(app);
        OpenApiEndpoints.Map(app);
        app.MapPrometheusScrapingEndpoint("/metrics")
            .WithMetadata(new HttpMethodMetadata(["GET"]))
            .ShortCircuit();
        ConsolePages.Map(app);
        return app;
    }

    /// <summary>What commands need that do not serve.</summary>
    public static void AddStore(IServiceCollection services, NpgsqlConnectionStringBuilder database)
    {
        services.AddSingleton(database);
        services.AddSingleton(_ => Database.Open(database));
        services.AddSingleton<Migrator>();
        services.AddSingleton<IStore, PostgresStore>();
        services.AddSingleton<ReadModels>();
        services.AddSingleton<ProviderEventLog>();
        services.AddSingleton<ReconciliationQueries>();
        services.AddSingleton<TransfersWithoutStripeId>();
        services.AddSingleton<ReconciliationRuns>();
        services.AddSingleton<StateChanges>();
        services.AddSingleton<WebhookEndpoints>();
        services.AddSingleton<WebhookDeliveries>();
        services.AddSingleton<Alarms>();
        services.AddSingleton<Backlog>();
        services.AddSingleton<RetentionStore>();
        services.AddSingleton<SellerRepository>();
        services.AddSingleton<ApiKeys>();
        services.AddSingleton<AuditLog>();
        services.AddSingleton<KeyRing>();
        services.AddSingleton<ConsoleSessions>();
        services.AddSingleton<IdempotentRequests>();
    }

    public static void AddProviders(IServiceCollection services, Settings settings, TimeProvider clock)
    {
        services
            .AddHttpClient(
                "hyperswitch",
                http =>
                {
                    http.BaseAddress = settings.HyperswitchBaseUrl;
                    http.DefaultRequestHeaders.Add("api-key", settings.HyperswitchApiKey);
                    http.Timeout = Timeout.InfiniteTimeSpan;
                }
            )
            .RemoveAllLoggers()
            .ConfigurePrimaryHttpMessageHandler(Sockets)
            .AddPolicy("hyperswitch", null, settings.HyperswitchTimeout, clock);
        services.AddSingleton(_ => new StripeRateLimiter(settings.StripeRateLimit, clock));
        services
            .AddHttpClient("stripe", http => http.Timeout = Timeout.InfiniteTimeSpan)
            .RemoveAllLoggers()
            .ConfigurePrimaryHttpMessageHandler(Sockets)
            .AddPolicy(
                "stripe",
                provider => provider.GetRequiredService<StripeRateLimiter>(),
                settings.StripeTimeout,
                clock
            );
        services.AddSingleton(provider => new HyperswitchClient(
            provider.GetRequiredService<IHttpClientFactory>().CreateClient("hyperswitch"),
            settings.HyperswitchProfileId
        ));
        services.AddSingleton(provider => new StripeTransfers(Stripe(provider, settings, isLast: false)));
        services.AddSingleton(provider => new StripePayouts(Stripe(provider, settings, isLast: false)));
        services.AddSingleton(provider => new StripeReader(Stripe(provider, settings, isLast: true)));
        services.AddSingleton<StripeTransferExecutor>();
        services.AddSingleton(_ => new WebhookSender(
            new HttpClient(
                new SocketsHttpHandler
                {
                    AllowAutoRedirect = false,
                    UseProxy = false,
                    PooledConnectionLifetime = TimeSpan.FromMinutes(5),
                    ConnectCallback = (context, cancellation) =>
                        PublicTargets.Connect(
                            context.DnsEndPoint,
                            settings.WebhookAllowPrivateTargets,
                            cancellation
                        ),
                }
            )
            {
                Timeout = Timeout.InfiniteTimeSpan,
            },
            clock
        ));
    }

    /// <summary>One policy for all of them: those that go last differ only in their turn.</summary>
    static global::Stripe.StripeClient Stripe(IServiceProvider provider, Settings settings, bool isLast)
    {
        var policy = provider.GetRequiredService<IHttpMessageHandlerFactory>().CreateHandler("stripe");
        return StripeClients.Open(
            new HttpClient(isLast ? new LowPriorityHandler(policy) : policy)
            {
                Timeout = Timeout.InfiniteTimeSpan,
            },
            settings.StripeApiBase.ToString(),
            settings.StripeSecretKey
        );
    }

    /// <summary>The clients live as long as the host; their connections are renewed for the sake of DNS.</summary>
    static SocketsHttpHandler Sockets() =>
        new() { PooledConnectionLifetime = TimeSpan.FromMinutes(5), AllowAutoRedirect = false };

    public static void AddServices(IServiceCollection services)
    {
        services.AddSingleton<WorkSignals>();
        services.AddSingleton<LeaseKeeper>();
        services.AddSingleton<Decider>();
        services.AddSingleton<SettlementService>();
        services.AddSingleton<ProviderReportService>();
        services.AddSingleton<SellerService>();
        services.AddSingleton<OrderService>();
        services.AddSingleton<PaymentService>();
        services.AddSingleton<RefundService>();
        services.AddSingleton<TransferService>();
        services.AddSingleton<PayoutService>();
        services.AddSingleton<DisputeService>();
        services.AddSingleton<RefundCalls>();
        services.AddSingleton<DepositService>();
        services.AddSingleton<SubscriptionService>();
        services.AddSingleton<StripeComparison>();
        services.AddSingleton<HyperswitchComparison>();
        services.AddSingleton<DepositQueries>();
        services.AddSingleton<DepositComparison>();
        services.AddSingleton<DisputeComparison>();
        services.AddSingleton<Reconciler>();
        services.AddSingleton<ReconciliationService>();
        services.AddSingleton<TransferIdBackfill>();
    }

    /// <summary>Everything that runs in the background.</summary>
    static void AddWorkers(IServiceCollection services)
    {
        services.AddWorker<WorkNotificationListener>();
        services.AddWorker<LeaseKeeper>();
        services.AddWorker<InboxWorker>();
        services.AddWorker<EventLookupWorker>();
        services.AddWorker<ProviderPollingWorker>();
        services.AddWorker<StripeEventBackfillWorker>();
        services.AddTransferWorker(Work.Sending, settings => settings.Transfers, wakes => wakes.Sending);
        services.AddTransferWorker(Work.Reversing, settings => settings.Reversals, wakes => wakes.Reversing);
        services.AddWorker<PayoutWorker>();
        services.AddWorker<SubscriptionWorker>();
        services.AddWorker<DeliveryWorker>();
        services.AddWorker<ReconciliationWorker>();
        services.AddWorker<ReconciliationRequests>();
        services.AddWorker<Gauges>();
        services.AddWorker<RetentionWorker>();
    }

    /// <summary>One instance, which others may ask for.</summary>
    static void AddWorker<T>(this IServiceCollection services)
        where T : PollingWorker
    {
        services.TryAddSingleton<T>();
        services.AddHostedService(provider => provider.GetRequiredService<T>());
    }

    /// <summary>One worker for each direction, with settings and a signal of its own.</summary>
    static void AddTransferWorker(
        this IServiceCollection services,
        Work work,
        Func<Settings, WorkSettings> settings,
        Func<WorkSignals, WorkSignal> signal
    ) =>
        services.AddSingleton<IHostedService>(provider =>
            ActivatorUtilities.CreateInstance<TransferWorker>(
                provider,
                work,
                settings(provider.GetRequiredService<Settings>()),
                signal(provider.GetRequiredService<WorkSignals>())
            )
        );

    static void Limit(KestrelServerOptions kestrel)
    {
        kestrel.AddServerHeader = false;
        kestrel.Limits.MaxRequestBodySize = LargestBody;
        kestrel.Limits.RequestHeadersTimeout = TimeSpan.FromSeconds(10);
        kestrel.Limits.MaxRequestHeadersTotalSize = 16 * 1024;
    }

    /// <summary>What routing answers by itself: no such route, no such method.</summary>
    static Task AnswerBare(HttpContext context) =>
        context.Response.StatusCode switch
        {
            404 => Problem.NotFound("resource").ExecuteAsync(context),
            405 => NotAllowed(context).ExecuteAsync(context),
            415 => Problem.Of(415, "unsupported_media_type", "Send application/json.").ExecuteAsync(context),
            _ => Task.CompletedTask,
        };

    static IResult NotAllowed(HttpContext context)
    {
        var allowed = context.Response.Headers.Allow.ToString();
        if (allowed.Contains(HttpMethods.Get, StringComparison.Ordinal))
        {
            context.Response.Headers.Allow = $"{allowed}, {HttpMethods.Head}";
        }

        return Problem.Of(405, "method_not_allowed", "This path does not take this method.");
    }
}
