/// Which folders of a C# project use which others, by the types that they name.
module Veza.Domain.Tests.Folders

open System
open System.IO
open System.Text.RegularExpressions

let private declared =
    Regex(
        @"^(?:public |internal |file )?(?:sealed |static |abstract |partial |readonly )*(?:class|record struct|record|struct|interface|enum) (\w+)",
        RegexOptions.Multiline
    )

/// Comments, texts and members of that name are no use of a type.
let private used =
    Regex @"(?<![.\w])([A-Z]\w*)(?![\w(]|\s*(=>|\{ get|= new|\())|(?<=new )([A-Z]\w*)|(?<=: )([A-Z]\w*)(?=\()"

let private code text =
    let text = Regex.Replace(text, "//[^\n]*|^using [^\n]*", "", RegexOptions.Multiline)
    Regex.Replace(text, "\"\"\"[\\s\\S]*?\"\"\"|\"(?:[^\"\\\\\n]|\\\\.)*\"", "\"\"")

let private read project = [
    for path in Directory.EnumerateFiles(project, "*.cs", SearchOption.AllDirectories) do
        let relative = Path.GetRelativePath(project, path)
        if not (relative.StartsWith "obj") && relative <> "Usings.cs" && relative.Contains '/' then
            relative.Split('/')[0], File.ReadAllText path
]

/// (from, to, the type that it needs from there)
let private edges project =
    let files = read project
    let owners =
        Map [
            for folder, text in List.rev files do
                for found in declared.Matches text do
                    found.Groups[1].Value, folder
        ]
    List.distinct [
        for folder, text in files do
            for found in used.Matches(code text) do
                for group in [ 1; 3; 4 ] do
                    match owners.TryFind found.Groups[group].Value with
                    | Some owner when owner <> folder -> folder, owner, found.Groups[group].Value
                    | Some _
                    | None -> ()
    ]

/// Every use that leads, over however many others, back to where it began.
let circles project =
    let edges = edges project
    let next = edges |> List.map (fun (from, upto, _) -> from, upto) |> List.distinct
    let rec reach seen frontier =
        match frontier with
        | [] -> seen
        | folder :: rest ->
            let more = [
                for from, upto in next do
                    if from = folder && not (Set.contains upto seen) then
                        upto
            ]
            reach (Set.union seen (Set.ofList more)) (rest @ List.distinct more)
    [
        for from, upto, name in edges do
            if (reach Set.empty [ upto ]).Contains from then
                $"{from} needs {name} of {upto}"
    ]
