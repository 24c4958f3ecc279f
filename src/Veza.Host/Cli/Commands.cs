using System.CommandLine;

namespace Veza.Host.Cli;

/// <summary>The verbs of <c>veza</c>. Without a verb it serves.</summary>
static class Commands
{
    public static RootCommand Root()
    {
        var root = new RootCommand(
            "Veza settles marketplaces: orders paid through Hyperswitch, sellers paid and refunds taken back through "
                + "Stripe Connect.\n\nSettings come from the environment, from appsettings.json or as --SETTING=value; "
                + "'veza check-config' explains them."
        );
        root.Subcommands.Add(Verb("serve", "Runs the host (the default)", ServeCommand.Run));
        root.Subcommands.Add(
            Verb("migrate", "Applies the numbered SQL migrations; safe to repeat", MigrateCommand.Migrate)
        );
        root.Subcommands.Add(CheckConfigCommand.Create());
        root.Subcommands.Add(ApiKeysCommand());
        root.Subcommands.Add(ReconcileCommand.Create());
        root.Subcommands.Add(BackfillCommand.Create());
        root.Subcommands.Add(SmokeCommand.Create());
        root.Subcommands.Add(ExportSpecCommand());
        root.SetAction((_, cancellation) => ServeCommand.Run(cancellation));
        return root;
    }

    static Command Verb(string name, string description, Func<CancellationToken, Task<int>> run)
    {
        var command = new Command(name, description);
        command.SetAction((_, cancellation) => run(cancellation));
        return command;
    }

    static Command ApiKeysCommand()
    {
        var role = new Option<string>("--role")
        {
            Description = "read, service or operator",
            Required = true,
        };
        role.AcceptOnlyFromAmong("read", "service", "operator");
        var name = new Option<string>("--name") { Description = "Whose key it is", Required = true };
        var create = new Command("create", "Makes a key and prints it once; only its hash is stored")
        {
            role,
            name,
        };
        create.SetAction(
            (parsed, cancellation) =>
                ApiKeyCommands.Create(
                    parsed.GetRequiredValue(role),
                    parsed.GetRequiredValue(name),
                    cancellation
                )
        );

        var json = new Option<bool>("--json") { Description = "As JSON" };
        var list = new Command("list", "Lists the keys, without the keys themselves") { json };
        list.SetAction((parsed, cancellation) => ApiKeyCommands.List(parsed.GetValue(json), cancellation));

        var id = new Argument<Guid>("ID") { Description = "As 'veza api-keys list' shows it" };
        var revoke = new Command("revoke", "Revokes a key at once") { id };
        revoke.SetAction(
            (parsed, cancellation) => ApiKeyCommands.Revoke(parsed.GetRequiredValue(id), cancellation)
        );

        return new Command("api-keys", "Makes, lists and revokes the keys of the API")
        {
            create,
            list,
            revoke,
        };
    }

    static Command ExportSpecCommand()
    {
        var format = new Option<string>("--format")
        {
            Description = "markdown, mermaid or json",
            DefaultValueFactory = _ => "markdown",
        };
        format.AcceptOnlyFromAmong("markdown", "mermaid", "json");
        var command = new Command("export-spec", "Prints the state machines, generated from the domain")
        {
            format,
        };
        command.SetAction(parsed => SpecificationExport.Print(parsed.GetValue(format)!));
        return command;
    }
}
