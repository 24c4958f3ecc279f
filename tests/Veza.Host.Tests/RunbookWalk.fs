/// A walk: something happens, its alarm rings where an operator sees it, the page is followed line by line, and every
/// alarm is silent.
module Veza.Host.Tests.RunbookWalk

open System
open System.Collections.Generic
open System.Net.Http
open System.Text
open System.Threading
open System.Threading.Tasks
open Expecto
open Microsoft.Extensions.DependencyInjection
open Microsoft.Extensions.Hosting
open Microsoft.Extensions.Options
open Veza.Domain
open Veza.Host.Tests.Scene
open Veza.Host.Tests.RunbookPages

/// What came about, and what the page cannot know.
type Situation = {
    /// What the page's variables stand for. `$ID` is the alarm's example.
    Variables: (string * string) list
    /// Time passes: SQL that makes what waits older than its alarm's patience.
    Ages: string
    /// What is done at a provider or on a host, by the words of the page.
    Elsewhere: (string * (unit -> Task<unit>)) list
    /// What the page promises.
    Over: unit -> Task<unit>
}

/// Hosts beside the scene's own.
type Hosts(scene: Scene) =
    let running = Stack<IAsyncDisposable>()

    member _.Start(changes: (string * string) list) =
        task {
            let! host = Second.With scene changes
            running.Push host
        }

    member _.Stop() =
        task {
            while running.Count > 0 do
                do! running.Pop().DisposeAsync()
        }

    member hosts.Restart(changes) =
        task {
            do! hosts.Stop()
            do! hosts.Start changes
        }

    /// One of the scene's own workers hangs.
    member _.Hang(worker: string) =
        task {
            let options = scene.Services.GetRequiredService<IOptions<HostOptions>>().Value
            options.BackgroundServiceExceptionBehavior <- BackgroundServiceExceptionBehavior.Ignore
            for service in scene.Services.GetServices<IHostedService>() do
                if service.GetType().Name = worker then
                    do! service.StopAsync CancellationToken.None
        }

    interface IAsyncDisposable with
        member hosts.DisposeAsync() = ValueTask(hosts.Stop())

type Walk = {
    Alarm: Alarm
    Way: string
    Settings: (string * string) list
    Begin: Scene -> Hosts -> Task<Situation>
}

let walk alarm way settings act = { Alarm = alarm; Way = way; Settings = settings; Begin = act }

/// The alarm, one of what it is about, and the page that it names.
let ringing (scene: Scene) =
    task {
        let! answer = scene.As("read", "GET", "/api/v1/reconciliation", "")
        return [
            for alarm in items "alarms" answer.Body ->
                text "alarm" alarm, text "example" alarm, text "runbook" alarm
        ]
    }

/// What the sandbox lets a person do at the providers.
let control (scene: Scene) (path: string) (body: string) =
    task {
        let address = Uri(Uri scene.StripeUrl, "/control/" + path)
        use content = new StringContent(body, Encoding.UTF8, "application/json")
        use! answer = scene.Http.PostAsync(address, content)
        Expect.isTrue answer.IsSuccessStatusCode $"{path}: {answer.StatusCode}"
    }

/// Nothing more to be known or done.
let situation = { Variables = []; Ages = ""; Elsewhere = []; Over = fun () -> Task.FromResult() }

/// A card that pays.
let paidCard = "4242424242424242"

/// The number of the webhook that waits for a person.
let eventWaits (scene: Scene) reason =
    task {
        let mutable id = ""
        do!
            scene.Until(
                $"a webhook to wait for a person: {reason}",
                fun () ->
                    task {
                        let! listed =
                            scene.Get $"/api/v1/admin/webhook-events?state=quarantined&reason={reason}"
                        match items "data" listed.Body with
                        | event :: _ ->
                            id <- string (number "id" event)
                            return true
                        | [] -> return false
                    }
            )
        return id
    }

let private rings (scene: Scene) (situation: Situation) (alarm: Alarm) =
    task {
        let word = Alarm.word alarm
        let mutable example = ""
        do!
            scene.Until(
                $"{word} to ring",
                fun () ->
                    task {
                        if situation.Ages <> "" then
                            do! scene.Execute situation.Ages
                        let! now = ringing scene
                        match now |> List.tryFind (fun (found, _, _) -> found = word) with
                        | Some(_, one, page) ->
                            Expect.equal page $"docs/runbooks/{word}.md" "it names its page"
                            example <- one
                            return true
                        | None -> return false
                    }
            )
        return example
    }

/// Done as it stands there. `veza` may say that something is left for a person, but not at the end.
let private follow (scene: Scene) situation (variables: Map<string, string>) (lines: string list) =
    task {
        let last = List.last lines
        for line in lines do
            match RunbookPages.read variables line with
            | Elsewhere what ->
                match situation.Elsewhere |> List.tryFind (fun (named, _) -> named = what) with
                | Some(_, act) -> do! act ()
                | None -> failtest $"the test does not know how: {what}"
            | Call(verb, path, body) ->
                let! answer = scene.As("operator", verb, path, body)
                Expect.isLessThan answer.Status 300 $"{line}: {answer.Body}"
            | Command arguments ->
                let! (code: int), (output: string), (errors: string) =
                    CommandTests.veza (ReconciliationTests.settingsOf scene) arguments
                let isWell = code = 0 || (code = 2 && line <> last)
                Expect.isTrue isWell $"{line}: {code} {output}{errors}"
    }

let private silent (scene: Scene) =
    task {
        let mutable left = []
        try
            do!
                scene.Until(
                    "silence",
                    fun () ->
                        task {
                            let! now = ringing scene
                            left <- now
                            return now.IsEmpty
                        }
                )
        with _ ->
            failtest $"still ringing: {left}"
    }

let play (walk: Walk) =
    let word = Alarm.word walk.Alarm
    Scene.play $"{word}: {walk.Way}" walk.Settings (fun scene ->
        task {
            use hosts = new Hosts(scene)
            let! situation = walk.Begin scene hosts
            let! example = rings scene situation walk.Alarm
            let variables = Map.ofList (("ID", example) :: situation.Variables)
            let way = waysOf walk.Alarm |> List.find (fun way -> way.Heading = walk.Way)
            let done' = [
                for line in way.Lines do
                    if line.StartsWith "# " then
                        line.Substring 2
            ]
            Expect.containsAll
                done'
                (List.map fst situation.Elsewhere)
                "nothing is done that the page does not say"
            do! follow scene situation variables way.Lines
            do! situation.Over()
            do! silent scene
        })
