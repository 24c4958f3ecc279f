using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace Veza.Sandbox.Demo;

/// <summary>Veza's host as a process of its own, started, killed and started again like any other.</summary>
public sealed class VezaProcess : IAsyncDisposable
{
    readonly string program;
    readonly IReadOnlyDictionary<string, string> settings;
    readonly string logFile;
    Process? process;

    VezaProcess(string program, IReadOnlyDictionary<string, string> settings, string address, string logFile)
    {
        this.program = program;
        this.settings = settings;
        this.logFile = logFile;
        Address = address;
    }

    public string Address { get; }

    /// <summary>What the host wrote, for when something goes wrong.</summary>
    public string LogFile => logFile;

    /// <param name="program">The <c>veza</c> executable.</param>
    /// <param name="settings">Beside the address, which is chosen here where it is not among them.</param>
    public static VezaProcess At(string program, IReadOnlyDictionary<string, string> settings)
    {
        var address = settings.TryGetValue("VEZA_URLS", out var given)
            ? given
            : $"http://127.0.0.1:{FreePort()}";
        var all = new Dictionary<string, string>(settings) { ["VEZA_URLS"] = address };
        return new VezaProcess(
            program,
            all,
            address,
            Path.Combine(Path.GetTempPath(), $"veza-{Guid.NewGuid():N}.log")
        );
    }

    /// <exception cref="InvalidOperationException">Somebody else listens where the host is to listen.</exception>
    public static void EnsureFree(IReadOnlyDictionary<string, string> settings)
    {
        if (!settings.TryGetValue("VEZA_URLS", out var given))
        {
            return;
        }

        var address = new Uri(given);
        var host = IPAddress.TryParse(address.Host, out var named) ? named : IPAddress.Any;
        try
        {
            using var listener = new TcpListener(host, address.Port);
            listener.Start();
        }
        catch (SocketException error)
        {
            throw new InvalidOperationException(
                $"Veza cannot listen at {given} ({error.Message}). Stop what listens there first.",
                error
            );
        }
    }

    /// <summary>Runs a command to its end and answers what it printed.</summary>
    /// <exception cref="InvalidOperationException">It ended with another code than 0.</exception>
    public async Task<string> Run(IReadOnlyList<string> arguments, CancellationToken cancellation)
    {
        var (code, output, errors) = await Ask(arguments, cancellation);
        return code == 0
            ? output
            : throw new InvalidOperationException(
                $"veza {string.Join(' ', arguments)} failed: {errors}{output}"
            );
    }

    /// <summary>Runs a command to its end, however it ends.</summary>
    public async Task<(int Code, string Output, string Errors)> Ask(
        IReadOnlyList<string> arguments,
        CancellationToken cancellation
    )
    {
        using var command = Begin(arguments);
        var output = command.StandardOutput.ReadToEndAsync(cancellation);
        var errors = await command.StandardError.ReadToEndAsync(cancellation);
        await command.WaitForExitAsync(cancellation);
        return (command.ExitCode, (await output).Trim(), errors.Trim());
    }

    /// <summary>Returns when the host is ready to serve.</summary>
    public async Task Start(CancellationToken cancellation)
    {
        // It is named to people before the host has anything to say.
        await File.AppendAllTextAsync(logFile, "", cancellation);
        process = Begin(["serve"]);
        process.OutputDataReceived += (_, line) => Log(line.Data);
        process.ErrorDataReceived += (_, line) => Log(line.Data);
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        using var http = new HttpClient();
        for (var tries = 0; ; tries++)
        {
            try
            {
                using var response = await http.GetAsync(new Uri(Address + "/health/ready"), cancellation);
                if (response.StatusCode == HttpStatusCode.OK)
                {
                    return;
                }
            }
            catch (HttpRequestException) when (tries < 600)
            {
                // Not yet, or not any more.
            }

            await Task.Delay(50, cancellation);
            if (process.HasExited)
            {
                throw new InvalidOperationException($"veza serve ended by itself; its log is {logFile}.");
            }
        }
    }

    /// <summary>As kill −9 does.</summary>
    public async Task Kill()
    {
        process!.Kill();
        await process.WaitForExitAsync();
    }

    /// <summary>As a service manager does, with SIGTERM; answers how long it took.</summary>
    public async Task<TimeSpan> Stop()
    {
        var time = Stopwatch.StartNew();
        using var term = Process.Start("kill", ["-TERM", $"{process!.Id}"]);
        await process.WaitForExitAsync();
        return time.Elapsed;
    }

    /// <summary>What it holds in memory now.</summary>
    public long ResidentBytes()
    {
        process!.Refresh();
        return process.WorkingSet64;
    }

    Process Begin(IReadOnlyList<string> arguments)
    {
        try
        {
            return Process.Start(StartInfo(arguments))!;
        }
        catch (System.ComponentModel.Win32Exception error)
        {
            throw new InvalidOperationException(
                $"'{program}' cannot be started ({error.Message}); --veza names the executable.",
                error
            );
        }
    }

    ProcessStartInfo StartInfo(IReadOnlyList<string> arguments)
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach (var (name, value) in settings)
        {
            start.Environment[name] = value;
        }

        return start;
    }

    void Log(string? line)
    {
        if (line is not null)
        {
            lock (logFile)
            {
                File.AppendAllText(logFile, line + Environment.NewLine);
            }
        }
    }

    static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    public async ValueTask DisposeAsync()
    {
        if (process is { HasExited: false })
        {
            await Kill();
        }

        process?.Dispose();
    }
}
