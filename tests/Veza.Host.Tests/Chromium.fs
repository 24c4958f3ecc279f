/// A real browser: Debian's Chromium, spoken to in its own protocol.
module Veza.Host.Tests.Chromium

open System
open System.Collections.Concurrent
open System.Diagnostics
open System.IO
open System.Net.WebSockets
open System.Text.Json
open System.Text.Json.Nodes
open System.Threading
open System.Threading.Tasks
open Expecto

let private program =
    let folders = (string (Environment.GetEnvironmentVariable "PATH")).Split Path.PathSeparator
    [ "chromium"; "chromium-browser"; "google-chrome" ]
    |> List.collect (fun name -> [ for folder in folders -> Path.Combine(folder, name) ])
    |> List.tryFind File.Exists

let private quiet = [
    "--headless=new"
    "--no-sandbox"
    "--disable-gpu"
    "--disable-dev-shm-usage"
    "--disable-background-networking"
    "--disable-component-update"
    "--disable-sync"
    "--no-first-run"
    "--hide-scrollbars"
    "--remote-debugging-port=0"
]

/// `parameters` is a JSON object's text.
type private Line(socket: ClientWebSocket) =
    let answers = ConcurrentDictionary<int, TaskCompletionSource<JsonElement>>()
    let sending = new SemaphoreSlim(1)
    let mutable last = 0

    let receive () =
        task {
            let buffer = Array.zeroCreate<byte> 65536
            use message = new MemoryStream()
            while socket.State = WebSocketState.Open do
                let! part = socket.ReceiveAsync(ArraySegment buffer, CancellationToken.None)
                message.Write(buffer, 0, part.Count)
                if part.EndOfMessage then
                    use json = JsonDocument.Parse(message.ToArray())
                    message.SetLength 0L
                    // What has no id is an event that nobody asked for.
                    match json.RootElement.TryGetProperty "id" with
                    | true, id ->
                        match answers.TryRemove(id.GetInt32()) with
                        | true, waiting -> waiting.SetResult(json.RootElement.Clone())
                        | false, _ -> ()
                    | false, _ -> ()
        }

    member _.Begin() = receive () |> ignore

    member _.Call(verb: string, parameters: JsonObject, session: string option) =
        task {
            let id = Interlocked.Increment &last
            let waiting =
                TaskCompletionSource<JsonElement>(TaskCreationOptions.RunContinuationsAsynchronously)
            answers[id] <- waiting
            let request = JsonObject()
            request["id"] <- id
            request["method"] <- verb
            request["params"] <- parameters
            session |> Option.iter (fun session -> request["sessionId"] <- session)
            do! sending.WaitAsync()
            try
                let bytes = ReadOnlyMemory(JsonSerializer.SerializeToUtf8Bytes request)
                do! socket.SendAsync(bytes, WebSocketMessageType.Text, true, CancellationToken.None)
            finally
                sending.Release() |> ignore
            let! answer = waiting.Task.WaitAsync(TimeSpan.FromSeconds 30.)
            match answer.TryGetProperty "error" with
            | true, error -> return failtest $"{verb}: {error}"
            | false, _ -> return answer.GetProperty "result"
        }

let private start (program: string) =
    task {
        let profile = Directory.CreateTempSubdirectory "veza-chromium-"
        let info = ProcessStartInfo(program, RedirectStandardError = true, RedirectStandardOutput = true)
        for argument in quiet @ [ $"--user-data-dir={profile.FullName}"; "about:blank" ] do
            info.ArgumentList.Add argument
        let browser = nonNull (Process.Start info)
        AppDomain.CurrentDomain.ProcessExit.Add(fun _ ->
            browser.Kill(entireProcessTree = true)
            browser.WaitForExit()
            profile.Delete(recursive = true))
        let address = TaskCompletionSource<string>()
        browser.ErrorDataReceived.Add(fun line ->
            match line.Data with
            | NonNull said when said.StartsWith "DevTools listening on " ->
                address.TrySetResult(said.Substring "DevTools listening on ".Length) |> ignore
            | _ -> ())
        browser.BeginErrorReadLine()
        browser.BeginOutputReadLine()
        let! address = address.Task.WaitAsync(TimeSpan.FromSeconds 30.)
        let socket = new ClientWebSocket()
        do! socket.ConnectAsync(Uri address, CancellationToken.None)
        let line = Line socket
        line.Begin()
        return line
    }

