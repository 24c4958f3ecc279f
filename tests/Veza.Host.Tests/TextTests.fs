/// Text that cannot be kept, at every field, parameter, header and path of the API's description: never a fault of Veza's,
/// and no webhook lost.
module Veza.Host.Tests.TextTests

open System
open System.Net.Sockets
open System.Text
open System.Threading.Tasks
open Expecto
open NJsonSchema
open NSwag
open Veza.Host.Tests.Scene

type private Json =
    | Object of (string * Json) list
    | Array of Json list
    | Text of string
    /// As it stands.
    | Plain of string

let private quoted (text: string) = "\"" + text + "\""

let rec private written json =
    match json with
    | Object members ->
        let members = [ for name, value in members -> $"{quoted name}:{written value}" ]
        "{" + String.Join(",", members) + "}"
    | Array items -> "[" + String.Join(",", items |> List.map written) + "]"
    | Text text -> quoted text
    | Plain text -> text

let private nobody = "01a20d86-0000-7000-8000-000000000000"

/// With every field that the description names.
let rec private sample (schema: JsonSchema) =
    let schema = schema.ActualSchema
    match schema.Type &&& ~~~JsonObjectType.Null with
    | JsonObjectType.String when schema.Enumeration.Count > 0 -> Text(string (Seq.head schema.Enumeration))
    | JsonObjectType.String ->
        match schema.Format, schema.Pattern with
        | "uuid", _ -> Text nobody
        | "date-time", _ -> Text "2026-11-24T12:00:00Z"
        | "uri", _ -> Text "https://example.com/"
        | _, "^[A-Z]{3}$" -> Text "EUR"
        | _ -> Text "acct_ada"
    | JsonObjectType.Integer ->
        Plain(
            string (
                if schema.Minimum.HasValue then
                    int64 schema.Minimum.Value
                else
                    1L
            )
        )
    | JsonObjectType.Boolean -> Plain "true"
    | JsonObjectType.Array -> Array [ sample (nonNull schema.Item) ]
    | _ when schema.AdditionalPropertiesSchema <> null -> Object [ "colour", Text "red" ]
    | _ -> Object [ for property in schema.ActualProperties -> property.Key, sample property.Value ]

/// One for each text in it, with that text replaced, and for each object whose fields have names of the caller's choice;
/// and the field that is then at fault.
let rec private spoiled (bad: string) (place: string) json = [
    match json with
    | Text _ -> place, Plain(quoted bad)
    | Plain _ -> ()
    | Array items ->
        for index, item in List.indexed items do
            for field, changed in spoiled bad $"{place}[{index}]" item do
                field, Array(List.updateAt index changed items)
    | Object members ->
        for index, (name, value) in List.indexed members do
            let field = if place = "" then name else $"{place}.{name}"
            for field, changed in spoiled bad field value do
                field, Object(List.updateAt index (name, changed) members)
        (if place = "" then "body" else place), Object((bad, Plain "1") :: members)
]

let private operations = [
    for path in (ApiDocument.read "openapi.json").Paths do
        for operation in path.Value -> operation.Key.ToUpperInvariant(), path.Key, operation.Value
]

let private place (path: string) =
    path
        .Replace("/admin/webhook-events/{id}", "/admin/webhook-events/999999999")
        .Replace("{id}", nobody)
        .Replace("{position}", "1")
        .Replace("{seller_id}", "ada")

let private bodies = [
    for verb, path, operation in operations do
        if operation.RequestBody <> null && path.StartsWith "/api/" then
            let media = operation.RequestBody.Content["application/json"]
            verb, place path, sample media.Schema
]

let private fieldsOf (answer: Answer) =
    match answer.Body.TryGetProperty "errors" with
    | true, _ -> items "errors" answer.Body |> List.map (fun fault -> text "field" fault, text "code" fault)
    | false, _ -> []

let private patient = [ "API_RATE_LIMIT", "100000" ]

