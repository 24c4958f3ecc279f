using Npgsql;

namespace Veza.Adapters.Postgres;

/// <summary>How Veza reaches PostgreSQL.</summary>
public static class Database
{
    /// <summary>
    /// Reads a <c>postgres://</c> URL (several hosts allowed, comma-separated) or an Npgsql connection string.
    /// </summary>
    /// <exception cref="FormatException">It is neither; the message says why, without the password.</exception>
    public static NpgsqlConnectionStringBuilder Parse(string text)
    {
        var settings =
            text.StartsWith("postgres", StringComparison.OrdinalIgnoreCase)
            && text.Contains("://", StringComparison.Ordinal)
                ? FromUrl(text)
                : FromKeywords(text);
        if (string.IsNullOrEmpty(settings.Host))
        {
            throw new FormatException("it names no host");
        }

        if (settings.Host.Split(',').Any(HasNoPort))
        {
            throw new FormatException("it names a port that is none");
        }

        settings.Timezone ??= "UTC";
        settings.ApplicationName ??= "veza";
        if (settings.Host.Contains(',', StringComparison.Ordinal))
        {
            settings.TargetSessionAttributes ??= "primary";
            // Who is the primary is believed for so long; ten seconds, as it is by default, is how long a fail-over takes.
            if (settings.HostRecheckSeconds == 10)
            {
                settings.HostRecheckSeconds = 1;
            }
        }

        Target(settings.TargetSessionAttributes);
        // A primary that is cut off says nothing: without these a connection waits for it for hours.
        if (settings.KeepAlive == 0)
        {
            settings.KeepAlive = 30;
        }

        return settings;
    }

    /// <summary>Behind the last colon, unless that is part of an address in brackets or of a socket's path.</summary>
    static bool HasNoPort(string host)
    {
        var colon = host.LastIndexOf(':');
        return colon > host.LastIndexOf(']')
            && !host.StartsWith('/')
            && !(ushort.TryParse(host[(colon + 1)..], out var port) && port > 0);
    }

    /// <summary>
    /// Statements that are used again are planned once a connection, where that can be: a pooler in transaction mode gives
    /// every transaction another one.
    /// </summary>
    public static NpgsqlDataSource Open(NpgsqlConnectionStringBuilder settings)
    {
        var target = settings.TargetSessionAttributes;
        var builder = new NpgsqlDataSourceBuilder(settings.ConnectionString) { Name = "veza" };
        if (settings.MaxAutoPrepare == 0 && SpeaksDirectly(settings))
        {
            builder.ConnectionStringBuilder.MaxAutoPrepare = 128;
        }

        builder.ConnectionStringBuilder.TargetSessionAttributes = null;
        return settings.Host!.Contains(',', StringComparison.Ordinal)
            ? builder.BuildMultiHost().WithTargetSession(Target(target))
            : builder.Build();
    }

    /// <summary>
    /// PostgreSQL's own process is the one that it names when the connection is made; a pooler names another.
    /// </summary>
    static bool SpeaksDirectly(NpgsqlConnectionStringBuilder settings)
    {
        try
        {
            var single = new NpgsqlConnectionStringBuilder(settings.ConnectionString) { Pooling = false };
            using var connection = new NpgsqlConnection(single.ConnectionString);
            connection.Open();
            using var command = new NpgsqlCommand("select pg_backend_pid()", connection);
            return command.ExecuteScalar() is int process && process == connection.ProcessID;
        }
        catch (Exception error) when (error is NpgsqlException or InvalidOperationException)
        {
            // Nobody there yet: what follows will say so.
            return false;
        }
    }

    /// <summary>Only a primary can be written to; the other words are for those who know why.</summary>
    static TargetSessionAttributes Target(string? word) =>
        word switch
        {
            null or "primary" => TargetSessionAttributes.Primary,
            "read-write" => TargetSessionAttributes.ReadWrite,
            "any" => TargetSessionAttributes.Any,
            _ => throw new FormatException("target_session_attrs must be primary, read-write or any"),
        };

    static NpgsqlConnectionStringBuilder FromKeywords(string text)
    {
        try
        {
            return new NpgsqlConnectionStringBuilder(text);
        }
        catch (ArgumentException)
        {
            throw new FormatException("it is neither a postgres:// URL nor an Npgsql connection string");
        }
    }

    /// <summary>By hand, because <see cref="Uri"/> knows no list of hosts.</summary>
    static NpgsqlConnectionStringBuilder FromUrl(string text)
    {
        var settings = new NpgsqlConnectionStringBuilder();
        var rest = text[(text.IndexOf("://", StringComparison.Ordinal) + 3)..];
        var query = rest.Split('?', 2);
        var path = query[0].Split('/', 2);
        var at = path[0].LastIndexOf('@');
        if (at >= 0)
        {
            var user = path[0][..at].Split(':', 2);
            settings.Username = Uri.UnescapeDataString(user[0]);
            settings.Password = user.Length > 1 ? Uri.UnescapeDataString(user[1]) : null;
        }

        settings.Host = Uri.UnescapeDataString(path[0][(at + 1)..]);
        if (path.Length > 1 && path[1].Length > 0)
        {
            settings.Database = Uri.UnescapeDataString(path[1]);
        }

        foreach (
            var pair in query
                .Skip(1)
                .SelectMany(part => part.Split('&', StringSplitOptions.RemoveEmptyEntries))
        )
        {
            var option = pair.Split('=', 2);
            try
            {
                settings[LibpqName(option[0])] = Uri.UnescapeDataString(option.ElementAtOrDefault(1) ?? "");
            }
            catch (ArgumentException)
            {
                throw new FormatException($"it has an option that is not known or not valid: {option[0]}");
            }
        }

        return settings;
    }

    static string LibpqName(string name) =>
        name switch
        {
            "sslmode" => "SSL Mode",
            "application_name" => "Application Name",
            "connect_timeout" => "Timeout",
            "target_session_attrs" => "Target Session Attributes",
            var other => other,
        };
}
