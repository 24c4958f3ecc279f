/// Whatever a page names is there: commands and their options, settings, files, tests, types, and what links lead to.
module Veza.Host.Tests.PageTests

open System
open System.Diagnostics
open System.IO
open System.Net.Http
open System.Text.Json
open System.Text.RegularExpressions
open System.Threading.Tasks
open Expecto
open Veza.Domain.Specifications
open Veza.Host.AdminConsole
open Veza.Host.Cli
open Veza.Host.Http
open Veza.Host.Tests.Scene

let private none (faults: string list) (why: string) = Expect.equal faults [] why

let private onEachPage (faults: string -> string -> string list) = [
    for page in Pages.all do
        for fault in faults page (Pages.read page) do
            $"{page}: {fault}"
]

/// The words of a command line, without the shell's and without what stands for something else.
let private words (line: string) =
    Regex.Replace(line, @"[|;>&].*$|[\[\]…]", "").Split(' ', StringSplitOptions.RemoveEmptyEntries)
    |> List.ofArray

/// `veza reconcile --heal`, wherever the program stands.
let private commands (text: string) = [
    for line in Pages.commandLines text do
        match words line with
        | program :: verb :: rest when Regex.IsMatch(program, @"^(\S*/)?veza$") -> verb :: rest
        | _ -> ()
]

let private targets (text: string) = [
    for found in Regex.Matches(text, @"-t ([A-Z]\w+)( -- ([^`#|)\n]*))?") do
        found.Groups[1].Value,
        [ for flag in Regex.Matches(found.Groups[3].Value, @"--[a-z-]+") -> flag.Value ]
]

let private sourceOf (target: string) =
    let folder name =
        Directory.EnumerateFiles(Path.Combine(Pages.root, name), "*.*s", SearchOption.TopDirectoryOnly)
        |> Seq.map File.ReadAllText
        |> String.concat "\n"
    match target with
    | "Demo"
    | "Sandbox"
    | "Chaos" -> folder "src/Veza.Sandbox"
    | "Simulate" -> folder "tests/Veza.Simulation"
    | "Mutate" -> Pages.read "tests/mutate.fsx"
    | "Bench" -> folder "bench/Veza.Bench"
    | _ -> "\"--filter\""

let private settings () =
    let reader = settingsFrom []
    reader.Read() |> ignore
    [ for report in reader.Reports -> report.Name, report ]

/// In capitals, and no setting of the host.
let private others =
    set [
        "VEZA_WEBHOOK_SECRET"
        "VEZA_TEST_DATABASE_URL"
        "VEZA_WRITE_SPEC"
        "NUGET_FEED"
        "OTEL_EXPORTER_OTLP_ENDPOINT"
        "OTEL_SERVICE_NAME"
        "HE_01"
        "IR_13"
    ]

let private testFiles =
    lazy
        (Directory.EnumerateFiles(Path.Combine(Pages.root, "tests"), "*.fs", SearchOption.AllDirectories)
         |> Seq.filter (fun path -> not (path.Contains "/obj/"))
         |> Seq.map (fun path -> Path.GetFileName path, File.ReadAllText path)
         |> List.ofSeq)

/// A test's name in its source; what an interpolation puts in may be anything.
let private isTest (name: string) (source: string) =
    let inner = Regex.Split(name, @"…|: |, | \(\w+\)") |> Array.map _.Trim() |> Array.filter ((<>) "")
    inner |> Array.forall source.Contains

let private compose () = Pages.read "deploy/docker/compose.yml"

/// The settings that compose gives the host.
let private composed () = [
    let environment =
        Regex.Match(compose (), @"(?ms)^  veza:.*?^    environment:\n(.*?)^    ports:").Groups[1].Value
    for found in Regex.Matches(environment, @"(?m)^      ([A-Z_]+): ""?(.*?)""?$") do
        found.Groups[1].Value, found.Groups[2].Value
]