/// One for all tests; it ends with them.
let private browser = lazy (program |> Option.map start)

let private given (pairs: (string * JsonNode) list) =
    let parameters = JsonObject()
    for name, value in pairs do
        parameters[name] <- value
    parameters

let private text (words: string) = nonNull (JsonValue.Create words) :> JsonNode
let private number (value: int) = JsonValue.Create value :> JsonNode
let private yes = fun () -> JsonValue.Create true :> JsonNode

/// A tab with cookies of its own.
type Tab private (line: Line, session: string) =
    let call verb pairs = line.Call(verb, given pairs, Some session)

    /// Skips the test where no Chromium is installed.
    static member Open() =
        task {
            match browser.Value with
            | None -> return skiptest "No Chromium here: Debian's package 'chromium' is not installed."
            | Some starting ->
                let! line = starting
                let! context = line.Call("Target.createBrowserContext", given [], None)
                let! target =
                    line.Call(
                        "Target.createTarget",
                        given [
                            "url", text "about:blank"
                            "browserContextId", text (string (context.GetProperty "browserContextId"))
                        ],
                        None
                    )
                let! attached =
                    line.Call(
                        "Target.attachToTarget",
                        given [ "targetId", text (string (target.GetProperty "targetId")); "flatten", yes () ],
                        None
                    )
                let tab = Tab(line, string (attached.GetProperty "sessionId"))
                let! _ =
                    line.Call(
                        "Emulation.setFocusEmulationEnabled",
                        given [ "enabled", yes () ],
                        Some tab.Session
                    )
                return tab
        }

    member private _.Session = session

    /// The value of a script, or of what it promises, as JSON.
    member _.Eval(script: string) =
        task {
            let! answer =
                call "Runtime.evaluate" [
                    "expression", text script
                    "awaitPromise", yes ()
                    "returnByValue", yes ()
                ]
            match answer.TryGetProperty "exceptionDetails" with
            | true, why -> return failtest $"{script.Substring(0, min 200 script.Length)}: {why}"
            | false, _ ->
                match answer.GetProperty("result").TryGetProperty "value" with
                | true, value -> return value
                | false, _ -> return Unchecked.defaultof<JsonElement>
        }

    member tab.Is(script: string) =
        task {
            let! value = tab.Eval $"Boolean({script})"
            return value.GetBoolean()
        }

    /// Asks again until it holds, for at most ten seconds. A page that is being left answers nothing.
    member tab.Until(what: string, script: string) =
        task {
            let limit = DateTime.UtcNow.AddSeconds 10.
            let mutable held = false
            while not held do
                let! now = tab.Is script
                held <- now
                if not held then
                    if DateTime.UtcNow > limit then
                        let! shown = tab.Eval "document.body.innerText"
                        failtest $"waited ten seconds for: {what}. The page says: {shown}"
                    do! Task.Delay 50
        }

    member tab.Go(address: string) =
        task {
            let! _ = call "Page.navigate" [ "url", text address ]
            do! tab.Until($"{address} to be there", "document.readyState === 'complete'")
        }

    member _.Look(width: int, height: int, scheme: string) =
        task {
            let! _ =
                call "Emulation.setDeviceMetricsOverride" [
                    "width", number width
                    "height", number height
                    "deviceScaleFactor", number 1
                    "mobile", JsonValue.Create false
                ]
            let feature = given [ "name", text "prefers-color-scheme"; "value", text scheme ]
            let! _ = call "Emulation.setEmulatedMedia" [ "features", JsonArray(feature) ]
            ()
        }

    /// Into the field that has the focus.
    member _.Type(words: string) =
        task {
            let! _ = call "Input.insertText" [ "text", text words ]
            ()
        }

    member _.Picture(file: string) =
        task {
            let! shot = call "Page.captureScreenshot" [ "captureBeyondViewport", yes () ]
            do! File.WriteAllBytesAsync(file, Convert.FromBase64String(string (shot.GetProperty "data")))
        }
