using Veza.Host.Cli;

return await Failures.Guard(() =>
{
    Screen.Prepare();
    return Commands
        .Root()
        .Parse(Configured.TakeSettings(args))
        .InvokeAsync(new() { EnableDefaultExceptionHandler = false });
});
