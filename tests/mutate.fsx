// Breaks the domain in one small way at a time, compiles it, and asks the domain's tests and the simulation whether
// they notice. Run as 'dotnet fsi build.fsx -t Mutate'; -- --help says what else there is.

open System
open System.Diagnostics
open System.IO
open System.Text.RegularExpressions
open System.Threading
open System.Threading.Tasks

Directory.SetCurrentDirectory(Path.Combine(__SOURCE_DIRECTORY__, ".."))

let arguments = fsi.CommandLineArgs |> Array.skip 1

if Array.contains "--help" arguments then
    printfn "  --every N    only every Nth mutation (default 1)"
    printfn "  --from K     begin with the Kth of them (default 0)"
    printfn "  --only FILE  only mutations of this file of src/Veza.Domain.fs"
    printfn "  --again LOG  only mutations like those that survived in the log of an earlier run"
    printfn "  --planted    the bugs of docs/verification.md, each of which a named test must catch"
    exit 0

let valueOf name otherwise =
    match Array.tryFindIndex ((=) name) arguments with
    | Some place when place + 1 < arguments.Length -> arguments[place + 1]
    | Some _
    | None -> otherwise

let source = "src/Veza.Domain.fs"

/// In the order in which they are compiled.
let files =
    Regex.Matches(File.ReadAllText(Path.Combine(source, "Veza.Domain.fsproj")), "Compile Include=\"(.+?)\"")
    |> Seq.map (fun found -> found.Groups[1].Value)
    |> List.ofSeq

/// What only describes the others, and the doors to C#, are not the specification's substance.
let isSubstance file =
    [
        "Specification/Specification.fs"
        "Specification/Machines.fs"
        "Specification/OperationTable.fs"
        "CSharp/CSharp.fs"
    ]
    |> List.contains file
    |> not

type Mutation = { File: string; Line: int; What: string; Text: string }

/// (what is done, what is looked for, what it becomes)
let operators = [
    "comparison", " < ", " <= "
    "comparison", " <= ", " < "
    "comparison", " > ", " >= "
    "comparison", " >= ", " > "
    "equality", " <> ", " = "
    "arithmetic", " + ", " - "
    "arithmetic", " - ", " + "
    "arithmetic", " * ", " + "
    "logic", " && ", " || "
    "logic", " || ", " && "
    "logic", "not (", "("
    "logic", " true", " false"
    "logic", " false", " true"
    "constant", "0L", "1L"
    "constant", "1L", "0L"
    "constant", "Generation + 1", "Generation"
    "constant", "Retries + 1", "Retries"
    "constant", "sends + 1", "sends"
    "constant", "sends - 1", "sends"
    "extreme", " min ", " max "
    "extreme", " max ", " min "
    "target", "(Pending(", "(Failed("
    "target", "Failed(spent", "Pending(spent"
    "target", "Failed(again", "Pending(again"
    "target", "becomes Succeeded", "becomes Submitted"
    "target", "-> Unchanged", "-> Refused NothingSent"
    "target", "Completed receipt }", "Reversed receipt }"
    "target", "becomes Completed", "becomes AwaitingPayment"
    "target", "becomes PaymentFailed", "becomes Cancelled"
    "target", "becomes Cancelled", "becomes PaymentFailed"
    "target", "else PartiallyRefunded", "else Refunded"
    "target", "Compensated", "Kept"
    "target", "Withheld;", "Forgiven;"
    "target", "Settling = Dropped", "Settling = Withheld"
    "target", "settle asked Dropped", "settle asked Forgiven"
    "target", "RetriesExhausted)", "TransferMissing)"
    "target", "-> Ask", "-> SendAgain"
    "target", "Some SendAgain", "Some Ask"
    "key", "lookingUp now ", "again ForAnswer now "
    "key", "renewed attempt", "attempt"
    "key", "(renewed taking.Attempt)", "taking.Attempt"
    "key", "absent now attempt", "attempt"
    "key", "Move = LookUp", "Move = Send"
    "key", "Move = Send }", "Move = LookUp }"
    "key", "Send else Prove", "Send else Send"
    "key", "IdempotencyKey.Make(\"transfer\"", "IdempotencyKey.Make(\"reverse\""
    "key", "attempt.Operation.Generation)", "0)"
    "key", "Attempt.Operation.Generation)", "0)"
    "key", "{taking.Claim.Refund.Value.ToString \"D\"}", "x"
    "key", "Operation.unsending attempt.Operation", "attempt.Operation"
    "next", "-> LookUpFirst", "-> Hindered RateLimited"
    "next", "then LookUpFirst else Declined refusal", "then Declined refusal else LookUpFirst"
    "next", "-> Declined refusal", "-> LookUpFirst"
    "step", "|> marked reservation", ""
    "step", "|> unmarked reservation", ""
    "step", " @ postings steps", ""
    "step", " @ movements", ""
    "step", " @ moved", ""
    "posting", "post PlatformCash -part", "post PlatformCash part"
    "posting", "post PlatformFees feeBack", "post PlatformFees -feeBack"
    "posting", "(SellerPayable seller) amount", "(SellerDebt seller) amount"
    "posting", "(SellerDebt seller) -amount", "(SellerPayable seller) -amount"
    "posting", "PlatformLosses amount", "PlatformFees amount"
]

