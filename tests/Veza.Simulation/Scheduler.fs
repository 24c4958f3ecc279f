/// One thread, one clock, one source of chance. Everything that Veza's hosts and providers do passes through gates,
/// and which gate opens next is drawn from the seed: the same seed is the same run, to the step.
module Veza.Simulation.Scheduler

open System
open System.Collections.Generic
open System.Threading
open System.Threading.Tasks

let start = DateTimeOffset(2026, 11, 23, 12, 0, 0, TimeSpan.Zero)

type private Gate = {
    Host: int
    Name: string
    MayOpen: unit -> bool
    /// Its continuation runs inside Open, on this thread: that is what makes a run repeatable.
    Open: TaskCompletionSource
}

/// Something that works whenever it has something to do.
type Actor = {
    Host: int
    Called: string
    /// When a turn makes sense; nothing while there is nothing to do.
    Next: unit -> DateTimeOffset voption
    Turn: unit -> Task
    mutable Running: bool
}

type private Timer(callback: TimerCallback, state: obj | null, cancel: Timer -> unit) =
    member _.Fire() = callback.Invoke state

    interface ITimer with
        member timer.Change(_, _) =
            cancel timer
            true

        member timer.Dispose() = cancel timer

        member timer.DisposeAsync() =
            cancel timer
            ValueTask.CompletedTask

/// What brings a run to an end before its time.
exception Crashed of Host: int

/// Whether the story tells of every gate, for somebody who looks for a fault.
let mutable trace = false

type Scheduler(seed: int) =
    let random = Random seed
    let gates = List<Gate>()
    let actors = List<Actor>()
    let timers = PriorityQueue<unit -> unit, struct (DateTimeOffset * int64)>()
    let cancelled = HashSet<obj>(HashIdentity.Reference)
    let log = List<string>()
    let mutable now = start
    let mutable count = 0L
    let mutable steps = 0
    let mutable crashAt = -1
    let mutable onCrash = ignore
    let dead = HashSet<int>()

    member _.Now = now
    member _.Steps = steps
    member _.Random = random
    member _.Log = log
    member _.Chance(percent: int) = random.Next 100 < percent

    member _.Say(who: string, what: string) =
        let elapsed = now - start
        let days = if elapsed.Days > 0 then $"{elapsed.Days}d " else ""
        log.Add $"""{steps, 5}  {days}{elapsed.ToString @"hh\:mm\:ss"}  {who, -12} {what}"""

    /// Dies at this gate, counted from the start; what it waits for never comes.
    member _.CrashAt(step, crash: int -> unit) =
        crashAt <- step
        onCrash <- crash

    member scheduler.Kill host =
        dead.Add host |> ignore
        gates.RemoveAll(fun gate -> gate.Host = host) |> ignore
        actors.RemoveAll(fun actor -> actor.Host = host) |> ignore
        scheduler.Say($"host {host}", "is killed")

    member _.IsDead host = dead.Contains host

    /// Waits for its turn. A host may die here, before or after what the gate guards.
    member _.PassWhen(host, name, mayOpen) : Task =
        let gate = { Host = host; Name = name; MayOpen = mayOpen; Open = TaskCompletionSource() }
        if not (dead.Contains host) then
            gates.Add gate
        gate.Open.Task

    member scheduler.Pass(host, name) : Task = scheduler.PassWhen(host, name, (fun () -> true))

    member _.After(delay: TimeSpan, what: unit -> unit) =
        count <- count + 1L
        timers.Enqueue(what, struct (now + delay, count))

    member _.Add(host, called, next, turn) =
        actors.Add { Host = host; Called = called; Next = next; Turn = turn; Running = false }

    member scheduler.Clock = {
        new TimeProvider() with
            override _.GetUtcNow() = now

            override _.CreateTimer(callback, state, due, _) =
                let timer = new Timer(callback, state, (fun timer -> cancelled.Add timer |> ignore))
                scheduler.After(
                    due,
                    fun () ->
                        if not (cancelled.Contains timer) then
                            timer.Fire()
                )
                timer
    }

    member private _.Begin(actor: Actor) =
        actor.Running <- true
        let turn = actor.Turn()
        let ended (_: Task) = actor.Running <- false
        turn.ContinueWith(ended, TaskContinuationOptions.ExecuteSynchronously) |> ignore

    /// One gate, one actor's turn, or one leap of the clock. False when nothing is left to do before the horizon.
    member scheduler.Step(horizon: DateTimeOffset) =
        let ready = gates.FindAll(fun gate -> gate.MayOpen())
        let idle =
            actors.FindAll(fun actor ->
                not actor.Running
                && (match actor.Next() with
                    | ValueSome time -> time <= now
                    | ValueNone -> false))
        let mutable timer = Unchecked.defaultof<_>
        let mutable due = Unchecked.defaultof<struct (DateTimeOffset * int64)>
        let isTimerDue = timers.TryPeek(&timer, &due) && (let struct (time, _) = due in time <= now)
        let choices = ready.Count + idle.Count + (if isTimerDue then 1 else 0)

        if choices > 0 then
            let choice = random.Next choices
            steps <- steps + 1
            if choice < ready.Count then
                let gate = ready[choice]
                gates.Remove gate |> ignore
                if trace then
                    scheduler.Say($"host {gate.Host}", gate.Name)
                if steps = crashAt && gate.Host > 0 then
                    onCrash gate.Host
                else
                    gate.Open.SetResult()
            elif choice < ready.Count + idle.Count then
                if trace then
                    scheduler.Say(
                        $"host {idle[choice - ready.Count].Host}",
                        "begins " + idle[choice - ready.Count].Called
                    )
                scheduler.Begin idle[choice - ready.Count]
            else
                timers.Dequeue () ()
            true
        else
            let times = [
                for actor in actors do
                    if not actor.Running then
                        match actor.Next() with
                        | ValueSome time -> time
                        | ValueNone -> ()
                if timers.Count > 0 then
                    let struct (time, _) = due
                    time
            ]
            match times with
            | [] -> false
            | times when List.min times > horizon -> false
            | times ->
                now <- List.min times
                true

    /// Whether the last step opened a gate at which its host could have died.
    member _.Gates = gates.Count
