module Veza.Domain.Tests.MoneyTests

open System
open System.Globalization
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
        test "is written in major units, grouped, with its currency" {
            for minor, code, words in
                [
                    5L, "EUR", "0.05 EUR"
                    123_450L, "EUR", "1,234.50 EUR"
                    -123_450L, "usd", "-1,234.50 USD"
                    0L, "GBP", "0.00 GBP"
                    1_234L, "JPY", "1,234 JPY"
                    1_234L, "KWD", "1.234 KWD"
                    Int64.MinValue, "EUR", "-92,233,720,368,547,758.08 EUR"
                    5L, "XXX", "5 of the smallest unit of XXX"
                ] do
                Expect.equal (Money.Display(minor, code)) words ""
        }
        test "is what a provider names by its amount and its currency together, however it writes that" {
            let money = { Minor = 5L; Currency = euro }
            for minor, code, isIt in [ 5L, "EUR", true; 5L, "eur", true; 5L, "USD", false; 6L, "EUR", false ] do
                Expect.equal (money.Is(minor, code)) isIt $"{minor} {code}"
        }
        property "can be read back from its words, in every currency" (fun (minor: int64) ->
            Currency.all
            |> List.forall (fun currency ->
                let words = { Minor = minor; Currency = currency }.Display()
                let number, code = words[.. words.Length - 5], words[words.Length - 3 ..]
                let behind = (number + ".").Split('.')[1]
                code = currency.Code
                && behind.Length = currency.Exponent
                && Int64.Parse(number.Replace(",", "").Replace(".", ""), CultureInfo.InvariantCulture) =
                    minor))
        test "is written the same whatever the machine's language" {
            let before = CultureInfo.CurrentCulture
            try
                CultureInfo.CurrentCulture <- CultureInfo "de-DE"
                Expect.equal (Money.Display(-123_450L, "EUR")) "-1,234.50 EUR" ""
            finally
                CultureInfo.CurrentCulture <- before
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
            Expect.isOk (StripeTransferId.Parse("tr_" + String('x', 252))) "255 characters"
            Expect.isError (StripeTransferId.Parse("tr_" + String('x', 253))) "256 are too many"
        }
        test "what Hyperswitch is given has 30 characters, and always the same for the same order" {
            let id = OrderId(guid 7)
            Expect.equal (PaymentId.For id).Value.Length 30 "its specification asks for exactly 30"
            Expect.equal (PaymentId.For id) (PaymentId.For id) "derived, not drawn"
            Expect.stringStarts (ProviderRefundId.For(RefundId(guid 7))).Value "ref_" "a refund's"
            let id = Guid "0193575c-4b7a-7d3e-8f21-0123456789ab"
            Expect.equal (PaymentId.For(OrderId id)).Value "pay_01jdbnrjvtfmz8y8814d2pf2db" "for ever"
        }
        property
            "what is derived is a UUIDv7 of its source's time, the same for the same and no other"
            (fun (transfer: Guid) (number: int) ->
                let refund = Guid.CreateVersion7(now.AddSeconds(float (abs (number % 1_000_000))))
                let derived kept = TransferId.Compensating(TransferId transfer, RefundId refund, kept)
                let text = (derived 0L).Value.ToString "D"
                text.Substring(0, 13) = refund.ToString("D").Substring(0, 13)
                && text[14] = '7'
                && "89ab".Contains text[19]
                && derived 0L = derived 0L
                && derived 0L <> derived 1L
                && derived 0L <> TransferId.Compensating(TransferId refund, RefundId refund, 0L))
        test "a derived name does not change with the machine" {
            let id = TransferId.Compensating(TransferId(guid 3), RefundId(guid 5), 0L)
            Expect.equal (id.Value.ToString "D") "00000005-0000-7bb4-b95a-6cd61fd0c501" ""
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
        property "is spread by a tenth at most, and by all of it for somebody" (fun (id: Guid) ->
            let policy = { policy with Base = TimeSpan.FromSeconds 1000.; Cap = TimeSpan.FromHours 10. }
            let late id = Backoff.spread policy 0 id - policy.Base
            late id <= policy.Base / 10.
            && ([
                    for number in 0uy .. 255uy ->
                        Guid(0, 0s, 0s, [| 0uy; 0uy; 0uy; 0uy; 0uy; 0uy; 0uy; number |])
                ]
                |> List.map late
                |> List.max)
                >
                policy.Base / 11.)
        test "the spread does not change with the machine" {
            let late = Backoff.spread { policy with Cap = TimeSpan.FromHours 1. } 2 (guid 1)
            Expect.equal late.Ticks 41019607L "drawn from the id, not from chance"
        }
        property "the same id waits the same time" (fun (id: Guid) ->
            Backoff.spread policy 2 id = Backoff.spread policy 2 id)
    ]
