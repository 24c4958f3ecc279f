/// The commands of `veza`, run as a person runs them.
module Veza.Host.Tests.CommandTests

open System.Collections.Generic
open System.Diagnostics
open System.Threading.Tasks
open Expecto
open Veza.Host.Tests.CrashTests

let veza (settings: (string * string) list) (arguments: string list) =
    task {
        let start =
            ProcessStartInfo(
                program,
                List<string> arguments,
                RedirectStandardOutput = true,
                RedirectStandardError = true
            )
        for name, value in settings do
            start.Environment[name] <- value
        use command = nonNull (Process.Start start)
        let output = command.StandardOutput.ReadToEndAsync()
        let! errors = command.StandardError.ReadToEndAsync()
        let! output = output
        do! command.WaitForExitAsync()
        return command.ExitCode, output, errors
    }

let private settings connectionString = [
    "DATABASE_URL", connectionString
    "HYPERSWITCH_BASE_URL", "http://127.0.0.1:1"
    "HYPERSWITCH_API_KEY", "snd_a_very_secret_key"
    "STRIPE_SECRET_KEY", "sk_test_a_very_secret_key"
    "HYPERSWITCH_WEBHOOK_SECRET", "a_very_secret_webhook_secret"
]

[<Tests>]
let tests =
    testList "commands" [
        testTask "bad settings: it refuses to start and names every one" {
            let! code, _, errors =
                veza [
                    "DATABASE_URL", "nonsense"
                    "PLATFORM_FEE_BPS", "10001"
                    "SWEEP_AFTER", "soon"
                    "FEE_REFUND_POLICY", "maybe"
                    "REVERSAL_BATCH_SIZE", "0"
                ] [ "serve" ]
            Expect.equal code 1 ""
            for name in
                [
                    "DATABASE_URL"
                    "PLATFORM_FEE_BPS"
                    "SWEEP_AFTER"
                    "FEE_REFUND_POLICY"
                    "REVERSAL_BATCH_SIZE"
                    "HYPERSWITCH_BASE_URL"
                    "HYPERSWITCH_API_KEY"
                    "STRIPE_SECRET_KEY"
                ] do
                Expect.stringContains errors name "each faulty one"
        }
        testTask "check-config shows every setting and no secret" {
            let! code, output, errors = veza (settings "postgres://u:hidden_password@h/db") [ "check-config" ]
            Expect.equal code 0 ""
            Expect.stringContains output "TRANSFER_RETRY_BACKOFF_MAX" ""
            for secret in [ "hidden_password"; "very_secret" ] do
                Expect.isFalse ((output + errors).Contains secret) secret
        }
        testTask "serve refuses a database that is behind, and migrate brings it forward" {
            let! connectionString = Databases.bare ()
            let settings = ("VEZA_URLS", "http://127.0.0.1:0") :: settings connectionString
            let! refused, _, errors = veza settings [ "serve" ]
            Expect.equal refused 1 ""
            Expect.stringContains errors "veza migrate" "it says what to do"
            let! migrated, _, _ = veza settings [ "migrate" ]
            let! again, output, _ = veza settings [ "migrate" ]
            Expect.equal (migrated, again) (0, 0) ""
            Expect.stringContains output "up to date" ""
        }
        testTask "api-keys are shown once, listed without the key, and revoked" {
            let! connectionString = Databases.fresh ()
            let settings = settings connectionString
            let! (created: int), (key: string), (_: string) =
                veza settings [ "api-keys"; "create"; "--role"; "operator"; "--name"; "grace" ]
            Expect.equal created 0 ""
            Expect.stringStarts (key.Trim()) "veza_operator_" "on standard output alone"
            let! (_: int), (listed: string), (_: string) = veza settings [ "api-keys"; "list"; "--json" ]
            Expect.stringContains listed "grace" ""
            Expect.isFalse (listed.Contains(key.Trim())) "only its hash is stored"
            let id = System.Text.Json.JsonDocument.Parse(listed).RootElement[0].GetProperty("id").GetString()
            let! revoked, _, _ = veza settings [ "api-keys"; "revoke"; nonNull id ]
            Expect.equal revoked 0 ""
            let! unknown, _, _ =
                veza settings [ "api-keys"; "revoke"; "01980000-0000-7000-8000-000000000000" ]
            Expect.equal unknown 1 ""
            let! badRole, _, _ = veza settings [ "api-keys"; "create"; "--role"; "king"; "--name"; "x" ]
            Expect.notEqual badRole 0 ""
        }
        testTask "export-spec speaks three formats" {
            for format, sign in [ "markdown", "| "; "mermaid", "stateDiagram-v2"; "json", "\"transitions\"" ] do
                let! code, output, _ = veza [] [ "export-spec"; "--format"; format ]
                Expect.equal code 0 format
                Expect.stringContains output sign format
        }
        testTask "every command has help" {
            for command in
                [
                    []
                    [ "serve" ]
                    [ "migrate" ]
                    [ "api-keys" ]
                    [ "api-keys"; "create" ]
                    [ "check-config" ]
                    [ "export-spec" ]
                    [ "reconcile" ]
                    [ "backfill-transfer-ids" ]
                    [ "smoke" ]
                ] do
                let! code, output, _ = veza [] (command @ [ "--help" ])
                Expect.equal code 0 ""
                Expect.stringContains output "Usage" (String.concat " " command)
        }
        testTask "every setting is explained in .env.template" {
            let! _, output, _ = veza (settings "postgres://u:p@h/db") [ "check-config" ]
            let template =
                System.IO.File.ReadAllText(
                    System.IO.Path.Combine(__SOURCE_DIRECTORY__, "..", "..", ".env.template")
                )
            for found in System.Text.RegularExpressions.Regex.Matches(output, @"│ ([A-Z][A-Z_]+) ") do
                Expect.stringContains template (found.Groups[1].Value + "=") found.Groups[1].Value
        }
    ]