let isCode (line: string) =
    let text = line.Trim()
    not (
        text.StartsWith "//"
        || text.StartsWith "open "
        || text.StartsWith "namespace "
        || text.StartsWith "module "
    )
    && not (Regex.IsMatch(text, "^(type|\\||member \\w+\\.\\w+ = \\w+\\.\\w+$).* of "))
    && not (text.StartsWith "Error $")

let mutations =
    [
        for file in files do
            if isSubstance file && List.contains (valueOf "--only" file) [ file; Path.GetFileName file ] then
                for number, line in File.ReadLines(Path.Combine(source, file)) |> Seq.indexed do
                    if isCode line then
                        for what, find, replacement in operators do
                            let place = line.IndexOf(find, StringComparison.Ordinal)
                            // A generic bracket or an arrow is no comparison, and text is no code.
                            let inText = place >= 0 && line.Substring(0, place).Split('"').Length % 2 = 0
                            if place >= 0 && (what = "key" || not inText) then
                                {
                                    File = file
                                    Line = number + 1
                                    What = $"{what}: {find.Trim()} → {replacement.Trim()}"
                                    Text = line.Remove(place, find.Length).Insert(place, replacement)
                                }
                        let guard = Regex.Match(line, @"\bwhen (.+?) ->")
                        if guard.Success then
                            for value in [ "true"; "false" ] do
                                {
                                    File = file
                                    Line = number + 1
                                    What = $"guard: {guard.Groups[1].Value} → {value}"
                                    Text = line.Replace(guard.Value, $"when {value} ->")
                                }
                        let condition = Regex.Match(line, @"^\s*(el)?if (.+) then")
                        if condition.Success then
                            {
                                File = file
                                Line = number + 1
                                What = $"condition: {condition.Groups[2].Value} → its opposite"
                                Text =
                                    line.Replace(
                                        $"if {condition.Groups[2].Value} then",
                                        $"if not ({condition.Groups[2].Value}) then"
                                    )
                            }
    ]
    |> List.distinct

// Every plant is a bug that would lose or double somebody's money: (name, file, original, planted).
let plants = [
    "wrong key after a doubt",
    "TransferSteps.fs",
    "doubting doubt transfer |> stays (Pending(spent rules.Sending now transfer ForAnswer attempt))",
    "doubting doubt transfer |> stays (Pending(spent rules.Sending now transfer ForAnswer (renewed attempt)))"
    "double grant",
    "Order.fs",
    "| (Completed | PartiallyRefunded | Refunded), PaymentSucceeded -> Unchanged",
    "| (Completed | PartiallyRefunded | Refunded), PaymentSucceeded -> becomes Completed"
    "off-by-one cent",
    "Allocation.fs",
    "if lucky.Contains place then floor + 1L else floor",
    "if lucky.Contains place then floor + 2L else floor"
    "missing guard",
    "TransferSteps.fs",
    "elif claim.Amount > transfer.Unclaimed then",
    "elif claim.Amount > transfer.amount.Minor then"
    "reversal before the transfer is known",
    "TransferSteps.fs",
    "            if attempt.Operation.Certainty.IsUnsent then\n                let next, movements = withholding next",
    "            if not attempt.Operation.Certainty.IsUnsent then\n                let taking = { Claim = claim; Adopted = 0L; Attempt = attempt; Kept = None }\n                Advanced({ next with status = ReversalPending(Unnamed, taking); queue = [] }, [])\n            elif attempt.Operation.Certainty.IsUnsent then\n                let next, movements = withholding next"
]

