using Veza.Host.Cli;

return await Commands.Root().Parse(Configured.TakeSettings(args)).InvokeAsync();
