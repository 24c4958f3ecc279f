/// The state machines as data, found by walking them: for documents, for tests and for the console's diagram.
/// Nothing here is drawn by hand, so nothing here can be out of date.
namespace Veza.Domain.Specifications

open System
open Veza.Domain

/// What can come of a signal in a state. Several outcomes: it depends on what the state carries.
type Outcome =
    | Becomes of Status: string
    | Stays
    | IsRefused of Why: string

type Cell = { From: string; Signal: string; Outcomes: Outcome list }

/// Who moves a state that waits, and who is told if nobody does.
type Wait = { State: string; Owner: string; Alarm: string }

/// A state that was reached, for the tests: whether anything is to be done, whether an operator could move it, and
/// who watches it.
type Reached = { At: string; HasDuty: bool; IsRetryable: bool; Watch: Watch option }

type Machine = {
    Name: string
    States: string list
    Signals: string list
    Cells: Cell list
    Waits: Wait list
    Reached: Reached list
    /// How many pairs of state and signal were tried.
    Walked: int
}

/// One way to walk a machine: from its start, by every signal, as deep as it says.
type Walk<'state, 'signal when 'state: comparison> = {
    Called: string
    Start: 'state
    Signals: 'signal list
    SignalWord: 'signal -> string
    StatusWord: 'state -> string
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
        go (Set.singleton walk.Start) [ walk.Start ] walk.Depth

    let private reached walk state = {
        At = walk.StatusWord state
        HasDuty = walk.HasDuty state
        IsRetryable = walk.Retry |> Option.exists (fun retry -> (fst (walk.Step retry state)).IsSome)
        Watch = walk.Watch state
    }

    let machine walk =
        let explored = explore walk
        let statuses = explored |> List.groupBy walk.StatusWord
        let outcome signal state =
            match walk.Step signal state with
            | Some next, _ when walk.StatusWord next = walk.StatusWord state -> Stays
            | Some next, _ -> Becomes(walk.StatusWord next)
            | None, Some why -> IsRefused why
            | None, None -> Stays
        let signals = walk.Signals |> List.groupBy walk.SignalWord
        {
            Machine.Name = walk.Called
            States = List.map fst statuses
            Signals = List.map fst signals
            Cells = [
                for status, states in statuses do
                    for word, signals in signals do
                        {
                            From = status
                            Signal = word
                            Outcomes =
                                List.allPairs signals states
                                |> List.map (fun (signal, state) -> outcome signal state)
                                |> List.distinct
                                |> List.sort
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
            Reached = List.map (reached walk) explored
            Walked = explored.Length * walk.Signals.Length
        }

    /// Which states follow which, and on which signals.
    let arrows (machine: Machine) =
        List.distinct [
            for cell in machine.Cells do
                for outcome in cell.Outcomes do
                    match outcome with
                    | Becomes target -> cell.From, target, cell.Signal
                    | Stays
                    | IsRefused _ -> ()
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

    let private outcomeText outcome =
        match outcome with
        | Becomes status -> $"**{status}**"
        | Stays -> "–"
        | IsRefused why -> $"_{why}_"

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

    /// One row for each signal, one column for each state.
    let markdown (machine: Machine) =
        String.concat "\n" [
            $"# {machine.Name}"
            ""
            "Generated by `veza export-spec`. Bold: what it becomes. Dash: nothing changes. Italic: why it is refused."
            "Several in one cell: it depends on what the state carries (amounts, retries left, doubts)."
            ""
            cells ("" :: machine.States)
            cells [ for _ in 0 .. machine.States.Length -> "---" ]
            for signal in machine.Signals do
                cells (
                    signal
                    :: [
                        for state in machine.States do
                            machine.Cells
                            |> List.filter (fun cell -> cell.From = state && cell.Signal = signal)
                            |> List.collect _.Outcomes
                            |> List.map outcomeText
                            |> String.concat " "
                    ]
                )
            ""
            yield! waits machine
            "```mermaid"
            mermaid machine + "```"
            ""
        ]
