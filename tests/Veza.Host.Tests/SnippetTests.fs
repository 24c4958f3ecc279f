/// What a page tells its reader to type is run as it stands there. Only what differs from reader to reader is put in: the
/// keys and the addresses that the sandbox prints.
module Veza.Host.Tests.SnippetTests

open System
open System.Collections.Generic
open System.Diagnostics
open System.IO
open System.Net
open System.Net.Http
open System.Net.Sockets
open System.Reflection
open System.Runtime.Loader
open System.Text
open System.Text.Json
open System.Threading
open System.Threading.Tasks
open Expecto
open Microsoft.CodeAnalysis
open Microsoft.CodeAnalysis.CSharp
open Npgsql
open Veza.Host.Tests.Scene
open Veza.Sandbox.Demo

let private found (tool: string) =
    (string (Environment.GetEnvironmentVariable "PATH")).Split Path.PathSeparator
    |> Array.map (fun folder -> Path.Combine(folder, tool))
    |> Array.tryFind File.Exists

/// The tools themselves; without one of them there is nothing to try here.
let private needs (tools: string list) =
    for tool in tools do
        if found tool = None then
            skiptest $"{tool} is not installed here."

/// A test that owns what it starts.
let trying name (act: unit -> Task<unit>) = testTask name { do! act () }

let freePort () =
    use listener = new TcpListener(IPAddress.Loopback, 0)
    listener.Start()
    (listener.LocalEndpoint :?> IPEndPoint).Port

/// A reader sees an answer of 400 or above and stops; and stops a stream, which has no end.
let private curl =
    """#!/usr/bin/env bash
for argument in "$@"; do
    if [ "$argument" = -N ]; then
        "$REAL_CURL" --fail --max-time 2 "$@"
        code=$?
        [ $code = 28 ] && exit 0
        exit $code
    fi
done
exec "$REAL_CURL" --fail-with-body --max-time 20 "$@"
"""

/// A command of the host; one that serves is asked whether it is ready, and stopped.
let private veza =
    """#!/usr/bin/env bash
if [ "$1" != serve ]; then exec "$REAL_VEZA" "$@"; fi
"$REAL_VEZA" serve &
until "$REAL_CURL" -sf "$VEZA_URLS/health/ready" > /dev/null; do kill -0 $! || exit 1; sleep 0.1; done
echo "it serves"
kill -TERM $!
wait $!
"""

/// The build is not built again.
let private dotnet =
    """#!/usr/bin/env bash
[ "$1 $2 $3" = "fsi build.fsx -t" ] && echo "target $4"
"""

let private place (file: string) (text: string) =
    Directory.CreateDirectory(string (Path.GetDirectoryName file)) |> ignore
    File.WriteAllText(file, text)
    File.SetUnixFileMode(file, UnixFileMode.UserRead ||| UnixFileMode.UserWrite ||| UnixFileMode.UserExecute)

/// Runs the blocks one after the other in one shell, in a folder of its own; each command must succeed.
let private run (settings: (string * string) list) (prepare: string -> unit) (blocks: string list) =
    task {
        needs [ "bash"; "curl"; "jq" ]
        let folder = Directory.CreateTempSubdirectory("veza-page-").FullName
        try
            prepare folder
            for name, text in [ "curl", curl; "veza", veza; "dotnet", dotnet ] do
                place (Path.Combine(folder, "tools", name)) text
            let script =
                "set -Eeo pipefail; cd "
                + folder
                + "\n"
                + "trap 'echo \"this failed: $BASH_COMMAND\" >&2' ERR\n"
                + String.concat "\n" blocks
            let path =
                Path.Combine(folder, "tools") + ":" + string (Environment.GetEnvironmentVariable "PATH")
            let given = [
                "PATH", path
                "REAL_CURL", (found "curl").Value
                "REAL_VEZA", CrashTests.program
                yield! settings
            ]
            let! (code: int), (output: string), (errors: string) =
                CommandTests.start "/usr/bin/env" given [ "bash"; "-c"; script ]
            Expect.equal code 0 $"the commands work as they are written:\n{output}\n{errors}"
            return output
        finally
            Directory.Delete(folder, true)
    }

let private asTheReader (stage: Stage) (text: string) =
    text
        .Replace("veza_service_…", stage.ServiceKey)
        .Replace("veza_operator_…", stage.OperatorKey)
        .Replace("http://127.0.0.1:5080", stage.Veza.Address)
        .Replace("http://127.0.0.1:5090", stage.Providers.Address)

/// What `-t Sandbox` runs, on free ports.
let private stage () =
    needs [ "bash"; "curl"; "jq" ]
    let tried = dict [ "WEBHOOK_ALLOW_PRIVATE_TARGETS", "true" ]
    Stage.Raise(CrashTests.program, Dictionary tried, 0, CancellationToken.None)

let private runOn (stage: Stage) blocks = run [] ignore (List.map (asTheReader stage) blocks)

