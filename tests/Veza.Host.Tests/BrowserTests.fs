/// The console in a real browser: readable to everybody, on every screen, and current without getting in the way.
module Veza.Host.Tests.BrowserTests

open System
open Deque.AxeCore.Commons
open Expecto
open Veza.Host.Tests.Chromium
open Veza.Host.Tests.Scene
open Veza.Sandbox
open Veza.Sandbox.Control
open Veza.Sandbox.Hyperswitch

let private signIn (tab: Tab) (address: string) key =
    task {
        do! tab.Go(address + "/console/sign-in")
        let! _ = tab.Eval "document.querySelector('input[name=key]').focus()"
        do! tab.Type key
        let! _ = tab.Eval "document.querySelector('main form button').click()"
        do! tab.Until("the overview", "location.pathname === '/' && document.readyState === 'complete'")
    }

let private axe = lazy (BundledAxeScriptProvider().GetScript())

/// What is wrong with the page at this size and in this light.
let private faults (tab: Tab) page width scheme =
    task {
        do! tab.Look(width, 900, scheme)
        let! found =
            tab.Eval
                """
                axe.run().then(run => [
                    ...run.violations.map(rule => rule.id + ': ' + rule.nodes.map(node => node.target).join(', ')),
                    ...(document.documentElement.scrollWidth > innerWidth
                        ? ['is ' + document.documentElement.scrollWidth + ' wide'] : []),
                ])
                """
        match Environment.GetEnvironmentVariable "VEZA_TEST_PICTURES" with
        | NonNull folder when folder <> "" ->
            do! tab.Picture(IO.Path.Combine(folder, $"{page}-{width}-{scheme}.png"))
        | _ -> ()
        return [ for fault in found.EnumerateArray() -> $"{page} at {width}, {scheme}: {fault}" ]
    }

/// Something of everything that the pages can show: a dispute, a transfer that may be redirected or written off, a debt,
/// a webhook without effect, books that disagree.
let private everything (scene: Scene) =
    task {
        let! settled = scene.SettledOrder()
        let! shown = scene.Get $"/api/v1/orders/{settled}"
        let payment = text "payment_id" (shown.Body.GetProperty "payment")
        scene.World.Hyperswitch.Dispute(payment, Nullable 10_00L, DisputeStage.Dispute, DisputeWebhooks.Both)
        |> ignore
        scene.World.Stripe.PayOut("acct_ada", "eur") |> ignore
        let! _ = scene.Refund(settled, ",\"amount\":4000")
        scene.World.Hyperswitch.RefundByHand(payment, 500L) |> ignore
        let! _ =
            scene.Webhook
                """{"event_id":"evt_lost","event_type":"payment_succeeded","content":{"type":"payment_details","object":{"payment_id":"pay_elsewhere","status":"succeeded","amount":1,"currency":"EUR"}}}"""
        let refused =
            Fault("stripe.transfers.create", FaultMode.ErrorBefore, Status = 400, Code = "account_invalid")
        scene.World.Faults.Add refused
        let! unsent = scene.PaidOrder()
        do! scene.TransfersAre(unsent, "permanently_failed")
        scene.World.Stripe.Open "acct_adanew"
        do! scene.Execute "update sellers set stripe_account_id = 'acct_adanew' where id = 'ada'"
        let! run = scene.As("operator", "POST", "/api/v1/reconciliation/runs", "{}")
        Expect.isLessThan run.Status 300 "the books are compared"
        do!
            scene.Until(
                "the dispute to be known",
                fun () ->
                    task {
                        let! found = scene.Get $"/api/v1/disputes?order_id={settled}"
                        return not (items "data" found.Body).IsEmpty
                    }
            )
        let! owed = scene.Transfers settled
        let! redirectable = scene.Transfers unsent
        return text "id" owed.Head, text "id" redirectable.Head
    }

