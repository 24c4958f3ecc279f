/// Stripe as psp-facts describes it: keys that store answers, server errors included, and are forgotten after 24
/// hours; refusals, locks and limits before anything begins; answers that get lost.
module Veza.Simulation.StripeModel

open System
open System.Collections.Generic
open System.Net
open System.Net.Http
open System.Text
open System.Text.Json
open System.Threading.Tasks
open System.Web
open Veza.Adapters.Ports
open Veza.Adapters.Postgres
open Veza.Simulation.Courier
open Veza.Simulation.Scheduler
open Veza.Simulation.Truth
open Veza.Simulation.Weather

type private Stored = { Parameters: string; Status: int; Body: string; At: DateTimeOffset }

let respond (status: int) (body: string) (headers: (string * string) list) =
    let response = new HttpResponseMessage(enum<HttpStatusCode> status)
    response.Content <- new StringContent(body, Encoding.UTF8, "application/json")
    for name, value in headers do
        response.Headers.TryAddWithoutValidation(name, value) |> ignore
    response

let private meta (metadata: IEnumerable<KeyValuePair<string, string>>) =
    String.Join(",", [ for KeyValue(name, value) in metadata -> $"\"{name}\":\"{value}\"" ])

/// Stripe's dashboard writes no metadata.
let private reversalJson (transfer: StripeTransfer) (reversal: StripeReversal) =
    let metadata =
        if reversal.Operation = "by hand" then
            "{}"
        else
            $$$"""{"operation_id":"{{{reversal.Operation}}}"}"""
    $$$"""{"id":"{{{reversal.Id}}}","object":"transfer_reversal","amount":{{{reversal.Amount}}},"currency":"{{{transfer.Currency}}}","created":{{{reversal.At.ToUnixTimeSeconds()}}},"metadata":{{{metadata}}},"transfer":"{{{transfer.Id}}}"}"""

let private transferJson (transfer: StripeTransfer) =
    let isReversed =
        if transfer.Reversed = transfer.Amount then
            "true"
        else
            "false"
    $$$"""{"id":"{{{transfer.Id}}}","object":"transfer","amount":{{{transfer.Amount}}},"amount_reversed":{{{transfer.Reversed}}},"currency":"{{{transfer.Currency}}}","created":{{{transfer.Created.ToUnixTimeSeconds()}}},"destination":"{{{transfer.Destination}}}","livemode":false,"metadata":{{{{meta transfer.Metadata}}}},"reversed":{{{isReversed}}},"transfer_group":"{{{transfer.Group}}}"}"""

let private disputeStatus (dispute: BankDispute) =
    match dispute.Ruling, dispute.IsInquiry with
    | Ruling.Opened, true -> "warning_needs_response"
    | Ruling.Opened, false -> "needs_response"
    | Ruling.Challenged, true -> "warning_under_review"
    | Ruling.Challenged, false -> "under_review"
    | Ruling.Won, true -> "warning_closed"
    | Ruling.Won, false -> "won"
    | Ruling.Lost, _ -> "lost"

let private disputeJson (dispute: BankDispute) =
    $$$"""{"id":"{{{dispute.Id}}}","object":"dispute","amount":{{{dispute.Amount}}},"charge":"ch{{{dispute.Payment.Connector.Substring 2}}}","currency":"{{{dispute.Payment.Currency.ToLowerInvariant()}}}","is_charge_refundable":{{{if dispute.IsInquiry then "true" else "false"}}},"livemode":false,"metadata":{},"payment_intent":"{{{dispute.Payment.Connector}}}","reason":"fraudulent","status":"{{{disputeStatus dispute}}}"}"""

/// Hyperswitch's connector writes its refund's id into `metadata[order_id]`.
let private refundJson (refund: ProviderRefund) =
    let failure =
        if refund.Status = "failed" then
            ""","failure_reason":"lost_or_stolen_card" """
        else
            ""
    $$$"""{"id":"re_{{{refund.Id}}}","object":"refund","amount":{{{refund.Amount}}},"currency":"{{{refund.Payment.Currency.ToLowerInvariant()}}}","metadata":{"order_id":"{{{refund.Id}}}"},"payment_intent":"{{{refund.Payment.Connector}}}","status":"{{{refund.Status}}}"{{{failure}}}}"""