// One core, one workshop: a copy of the sources and of the programs that will run on them.

let rec private copy (from: string) (upto: string) =
    Directory.CreateDirectory upto |> ignore
    for file in Directory.GetFiles from do
        File.Copy(file, Path.Combine(upto, Path.GetFileName file), true)
    for folder in Directory.GetDirectories from do
        copy folder (Path.Combine(upto, Path.GetFileName folder))

let run (program: string) (given: string list) (seconds: int) (folder: string) =
    let start =
        ProcessStartInfo(
            program,
            given,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = folder
        )
    start.Environment["VEZA_MUTATION"] <- "1"
    use child = Process.Start start |> Unchecked.nonNull
    let output = child.StandardOutput.ReadToEndAsync()
    let errors = child.StandardError.ReadToEndAsync()
    if child.WaitForExit(TimeSpan.FromSeconds(float seconds)) then
        child.ExitCode, output.Result + errors.Result
    else
        child.Kill true
        -1, "timeout"

type Workshop(root: string) =
    let sources = Path.Combine(root, "src")
    let domain = Path.Combine(root, "domain")
    let simulation = Path.Combine(root, "simulation")
    let built = Path.Combine(root, "Veza.Domain.dll")

    do
        copy source sources
        copy "artifacts/bin/Veza.Domain.Tests/debug" domain
        copy "artifacts/bin/Veza.Simulation/debug" simulation

    // The compiler and the framework's reference assemblies of the SDK that runs this script.
    let compiler = Path.Combine(AppContext.BaseDirectory, "fsc.dll")

    let references =
        let packs =
            Path.Combine(AppContext.BaseDirectory, "..", "..", "..", "packs", "Microsoft.NETCore.App.Ref")
        let newest = Directory.GetDirectories packs |> Array.sort |> Array.last
        Path.Combine(newest, "ref", $"net{Environment.Version.Major}.0")

    let options = [
        "-a"
        "--nologo"
        "--optimize-"
        "--targetprofile:netcore"
        "--version:1.0.0.0"
        "--tailcalls-"
        "--debug-"
        "--noframework"
        "--checknulls+"
        "--langversion:latest"
        "--nowarn:25,26,49,1182,3370,3520"
        $"-o:{built}"
        $"""-r:{Path.GetFullPath "artifacts/bin/Veza.Domain.Tests/debug/FSharp.Core.dll"}"""
        for reference in Directory.GetFiles(references, "*.dll") do
            $"-r:{reference}"
        for file in files do
            Path.Combine(sources, file)
    ]

    let answers = Path.Combine(root, "fsc.rsp")
    do File.WriteAllLines(answers, options)

    /// What the compiler says against it.
    member _.Compile() =
        let code, output = run "dotnet" [ compiler; "@" + answers ] 120 root
        if code = 0 then None else Some output

    member _.Edit(file: string, change: string -> string) =
        File.WriteAllText(Path.Combine(sources, file), change (File.ReadAllText(Path.Combine(source, file))))

    member _.Restore(file: string) = File.Copy(Path.Combine(source, file), Path.Combine(sources, file), true)

    /// The tests that notice, the domain's own first.
    member _.Judge() =
        File.Copy(built, Path.Combine(domain, "Veza.Domain.dll"), true)
        let code, output =
            run
                (Path.Combine(domain, "Veza.Domain.Tests"))
                [ "--colours"; "0"; "--no-spinner"; "--summary" ]
                90
                "."
        if code <> 0 then
            let failed = Regex.Match(output, @"ERR\] (.+?) (failed|errored) in")
            Some(
                if failed.Success then
                    failed.Groups[1].Value
                else
                    "the tests do not end"
            )
        else
            File.Copy(built, Path.Combine(simulation, "Veza.Domain.dll"), true)
            let code, output =
                run (Path.Combine(simulation, "Veza.Simulation")) [ "--simulate"; "--seeds"; "150" ] 120 "."
            if code = 0 then
                None
            else
                let violation = Regex.Match(output, @"✗ (.+)")
                Some(
                    "simulation: "
                    + (if violation.Success then
                           violation.Groups[1].Value.Trim()
                       else
                           "it does not end")
                )

