return await Failures.Guard(() =>
{
    Screen.Prepare();
    return Commands
        .Root()
        .Parse(SettingsLoader.TakeSettings(args))
        .InvokeAsync(new() { EnableDefaultExceptionHandler = false });
});
