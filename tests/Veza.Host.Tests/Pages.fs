/// The documents, as the tests read them.
module Veza.Host.Tests.Pages

open System
open System.IO
open System.Text.RegularExpressions

let root = Path.GetFullPath(Path.Combine(__SOURCE_DIRECTORY__, "..", ".."))
let fileOf (page: string) = Path.Combine(root, page)
let read (page: string) = File.ReadAllText(fileOf page)

/// Every page by its path from the root. The changelog tells of what was, too.
let all =
    Directory.EnumerateFiles(Path.Combine(root, "docs"), "*.md", SearchOption.AllDirectories)
    |> Seq.append (Directory.EnumerateFiles(root, "*.md"))
    |> Seq.map (fun path -> Path.GetRelativePath(root, path))
    |> Seq.filter ((<>) "CHANGELOG.md")
    |> Seq.sort
    |> List.ofSeq

/// The fenced blocks of one language, in their order.
let blocks (language: string) (text: string) = [
    for found in Regex.Matches(text, $"(?ms)^```{Regex.Escape language}\n(.*?)^```") -> found.Groups[1].Value
]

/// From a heading of the second level to the next.
let section (heading: string) (text: string) =
    let found = Regex.Match(text, $"(?ms)^## {Regex.Escape heading}\n(.*?)(?=^## |\\z)")
    if found.Success then
        found.Groups[1].Value
    else
        invalidArg (nameof heading) heading

/// What stands between single backticks, outside of fenced blocks.
let spans (text: string) =
    let prose = Regex.Replace(text, @"(?ms)^```.*?^```", "")
    [ for found in Regex.Matches(prose, "`([^`\n]+)`") -> found.Groups[1].Value ]

/// Every line that a page tells its reader to type.
let commandLines (text: string) =
    (blocks "sh" text |> List.collect (fun block -> List.ofArray (block.Split '\n'))) @ spans text
    |> List.map (fun line -> Regex.Replace(line, @"\s#.*$", "").Trim())

/// As GitHub names a heading in a link.
let anchor (heading: string) =
    let plain = Regex.Replace(heading, @"\[([^\]]*)\]\([^)]*\)", "$1").Trim().ToLowerInvariant()
    Regex.Replace(plain, @"[^\w\- ]", "").Replace(' ', '-')

let anchors (text: string) =
    let prose = Regex.Replace(text, @"(?ms)^```.*?^```", "")
    set [ for found in Regex.Matches(prose, @"(?m)^#+ (.+)$") -> anchor found.Groups[1].Value ]

let lines (text: string) =
    text.Split('\n', StringSplitOptions.RemoveEmptyEntries ||| StringSplitOptions.TrimEntries)
