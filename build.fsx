// dotnet fsi build.fsx                              build, check the style and run every test
// dotnet fsi build.fsx --list                       say what else there is
// dotnet fsi build.fsx -t Test -- --filter transfer
// dotnet fsi build.fsx -t Demo -- --stay

// Fake.Core.Target asks for FSharp.Control.Reactive 5, which not every feed holds; it runs on 4.4.2.
#r "nuget: FSharp.Control.Reactive, 4.4.2"
#r "nuget: Fake.Core.Target, 6.2.0"

open System
open System.IO
open System.Text.RegularExpressions
open Fake.Core
open Fake.Core.TargetOperators

Directory.SetCurrentDirectory __SOURCE_DIRECTORY__

let arguments = fsi.CommandLineArgs |> Array.skip 1 |> List.ofArray

/// What stands after the target is for the program that it runs. `dotnet fsi` swallows the `--` between them.
let forTarget, forProgram =
    match arguments |> List.tryFindIndex (fun argument -> argument = "-t" || argument = "--target") with
    | Some place when arguments.Length > place + 1 ->
        let mine, rest = List.splitAt (place + 2) arguments
        let single, rest =
            rest |> List.partition (fun argument -> argument = "-s" || argument = "--single-target")
        mine @ single, rest |> List.filter ((<>) "--")
    | Some _
    | None -> arguments, []

forTarget
|> Context.FakeExecutionContext.Create false "build.fsx"
|> Context.RuntimeContext.Fake
|> Context.setExecutionContext

let private start program arguments =
    CreateProcess.fromRawCommand program arguments |> CreateProcess.disableTraceCommand

let run program arguments = start program arguments |> CreateProcess.ensureExitCode |> Proc.run |> ignore

let dotnet arguments = run "dotnet" arguments

/// What the program prints, which also appears as it comes.
let private capture program arguments =
    let lines = ResizeArray<string>()
    let keep echo (line: string) =
        if not (isNull line) then
            lock lines (fun () -> lines.Add line)
            if echo then
                printfn "%s" line
    fun echo ->
        let result =
            start program arguments
            |> CreateProcess.redirectOutput
            |> CreateProcess.withOutputEventsNotNull (keep echo) (keep echo)
            |> Proc.run
        result.ExitCode, List.ofSeq lines

/// Packages come from the feed this machine's NuGet is set up with; Paket reads it from the environment.
let setFeed () =
    if String.IsNullOrEmpty(Environment.environVarOrDefault "NUGET_FEED" "") then
        let _, lines = capture "dotnet" [ "nuget"; "list"; "source"; "--format"; "short" ] false
        match lines |> List.tryFind _.StartsWith("E ") with
        | Some line -> Environment.setEnvironVar "NUGET_FEED" (line.Substring(2).Trim())
        | None -> failwith "No NuGet source is enabled: see 'dotnet nuget list source'."

let configuration = Environment.environVarOrDefault "CONFIGURATION" "Debug"
let output project = Path.Combine("artifacts", "bin", project, configuration.ToLowerInvariant())
let veza () = Path.GetFullPath(Path.Combine(output "Veza.Host", "veza"))
let sandbox () = Path.GetFullPath(Path.Combine(output "Veza.Sandbox", "veza-sandbox"))

let handWritten = [ "src"; "tests"; "bench"; "build.fsx" ]

let private path () = (Environment.environVarOrDefault "PATH" "").Split Path.PathSeparator

let private hasPostgres () =
    let folders =
        path ()
        |> Array.append (
            if Directory.Exists "/usr/lib/postgresql" then
                Directory.GetDirectories "/usr/lib/postgresql"
                |> Array.map (fun path -> Path.Combine(path, "bin"))
            else
                [||]
        )
    folders |> Array.exists (fun folder -> File.Exists(Path.Combine(folder, "initdb")))

/// The same names as in `Chromium.fs`.
let private hasChromium () =
    [ "chromium"; "chromium-browser"; "google-chrome" ]
    |> List.exists (fun name ->
        path () |> Array.exists (fun folder -> File.Exists(Path.Combine(folder, name))))

let private mayInstall () = Environment.UserName = "root" && File.Exists "/usr/bin/apt-get"

let private install packages =
    Environment.setEnvironVar "DEBIAN_FRONTEND" "noninteractive"
    run "apt-get" [ "update"; "-qq" ]
    run "apt-get" ([ "install"; "-y"; "-qq"; "--no-install-recommends" ] @ packages)

let private answers program arguments =
    try
        fst (capture program arguments false) = 0
    with _ ->
        false

Target.description "Fetch the tools and packages that the lock files name"
Target.create "Restore" (fun _ ->
    setFeed ()
    dotnet [ "tool"; "restore" ]
    dotnet [ "paket"; "restore" ])

