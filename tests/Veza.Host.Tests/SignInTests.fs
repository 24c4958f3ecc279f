/// Who may enter the console, for how long, and on which host.
module Veza.Host.Tests.SignInTests

open System
open System.Net
open System.Net.Http
open System.Text.RegularExpressions
open System.Threading
open System.Xml.Linq
open Expecto
open Npgsql
open Veza.Adapters.Postgres
open Veza.Adapters.Postgres.Repositories
open Veza.Host.Tests.Browser
open Veza.Host.Tests.Scene

let private cookies (response: HttpResponseMessage) =
    match response.Headers.TryGetValues "Set-Cookie" with
    | true, NonNull set -> List.ofSeq set
    | _ -> []

/// A sign-in whose browser speaks TLS to a proxy, and the proxy to Veza.
let private signInThroughProxy (scene: Scene) =
    task {
        use browser = new Browser(scene.Address)
        let! _, _, response =
            browser.Submit(
                "/console/sign-in",
                "/console/sign-in",
                [ "key", scene.Key "operator" ],
                true,
                [ "X-Forwarded-Proto", "https"; "X-Forwarded-For", "203.0.113.7" ]
            )
        return cookies response |> List.find _.StartsWith("veza_session")
    }

[<Tests>]
let tests =
    testList "console sign-in" [
        play
            "asks for an operator key, and takes no other"
            [ "CONSOLE_READ_ONLY_ROLE", "false" ]
            (fun scene ->
                task {
                    use browser = new Browser(scene.Address)
                    let! status, _, response = browser.Get "/"
                    Expect.equal status 302 "not without signing in"
                    Expect.stringContains (string response.Headers.Location) "/console/sign-in" ""
                    for key in [ "nonsense"; scene.Key "service"; scene.Key "read" ] do
                        let! refused, page, _ = browser.SignIn key
                        Expect.equal refused 401 "operators only"
                        Expect.stringContains page "not a valid operator key" "said on the page"
                    let! welcome, _, location = browser.SignIn(scene.Key "operator")
                    Expect.equal (welcome, location) (302, "/") ""
                    let! inside, page, response = browser.Get "/"
                    Expect.equal inside 200 ""
                    Expect.stringContains page "No transfers yet" "an empty page says what will be there"
                    let policy = string (response.Headers.GetValues "Content-Security-Policy" |> Seq.head)
                    Expect.isFalse (policy.Contains "unsafe") "no inline script, no inline style"
                    Expect.isFalse (Regex.IsMatch(page, "<script>|style=|onclick=")) "and none is needed"
                })
        play "ends a session with its key, after twelve hours, and when its person signs out" [] (fun scene ->
            task {
                let enters (browser: Browser) =
                    task {
                        let! status, _, _ = browser.Get("/", [ "X-Live-Refresh", "yes" ])
                        return status = 200
                    }
                let signedIn () =
                    task {
                        let browser = new Browser(scene.Address)
                        let! _ = browser.SignIn(scene.Key "operator")
                        let! inside = enters browser
                        Expect.isTrue inside "signed in"
                        return browser
                    }
                use! browser = signedIn ()
                let life = "select min(expires_at - started_at) from console_sessions"
                let! lasting = scene.Scalar<TimeSpan> life
                Expect.equal lasting (TimeSpan.FromHours 12.) "a working day"
                let! _ = enters browser
                let! lasting = scene.Scalar<TimeSpan> life
                Expect.equal lasting (TimeSpan.FromHours 12.) "an open page does not prolong it"
                do! scene.Execute "update console_sessions set expires_at = now()"
                let! inside = enters browser
                Expect.isFalse inside "its time is over"

                use! other = signedIn ()
                let! _, _, location = other.Submit("/", "/console/sign-out", [], true)
                Expect.equal location "/console/sign-in" ""
                let! left = scene.Scalar<int64> "select count(*) from console_sessions"
                Expect.equal left 0L "a copy of the cookie is worth nothing"

                use! third = signedIn ()
                do! scene.Execute "update api_keys set revoked_at = now() where role = 'operator'"
                let! inside = enters third
                Expect.isFalse inside "back to the door"
            })
        play "takes a session and a form of one host at another one, and after a restart" [] (fun scene ->
            task {
                let! order = scene.SettledOrder()
                let! transfers = scene.Transfers order
                let address = freeAddress ()
                let path = $"""/console/transfers/{text "id" transfers[0]}"""
                use browser = new Browser(scene.Address)
                let! _ = browser.SignIn(scene.Key "operator")
                let isTaken (page: string) (action: string) =
                    task {
                        let seen = [ "version", string (number "version" transfers[0]) ]
                        let! status, _, location = browser.Submit(page, action + "/retry", seen, true)
                        Expect.equal (status, location) (302, path) "the form is taken"
                        let! status, _, _ = browser.Get action
                        Expect.equal status 200 "and the session"
                    }
                for _ in 1..2 do
                    use! _second = Second.With scene [ "VEZA_URLS", address ]
                    do! isTaken path (address + path)
                    do! isTaken (address + path) path
                let! keys = scene.Scalar<int64> "select count(*) from data_protection_keys"
                Expect.equal keys 1L "one ring for all of them"
            })
        test "of two first keys that are made at once, one is kept" {
            (task {
                let! connection = Databases.fresh ()
                use database = Database.Open(NpgsqlConnectionStringBuilder connection)
                let store name =
                    Tasks.Task.Run(fun () -> KeyRing(database).StoreElement(XElement(XName.Get name), name))
                do! Tasks.Task.WhenAll [ for host in 1..4 -> store $"key-{host}" ]
                let kept = KeyRing(database).GetAllElements()
                Expect.hasLength kept 1 "which all of them read again, and use"
            })
                .GetAwaiter()
                .GetResult()
        }
        play "knows from its proxy that the browser speaks TLS, and leads nowhere else" [] (fun scene ->
            task {
                let! session = signInThroughProxy scene
                Expect.stringContains session "secure" "the cookie never travels in clear"
                use browser = new Browser(scene.Address)
                let headers = [ "X-Forwarded-Proto", "https" ]
                let! _, _, response = browser.Get("/console/sign-in", headers)
                for cookie in cookies response do
                    Expect.stringContains cookie "secure" "nor do the others"
                let! _, _, response = browser.Get("/", headers)
                Expect.equal
                    (string response.Headers.Location)
                    "/console/sign-in"
                    "by path: no scheme, no host"
            })
        play "believes no proxy that is not trusted" [ "TRUSTED_PROXIES", "10.1.2.3" ] (fun scene ->
            task {
                let! session = signInThroughProxy scene
                Expect.isFalse (session.Contains "secure") "somebody else says so"
            })
        test "TRUSTED_PROXIES takes addresses, networks and none, and says which it cannot read" {
            let faults (value: string) : string list =
                let reader = settingsFrom [ "TRUSTED_PROXIES", value ]
                reader.Read() |> ignore
                [
                    for fault in reader.Faults do
                        if fault.Name = "TRUSTED_PROXIES" then
                            nonNull fault.Fault
                ]
            for good in [ "none"; "10.0.0.1"; "10.0.0.0/8, ::1"; "fc00::/7" ] do
                Expect.isEmpty (faults good) good
            for bad in [ "proxy"; "10.0.0.0/33"; "10.0.0.0/x"; "10.0.0.1;10.0.0.2" ] do
                Expect.stringContains (String.concat " " (faults bad)) $"'{bad}' is neither" bad
        }
        play "leads where one wanted to go before signing in, and to no other site" [] (fun scene ->
            task {
                use browser = new Browser(scene.Address)
                let wanted = "/console/disputes?status=open"
                let! _, _, response = browser.Get wanted
                let door = string response.Headers.Location
                Expect.equal door ("/console/sign-in?ReturnUrl=" + Uri.EscapeDataString wanted) ""
                let! _, form, _ = browser.Get door
                Expect.stringContains form (nonNull (WebUtility.HtmlEncode wanted)) "the form keeps it"
                let key = "key", scene.Key "operator"
                let! _, _, location =
                    browser.Submit(door, "/console/sign-in", [ key; "returnUrl", wanted ], true)
                Expect.equal location wanted ""
                for elsewhere in
                    [ "https://evil.example/"; "//evil.example/"; "/\\evil.example/"; "evil"; "" ] do
                    let! _, _, location =
                        browser.Submit(door, "/console/sign-in", [ key; "returnUrl", elsewhere ], true)
                    Expect.equal location "/" elsewhere
            })
        play
            "tells one whose session has ended that their form did nothing, and leads back to it"
            []
            (fun scene ->
                task {
                    use browser = new Browser(scene.Address)
                    let! _ = browser.SignIn(scene.Key "operator")
                    do! scene.Execute "delete from console_sessions"
                    let! status, _, response =
                        browser.Submit(
                            "/console/books",
                            "/console/books/compare",
                            [],
                            true,
                            [ "Referer", scene.Address + "/console/books" ]
                        )
                    let door = string response.Headers.Location
                    Expect.equal (status, door) (302, "/console/sign-in?ReturnUrl=%2Fconsole%2Fbooks") ""
                    let! _, page, _ = browser.Get door
                    Expect.stringContains page "so nothing was done" ""
                })
        play "lets a read key look and not act, unless CONSOLE_READ_ONLY_ROLE is false" [] (fun scene ->
            task {
                let! order = scene.SettledOrder()
                let! transfers = scene.Transfers order
                let path = $"""/console/transfers/{text "id" transfers[0]}"""
                use browser = new Browser(scene.Address)
                let! _, _, location = browser.SignIn(scene.Key "read")
                Expect.equal location "/" ""
                for page in [ "/"; path; "/console/books"; "/console/webhooks"; "/console/disputes" ] do
                    let! status, html, _ = browser.Get page
                    Expect.equal status 200 page
                    let forms = Regex.Matches(html, "<form").Count
                    Expect.equal forms 1 $"{page}: no form but the one to sign out"
                for action in
                    [
                        path + "/retry"
                        path + "/write-off"
                        path + "/redirect"
                        "/console/books/compare"
                        $"/console/books/{Guid.Empty}/findings/0/acknowledge"
                        "/console/webhooks/1/replay"
                    ] do
                    let! status, page, _ = browser.Submit("/", action, [ "version", "1"; "note", "n" ], true)
                    Expect.equal status 403 action
                    Expect.stringContains page "may look, not act" "as a page"
            })
        play "stops one who tries too many keys" [] (fun scene ->
            task {
                use browser = new Browser(scene.Address)
                let mutable last = 0, ""
                for _ in 1..21 do
                    let! status, page, _ = browser.SignIn "nonsense"
                    last <- status, page
                Expect.equal (fst last) 429 ""
                Expect.stringContains (snd last) "Too many tries" "as a page"
            })
        play "asks the database nothing for a health check with a session's cookie" [] (fun scene ->
            task {
                use browser = new Browser(scene.Address)
                let! _ = browser.SignIn(scene.Key "operator")
                do! scene.Execute "alter table console_sessions rename to hidden"
                let! status, _, _ = browser.Get "/health/live"
                Expect.equal status 200 "alive is alive"
            })
    ]
