/// What carries webhooks: it loses, doubles, delays and reorders them.
module Veza.Simulation.Courier

open System
open Veza.Adapters.Ports
open Veza.Simulation.Scheduler
open Veza.Simulation.Weather

type Courier(scheduler: Scheduler, weather: unit -> Weather, deliver: ReceivedEvent -> unit) =
    let bring event =
        let most =
            if scheduler.Chance (weather ()).SlowWebhook then 86_400
            elif scheduler.Chance 40 then 600
            else 90
        let delay = TimeSpan.FromSeconds(float (scheduler.Random.Next(1, most)))
        scheduler.After(delay, (fun () -> deliver event))

    member _.Bring(event: ReceivedEvent, isLosable) =
        if isLosable && scheduler.Chance (weather ()).LostWebhook then
            scheduler.Say("courier", $"{event.Type} is lost on the way")
        else
            bring event
            if scheduler.Chance (weather ()).DoubledWebhook then
                bring event
