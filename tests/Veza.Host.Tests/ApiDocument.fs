/// The API's description, and whether an answer is what it says. Every answer of every test is held against it.
module Veza.Host.Tests.ApiDocument

open System
open System.IO
open System.Collections.Concurrent
open NJsonSchema
open NSwag

let folder = Path.Combine(__SOURCE_DIRECTORY__, "..", "..", "docs")

let private strictly (document: OpenApiDocument) =
    for schema in document.Components.Schemas.Values do
        if schema.AllOf.Count = 0 && schema.AdditionalPropertiesSchema = null then
            schema.AllowAdditionalProperties <- false
    document

let read (name: string) = (OpenApiDocument.FromFileAsync(Path.Combine(folder, name))).GetAwaiter().GetResult()

let private document = lazy (strictly (read "openapi.json"))

let private isPlace (part: string) = part.StartsWith '{'

/// A named part fits better than a place for one.
let private find (path: string) =
    let parts = path.Split '/'
    document.Value.Paths
    |> Seq.filter (fun known ->
        let template = known.Key.Split '/'
        template.Length = parts.Length
        && Seq.forall2 (fun (expected: string) given -> isPlace expected || expected = given) template parts)
    |> Seq.sortBy (fun known -> known.Key.Split '/' |> Seq.filter isPlace |> Seq.length)
    |> Seq.tryHead

/// What the tests have seen: operation, status and code.
let seen = ConcurrentDictionary<string * int * string, int>()

let see operation status code =
    seen.AddOrUpdate((operation, status, code), 1, (fun _ count -> count + 1)) |> ignore

let private codeOf (body: string) =
    string (System.Text.Json.JsonDocument.Parse(body).RootElement.GetProperty("code").GetString())

/// Null if the document says that this may be answered.
let fault (verb: string) (path: string) status (contentType: string) (body: string) : string | null =
    match find (path.Split('?')[0]) with
    | None -> if status = 404 then null else $"no path is like {path}"
    | Some known ->
        match known.Value.TryGetValue(verb.ToLowerInvariant()) with
        | false, _ when status = 405 ->
            for other in known.Value.Values do
                see other.OperationId status (codeOf body)
            null
        | false, _ -> $"{path} does not take {verb}"
        | true, operation ->
            match operation.Responses.TryGetValue(string status) with
            | false, _ -> $"{operation.OperationId} does not answer {status}"
            | true, _ when status = 400 && contentType = "" && body = "" ->
                // The server itself could not read the request's line or a header.
                null
            | true, response ->
                let response = response.ActualResponse
                let code =
                    match contentType with
                    | "application/problem+json" ->
                        let code = System.Text.Json.JsonDocument.Parse(body).RootElement.GetProperty("code")
                        string (code.GetString())
                    | _ -> ""
                seen.AddOrUpdate((operation.OperationId, status, code), 1, (fun _ count -> count + 1))
                |> ignore
                match response.Content.TryGetValue contentType with
                | false, _ when response.Content.Count = 0 && body = "" -> null
                | false, _ -> $"{operation.OperationId} answers {status} as {contentType}"
                | true, media when contentType.EndsWith "json" ->
                    let faults = media.Schema.ActualSchema.Validate body
                    let words = String.Join("; ", faults |> Seq.map string)
                    let named = code = "" || response.Content[contentType].Examples.ContainsKey code
                    if faults.Count > 0 then
                        $"{operation.OperationId} {status} is not as described: {words}\n{body}"
                    elif not named then
                        $"{operation.OperationId} does not name the code {code} for {status}"
                    else
                        null
                | true, _ -> null
