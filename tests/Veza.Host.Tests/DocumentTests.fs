/// The API's description is complete, breaks nobody, and is good enough to write a client from.
module Veza.Host.Tests.DocumentTests

open System
open System.IO
open System.Net.Http
open System.Reflection
open System.Runtime.Loader
open System.Threading.Tasks
open Expecto
open Microsoft.AspNetCore.Routing
open Microsoft.CodeAnalysis
open Microsoft.CodeAnalysis.CSharp
open Microsoft.Extensions.DependencyInjection
open NJsonSchema
open NSwag
open NSwag.CodeGeneration.CSharp
open Veza.Host.Tests.Scene

let private operations (document: OpenApiDocument) = [
    for path in document.Paths do
        for operation in path.Value do
            operation.Key.ToUpperInvariant() + " " + path.Key, operation.Value
]

let private plain (route: string) =
    Text.RegularExpressions.Regex
        .Replace(route, @"\{(\w+)(:\w+)?\}", "{$1}")
        .Replace("{sellerId}", "{seller_id}")

let private routes (scene: Scene) = [
    for source in scene.Services.GetServices<EndpointDataSource>() do
        for endpoint in source.Endpoints do
            match endpoint with
            | :? RouteEndpoint as route ->
                let path = plain ("/" + (string route.RoutePattern.RawText).TrimStart '/')
                match route.Metadata.GetMetadata<HttpMethodMetadata>() with
                | null -> "GET " + path
                | methods ->
                    for method' in methods.HttpMethods do
                        method' + " " + path
            | _ -> ()
]

let private isPublic (route: string) =
    let path = route.Split(' ')[1]
    path.StartsWith "/api/"
    || path.StartsWith "/webhooks/"
    || path.StartsWith "/health/"
    || path = "/metrics"

