/// What happens in a run, in words: made from a seed, or told by hand.
module Veza.Simulation.Plans

open System
open Veza.Simulation.Truth
open Veza.Simulation.Weather

/// What a payment pays.
type Paid =
    | OfOrder of int
    /// The subscription's last payment.
    | OfSubscription of int

type Act =
    /// (seller, gross) for each line.
    | Buys of Order: int * Lines: (int * int64) list * Bps: int * Keeps: bool * Currency: string
    | Pays of Order: int * Succeeds: bool
    /// The buyer pays, and no webhook will ever tell of it.
    | PaysUnheard of Order: int
    /// What is paid afterwards belongs to nothing.
    | Cancels of Order: int
    | Refunds of Order: int * Ask
    /// The bank gives back the order's last refund that had succeeded.
    | BankReturns of Order: int
    /// The bank refuses the order's last refund that is still pending.
    | BankRefuses of Order: int
    /// An old failure of the order's last refund is delivered, though it has succeeded since.
    | OldFailureArrives of Order: int
    /// Somebody refunds in Hyperswitch's dashboard what is left of a payment.
    | RefundsByHand of Paid
    /// So many percent of what was captured.
    | DisputeOpens of Paid * Percent: int * IsInquiry: bool
    /// The dispute by its number among those of the payment.
    | DisputeGrows of Paid * Dispute: int * Percent: int
    | DisputeEscalates of Paid * Dispute: int
    | DisputeRuled of Paid * Dispute: int * Ruling: Ruling * Advances: bool
    | Subscribes of Subscription: int * Price: int64 * Currency: string
    | SubscriptionEnds of Subscription: int
    | PaysOut of Seller: int
    | PlatformRunsDry
    | PlatformFills
    /// So many of the next requests for money are refused with a 400 that has no code.
    | RefusesWithoutCode of Times: int
    /// Somebody reverses in Stripe's dashboard what Veza is about to take back.
    | ReversesByHand of Order: int
    /// Somebody reverses so much of whatever an order's sellers have, and no refund asks for it.
    | ReversesUnasked of Order: int * Percent: int
    | HostDies of Host: int
    | OperatorRetries
    /// An operator gives up what an order's sellers owe and cannot pay back.
    | WritesOff of Order: int

/// Minutes from the start.
type Plan = {
    Seed: int
    Weather: Weather
    Acts: (int * Act) list
    /// How long it plays before the world turns kind.
    Days: float
}

let private paid paid =
    match paid with
    | OfOrder order -> $"order {order}"
    | OfSubscription subscription -> $"subscription {subscription}"