Target.description "See to it that a PostgreSQL can be started here; as root on Debian it is installed"
Target.create "Postgres" (fun _ ->
    let given = Environment.environVarOrDefault "VEZA_TEST_DATABASE_URL" "" <> ""
    if given || hasPostgres () then
        ()
    elif mayInstall () then
        Trace.log
            "No PostgreSQL here. Installing Debian's packages 'postgresql' and 'pgbouncer' with apt-get…"
        install [ "postgresql"; "pgbouncer" ]
    elif answers "docker" [ "info" ] then
        Trace.log "No PostgreSQL here; the tests will use a container."
    else
        failwith "No PostgreSQL here: install it (initdb and postgres), or set VEZA_TEST_DATABASE_URL.")

Target.description
    "See to it that the console can be tried in a browser; as root on Debian one is installed. Without one those tests are skipped"
Target.create "Chromium" (fun _ ->
    if hasChromium () then
        ()
    elif mayInstall () then
        Trace.log "No Chromium here. Installing Debian's package 'chromium' with apt-get…"
        try
            install [ "chromium" ]
        with why ->
            Trace.log $"It cannot be installed ({why.Message}): the tests in a browser are skipped."
    else
        Trace.log "No Chromium here: the tests in a browser are skipped.")

Target.description "Rewrite every source file in the house style"
Target.create "Format" (fun _ ->
    dotnet ("fantomas" :: handWritten)
    dotnet [ "csharpier"; "format"; "src"; "bench" ])

Target.description "Fail if a source file is not in the house style"
Target.create "CheckFormat" (fun _ ->
    dotnet ("fantomas" :: "check" :: handWritten)
    dotnet [ "csharpier"; "check"; "src"; "bench" ])

Target.description "Compile; every warning is an error"
Target.create "Build" (fun _ -> dotnet [ "build"; "Veza.sln"; "-nologo"; "-v"; "quiet"; "-c"; configuration ])

/// The last line of all, after FAKE's own report.
let mutable summary = ""

let private count = Regex @"(\d+) tests run.*?(\d+) passed, (\d+) ignored, (\d+) failed, (\d+) errored"

Target.description
    "Check the style and run every test; what follows -- goes to Expecto. Ends with one line of counts"
Target.create "Test" (fun _ ->
    let results = [
        for project in Directory.GetDirectories "tests" |> Array.sort do
            let name = Path.GetFileName project
            Trace.log $"— {name}"
            let program = Path.GetFullPath(Path.Combine(output name, name))
            let code, lines =
                capture
                    program
                    ([ "--colours"; "0"; "--no-spinner"; "--summary-location" ] @ forProgram)
                    true
            let counts =
                lines
                |> List.rev
                |> List.tryPick (fun line ->
                    let found = count.Match line
                    if found.Success then
                        Some [| for group in 2..5 -> int found.Groups[group].Value |]
                    else
                        None)
            // A filter may leave a project without tests; a project that dies without a count may not.
            match counts, code with
            | Some counts, _ -> counts
            | None, 2 when not forProgram.IsEmpty -> [| 0; 0; 0; 0 |]
            | None, _ -> [| 0; 0; 0; 1 |]
    ]
    let sum place = results |> List.sumBy (fun counts -> Array.item place counts)
    let passed, skipped, failed = sum 0, sum 1, sum 2 + sum 3
    summary <- $"{passed} passed, {failed} failed, {skipped} skipped"
    if failed > 0 || passed = 0 then
        failwith "The tests have failed.")

Target.description
    "Play the main story on simulated providers and compare the books; -- --stay keeps it running"
Target.create "Demo" (fun _ -> run (sandbox ()) ([ "demo"; "--veza"; veza () ] @ forProgram))

Target.description "Run PostgreSQL, the simulated providers and the host until Ctrl-C"
Target.create "Sandbox" (fun _ -> run (sandbox ()) ([ "run"; "--veza"; veza () ] @ forProgram))

Target.description
    "Kill a real host again and again while both providers misbehave, then reconcile: -- --minutes M --seed S"
Target.create "Chaos" (fun _ -> run (sandbox ()) ([ "chaos"; "--veza"; veza () ] @ forProgram))

Target.description "Measure webhook intake, processing and draining beside their yardsticks"
Target.create "Bench" (fun _ ->
    dotnet [ "build"; "Veza.sln"; "-nologo"; "-v"; "quiet"; "-c"; "Release" ]
    run (Path.GetFullPath "artifacts/bin/Veza.Bench/release/veza-bench") forProgram)

/// One file that needs no .NET on the machine.
let private publish project readyToRun folder =
    dotnet [
        "publish"
        $"src/{project}/{project}.csproj"
        "-nologo"
        "-v"
        "quiet"
        "-c"
        "Release"
        "-r"
        Runtime.InteropServices.RuntimeInformation.RuntimeIdentifier
        "--self-contained"
        "-p:PublishSingleFile=true"
        $"-p:PublishReadyToRun=%b{readyToRun}"
        "-o"
        folder
    ]

Target.description "Put a self-contained veza into artifacts/veza/"
Target.create "Publish" (fun _ -> publish "Veza.Host" true "artifacts/veza")

Target.description "Put a self-contained veza-sandbox into artifacts/veza-sandbox/"
Target.create "PublishSandbox" (fun _ -> publish "Veza.Sandbox" false "artifacts/veza-sandbox")

