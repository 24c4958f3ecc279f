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

    let private waitingFor waiting = AttemptWords.waiting waiting

    let private field name value = name, (fun before after -> value before <> value after)

    /// What every attempt remembers.
    let private attempts (attemptOf: 'state -> Attempt option) =
        let part name value = field name (attemptOf >> Option.map value)
        [
            part "retries" _.Retries
            part "next action" _.Move
            part "key" _.Operation
            part "next time" _.DueAt
            part "what it waits for" _.Waiting
        ]

    let private transferDetail (transfer: Transfer) =
        match transfer.Status with
        | TransferStatus.Pending attempt
        | TransferStatus.Failed attempt -> waitingFor attempt.Waiting
        | ReversalPending(_, taking) -> waitingFor taking.Attempt.Waiting
        | PermanentlyFailed(SendingFailed _, _) -> "sending"
        | PermanentlyFailed(ReversingFailed _, _) -> "reversing"
        | TransferStatus.Completed _
        | Reversed _
        | TransferStatus.Cancelled
        | WrittenOff _ -> ""

    let private stripeId (transfer: Transfer) =
        match transfer.Status with
        | TransferStatus.Completed receipt
        | Reversed receipt
        | ReversalPending(receipt, _)
        | PermanentlyFailed(ReversingFailed(receipt, _), _) -> Some receipt
        | WrittenOff id -> id |> Option.map Named
        | TransferStatus.Pending _
        | TransferStatus.Failed _
        | PermanentlyFailed(SendingFailed _, _)
        | TransferStatus.Cancelled -> None

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

    let private owed =
        Transfer.schedule
            (TransferId(id 3))
            (OrderId(id 4))
            seller
            account
            { Minor = 100L; Currency = euro }
            now
            TimeSpan.Zero

    /// Sent before Stripe's ids were kept.
    let private unnamed =
        let row = TransferRow.toRow owed
        let completed = {
            row with
                Status = "completed"
                Move = null
                DueAt = Nullable()
                WaitingFor = null
                WaitingSince = Nullable()
        }
        certain (TransferRow.ofRow completed [])

    let transfer () =
        Specification.machine {
            Called = "transfer"
            Begins = [ Step.transferScheduled owed ]
            Start = owed
            AlsoFrom = [ unnamed ]
            Signals = transferSignals
            SignalWord = TransferWords.signal
            StatusWord = fun transfer -> TransferWords.status transfer.Status
            Detail = transferDetail
            Remembers = [
                yield! attempts (fun (transfer: Transfer) -> transfer.Attempt)
                field "Stripe's id" stripeId
                field "the claim being taken" (fun transfer -> transfer.UnderWay)
                field "the queue of claims" (fun transfer -> transfer.Queue)
                field "settled claims" (fun transfer -> transfer.Settled)
                field "reversed by others" (fun transfer -> transfer.Foreign)
                field "the account" (fun transfer -> transfer.Account)
                field "the provider's last words" (fun transfer -> transfer.Trouble)
                field "since when it waits" (fun transfer -> transfer.Since)
            ]
            Example = [
                "The worker asks Stripe for the transfer and gets no answer.",
                TransferAnswered(Answer.InDoubt NoAnswer)
                "Asked again under the same key, Stripe has it.", TransferAnswered(Accepted stripeTransfer)
                "The buyer is refunded a part.",
                TransferSignal.RefundSucceeded { Refund = RefundId(id 1); Amount = 40L }
                "The seller's balance at Stripe is empty.",
                ReversalAnswered(Denied(refusal SellerFunds, true))
                "A second refund comes meanwhile.",
                TransferSignal.RefundSucceeded { Refund = RefundId(id 2); Amount = 60L }
                "The balance is filled.", FundsArrived
                "Stripe reverses the first part.", ReversalAnswered(Accepted stripeReversal)
            ]
            Step = transferStep
            HasDuty = fun transfer -> (Transfer.duty transfer).IsSome
            Watch = Watch.ofTransfer
            Retry = Some TransferSignal.RetryRequested
            Depth = 5
        }

    let private shares = [ { Seller = seller; Amount = 100L } ]

    let private reserved =
        Refund.reserve
            (RefundId(id 1))
            (OrderId(id 4))
            { Minor = 100L; Currency = euro }
            OfRest
            shares
            None
            refundRules
            now

    let private imposed =
        Refund.imposed (RefundId(id 1)) (OrderId(id 4)) { Minor = 100L; Currency = euro } shares None

    let private refund () =
        Specification.machine {
            Called = "refund"
            Begins = [ Step.refundRequested reserved; Step.refundImposed imposed ]
            Start = reserved
            AlsoFrom = []
            Signals = [
                ProviderSays StillPending
                ProviderSays HasSucceeded
                ProviderSays(HasFailed(refusal OtherCause))
                RefundSignal.ProviderSilent
                ProviderTroubled(refusal OtherCause)
                ProviderMissesIt
                SentAgain
            ]
            SignalWord = Refund.signalWord
            StatusWord = fun refund -> Refund.statusWord refund.Status
            Detail = fun _ -> ""
            Remembers = [
                field "next time" (fun refund -> (Refund.toRow refund).DueAt)
                field "sends" (fun refund -> (Refund.toRow refund).Sends)
                field "why it failed" (fun refund -> (Refund.toRow refund).FailureCode)
                field "the provider's last words" (fun refund -> refund.Trouble)
            ]
            Example = [
                "The provider does not answer.", RefundSignal.ProviderSilent
                "Asked, it does not know the refund.", ProviderMissesIt
                "Proven absent for long enough, it is sent again under the same id.", SentAgain
                "The provider has it.", ProviderSays StillPending
                "The buyer has the money.", ProviderSays HasSucceeded
                "The buyer's bank sends it back.", ProviderSays(HasFailed(refusal OtherCause))
            ]
            Step =
                fun signal refund ->
                    match Refund.apply refundRules (now.AddMinutes 10.) signal refund with
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
        let whole = {
            Refund = RefundId(id 3)
            Scope = OfRest
            Shares = [ { Seller = seller; Amount = 100L } ]
        }
        let rest = {
            Refund = RefundId(id 2)
            Scope = OfAmount
            Shares = [ { Seller = seller; Amount = 60L } ]
        }

        let created =
            Order.create (OrderId(id 4)) "buyer" euro Proportional [ line 5 60L; line 6 40L ] [ terms ]
            |> certain

        Specification.machine {
            Called = "order"
            Begins = [ Step.orderCreated created ]
            Start = created
            AlsoFrom = []
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
                RefundReserved whole
                RefundHasSucceeded whole
                RefundReleased whole
                OrderSignal.RefundUndone whole
            ]
            SignalWord = OrderWords.signal
            StatusWord = fun order -> OrderWords.status order.Status
            Detail = fun _ -> ""
            Remembers = [
                field "what is reserved and refunded of each seller's part" (fun order -> order.Legs)
                field "which refund gives which line back" (fun order -> order.Lines)
            ]
            Example = [
                "The order is offered for payment.", PaymentRequested
                "The buyer pays.", PaymentSucceeded
                "A refund of a part is asked for; its amount is reserved.", RefundReserved part
                "The buyer has that part back.", RefundHasSucceeded part
                "The rest is asked for.", RefundReserved rest
                "The buyer has everything back.", RefundHasSucceeded rest
                "The bank sends the first refund back.", OrderSignal.RefundUndone part
            ]
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
        let granted =
            License.grant (LicenseId(id 7)) (OrderId(id 4)) (LineId(id 5)) "buyer" "product" "standard" None

        Specification.machine {
            Called = "license"
            Begins = [ Step.licenseGranted granted ]
            Start = granted
            AlsoFrom = []
            Signals = [ LineRefunded(RefundId(id 1)); LicenseSignal.RefundUndone ]
            SignalWord = License.signalWord
            StatusWord = fun license -> License.statusWord license.Status
            Detail = fun _ -> ""
            Remembers = []
            Example = [
                "The line is refunded.", LineRefunded(RefundId(id 1))
                "That refund fails after all.", LicenseSignal.RefundUndone
            ]
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
        let requested = Payout.request (PayoutId(id 8)) seller account { Minor = 100L; Currency = euro } now

        Specification.machine {
            Called = "payout"
            Begins = [ Step.payoutRequested requested ]
            Start = requested
            AlsoFrom = []
            Signals =
                List.map PayoutAnswered (answers (sight IsPending) PlatformFunds)
                @ [
                    PayoutAnswered(Duplicate("seen before", false))
                    PayoutSeen []
                    PayoutSeen [ sight IsPending ]
                    PayoutSeen [ sight IsPaid ]
                    PayoutSeen [ sight (PayoutFact.HasFailed(refusal OtherCause)) ]
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
            Detail = fun _ -> ""
            Remembers = [
                yield!
                    attempts (fun (payout: Payout) ->
                        match payout.Status with
                        | Requested attempt
                        | PayoutStatus.InDoubt attempt -> Some attempt
                        | PayoutStatus.Pending _
                        | InTransit _
                        | Paid _
                        | PayoutStatus.Canceled _
                        | PayoutStatus.Failed _ -> None)
                field "what Stripe says" (fun payout -> payout.Status)
                field "the provider's last words" (fun payout -> payout.Trouble)
                field "since when it waits" (fun payout -> payout.Since)
            ]
            Example = [
                "The worker asks Stripe for the payout and gets no answer.",
                PayoutAnswered(Answer.InDoubt NoAnswer)
                "A look-up finds it.", PayoutSeen [ sight IsPending ]
                "It is on its way to the bank.", PayoutReported(sight IsInTransit)
                "The bank has it.", PayoutReported(sight IsPaid)
                "The bank sends it back.", PayoutReported(sight (PayoutFact.HasFailed(refusal OtherCause)))
            ]
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
        let subscribed =
            Subscription.subscribe
                (SubscriptionId(id 9))
                "buyer"
                { Code = "plan"; Price = { Minor = 100L; Currency = euro }; Interval = Day }
                (now.AddDays -1.)

        Specification.machine {
            Called = "subscription"
            Begins = [ Step.subscriptionRequested subscribed ]
            Start = subscribed
            AlsoFrom = []
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
                PaymentLost { Period = 2; Try = 0 }
                PaymentRegained { Period = 2; Try = 0 }
            ]
            SignalWord = SubscriptionWords.signal
            StatusWord = fun subscription -> SubscriptionWords.status subscription.Status
            Detail = fun _ -> ""
            Remembers = [ field "the charge" (fun subscription -> subscription.Status) ]
            Example = [
                "The first period's payment is being created.", ChargeSent
                "The subscriber pays.", paid 1
                "The second period is charged.", ChargeSent
                "The card is refused.", PeriodFailed({ Period = 2; Try = 0 }, refusal OtherCause)
                "The subscriber cancels.", SubscriptionSignal.CancelRequested
            ]
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
        let amount = { Minor = 100L; Currency = euro }
        let held = Deposit.hold now "pay_1" origin amount LatePayment
        let strange = Deposit.hold now "pay_1" origin amount WrongAmount
        // Its refund was sent a while ago: the next time to ask about it is later than the one before.
        let returning =
            match Deposit.apply refundRules (now.AddMinutes -10.) PaymentConfirmed held with
            | Advanced next -> next
            | Unchanged
            | Refused _ -> held
        let earned = Deposit.earn "pay_1" origin amount
        Specification.machine {
            Called = "deposit"
            Begins = [ Step.depositHeld held; Step.depositEarned earned; Step.depositHeld strange ]
            Start = held
            AlsoFrom = [ returning ]
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
            Detail = fun _ -> ""
            Remembers = [
                field "the amount" (fun deposit -> deposit.Amount)
                field "what was taken from it" (fun deposit -> deposit.Withdrawals)
                field "the return" (fun deposit -> deposit.Status)
                field "the name of its refund" (fun deposit -> deposit.OwnRefund)
            ]
            Example = [
                "Hyperswitch confirms that it has the money; the refund is being sent.", PaymentConfirmed
                "Hyperswitch does not answer.", DepositSignal.ProviderSilent
                "The buyer has the money back.",
                WithdrawalSeen(withdrawal held.OwnRefund.Value (ByRefund Taken), ByAnswer)
            ]
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
        let start report =
            Dispute.start (DisputeId(id 10)) (OrderId(id 4)) "dp_1" euro report disputeRules now
        let says stage ruling : DisputeReport = {
            Fact = { Stage = stage; Ruling = ruling }
            Amount = 100L
            Terms = DisputeTerms.Unknown
        }
        let answered stage ruling = ProviderReports(ByAnswer, says stage ruling)
        let shares = [ { Seller = seller; Amount = 100L } ]

        Specification.machine {
            Called = "dispute"
            Begins = [
                for ruling in DisputeWords.everyRuling do
                    let first = says Stage.Dispute ruling
                    Step.disputeRaised first (start first)
            ]
            Start = start (says PreDispute Opened)
            AlsoFrom = []
            Signals = [
                for source in [ ByWebhook; ByAnswer ] do
                    for stage in [ PreDispute; Stage.Dispute; Arbitration ] do
                        for ruling in DisputeWords.everyRuling do
                            ProviderReports(source, says stage ruling)
                ClaimHeld shares
                ClaimHeld []
                ClaimTaken 100L
                ClaimReturned
            ]
            SignalWord = DisputeWords.signal
            StatusWord = fun dispute -> DisputeWords.status dispute.Status
            Detail = fun _ -> ""
            Remembers = [
                field "the claim" (fun dispute -> (dispute.Amount, dispute.Seen))
                field "what is kept and taken of the order" (fun dispute -> dispute.Status)
                field "reason and deadline" (fun dispute -> dispute.Terms)
                field "when the provider is asked" (fun dispute -> dispute.DueAt)
            ]
            Example = [
                "The inquiry becomes a dispute; the bank withdraws the amount.", answered Stage.Dispute Opened
                "So much of the order is kept for it.", ClaimHeld shares
                "The bank decides for the buyer.", answered Stage.Dispute LostByUs
                "The order gives it back by a refund.", ClaimTaken 100L
                "A later stage decides for us.", answered Arbitration WonByUs
            ]
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