[<Tests>]
let tests =
    testList "console in a browser" [
        play
            "no page has an accessibility fault or is wider than its window, wide and narrow, light and dark"
            [
                "RECONCILE_INTERVAL", "1h"
                "RECONCILE_GRACE", "1ms"
                "EVENT_WALK_INTERVAL", "1h"
                "FUNDS_RETRY_INTERVAL", "1h"
            ]
            (fun scene ->
                task {
                    let! tab = Tab.Open()
                    let! debt, redirectable = everything scene
                    let check page path =
                        task {
                            do! tab.Go(scene.Address + path)
                            // Forms are met unfolded; the API's description has too many folds for that.
                            if path <> "/docs" then
                                let! _ =
                                    tab.Eval
                                        "document.querySelectorAll('details').forEach(fold => fold.open = true)"
                                ()
                            let! _ = tab.Eval axe.Value
                            let found = ResizeArray()
                            for width in [ 1280; 390 ] do
                                for scheme in [ "light"; "dark" ] do
                                    let! faults = faults tab page width scheme
                                    found.AddRange faults
                            return List.ofSeq found
                        }
                    let! signedOut = check "sign-in" "/console/sign-in?ReturnUrl=%2Fconsole%2Fbooks"
                    do! signIn tab scene.Address (scene.Key "operator")
                    let all = ResizeArray signedOut
                    for page, path in
                        [
                            "overview", "/"
                            "debt", $"/console/transfers/{debt}"
                            "redirectable", $"/console/transfers/{redirectable}"
                            "disputes", "/console/disputes"
                            "books", "/console/books"
                            "webhooks", "/console/webhooks"
                            "runbook", "/console/runbooks/dispute_undecided"
                            "missing", "/console/nothing"
                            "docs", "/docs"
                        ] do
                        let! faults = check page path
                        all.AddRange faults
                    Expect.isEmpty all (String.Join("\n", all))
                    let! _ =
                        tab.Eval
                            "document.body.innerHTML = '<img src=x><p>wide</p>'; document.querySelector('p').style.width = '3000px'"
                    let! planted = faults tab "planted" 390 "light"
                    for fault in [ "image-alt"; "is 30" ] do
                        Expect.exists planted _.Contains(fault) "what is there is seen"
                })
        play
            "an open page follows what happens, and keeps focus, selection, scroll and typed text"
            []
            (fun scene ->
                task {
                    let! tab = Tab.Open()
                    for _ in 1..3 do
                        let! _ = scene.SettledOrder()
                        ()
                    do! signIn tab scene.Address (scene.Key "operator")
                    // The newest rows come above what is in view.
                    do! tab.Look(390, 200, "light")
                    let! _ =
                        tab.Eval
                            """
                            window.row = [...document.querySelectorAll('table.list tbody tr')].at(-1);
                            row.scrollIntoView({ block: 'center' });
                            document.querySelector('.scroll').scrollLeft = 40;
                            row.querySelector('a.row').focus({ preventScroll: true });
                            getSelection().selectAllChildren(row.cells[1]);
                            window.before = () => [
                                document.querySelector('.scroll').scrollLeft,
                                row.getBoundingClientRect().top,
                                getSelection().toString(),
                            ];
                            window.was = before();
                        """
                    let! _ = scene.SettledOrder()
                    do!
                        tab.Until(
                            "the new transfers",
                            "document.querySelectorAll('table.list tbody tr').length === 8"
                        )
                    do!
                        tab.Until(
                            "their status",
                            "document.querySelectorAll('table.list .pill.good').length === 8"
                        )
                    let! stays =
                        tab.Is
                            "before()[0] === was[0] && Math.abs(before()[1] - was[1]) <= 2 && before()[2] === was[2]"
                    let! now = tab.Eval "JSON.stringify([was, before()])"
                    Expect.isTrue stays $"nothing has moved: {now}"
                    let! selected = tab.Eval "getSelection().toString()"
                    Expect.isNotEmpty (string selected) "and something was selected"
                    let! focused = tab.Is "document.activeElement === row.querySelector('a.row')"
                    Expect.isTrue focused "the focus stays"
                })
        play "a page does not change under the hands of whoever fills in a form" [] (fun scene ->
            task {
                let! tab = Tab.Open()
                scene.World.Faults.Add(
                    Fault(
                        "stripe.transfers.create",
                        FaultMode.ErrorBefore,
                        Status = 400,
                        Code = "account_invalid"
                    )
                )
                let! order = scene.PaidOrder()
                do! scene.TransfersAre(order, "permanently_failed")
                let! transfers = scene.Transfers order
                let id = text "id" transfers.Head
                do! signIn tab scene.Address (scene.Key "operator")
                do! tab.Go $"{scene.Address}/console/transfers/{id}"
                let! _ =
                    tab.Eval
                        "document.querySelector('details').open = true; document.getElementById('note-write-off').focus()"
                do! tab.Type "ticket 47"
                let! answer =
                    scene.As(
                        "operator",
                        "POST",
                        $"/api/v1/admin/transfers/{id}/write-off",
                        """{"note":"settled"}"""
                    )
                Expect.equal answer.Status 200 ""
                let said =
                    "document.getElementById('connection').textContent.includes('while you are in a form')"
                do! tab.Until("the page to say so", said)
                do! tab.Type "11"
                let! typed = tab.Eval "document.getElementById('note-write-off').value"
                Expect.equal (string typed) "ticket 4711" ""
                let! _ =
                    tab.Eval "document.activeElement.blur(); document.querySelector('details').open = false"
                do!
                    tab.Until(
                        "what has happened meanwhile",
                        "document.body.innerText.includes('written off')"
                    )
                do! tab.Until("the strip to go", "document.getElementById('connection').hidden")
            })
        play
            "a page says since when its host is gone, and takes it back when it is there again"
            []
            (fun scene ->
                task {
                    let! tab = Tab.Open()
                    let address = freeAddress ()
                    let! second = Second.With scene [ "VEZA_URLS", address ]
                    do! signIn tab address (scene.Key "operator")
                    do! second.DisposeAsync()
                    let said =
                        @"/^No connection since \d\d:\d\d UTC\. /.test(document.getElementById('connection').innerText)"
                    do! tab.Until("the page to say so", said)
                    let! again = Second.With scene [ "VEZA_URLS", address ]
                    do! tab.Until("the strip to go", "document.getElementById('connection').hidden")
                    do! again.DisposeAsync()
                })
    ]