/// What was promised and is not there any more.
let private broken (before: OpenApiDocument) (after: OpenApiDocument) =
    let rec schemas place (was: JsonSchema) (is': JsonSchema) isRequest depth = [
        let was, is' = was.ActualSchema, is'.ActualSchema
        if depth < 8 then
            let kinds = was.Type &&& ~~~JsonObjectType.Null
            if kinds <> JsonObjectType.None && is'.Type &&& kinds <> kinds then
                $"{place} is no {kinds} any more"
            for property in was.Properties do
                match is'.Properties.TryGetValue property.Key with
                | false, _ -> $"{place}.{property.Key} is gone"
                | true, now ->
                    yield! schemas $"{place}.{property.Key}" property.Value now isRequest (depth + 1)
                    if not isRequest && property.Value.IsRequired && not now.IsRequired then
                        $"{place}.{property.Key} may be missing now"
            if isRequest then
                for property in is'.Properties do
                    let wasRequired =
                        match was.Properties.TryGetValue property.Key with
                        | true, known -> known.IsRequired
                        | false, _ -> false
                    if property.Value.IsRequired && not wasRequired then
                        $"{place}.{property.Key} is required now"
                for word in was.Enumeration do
                    if not (is'.Enumeration.Contains word) then
                        $"{place} does not take {word} any more"
            match was.Item, is'.Item with
            | NonNull was, NonNull now -> yield! schemas $"{place}[]" was now isRequest (depth + 1)
            | _ -> ()
    ]
    [
        let now = operations after |> Map.ofList
        for name, was in operations before do
            match now.TryFind name with
            | None -> $"{name} is gone"
            | Some is' ->
                if is'.OperationId <> was.OperationId then
                    $"{name} has another name: every generated client changes"
                for parameter in is'.ActualParameters do
                    let isNew = was.ActualParameters |> Seq.forall (fun known -> known.Name <> parameter.Name)
                    if parameter.IsRequired && isNew then
                        $"{name} needs {parameter.Name} now"
                for parameter in was.ActualParameters do
                    if is'.ActualParameters |> Seq.forall (fun known -> known.Name <> parameter.Name) then
                        $"{name} does not take {parameter.Name} any more"
                match was.RequestBody, is'.RequestBody with
                | NonNull before, NonNull after ->
                    for media in before.Content do
                        yield!
                            schemas $"{name} body" media.Value.Schema after.Content[media.Key].Schema true 0
                | _ -> ()
                for response in was.Responses do
                    match is'.Responses.TryGetValue response.Key with
                    // A call that a lesser key may make refuses nobody any more.
                    | false, _ when response.Key = "403" && is'.Description.Contains "Role: **read**" -> ()
                    | false, _ -> $"{name} does not answer {response.Key} any more"
                    | true, answer ->
                        for media in response.Value.ActualResponse.Content do
                            match answer.ActualResponse.Content.TryGetValue media.Key with
                            | false, _ -> $"{name} {response.Key} is not {media.Key} any more"
                            | true, after ->
                                for code in media.Value.Examples.Keys do
                                    if not (after.Examples.ContainsKey code) then
                                        $"{name} {response.Key} does not say {code} any more"
                                yield!
                                    schemas $"{name} {response.Key}" media.Value.Schema after.Schema false 0
    ]

/// A list is `{data, has_more, next_cursor}` everywhere, the contract says: this one was a bare array.
let private mended = [ "GET /api/v1/sellers/{seller_id}/balance 200 is no Array any more" ]

let references = [
    let names = string (AppContext.GetData "TRUSTED_PLATFORM_ASSEMBLIES")
    for path in names.Split Path.PathSeparator -> MetadataReference.CreateFromFile path :> MetadataReference
]

/// The client that NSwag writes from the document, compiled together with a story that uses it.
let private compiledClient () =
    let document = ApiDocument.read "openapi.json"
    let settings = CSharpClientGeneratorSettings(ClassName = "VezaClient", UseBaseUrl = false)
    settings.CSharpGeneratorSettings.Namespace <- "Generated"
    settings.CSharpGeneratorSettings.GenerateOptionalPropertiesAsNullable <- true
    settings.CSharpGeneratorSettings.JsonLibrary <-
        NJsonSchema.CodeGeneration.CSharp.CSharpJsonLibrary.SystemTextJson
    let client = CSharpClientGenerator(document, settings).GenerateFile()
    let story = File.ReadAllText(Path.Combine(__SOURCE_DIRECTORY__, "ClientStory.cs.txt"))
    let compilation =
        CSharpCompilation.Create(
            "GeneratedClient",
            [ CSharpSyntaxTree.ParseText client; CSharpSyntaxTree.ParseText story ],
            references,
            CSharpCompilationOptions(OutputKind.DynamicallyLinkedLibrary)
        )
    use stream = new MemoryStream()
    let built = compilation.Emit stream
    let faults = [
        for diagnostic in built.Diagnostics do
            if diagnostic.Severity = DiagnosticSeverity.Error then
                string diagnostic
    ]
    Expect.isEmpty faults "the generated client compiles"
    stream.Position <- 0L
    AssemblyLoadContext.Default.LoadFromStream stream

[<Tests>]
let tests =
    testList "document" [
        play "every route is described, and nothing else is" [] (fun scene ->
            task {
                let described = operations (ApiDocument.read "openapi.json") |> List.map fst |> List.sort
                let there = routes scene |> List.filter isPublic |> List.distinct |> List.sort
                Expect.equal there described "the host and its description have the same calls"
            })
        play "it is served as it stands in the repository, and shown" [] (fun scene ->
            task {
                let! served = scene.Http.GetStringAsync "/openapi/v1.json"
                Expect.equal served (File.ReadAllText(Path.Combine(ApiDocument.folder, "openapi.json"))) ""
                let! page = scene.Http.GetStringAsync "/docs"
                for word in
                    [ "createRefund"; "/api/v1/admin/transfers/{id}/write-off"; "idempotency_key_reused" ] do
                    Expect.stringContains page word "the page shows every call and error"
                Expect.isFalse (page.Contains "<script>") "without inline script"
            })
        test "every call says what it is, has a name of its own, and an example for every error" {
            let calls = operations (ApiDocument.read "openapi.json")
            let names = [ for _, call in calls -> call.OperationId ]
            Expect.equal (List.distinct names) names "every name once"
            for name, call in calls do
                Expect.isNotEmpty call.Summary name
                Expect.hasLength call.Tags 1 name
                for response in call.Responses do
                    for media in response.Value.ActualResponse.Content do
                        if media.Key = "application/problem+json" then
                            Expect.isNonEmpty media.Value.Examples $"{name} {response.Key} has an example"
                            for example in media.Value.Examples do
                                let body = Newtonsoft.Json.JsonConvert.SerializeObject example.Value.Value
                                Expect.isEmpty
                                    (media.Value.Schema.ActualSchema.Validate body)
                                    $"{name} {response.Key}: the example is what it says"
        }
        test "what may be null may be null to a strict reader, too" {
            let document = ApiDocument.read "openapi.json"
            for named in document.Components.Schemas do
                for property in named.Value.Properties do
                    if property.Value.IsNullableRaw.GetValueOrDefault() then
                        for part in property.Value.AllOf do
                            Expect.isTrue
                                (part.ActualSchema.IsNullableRaw.GetValueOrDefault())
                                $"{named.Key}.{property.Key}: every part of it must allow null"
        }
        test "nobody who relies on what was released is broken" {
            let faults = broken (ApiDocument.read "openapi.released.json") (ApiDocument.read "openapi.json")
            Expect.equal
                faults
                mended
                "a change that adds is written to docs/openapi.released.json as well; one that takes away is a new version"
        }
        test "a change that breaks somebody is noticed" {
            let text = File.ReadAllText(Path.Combine(ApiDocument.folder, "openapi.json"))
            let changed (before: string) (after: string) =
                Expect.stringContains text before ""
                let document = OpenApiDocument.FromJsonAsync(text.Replace(before, after)).Result
                broken (ApiDocument.read "openapi.json") document
            for before, after in
                [
                    "\"refundable_amount\"", "\"left\""
                    "\"/api/v1/ledger/trial-balance\"", "\"/api/v1/ledger/balance\""
                    "\"operationId\": \"cancelOrder\"", "\"operationId\": \"orderCancel\""
                    "\"name\": \"buyer_id\"", "\"name\": \"buyer\""
                    "\"order_not_payable\": {", "\"not_payable\": {"
                ] do
                Expect.isNonEmpty (changed before after) $"{before} became {after}"
        }
        play "a generated client compiles, and takes an order to its refund" [] (fun scene ->
            task {
                let assembly = compiledClient ()
                scene.World.Stripe.Open "acct_ada"
                use http = new HttpClient(BaseAddress = Uri scene.Address)
                http.DefaultRequestHeaders.Add("Authorization", "Bearer " + scene.Key "service")
                let pay =
                    Func<string, Task>(fun payment ->
                        scene.World.Hyperswitch.Confirm(payment, "4242424242424242") |> ignore
                        Task.CompletedTask)
                let run = nonNull ((nonNull (assembly.GetType "ClientStory")).GetMethod "Run")
                let story = run.CreateDelegate<Func<HttpClient, Func<string, Task>, Task<string>>>()
                let! ending = story.Invoke(http, pay).WaitAsync(TimeSpan.FromSeconds 20.)
                Expect.equal ending "Refunded Succeeded 1800" "refunded, and the seller's share is back"
            })
    ]
