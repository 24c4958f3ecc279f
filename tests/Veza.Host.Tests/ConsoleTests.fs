/// The operators' pages, as a browser speaks to them.
module Veza.Host.Tests.ConsoleTests

open System
open System.Net.Http
open System.Text.RegularExpressions
open System.Threading
open Expecto
open Microsoft.Extensions.Logging.Abstractions
open Npgsql
open Veza.Adapters.Postgres
open Veza.Host.Tests.Browser
open Veza.Host.Tests.Scene
open Veza.Sandbox
open Veza.Sandbox.Control
open Veza.Sandbox.Hyperswitch

[<Tests>]
let tests =
    testList "console" [
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
                for word in [ "scheduled"; text "stripe_transfer_id" transfers[0] ] do
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
                    Expect.equal (stale, late) (302, page) "somebody has acted meanwhile"
                    let! _, told, _ = browser.Get page
                    Expect.stringContains told "Nothing was done: it has changed" "and it is said"
                    let! retried, _, location = browser.Submit(page, page + "/retry", seen, true)
                    Expect.equal (retried, location) (302, page) ""
                    let! _, live, _ = browser.Get(page, [ "X-Live-Refresh", "yes" ])
                    Expect.isFalse (live.Contains "asked for a new try") "the live refresh leaves the notice"
                    let! _, told, _ = browser.Get page
                    Expect.stringContains told "asked for a new try" "to the page"
                    let! _, later, _ = browser.Get page
                    Expect.isFalse (later.Contains "asked for a new try") "and there it is told once"
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
                Expect.stringContains home "1 webhook without effect" "and says so where one looks first"
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
                    Expect.equal (asked, location) (302, "/console/books") ""
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
        play "shows an error as a page that leads back" [] (fun scene ->
            task {
                use browser = new Browser(scene.Address)
                let! _ = browser.SignIn(scene.Key "operator")
                let html = [ "Accept", "text/html,*/*" ]
                let isPage status (words: string) (answer: int * string * HttpResponseMessage) =
                    let code, page, response = answer
                    Expect.equal code status words
                    Expect.stringContains page words ""
                    Expect.stringContains page "To the console" "a way back"
                    Expect.equal (string response.Content.Headers.ContentType) "text/html; charset=utf-8" ""
                    Expect.isTrue
                        (response.Headers.Contains "Content-Security-Policy")
                        "under the same rules"
                for missing in
                    [
                        "/console/nothing"
                        $"/console/transfers/{Guid.Empty}"
                        $"/console/books/{Guid.Empty}"
                        "/console/runbooks/nothing"
                        "/?status=nothing"
                        "/?cursor=nothing"
                        "/console/disputes?status=nothing"
                    ] do
                    let! answer = browser.Get missing
                    answer |> isPage 404 "There is no such page"
                let! answer = browser.Get("/nothing", html)
                answer |> isPage 404 "There is no such page"
                let! answer = browser.Get "/console/books/compare"
                answer |> isPage 405 "nothing to see here"
                let! code, page, response = browser.Submit("/", "/console/books/compare", [], false, [])
                (code, page, response) |> isPage 400 "This form has expired"
                let! program, problem, _ = browser.Get "/nothing"
                Expect.equal program 404 ""
                Expect.stringContains problem "\"code\":\"not_found\"" "a program gets problem details"
                let! _, problem, _ = browser.Get("/api/v1/nothing", html)
                Expect.stringContains problem "\"code\":\"not_found\"" "and so does whoever asks the API"
                do! scene.Execute "alter table disputes rename to hidden"
                let! answer = browser.Get "/console/disputes"
                answer |> isPage 500 "Something is wrong with Veza"
            })
        testTask "says on a page that the database is away" {
            do!
                task {
                    match PrivatePostgres.FindBinaries() with
                    | null -> skiptest "No PostgreSQL binaries here to stop."
                    | _ -> ()
                    use! postgres = PrivatePostgres.Start CancellationToken.None
                    let settings = NpgsqlConnectionStringBuilder postgres.ConnectionString
                    use database = Database.Open settings
                    let! _ =
                        Migrator(settings, database, NullLogger<Migrator>.Instance).Migrate
                            CancellationToken.None
                    use! scene = Scene.Open [ "DATABASE_URL", postgres.ConnectionString ]
                    use browser = new Browser(scene.Address)
                    let! _ = browser.SignIn(scene.Key "operator")
                    do! postgres.Kill()
                    for page in [ "/"; "/console/books"; "/docs" ] do
                        let! status, html, _ = browser.Get page
                        let expected = if page = "/docs" then 200 else 503
                        Expect.equal status expected page
                        if page <> "/docs" then
                            Expect.stringContains html "The database does not answer" "and nothing is lost"
                }
        }
        play "takes no write-off without a reason that can be read" [] (fun scene ->
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
                let! transfers = scene.Transfers order
                let page = $"""/console/transfers/{text "id" transfers[0]}"""
                let version = "version", string (number "version" transfers[0])
                use browser = new Browser(scene.Address)
                let! _ = browser.SignIn(scene.Key "operator")
                for note in
                    [
                        []
                        [ "note", "" ]
                        [ "note", "  " ]
                        [ "note", "a\u0001b" ]
                        [ "note", String('x', 1001) ]
                    ] do
                    let! status, _, location =
                        browser.Submit(page, page + "/write-off", version :: note, true)
                    Expect.equal (status, location) (302, page) $"{note}"
                    let! _, told, _ = browser.Get page
                    Expect.stringContains told "Nothing was done: say why" $"{note}"
                let! status, told, _ =
                    browser.Submit(page, page + "/write-off", [ version; "note", "a\u0000b" ], true)
                Expect.equal status 400 "no text holds it"
                Expect.stringContains told "Nothing was done" "and no error of ours"
                let! status, _, _ =
                    browser.Submit(page, page + "/write-off", [ version; "note", "ticket 4711" ], true)
                Expect.equal status 302 ""
                let! after = scene.Get $"""/api/v1/transfers/{text "id" transfers[0]}"""
                Expect.equal (after.Text "status") "written_off" ""
            })
        play
            "redirects what has not left to the seller's present account, in the operator's name"
            []
            (fun scene ->
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
                    let id = text "id" transfers.Head
                    let page = $"/console/transfers/{id}"
                    use browser = new Browser(scene.Address)
                    let! _ = browser.SignIn(scene.Key "operator")
                    let! _, shown, _ = browser.Get page
                    Expect.isFalse (shown.Contains "/redirect") "it is his account"
                    scene.World.Stripe.Open "acct_adanew"
                    do! scene.Execute "update sellers set stripe_account_id = 'acct_adanew' where id = 'ada'"
                    let! _, shown, _ = browser.Get page
                    Expect.stringContains shown $"{page}/redirect" "now there is another"
                    Expect.stringContains shown "acct_adanew" "and it is said which"
                    let version = "version", string (number "version" transfers.Head)
                    let redirect fields = browser.Submit(page, page + "/redirect", fields, true)
                    let! _ = redirect [ version; "note", " " ]
                    let! _, told, _ = browser.Get page
                    Expect.stringContains told "Nothing was done: say why" ""
                    let! _ = redirect [ "version", "0"; "note", "ticket 4712" ]
                    let! _, told, _ = browser.Get page
                    Expect.stringContains told "Nothing was done: it has changed" ""
                    let! status, _, location = redirect [ version; "note", "ticket 4712" ]
                    Expect.equal (status, location) (302, page) ""
                    let! _, told, _ = browser.Get page
                    Expect.stringContains told "You have redirected it" ""
                    Expect.isFalse (told.Contains "/redirect") "there is no other any more"
                    let! after = scene.Get $"/api/v1/transfers/{id}"
                    let step =
                        items "history" after.Body
                        |> List.find (fun step -> text "signal" step = "redirect_requested")
                    Expect.equal
                        (text "detail" step, text "actor" step)
                        ("acct_ada to acct_adanew: ticket 4712", "key:Operator")
                        "both accounts, why, and who did it"
                    let! nowhere, _, _ =
                        browser.Submit(
                            page,
                            $"/console/transfers/{Guid.Empty}/redirect",
                            [ version; "note", "n" ],
                            true
                        )
                    Expect.equal nowhere 404 ""
                })
        play
            "forgives a debt while a reversal waits for the seller's funds, with a note"
            [ "FUNDS_RETRY_INTERVAL", "1h" ]
            (fun scene ->
                task {
                    let! order = scene.SettledOrder()
                    let! transfers = scene.Transfers order
                    let id = text "id" transfers.Head
                    let page = $"/console/transfers/{id}"
                    use browser = new Browser(scene.Address)
                    let! _ = browser.SignIn(scene.Key "operator")
                    let! _, shown, _ = browser.Get page
                    Expect.isFalse (shown.Contains "/write-off") "nothing to forgive"
                    for account in [ "acct_ada"; "acct_bob" ] do
                        scene.World.Stripe.PayOut(account, "eur") |> ignore
                    let! _ = scene.Refund(order, "")
                    do!
                        scene.Until(
                            "the reversal to wait for the seller's funds",
                            fun () ->
                                task {
                                    let! transfer = scene.Get $"/api/v1/transfers/{id}"
                                    return transfer.Text "waiting_for" = "seller_funds"
                                }
                        )
                    let! _, shown, _ = browser.Get page
                    Expect.stringContains shown $"{page}/write-off" ""
                    let! waiting = scene.Get $"/api/v1/transfers/{id}"
                    let version = "version", string (number "version" waiting.Body)
                    let! status, _, _ =
                        browser.Submit(
                            page,
                            page + "/write-off",
                            [ version; "note", "she is bankrupt" ],
                            true
                        )
                    Expect.equal status 302 ""
                    let! after = scene.Get $"/api/v1/transfers/{id}"
                    Expect.equal (after.Text "status") "written_off" ""
                    let step =
                        items "history" after.Body
                        |> List.find (fun step -> text "signal" step = "write_off_requested")
                    Expect.equal
                        (text "detail" step, text "actor" step)
                        ("she is bankrupt", "key:Operator")
                        "why, and who did it"
                })
        play "lists buyers' disputes by status, in major units, and leads to their transfers" [] (fun scene ->
            task {
                let! order = scene.SettledOrder()
                let! shown = scene.Get $"/api/v1/orders/{order}"
                let payment = text "payment_id" (shown.Body.GetProperty "payment")
                let raised =
                    scene.World.Hyperswitch.Dispute(
                        payment,
                        Nullable(),
                        DisputeStage.Dispute,
                        DisputeWebhooks.Both,
                        "product_not_received",
                        Nullable(DateTimeOffset(2031, 2, 3, 4, 5, 6, TimeSpan.Zero))
                    )
                Expect.isNotNull raised ""
                use browser = new Browser(scene.Address)
                let! _ = browser.SignIn(scene.Key "operator")
                do!
                    scene.Until(
                        "the dispute to be listed",
                        fun () ->
                            task {
                                let! _, page, _ = browser.Get "/console/disputes?status=open"
                                return page.Contains "100.00 EUR" && page.Contains order
                            }
                    )
                let! _, page, _ = browser.Get "/console/disputes"
                Expect.stringContains page "product not received" "why, for whoever answers the bank"
                Expect.stringContains page "3 Feb 2031, 04:05:06 UTC" "and until when"
                let! _, won, _ = browser.Get "/console/disputes?status=won"
                Expect.stringContains won "No dispute matches" ""
                let! _, transfers, _ = browser.Get $"/?order_id={order}"
                Expect.stringContains transfers "54.00 EUR" "ada's"
                let! _, other, _ = browser.Get $"/?order_id={Guid.Empty}"
                Expect.stringContains other "No transfer matches" ""
            })
    ]
