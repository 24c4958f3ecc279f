using Veza.Host.Cli;

return await Commands.Root().Parse(args).InvokeAsync();
