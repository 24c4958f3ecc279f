/// The state machines as data, found by walking them: for documents, for tests and for the console's diagram.
/// Nothing here is drawn by hand, so nothing here can be out of date.
namespace Veza.Domain.Specifications

open System
open Veza.Domain

/// What can come of a signal in a state. Several responses: it depends on what the state carries.
[<RequireQualifiedAccess>]
type Response =
    | Becomes of Status: string
    /// The status stays; what is remembered with it changes.
    | Notes of What: string list
    | Unchanged
    | Refused of Why: string

/// A status, and where it needs one a detail: what is waited for, which half of the way has failed.
type Column = {
    Status: string
    Detail: string
} with

    member column.Title =
        if column.Detail = "" then
            column.Status
        else
            $"{column.Status} / {column.Detail}"

type Cell = { From: Column; Signal: string; Responses: Response list }

/// How an aggregate begins: by which word, and in which status.
type Beginning = { By: string; In: string }

/// One step of a worked example.
type ExampleStep = { Says: string; Hears: string; Response: string }

/// Who moves a state that waits, and who is told if nobody does.
type Wait = { State: string; Owner: string; Alarm: string }

/// A state that was reached, for the tests: whether anything is to be done, whether an operator could move it, and
/// who watches it.
type Reached = { At: string; HasDuty: bool; IsRetryable: bool; Watch: Watch option }

type Machine = {
    Name: string
    Beginnings: Beginning list
    States: string list
    Columns: Column list
    Signals: string list
    Cells: Cell list
    Waits: Wait list
    Example: ExampleStep list
    Reached: Reached list
    /// How many pairs of state and signal were tried.
    Walked: int
}

/// One way to walk a machine: from its start, by every signal, as deep as it says.
type Walk<'state, 'signal when 'state: comparison> = {
    Called: string
    Begins: Step list
    Start: 'state
    /// Where only old rows can begin.
    AlsoFrom: 'state list
    Signals: 'signal list
    SignalWord: 'signal -> string
    StatusWord: 'state -> string
    /// Part of the state that is worth a column of its own; empty for none.
    Detail: 'state -> string
    /// What is remembered beside the status, by name, and whether two states differ in it.
    Remembers: (string * ('state -> 'state -> bool)) list
    /// One way through, in sentences.
    Example: (string * 'signal) list
    Step: 'signal -> 'state -> 'state option * string option
    HasDuty: 'state -> bool
    Watch: 'state -> Watch option
    /// What an operator says to set going again what has stopped.
    Retry: 'signal option
    /// Deep enough for every status to meet every signal; the test of the specification proves it.
    Depth: int
}

