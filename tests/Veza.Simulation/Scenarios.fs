/// Stories worth crashing at every step: fair weather, one thing that matters each.
module Veza.Simulation.Scenarios

open Veza.Simulation.Plans
open Veza.Simulation.Truth
open Veza.Simulation.Weather

let private told name acts = name, { Seed = 11; Weather = fair; Acts = acts; Days = 0.3 }

let private two = [ 1, 60_00L; 2, 40_00L ]
let private buys lines = 0, Buys(1, lines, 1000, false, "EUR")
let private pays = 1, Pays(1, true)

let private one = OfOrder 1
let private ruled ruling = DisputeRuled(one, 1, ruling, false)
let private stuck = { fair with StuckRefund = 100 }
let private slow = { fair with LateRefund = 100 }
let private lossy = { fair with LostWebhook = 100 }
let private late = { fair with LostWebhook = 50; SlowWebhook = 50 }
let private deaf = { fair with LostRequest = 20; LostWebhook = 50 }
let private silent = { fair with LostAnswer = 35 }
let private broken = { fair with ServerError = 40 }
let private refusing = { fair with Refused = 50 }

let all = [
    told "an order is paid and its sellers are" [ buys two; pays ]
    told "a refund of everything" [ buys two; pays; 30, Refunds(1, AskRest) ]
    told "three partial refunds in a row" [
        buys two
        pays
        30, Refunds(1, AskAmount 33_33L)
        30, Refunds(1, AskAmount 33_33L)
        31, Refunds(1, AskAmount 33_34L)
    ]
    told "a refund while the transfer is on its way" [ buys two; pays; 4, Refunds(1, AskLine 0) ]
    told "a refund that fails after its reversal" [
        buys two
        pays
        30, Refunds(1, AskRest)
        60, BankReturns 1
    ]
    told "a refund that fails while its reversal is on its way" [
        buys two
        pays
        30, Refunds(1, AskRest)
        30, BankReturns 1
        45, Refunds(1, AskAmount 10_00L)
    ]
    told "a seller whose balance is empty" [ buys two; pays; 20, PaysOut 1; 30, Refunds(1, AskRest) ]
    told "a reversal somebody makes by hand" [
        buys two
        pays
        20, PaysOut 1
        30, Refunds(1, AskRest)
        40, ReversesByHand 1
    ]
    told "a reversal nobody asked for, and a refund after it" [
        buys two
        pays
        20, ReversesUnasked(1, 50)
        40, Refunds(1, AskRest)
    ]
    told "a reversal nobody asked for while ours is on its way" [
        buys two
        pays
        30, Refunds(1, AskAmount 40_00L)
        31, ReversesUnasked(1, 33)
    ]
    told "a platform that runs dry" [ buys two; 0, PlatformRunsDry; pays; 300, PlatformFills ]
    "every webhook is lost",
    { Seed = 12; Weather = lossy; Acts = [ buys two; pays; 30, Refunds(1, AskRest) ]; Days = 0.3 }
    "a third of all answers is lost",
    { Seed = 13; Weather = silent; Acts = [ buys two; pays; 30, Refunds(1, AskRest) ]; Days = 0.3 }
    "Stripe's errors are stored",
    {
        Seed = 14
        Weather = broken
        Acts = [ buys two; pays; 30, Refunds(1, AskRest); 300, OperatorRetries ]
        Days = 0.3
    }
    "Stripe refuses every other request",
    { Seed = 15; Weather = refusing; Acts = [ buys two; pays; 30, Refunds(1, AskRest) ]; Days = 0.3 }
    "the bank decides late",
    { Seed = 16; Weather = slow; Acts = [ buys two; pays; 30, Refunds(1, AskRest) ]; Days = 0.3 }
    "a dispute is lost, and won the next day",
    {
        Seed = 17
        Weather = fair
        Acts = [
            buys two
            pays
            40, DisputeOpens(one, 100, false)
            60, ruled Ruling.Lost
            60 + 1440, ruled Ruling.Won
        ]
        Days = 1.2
    }
    "a dispute opens while a refund is pending, which fails; then it is lost",
    {
        Seed = 18
        Weather = stuck
        Acts = [
            buys two
            pays
            30, Refunds(1, AskRest)
            45, DisputeOpens(one, 100, false)
            70, BankRefuses 1
            100, ruled Ruling.Lost
        ]
        Days = 0.3
    }
    told "a dispute is heard of before its payment" [
        buys two
        1, Pays(1, false)
        200, PaysUnheard 1
        205, DisputeOpens(one, 100, false)
        420, ruled Ruling.Lost
    ]
    told "a dispute grows, a refund comes back under it, and it is lost" [
        buys two
        pays
        30, Refunds(1, AskAmount 40_00L)
        60, DisputeOpens(one, 40, false)
        80, DisputeGrows(one, 1, 100)
        100, BankReturns 1
        110, Refunds(1, AskAmount 40_00L)
        130, ruled Ruling.Lost
    ]
    told "a refund is made while the bank only asks" [
        buys two
        pays
        30, DisputeOpens(one, 100, true)
        60, Refunds(1, AskRest)
        90, ruled Ruling.Won
    ]
    told "Stripe refuses the first try of a reversal without a code" [
        buys two
        pays
        29, RefusesWithoutCode 1
        30, Refunds(1, AskRest)
    ]
    told "an old failure of a refund is delivered after its success" [
        buys two
        pays
        30, Refunds(1, AskRest)
        60, OldFailureArrives 1
    ]
    told "an order that was cancelled is paid" [
        buys two
        1, Pays(1, false)
        30, Cancels 1
        60, Pays(1, true)
    ]
    told "an order that was cancelled is paid, and disputed" [
        buys two
        1, Pays(1, false)
        30, Cancels 1
        60, Pays(1, true)
        65, DisputeOpens(one, 100, false)
        90, ruled Ruling.Lost
    ]
    told "a subscription's payment is disputed, and the dispute lost" [
        0, Subscribes(1, 10_00L, "EUR")
        40, DisputeOpens(OfSubscription 1, 100, false)
        60, DisputeRuled(OfSubscription 1, 1, Ruling.Lost, false)
    ]
    told "an order that was cancelled is paid, and refunded in the dashboard before anybody has heard of it" [
        buys two
        1, Pays(1, false)
        30, Cancels 1
        200, PaysUnheard 1
        204, RefundsByHand one
    ]
    "a dispute is heard of before the subscription's payment",
    {
        Seed = 25
        Weather = deaf
        Acts = [
            0, Subscribes(1, 10_00L, "EUR")
            4, DisputeOpens(OfSubscription 1, 100, false)
            60, DisputeRuled(OfSubscription 1, 1, Ruling.Lost, false)
        ]
        Days = 0.3
    }
    told "a subscription's payment is refunded in the dashboard" [
        0, Subscribes(1, 10_00L, "EUR")
        40, RefundsByHand(OfSubscription 1)
    ]
    "an old failure is delivered of a refund whose success nobody has heard of",
    {
        Seed = 83
        Weather = { lossy with LostWebhook = 50; LateRefund = 100 }
        Acts = [ buys two; 1, Pays(1, false); 30, Cancels 1; 60, Pays(1, true); 200, OldFailureArrives 1 ]
        Days = 0.5
    }
    "a claim on a subscription's payment grows, and the word from before comes last",
    {
        Seed = 41
        Weather = late
        Acts = [
            0, Subscribes(1, 10_00L, "EUR")
            40, DisputeOpens(OfSubscription 1, 40, false)
            50, DisputeEscalates(OfSubscription 1, 1)
            52, DisputeGrows(OfSubscription 1, 1, 100)
        ]
        Days = 0.3
    }
    "a dispute that was lost, won and opened again hears of its loss once more",
    {
        Seed = 77
        Weather = late
        Acts = [
            buys two
            pays
            40, DisputeOpens(one, 40, false)
            60, ruled Ruling.Lost
            63, ruled Ruling.Won
            66, DisputeEscalates(one, 1)
        ]
        Days = 0.5
    }
]
