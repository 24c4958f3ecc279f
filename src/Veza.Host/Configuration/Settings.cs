using Npgsql;
using Veza.Domain;
using Veza.Domain.Disputes;
using Veza.Domain.Payouts;
using Veza.Domain.Refunds;
using Veza.Domain.Subscriptions;

namespace Veza.Host.Configuration;

/// <summary>How one kind of work is done.</summary>
sealed record WorkSettings(bool Enabled, RetryPolicy Retry, TimeSpan CheckInterval, int BatchSize);

/// <summary>Everything an operator can set, read and checked once, at the start.</summary>
sealed record Settings
{
    public required NpgsqlConnectionStringBuilder Database { get; init; }
    public required string Urls { get; init; }
    public required IReadOnlyList<System.Net.IPNetwork> TrustedProxies { get; init; }
    public required bool ConsoleReadOnlyRole { get; init; }
    public required bool AutoMigrate { get; init; }
    public required Uri HyperswitchBaseUrl { get; init; }
    public required string HyperswitchApiKey { get; init; }
    public required string? HyperswitchProfileId { get; init; }
    public required IReadOnlyList<byte[]> HyperswitchWebhookSecrets { get; init; }
    public required TimeSpan HyperswitchTimeout { get; init; }
    public required Uri StripeApiBase { get; init; }
    public required string StripeSecretKey { get; init; }
    public required IReadOnlyList<byte[]> StripeWebhookSecrets { get; init; }
    public required TimeSpan StripeTimeout { get; init; }
    public required int StripeRateLimit { get; init; }
    public required int StripeConcurrency { get; init; }
    public required int PlatformFeeBps { get; init; }
    public required FeeRefundPolicy FeeRefundPolicy { get; init; }
    public required TimeSpan TransferHold { get; init; }
    public required WorkSettings Reversals { get; init; }
    public required WorkSettings Transfers { get; init; }
    public required RetryPolicy SubscriptionRetry { get; init; }
    public required TimeSpan SubscriptionCheckInterval { get; init; }
    public required TimeSpan SweepInterval { get; init; }
    public required TimeSpan SweepAfter { get; init; }
    public required TimeSpan AbsentAfter { get; init; }
    public required TimeSpan FundsRetryInterval { get; init; }
    public required TimeSpan AskInterval { get; init; }
    public required TimeSpan EventWalkInterval { get; init; }
    public required TimeSpan ReconcileInterval { get; init; }
    public required TimeSpan ReconcileGrace { get; init; }
    public required bool ReconcileHeal { get; init; }
    public required TimeSpan Lease { get; init; }

    /// <summary>How often leases are renewed, and how often the expired leases of dead hosts are looked for.</summary>
    public TimeSpan LeaseBeat => Lease / 6;

    /// <summary>How long a lease lasts: together with the look for expired ones, no longer than WORKER_LEASE.</summary>
    public TimeSpan LeaseTerm => Lease - LeaseBeat;

    public required bool WebhookAllowPrivateTargets { get; init; }
    public required TimeSpan Retention { get; init; }
    public required int ApiRateLimit { get; init; }
    public required int EventStreams { get; init; }
    public required string LogFormat { get; init; }
    public required LogLevel LogLevel { get; init; }

    public TransferRules TransferRules =>
        new(Transfers.Retry, Reversals.Retry, FundsRetryInterval, LeaseTerm);

    public RefundRules RefundRules => new(SweepAfter, AbsentAfter);

    /// <summary>Payouts have no settings of their own: <c>TRANSFER_RETRY_*</c> governs them too.</summary>
    public PayoutRules PayoutRules => new(Transfers.Retry, LeaseTerm, AskInterval);

    /// <summary>Banks decide within four months, and now and then decide anew.</summary>
    public DisputeRules DisputeRules => new(AskInterval, TimeSpan.FromDays(120));

    public SubscriptionRules SubscriptionRules => new(SubscriptionRetry, SweepAfter);

    /// <summary>Live and test objects never mix: an event of the other mode is not ours.</summary>
    public bool IsLive =>
        StripeSecretKey.StartsWith("sk_live_", StringComparison.Ordinal)
        || StripeSecretKey.StartsWith("rk_live_", StringComparison.Ordinal);
}

/// <summary>One setting as it was found: for <c>veza check-config</c> and for the refusal to start.</summary>
/// <param name="Warning">What will not work, although the host starts.</param>
sealed record SettingReport(string Name, string Shown, string? Fault, bool IsDefault, string? Warning = null);

/// <summary>Reads the settings and collects what is wrong with every one of them.</summary>
sealed class SettingsReader(IConfiguration configuration)
{
    readonly List<SettingReport> reports = [];

