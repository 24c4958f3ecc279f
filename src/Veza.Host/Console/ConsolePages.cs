namespace Veza.Host.Console;

static class ConsolePages
{
    public static void AddTo(IServiceCollection services) => services.AddAntiforgery();

    public static void Use(WebApplication app) => app.UseAntiforgery();

    public static void Map(WebApplication app) => app.MapGet("/", () => "veza");
}
