/// The simulated providers' answers beside the shapes that the real ones publish, where their documents are at hand:
/// VEZA_PROVIDER_SPECS names the folder, else ../shared/specs beside the repository. They are not ours to keep here.
module Veza.Adapters.Tests.ShapeTests

open System
open System.IO
open System.Net.Http
open System.Text
open System.Text.Json.Nodes
open System.Threading.Tasks
open Expecto
open NJsonSchema
open Veza.Adapters.Tests.Wire
open Veza.Domain

let private folder =
    match Environment.GetEnvironmentVariable "VEZA_PROVIDER_SPECS" with
    | NonNull folder when folder <> "" -> folder
    | _ -> Path.Combine(__SOURCE_DIRECTORY__, "..", "..", "..", "shared", "specs")

/// A schema of the document, with all that it refers to.
let private schema file (name: string) =
    let document =
        File.ReadAllText(Path.Combine(folder, file)).Replace("#/components/schemas/", "#/definitions/")
    let schemas =
        (nonNull (JsonNode.Parse document))["components"] |> nonNull |> fun node -> nonNull node["schemas"]
    let root = (nonNull schemas[name]).DeepClone().AsObject()
    root["definitions"] <- schemas.DeepClone()
    JsonSchema.FromJsonAsync(root.ToJsonString())

let private get (wire: Wire) (path: string) (account: string) =
    task {
        use http = new HttpClient()
        use request = new HttpRequestMessage(HttpMethod.Get, wire.Address + path)
        request.Headers.TryAddWithoutValidation("Authorization", "Bearer sk_test") |> ignore
        request.Headers.TryAddWithoutValidation("api-key", "snd") |> ignore
        if account <> "" then
            request.Headers.TryAddWithoutValidation("Stripe-Account", account) |> ignore
        use! response = http.SendAsync request
        Expect.equal (int response.StatusCode) 200 path
        return! response.Content.ReadAsStringAsync()
    }

let private conforms file name (answer: string) =
    task {
        let! (schema: JsonSchema) = schema file name
        let errors = schema.Validate(answer, SchemaType.OpenApi3)
        // The document asks for at least 100 to be capturable, which no captured payment's answer can be.
        let isQuirk (error: Validation.ValidationError) = string error.Path = "#/amount_capturable"
        let found =
            String.Join(
                "; ",
                [
                    for error in errors do
                        if not (isQuirk error) then
                            $"{error.Path}: {error.Kind}"
                ]
            )
        Expect.equal found "" $"{name}: {answer}"
    }

let private shape name act =
    testTask name {
        if Directory.Exists folder then
            use! wire = Wire.Open()
            do! act wire
        else
            let why = $"the providers' OpenAPI documents are not at {folder}"
            printfn $"skipped: shapes {name}: {why}"
            skiptest why
    }

[<Tests>]
let tests =
    testList "shapes" [
        shape "of a transfer, its reversals and their lists at Stripe" (fun wire ->
            task {
                let! transfer = toReverse wire 20_00L
                let! _ = reverse wire transfer
                let id = (Seq.exactlyOne (wire.World.Stripe.Transfers())).Id
                let! json = get wire $"/stripe/v1/transfers/{id}" ""
                do! conforms "stripe-connect.json" "transfer" json
                let! reversals = get wire $"/stripe/v1/transfers/{id}/reversals" ""
                use list = Text.Json.JsonDocument.Parse reversals
                for reversal in list.RootElement.GetProperty("data").EnumerateArray() do
                    do! conforms "stripe-connect.json" "transfer_reversal" (reversal.GetRawText())
            })
        shape "of a payout and a balance at Stripe" (fun wire ->
            task {
                let! _ = send wire (owed ())
                let! _ = payOut wire 10_00L
                let! payouts = get wire "/stripe/v1/payouts" "acct_ada"
                use list = Text.Json.JsonDocument.Parse payouts
                for payout in list.RootElement.GetProperty("data").EnumerateArray() do
                    do! conforms "stripe-connect.json" "payout" (payout.GetRawText())
                let! balance = get wire "/stripe/v1/balance" "acct_ada"
                do! conforms "stripe-connect.json" "balance" balance
            })
        shape "of a dispute at Hyperswitch" (fun wire ->
            task {
                let! order = paid wire
                let payment = (PaymentId.For order.Id).Value
                let id = wire.World.Hyperswitch.Dispute(payment, Nullable(), false)
                let! dispute = get wire $"/hyperswitch/disputes/{id}" ""
                do! conforms "hyperswitch-v1.json" "DisputeResponse" dispute
            })
        shape "of an error at Stripe" (fun wire ->
            task {
                use http = new HttpClient()
                http.DefaultRequestHeaders.TryAddWithoutValidation("Authorization", "Bearer sk_test")
                |> ignore
                use! response = http.GetAsync(wire.StripeUrl + "/v1/transfers/tr_nowhere")
                let! json = response.Content.ReadAsStringAsync()
                do! conforms "stripe-connect.json" "error" json
            })
        shape "of a payment, a refund and their lists at Hyperswitch" (fun wire ->
            task {
                let! order = paid wire
                let refund = Wire.refundOf order 10_00L
                let! _ = wire.Hyperswitch.CreateRefund(refund, none)
                let! payment = get wire $"/hyperswitch/payments/{(PaymentId.For order.Id).Value}" ""
                do! conforms "hyperswitch-v1.json" "PaymentsResponse" payment
                let! json = get wire $"/hyperswitch/refunds/{(ProviderRefundId.For refund.Id).Value}" ""
                do! conforms "hyperswitch-v1.json" "RefundResponse" json
                let! listed = get wire "/hyperswitch/payments/list" ""
                use list = Text.Json.JsonDocument.Parse listed
                for payment in list.RootElement.GetProperty("data").EnumerateArray() do
                    do! conforms "hyperswitch-v1.json" "PaymentsResponse" (payment.GetRawText())
                use http = new HttpClient()
                http.DefaultRequestHeaders.TryAddWithoutValidation("api-key", "snd") |> ignore
                use! refunds =
                    http.PostAsync(
                        wire.HyperswitchUrl + "/refunds/list",
                        new StringContent("""{"limit":10}""", Encoding.UTF8, "application/json")
                    )
                let! refunds = refunds.Content.ReadAsStringAsync()
                do! conforms "hyperswitch-v1.json" "RefundListResponse" refunds
            })
    ]
