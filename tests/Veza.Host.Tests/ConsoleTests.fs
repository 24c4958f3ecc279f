/// The operators' page, as a browser speaks to it.
module Veza.Host.Tests.ConsoleTests

open System
open System.Collections.Generic
open System.Net
open System.Net.Http
open System.Text.RegularExpressions
open Expecto
open Veza.Host.Tests.Scene
open Veza.Sandbox.Control

type Browser(address: string) =
    let handler = new HttpClientHandler(AllowAutoRedirect = false, CookieContainer = CookieContainer())
    let http = new HttpClient(handler, BaseAddress = Uri address)

    member _.Get(path: string) =
        task {
            use! response = http.GetAsync path
            let! page = response.Content.ReadAsStringAsync()
            return int response.StatusCode, page, response
        }

    /// Fills in the form as the page gave it, with its antiforgery token unless it is withheld.
    member browser.Submit(page: string, action: string, fields: (string * string) list, withToken: bool) =
        task {
            let! _, html, _ = browser.Get page
            let token = Regex.Match(html, "__RequestVerificationToken\" value=\"([^\"]+)\"").Groups[1].Value
            let all =
                if withToken then
                    ("__RequestVerificationToken", token) :: fields
                else
                    fields
            use form = new FormUrlEncodedContent(dict all)
            use! response = http.PostAsync(action, form)
            let! answer = response.Content.ReadAsStringAsync()
            return int response.StatusCode, answer, string response.Headers.Location
        }

    member browser.SignIn(key: string) =
        browser.Submit("/console/sign-in", "/console/sign-in", [ "key", key ], true)

    interface IDisposable with
        member _.Dispose() = http.Dispose()

[<Tests>]
let tests =
    testList "console" [
        play "asks for an operator key, and takes no other" [] (fun scene ->
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
        play "shows the counts on the machine, the list and one transfer's story" [] (fun scene ->
            task {
                let! order = scene.SettledOrder()
                let! transfers = scene.Transfers order
                use browser = new Browser(scene.Address)
                let! _ = browser.SignIn(scene.Key "operator")
                let! _, page, _ = browser.Get "/?status=completed"
                Expect.stringContains page "54.00 EUR" "ada's share"
                Expect.stringContains page "permanently failed" "every status is on the map"
                let! _, story, _ = browser.Get $"""/console/transfers/{text "id" transfers[0]}"""
                for word in [ "scheduled"; "transfer accepted"; text "stripe_transfer_id" transfers[0] ] do
                    Expect.stringContains story word word
            })
        play "retries what failed, in the operator's name, and only with the form's token" [] (fun scene ->
            task {
                scene.World.Faults.Add(
                    Fault(
                        "stripe.transfers.create",
                        FaultMode.ErrorStored,
                        Status = 400,
                        Code = "account_invalid"
                    )
                )
                let! order = scene.PaidOrder()
                do! scene.TransfersAre(order, "permanently_failed")
                scene.World.Faults.Clear()
                let! transfers = scene.Transfers order
                use browser = new Browser(scene.Address)
                let! _ = browser.SignIn(scene.Key "operator")
                for transfer in transfers do
                    let page = $"""/console/transfers/{text "id" transfer}"""
                    let! forged, _, _ = browser.Submit(page, page + "/retry", [], false)
                    Expect.equal forged 400 "a forged form does nothing"
                    let seen = [ "version", string (number "version" transfer) ]
                    let! stale, _, late = browser.Submit(page, page + "/retry", [ "version", "0" ], true)
                    Expect.equal (stale, late) (302, page + "?notice=refused") "somebody has acted meanwhile"
                    let! retried, _, location = browser.Submit(page, page + "/retry", seen, true)
                    Expect.equal (retried, location) (302, page + "?notice=retried") ""
                do! scene.TransfersAre(order, "completed")
                let! after = scene.Get $"""/api/v1/transfers/{text "id" transfers[0]}"""
                let step =
                    items "history" after.Body
                    |> List.find (fun step -> text "signal" step = "retry_requested")
                Expect.equal (text "actor" step) "key:Operator" "attributed"
            })
        play "shows the webhooks that had no effect, and why" [] (fun scene ->
            task {
                let body =
                    """{"event_id":"evt_lost","event_type":"payment_succeeded","content":{"type":"payment_details","object":{"payment_id":"pay_elsewhere","status":"succeeded","amount":1,"currency":"EUR"}}}"""
                let! _ = scene.Webhook body
                use browser = new Browser(scene.Address)
                let! _ = browser.SignIn(scene.Key "operator")
                do!
                    scene.Until(
                        "the event to be listed",
                        fun () ->
                            task {
                                let! _, page, _ = browser.Get "/console/webhooks"
                                return page.Contains "unknown payment" && page.Contains "pay_elsewhere"
                            }
                    )
                let! _, home, _ = browser.Get "/"
                Expect.stringContains home "1 webhook to look at" "and says so where one looks first"
            })
        play
            "shows whether the books agree, compares them, and processes a webhook again, in the operator's name"
            [ "RECONCILE_INTERVAL", "1h"; "RECONCILE_GRACE", "1ms"; "EVENT_WALK_INTERVAL", "1h" ]
            (fun scene ->
                task {
                    let! order = scene.SettledOrder()
                    use browser = new Browser(scene.Address)
                    let! _ = browser.SignIn(scene.Key "operator")
                    let! _, before, _ = browser.Get "/console/books"
                    Expect.stringContains before "Not compared yet" ""
                    let! asked, _, location =
                        browser.Submit("/console/books", "/console/books/compare", [], true)
                    Expect.equal (asked, location) (302, "/console/books?notice=comparing") ""
                    let shows (words: string) path =
                        scene.Until(
                            words,
                            fun () ->
                                task {
                                    let! _, page, _ = browser.Get path
                                    return page.Contains words
                                }
                        )
                    do! shows "The books agree" "/console/books"
                    let! shown = scene.Get $"/api/v1/orders/{order}"
                    let payment = text "payment_id" (shown.Body.GetProperty "payment")
                    scene.World.Hyperswitch.RefundByHand(payment, 500L) |> ignore
                    let! _ =
                        browser.Submit("/console/books", "/console/books/compare", [ "heal", "yes" ], true)
                    do! shows "1 difference" "/console/books"
                    do! shows "a person must look" "/console/books"
                    do! shows "The books disagree" "/"
                    let! found, runbook, _ = browser.Get "/console/runbooks/books_disagree"
                    Expect.equal found 200 ""
                    Expect.stringContains runbook "missing_here" "what to do is at hand"
                    do! shows "unknown refund" "/console/webhooks"
                    let! id =
                        scene.Scalar<int64> "select seq from webhook_events where state = 'parked' limit 1"
                    let! again, _, _ =
                        browser.Submit("/console/webhooks", $"/console/webhooks/{id}/replay", [], true)
                    Expect.equal again 302 ""
                    do! shows "processed again 1" "/console/webhooks"
                    do! shows "key:Operator" "/console/webhooks"
                })
        play "ends a session with its key" [] (fun scene ->
            task {
                use browser = new Browser(scene.Address)
                let! _ = browser.SignIn(scene.Key "operator")
                let! inside, _, _ = browser.Get "/"
                Expect.equal inside 200 ""
                do! scene.Execute "update api_keys set revoked_at = now() where role = 'operator'"
                let! outside, _, _ = browser.Get "/"
                Expect.equal outside 302 "back to the door"
            })
    ]
