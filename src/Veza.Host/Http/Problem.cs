using System.Text.Json.Nodes;

namespace Veza.Host.Http;

/// <summary>A field of a request that breaks a rule.</summary>
sealed record FieldError(string Field, string Code, string Detail);

/// <summary>Errors as <c>application/problem+json</c> with a stable code.</summary>
static class Problem
{
    public static IResult Of(
        int status,
        string code,
        string detail,
        IReadOnlyList<FieldError>? errors = null,
        params (string Name, JsonNode? Value)[] more
    )
    {
        var body = new JsonObject
        {
            ["type"] = "about:blank",
            ["title"] = Microsoft.AspNetCore.WebUtilities.ReasonPhrases.GetReasonPhrase(status),
            ["status"] = status,
            ["code"] = code,
            ["detail"] = detail,
        };
        if (errors is { Count: > 0 })
        {
            body["errors"] = new JsonArray([
                .. errors.Select(error => new JsonObject
                {
                    ["field"] = error.Field,
                    ["code"] = error.Code,
                    ["detail"] = error.Detail,
                }),
            ]);
        }

        foreach (var (name, value) in more)
        {
            body[name] = value;
        }

        return Results.Text(
            body.ToJsonString(JsonStyle.Options),
            "application/problem+json",
            statusCode: status
        );
    }

    public static IResult Invalid(IReadOnlyList<FieldError> errors) =>
        Of(
            422,
            "invalid_fields",
            string.Join(" ", errors.Select(error => $"{error.Field}: {error.Detail}")),
            errors
        );

    public static IResult NotFound(string what) => Of(404, "not_found", $"There is no such {what}.");

    /// <summary>What a caller did wrong, or the database's absence; null for a fault of ours.</summary>
    public static IResult? Foreseen(Exception error) =>
        error switch
        {
            BadHttpRequestException { StatusCode: 413 } => Of(
                413,
                "body_too_large",
                "The body must not be larger than 256 KiB."
            ),
            BadHttpRequestException bad => Of(
                bad.StatusCode,
                "bad_request",
                "The request could not be read."
            ),
            UnreadableBodyException => Of(400, "invalid_json", "The body is not a JSON object in UTF-8."),
            Npgsql.NpgsqlException { IsTransient: true } => Of(
                503,
                "database_unavailable",
                "The database does not answer; nothing is lost, please try again."
            ),
            _ => null,
        };
}
