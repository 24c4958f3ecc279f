/// What happens in a run, in words: made from a seed, or told by hand.
module Veza.Simulation.Plans

open System
open Veza.Simulation.Truth
open Veza.Simulation.Weather

type Act =
    /// (seller, gross) for each line.
    | Buys of Order: int * Lines: (int * int64) list * Bps: int * Keeps: bool * Currency: string
    | Pays of Order: int * Succeeds: bool
    | Refunds of Order: int * Ask
    /// The bank gives back the order's last refund that had succeeded.
    | BankReturns of Order: int
    | PaysOut of Seller: int
    | PlatformRunsDry
    | PlatformFills
    /// Somebody reverses in Stripe's dashboard what Veza is about to take back.
    | ReversesByHand of Order: int
    /// Somebody reverses so much of whatever an order's sellers have, and no refund asks for it.
    | ReversesUnasked of Order: int * Percent: int
    | HostDies of Host: int
    | OperatorRetries

/// Minutes from the start.
type Plan = {
    Seed: int
    Weather: Weather
    Acts: (int * Act) list
    /// How long it plays before the world turns kind.
    Days: float
}

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
    | PaysOut seller -> $"seller {seller} empties their Stripe balance"
    | PlatformRunsDry -> "the platform's Stripe balance runs dry"
    | PlatformFills -> "the platform's Stripe balance is filled"
    | ReversesByHand order -> $"somebody reverses a transfer of order {order} by hand"
    | ReversesUnasked(order, percent) ->
        $"somebody reverses {percent} %% of order {order}'s transfers, unasked"
    | HostDies host -> $"host {host} is killed and comes back"
    | OperatorRetries -> "an operator retries what has failed"

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
            bought + random.Next(1, 120), Pays(order, true)
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
                if random.Next 6 = 0 then
                    refunded + random.Next(0, 60), ReversesByHand order
            if random.Next 5 = 0 then
                bought + random.Next(5, 2000), ReversesUnasked(order, [| 1; 33; 50; 100 |][random.Next 4])
        for _ in 1 .. random.Next(0, 3) do
            minute (), PaysOut(random.Next(1, 4))
        if random.Next 4 = 0 then
            let dry = minute ()
            dry, PlatformRunsDry
            dry + random.Next(10, 600), PlatformFills
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