/// A whole request, with bytes at the end of one header.
let private request (scene: Scene) verb path (header: string) (bad: byte[]) (body: string) =
    let key =
        if header.StartsWith "Authorization" then
            []
        else
            [ "Authorization: Bearer " + scene.Key "operator" ]
    let lines =
        [ $"{verb} {path} HTTP/1.1"; "Host: x"; $"Content-Length: {body.Length}"; "Connection: close" ]
        @ key
        @ [ if header = "" then "Accept: */*" else header ]
    Array.concat [
        Encoding.ASCII.GetBytes(String.Join("\r\n", lines))
        bad
        Encoding.ASCII.GetBytes("\r\n\r\n" + body)
    ]

/// As it goes over the wire; answers the status.
let private raw (scene: Scene) (request: byte[]) =
    task {
        let address = Uri scene.Address
        use client = new TcpClient(address.Host, address.Port)
        let stream = client.GetStream()
        do! stream.WriteAsync request
        let buffer = Array.zeroCreate<byte> 64
        let! length = stream.ReadAtLeastAsync(Memory buffer, 12, false)
        return int (Encoding.ASCII.GetString(buffer, 0, length).Split(' ')[1])
    }

let private eventually (scene: Scene) sql expected =
    scene.Until(
        $"{sql} to be {expected}",
        fun () ->
            task {
                let! found = scene.Scalar<string> sql
                return found.StartsWith(expected: string)
            }
    )

