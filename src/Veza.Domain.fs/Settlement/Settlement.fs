/// What one fact from a provider does to everything it concerns: all of it or nothing.
namespace Veza.Domain

open Veza.Domain.Ledger
open Veza.Domain.Licenses
open Veza.Domain.Orders
open Veza.Domain.Deposits
open Veza.Domain.Refunds
open Veza.Domain.Subscriptions
open Veza.Domain.Transfers

/// A payment as Hyperswitch describes it, in a webhook or in an answer.
type PaymentFact = {
    Payment: string
    /// What was captured, in minor units.
    Amount: int64
    Currency: string
    /// Our order's id in the payment's metadata, where it was sent on.
    OrderNamed: string | null
}

/// What Hyperswitch says of a payment. `Refusal`: why nothing was paid, where that is so.
type PaymentReport = { Fact: PaymentFact; Meaning: PaymentMeaning; Refusal: Refusal }

/// A refund as Hyperswitch describes it.
type RefundReport = { Amount: int64; Currency: string; Payment: string; Says: RefundFact }

/// Payments that stand outside of an order's books.
module PaymentHolding =
    /// Why a payment does not pay exactly this; none if it does.
    let strayFrom (asked: Money) (fact: PaymentFact) =
        if asked.Is(fact.Amount, fact.Currency) then
            None
        elif asked.Currency.HasCode fact.Currency then
            Some WrongAmount
        else
            Some WrongCurrency

    let doubt stray =
        match stray with
        | LatePayment -> OrderNotPayable
        | SecondPayment -> OrderNotPayable
        | WrongAmount -> AmountDiffers
        | WrongCurrency -> CurrencyDiffers
        | WrongOrder -> OrderDiffers
        | CapturedInPart -> PartiallyCaptured

    /// What leaves by itself needs nobody's attention; what does not, as long as it is there.
    let private attention stray (deposit: Deposit) = if deposit.Status.IsHeld then Some(doubt stray) else None

    /// Booked to suspense once, however often it is reported.
    let held rules now (fact: PaymentFact) origin stray deposit =
        match deposit, Currency.parse (fact.Currency.ToUpperInvariant()) with
        | _, Error _ -> Quarantined CurrencyDiffers
        | None, Ok currency ->
            let amount = { Minor = fact.Amount; Currency = currency }
            let deposit = Deposit.hold now fact.Payment origin amount stray
            Settled(Effect.depositHeld deposit |> Effect.noticed (attention stray deposit))
        | Some(known: Deposit), Ok currency when known.Amount.Currency <> currency ->
            Quarantined CurrencyDiffers
        | Some known, Ok _ ->
            let signal = AmountCaptured fact.Amount
            match Deposit.apply rules now signal known, attention stray known with
            | Advanced next, _ ->
                Settled(Effect.ofDeposit known signal next |> Effect.noticed (attention stray next))
            | (Unchanged | Refused _), None -> AlreadyKnown
            | (Unchanged | Refused _), Some why -> Quarantined why

    /// A void after the capture gives back all that is left, as a refund does.
    let voided rules now (deposit: Deposit) =
        let withdrawal = { Name = "void"; Amount = Deposit.left deposit; By = ByRefund Taken }
        let signal = WithdrawalSeen(withdrawal, ByAnswer)
        match Deposit.apply rules now signal deposit with
        | Advanced next when withdrawal.Amount > 0L -> Settled(Effect.ofDeposit deposit signal next)
        | Advanced _
        | Unchanged
        | Refused _ -> AlreadyKnown

