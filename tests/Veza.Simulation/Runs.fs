/// One run: a plan played to its end, healed, and audited; and what to do with one that fails.
module Veza.Simulation.Runs

open System
open System.Collections.Generic
open System.Text.RegularExpressions
open System.Threading.Tasks
open Veza.Adapters.Postgres.Repositories
open Veza.Domain
open Veza.Domain.Orders
open Veza.Domain.Subscriptions
open Veza.Domain.Transfers
open Veza.Simulation.BankModel
open Veza.Simulation.Courier
open Veza.Simulation.Hosts
open Veza.Simulation.HyperswitchModel
open Veza.Simulation.MemoryTables
open Veza.Simulation.Plans
open Veza.Simulation.Scheduler
open Veza.Simulation.StripeModel
open Veza.Simulation.Truth

type Result = { Violations: string list; Steps: int; Story: string list; Moves: int }

let private certain result =
    match result with
    | Ok value -> value
    | Error why -> failwith $"%A{why}"

/// Everything of one run.
type private Stage(plan: Plan) =
    let scheduler = Scheduler plan.Seed
    let books = emptyBooks ()
    let tables = Tables()
    let asked = { Purchases = Dictionary(); Refunds = Dictionary(); Subscriptions = Dictionary() }
    let mutable weather = plan.Weather
    let hosts = List<Host>()
    let mutable world = Unchecked.defaultof<World>
    let mutable hostCount = 0
    let mutable refundCount = 0

    let alive () = hosts |> Seq.filter (fun host -> not (scheduler.IsDead host.Id)) |> List.ofSeq

    /// Asks one host after another until one has done it: a client repeats what got no answer, under the same id.
    let rec insist (what: Host -> Task<bool>) =
        match alive () with
        | [] -> scheduler.After(TimeSpan.FromMinutes 1., (fun () -> insist what))
        | alive ->
            let host = alive[scheduler.Random.Next alive.Length]
            let task = what host
            let rec check () =
                if task.IsCompletedSuccessfully && task.Result then
                    ()
                elif task.IsCompleted || scheduler.IsDead host.Id then
                    insist what
                else
                    scheduler.After(TimeSpan.FromMinutes 2., check)
            scheduler.After(TimeSpan.FromMinutes 2., check)

    let deliver event = insist (fun host -> host.Receive event)

    let startHost () =
        hostCount <- hostCount + 1
        let host = Host(hostCount, world)
        hosts.Add host
        host.Start()

    let kill number =
        for host in hosts do
            if host.Id = number then
                scheduler.Kill number
                host.DropConnections()
                scheduler.After(TimeSpan.FromSeconds 30., startHost)

    let courier = Courier(scheduler, (fun () -> weather), deliver)
    let stripe = StripeModel(scheduler, books, (fun () -> weather), courier)
    let hyperswitch = HyperswitchModel(scheduler, books, (fun () -> weather), courier, stripe)
    let bank = BankModel(scheduler, books, hyperswitch, stripe)

    do
        world <- {
            Scheduler = scheduler
            Tables = tables
            Stripe = stripe
            Hyperswitch = hyperswitch
            Hosts = hosts
            LostCommits = fun () -> weather.LostCommit
        }

    let seller number = certain (SellerId.Parse $"seller{number}")

    let buy number lines bps keeps code =
        let order = Names.id "order" number
        let currency = certain (Currency.parse code)
        let policy = if keeps then Keep else Proportional
        let rows = [
            for place, (from, gross) in List.indexed lines ->
                {
                    Id = LineId(Names.id "line" (number * 100 + place))
                    License = LicenseId(Names.id "license" (number * 100 + place))
                    Product = $"product {place}"
                    Seller = seller from
                    Quantity = 1
                    UnitAmount = gross
                    LicenseKind = "standard"
                    LicenseExpiresAt = None
                    RefundedBy = None
                }
        ]
        let terms = [
            for from in List.distinct (List.map fst lines) ->
                {
                    Seller = seller from
                    Account = certain (StripeAccountId.Parse(account from))
                    FeeBps = bps
                    Transfer = TransferId(Names.id "transfer" (number * 100 + from))
                }
        ]
        let made = certain (Order.create (OrderId order) "buyer" currency policy rows terms)
        let purchase = { Order = order; Currency = code; Bps = bps; Keeps = keeps; Lines = lines }
        asked.Purchases.Add(number, purchase)
        insist (fun host -> host.Create made)

    let payment number =
        let name = (PaymentId.For(OrderId asked.Purchases[number].Order)).Value
        match books.Payments.TryGetValue name with
        | true, payment -> Some payment
        | false, _ -> None

    let paymentsOf number =
        match asked.Subscriptions.TryGetValue number with
        | true, (id, _, _) -> [
            for payment in books.Payments.Values do
                if payment.Subscription = id.ToString "D" then
                    payment
          ]
        | false, _ -> []

    let paid of' =
        match of' with
        | OfOrder number when asked.Purchases.ContainsKey number -> payment number
        | OfOrder _ -> None
        | OfSubscription number -> paymentsOf number |> List.filter _.IsCaptured |> List.tryLast

    let dispute of' number =
        paid of' |> Option.bind (fun payment -> disputesOf books payment |> List.tryItem (number - 1))

    /// The buyer can pay once the shop has the payment.
    let rec pays find succeeds isHeard tries =
        match find () with
        | Some payment -> hyperswitch.Pay(payment, succeeds, isHeard)
        | None when tries > 0 ->
            scheduler.After(TimeSpan.FromMinutes 10., (fun () -> pays find succeeds isHeard (tries - 1)))
        | None -> ()

    let buyerPays number succeeds isHeard =
        insist (fun host -> host.Pay asked.Purchases[number].Order)
        let find () = payment number
        scheduler.After(TimeSpan.FromMinutes 3., (fun () -> pays find succeeds isHeard 20))

    let subscribe number price code =
        let id = Names.id "subscription" number
        let price' = { Minor = price; Currency = certain (Currency.parse code) }
        asked.Subscriptions.Add(number, (id, price, code))
        insist (fun host -> host.Subscribe(id, { Code = "plan"; Price = price'; Interval = Week }))
        let find () = List.tryHead (paymentsOf number)
        scheduler.After(TimeSpan.FromMinutes 3., (fun () -> pays find true true 20))

    let isCancelled number =
        match asked.Purchases.TryGetValue number with
        | true, purchase when tables.Orders.ContainsKey purchase.Order ->
            let struct (row, _, _, _) = tables.Orders[purchase.Order]
            row.Status = "cancelled"
        | _ -> false

    let lastRefund number status =
        let id = asked.Purchases[number].Order.ToString "D"
        books.Refunds.Values
        |> Seq.filter (fun refund -> refund.Payment.Order = id && refund.Status = status)
        |> Seq.tryLast

    let refund number what =
        refundCount <- refundCount + 1
        let id = Names.id "refund" refundCount
        asked.Refunds.Add(id, (number, what))
        let request =
            match what with
            | AskAmount amount -> RefundRequest.Amount amount
            | AskLine line -> RefundRequest.Lines [ LineId(Names.id "line" (number * 100 + line)) ]
            | AskRest -> RefundRequest.AllThatIsLeft
        let order = asked.Purchases[number].Order
        let stand () =
            let struct (row, _, _, version) = tables.Orders[order]
            version, row.Status, Auditor.refundable tables order
        let ask (host: Host) =
            let before = stand ()
            let refused () =
                let _, status, left = before
                let isPaid = status = "completed" || status = "partially_refunded"
                let isThere =
                    match what with
                    | AskAmount amount -> amount <= left
                    | AskRest -> left > 0L
                    | AskLine _ -> false
                if isPaid && isThere && stand () = before then
                    books.Complaints.Add $"A refund was refused although {left} is left."
            host.Refund(id, order, request, refused)
        insist ask

    let failed () = [
        for KeyValue(id, struct (row, _, _)) in tables.Transfers do
            if row.Status = "permanently_failed" || row.Status = "failed" then
                id
    ]

    let retryAll () =
        for id in failed () do
            insist (fun host -> host.Tell(id, TransferSignal.RetryRequested))

    let writeOff number =
        for KeyValue(id, struct (row, _, _)) in tables.Transfers do
            let isGivenUp = row.Status = "permanently_failed" && not (isNull row.StripeTransferId)
            if
                row.OrderId = asked.Purchases[number].Order && (isGivenUp || row.WaitingFor = "seller_funds")
            then
                insist (fun host -> host.Tell(id, TransferSignal.WriteOffRequested))

    let reverseByHand number =
        let order = asked.Purchases[number].Order
        for KeyValue(_, struct (row, claims, _)) in tables.Transfers do
            if row.OrderId = order && row.Status = "reversal_pending" then
                let claim = claims |> List.find (fun claim -> claim.RefundId = row.Taking.Value)
                for transfer in books.Transfers do
                    if
                        Some transfer.Id = Option.ofObj row.StripeTransferId
                        && transfer.Amount - transfer.Reversed >= claim.Amount
                    then
                        stripe.ReverseByHand(transfer, claim.Amount)

    let reverseUnasked number percent =
        let order = asked.Purchases[number].Order.ToString "D"
        let transfers =
            books.Transfers |> Seq.filter (fun transfer -> transfer.Meta "order_id" = order) |> List.ofSeq
        for transfer in transfers do
            let left = min (transfer.Amount - transfer.Reversed) (balance books transfer.Destination)
            let amount = left * int64 percent / 100L
            if amount > 0L then
                stripe.ReverseByHand(transfer, amount)

    let perform act =
        scheduler.Say("—", describe act)
        match act with
        | Buys(order, lines, bps, keeps, currency) -> buy order lines bps keeps currency
        | Pays(order, succeeds) when asked.Purchases.ContainsKey order -> buyerPays order succeeds true
        | PaysUnheard order when asked.Purchases.ContainsKey order -> buyerPays order true false
        | Cancels order when asked.Purchases.ContainsKey order ->
            insist (fun host -> host.Cancel asked.Purchases[order].Order)
        | Refunds(order, ask) when asked.Purchases.ContainsKey order -> refund order ask
        | BankReturns order when asked.Purchases.ContainsKey order ->
            lastRefund order "succeeded" |> Option.iter hyperswitch.Undo
        | BankRefuses order when asked.Purchases.ContainsKey order ->
            lastRefund order "pending" |> Option.iter hyperswitch.Refuse
        | OldFailureArrives order when asked.Purchases.ContainsKey order ->
            lastRefund order "succeeded" |> Option.iter hyperswitch.TellOldFailure
        | WritesOff order when asked.Purchases.ContainsKey order -> writeOff order
        | ReversesByHand order when asked.Purchases.ContainsKey order -> reverseByHand order
        | ReversesUnasked(order, percent) when asked.Purchases.ContainsKey order ->
            reverseUnasked order percent
        | Pays _
        | PaysUnheard _
        | Cancels _
        | Refunds _
        | BankReturns _
        | BankRefuses _
        | OldFailureArrives _
        | WritesOff _
        | ReversesByHand _
        | ReversesUnasked _ -> ()
        | RefundsByHand(OfOrder number as of') when isCancelled number ->
            paid of' |> Option.iter hyperswitch.RefundByHand
        | RefundsByHand(OfSubscription _ as of') -> paid of' |> Option.iter hyperswitch.RefundByHand
        | RefundsByHand(OfOrder _) -> ()
        | DisputeOpens(of', percent, isInquiry) ->
            paid of' |> Option.iter (fun payment -> bank.Open(payment, percent, isInquiry))
        | DisputeGrows(of', number, percent) ->
            dispute of' number |> Option.iter (fun dispute -> bank.Grow(dispute, percent))
        | DisputeEscalates(of', number) -> dispute of' number |> Option.iter bank.Escalate
        | DisputeRuled(of', number, ruling, advances) ->
            dispute of' number |> Option.iter (fun dispute -> bank.Rule(dispute, ruling, advances))
        | Subscribes(number, price, currency) -> subscribe number price currency
        | SubscriptionEnds number when asked.Subscriptions.ContainsKey number ->
            let id, _, _ = asked.Subscriptions[number]
            insist (fun host -> host.EndSubscription id)
        | SubscriptionEnds _ -> ()
        | RefusesWithoutCode times -> books.CodelessRefusals <- books.CodelessRefusals + times
        | PaysOut number ->
            let acct = account number
            books.PaidOut[acct] <- books.PaidOut.GetValueOrDefault(acct, 0L) + balance books acct
        | PlatformRunsDry -> books.PlatformDrained <- true
        | PlatformFills -> books.PlatformDrained <- false
        | HostDies number ->
            let alive = alive ()
            if not alive.IsEmpty then
                kill alive[number % alive.Length].Id
        | OperatorRetries -> retryAll ()

    /// Refunds that Veza has decided to make.
    let promised = HashSet<Guid>()

    let moves () =
        books.Transfers.Count
        + books.Refunds.Count
        + books.Disputes.Count
        + Seq.sumBy (fun (transfer: StripeTransfer) -> transfer.Reversals.Count) books.Transfers

    /// Plays until nothing is left to do before the horizon. The auditor looks whenever something has moved.
    let play (days: float) =
        let horizon = scheduler.Now.AddDays days
        let mutable faults = []
        let mutable seen = -1
        let mutable goes = true
        while goes && faults.IsEmpty do
            goes <- scheduler.Step horizon
            let now = moves ()
            if now <> seen then
                seen <- now
                faults <- Auditor.watch asked books
            if tables.Refunds.Count <> promised.Count then
                for KeyValue(id, struct (row, _)) in tables.Refunds do
                    if promised.Add id then
                        faults <- faults @ Auditor.overdrawn tables row
            if scheduler.Steps > 30_000 then
                faults <- [ "It never comes to rest." ]
        faults

    /// The world turns kind: balances are filled, nothing is lost any more, operators look after what has failed.
    let rec heal rounds =
        weather <- Weather.fair
        books.PlatformDrained <- false
        books.CodelessRefusals <- 0
        books.PaidOut.Clear()
        retryAll ()
        match play 10. with
        | [] when rounds > 0 && not (failed ()).IsEmpty -> heal (rounds - 1)
        | faults -> faults

    member _.Scheduler = scheduler
    member _.Kill = kill

    member _.Play() =
        startHost ()
        startHost ()
        for minutes, act in plan.Acts do
            scheduler.After(TimeSpan.FromMinutes(float minutes), (fun () -> perform act))
        let faults =
            match play plan.Days with
            | [] ->
                match heal 4 with
                | [] -> Auditor.watch asked books @ Auditor.settle asked books tables
                | faults -> faults
            | faults -> faults
        { Violations = faults; Steps = scheduler.Steps; Story = List.ofSeq scheduler.Log; Moves = moves () }

let play plan = Stage(plan).Play()

/// The same plan, with a host killed at one step: before or after whatever happens there.
let playCrashingAt step plan =
    let stage = Stage plan
    stage.Scheduler.CrashAt(step, stage.Kill)
    stage.Play()

/// Names and amounts apart, two violations of one kind read the same.
let kind (violation: string) =
    Regex.Replace(violation, @"[0-9a-f]{8}-[0-9a-f-]{27}|\b(acct|dp|tr|re|ref|pay|evt)_\w+|-?\b\d+\b", "#")

/// Leaves out whatever is not needed for a failure of this kind.
let shrink kindOfFailure plan =
    let stillFails plan =
        (play plan).Violations |> List.exists (fun violation -> kind violation = kindOfFailure)
    let calmer = { plan with Weather = Weather.fair }
    let plan = if stillFails calmer then calmer else plan
    let rec without place plan =
        if place >= plan.Acts.Length then
            plan
        else
            let shorter = { plan with Acts = List.removeAt place plan.Acts }
            if stillFails shorter then
                without place shorter
            else
                without (place + 1) plan
    without 0 plan

/// A failing seed as a short story.
let tell plan (result: Result) =
    let lines = [
        $"Seed {plan.Seed} fails:"
        for violation in List.truncate 5 result.Violations do
            $"  ✗ {violation}"
        "Shrunk to:"
        for minutes, act in plan.Acts do
            $"  {minutes, 5} min  {describe act}"
        "The end of it:"
        for line in List.skip (max 0 (result.Story.Length - 60)) result.Story do
            "  " + line
    ]
    String.concat "\n" lines
