/// Hyperswitch v1 as psp-facts describes it: deduplicates by the ids it is given and by nothing else, checks amounts
/// before ids, says 200 to failed refunds, sends each event once and promises nothing about its arrival.
module Veza.Simulation.HyperswitchModel

open System
open System.Net.Http
open System.Text.Json
open System.Threading.Tasks
open Veza.Adapters.Ports
open Veza.Simulation.Courier
open Veza.Simulation.Scheduler
open Veza.Simulation.StripeModel
open Veza.Simulation.Truth
open Veza.Simulation.Weather

let paymentJson (payment: Payment) =
    let received = if payment.IsCaptured then string payment.Amount else "null"
    let connector =
        if payment.Status = "requires_payment_method" then
            "null"
        else
            $"\"{payment.Connector}\""
    let about, paidWith =
        if payment.Subscription = "" then
            $"\"order_id\":\"{payment.Order}\"", "null"
        elif payment.IsCaptured then
            $"\"subscription_id\":\"{payment.Subscription}\"", $"\"pm_{payment.Subscription}\""
        else
            $"\"subscription_id\":\"{payment.Subscription}\"", "null"
    $$$"""{"payment_id":"{{{payment.Id}}}","status":"{{{payment.Status}}}","amount":{{{payment.Amount}}},"amount_received":{{{received}}},"currency":"{{{payment.Currency}}}","client_secret":"{{{payment.Id}}}_secret","connector_transaction_id":{{{connector}}},"payment_method_id":{{{paidWith}}},"metadata":{{{{about}}}}}"""

let refundJson (refund: ProviderRefund) =
    let failure =
        if refund.Status = "failed" then
            ""","error_code":"declined","error_message":"The bank declined." """
        else
            ""
    $$$"""{"refund_id":"{{{refund.Id}}}","payment_id":"{{{refund.Payment.Id}}}","amount":{{{refund.Amount}}},"currency":"{{{refund.Payment.Currency}}}","status":"{{{refund.Status}}}"{{{failure}}}}"""

let private disputeStage stage =
    match stage with
    | Stage.Inquiry -> "pre_dispute"
    | Stage.Dispute -> "dispute"
    | Stage.PreArbitration -> "pre_arbitration"
    | Stage.Arbitration -> "arbitration"
    | Stage.Reversal -> "dispute_reversal"

let private disputeStatus (dispute: BankDispute) =
    match dispute.Ruling with
    | Ruling.Opened -> "dispute_opened"
    | Ruling.Challenged -> "dispute_challenged"
    | Ruling.Won when dispute.IsInquiry -> "dispute_cancelled"
    | Ruling.Won -> "dispute_won"
    | Ruling.Lost -> "dispute_lost"

/// Its amount is a string.
let private disputeJson (dispute: BankDispute) =
    $$$"""{"dispute_id":"{{{dispute.Name}}}","payment_id":"{{{dispute.Payment.Id}}}","attempt_id":"{{{dispute.Payment.Id}}}_1","amount":"{{{dispute.Amount}}}","currency":"{{{dispute.Payment.Currency}}}","dispute_stage":"{{{disputeStage dispute.Stage}}}","dispute_status":"{{{disputeStatus dispute}}}","connector":"stripe","connector_dispute_id":"{{{dispute.Id}}}","connector_reason":"fraudulent"}"""

let private error code message =
    $$$"""{"error":{"type":"invalid_request","code":"{{{code}}}","message":"{{{message}}}"}}"""

