using System.Diagnostics;
using Spectre.Console;

namespace Veza.Sandbox.Demo;

/// <summary>One line for each stage: live in a terminal, once at the end where the output is a file.</summary>
sealed class ProgressLine(IAnsiConsole console)
{
    readonly bool live = console.Profile.Capabilities.Interactive && !System.Console.IsOutputRedirected;

    public async Task Stage(string name, Func<Action<int, int>, Task<string>> work)
    {
        var time = Stopwatch.StartNew();
        var last = -1L;
        var result = await work(
            (done, all) =>
            {
                if (live && time.ElapsedMilliseconds - Interlocked.Read(ref last) > 80)
                {
                    Interlocked.Exchange(ref last, time.ElapsedMilliseconds);
                    Show(name, $"{done} of {all}", time, "…");
                }
            }
        );
        Show(name, result, time, "✓");
        console.WriteLine();
    }

    void Show(string name, string state, Stopwatch time, string mark)
    {
        var line = $" {mark} {name, -34} {state, -58} {time.Elapsed.TotalSeconds, 5:F1} s";
        console.Write(live ? $"\r{line}" : line);
    }
}