let temporary = Directory.CreateTempSubdirectory("veza-mutate").FullName

let private first = Workshop(Path.Combine(temporary, "0"))

match first.Compile() |> Option.orElseWith first.Judge with
| None -> ()
| Some fault ->
    eprintfn "The unbroken domain does not pass: %s" fault
    exit 1

if Array.contains "--planted" arguments then
    let missed =
        plants
        |> List.filter (fun (name, file, original, planted) ->
            first.Edit(
                file,
                fun text ->
                    if not (text.Contains original) then
                        failwith $"'{name}' has no place any more: {original}"
                    text.Replace(original, planted)
            )
            let verdict = first.Compile() |> Option.orElseWith first.Judge
            first.Restore file
            printfn "%-40s %s" name (defaultArg verdict "NOT NOTICED")
            verdict.IsNone)
    Directory.Delete(temporary, true)
    exit (if missed.IsEmpty then 0 else 1)

/// (file, what was done) of each that survived: lines move between two runs.
let survivedBefore =
    match valueOf "--again" "" with
    | "" -> None
    | log ->
        Some(
            set [
                for line in File.ReadLines log do
                    let found = Regex.Match(line, @"^survived  (?:src/Veza\.Domain\.fs/)?(\S+?):\d+  (.+)$")
                    if found.Success then
                        found.Groups[1].Value, found.Groups[2].Value
            ]
        )

let every = int (valueOf "--every" "1")
let skipped = int (valueOf "--from" "0")

let chosen =
    mutations
    |> List.filter (fun mutation ->
        survivedBefore |> Option.forall (fun before -> before.Contains((mutation.File, mutation.What))))
    |> List.indexed
    |> List.filter (fun (place, _) -> place % every = skipped % every)
    |> List.map snd
    |> Array.ofList

printfn $"{chosen.Length} of {mutations.Length} mutations"
let clock = Stopwatch.StartNew()
let mutable next = -1
let mutable killed = 0
let mutable invalid = 0
let survivors = Collections.Concurrent.ConcurrentBag<Mutation>()
let cores = max 1 Environment.ProcessorCount

let work number =
    let shop =
        if number = 0 then
            first
        else
            Workshop(Path.Combine(temporary, string number))
    let mutable place = Interlocked.Increment &next
    while place < chosen.Length do
        let mutation = chosen[place]
        shop.Edit(
            mutation.File,
            fun text ->
                let lines = text.Split '\n'
                lines[mutation.Line - 1] <- mutation.Text
                String.Join('\n', lines)
        )
        if shop.Compile().IsSome then
            Interlocked.Increment &invalid |> ignore
        else
            match shop.Judge() with
            | Some _ -> Interlocked.Increment &killed |> ignore
            | None ->
                survivors.Add mutation
                printfn $"survived  {mutation.File}:{mutation.Line}  {mutation.What}"
        shop.Restore mutation.File
        if place % 20 = 19 then
            printfn
                $"{place + 1} of {chosen.Length}, {killed} killed, {survivors.Count} survived, {clock.Elapsed:g}"
        place <- Interlocked.Increment &next

Task.WaitAll [| for number in 0 .. cores - 1 -> Task.Run(fun () -> work number) |]
Directory.Delete(temporary, true)

for mutation in survivors |> Seq.sortBy (fun mutation -> mutation.File, mutation.Line) do
    printfn $"survived  {source}/{mutation.File}:{mutation.Line}  {mutation.What}"

let valid = killed + survivors.Count
printfn
    $"{killed} of {valid} killed ({100. * float killed / float (max 1 valid):F1} %%), {invalid} did not compile, {clock.Elapsed:g}"
