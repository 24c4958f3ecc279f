/// Aggregates are never forged here: they begin as they begin, and hear signals.
module Veza.Domain.Tests.Histories

open System
open Expecto
open FsCheck
open FsCheck.FSharp
open Veza.Domain
open Veza.Domain.Orders
open Veza.Domain.Refunds
open Veza.Domain.Transfers

let certain result = Expect.wantOk result "the test's own data should be valid"

let guid (number: int) = Guid(number, 0s, 0s, [| 0uy; 0uy; 0uy; 0uy; 0uy; 0uy; 0uy; 1uy |])
let now = DateTimeOffset(2026, 11, 23, 12, 0, 0, TimeSpan.Zero)
let euro = certain (Currency.parse "EUR")
let seller name = certain (SellerId.Parse name)
let account name = certain (StripeAccountId.Parse $"acct_{name}")
let tr number = certain (StripeTransferId.Parse $"tr_{number}")
let trr number = certain (StripeReversalId.Parse $"trr_{number}")

let policy = { MaxRetries = 3; Base = TimeSpan.FromSeconds 1.; Cap = TimeSpan.FromSeconds 10. }

let rules = {
    Sending = policy
    Reversing = policy
    FundsInterval = TimeSpan.FromHours 1.
    Lease = TimeSpan.FromMinutes 2.
}

let refundRules = { SweepAfter = TimeSpan.FromMinutes 2.; AbsentAfter = TimeSpan.FromMinutes 4. }

/// A transfer of 100.00 €, owed since now.
let owed =
    Transfer.schedule
        (TransferId(guid 3))
        (OrderId(guid 4))
        (seller "ada")
        (account "ada")
        { Minor = 100_00L; Currency = euro }
        now
        TimeSpan.Zero

let claim number amount = { Refund = RefundId(guid number); Amount = amount }
/// What a look-up comes to that gets no answer.
let noWord = { Cause = OtherCause; Code = "in_doubt"; Message = "No definite answer." }

let because cause = { Cause = cause; Code = "code"; Message = "message" }

/// One thing that happens to a transfer: a worker takes it, time passes, or it is told something.
type Step =
    | Taken
    | Passes of Minutes: int
    | Hears of Signal: TransferSignal

type Story = { Transfer: Transfer; At: DateTimeOffset; Movements: Movement list }

let live (story: Story) step =
    match step with
    | Taken -> ({ story with Transfer = Transfer.claimed rules story.At story.Transfer }: Story)
    | Passes minutes -> { story with At = story.At.AddMinutes(float minutes) }
    | Hears signal ->
        match Transfer.apply rules story.At signal story.Transfer with
        | Advanced(next, movements) -> { story with Transfer = next; Movements = story.Movements @ movements }
        | Unchanged
        | Refused _ -> story

let tell steps = List.fold live { Transfer = owed; At = now; Movements = [] } steps

let private answers receipt cause =
    Gen.elements [
        Accepted receipt
        Denied(because OtherCause, false)
        Denied(because OtherCause, true)
        Denied(because cause, false)
        NotExecuted(RateLimited, "")
        NotExecuted(CircuitOpen, "")
        InDoubt NoAnswer
        InDoubt StoredServerError
        Missing
        Duplicate("seen before", false)
        Duplicate("seen before", true)
        KeyReused "other parameters"
    ]

let private signal =
    Gen.frequency [
        4, Gen.map TransferAnswered (answers (tr 1) PlatformFunds)
        1, Gen.map TransferSeen (Gen.elements [ []; [ tr 1 ]; [ tr 1; tr 2 ] ])
        3,
        Gen.map2
            (fun number amount -> RefundSucceeded(claim number amount))
            (Gen.choose (1, 4))
            (Gen.elements [ 10_00L; 25_00L; 100_00L ])
        1,
        Gen.map2
            (fun number amount -> ClaimResized(claim number amount))
            (Gen.choose (1, 4))
            (Gen.elements [ 0L; 5_00L; 25_00L; 100_00L ])
        4,
        Gen.map
            ReversalAnswered
            (Gen.choose (1, 9) |> Gen.bind (fun number -> answers (trr number) SellerFunds))
        2,
        Gen.map2
            (fun ours reversed -> ReversalSeen { Ours = ours; AmountReversed = reversed; Keyless = [] })
            (Gen.elements [ None; Some(trr 2) ])
            (Gen.elements [ 0L; 10_00L; 100_00L ])
        2,
        Gen.map2
            (fun ours reversed -> ReversalsNoticed { Ours = ours; AmountReversed = reversed; Keyless = [] })
            (Gen.elements [ None; None; Some(trr 3) ])
            (Gen.elements [ 10_00L; 30_00L; 100_00L ])
        1,
        Gen.elements [
            LookUpFailed noWord
            StripeIdMissing
            RetryRequested
            WriteOffRequested
            RedirectRequested(account "bob")
            FundsArrived
        ]
    ]

let private step =
    Gen.frequency [
        3, Gen.constant Taken
        1, Gen.map Passes (Gen.elements [ 1; 10; 60; 24 * 60 ])
        6, Gen.map Hears signal
    ]

/// Orders of one to five sellers, of up to a million each, with any fee, in currencies with and without decimals.
type Basket = { Gross: int64 list; Bps: int; Policy: FeeRefundPolicy; Code: string }

let private basket =
    gen {
        let! sellers = Gen.choose (1, 5)
        let! gross = Gen.listOfLength sellers (Gen.choose64 (0L, 1_000_000_00L))
        let! bps = Gen.elements [ 0; 1; 250; 999; 1000; 3333; 10_000 ]
        let! policy = Gen.elements [ Proportional; Keep ]
        let! code = Gen.elements [ "EUR"; "JPY"; "KWD" ]
        return {
            Gross = (if List.sum gross = 0L then 1L :: List.tail gross else gross)
            Bps = bps
            Policy = policy
            Code = code
        }
    }

type Arbitraries =
    static member Step() = Arb.fromGen step
    static member Signal() = Arb.fromGen signal
    static member Basket() = Arb.fromGen basket

let config = {
    FsCheckConfig.defaultConfig with
        arbitrary = [ typeof<Arbitraries> ]
        maxTest = 1000
        endSize = 40
}

/// Two sellers, and a fee of a tenth.
let two = { Gross = [ 60_00L; 40_00L ]; Bps = 1000; Policy = Proportional; Code = "EUR" }

let property name = testPropertyWithConfig config name

let sellerOf place = seller $"seller-{place}"

let orderOf basket =
    let lines = [
        for place, gross in List.indexed basket.Gross ->
            {
                Id = LineId(guid (100 + place))
                License = LicenseId(guid (200 + place))
                Product = $"product-{place}"
                Seller = sellerOf place
                Quantity = 1
                UnitAmount = gross
                LicenseKind = "standard"
                LicenseExpiresAt = None
                RefundedBy = None
            }
    ]
    let terms = [
        for place in 0 .. basket.Gross.Length - 1 ->
            {
                Seller = sellerOf place
                Account = account $"seller{place}"
                FeeBps = basket.Bps
                Transfer = TransferId(guid (300 + place))
            }
    ]
    certain (
        Order.create
            (OrderId(guid 4))
            "buyer"
            (certain (Currency.parse basket.Code))
            basket.Policy
            lines
            terms
    )

let advance signal order =
    match Order.apply signal order with
    | Advanced next -> next
    | Unchanged -> order
    | Refused why -> failtest $"{signal} was refused: {why}"
