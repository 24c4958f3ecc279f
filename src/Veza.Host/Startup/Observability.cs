using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;
using Serilog;
using Serilog.Core;
using Serilog.Events;
using Serilog.Extensions.Logging;
using Serilog.Formatting.Compact;

namespace Veza.Host.Startup;

/// <summary>Logs, metrics and traces, and the one id that ties them together.</summary>
static class Observability
{
    /// <summary>
    /// <c>/metrics</c> always; OTLP where one of the standard <c>OTEL_EXPORTER_OTLP_*</c> variables names a collector.
    /// </summary>
    public static void AddTelemetry(WebApplicationBuilder builder)
    {
        var configuration = builder.Configuration;
        bool Exports(string signal) =>
            !string.IsNullOrEmpty(configuration["OTEL_EXPORTER_OTLP_ENDPOINT"])
            || !string.IsNullOrEmpty(configuration[$"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT"]);
        var telemetry = builder
            .Services.AddOpenTelemetry()
            .ConfigureResource(resource =>
                resource.AddService(
                    configuration["OTEL_SERVICE_NAME"] ?? "veza",
                    serviceVersion: typeof(Observability).Assembly.GetName().Version?.ToString(3)
                )
            )
            .WithMetrics(metrics =>
            {
                metrics
                    .AddMeter(Telemetry.Name, "Microsoft.AspNetCore.Hosting", "System.Runtime", "Npgsql")
                    .AddPrometheusExporter();
                if (Exports("METRICS"))
                {
                    metrics.AddOtlpExporter();
                }
            });
        if (Exports("TRACES"))
        {
            telemetry.WithTracing(traces =>
                traces.AddSource("Microsoft.AspNetCore", "System.Net.Http", "Npgsql").AddOtlpExporter()
            );
        }
    }

    /// <summary>
    /// Every request has an id: the caller's own <c>X-Request-Id</c> where it is one, else a new one. It comes back with
    /// the answer, and is found wherever the request has led.
    /// </summary>
    public static void UseCorrelation(this WebApplication app) =>
        app.Use(
            (context, next) =>
            {
                var given = context.Request.Headers["X-Request-Id"].ToString();
                var id = IsId(given) ? given : $"req_{Guid.CreateVersion7():N}";
                Correlation.Begin(id);
                context.Response.Headers["X-Request-Id"] = id;
                return next(context);
            }
        );

    static bool IsId(string text) =>
        text.Length is >= 8 and <= 128
        && text.All(letter => char.IsAsciiLetterOrDigit(letter) || letter is '-' or '_' or '.' or ':');

    public static void Configure(LoggerConfiguration logging, Settings settings)
    {
        var level = LevelConvert.ToSerilogLevel(settings.LogLevel);
        var quiet = level > LogEventLevel.Warning ? level : LogEventLevel.Warning;
        var atLeastError = level > LogEventLevel.Error ? level : LogEventLevel.Error;
        logging
            .MinimumLevel.Is(level)
            .MinimumLevel.Override("Microsoft", quiet)
            // It warns that its keys are stored as they are. They are: nobody can sign in with them (migration 996).
            .MinimumLevel.Override("Microsoft.AspNetCore.DataProtection", atLeastError)
            .MinimumLevel.Override("System.Net.Http", quiet)
            .MinimumLevel.Override("Polly", LogEventLevel.Fatal)
            // That it cannot listen is said once, in a line, by the command.
            .Filter.ByExcluding(entry =>
                entry.MessageTemplate.Text is "Unable to start Kestrel." or "Hosting failed to start"
            )
            .Enrich.With<Correlated>();
        if (settings.LogFormat == "json")
        {
            logging.WriteTo.Console(new RenderedCompactJsonFormatter());
        }
        else
        {
            logging.WriteTo.Console(
                outputTemplate: "[{Timestamp:HH:mm:ss} {Level:u3}] {Message:lj} {Correlation}{NewLine}{Exception}",
                formatProvider: System.Globalization.CultureInfo.InvariantCulture
            );
        }
    }

    sealed class Correlated : ILogEventEnricher
    {
        public void Enrich(LogEvent logEvent, ILogEventPropertyFactory propertyFactory)
        {
            if (Correlation.Current is { } id)
            {
                logEvent.AddPropertyIfAbsent(propertyFactory.CreateProperty("Correlation", id));
            }
        }
    }
}
