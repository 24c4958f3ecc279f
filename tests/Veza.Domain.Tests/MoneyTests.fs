module Veza.Domain.Tests.MoneyTests

open System
open Expecto
open Veza.Domain
open Veza.Domain.Tests.Histories

[<Tests>]
let money =
    testList "money" [
        test "a currency is known by its upper-case code alone" {
            Expect.isOk (Currency.parse "EUR") "EUR is a currency"
            for wrong in [ "eur"; "EURO"; ""; "XXX" ] do
                Expect.isError (Currency.parse wrong) $"'{wrong}' is none"
        }
        test "no currency stands in the table twice" {
            let codes = Currency.all |> List.map _.Code
            Expect.equal (List.distinct codes) codes "each code once"
        }
        test "is written with as many decimals as its currency has" {
            let show code minor = string { Minor = minor; Currency = certain (Currency.parse code) }
            Expect.equal (show "EUR" 12_34L) "12.34 EUR" "two"
            Expect.equal (show "JPY" 1234L) "1234 JPY" "none"
            Expect.equal (show "KWD" 1234L) "1.234 KWD" "three"
        }
    ]

[<Tests>]
let identifiers =
    testList "identifiers" [
        test "an idempotency key is never blank and never longer than 255" {
            for blank in [ ""; " "; "\t" ] do
                Expect.isError (IdempotencyKey.Parse blank) "blank keys are refused"
            Expect.isError (IdempotencyKey.Parse(String('k', 256))) "too long"
            Expect.isOk (IdempotencyKey.Parse(String('k', 255))) "just long enough"
        }
        test "Stripe's ids are told apart by their prefix" {
            Expect.isError (StripeTransferId.Parse "trr_1") "a reversal is no transfer"
            Expect.isError (StripeReversalId.Parse "tr_1") "a transfer is no reversal"
            Expect.isError (StripeAccountId.Parse null) "nothing is no account"
        }
        test "what Hyperswitch is given has 30 characters, and always the same for the same order" {
            let id = OrderId(guid 7)
            Expect.equal (PaymentId.For id).Value.Length 30 "its specification asks for exactly 30"
            Expect.equal (PaymentId.For id) (PaymentId.For id) "derived, not drawn"
            Expect.stringStarts (ProviderRefundId.For(RefundId(guid 7))).Value "ref_" "a refund's"
        }
        property "different orders never share a payment" (fun (one: Guid) (other: Guid) ->
            (one = other) = (PaymentId.For(OrderId one) = PaymentId.For(OrderId other)))
    ]

[<Tests>]
let backoff =
    testList "backoff" [
        test "base 1 s, cap 10 s: 1, 2, 4, 8, 10, 10" {
            let seconds = [ for retries in 0..5 -> (Backoff.delay policy retries).TotalSeconds ]
            Expect.equal seconds [ 1.; 2.; 4.; 8.; 10.; 10. ] "doubling, then the cap"
        }
        property
            "never below its base, never above its cap, whatever the count"
            (fun (retries: int) (id: Guid) ->
                let plain = Backoff.delay policy retries
                let spread = Backoff.spread policy retries id
                plain >= policy.Base && plain <= spread && spread <= policy.Cap)
        property "the same id waits the same time" (fun (id: Guid) ->
            Backoff.spread policy 2 id = Backoff.spread policy 2 id)
    ]