[<Tests>]
let tests =
    testList "pages" [
        test "every command of veza that a page names is there, with its options" {
            none
                (onEachPage (fun _ text -> [
                    for command in commands text do
                        // --SETTING=value is taken out before the verbs see it.
                        let own = command |> List.filter (fun word -> not (Regex.IsMatch(word, "^--[A-Z]")))
                        let parsed = Commands.Root().Parse(List.toArray own)
                        for word in parsed.UnmatchedTokens do
                            $"veza {String.Join(' ', command)}: {word}"
                ]))
                "veza --help names what there is"
            let all = Pages.all |> List.map Pages.read |> String.concat "\n"
            for verb in Commands.Root().Subcommands do
                Expect.stringContains all $"veza {verb.Name}" "and every command stands on a page"
        }
        test "every target of the build that a page names is there, with its options" {
            let build = Pages.read "build.fsx"
            none
                (onEachPage (fun _ text -> [
                    for target, flags in targets text do
                        if not (build.Contains $"Target.create \"{target}\"") then
                            $"-t {target}"
                        for flag in flags do
                            if not ((sourceOf target).Contains $"\"{flag}\"") then
                                $"-t {target} -- {flag}"
                ]))
                "dotnet fsi build.fsx --list names what there is"
        }
        test "every setting is in .env.template with its default, and nothing else is" {
            let template = Pages.read ".env.template"
            let given = [
                for found in Regex.Matches(template, @"(?m)^([A-Z_]+)=(.*)$") ->
                    found.Groups[1].Value, found.Groups[2].Value
            ]
            let known = settings ()
            Expect.equal
                (List.map fst given |> List.sort)
                (List.map fst known |> List.distinct |> List.sort)
                "the same settings"
            for name, report in known do
                if report.IsDefault && report.Shown <> "(not set)" then
                    Expect.equal (Map.find name (Map.ofList given)) report.Shown name
        }
        test "every setting that a page names is there" {
            let known = settings () |> List.map fst |> set
            none
                (onEachPage (fun _ text -> [
                    for span in Pages.spans text do
                        let name = Regex.Match(span, @"^[A-Z]+(_[A-Z0-9]+)+(?=$|=)").Value
                        if name <> "" && not (known.Contains name || others.Contains name) then
                            name
                ]))
                ".env.template names what there is"
        }
        test "every file that a page names is there" {
            let tops = "src/|tests/|docs/|deploy/|bench/"
            none
                (onEachPage (fun _ text -> [
                    for span in Pages.spans text do
                        let path = span.TrimEnd('/')
                        if Regex.IsMatch(path, $@"^({tops})[\w./-]+$") then
                            if
                                not (File.Exists(Pages.fileOf path) || Directory.Exists(Pages.fileOf path))
                            then
                                path
                ]))
                "name one that exists"
        }
        test "every test that a page names is there" {
            none
                [
                    for found in
                        Regex.Matches(
                            Pages.read "docs/what-happens-when.md",
                            @"\[([^\]]+)\]\(\.\./(tests/[\w./]+)\) \|"
                        ) do
                        let name, file = found.Groups[1].Value, found.Groups[2].Value
                        if not (isTest name (Pages.read file)) then
                            $"what-happens-when: {name} in {file}"
                    for page in [ "docs/security.md"; "docs/verification.md" ] do
                        for found in Regex.Matches(Pages.read page, @"\*([^*|\n]+)\*") do
                            let name = found.Groups[1].Value
                            if name.Contains ": " || name.StartsWith "…" then
                                let isThere = testFiles.Value |> List.exists (snd >> isTest name)
                                if not isThere then
                                    $"{page}: {name}"
                ]
                "name one that exists"
        }
        test "every link leads to a page that is there, and to a heading of it" {
            none
                (onEachPage (fun page text -> [
                    for found in Regex.Matches(text, @"\]\((?!https?:)([^)#\s]*)#([^)\s]+)\)") do
                        let target =
                            if found.Groups[1].Value = "" then
                                Pages.fileOf page
                            else
                                Path.Join(Path.GetDirectoryName(Pages.fileOf page), found.Groups[1].Value)
                        let heading = found.Groups[2].Value
                        if
                            not (
                                File.Exists target
                                && (Pages.anchors (File.ReadAllText target)).Contains heading
                            )
                        then
                            found.Value
                ]))
                "a test of tidy looks for the files"
        }
        test "docs/webhooks.md lists every type that the host sends, and endpoints can ask for each" {
            let page = Pages.read "docs/webhooks.md" |> Pages.section "The types"
            let listed =
                set [
                    for row in Regex.Matches(page, @"(?m)^\| `(\w+)` \| (.*) \|$") do
                        for status in Regex.Matches(row.Groups[2].Value, @"`(\w+)`") do
                            row.Groups[1].Value + "." + status.Groups[1].Value
                ]
            let sent =
                set [
                    for machine in Machines.all () do
                        for state in machine.States do
                            let shown =
                                match machine.Name, state with
                                | "payout", ("requested" | "in_doubt") -> "pending"
                                | _ -> state
                            machine.Name + "." + shown
                ]
            let asked = Statuses.EventTypes |> Seq.filter (fun word -> not (word.EndsWith '*')) |> set
            Expect.equal asked sent "an endpoint can ask for what is sent"
            Expect.equal listed sent "the page lists it"
        }
        test "the reasons of a difference are those of the runbook" {
            let page = Pages.read "docs/runbooks/books_disagree.md"
            let listed =
                set [
                    for row in Regex.Matches(page, @"(?m)^\| (`\w+`(, `\w+`)*) \|") do
                        for reason in Regex.Matches(row.Groups[1].Value, @"\w+") -> reason.Value
                ]
            let domain = Veza.Domain.Reconciliation.Difference.every
            let compared = domain |> List.map Veza.Domain.Reconciliation.Difference.word
            Expect.isEmpty (set compared - listed) "every reason of the comparison"
            Expect.equal
                (listed - set compared)
                (set [ "ledger"; "conservation" ])
                "and of the books themselves"
        }
        test "docs/sandbox.md lists every control and every operation that can go wrong" {
            let page = Pages.read "docs/sandbox.md"
            let source =
                Directory.EnumerateFiles(
                    Path.Combine(Pages.root, "src", "Veza.Sandbox"),
                    "*.cs",
                    SearchOption.AllDirectories
                )
                |> Seq.map File.ReadAllText
                |> String.concat "\n"
            let plain path = Regex.Replace(path, @"\{[^}]*\}|\?.*$", "{}").TrimEnd('{', '}')
            let there =
                set [
                    for found in Regex.Matches(source, @"control\.Map(\w+)\(\s*""([^""]+)""") ->
                        found.Groups[1].Value.ToUpperInvariant() + " " + plain found.Groups[2].Value
                ]
            let listed =
                set [
                    for found in Regex.Matches(page, @"`(GET|PUT|POST|DELETE) /control(/[^` ]+)") ->
                        found.Groups[1].Value + " " + plain found.Groups[2].Value
                ]
            Expect.equal listed there "what can be done to the simulated world"
            let operations =
                set [
                    for found in Regex.Matches(source, @"""((stripe|hyperswitch)(\.[a-z_]+){2})""") ->
                        found.Groups[1].Value
                ]
            let named =
                set [
                    for found in Regex.Matches(page, @"`((?:stripe|hyperswitch)\.[a-z_]+\.)([a-z/]+)`") do
                        for last in found.Groups[2].Value.Split '/' -> found.Groups[1].Value + last
                ]
            Expect.equal named operations "what faults can be asked for"
        }
        test "the containers have settings that there are, and find each other" {
            let known = settings () |> List.map fst |> set
            let given = composed ()
            Expect.isNonEmpty given "compose sets some"
            for name, value in given do
                Expect.isTrue (known.Contains name) name
                let host = Regex.Match(value, @"//(?:\w+:\w+@)?([\w.]+)").Groups[1].Value
                if host <> "" then
                    Expect.isMatch (compose ()) $"(?m)^  {Regex.Escape host}:$" $"{name}: {host} is a service"
            let reader = settingsFrom given
            Expect.isNotNull (reader.Read()) $"{List.ofSeq reader.Faults}"
            let wiring = Veza.Sandbox.Wiring()
            Expect.equal
                (Map.find "HYPERSWITCH_WEBHOOK_SECRET" (Map.ofList given))
                wiring.HyperswitchSecret
                ""
            Expect.equal (Map.find "STRIPE_WEBHOOK_SECRET" (Map.ofList given)) wiring.StripeSecret ""
            let ports = [ for found in Regex.Matches(compose (), @"127\.0\.0\.1:(\d+):(\d+)") -> found.Value ]
            Expect.equal ports [ "127.0.0.1:5080:5080"; "127.0.0.1:5090:5090" ] "for this machine alone"
            Expect.stringContains (Pages.read "deploy/docker/Dockerfile") "VEZA_URLS=http://0.0.0.0:5080" ""
        }
        SnippetTests.trying "an order is paid and settled between the containers' commands" (fun () ->
            task {
                let quoted (text: string) = [
                    for found in Regex.Matches(text, "\"([^\"]+)\"") -> found.Groups[1].Value
                ]
                let entry =
                    Regex
                        .Match(Pages.read "deploy/docker/sandbox.Dockerfile", @"ENTRYPOINT (\[.*\])")
                        .Groups[1].Value
                let command = Regex.Match(compose (), @"command: (\[.*\])").Groups[1].Value
                let veza = $"http://127.0.0.1:{SnippetTests.freePort ()}"
                let port = SnippetTests.freePort ()
                let arguments =
                    List.tail (quoted entry) @ quoted command @ [ "--port"; string port ]
                    |> List.map (fun word ->
                        word.Replace("0.0.0.0", "127.0.0.1").Replace("http://veza:5080", veza))
                use sandbox = nonNull (Process.Start(ProcessStartInfo(CommandTests.sandbox, arguments)))
                try
                    let providers = $"http://127.0.0.1:{port}"
                    use http = new HttpClient(BaseAddress = Uri providers)
                    let given =
                        composed ()
                        |> List.map (fun (name, value) ->
                            name, value.Replace("http://sandbox:5090", providers))
                    // Only a webhook completes it in time.
                    use! scene =
                        Scene.Open [
                            yield! given |> List.filter (fun (name, _) -> name <> "DATABASE_URL")
                            "VEZA_URLS", veza
                            "SWEEP_INTERVAL", "1h"
                            "SWEEP_AFTER", "1h"
                        ]
                    do!
                        scene.Until(
                            "the sandbox to listen",
                            fun () ->
                                task {
                                    try
                                        let! _ = http.GetStringAsync "/control/books"
                                        return true
                                    with :? HttpRequestException ->
                                        return false
                                }
                        )
                    for name in [ "ada"; "bob" ] do
                        let! opened = http.PutAsync($"/control/accounts/acct_{name}", null)
                        Expect.isTrue opened.IsSuccessStatusCode name
                    let! order = scene.Order()
                    let! payment = scene.OfferPayment order
                    use confirm =
                        new HttpRequestMessage(
                            HttpMethod.Post,
                            $"""/hyperswitch/payments/{payment.Text "payment_id"}/confirm"""
                        )
                    confirm.Headers.Add("api-key", "pk")
                    confirm.Content <- new StringContent("{}")
                    let! confirmed = http.SendAsync confirm
                    Expect.isTrue confirmed.IsSuccessStatusCode "paid"
                    do! scene.TransfersAre(order, "completed")
                finally
                    sandbox.Kill()
            })
    ]
