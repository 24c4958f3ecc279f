/// Every alarm is walked to silence by its own page: what the page tells an operator to do is read from it and done.
module Veza.Host.Tests.RunbookTests

open System.Diagnostics
open System.IO
open System.Threading
open Expecto
open Microsoft.Extensions.DependencyInjection
open Veza.Domain
open Veza.Host.Tests.Scene
open Veza.Host.Background

let private walks =
    RunbookTransfers.walks @ RunbookFunds.walks @ RunbookPayments.walks @ RunbookPayouts.walks

[<Tests>]
let tests =
    testList "runbooks" [
        test "every alarm has a page, and every page an alarm" {
            Expect.equal (List.sort RunbookPages.all) (Alarm.every |> List.map Alarm.word |> List.sort) ""
        }
        test "every way out of every page is walked, and no other" {
            let told = [
                for alarm in Alarm.every do
                    for way in RunbookPages.waysOf alarm -> Alarm.word alarm, way.Heading
            ]
            let walked = [ for walk in walks -> Alarm.word walk.Alarm, walk.Way ]
            Expect.equal (List.sort walked) (List.sort told) "each once"
            for alarm in Alarm.every do
                Expect.isNonEmpty (RunbookPages.waysOf alarm) $"{Alarm.word alarm} has a way out"
                for way in RunbookPages.waysOf alarm do
                    Expect.isNonEmpty way.Lines $"{Alarm.word alarm}, {way.Heading}: what is to be done"
        }
        test "every page says what it means, what to look at, what to do, how it ends and what not to do" {
            for page in RunbookPages.all do
                let told = [
                    for line in (RunbookPages.named page).Split '\n' do
                        if line.StartsWith "## " then
                            line.Substring 3
                ]
                Expect.equal told [ "Look"; "Do"; "It is over"; "Do not" ] page
        }
        for walk in walks do
            RunbookWalk.play walk
        play "a shell takes the lines as they stand there" [] (fun scene ->
            task {
                match [ "/usr/bin/curl"; "/bin/curl" ] |> List.tryFind File.Exists with
                | None -> skiptest "curl is not installed here."
                | Some _ ->
                    let lines =
                        List.tail RunbookPages.preamble @ [ "api POST \"admin/webhook-events/replay\" '{}'" ]
                    let start =
                        ProcessStartInfo(
                            "/bin/bash",
                            System.Collections.Generic.List<string> [ "-euc"; String.concat "\n" lines ],
                            RedirectStandardOutput = true
                        )
                    start.Environment["V"] <- scene.Address
                    start.Environment["KEY"] <- scene.Key "operator"
                    use shell = nonNull (Process.Start start)
                    let! said = shell.StandardOutput.ReadToEndAsync()
                    do! shell.WaitForExitAsync()
                    Expect.equal shell.ExitCode 0 said
                    Expect.stringContains said "\"dry_run\":true" "it was called"
            })
    ]

/// Gauges of all hosts of one process have one name each: these are looked at when no other host is there.
[<Tests>]
let alone =
    testSequenced
    <| testList "gauges" [
        play
            "an alarm rings at Prometheus, and is silent there when it is over"
            WaysOutTests.silently
            (fun scene ->
                task {
                    let isRinging () =
                        task {
                            do! scene.Services.GetRequiredService<Gauges>().Look CancellationToken.None
                            let! metrics = scene.Http.GetStringAsync "/metrics"
                            return
                                metrics.Split '\n'
                                |> Array.exists (fun line ->
                                    line.StartsWith "veza_alarms{" && line.Contains "event_needs_operator")
                        }
                    let! id = WaysOutTests.quarantined scene
                    let! rings = isRinging ()
                    Expect.isTrue rings "VezaAlarm looks at this"
                    let! _ =
                        scene.As(
                            "operator",
                            "POST",
                            $"/api/v1/admin/webhook-events/{id}/dismiss",
                            """{"note":"refunded by hand"}"""
                        )
                    // A scrape may be answered with the one before it.
                    do!
                        scene.Until(
                            "the alarm to be silent at Prometheus",
                            fun () ->
                                task {
                                    let! stillRings = isRinging ()
                                    return not stillRings
                                }
                        )
                })
    ]
