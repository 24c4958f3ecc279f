/// What the compiler cannot be told: the house rules, read from the source itself.
module Veza.Domain.Tests.Tidy

open System.IO
open System.Text.RegularExpressions
open Expecto
open Veza.Domain
open Veza.Domain.Transfers

let private root = Path.GetFullPath(Path.Combine(__SOURCE_DIRECTORY__, "..", ".."))

let private sources folder (extensions: string list) =
    Directory.EnumerateFiles(Path.Combine(root, folder), "*.*", SearchOption.AllDirectories)
    |> Seq.filter (fun path -> List.contains (Path.GetExtension path) extensions)
    |> Seq.filter (fun path -> not (path.Contains "/obj/" || path.Contains "/bin/"))

let private code = [ ".fs"; ".cs"; ".sql" ]

let private offences folder offends = [
    for path in sources folder code do
        for number, line in File.ReadLines path |> Seq.indexed do
            if offends line then
                $"{Path.GetRelativePath(root, path)}:{number + 1} {line.Trim()}"
]

let private none found why = Expect.equal found [] why
let private matches (pattern: string) (line: string) = Regex.IsMatch(line, pattern)

/// A status set anywhere but in the guarded updates: `set status = 'x'`, `Status = "x"` and the like. Inserts and
/// guarded updates write what the domain's row says.
let private setsStatusByHand (line: string) =
    matches @"(?i)\bset\b[^=]*\bstatus\s*=\s*'" line
    || matches @"(?i)^\s*(,\s*)?status\s*=\s*'[a-z_]+'\s*,?\s*$" line
    || matches @"\bStatus\s*=\s*""" line

[<Tests>]
let tests =
    testList "tidy" [
        test "no wildcard hides a case of the domain" {
            none (offences "src/Veza.Domain.fs" (matches @"^\s*\|\s*_\s*->")) "name every case"
        }
        test "the domain never throws on purpose" {
            none (offences "src/Veza.Domain.fs" (matches @"\bfailwith|\braise\b")) "return a refusal"
        }
        test "the domain asks no clock and draws no lots" {
            none
                (offences
                    "src/Veza.Domain.fs"
                    (matches @"UtcNow|DateTime\.Now|NewGuid|\bRandom\b|\bfloat\b|\bdouble\b"))
                "time and identity are arguments"
        }
        test "no placeholder of a log is the logger's own" {
            none
                (offences "src" (matches @"\{(EventId|SourceContext)\}"))
                "it would print the logger's value in place of ours"
        }
        test "no line is wider than 130" { none (offences "src" (fun line -> line.Length > 130)) "wrap it" }
        test "every loop in the background is a polling worker's" {
            let others =
                offences "src/Veza.Host" (matches @":\s*BackgroundService\b|new PeriodicTimer")
                |> List.filter (fun found ->
                    not (found.StartsWith "src/Veza.Host/Background/PollingWorker.cs"))
            none others "inherit PollingWorker: it logs, waits through the clock and stops with the host"
        }
        test "folders do not depend on each other in a circle" {
            for project in [ "src/Veza.Host"; "src/Veza.Adapters" ] do
                Expect.isEmpty
                    (Folders.circles (Path.Combine(root, project)))
                    $"{project}: the way back is a fault"
        }
        test "no call is cut off from cancellation without the sentence that says why" {
            let unexplained = [
                for path in sources "src/Veza.Host" [ ".cs" ] do
                    let lines = File.ReadAllLines path
                    for number in 0 .. lines.Length - 1 do
                        let before = lines[max 0 (number - 3) .. number]
                        if
                            lines[number].Contains "CancellationToken.None"
                            && not (Array.exists (matches @"//.*\w") before)
                        then
                            $"{Path.GetRelativePath(root, path)}:{number + 1}"
            ]
            none unexplained "pass the caller's token, or say why it must not end here"
        }
        test "the domain depends on nothing but the language" {
            let foreign = [
                for reference in typeof<Transfer>.Assembly.GetReferencedAssemblies() do
                    let name = string reference.Name
                    if name <> "FSharp.Core" && not (name.StartsWith "System.") then
                        name
            ]
            none foreign "the domain is pure"
        }
        test "an alarm is as urgent to Prometheus as its page says" {
            let rules = File.ReadAllText(Path.Combine(root, "deploy", "prometheus", "veza.rules.yml"))
            let named word =
                let found = Regex.Match(rules, @"eq \$labels\.alarm ([^}]*)}}" + word)
                Regex.Matches(found.Groups[1].Value, "[a-z_]+") |> Seq.map _.Value |> set
            let pages, warnings = named "page", named "warning"
            for alarm in Alarm.every |> List.map Alarm.word do
                let page = File.ReadAllText(Path.Combine(root, "docs", "runbooks", alarm + ".md"))
                let urgency = Regex.Match(page, @"\*\*urgency\*\* (\w+)").Groups[1].Value
                let severity =
                    if pages.Contains alarm then "page"
                    elif warnings.Contains alarm then "warning"
                    else "notice"
                Expect.equal severity urgency alarm
        }
        test "every alarm has a page that says what to do" {
            let runbooks = Path.Combine(root, "docs", "runbooks")
            let contents = File.ReadAllText(Path.Combine(runbooks, "README.md"))
            for alarm in Alarm.every do
                let page = Alarm.word alarm + ".md"
                Expect.isTrue (File.Exists(Path.Combine(runbooks, page))) page
                Expect.stringContains contents page "and is in the table"
        }
        test "no page links to a file that is not there" {
            let pages =
                Directory.EnumerateFiles(Path.Combine(root, "docs"), "*.md", SearchOption.AllDirectories)
                |> Seq.append (Directory.EnumerateFiles(root, "*.md"))
            let dead = [
                for page in pages do
                    for link in Regex.Matches(File.ReadAllText page, @"\]\((?!https?:|#)([^)#\s]+)") do
                        let target = Path.Join(Path.GetDirectoryName page, link.Groups[1].Value)
                        if not (File.Exists target || Directory.Exists target) then
                            $"{Path.GetRelativePath(root, page)} links to {link.Groups[1].Value}"
            ]
            Expect.equal dead [] "write it, or link elsewhere"
        }
        test "dependencies point inwards" {
            let references project = File.ReadAllText(Path.Combine(root, "src", project, project + ".csproj"))
            Expect.isFalse
                ((references "Veza.Adapters").Contains "Veza.Host.csproj")
                "the adapters do not know the host"
            Expect.isFalse
                ((references "Veza.Sandbox").Contains "ProjectReference")
                "the sandbox knows no Veza project"
        }
        testList "no status is set by hand" [
            test "in SQL and in C#" {
                none
                    (List.collect (fun folder -> offences folder setsStatusByHand) [
                        "src/Veza.Adapters"
                        "src/Veza.Host"
                    ])
                    "the domain decides, the guarded update writes"
            }
            test "and this test sees it when one is" {
                for planted in
                    [
                        "update seller_transfers set status = 'reversed' where id = $1"
                        "            status = 'reversed',"
                        "    transfer.Status = \"reversed\";"
                    ] do
                    Expect.isTrue (setsStatusByHand planted) planted
            }
            test "every update of a status is guarded by the status and version it saw" {
                for path in sources "src/Veza.Adapters" [ ".cs" ] do
                    let text = File.ReadAllText path
                    for found in Regex.Matches(text, @"set status = c\.status(?s).*?""""""") do
                        Expect.isTrue
                            (found.Value.Contains "c.from_status"
                             && found.Value.Contains ".version = c.version")
                            $"{Path.GetFileName path} updates a status without its guard"
            }
        ]
    ]
