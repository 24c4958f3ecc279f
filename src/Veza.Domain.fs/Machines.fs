/// Every machine that Veza runs, in a small world to walk it in: one order of two lines, one seller, fixed time.
namespace Veza.Domain.Specifications

open System
open Veza.Domain
open Veza.Domain.Disputes
open Veza.Domain.Licenses
open Veza.Domain.Orders
open Veza.Domain.Payouts
open Veza.Domain.Deposits
open Veza.Domain.Refunds
open Veza.Domain.Subscriptions
open Veza.Domain.Transfers

module Machines =
    let private now = DateTimeOffset.UnixEpoch.AddYears 56
    let private id (number: int) = Guid(number, 0s, 0s, [| 0uy; 0uy; 0uy; 0uy; 0uy; 0uy; 0uy; 0uy |])

    let private certain result =
        match result with
        | Ok value -> value
        | Error why -> invalidOp $"%A{why}"

    let private seller = certain (SellerId.Parse "seller")
    let private account = certain (StripeAccountId.Parse "acct_1")
    let private euro = certain (Currency.parse "EUR")
    let private stripeTransfer = certain (StripeTransferId.Parse "tr_1")
    let private stripePayout = certain (StripePayoutId.Parse "po_1")
    let private stripeReversal = certain (StripeReversalId.Parse "trr_1")
    let private policy = { MaxRetries = 1; Base = TimeSpan.FromSeconds 1.; Cap = TimeSpan.FromSeconds 10. }

    let private transferRules = {
        Sending = policy
        Reversing = policy
        FundsInterval = TimeSpan.FromHours 1.
        Lease = TimeSpan.FromMinutes 2.
    }

    let private refundRules = { SweepAfter = TimeSpan.FromMinutes 2.; AbsentAfter = TimeSpan.FromMinutes 4. }
    let private refusal cause = { Cause = cause; Code = "code"; Message = "message" }

    let private answers receipt cause = [
        Accepted receipt
        Denied(refusal OtherCause, true)
        Denied(refusal cause, true)
        NotExecuted(RateLimited, "message")
        Answer.InDoubt NoAnswer
    ]

    let private transferSignals =
        List.map TransferAnswered (answers stripeTransfer PlatformFunds)
        @ [
            TransferAnswered(Duplicate("seen before", false))
            TransferSeen []
            TransferSeen [ stripeTransfer ]
            TransferSeen [ stripeTransfer; certain (StripeTransferId.Parse "tr_2") ]
            TransferSignal.RefundSucceeded { Refund = RefundId(id 1); Amount = 40L }
            TransferSignal.RefundSucceeded { Refund = RefundId(id 2); Amount = 60L }
            ClaimResized { Refund = RefundId(id 1); Amount = 0L }
        ]
        @ List.map ReversalAnswered (answers stripeReversal SellerFunds)
        @ [
            ReversalAnswered Missing
            ReversalAnswered(Duplicate("already reversed", false))
            ReversalSeen { Ours = Some stripeReversal; AmountReversed = 40L; Keyless = [] }
            ReversalSeen { Ours = None; AmountReversed = 0L; Keyless = [] }
            ReversalSeen { Ours = None; AmountReversed = 100L; Keyless = [] }
            ReversalsNoticed { Ours = Some stripeReversal; AmountReversed = 40L; Keyless = [] }
            ReversalsNoticed { Ours = None; AmountReversed = 30L; Keyless = [] }
            ReversalsNoticed { Ours = None; AmountReversed = 100L; Keyless = [] }
            FundsArrived
            TransferSignal.LookUpFailed(refusal OtherCause)
            StripeIdMissing
            TransferSignal.RetryRequested
            WriteOffRequested
            RedirectRequested(certain (StripeAccountId.Parse "acct_2"))
        ]

    /// A worker's claim comes before every answer, so that a request in doubt is one that was sent.
    let private transferStep signal (transfer: Transfer) =
        let transfer =
            match signal with
            | TransferAnswered _
            | ReversalAnswered _ -> Transfer.claimed transferRules now transfer
            | TransferSeen _
            | TransferSignal.RefundSucceeded _
            | ClaimResized _
            | ReversalSeen _
            | ReversalsNoticed _
            | FundsArrived
            | TransferSignal.LookUpFailed _
            | StripeIdMissing
            | TransferSignal.RetryRequested
            | WriteOffRequested
            | RedirectRequested _ -> transfer
        match Transfer.apply transferRules now signal transfer with
        | Advanced(next, _) -> Some next, None
        | Unchanged -> None, None
        | Refused why -> None, Some $"%A{why}"

    let transfer () =
        Specification.machine {
            Called = "transfer"
            Start =
                Transfer.schedule
                    (TransferId(id 3))
                    (OrderId(id 4))
                    seller
                    account
                    { Minor = 100L; Currency = euro }
                    now
                    TimeSpan.Zero
            Signals = transferSignals
            SignalWord = TransferWords.signal
            StatusWord = fun transfer -> TransferWords.status transfer.Status
            Step = transferStep
            HasDuty = fun transfer -> (Transfer.duty transfer).IsSome
            Watch = Watch.ofTransfer
            Retry = Some TransferSignal.RetryRequested
            Depth = 5
        }

    let private shares = [ { Seller = seller; Amount = 100L } ]

    let private refund () =
        Specification.machine {
            Called = "refund"
            Start =
                Refund.reserve
                    (RefundId(id 1))
                    (OrderId(id 4))
                    { Minor = 100L; Currency = euro }
                    OfRest
                    shares
                    None
                    refundRules
                    now
            Signals = [
                ProviderSays StillPending
                ProviderSays HasSucceeded
                ProviderSays(HasFailed(refusal OtherCause))
                RefundSignal.ProviderSilent
                ProviderMissesIt
                SentAgain
            ]
            SignalWord = Refund.signalWord
            StatusWord = fun refund -> Refund.statusWord refund.Status
            Step =
                fun signal refund ->
                    match Refund.apply refundRules now signal refund with
                    | Advanced next -> Some next, None
                    | Unchanged -> None, None
                    | Refused why -> None, Some $"%A{why}"
            HasDuty = fun refund -> (Refund.duty refundRules now false refund).IsSome
            Watch = Watch.ofRefund
            Retry = None
            Depth = 5
        }

    let private line number amount : Line = {
        Id = LineId(id number)
        License = LicenseId(id (number + 100))
        Product = "product"
        Seller = seller
        Quantity = 1
        UnitAmount = amount
        LicenseKind = "standard"
        LicenseExpiresAt = None
        RefundedBy = None
    }

    let private terms = { Seller = seller; Account = account; FeeBps = 1000; Transfer = TransferId(id 3) }

    let private order () =
        let part = {
            Refund = RefundId(id 1)
            Scope = OfAmount
            Shares = [ { Seller = seller; Amount = 40L } ]
        }
        let rest = {
            Refund = RefundId(id 2)
            Scope = OfAmount
            Shares = [ { Seller = seller; Amount = 60L } ]
        }

        Specification.machine {
            Called = "order"
            Start =
                Order.create (OrderId(id 4)) "buyer" euro Proportional [ line 5 60L; line 6 40L ] [ terms ]
                |> certain
            Signals = [
                PaymentRequested
                PaymentSucceeded
                PaymentHasFailed
                OrderSignal.CancelRequested
                RefundReserved part
                RefundHasSucceeded part
                RefundReserved rest
                RefundHasSucceeded rest
                RefundReleased part
                OrderSignal.RefundUndone part
            ]
            SignalWord = OrderWords.signal
            StatusWord = fun order -> OrderWords.status order.Status
            Step =
                fun signal order ->
                    match Order.apply signal order with
                    | Advanced next -> Some next, None
                    | Unchanged -> None, None
                    | Refused(OrderRefusal.MoreThanIsLeft _) -> None, Some "MoreThanIsLeft"
                    | Refused why -> None, Some $"%A{why}"
            HasDuty = fun order -> order.Status.IsAwaitingPayment || order.Status.IsPaymentFailed
            Watch = Watch.ofOrder
            Retry = None
            Depth = 8
        }

    let private license () =
        Specification.machine {
            Called = "license"
            Start =
                License.grant
                    (LicenseId(id 7))
                    (OrderId(id 4))
                    (LineId(id 5))
                    "buyer"
                    "product"
                    "standard"
                    None
            Signals = [ LineRefunded(RefundId(id 1)); LicenseSignal.RefundUndone ]
            SignalWord = License.signalWord
            StatusWord = fun license -> License.statusWord license.Status
            Step =
                fun signal license ->
                    match License.apply signal license with
                    | Some next -> Some next, None
                    | None -> None, None
            HasDuty = fun _ -> false
            Watch = fun _ -> None
            Retry = None
            Depth = 3
        }

    let private sight says = { StripeId = stripePayout; Says = says }

    let private payoutRules = {
        Trying = policy
        Lease = TimeSpan.FromMinutes 2.
        AskEvery = TimeSpan.FromHours 1.
    }

    let private payout () =
        Specification.machine {
            Called = "payout"
            Start = Payout.request (PayoutId(id 8)) seller account { Minor = 100L; Currency = euro } now
            Signals =
                List.map PayoutAnswered (answers (sight IsPending) PlatformFunds)
                @ [
                    PayoutAnswered(Duplicate("seen before", false))
                    PayoutSeen []
                    PayoutSeen [ sight IsPending ]
                    PayoutSeen [ sight IsPending; sight IsPaid ]
                    PayoutReported(sight IsPending)
                    PayoutReported(sight IsInTransit)
                    PayoutReported(sight IsPaid)
                    PayoutReported(sight IsCanceled)
                    PayoutReported(sight (PayoutFact.HasFailed(refusal OtherCause)))
                    PayoutSignal.LookUpFailed(refusal OtherCause)
                    PayoutSignal.RetryRequested
                    SettledByHand(PaidByHand stripePayout)
                    SettledByHand(CanceledByHand None)
                    SettledByHand(FailedByHand(None, "nobody has it"))
                ]
            SignalWord = PayoutWords.signal
            StatusWord = fun payout -> PayoutWords.status payout.Status
            Step =
                fun signal payout ->
                    let payout =
                        match signal with
                        | PayoutAnswered _ -> Payout.claimed payoutRules now payout
                        | PayoutSeen _
                        | PayoutReported _
                        | PayoutSignal.LookUpFailed _
                        | PayoutSignal.RetryRequested
                        | SettledByHand _ -> payout
                    match Payout.apply payoutRules now signal payout with
                    | Advanced next -> Some next, None
                    | Unchanged -> None, None
                    | Refused why -> None, Some $"%A{why}"
            HasDuty = fun payout -> (Payout.duty payout).IsSome
            Watch = Watch.ofPayout
            Retry = Some PayoutSignal.RetryRequested
            Depth = 5
        }

    let private subscriptionRules = { Charging = policy; AskEvery = TimeSpan.FromHours 1. }

    /// Time does not pass while a machine is walked, so a day's subscription is looked at a day later: its first period
    /// ends now.
    let private subscription () =
        let paid period = PeriodPaid { Period = period; Try = 0 }
        Specification.machine {
            Called = "subscription"
            Start =
                Subscription.subscribe
                    (SubscriptionId(id 9))
                    "buyer"
                    { Code = "plan"; Price = { Minor = 100L; Currency = euro }; Interval = Day }
                    (now.AddDays -1.)
            Signals = [
                paid 1
                paid 2
                PeriodPaid { Period = 1; Try = 1 }
                PeriodFailed({ Period = 1; Try = 0 }, refusal OtherCause)
                PeriodFailed({ Period = 1; Try = 1 }, refusal OtherCause)
                PeriodFailed({ Period = 2; Try = 0 }, refusal OtherCause)
                PeriodFailed({ Period = 2; Try = 1 }, refusal OtherCause)
                ChargeSent
                SubscriptionSignal.ProviderSilent
                SubscriptionSignal.CancelRequested
                PaymentDisputed { Period = 1; Try = 0 }
                PaymentLost { Period = 1; Try = 0 }
                PaymentRegained { Period = 1; Try = 0 }
            ]
            SignalWord = SubscriptionWords.signal
            StatusWord = fun subscription -> SubscriptionWords.status subscription.Status
            Step =
                fun signal subscription ->
                    match Subscription.apply subscriptionRules now signal subscription with
                    | Advanced next -> Some next, None
                    | Unchanged -> None, None
                    | Refused why -> None, Some $"%A{why}"
            HasDuty = fun subscription -> (Subscription.duty now subscription).IsSome
            Watch = Watch.ofSubscription
            Retry = None
            Depth = 6
        }

    let private deposit () =
        let withdrawal name by : Withdrawal = { Name = name; Amount = 100L; By = by }
        let origin = OfPeriod(SubscriptionId(id 9), { Period = 1; Try = 0 })
        let held = Deposit.hold now "pay_1" origin { Minor = 100L; Currency = euro } LatePayment
        Specification.machine {
            Called = "deposit"
            Start = held
            Signals = [
                AmountCaptured 100L
                AmountCaptured 150L
                OrderTookIt
                PeriodTookIt
                for stand in [ Waiting; Taken; NotTaken ] do
                    WithdrawalSeen(withdrawal held.OwnRefund.Value (ByRefund stand), ByWebhook)
                WithdrawalSeen(withdrawal "ref_other" (ByRefund Taken), ByWebhook)
                WithdrawalSeen(withdrawal held.OwnRefund.Value (ByRefund NotTaken), ByAnswer)
                for ruling in DisputeWords.everyRuling do
                    WithdrawalSeen(
                        withdrawal "dp_1" (ByDispute { Stage = Stage.Dispute; Ruling = ruling }),
                        ByWebhook
                    )
                PaymentConfirmed
                ReturnSentAgain
                ReturnRefused(refusal OtherCause)
                DepositSignal.ProviderSilent
                ReturnRequested
            ]
            SignalWord = DepositWords.signal
            StatusWord = fun deposit -> DepositWords.status deposit.Status
            Step =
                fun signal deposit ->
                    match Deposit.apply refundRules now signal deposit with
                    | Advanced next -> Some next, None
                    | Unchanged -> None, None
                    | Refused why -> None, Some $"%A{why}"
            HasDuty = fun deposit -> (Deposit.duty deposit).IsSome
            Watch = Watch.ofDeposit
            Retry = Some ReturnRequested
            Depth = 4
        }

    let private disputeRules = { AskEvery = TimeSpan.FromHours 12.; AskAfterwards = TimeSpan.FromDays 120. }

    let private dispute () =
        let report fact = { Fact = fact; Amount = 100L; Terms = DisputeTerms.Unknown }
        Specification.machine {
            Called = "dispute"
            Start =
                Dispute.start
                    (DisputeId(id 10))
                    (OrderId(id 4))
                    "dp_1"
                    euro
                    (report { Stage = PreDispute; Ruling = Opened })
                    disputeRules
                    now
            Signals = [
                for source in [ ByWebhook; ByAnswer ] do
                    for stage in [ PreDispute; Stage.Dispute; Arbitration ] do
                        for ruling in DisputeWords.everyRuling do
                            let fact = { Stage = stage; Ruling = ruling }
                            ProviderReports(source, report fact)
                ClaimHeld [ { Seller = seller; Amount = 100L } ]
                ClaimHeld []
                ClaimTaken 100L
                ClaimReturned
            ]
            SignalWord = DisputeWords.signal
            StatusWord = fun dispute -> DisputeWords.status dispute.Status
            Step =
                fun signal dispute ->
                    match Dispute.apply disputeRules now signal dispute with
                    | Advanced next -> Some next, None
                    | Unchanged -> None, None
                    | Refused why -> None, Some $"%A{why}"
            HasDuty = fun dispute -> dispute.Status.IsOpen
            Watch = Watch.ofDispute
            Retry = None
            Depth = 6
        }

    /// Walked when somebody first asks.
    let private walked =
        lazy
            [
                order ()
                refund ()
                transfer ()
                license ()
                payout ()
                subscription ()
                deposit ()
                dispute ()
            ]

    /// In reading order.
    let all () = walked.Value
