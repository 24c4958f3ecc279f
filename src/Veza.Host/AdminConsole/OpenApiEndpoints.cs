using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http.HttpResults;

namespace Veza.Host.AdminConsole;

/// <summary>
/// The API's description: <c>docs/openapi.json</c>, written by hand, served as it is and shown as a page. The tests hold
/// every answer of the host against it.
/// </summary>
static class OpenApiEndpoints
{
    static readonly Lazy<byte[]> Bytes = new(() =>
    {
        using var stream = typeof(OpenApiEndpoints).Assembly.GetManifestResourceStream("openapi.json")!;
        using var copy = new MemoryStream();
        stream.CopyTo(copy);
        return copy.ToArray();
    });

    static readonly Lazy<JsonObject> Read = new(() => JsonNode.Parse(Bytes.Value)!.AsObject());

    public static void Map(IEndpointRouteBuilder routes)
    {
        routes
            .MapGet("/openapi/v1.json", () => Results.Bytes(Bytes.Value, "application/json"))
            .ShortCircuit();
        routes.MapGet("/docs", () => new RazorComponentResult<ApiDocs>(new { Document = Read.Value }));
    }
}
