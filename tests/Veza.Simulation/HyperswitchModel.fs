/// Hyperswitch v1 as psp-facts describes it: deduplicates by the ids it is given and by nothing else, checks amounts
/// before ids, says 200 to failed refunds, sends each event once and promises nothing about its arrival.
module Veza.Simulation.HyperswitchModel

open System
open System.Net.Http
open System.Text.Json
open System.Threading.Tasks
open Veza.Adapters.Storage
open Veza.Simulation.Scheduler
open Veza.Simulation.StripeModel
open Veza.Simulation.Truth
open Veza.Simulation.Weather

let paymentJson (payment: Payment) =
    let received =
        if payment.Status = "succeeded" then
            string payment.Amount
        else
            "null"
    $$$"""{"payment_id":"{{{payment.Id}}}","status":"{{{payment.Status}}}","amount":{{{payment.Amount}}},"amount_received":{{{received}}},"currency":"{{{payment.Currency}}}","client_secret":"{{{payment.Id}}}_secret","metadata":{"order_id":"{{{payment.Order}}}"}}"""

let refundJson (refund: ProviderRefund) =
    let failure =
        if refund.Status = "failed" then
            ""","error_code":"declined","error_message":"The bank declined." """
        else
            ""
    $$$"""{"refund_id":"{{{refund.Id}}}","payment_id":"{{{refund.Payment.Id}}}","amount":{{{refund.Amount}}},"currency":"{{{refund.Payment.Currency}}}","status":"{{{refund.Status}}}"{{{failure}}}}"""

let private error code message =
    $$$"""{"error":{"type":"invalid_request","code":"{{{code}}}","message":"{{{message}}}"}}"""