module Specification =
    /// Nearest first.
    let private explore walk =
        let rec go seen frontier left =
            match frontier with
            | [] -> []
            | frontier when left = 0 -> frontier
            | frontier ->
                let next =
                    List.allPairs frontier walk.Signals
                    |> List.choose (fun (state, signal) -> fst (walk.Step signal state))
                    |> List.distinct
                    |> List.filter (fun state -> not (Set.contains state seen))
                frontier @ go (Set.union seen (Set.ofList next)) next (left - 1)
        let starts = walk.Start :: walk.AlsoFrom
        go (Set.ofList starts) starts walk.Depth

    let private reached walk state = {
        At = walk.StatusWord state
        HasDuty = walk.HasDuty state
        IsRetryable = walk.Retry |> Option.exists (fun retry -> (fst (walk.Step retry state)).IsSome)
        Watch = walk.Watch state
    }

    let private column walk state = { Status = walk.StatusWord state; Detail = walk.Detail state }

    /// What has changed beside the status. Something always has: a state is what its machine remembers.
    let private noted walk before after = [
        for name, differ in walk.Remembers do
            if differ before after then
                name
    ]

    let private respond walk signal state =
        match walk.Step signal state with
        | Some next, _ when walk.StatusWord next <> walk.StatusWord state ->
            Response.Becomes((column walk next).Title)
        | Some next, _ when next <> state ->
            match noted walk state next with
            | [] -> invalidOp $"{walk.Called}: {walk.SignalWord signal} changes what no page names."
            | noted -> Response.Notes noted
        | None, Some why -> Response.Refused why
        | Some _, _
        | None, None -> Response.Unchanged

    /// One line for all that a signal may change beside the status.
    let private merged responses =
        let noted =
            responses
            |> List.collect (fun response ->
                match response with
                | Response.Notes noted -> noted
                | Response.Becomes _
                | Response.Unchanged
                | Response.Refused _ -> [])
            |> List.distinct
            |> List.sort
        let others = responses |> List.filter (fun response -> not response.IsNotes)
        List.sort (
            if noted.IsEmpty then
                others
            else
                Response.Notes noted :: others
        )

    let private responseText response =
        match response with
        | Response.Becomes status -> $"**{status}**"
        | Response.Notes noted -> "notes " + String.concat ", " noted
        | Response.Unchanged -> "–"
        | Response.Refused why -> $"_{why}_"

    let private played walk =
        ((walk.Start, []), walk.Example)
        ||> List.fold (fun (state, steps) (says, signal) ->
            let step = {
                Says = says
                Hears = walk.SignalWord signal
                Response = responseText (respond walk signal state)
            }
            (walk.Step signal state |> fst |> Option.defaultValue state), steps @ [ step ])
        |> snd

    let machine walk =
        let explored = explore walk
        let columns = explored |> List.groupBy (column walk)
        let signals = walk.Signals |> List.groupBy walk.SignalWord
        {
            Machine.Name = walk.Called
            Beginnings = List.distinct [ for step in walk.Begins -> { By = step.Signal; In = step.To } ]
            States = explored |> List.map walk.StatusWord |> List.distinct
            Columns = List.map fst columns |> List.sort
            Signals = List.map fst signals
            Cells = [
                for column, states in columns do
                    for word, signals in signals do
                        {
                            From = column
                            Signal = word
                            Responses =
                                List.allPairs signals states
                                |> List.map (fun (signal, state) -> respond walk signal state)
                                |> List.distinct
                                |> merged
                        }
            ]
            Waits =
                List.distinct [
                    for state in explored do
                        match walk.Watch state with
                        | Some watch -> {
                            State = walk.StatusWord state
                            Owner = Watch.ownerWord watch.Owner
                            Alarm = Alarm.word watch.Alarm
                          }
                        | None -> ()
                ]
            Example = played walk
            Reached = List.map (reached walk) explored
            Walked = explored.Length * walk.Signals.Length
        }

    /// The status in a column's title.
    let private statusOf (title: string) = title.Split(" / ")[0]

    /// Whether a step of the history is one that the machine makes.
    let makes (machine: Machine) (from: string | null) signal target =
        match from with
        | null -> machine.Beginnings |> List.contains { By = signal; In = target }
        | from ->
            machine.Cells
            |> List.exists (fun cell ->
                cell.From.Status = from
                && cell.Signal = signal
                && cell.Responses
                   |> List.exists (fun response ->
                       match response with
                       | Response.Becomes title -> statusOf title = target
                       | Response.Notes _ -> from = target
                       | Response.Unchanged
                       | Response.Refused _ -> false))

    /// Which states follow which, and on which signals.
    let arrows (machine: Machine) =
        List.distinct [
            for cell in machine.Cells do
                for response in cell.Responses do
                    match response with
                    | Response.Becomes title -> cell.From.Status, statusOf title, cell.Signal
                    | Response.Notes _
                    | Response.Unchanged
                    | Response.Refused _ -> ()
        ]

    /// The machine as a Mermaid state diagram.
    let mermaid (machine: Machine) =
        String.concat "\n" [
            "stateDiagram-v2"
            $"    [*] --> {machine.States.Head}"
            for (from, target), signals in
                arrows machine |> List.groupBy (fun (from, target, _) -> from, target) do
                let words =
                    signals |> List.map (fun (_, _, signal) -> signal) |> List.distinct |> String.concat ", "
                $"    {from} --> {target}: {words}"
            ""
        ]

    let private cells cells = "| " + String.concat " | " cells + " |"

    let private waits (machine: Machine) =
        match machine.Waits with
        | [] -> [ "Nothing here waits for anybody."; "" ]
        | waits -> [
            cells [ "waiting in"; "moved by"; "alarm" ]
            cells [ "---"; "---"; "---" ]
            for wait in waits do
                cells [ wait.State; wait.Owner; wait.Alarm ]
            ""
          ]

    let private example (machine: Machine) = [
        "## An example"
        ""
        for number, step in List.indexed machine.Example do
            $"{number + 1}. {step.Says} `{step.Hears}`: {step.Response}"
        ""
    ]

    /// One row for each signal, one column for each state.
    let markdown (machine: Machine) =
        String.concat "\n" [
            $"# {machine.Name}"
            ""
            "Generated by `veza export-spec`. Bold: what it becomes. Notes: the status stays, and this is remembered."
            "Dash: nothing changes. Italic: why it is refused. Several in one cell: it depends on what the state carries"
            "(amounts, retries left, doubts)."
            ""
            for beginning in machine.Beginnings do
                $"Begins as **{beginning.In}** by `{beginning.By}`.  "
            ""
            cells ("" :: [ for column in machine.Columns -> column.Title ])
            cells [ for _ in 0 .. machine.Columns.Length -> "---" ]
            for signal in machine.Signals do
                cells (
                    signal
                    :: [
                        for column in machine.Columns do
                            machine.Cells
                            |> List.filter (fun cell -> cell.From = column && cell.Signal = signal)
                            |> List.collect _.Responses
                            |> List.map responseText
                            |> String.concat " "
                    ]
                )
            ""
            yield! waits machine
            yield! example machine
            "```mermaid"
            mermaid machine + "```"
            ""
        ]
