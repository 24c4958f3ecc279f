/// Stories worth crashing at every step: fair weather, one thing that matters each.
module Veza.Simulation.Scenarios

open Veza.Simulation.Plans
open Veza.Simulation.Truth
open Veza.Simulation.Weather

let private told name acts = name, { Seed = 11; Weather = fair; Acts = acts; Days = 0.3 }

let private two = [ 1, 60_00L; 2, 40_00L ]
let private buys lines = 0, Buys(1, lines, 1000, false, "EUR")
let private pays = 1, Pays(1, true)

let private slow = { fair with LateRefund = 100 }
let private lossy = { fair with LostWebhook = 100 }
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
]