let private url (connectionString: string) =
    let it = NpgsqlConnectionStringBuilder connectionString
    $"postgres://{it.Username}:{it.Password}@{it.Host}:{it.Port}/{it.Database}"

let private configured connectionString (sandbox: string) = [
    "DATABASE_URL", url connectionString
    "HYPERSWITCH_BASE_URL", sandbox + "/hyperswitch"
    "HYPERSWITCH_API_KEY", "snd_sandbox_api_key"
    "HYPERSWITCH_WEBHOOK_SECRET", "hyperswitch-sandbox-secret"
    "STRIPE_API_BASE", sandbox + "/stripe"
    "STRIPE_SECRET_KEY", "sk_test_sandbox"
    "STRIPE_WEBHOOK_SECRET", "whsec_sandbox"
    "VEZA_URLS", $"http://127.0.0.1:{freePort ()}"
]

let private of' (scene: Scene) = configured scene.ConnectionString (scene.StripeUrl.Replace("/stripe", ""))

/// .env.template with what a person puts in.
let private filledIn (settings: (string * string) list) (template: string) =
    (template, settings)
    ||> List.fold (fun text (name, value) ->
        RegularExpressions.Regex.Replace(text, $"(?m)^{name}=.*$", $"{name}={value}"))

let private open' = [ "WEBHOOK_ALLOW_PRIVATE_TARGETS", "true" ]

/// A receiver of the page as a process of its own, which takes what the host sends and nothing forged.
let private receives (language: string) (tool: string) (extension: string) =
    play $"the receiver in {language} takes a real delivery and refuses a forged one" open' (fun scene ->
        task {
            needs [ tool ]
            let port = freePort ()
            let! made =
                scene.As(
                    "operator",
                    "POST",
                    "/api/v1/webhook-endpoints",
                    $$"""{"url":"http://127.0.0.1:{{port}}/","event_types":["order.created"]}"""
                )
            let secret = made.Text "secret"
            let code = (Pages.blocks language (Pages.read "docs/webhooks.md") |> List.exactlyOne)
            let file = Path.Combine(Path.GetTempPath(), $"veza-receiver-{port}.{extension}")
            File.WriteAllText(file, code.Replace("8080", string port))
            let start = ProcessStartInfo(tool, [ file ], RedirectStandardOutput = true)
            start.Environment["VEZA_WEBHOOK_SECRET"] <- secret
            use receiver = nonNull (Process.Start start)
            try
                use http = new HttpClient(BaseAddress = Uri $"http://127.0.0.1:{port}")
                let send id time (signature: string) (body: string) =
                    task {
                        use request = new HttpRequestMessage(HttpMethod.Post, "/")
                        request.Content <- new StringContent(body)
                        for name, value in
                            [ "webhook-id", id; "webhook-timestamp", time; "webhook-signature", signature ] do
                            request.Headers.TryAddWithoutValidation(name, value) |> ignore
                        use! response = http.SendAsync request
                        return int response.StatusCode
                    }
                do!
                    scene.Until(
                        "it to listen",
                        fun () ->
                            task {
                                try
                                    let! status = send "x" "0" "v1,AAAA" "{}"
                                    return status = 401
                                with :? HttpRequestException ->
                                    return false
                            }
                    )
                let! _ = scene.Order()
                let! line = receiver.StandardOutput.ReadLineAsync().WaitAsync(TimeSpan.FromSeconds 10.)
                Expect.stringContains (string line) "order.created" "it has read the message"
                do!
                    scene.Until(
                        "it to be delivered",
                        fun () ->
                            task {
                                let! log =
                                    scene.As(
                                        "operator",
                                        "GET",
                                        $"""/api/v1/webhook-endpoints/{made.Text "id"}/deliveries?state=delivered""",
                                        ""
                                    )
                                return not (items "data" log.Body).IsEmpty
                            }
                    )
                let key = Convert.FromBase64String(secret.Substring "whsec_".Length)
                let signed time body =
                    Veza.Adapters.Notifications.WebhookSender.Sign(key, "evt_1", time, body)
                let now = string (DateTimeOffset.UtcNow.ToUnixTimeSeconds())
                let old = string (DateTimeOffset.UtcNow.ToUnixTimeSeconds() - 301L)
                let body = """{"id":"evt_1","type":"order.created","sequence":1}"""
                let! genuine = send "evt_1" now (signed now body) body
                let! rotated = send "evt_1" now ("v1,AAAA " + signed now body) body
                let! changed = send "evt_1" now (signed now body) (body.Replace("1", "2"))
                let! late = send "evt_1" old (signed old body) body
                Expect.equal
                    (genuine, rotated, changed, late)
                    (204, 204, 401, 401)
                    "genuine, by the second signature, changed on the way, too old"
            finally
                receiver.Kill()
                File.Delete file
        })