    public IReadOnlyList<SettingReport> Reports => reports;

    public IEnumerable<SettingReport> Faults => reports.Where(report => report.Fault is not null);

    /// <summary>For commands that need nothing else. Null if it is wrong.</summary>
    public NpgsqlConnectionStringBuilder? ReadDatabase() =>
        Read("DATABASE_URL", null, Adapters.Postgres.Database.Parse, secret: true);

    /// <summary>Null if anything is wrong; <see cref="Faults"/> says what.</summary>
    /// <param name="needsHyperswitch">False for a command that never asks it; its settings may be missing then.</param>
    public Settings? Read(bool needsHyperswitch = true)
    {
        var database = ReadDatabase();
        var settings = new
        {
            Urls = Read("VEZA_URLS", "http://127.0.0.1:5080", Listening),
            TrustedProxies = Read("TRUSTED_PROXIES", TrustedProxies.ByDefault, TrustedProxies.Parse),
            ConsoleReadOnlyRole = Flag("CONSOLE_READ_ONLY_ROLE", "true"),
            AutoMigrate = Flag("AUTO_MIGRATE", "false"),
            HyperswitchBaseUrl = Read("HYPERSWITCH_BASE_URL", needsHyperswitch ? null : Nowhere, Url),
            HyperswitchApiKey = Read(
                "HYPERSWITCH_API_KEY",
                needsHyperswitch ? null : "none",
                Key,
                secret: true
            ),
            HyperswitchProfileId = Optional("HYPERSWITCH_PROFILE_ID", secret: false),
            HyperswitchWebhookSecret = WebhookSecret("HYPERSWITCH_WEBHOOK_SECRET", "/webhooks/hyperswitch"),
            HyperswitchTimeout = Duration("HYPERSWITCH_TIMEOUT", "20s", LongestCall),
            StripeApiBase = Read("STRIPE_API_BASE", "https://api.stripe.com", Url),
            StripeSecretKey = Read("STRIPE_SECRET_KEY", null, Key, secret: true),
            StripeWebhookSecret = WebhookSecret("STRIPE_WEBHOOK_SECRET", "/webhooks/stripe"),
            StripeTimeout = Duration("STRIPE_TIMEOUT", "15s", LongestCall),
            StripeRateLimit = Number("STRIPE_RATE_LIMIT", "25", 1, 10_000_000),
            StripeConcurrency = Number("STRIPE_CONCURRENCY", "32", 1, 10_000),
            PlatformFeeBps = Number("PLATFORM_FEE_BPS", "1000", 0, 10_000),
            FeeRefundPolicy = Read("FEE_REFUND_POLICY", "proportional", Policy),
            TransferHold = Duration("TRANSFER_HOLD", "0s", zeroAllowed: true),
            Reversals = Work("REVERSAL_WORKER_ENABLED", "REVERSAL_"),
            Transfers = Work("TRANSFER_RETRY_ENABLED", "TRANSFER_RETRY_"),
            SubscriptionRetry = Retry("SUBSCRIPTION_", "4", "1d", "7d"),
            SubscriptionCheckInterval = Duration("SUBSCRIPTION_CHECK_INTERVAL", "1m"),
            SweepInterval = Duration("SWEEP_INTERVAL", "1m"),
            SweepAfter = Duration("SWEEP_AFTER", "2m"),
            AbsentAfter = Duration("ABSENT_AFTER", "4m"),
            FundsRetryInterval = Duration("FUNDS_RETRY_INTERVAL", "1h"),
            AskInterval = Duration("ASK_INTERVAL", "1h"),
            EventWalkInterval = Duration("EVENT_WALK_INTERVAL", "5m"),
            ReconcileInterval = Duration("RECONCILE_INTERVAL", "15m"),
            ReconcileGrace = Duration("RECONCILE_GRACE", "15m", zeroAllowed: true),
            ReconcileHeal = Flag("RECONCILE_HEAL", "true"),
            Lease = Duration("WORKER_LEASE", "30s"),
            WebhookAllowPrivateTargets = Flag("WEBHOOK_ALLOW_PRIVATE_TARGETS", "false"),
            Retention = Duration("RETENTION", "30d"),
            EventStreams = Number("EVENT_STREAMS", "200", 1, 100_000),
            ApiRateLimit = Number("API_RATE_LIMIT", "1000", 1, 10_000_000),
            LogFormat = Read("LOG_FORMAT", "text", LogFormat),
            LogLevel = Read("LOG_LEVEL", "information", Level),
        };
        return Faults.Any()
            ? null
            : new Settings
            {
                Database = database!,
                Urls = settings.Urls!,
                TrustedProxies = settings.TrustedProxies!,
                ConsoleReadOnlyRole = settings.ConsoleReadOnlyRole,
                AutoMigrate = settings.AutoMigrate,
                HyperswitchBaseUrl = settings.HyperswitchBaseUrl!,
                HyperswitchApiKey = settings.HyperswitchApiKey!,
                HyperswitchProfileId = settings.HyperswitchProfileId,
                HyperswitchWebhookSecrets = WebhookSignatures.Secrets(settings.HyperswitchWebhookSecret),
                HyperswitchTimeout = WellBelow(settings.Lease, settings.HyperswitchTimeout),
                StripeApiBase = settings.StripeApiBase!,
                StripeSecretKey = settings.StripeSecretKey!,
                StripeWebhookSecrets = WebhookSignatures.Secrets(settings.StripeWebhookSecret),
                StripeTimeout = WellBelow(settings.Lease, settings.StripeTimeout),
                StripeRateLimit = settings.StripeRateLimit,
                StripeConcurrency = settings.StripeConcurrency,
                PlatformFeeBps = settings.PlatformFeeBps,
                FeeRefundPolicy = settings.FeeRefundPolicy!,
                TransferHold = settings.TransferHold,
                Reversals = settings.Reversals,
                Transfers = settings.Transfers,
                SubscriptionRetry = settings.SubscriptionRetry,
                SubscriptionCheckInterval = settings.SubscriptionCheckInterval,
                SweepInterval = settings.SweepInterval,
                SweepAfter = settings.SweepAfter,
                AbsentAfter = settings.AbsentAfter,
                FundsRetryInterval = settings.FundsRetryInterval,
                AskInterval = settings.AskInterval,
                EventWalkInterval = settings.EventWalkInterval,
                ReconcileInterval = settings.ReconcileInterval,
                ReconcileGrace = settings.ReconcileGrace,
                ReconcileHeal = settings.ReconcileHeal,
                Lease = settings.Lease,
                WebhookAllowPrivateTargets = settings.WebhookAllowPrivateTargets,
                Retention = settings.Retention,
                ApiRateLimit = settings.ApiRateLimit,
                EventStreams = settings.EventStreams,
                LogFormat = settings.LogFormat!,
                LogLevel = settings.LogLevel,
            };
    }