type HyperswitchModel
    (scheduler: Scheduler, books: Books, weather: unit -> Weather, courier: Courier, stripe: StripeModel) =
    let mutable events = 0
    let told = Collections.Generic.HashSet<string * string>()

    let say what = scheduler.Say("Hyperswitch", what)

    /// One event per object and type, ever. It may be lost, doubled, and overtaken by others. `about`: what Veza
    /// knows the object by.
    let emitAbout about (kind: string) (tag: string) (objectId: string) (content: string) isLosable =
        if told.Add((objectId, kind)) then
            events <- events + 1
            let id = $"evt_{events}"
            let body =
                $$$"""{"event_id":"{{{id}}}","event_type":"{{{kind}}}","content":{"type":"{{{tag}}}","object":{{{content}}}}}"""
            courier.Bring(ReceivedEvent("hyperswitch", id, kind, about, body), isLosable)

    let emit kind tag objectId content isLosable = emitAbout objectId kind tag objectId content isLosable

    let emitRefund (refund: ProviderRefund) =
        match refund.Status with
        // Nobody here asks about what somebody refunded in the dashboard; only reconciliation would find it.
        | "succeeded" ->
            emit "refund_succeeded" "refund_details" refund.Id (refundJson refund) (not refund.IsByHand)
        | "failed" -> emit "refund_failed" "refund_details" refund.Id (refundJson refund) true
        | _ -> ()

    let decide (refund: ProviderRefund) status =
        if refund.Status <> "failed" then
            refund.Status <- status
            refund.HasSucceeded <- refund.HasSucceeded || status = "succeeded"
            refund.IsStuck <- false
            say $"refund of {refund.Amount} {status}"
            emitRefund refund
            if status = "failed" && refund.HasSucceeded then
                stripe.TellOfFailure refund

    let settle (payment: Payment) succeeds isHeard =
        if not payment.IsCaptured then
            payment.Status <- (if succeeds then "succeeded" else "failed")
            say $"payment of {payment.Amount} {payment.Status}"
            let kind = if succeeds then "payment_succeeded" else "payment_failed"
            if isHeard then
                emit kind "payment_details" payment.Id (paymentJson payment) true
            else
                told.Add((payment.Id, kind)) |> ignore

    /// What the connector makes of a refund: no more goes back than disputes have left.
    let begun (id: string) (payment: Payment) amount isByHand =
        let away = disputesOf books payment |> List.sumBy _.Away
        let taken =
            refundsOf books payment
            |> List.filter (fun refund -> refund.Status <> "failed")
            |> List.sumBy _.Amount
        let refund = {
            Id = id
            Payment = payment
            Amount = amount
            Status = "pending"
            HasSucceeded = false
            IsStuck = false
            IsByHand = isByHand
        }
        books.Refunds.Add(id, refund)
        let weather = weather ()
        let isRefused = taken + away + amount > payment.Amount || scheduler.Chance weather.FailedRefund
        let ending = if isRefused then "failed" else "succeeded"
        if scheduler.Chance weather.StuckRefund then
            refund.IsStuck <- true
            say "the connector does not answer; the refund stays pending"
            scheduler.After(TimeSpan.FromDays 2., (fun () -> decide refund ending))
        elif scheduler.Chance weather.LateRefund then
            let delay = TimeSpan.FromMinutes(float (scheduler.Random.Next(1, 300)))
            scheduler.After(delay, (fun () -> decide refund ending))
        else
            decide refund ending
        refund

    let createPayment (json: JsonElement) =
        let text (name: string) = string (json.GetProperty(name).GetString())
        let id = text "payment_id"
        if books.Payments.ContainsKey id then
            400, error "HE_01" "The payment with the specified payment_id already exists."
        else
            let named (name: string) =
                match json.GetProperty("metadata").TryGetProperty name with
                | true, value -> string (value.GetString())
                | false, _ -> ""
            let payment = {
                Id = id
                Order = named "order_id"
                Subscription = named "subscription_id"
                Amount = json.GetProperty("amount").GetInt64()
                Currency = text "currency"
                Status = "requires_payment_method"
            }
            books.Payments.Add(id, payment)
            if json.GetProperty("confirm").GetBoolean() then
                settle payment (not (scheduler.Chance (weather ()).DeclinedCharge)) true
            200, paymentJson payment

    let createRefund (json: JsonElement) =
        let text (name: string) = string (json.GetProperty(name).GetString())
        let id = text "refund_id"
        let amount = json.GetProperty("amount").GetInt64()
        match books.Payments.TryGetValue(text "payment_id") with
        | false, _ -> 404, error "HE_02" "Payment does not exist."
        | true, payment when not payment.IsCaptured ->
            400, error "IR_14" "The payment is not in a refundable state."
        | true, payment ->
            let taken =
                books.Refunds.Values
                |> Seq.filter (fun refund -> refund.Payment.Id = payment.Id && refund.Status <> "failed")
                |> Seq.sumBy _.Amount
            let lost = disputesOf books payment |> List.sumBy _.Lost
            if taken + lost + amount > payment.Amount then
                400, error "IR_13" "The refund amount exceeds the amount captured."
            elif books.Refunds.ContainsKey id then
                400, error "HE_01" "Duplicate refund request."
            else
                200, refundJson (begun id payment amount false)

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
        | [| "disputes"; id |] ->
            match books.Disputes |> Seq.tryFind (fun dispute -> dispute.Name = id) with
            | Some dispute -> 200, disputeJson dispute
            | None -> 404, error "HE_02" "Dispute does not exist."
        | other -> 404, error "IR_02" $"%A{other}"

    /// The buyer pays, or tries to.
    member _.Pay(payment: Payment, succeeds: bool, isHeard: bool) = settle payment succeeds isHeard

    /// The bank refuses a refund that was pending.
    member _.Refuse(refund: ProviderRefund) =
        if refund.Status = "pending" then
            decide refund "failed"

    /// An old failure of a refund that has succeeded since is delivered at last.
    member _.TellOldFailure(refund: ProviderRefund) =
        if refund.Status = "succeeded" then
            say "tells of a failure that is not true any more"
            let old = { refund with Status = "failed" }
            emit "refund_failed" "refund_details" refund.Id (refundJson old) false

    /// Somebody refunds in the dashboard all that is left.
    member _.RefundByHand(payment: Payment) =
        let gone =
            (refundsOf books payment
             |> List.filter (fun refund -> refund.Status <> "failed")
             |> List.sumBy _.Amount)
            + (disputesOf books payment |> List.sumBy _.Away)
        if payment.IsCaptured && gone < payment.Amount then
            begun $"ref_hand{books.Refunds.Count}" payment (payment.Amount - gone) true |> ignore

    /// A word of the bank on a dispute.
    member _.Tell(dispute: BankDispute) =
        emitAbout
            dispute.Payment.Id
            (disputeStatus dispute)
            "dispute_details"
            dispute.Name
            (disputeJson dispute)
            true

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