let private listJson (items: string list) =
    $$$"""{"object":"list","url":"/v1","has_more":false,"data":[{{{String.Join(",", items)}}}]}"""

let private error (kind: string) (code: string) (message: string) =
    let code = if code = "" then "" else $$$""","code":"{{{code}}}" """
    $$$"""{"error":{"type":"{{{kind}}}"{{{code}}},"message":"{{{message}}}"}}"""

type private Happened = { Name: string; At: DateTimeOffset; Json: string }

type StripeModel(scheduler: Scheduler, books: Books, weather: unit -> Weather, courier: Courier) =
    let happened = List<Happened>()
    /// So many of the first are recorded.
    let mutable brought = 0
    let keys = Dictionary<string, Stored>()
    let running = HashSet<string>()
    /// How often a caller has heard what is stored under a key that was refused.
    let heard = Dictionary<string, int>()
    let mutable count = 0

    let name prefix =
        count <- count + 1
        $"{prefix}_{count}"

    let say what = scheduler.Say("Stripe", what)

    /// It may be lost, doubled and overtaken; Stripe's own list keeps it all the same.
    let emit kind objectId json =
        let id = $"evt_{happened.Count + 1}"
        let json =
            $$$"""{"id":"{{{id}}}","object":"event","type":"{{{kind}}}","livemode":false,"created":{{{scheduler.Now.ToUnixTimeSeconds()}}},"data":{"object":{{{json}}}}}"""
        happened.Add { Name = id; At = scheduler.Now; Json = json }
        courier.Bring(ReceivedEvent("stripe", id, kind, objectId, json), true)

    let create (form: Collections.Specialized.NameValueCollection) =
        let value (field: string) = string form[field]
        let amount = int64 (value "amount")
        if books.PlatformDrained then
            400,
            error
                "invalid_request_error"
                "balance_insufficient"
                "You have insufficient funds in your Stripe account."
        elif scheduler.Chance (weather ()).Refused then
            400,
            error "invalid_request_error" "transfers_not_allowed" "This account cannot receive transfers."
        else
            let transfer = {
                Id = name "tr"
                Destination = value "destination"
                Currency = value "currency"
                Amount = amount
                Group = value "transfer_group"
                Metadata =
                    dict [
                        for key in [ "order_id"; "transfer_id"; "operation_id"; "attempt" ] ->
                            key, value $"metadata[{key}]"
                    ]
                    |> Dictionary
                Created = scheduler.Now
                Reversals = List()
            }
            books.Transfers.Add transfer
            emit "transfer.created" transfer.Id (transferJson transfer)
            say $"sends {amount} to {transfer.Destination} ({transfer.Id})"
            200, transferJson transfer

    let reverse (id: string) (form: Collections.Specialized.NameValueCollection) =
        match books.Transfers |> Seq.tryFind (fun transfer -> transfer.Id = id) with
        | None -> 404, error "invalid_request_error" "resource_missing" $"No such transfer: '{id}'"
        | Some transfer ->
            let amount = int64 (string form["amount"])
            let left = transfer.Amount - transfer.Reversed
            if left = 0L then
                400, error "invalid_request_error" "" $"The transfer {id} is already fully reversed."
            elif amount > left then
                400,
                error "invalid_request_error" "" "Transfer reversal amount is greater than unreversed amount."
            elif balance books transfer.Destination < amount then
                400,
                error
                    "invalid_request_error"
                    ""
                    "The recipient of this transfer does not have sufficient funds in their Stripe balance."
            elif scheduler.Chance (weather ()).Refused then
                400, error "invalid_request_error" "account_invalid" "This account cannot be debited now."
            else
                let reversal = {
                    Id = name "trr"
                    Amount = amount
                    Operation = string form["metadata[operation_id]"]
                    At = scheduler.Now
                }
                transfer.Reversals.Add reversal
                say $"takes {amount} of {id} back ({reversal.Id})"
                emit "transfer.reversed" transfer.Id (transferJson transfer)
                200, reversalJson transfer reversal

    let perform (path: string) form =
        if books.CodelessRefusals > 0 then
            books.CodelessRefusals <- books.CodelessRefusals - 1
            say "refuses, and gives no code"
            400, error "invalid_request_error" "" "The request could not be completed."
        elif path = "/v1/transfers" then
            create form
        else
            reverse (path.Split('/')[3]) form

    let read (uri: Uri) =
        let query = HttpUtility.ParseQueryString uri.Query
        let path = uri.AbsolutePath
        if path = "/v1/transfers" then
            let matches (transfer: StripeTransfer) =
                match Option.ofObj query["transfer_group"] with
                | Some group -> transfer.Group = group
                | None -> transfer.Destination = string query["destination"]
            200,
            listJson [ for transfer in Seq.rev (Seq.filter matches books.Transfers) -> transferJson transfer ]
        elif path = "/v1/events" then
            let isIn event =
                let at = event.At.ToUnixTimeSeconds()
                at >= int64 (string query["created[gte]"]) && at <= int64 (string query["created[lte]"])
            200, listJson [ for event in Seq.rev (Seq.filter isIn happened) -> event.Json ]
        elif path.StartsWith "/v1/disputes/" then
            match books.Disputes |> Seq.tryFind (fun dispute -> path = "/v1/disputes/" + dispute.Id) with
            | Some dispute -> 200, disputeJson dispute
            | None -> 404, error "invalid_request_error" "resource_missing" $"No such dispute: {path}"
        elif path.StartsWith "/v1/refunds/" then
            match
                books.Refunds.Values |> Seq.tryFind (fun refund -> path = "/v1/refunds/re_" + refund.Id)
            with
            | Some refund -> 200, refundJson refund
            | None -> 404, error "invalid_request_error" "resource_missing" $"No such refund: {path}"
        else
            let id = path.Split('/')[3]
            match books.Transfers |> Seq.tryFind (fun transfer -> transfer.Id = id) with
            | None -> 404, error "invalid_request_error" "resource_missing" $"No such transfer: '{id}'"
            | Some transfer when path.EndsWith "/reversals" ->
                200, listJson [ for reversal in Seq.rev transfer.Reversals -> reversalJson transfer reversal ]
            | Some transfer -> 200, transferJson transfer

    let answered (key: string) (path: string) (text: string) =
        let parameters = path + "?" + text
        match keys.TryGetValue key with
        | true, stored when scheduler.Now - stored.At < TimeSpan.FromHours 24. ->
            if stored.Parameters <> parameters then
                books.Complaints.Add $"The key {key} was used with other parameters."
                400,
                error
                    "idempotency_error"
                    ""
                    "Keys for idempotent requests can only be used with the same parameters.",
                []
            else
                stored.Status, stored.Body, [ "Idempotent-Replayed", "true" ]
        | _ ->
            if key = "" || key.Length > 255 then
                books.Complaints.Add $"A key of {key.Length} characters was sent."
            let form = HttpUtility.ParseQueryString text
            let fails = scheduler.Chance (weather ()).ServerError
            let takesEffect = scheduler.Chance 50
            let status, body =
                if fails && not takesEffect then
                    // Stripe may roll a failed operation forward later; what it has stored does not change.
                    if scheduler.Chance 30 then
                        let later = TimeSpan.FromMinutes(float (scheduler.Random.Next(1, 10)))
                        scheduler.After(
                            later,
                            fun () ->
                                say "rolls forward what it had called a 500"
                                perform path form |> ignore
                        )
                    500, error "api_error" "" "Something went wrong."
                else
                    let status, body = perform path form
                    if fails && status = 200 then
                        say "did it, and says 500"
                        500, error "api_error" "" "Something went wrong."
                    else
                        status, body
            // A missing object is a validation, which is not stored.
            if status <> 404 then
                keys[key] <- { Parameters = parameters; Status = status; Body = body; At = scheduler.Now }
            status,
            body,
            (if status = 500 then
                 [ "Stripe-Should-Retry", "false" ]
             else
                 [])

    /// Somebody at the dashboard.
    member _.ReverseByHand(transfer: StripeTransfer, amount: int64) =
        transfer.Reversals.Add {
            Id = $"trr_hand{transfer.Reversals.Count}_{transfer.Id}"
            Amount = amount
            Operation = "by hand"
            At = scheduler.Now
        }
        say $"{amount} of {transfer.Id} is reversed by hand"
        emit "transfer.reversed" transfer.Id (transferJson transfer)

    /// A word of the bank on a dispute.
    member _.Tell(kind: string, dispute: BankDispute) =
        emit $"charge.dispute.{kind}" dispute.Payment.Connector (disputeJson dispute)

    /// The bank has sent a refund back.
    member _.TellOfFailure(refund: ProviderRefund) =
        emit "refund.failed" $"re_{refund.Id}" (refundJson refund)

    /// The earliest of its events that no webhook has brought to this list.
    member _.Missing(recorded: string -> bool) =
        while brought < happened.Count && recorded happened[brought].Name do
            brought <- brought + 1
        if brought < happened.Count then
            ValueSome happened[brought].At
        else
            ValueNone

    member _.Answer(host: int, request: HttpRequestMessage) =
        task {
            let weather = weather ()
            let isPost = request.Method = HttpMethod.Post
            let uri = Unchecked.nonNull request.RequestUri
            do! scheduler.Pass(host, $"asks Stripe: {request.Method} {uri.AbsolutePath}")
            if scheduler.Chance weather.LostRequest then
                say "is not reached"
                if scheduler.Chance 50 then
                    raise (HttpRequestException(HttpRequestError.ConnectionError, "Connection refused"))
                else
                    raise (TaskCanceledException "The request timed out.")
            let key =
                match request.Headers.TryGetValues "Idempotency-Key" with
                | true, values -> Seq.head (Unchecked.nonNull values)
                | false, _ -> ""
            let! status, body, headers =
                task {
                    if scheduler.Chance weather.RateLimited then
                        return
                            429,
                            error "invalid_request_error" "rate_limit" "Too many requests.",
                            [ "Stripe-Rate-Limited-Reason", "global-rate" ]
                    elif isPost && scheduler.Chance weather.Locked then
                        return 429, error "invalid_request_error" "lock_timeout" "The object is locked.", []
                    elif not isPost then
                        let status, body = read uri
                        return status, body, []
                    elif not (running.Add key) then
                        return
                            409,
                            error
                                "idempotency_error"
                                "idempotency_key_in_use"
                                "There is currently another in-progress request using this key.",
                            []
                    else
                        let! text = (Unchecked.nonNull request.Content).ReadAsStringAsync()
                        let answer = answered key uri.AbsolutePath text
                        do! scheduler.Pass(0, "Stripe works")
                        running.Remove key |> ignore
                        return answer
                }
            do! scheduler.Pass(host, $"hears Stripe: {status}")
            if scheduler.Chance weather.LostAnswer then
                say $"answers {status}, which is lost"
                raise (TaskCanceledException "The request timed out.")
            // A crash or two may hide it; whoever hears it again and again is asking for a seller's money in vain.
            if status = 400 then
                heard[key] <- heard.GetValueOrDefault(key, 0) + 1
                if heard[key] = 4 then
                    books.Complaints.Add $"The stored refusal under {key} was heard four times."
            if status = 200 && scheduler.Chance weather.Garbled then
                say "answers 200, garbled"
                return respond 200 "{\"id\":" []
            else
                return respond status body headers
        }

/// What a host's Stripe client is given for a network.
type StripeNetwork(host: int, stripe: StripeModel) =
    inherit HttpMessageHandler()

    override _.SendAsync(request, _) = stripe.Answer(host, request)