    /// <summary>A call ends long before its lease would: two thirds of it at the latest.</summary>
    static TimeSpan WellBelow(TimeSpan lease, TimeSpan timeout) => Durations.Least(timeout, lease * 2 / 3);

    WorkSettings Work(string enabled, string prefix)
    {
        var policy = Retry(prefix, "5", "1m", "1h");
        return new WorkSettings(
            Flag(enabled, "true"),
            policy,
            Duration(prefix + "CHECK_INTERVAL", "1m"),
            Number(prefix + "BATCH_SIZE", "20", 1, 10_000)
        );
    }

    RetryPolicy Retry(string prefix, string retries, string least, string most) =>
        new(
            Number(prefix + "MAX_RETRIES", retries, 0, 1000),
            Duration(prefix + "BACKOFF_BASE", least),
            Duration(prefix + "BACKOFF_MAX", most)
        );

    /// <summary>Null in <paramref name="byDefault"/>: the setting must be given.</summary>
    T? Read<T>(string name, string? byDefault, Func<string, T> parse, bool secret = false)
    {
        var given = configuration[name];
        var value = string.IsNullOrWhiteSpace(given) ? byDefault : given.Trim();
        if (value is null)
        {
            reports.Add(new(name, "", "is missing", false));
            return default;
        }

        try
        {
            var read = parse(value);
            reports.Add(new(name, secret ? Mask(value) : value, null, string.IsNullOrWhiteSpace(given)));
            return read;
        }
        catch (FormatException error)
        {
            reports.Add(new(name, secret ? Mask(value) : value, error.Message, false));
            return default;
        }
    }

    string? Optional(string name, bool secret, string? warning = null)
    {
        var value = configuration[name]?.Trim();
        var isMissing = string.IsNullOrEmpty(value);
        var shown =
            isMissing ? "(not set)"
            : secret ? Mask(value!)
            : value!;
        reports.Add(new(name, shown, null, isMissing, isMissing ? warning : null));
        return isMissing ? null : value;
    }

    /// <summary>The one setting without which the host starts and yet cannot do all of its work.</summary>
    string? WebhookSecret(string name, string path) =>
        Optional(name, secret: true, $"is not set: {path} answers 500");

    bool Flag(string name, string byDefault) =>
        Read(
            name,
            byDefault,
            text =>
                bool.TryParse(text, out var flag) ? flag : throw new FormatException("must be true or false")
        );