/// Licences under which Veza may ship what it is built from.
let private welcome = set [ "MIT"; "Apache-2.0"; "BSD-2-Clause"; "BSD-3-Clause"; "PostgreSQL"; "MS-PL" ]

/// What a package's own description says: an expression, or the name of the file that it ships.
let private licenceOf folder (name: string, version: string) =
    let place = Path.Combine(folder, name.ToLowerInvariant())
    let found =
        if Directory.Exists place then
            Directory.GetFiles(place, "*.nuspec", SearchOption.AllDirectories)
            |> Array.filter (fun file -> (Path.GetDirectoryName file).Contains version)
            |> Array.tryHead
        else
            None
    match found with
    | None -> "not restored"
    | Some file ->
        let text = File.ReadAllText file
        let expression = Regex.Match(text, "<license type=\"expression\">([^<]*)<")
        let shippedFile = Regex.Match(text, "<license type=\"file\">([^<]*)<")
        let words =
            if shippedFile.Success then
                File.ReadAllText(Path.Combine(Path.GetDirectoryName file, shippedFile.Groups[1].Value))
            else
                text
        if expression.Success then
            expression.Groups[1].Value
        elif words.Contains "Apache License" then
            "Apache-2.0"
        elif Regex.IsMatch(words, "MIT License|licenses/MIT", RegexOptions.IgnoreCase) then
            "MIT"
        else
            "unknown"

Target.description
    "List the packages that Veza ships with their licences, and ask whether any is known to be vulnerable"
Target.create "Audit" (fun _ ->
    let _, locals = capture "dotnet" [ "nuget"; "locals"; "global-packages"; "--list" ] false
    let folder = (String.concat "" locals).Replace("global-packages:", "").Trim()
    let shipped =
        File.ReadAllLines "paket.lock"
        |> Seq.takeWhile (fun line -> not (line.StartsWith "GROUP"))
        |> Seq.map (fun line -> Regex.Match(line, @"^    (\S+) \((\S+)\)"))
        |> Seq.filter _.Success
        |> Seq.map (fun found -> found.Groups[1].Value, found.Groups[2].Value)
        |> List.ofSeq
    let licences = [ for package in shipped -> package, licenceOf folder package ]
    for (name, version), licence in licences do
        printfn "%-60s %-12s %s" name version licence
    let others =
        licences
        |> List.filter (fun (_, licence) -> licence <> "not restored" && not (welcome.Contains licence))
    if not others.IsEmpty then
        failwithf "Look at these licences: %A" others
    let _, report =
        capture "dotnet" [ "list"; "Veza.sln"; "package"; "--vulnerable"; "--include-transitive" ] true
    if report |> List.exists (fun line -> line.Contains "has the following vulnerable packages") then
        failwith "A package is known to be vulnerable: see above.")

Target.description "Rewrite the generated pages under docs/spec"
Target.create "Spec" (fun _ ->
    Environment.setEnvironVar "VEZA_WRITE_SPEC" "1"
    run (Path.GetFullPath(Path.Combine(output "Veza.Domain.Tests", "Veza.Domain.Tests"))) [
        "--filter"
        "specification"
    ])

Target.description
    "Play seeds of the simulation for as long as you like: -- --seeds N --minutes M, or -- --seed SEED"
Target.create "Simulate" (fun _ ->
    dotnet [ "build"; "tests/Veza.Simulation"; "-nologo"; "-v"; "quiet"; "-c"; "Release" ]
    run
        (Path.GetFullPath "artifacts/bin/Veza.Simulation/release/Veza.Simulation")
        ("--simulate" :: forProgram))

Target.description
    "Break the domain in small ways and see whether the tests notice: -- --every N, --only FILE, --planted"
Target.create "Mutate" (fun _ -> dotnet ("fsi" :: "tests/mutate.fsx" :: forProgram))

Target.description "Build, check the style and run every test"
Target.create "Verify" ignore

"Restore" ==> "Build" ==> "Test" ==> "Verify" |> ignore
"Restore" ==> "CheckFormat" ==> "Test" |> ignore
"Build" ==> "Audit" ==> "Verify" |> ignore
"Restore" ==> "Format" |> ignore
"Postgres" ==> "Test" |> ignore
"Chromium" ==> "Test" |> ignore
"Build" ==> "Demo" |> ignore
"Postgres" ==> "Demo" |> ignore
"Build" ==> "Chaos" |> ignore
"Postgres" ==> "Chaos" |> ignore
"Build" ==> "Sandbox" |> ignore
"Postgres" ==> "Sandbox" |> ignore
"Restore" ==> "Bench" |> ignore
"Postgres" ==> "Bench" |> ignore
"Restore" ==> "Publish" |> ignore
"Restore" ==> "PublishSandbox" |> ignore
"Build" ==> "Spec" |> ignore
"Restore" ==> "Simulate" |> ignore
"Build" ==> "Mutate" |> ignore

let failed =
    try
        Target.runOrDefaultWithArguments "Verify"
        false
    with _ ->
        true // the report above names the target that failed

if summary <> "" then
    printfn $"\n{summary}"

exit (if failed then 1 else 0)