type HyperswitchModel
    (scheduler: Scheduler, books: Books, weather: unit -> Weather, deliver: ReceivedEvent -> unit) =
    let mutable events = 0
    let told = Collections.Generic.HashSet<string * string>()

    let say what = scheduler.Say("Hyperswitch", what)

    /// One event per object and type, ever. It may be lost, doubled, and overtaken by others.
    let emit (kind: string) (tag: string) (objectId: string) (content: string) isLosable =
        if told.Add((objectId, kind)) then
            events <- events + 1
            let id = $"evt_{events}"
            let body =
                $$$"""{"event_id":"{{{id}}}","event_type":"{{{kind}}}","content":{"type":"{{{tag}}}","object":{{{content}}}}}"""
            let event = ReceivedEvent("hyperswitch", id, kind, objectId, body)
            if isLosable && scheduler.Chance (weather ()).LostWebhook then
                say $"{kind} is lost on the way"
            else
                let later () = TimeSpan.FromSeconds(float (scheduler.Random.Next(1, 600)))
                scheduler.After(later (), (fun () -> deliver event))
                if scheduler.Chance (weather ()).DoubledWebhook then
                    scheduler.After(later (), (fun () -> deliver event))

    let emitRefund (refund: ProviderRefund) =
        match refund.Status with
        | "succeeded" -> emit "refund_succeeded" "refund_details" refund.Id (refundJson refund) true
        // Nobody asks about a refund that has succeeded: of its failure only this event tells.
        | "failed" ->
            emit "refund_failed" "refund_details" refund.Id (refundJson refund) (not refund.HasSucceeded)
        | _ -> ()

    let decide (refund: ProviderRefund) status =
        if refund.Status <> "failed" then
            refund.Status <- status
            refund.HasSucceeded <- refund.HasSucceeded || status = "succeeded"
            refund.IsStuck <- false
            say $"refund of {refund.Amount} {status}"
            emitRefund refund

    let createPayment (json: JsonElement) =
        let text (name: string) = string (json.GetProperty(name).GetString())
        let id = text "payment_id"
        if books.Payments.ContainsKey id then
            400, error "HE_01" "The payment with the specified payment_id already exists."
        else
            let payment = {
                Id = id
                Order = string (json.GetProperty("metadata").GetProperty("order_id").GetString())
                Amount = json.GetProperty("amount").GetInt64()
                Currency = text "currency"
                Status = "requires_payment_method"
            }
            books.Payments.Add(id, payment)
            200, paymentJson payment

    let createRefund (json: JsonElement) =
        let text (name: string) = string (json.GetProperty(name).GetString())
        let id = text "refund_id"
        let amount = json.GetProperty("amount").GetInt64()
        match books.Payments.TryGetValue(text "payment_id") with
        | false, _ -> 404, error "HE_02" "Payment does not exist."
        | true, payment when payment.Status <> "succeeded" ->
            400, error "IR_14" "The payment is not in a refundable state."
        | true, payment ->
            let taken =
                books.Refunds.Values
                |> Seq.filter (fun refund -> refund.Payment.Id = payment.Id && refund.Status <> "failed")
                |> Seq.sumBy _.Amount
            if taken + amount > payment.Amount then
                400, error "IR_13" "The refund amount exceeds the amount captured."
            elif books.Refunds.ContainsKey id then
                400, error "HE_01" "Duplicate refund request."
            else
                let refund = {
                    Id = id
                    Payment = payment
                    Amount = amount
                    Status = "pending"
                    HasSucceeded = false
                    IsStuck = false
                }
                books.Refunds.Add(id, refund)
                let weather = weather ()
                let ending =
                    if scheduler.Chance weather.FailedRefund then
                        "failed"
                    else
                        "succeeded"
                if scheduler.Chance weather.StuckRefund then
                    refund.IsStuck <- true
                    say "the connector does not answer; the refund stays pending"
                    scheduler.After(TimeSpan.FromDays 2., (fun () -> decide refund ending))
                elif scheduler.Chance weather.LateRefund then
                    let delay = TimeSpan.FromMinutes(float (scheduler.Random.Next(1, 300)))
                    scheduler.After(delay, (fun () -> decide refund ending))
                else
                    decide refund ending
                200, refundJson refund

    let read (path: string) =
        match path.Trim('/').Split '/' with
        | [| "payments"; id |] ->
            match books.Payments.TryGetValue id with
            | true, payment -> 200, paymentJson payment
            | false, _ -> 404, error "HE_02" "Payment does not exist."
        | [| "refunds"; id |] ->
            match books.Refunds.TryGetValue id with
            | true, refund -> 200, refundJson refund
            | false, _ -> 404, error "HE_02" "Refund does not exist."
        | other -> 404, error "IR_02" $"%A{other}"

    /// The buyer pays, or tries to.
    member _.Pay(payment: Payment, succeeds: bool) =
        if payment.Status <> "succeeded" then
            payment.Status <- (if succeeds then "succeeded" else "failed")
            say $"payment of {payment.Amount} {payment.Status}"
            let kind = if succeeds then "payment_succeeded" else "payment_failed"
            emit kind "payment_details" payment.Id (paymentJson payment) true

    /// The bank gives back what it had taken.
    member _.Undo(refund: ProviderRefund) =
        if refund.Status = "succeeded" then
            decide refund "failed"

    member _.Answer(host: int, request: HttpRequestMessage) =
        task {
            let weather = weather ()
            let uri = Unchecked.nonNull request.RequestUri
            do! scheduler.Pass(host, $"asks Hyperswitch: {request.Method} {uri.AbsolutePath}")
            if scheduler.Chance weather.LostRequest then
                say "is not reached"
                raise (HttpRequestException(HttpRequestError.ConnectionError, "Connection refused"))
            let! status, body =
                task {
                    if scheduler.Chance weather.RateLimited then
                        return 429, error "HE_00" "Too many requests."
                    elif request.Method = HttpMethod.Get then
                        return read uri.AbsolutePath
                    else
                        let! text = (Unchecked.nonNull request.Content).ReadAsStringAsync()
                        use document = JsonDocument.Parse text
                        return
                            if uri.AbsolutePath.EndsWith "/payments" then
                                createPayment document.RootElement
                            else
                                createRefund document.RootElement
                }
            do! scheduler.Pass(host, $"hears Hyperswitch: {status}")
            if scheduler.Chance weather.LostAnswer then
                say $"answers {status}, which is lost"
                raise (TaskCanceledException "The request timed out.")
            if scheduler.Chance weather.ServerError then
                return respond 500 (error "HE_00" "Something went wrong.") []
            else
                return respond status body []
        }

type HyperswitchNetwork(host: int, hyperswitch: HyperswitchModel) =
    inherit HttpMessageHandler()

    override _.SendAsync(request, _) = hyperswitch.Answer(host, request)