[<Tests>]
let tests =
    testList "snippets" [
        trying "README's five minutes end with the seller's share taken back" (fun () ->
            task {
                use! stage = stage ()
                let page = Pages.read "README.md" |> Pages.section "Five minutes to a refund reversed"
                let! output = runOn stage (Pages.blocks "sh" page |> List.tail)
                Expect.stringContains output "\"reversed_amount\": 1800" output
            })
        trying "README's installation checks, migrates and serves" (fun () ->
            task {
                let! (database: string) = Databases.bare ()
                use! sandbox = Veza.Sandbox.SandboxServer.Start(0, CancellationToken.None)
                let settings = configured database sandbox.Address
                let prepare folder =
                    place (Path.Combine(folder, "artifacts", "veza", "veza")) veza
                    place
                        (Path.Combine(folder, ".env.template"))
                        (filledIn settings (Pages.read ".env.template"))
                let page = Pages.read "README.md" |> Pages.section "Running it"
                let! output = run [] prepare (Pages.blocks "sh" page)
                for sign in
                    [ "target Publish"; "PLATFORM_FEE_BPS"; "Applied"; "veza_operator_"; "it serves" ] do
                    Expect.stringContains output sign output
            })
        play "README's commands say that the books agree" [] (fun scene ->
            task {
                let! _ = scene.SettledOrder()
                let page = Pages.read "README.md" |> Pages.section "Do the books agree?"
                let! output = run (of' scene) ignore (Pages.blocks "sh" page)
                Expect.stringContains output "The books agree" output
            })
        trying "the start in docs/deployment.md works" (fun () ->
            task {
                let! (database: string) = Databases.bare ()
                use! sandbox = Veza.Sandbox.SandboxServer.Start(0, CancellationToken.None)
                let page = Pages.read "docs/deployment.md" |> Pages.section "Start"
                let! output = run (configured database sandbox.Address) ignore (Pages.blocks "sh" page)
                Expect.stringContains output "it serves" output
            })
        trying "the tour of the API works" (fun () ->
            task {
                use! stage = stage ()
                let! output = runOn stage (Pages.blocks "sh" (Pages.read "docs/api.md"))
                Expect.stringContains output "\"action\": \"transfer.retry\"" output
            })
        play "the tour's error is the real one" [] (fun scene ->
            task {
                do! scene.Seller "ada"
                let! answer =
                    scene.Post(
                        "/api/v1/orders",
                        """{"buyer_id":"bob","currency":"EUR","lines":[
                            {"product_id":"book","seller_id":"ada","quantity":0,"unit_amount":1}]}"""
                    )
                let shown = Pages.blocks "json" (Pages.read "docs/api.md") |> List.exactlyOne
                let shown = JsonDocument.Parse(shown).RootElement
                for field in shown.EnumerateObject() do
                    Expect.isTrue
                        (JsonElement.DeepEquals(field.Value, answer.Body.GetProperty field.Name))
                        $"{field.Name}: the page says {field.Value}, the host {answer.Body.GetProperty field.Name}"
            })
        trying "the commands of docs/webhooks.md work" (fun () ->
            task {
                use! stage = stage ()
                let! output = runOn stage (Pages.blocks "sh" (Pages.read "docs/webhooks.md"))
                Expect.stringContains output "whsec_" "the secret, once"
                Expect.stringContains output "\"enabled\": true" output
                Expect.stringContains output "retry: 1000" "the stream"
            })
        receives "js" "node" "mjs"
        receives "python" "python3" "py"
        play "the verification in C# knows a real delivery from a changed one" open' (fun scene ->
            task {
                use receiver = new EventTests.Receiver(fun () -> 204)
                let! url = receiver.Start()
                let! made =
                    scene.As(
                        "operator",
                        "POST",
                        "/api/v1/webhook-endpoints",
                        $$"""{"url":"{{url}}","event_types":["order.created"]}"""
                    )
                let! _ = scene.Order()
                do! scene.Until("the message", fun () -> task { return not receiver.Got.IsEmpty })
                let code = Pages.blocks "csharp" (Pages.read "docs/webhooks.md") |> List.exactlyOne
                let compilation =
                    CSharpCompilation.Create(
                        "Verification",
                        [ CSharpSyntaxTree.ParseText code ],
                        DocumentTests.references,
                        CSharpCompilationOptions(OutputKind.DynamicallyLinkedLibrary)
                    )
                use stream = new MemoryStream()
                let built = compilation.Emit stream
                Expect.isTrue built.Success (String.Join("\n", built.Diagnostics))
                stream.Position <- 0L
                let assembly = AssemblyLoadContext.Default.LoadFromStream stream
                let check = nonNull ((nonNull (assembly.GetType "VezaWebhook")).GetMethod "IsGenuine")
                let isGenuine: Func<string, string, string, string, byte[], bool> = check.CreateDelegate()
                let id, time, signature, body = receiver.Got.Head
                let verdict (time: string) (body: string) =
                    isGenuine.Invoke(made.Text "secret", id, time, signature, Encoding.UTF8.GetBytes body)
                Expect.isTrue (verdict time body) "the host's own"
                Expect.isFalse (verdict time (body + " ")) "changed on the way"
                Expect.isFalse (verdict (string (int64 time - 1000L)) body) "too old"
            })
    ]
