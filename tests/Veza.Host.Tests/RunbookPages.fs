/// The runbooks as a machine reads them: the ways out by their headings, each with the lines of its box, as a shell
/// would take them.
module Veza.Host.Tests.RunbookPages

open System
open System.IO
open System.Text
open Veza.Domain

type Line =
    /// `api VERB path [body]`, as the README of the runbooks defines it.
    | Call of Verb: string * Path: string * Body: string
    /// `veza …`
    | Command of Arguments: string list
    /// `# …`: what is done at a provider or on a host.
    | Elsewhere of What: string

type Way = { Heading: string; Lines: string list }

let private folder = "docs/runbooks/"

let named (alarm: string) = Pages.read (folder + alarm + ".md")

let all = [
    for page in Pages.all do
        if page.StartsWith folder && not (page.EndsWith "README.md") then
            string (Path.GetFileNameWithoutExtension page)
]

/// The lines of the first box of a part.
let private box (part: string) =
    match Pages.blocks "sh" part with
    | first :: _ -> List.ofArray (Pages.lines first)
    | [] -> []

let waysOut page = [
    for part in Seq.skip 1 ((Pages.section "Do" page).Split "\n### ") do
        { Heading = Array.head (part.Split '\n'); Lines = box part }
]

let waysOf alarm = waysOut (named (Alarm.word alarm))

/// How the README defines `api`.
let preamble = box (Pages.section "How to read a page" (named "README"))

/// A line's words: quotes are taken off, and variables are filled in where a shell would.
let private words (variables: Map<string, string>) (line: string) =
    let found = Collections.Generic.List<string>()
    let word = StringBuilder()
    let mutable quote = ' '
    let mutable begun = false
    let mutable place = 0
    let put (text: string) =
        word.Append text |> ignore
        begun <- true
    let close () =
        if begun then
            found.Add(string word)
            word.Clear() |> ignore
            begun <- false
    while place < line.Length do
        let letter = line[place]
        place <- place + 1
        if letter = quote && quote <> ' ' then
            quote <- ' '
        elif quote = '\'' then
            put (string letter)
        elif letter = '\\' then
            put (string line[place])
            place <- place + 1
        elif letter = '$' then
            let name =
                line[place..]
                |> Seq.takeWhile (fun next -> Char.IsAsciiLetterUpper next)
                |> Array.ofSeq
                |> String
            place <- place + name.Length
            match variables.TryFind name with
            | Some value -> put value
            | None -> failwith $"nobody says what ${name} is: {line}"
        elif quote = '"' then
            put (string letter)
        elif letter = '"' || letter = '\'' then
            quote <- letter
            begun <- true
        elif letter = ' ' then
            close ()
        else
            put (string letter)
    close ()
    List.ofSeq found

let read variables (line: string) =
    if line.StartsWith "# " then
        Elsewhere(line.Substring 2)
    else
        match words variables line with
        | [ "api"; verb; path ] -> Call(verb, "/api/v1/" + path, "")
        | [ "api"; verb; path; body ] -> Call(verb, "/api/v1/" + path, body)
        | "veza" :: arguments -> Command arguments
        | _ -> failwith $"nobody can run this: {line}"