module Settlement =
    /// Against the frozen intent: a payment of another amount, currency or order completes nothing.
    let private mismatch (fact: PaymentFact) (order: Order) =
        if not (isNull fact.OrderNamed) && fact.OrderNamed <> order.Id.Value.ToString "D" then
            Some WrongOrder
        else
            PaymentHolding.strayFrom order.Price fact

    /// Whether Hyperswitch holds the payment at what was asked for.
    let isAskedFor (order: Order) (fact: PaymentFact) = (PaymentHolding.strayFrom order.Price fact).IsNone

    let private granted (order: Order) = [
        for line in order.Lines ->
            License.grant
                line.License
                order.Id
                line.Id
                order.Buyer
                line.Product
                line.LicenseKind
                line.LicenseExpiresAt
    ]

    /// A leg of zero is closed without a transfer.
    let private scheduled now hold (order: Order) = [
        for leg in order.Legs do
            if leg.Net > 0L then
                let amount = { Minor = leg.Net; Currency = order.Currency }
                Transfer.schedule leg.Transfer order.Id leg.Seller leg.Account amount now hold
    ]

    let private isPaid (order: Order) =
        match order.Status with
        | OrderStatus.Completed
        | PartiallyRefunded
        | OrderStatus.Refunded -> true
        | Created
        | AwaitingPayment
        | PaymentFailed
        | OrderStatus.Cancelled -> false

    /// The buyer paid: the order is complete, its licenses are granted and every seller's transfer is owed.
    let private completed now hold (order: Order) (next: Order) = {
        Effect.nothing with
            Steps = [
                Step.order order PaymentSucceeded next
                yield! granted next |> List.map Step.licenseGranted
                yield! scheduled now hold next |> List.map Step.transferScheduled
            ]
            Books = [ Effect.ofOrder next "order" next.Id.Value (Ledger.ofPayment next) ]
    }

    let private paid rules now hold fact (order: Order) (deposit: Deposit option) =
        match mismatch fact order, Order.apply PaymentSucceeded order with
        | Some stray, _ when isPaid order -> Quarantined(PaymentHolding.doubt stray)
        | Some stray, _ -> PaymentHolding.held rules now fact (OfOrder order.Id) stray deposit
        | None, Unchanged -> AlreadyKnown
        | None, Refused _ when order.Status.IsCancelled ->
            PaymentHolding.held rules now fact (OfOrder order.Id) LatePayment deposit
        | None, Refused _ -> Quarantined OrderNotPayable
        | None, Advanced next ->
            let completed = completed now hold order next
            match deposit with
            | None -> Settled completed
            | Some deposit ->
                match Deposit.apply rules now OrderTookIt deposit with
                | Unchanged -> Settled completed
                | Advanced adopted ->
                    Settled(completed |> Effect.andThen (Effect.ofDeposit deposit OrderTookIt adopted))
                | Refused _ -> Quarantined PartlyTakenBack

    /// The payment failed, expired or was cancelled; the same payment may still be tried again.
    let private failed (order: Order) =
        match Order.apply PaymentHasFailed order with
        | Advanced next -> Settled(Effect.ofSteps [ Step.order order PaymentHasFailed next ])
        | Unchanged -> AlreadyKnown
        | Refused _ -> Quarantined OrderNotPayable

    /// What Hyperswitch says of an order's payment: every word leads somewhere.
    let paymentReported rules now hold (report: PaymentReport) (order: Order) deposit =
        if report.Fact.Payment <> (PaymentId.For order.Id).Value then
            Quarantined PaymentDiffers
        else
            match report.Meaning with
            | AwaitsBuyer
            | BeingProcessed -> AlreadyKnown
            | PaidInFull -> paid rules now hold report.Fact order deposit
            // Late news of a payment that was captured to the end meanwhile.
            | (PaidInPart | Uncaptured) when isPaid order -> AlreadyKnown
            | PaidInPart ->
                PaymentHolding.held rules now report.Fact (OfOrder order.Id) CapturedInPart deposit
            | PaymentMeaning.NothingPaid -> failed order
            | PaidAndVoided ->
                match deposit with
                | Some deposit -> PaymentHolding.voided rules now deposit
                | None when isPaid order -> Quarantined PaymentVoided
                | None -> failed order
            | Uncaptured -> Quarantined NotCaptured
            | UnderReview -> Quarantined PaymentInReview
            | UnknownWord -> Quarantined UnknownStatus

    let private reservationOf (refund: Refund) = {
        Refund = refund.Id
        Scope = refund.Scope
        Shares = refund.Shares
    }

    /// The seller's share itself and what made good for refunds that failed, oldest first.
    let private ofLeg (leg: Leg) (transfers: Transfer list) =
        transfers
        |> List.filter (fun transfer -> transfer.Seller = leg.Seller)
        |> List.sortBy (fun transfer -> transfer.Id <> leg.Transfer, transfer.Id)

    /// What one leg gives back because of a refund.
    type private Part = { Leg: Leg; Amount: int64; OfFee: int64; OfSeller: int64; From: Transfer list }

    /// What each leg gives back because of a refund, or gets back when it is undone. The sums decide, not the
    /// steps, so any sequence of refunds and undone refunds ends exactly where one refund of the sum would.
    let private parts (refund: Refund) (before: Order) (after: Order) transfers = [
        for leg, next in List.zip before.Legs after.Legs do
            match refund.Shares |> List.tryFind (fun share -> share.Seller = leg.Seller) with
            | Some share ->
                let feeBefore, sellerBefore =
                    Allocation.givenBack before.FeePolicy leg.Gross leg.Fee leg.Refunded
                let feeAfter, sellerAfter =
                    Allocation.givenBack before.FeePolicy leg.Gross leg.Fee next.Refunded
                {
                    Leg = leg
                    Amount = share.Amount
                    OfFee = abs (feeAfter - feeBefore)
                    OfSeller = abs (sellerAfter - sellerBefore)
                    From = ofLeg leg transfers
                }
            | None -> ()
    ]

    /// By lines or of the rest: those lines' licenses. By amount: all of them, once nothing is left.
    let private revoked (refund: Refund) (order: Order) licenses = [
        for license: License in licenses do
            let isOfLine (line: Line) = line.Id = license.Line && line.RefundedBy = Some refund.Id
            if order.Status.IsRefunded || order.Lines |> List.exists isOfLine then
                let signal = LineRefunded refund.Id
                match License.apply signal license with
                | Some next -> Step.license license signal next
                | None -> ()
    ]

    /// A transfer that hears one thing after another: each step, and all that moved.
    type private Hearing = { Transfer: Transfer; Steps: Step list; Movements: Movement list }

    let private listening transfer = { Transfer = transfer; Steps = []; Movements = [] }

    let private hears rules now signal hearing =
        match Transfer.apply rules now signal hearing.Transfer with
        | Advanced(next, moved) -> {
            Transfer = next
            Steps = hearing.Steps @ [ Step.transfer hearing.Transfer signal next ]
            Movements = hearing.Movements @ moved
          }
        | Unchanged
        | Refused _ -> hearing

    /// What the refund takes from one transfer: first what is on its way back for nobody, then what is free.
    let private claimedFrom rules now (refund: Refund) left (transfer: Transfer) =
        let resumed = min left transfer.Undoing
        let claimed = min (left - resumed) transfer.Unclaimed
        let resume hearing =
            match hearing.Transfer.ToTake with
            | withdrawal :: _ ->
                let claim = { withdrawal with Amount = withdrawal.Amount + resumed }
                hearing |> hears rules now (ClaimResized claim)
            | [] -> hearing
        let claim hearing =
            if claimed > 0L then
                let claim = { Refund = refund.Id; Amount = claimed }
                hearing |> hears rules now (TransferSignal.RefundSucceeded claim)
            else
                hearing
        listening transfer |> resume |> claim, left - resumed - claimed

    /// One leg's claims, the oldest transfer first; an error if they come to less than is due.
    let private claimed rules now refund part =
        let heard, left = List.mapFold (claimedFrom rules now refund) part.OfSeller part.From
        if left = 0L then Ok heard else Error ClaimRefused

    let private postings heard =
        heard |> List.collect (fun hearing -> Ledger.ofMovements hearing.Transfer hearing.Movements)

    let private booked parts = [
        for part in parts -> part.Leg.Seller, part.Amount, part.OfFee, part.OfSeller
    ]

    let internal refunded rules now (refund: Refund) (order: Order) licenses transfers =
        let signal = RefundHasSucceeded(reservationOf refund)
        match Order.apply signal order with
        | Refused _
        | Unchanged -> Quarantined OrderNotRefundable
        | Advanced next ->
            let parts = parts refund order next transfers
            let claims =
                (parts, Ok [])
                ||> List.foldBack (fun part rest ->
                    Result.bind
                        (fun tail -> claimed rules now refund part |> Result.map (fun head -> head @ tail))
                        rest)

            match claims with
            | Error why -> Quarantined why
            | Ok heard ->
                let postings = Ledger.ofRefund (booked parts) @ postings heard
                Settled {
                    Effect.nothing with
                        Steps = [
                            Step.order order signal next
                            yield! revoked refund next licenses
                            yield! heard |> List.collect _.Steps
                        ]
                        Books = [ Effect.ofOrder next "refund" refund.Id.Value postings ]
                }

    /// Licenses that no other refund covers: neither its line nor the whole order is refunded any more.
    let private restored (order: Order) (licenses: License list) = [
        for license in licenses do
            let isCovered =
                order.Status.IsRefunded
                || order.Lines |> List.exists (fun line -> line.Id = license.Line && line.RefundedBy.IsSome)
            if not isCovered then
                match License.apply LicenseSignal.RefundUndone license with
                | Some next -> Step.license license LicenseSignal.RefundUndone next
                | None -> ()
    ]

    /// Takes so much off one transfer's claims, those of the undone refund first.
    let private resizedOn rules now (refund: Refund) left (transfer: Transfer) =
        let claims = transfer.Claims |> List.sortBy (fun claim -> claim.Refund <> refund.Id)
        let resize (hearing, left) (claim: Claim) =
            let less = min left claim.Amount
            if less = 0L then
                hearing, left
            else
                let claim = { claim with Amount = claim.Amount - less }
                hears rules now (ClaimResized claim) hearing, left - less
        List.fold resize (listening transfer, left) claims

    /// Transfers from which the undone refund took something come first.
    let private resized rules now (refund: Refund) part =
        let from =
            part.From
            |> List.sortBy (fun transfer ->
                transfer.Claims |> List.forall (fun claim -> claim.Refund <> refund.Id))
        List.mapFold (resizedOn rules now refund) part.OfSeller from |> fst

    /// The refund had succeeded and failed after all: everything it did is undone, once, and each seller is made
    /// whole: by letting the claim go where nothing has moved, else by another transfer.
    let internal undone rules now (refund: Refund) (order: Order) licenses transfers =
        let signal = OrderSignal.RefundUndone(reservationOf refund)
        match Order.apply signal order with
        | Refused _
        | Unchanged -> Quarantined OrderNotRefundable
        | Advanced next ->
            let parts = parts refund order next transfers
            let heard = parts |> List.collect (resized rules now refund)
            let postings = Ledger.ofRefundUndone (booked parts) @ postings heard
            Settled {
                Effect.nothing with
                    Steps = [
                        Step.order order signal next
                        yield! restored next licenses
                        for hearing in heard do
                            yield! hearing.Steps
                            for transfer in Transfer.compensations hearing.Movements hearing.Transfer now do
                                Step.transferScheduled transfer
                    ]
                    Books = [ Effect.ofOrder next "refund" refund.Id.Value postings ]
            }

    let private released (refund: Refund) (order: Order) =
        let signal = RefundReleased(reservationOf refund)
        match Order.apply signal order with
        | Advanced next -> Settled(Effect.ofSteps [ Step.order order signal next ])
        | Refused _
        | Unchanged -> Quarantined OrderNotRefundable

    /// What a step of the refund does to its order, behind that step.
    let private following (refund: Step) verdict =
        match verdict with
        | Settled effect -> Settled(Effect.ofSteps [ refund ] |> Effect.andThen effect)
        | AlreadyKnown
        | MustBeAsked
        | Quarantined _ -> verdict

    /// The provider's word on a refund. Success settles the buyer's side at once, whatever Stripe's state.
    let refundReported
        refundRules
        rules
        now
        source
        (report: RefundReport)
        (refund: Refund)
        order
        licenses
        transfers
        =
        if report.Payment <> (PaymentId.For refund.Order).Value then
            Quarantined PaymentDiffers
        elif not (refund.Amount.Currency.HasCode report.Currency) then
            Quarantined CurrencyDiffers
        elif not (refund.Amount.Is(report.Amount, report.Currency)) then
            Quarantined AmountDiffers
        elif source = ByWebhook && Refund.isToBeAsked report.Says refund then
            MustBeAsked
        else
            let signal = ProviderSays report.Says
            match Refund.apply refundRules now signal refund with
            | Refused SucceededAfterFailure -> Quarantined RefundSucceededAfterFailure
            | Refused AlreadyDecided -> AlreadyKnown
            | Unchanged -> AlreadyKnown
            | Advanced next ->
                let step = Step.refund refund signal next
                match next.Status with
                | RefundStatus.Succeeded -> refunded rules now next order licenses transfers |> following step
                | RefundStatus.Failed(_, false) -> released next order |> following step
                | RefundStatus.Failed(_, true) ->
                    undone rules now next order licenses transfers |> following step
                | RefundStatus.Pending _
                | RefundStatus.Submitted _ -> Settled(Effect.ofSteps [ step ])

    /// The amount is reserved on the order before the provider hears of the refund.
    let reserve refundRules now id request reason (order: Order) =
        match Order.planRefund request order with
        | Error why -> Refused why
        | Ok(scope, shares) ->
            let amount = { Minor = shares |> List.sumBy _.Amount; Currency = order.Currency }
            let signal = RefundReserved { Refund = id; Scope = scope; Shares = shares }
            let refund = Refund.reserve id order.Id amount scope shares reason refundRules now
            order
            |> Order.apply signal
            |> Outcome.map (fun next -> {
                Next = refund
                Effect = Effect.ofSteps [ Step.order order signal next; Step.refundRequested refund ]
            })
