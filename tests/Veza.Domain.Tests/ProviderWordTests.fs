/// Every word that the providers publish means something here, and no word means nothing.
module Veza.Domain.Tests.ProviderWordTests

open System.IO
open System.Text.Json
open Expecto
open Veza.Domain

/// Hyperswitch v1, 2026.06.25: the schemas of its specification.
let private published = [
    "IntentStatus",
    "succeeded failed cancelled cancelled_post_capture processing requires_customer_action requires_merchant_action "
    + "requires_payment_method requires_confirmation requires_capture partially_captured "
    + "partially_captured_and_capturable partially_authorized_and_requires_capture partially_captured_and_processing "
    + "conflicted expired review"
    "RefundStatus", "succeeded failed pending review"
    "DisputeStage", "pre_dispute dispute pre_arbitration arbitration dispute_reversal"
    "DisputeStatus",
    "dispute_opened dispute_expired dispute_accepted dispute_cancelled dispute_challenged dispute_won dispute_lost"
]

let private words name =
    (published |> List.find (fun (known, _) -> known = name) |> snd).Split ' ' |> List.ofArray

/// Hyperswitch's specification, where somebody has put it beside the repository.
let private specification =
    Path.GetFullPath(Path.Combine(__SOURCE_DIRECTORY__, "..", "..", "..", "specs", "hyperswitch-v1.json"))

[<Tests>]
let tests =
    testList "providers' words" [
        test "the seventeen of a payment are all known, and only those" {
            Expect.hasLength (words "IntentStatus") 17 ""
            Expect.equal
                (ProviderWords.payments |> List.map fst |> List.sort)
                (words "IntentStatus" |> List.sort)
                ""
            for word in words "IntentStatus" do
                Expect.notEqual (ProviderWords.payment word) UnknownWord word
            Expect.equal
                (ProviderWords.payment "teleported")
                UnknownWord
                "a word of the future is none of them"
        }
        test "those of a refund, as objects and as lists have them" {
            for word in
                words "RefundStatus" @ [ "success"; "failure"; "manual_review"; "transaction_failure" ] do
                Expect.isSome (ProviderWords.refund word) word
            Expect.isNone (ProviderWords.refund "teleported") ""
        }
        test "those of a dispute, at every stage" {
            for word in words "DisputeStage" do
                Expect.isSome (ProviderWords.stage word) word
            for word in words "DisputeStatus" do
                Expect.isSome (ProviderWords.ruling word) word
            Expect.isNone (ProviderWords.ruling "dispute_teleported") ""
        }
        test "Stripe's of disputes, refunds and payouts" {
            for word in
                [
                    "warning_needs_response"
                    "warning_under_review"
                    "warning_closed"
                    "needs_response"
                    "under_review"
                    "won"
                    "lost"
                    "prevented"
                ] do
                Expect.isSome (ProviderWords.stripeDispute word) word
            for word in [ "pending"; "requires_action"; "succeeded"; "failed"; "canceled" ] do
                Expect.isSome (ProviderWords.stripeRefund word) word
            for word in [ "pending"; "in_transit"; "paid"; "failed"; "canceled" ] do
                Expect.isSome (ProviderWords.stripePayout word) word
            Expect.isNone (ProviderWords.stripePayout "teleported") ""
        }
        test "a payment that is paid, open or ended is no alarm; every other word is" {
            for word, meaning in ProviderWords.payments do
                let isTroubled =
                    match meaning with
                    | Uncaptured
                    | UnderReview -> true
                    | AwaitsBuyer
                    | BeingProcessed
                    | PaidInFull
                    | PaidInPart
                    | NothingPaid
                    | PaidAndVoided
                    | UnknownWord -> false
                Expect.equal (List.contains word ProviderWords.needingPerson) isTroubled word
        }
        test "the lists above are the specification's" {
            if not (File.Exists specification) then
                skiptest "Hyperswitch's specification is not here"
            use document = JsonDocument.Parse(File.ReadAllText specification)
            let schemas = document.RootElement.GetProperty("components").GetProperty "schemas"
            for name, _ in published do
                let enum = [
                    for word in schemas.GetProperty(name).GetProperty("enum").EnumerateArray() -> string word
                ]
                Expect.equal (List.sort enum) (List.sort (words name)) name
        }
    ]