let describe act =
    match act with
    | Buys(order, lines, bps, keeps, currency) ->
        let lines =
            lines |> List.map (fun (seller, gross) -> $"{gross} from seller {seller}") |> String.concat ", "
        let policy = if keeps then ", kept" else ""
        $"order {order}: {lines} ({currency}, fee {bps} bps{policy})"
    | Pays(order, true) -> $"the buyer pays order {order}"
    | Pays(order, false) -> $"the buyer's payment of order {order} fails"
    | Refunds(order, AskAmount amount) -> $"{amount} of order {order} is refunded"
    | Refunds(order, AskLine line) -> $"line {line} of order {order} is refunded"
    | Refunds(order, AskRest) -> $"all that is left of order {order} is refunded"
    | BankReturns order -> $"the bank returns a refund of order {order}"
    | PaysUnheard order -> $"the buyer pays order {order}, and no webhook tells of it"
    | Cancels order -> $"order {order} is cancelled"
    | BankRefuses order -> $"the bank refuses the pending refund of order {order}"
    | OldFailureArrives order -> $"an old failure of a refund of order {order} is delivered"
    | RefundsByHand of' -> $"somebody refunds what is left of {paid of'} in Hyperswitch's dashboard"
    | DisputeOpens(of', percent, isInquiry) ->
        let what = if isInquiry then "an inquiry" else "a dispute"
        $"{what} about {percent} %% of {paid of'} is opened"
    | DisputeGrows(of', number, percent) -> $"dispute {number} of {paid of'} grows to {percent} %%"
    | DisputeEscalates(of', number) -> $"dispute {number} of {paid of'} is taken to the next stage"
    | DisputeRuled(of', number, ruling, advances) ->
        let where = if advances then " at the next stage" else ""
        $"dispute {number} of {paid of'} is {(string ruling).ToLowerInvariant()}{where}"
    | Subscribes(subscription, price, currency) ->
        $"subscription {subscription}: {price} {currency} a week, and the subscriber pays"
    | SubscriptionEnds subscription -> $"subscription {subscription} is cancelled"
    | RefusesWithoutCode times -> $"Stripe refuses the next {times} requests for money without a code"
    | WritesOff order -> $"an operator writes off what order {order}'s sellers owe"
    | PaysOut seller -> $"seller {seller} empties their Stripe balance"
    | PlatformRunsDry -> "the platform's Stripe balance runs dry"
    | PlatformFills -> "the platform's Stripe balance is filled"
    | ReversesByHand order -> $"somebody reverses a transfer of order {order} by hand"
    | ReversesUnasked(order, percent) ->
        $"somebody reverses {percent} %% of order {order}'s transfers, unasked"
    | HostDies host -> $"host {host} is killed and comes back"
    | OperatorRetries -> "an operator retries what has failed"

/// What a bank does to one payment from a minute on: a dispute or two, in whatever order.
let private disputes (random: Random) of' from = [
    for number in 1 .. 1 + random.Next 4 / 3 do
        let opened = from + random.Next(1, (if random.Next 2 = 0 then 60 else 2000))
        let percent = [| 100; 100; 40; 1 + random.Next 100 |][random.Next 4]
        opened, DisputeOpens(of', percent, random.Next 4 = 0)
        let rec goesOn time words = [
            if words > 0 then
                let time = time + random.Next(1, (if random.Next 2 = 0 then 30 else 1500))
                let word =
                    match random.Next 8 with
                    | 0 -> DisputeGrows(of', number, 1 + random.Next 100)
                    | 1
                    | 2 -> DisputeEscalates(of', number)
                    | 3 -> DisputeRuled(of', number, Ruling.Challenged, false)
                    | 4
                    | 5 -> DisputeRuled(of', number, Ruling.Won, random.Next 3 = 0)
                    | _ -> DisputeRuled(of', number, Ruling.Lost, random.Next 3 = 0)
                time, word
                yield! goesOn time (words - 1)
        ]
        yield! goesOn opened (random.Next(0, 6))
]

/// A month in the life of a small marketplace, in foul weather.
let ofSeed seed =
    let random = Random(seed * 7919 + 17)
    let orders = random.Next(1, 4)
    let minute () = random.Next(0, 60 * 36)

    let acts = [
        for order in 1..orders do
            let bought = random.Next(0, 600)
            let lines = [
                for _ in 1 .. random.Next(1, 4) ->
                    random.Next(1, 4),
                    int64 (
                        if random.Next 3 = 0 then
                            random.Next(1, 12)
                        else
                            random.Next(100, 100_000)
                    )
            ]
            let bps = [| 0; 250; 1000; 3333; 9999 |][random.Next 5]
            let currency = [| "EUR"; "JPY"; "KWD" |][random.Next 3]
            bought, Buys(order, lines, bps, random.Next 4 = 0, currency)
            if random.Next 5 = 0 then
                bought + random.Next(1, 60), Pays(order, false)
            let paid = bought + random.Next(1, 120)
            paid,
            (if random.Next 8 = 0 then
                 PaysUnheard order
             else
                 Pays(order, true))
            if random.Next 6 = 0 then
                let cancelled = paid - random.Next(0, 60)
                cancelled - 5, Pays(order, false)
                cancelled, Cancels order
                if random.Next 3 = 0 then
                    paid + random.Next(10, 600), RefundsByHand(OfOrder order)
            if random.Next 3 = 0 then
                yield! disputes random (OfOrder order) paid
            let total = lines |> List.sumBy snd
            for _ in 1 .. random.Next(0, 5) do
                let ask =
                    match random.Next 5 with
                    | 0 -> AskRest
                    | 1 -> AskLine(random.Next lines.Length)
                    | 2 -> AskAmount(1L + random.NextInt64 total)
                    | _ -> AskAmount(1L + random.NextInt64(1L + total / 3L))
                // Some while the transfer is on its way, some long after.
                let refunded = bought + random.Next(1, (if random.Next 2 = 0 then 150 else 2000))
                refunded, Refunds(order, ask)
                if random.Next 3 = 0 then
                    refunded + random.Next(0, (if random.Next 2 = 0 then 10 else 1000)), BankReturns order
                if random.Next 8 = 0 then
                    refunded + random.Next(0, 600), BankRefuses order
                if random.Next 10 = 0 then
                    refunded + random.Next(0, 1000), OldFailureArrives order
                if random.Next 6 = 0 then
                    refunded + random.Next(0, 60), ReversesByHand order
                if random.Next 12 = 0 then
                    refunded + random.Next(10, 2000), WritesOff order
            if random.Next 5 = 0 then
                bought + random.Next(5, 2000), ReversesUnasked(order, [| 1; 33; 50; 100 |][random.Next 4])
        for _ in 1 .. random.Next(0, 3) do
            minute (), PaysOut(random.Next(1, 4))
        if random.Next 4 = 0 then
            let dry = minute ()
            dry, PlatformRunsDry
            dry + random.Next(10, 600), PlatformFills
        if random.Next 4 = 0 then
            minute (), RefusesWithoutCode(random.Next(1, 3))
        if random.Next 4 = 0 then
            let begun = random.Next(0, 600)
            begun, Subscribes(1, 1L + random.NextInt64 10_000L, "EUR")
            if random.Next 3 = 0 then
                yield! disputes random (OfSubscription 1) begun
            if random.Next 4 = 0 then
                minute (), RefundsByHand(OfSubscription 1)
            if random.Next 3 = 0 then
                minute (), SubscriptionEnds 1
        for _ in 1 .. random.Next(0, 4) do
            minute (), HostDies(random.Next(1, 3))
        if random.Next 2 = 0 then
            minute (), OperatorRetries
    ]

    {
        Seed = seed
        Weather = (if random.Next 4 = 0 then fair else foul)
        Acts = List.sortBy fst acts
        Days = 5.
    }