    int Number(string name, string byDefault, int least, int most) =>
        Read(
            name,
            byDefault,
            text =>
                int.TryParse(text, System.Globalization.CultureInfo.InvariantCulture, out var number)
                && number >= least
                && number <= most
                    ? number
                    : throw new FormatException($"must be a whole number from {least} to {most}")
        );

    TimeSpan Duration(string name, string byDefault, TimeSpan? longest = null, bool zeroAllowed = false) =>
        Read(
            name,
            byDefault,
            text =>
            {
                // A timer cannot count to fifty days.
                var most =
                    longest
                    ?? TimeSpan.FromDays(name.EndsWith("_INTERVAL", StringComparison.Ordinal) ? 45 : 3650);
                return !Durations.TryParse(text, out var duration)
                        ? throw new FormatException("must be a duration such as 500ms, 30s, 1m or 1h30m")
                    : !zeroAllowed && duration < Shortest
                        ? throw new FormatException("must be 10ms or longer")
                    : duration > most
                        ? throw new FormatException($"must not be longer than {most.TotalHours:F0}h")
                    : duration;
            }
        );

    static readonly TimeSpan Shortest = TimeSpan.FromMilliseconds(10);
    static readonly TimeSpan LongestCall = TimeSpan.FromHours(1);

    /// <summary>A name that never leads anywhere, for commands that do not ask.</summary>
    const string Nowhere = "http://hyperswitch.invalid";

    static string Listening(string text)
    {
        foreach (
            var one in text.Split(';', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)
        )
        {
            var address = BindingAddress.Parse(one);
            if (address.Scheme != "http")
            {
                throw new FormatException("must be http:// addresses; TLS is the proxy's in front of it");
            }

            if (address.Port is < 0 or > 65535 || address.Host.Contains(':') && !address.Host.StartsWith('['))
            {
                throw new FormatException("must name ports from 0 to 65535");
            }
        }

        return text;
    }

    /// <summary>It goes into a header.</summary>
    static string Key(string text) =>
        text.All(letter => letter is > ' ' and <= '~')
            ? text
            : throw new FormatException("must not hold spaces, line breaks or letters outside ASCII");

    static Uri Url(string text) =>
        Uri.TryCreate(text.TrimEnd('/') + "/", UriKind.Absolute, out var url)
        && url is { Scheme: "http" or "https", UserInfo: "" }
            ? url
            : throw new FormatException("must be an http:// or https:// address without a user");

    static FeeRefundPolicy Policy(string text) =>
        text switch
        {
            "proportional" => FeeRefundPolicy.Proportional,
            "keep" => FeeRefundPolicy.Keep,
            _ => throw new FormatException("must be proportional or keep"),
        };

    static string LogFormat(string text) =>
        text is "text" or "json" ? text : throw new FormatException("must be text or json");

    static LogLevel Level(string text) =>
        Enum.TryParse<LogLevel>(text, ignoreCase: true, out var level)
        && Enum.IsDefined(level)
        && !int.TryParse(text, out _)
            ? level
            : throw new FormatException("must be debug, information, warning, error or critical");

    static string Mask(string secret) =>
        secret.Length > 12 ? $"{secret[..4]}…({secret.Length} characters)" : "…";
}

/// <summary>Durations as an operator writes them: <c>500ms</c>, <c>30s</c>, <c>1m</c>, <c>1h30m</c>.</summary>
static class Durations
{
    public static bool TryParse(string text, out TimeSpan duration)
    {
        duration = TimeSpan.Zero;
        var rest = text.AsSpan().Trim();
        if (rest.IsEmpty)
        {
            return false;
        }

        while (!rest.IsEmpty)
        {
            var digits = rest.IndexOfAnyExceptInRange('0', '9');
            if (digits is <= 0 or > 9)
            {
                return false;
            }

            var number = long.Parse(rest[..digits], System.Globalization.CultureInfo.InvariantCulture);
            rest = rest[digits..];
            var letters = rest.IndexOfAnyInRange('0', '9');
            var unit = letters < 0 ? rest : rest[..letters];
            if (UnitOf(unit) is not { } span || number > (TimeSpan.MaxValue - duration) / span)
            {
                return false;
            }

            duration += span * number;
            rest = rest[unit.Length..];
        }

        return true;
    }

    public static TimeSpan Least(TimeSpan one, TimeSpan other) => one < other ? one : other;

    static TimeSpan? UnitOf(ReadOnlySpan<char> unit) =>
        unit switch
        {
            "ms" => TimeSpan.FromMilliseconds(1),
            "s" => TimeSpan.FromSeconds(1),
            "m" => TimeSpan.FromMinutes(1),
            "h" => TimeSpan.FromHours(1),
            "d" => TimeSpan.FromDays(1),
            _ => null,
        };
}