[<Tests>]
let tests =
    testList "text" [
        play
            "in every field of every body: U+0000 and half a surrogate pair are 422 by name"
            patient
            (fun scene ->
                task {
                    Expect.isGreaterThan bodies.Length 10 "there are bodies"
                    for verb, path, body in bodies do
                        for bad in [ "a\\u0000b"; "\\ud800"; "a\\udc00b" ] do
                            for field, changed in spoiled bad "" body do
                                let! answer = scene.As("operator", verb, path, written changed)
                                Expect.equal answer.Status 422 $"{verb} {path} {written changed}"
                                Expect.contains (fieldsOf answer) (field, "not_a_text") $"{verb} {path}"
                })
        play "in every body: what is not UTF-8 is 400" patient (fun scene ->
            task {
                for verb, path, body in bodies do
                    for field, changed in spoiled "?" "" body do
                        for bytes in [ [| 0xFFuy |]; [| 0xEDuy; 0xA0uy; 0x80uy |]; [| 0xC0uy; 0x80uy |] ] do
                            let parts = (written changed).Split('?', 2)
                            let sent =
                                Array.concat [
                                    Encoding.UTF8.GetBytes parts[0]
                                    bytes
                                    Encoding.UTF8.GetBytes parts[1]
                                ]
                            let headers = [ "Authorization", "Bearer " + scene.Key "operator" ]
                            let! answer = scene.SendBytes(verb, path, sent, headers)
                            Expect.equal
                                (answer.Status, answer.Code)
                                (400, "invalid_json")
                                $"{verb} {path} {field}"
            })
        play "in every body: a field given twice is 422 by name, at any depth" patient (fun scene ->
            task {
                let rec twice (place: string) json = [
                    match json with
                    | Text _
                    | Plain _ -> ()
                    | Array items ->
                        for index, item in List.indexed items do
                            for field, changed in twice $"{place}[{index}]" item do
                                field, Array(List.updateAt index changed items)
                    | Object members ->
                        for index, (name, value) in List.indexed members do
                            let field = if place = "" then name else $"{place}.{name}"
                            field, Object(members @ [ name, value ])
                            for field, changed in twice field value do
                                field, Object(List.updateAt index (name, changed) members)
                ]
                for verb, path, body in bodies do
                    for field, changed in twice "" body do
                        let! answer = scene.As("operator", verb, path, written changed)
                        Expect.equal answer.Status 422 $"{verb} {path} {written changed}"
                        Expect.contains (fieldsOf answer) (field, "duplicate_field") $"{verb} {path}"
            })
        play "in every parameter of every query: 422 by name, and so is one given twice" patient (fun scene ->
            task {
                let mutable count = 0
                for verb, path, operation in operations do
                    for parameter in operation.ActualParameters do
                        if parameter.Kind = OpenApiParameterKind.Query then
                            count <- count + 1
                            for bad in [ "%00"; "a%00b"; "%FF"; "%ED%A0%80"; "%C0%80" ] do
                                let! answer =
                                    scene.As("operator", verb, $"{place path}?{parameter.Name}={bad}", "")
                                Expect.equal answer.Status 422 $"{verb} {path} {parameter.Name}={bad}"
                                Expect.contains (fieldsOf answer) (parameter.Name, "not_a_text") path
                            let query = $"{parameter.Name}=1&{parameter.Name}=1"
                            let! twice = scene.As("operator", verb, $"{place path}?{query}", "")
                            Expect.contains (fieldsOf twice) (parameter.Name, "duplicate_field") path
                Expect.isGreaterThan count 30 "there are parameters"
            })
        play "in every path: never a fault of Veza's" patient (fun scene ->
            task {
                for verb, path, _ in operations do
                    for bad in [ "%00"; "%FF"; "%ED%A0%80"; "%C0%80"; "%2F"; "%"; "%2E%2E" ] do
                        if path.Contains '{' then
                            let changed = RegularExpressions.Regex.Replace(path, @"\{\w+\}", bad)
                            let! status = raw scene (request scene verb changed "" [||] "")
                            Expect.isLessThan status 500 $"{verb} {changed}"
                let! status = scene.As("operator", "GET", "/api/v1/sellers/%FF/balance", "")
                Expect.equal (status.Status, fieldsOf status) (422, [ "seller_id", "not_a_text" ]) ""
                let! bare = scene.As("operator", "GET", "/api/v1/sellers/a%00b", "")
                Expect.equal bare.Status 400 "the server itself cannot read it"
                scene.World.Stripe.Open "acct_ada"
                let body = """{"stripe_account_id":"acct_ada"}"""
                for path in [ "/api/v1/x/../sellers/./a%2Fb"; "http://x/api/v1/sellers/plain" ] do
                    let! made = raw scene (request scene "PUT" path "" [||] body)
                    Expect.equal made 200 path
                let! one = scene.Scalar<string> "select string_agg(id, ' ' order by id) from sellers"
                Expect.equal one "a/b plain" "the server has obeyed the dots, and read the authority"
            })
        play "in every header: never a fault of Veza's" patient (fun scene ->
            task {
                let requests = [
                    "POST", "/api/v1/orders", "Idempotency-Key"
                    "POST", "/api/v1/orders", "X-Request-Id"
                    "POST", "/api/v1/orders", "Authorization"
                    "GET", "/api/v1/events", "Last-Event-ID"
                    "POST", $"/api/v1/admin/transfers/{nobody}/retry", "If-Match"
                    "GET", "/api/v1/orders", "Accept"
                    "POST", "/webhooks/stripe", "Stripe-Signature"
                    "POST", "/webhooks/hyperswitch", "X-Webhook-Signature-512"
                    "GET", "/health/ready", "Cookie"
                ]
                for verb, path, header in requests do
                    for bad in
                        [
                            [| 0uy |]
                            [| 0xFFuy |]
                            [| 0xEDuy; 0xA0uy; 0x80uy |]
                            [| 0xC0uy; 0x80uy |]
                            [| 1uy |]
                        ] do
                        let! status = raw scene (request scene verb path $"{header}: a" bad "{}")
                        Expect.isLessThan status 500 $"{verb} {path} {header} %A{bad}"
                let twice = "Idempotency-Key: a\r\nIdempotency-Key: b"
                let cancel = $"/api/v1/subscriptions/{nobody}/cancel"
                let! status = raw scene (request scene "POST" cancel twice [||] "")
                Expect.equal status 422 "which of the two?"
            })
        play
            "a webhook's text that cannot be kept: 200, recorded once, visible, and to the byte"
            []
            (fun scene ->
                task {
                    let bodies = [
                        """{"event_id":"evt_\u0000","id":"evt_\u0000","event_type":"x\u0000","type":"y\u0000"}"""
                        """{"event_id":"evt_\ud800","id":"evt_\udc00","event_type":"\ud800","type":"\ud800"}"""
                        """{"\ud800":1,"event_id":"a","id":"b"}"""
                        """{"event_id":7,"id":{},"event_type":[],"data":3,"content":"\u0000"}"""
                        sprintf """{"event_id":"%s","id":"%s"}""" (String('e', 4000)) (String('i', 4000))
                        """{"event_id":"evt_n","event_type":"payment_succeeded","content":{"type":"payment_details","object":{"payment_id":"pay_\u0000","status":"succeeded","amount":1,"currency":"EUR"}}}"""
                        """{"id":"evt_t","type":"transfer.created","livemode":false,"data":{"object":{"id":"tr_\u0000","amount":5,"currency":"eur","destination":"acct_\ud800","metadata":{}}}}"""
                        """{"id":"evt_p","type":"payout.paid","account":"acct_\u0000","livemode":false,"data":{"object":{"id":"po_\ud800","status":"\u0000","amount":5,"currency":"eur"}}}"""
                        """{"id":"evt_d","type":"charge.dispute.created","livemode":false,"data":{"object":{"id":"dp_\u0000","status":"\u0000","payment_intent":"pi_\u0000","amount":5,"currency":"eur"}}}"""
                    ]
                    for provider in [ "hyperswitch"; "stripe" ] do
                        for body in bodies do
                            for _ in 1..2 do
                                let! answer = scene.WebhookOf(provider, Encoding.UTF8.GetBytes body)
                                Expect.equal answer.Status 200 $"{provider} {body}"
                        let! kept =
                            scene.Scalar<int64>
                                $"select count(*) from webhook_events where provider = '{provider}'"
                        Expect.equal kept (int64 bodies.Length) "each once"
                    do!
                        scene.Until(
                            "each to be concluded",
                            fun () ->
                                task {
                                    let! waiting =
                                        scene.Scalar<int64>
                                            "select count(*) from webhook_events where state not in ('ignored', 'parked', 'poisoned', 'quarantined', 'asking')"
                                    return waiting = 0L
                                }
                        )
                    let! list = scene.As("operator", "GET", "/api/v1/admin/webhook-events?limit=100", "")
                    Expect.hasLength (items "data" list.Body) (2 * bodies.Length) "and is seen"
                    for event in items "data" list.Body do
                        let path = $"""/api/v1/admin/webhook-events/{number "id" event}"""
                        let! one = scene.As("operator", "GET", path, "")
                        Expect.contains bodies (one.Text "body") "with its body as it came"
                })
        play "a webhook that is not UTF-8 takes effect all the same, and is kept to the byte" [] (fun scene ->
            task {
                let! order = scene.Order()
                let! payment = scene.OfferPayment order
                let before =
                    $$$"""  {"event_id":"evt_8","event_type":"payment_succeeded","content":{"type":"payment_details","object":{"payment_id":"{{{payment.Text "payment_id"}}}","status":"succeeded","amount":10000,"currency":"EUR","metadata":{"order_id":"{{{order}}}"},"name":"J"""
                let body =
                    Array.concat [
                        Encoding.UTF8.GetBytes before
                        [| 0xF6uy |]
                        Encoding.UTF8.GetBytes """rg\u0000 \ud800"}}} """
                    ]
                let! answer = scene.WebhookOf("hyperswitch", body)
                Expect.equal answer.Status 200 ""
                do! scene.OrderIs(order, "completed")
                do! eventually scene "select state from webhook_events where event_id = 'evt_8'" "processed"
                let! id = scene.Scalar<int64> "select seq from webhook_events where event_id = 'evt_8'"
                let! kept = scene.As("operator", "GET", $"/api/v1/admin/webhook-events/{id}", "")
                Expect.equal (Convert.FromBase64String(kept.Text "body_base64")) body "every byte"
            })
    ]
