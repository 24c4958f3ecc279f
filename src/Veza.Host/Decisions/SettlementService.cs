using Microsoft.FSharp.Core;
using Veza.Domain;
using Veza.Domain.Deposits;

namespace Veza.Host.Decisions;

/// <summary>
/// Lets the domain decide on a batch of observations inside one transaction: everything they concern is loaded
/// with a few statements, decided in memory, and written with a few statements. A batch of one is the same code.
/// </summary>
sealed class SettlementService(Settings settings)
{
    /// <summary>One conclusion for each observation, in their order. The caller commits.</summary>
    public async Task<IReadOnlyList<EventResult>> Settle(
        ITransaction session,
        IReadOnlyList<ProviderReport> observations,
        DateTimeOffset now,
        CancellationToken cancellation
    )
    {
        var world = await SettlementContext.Load(session, observations, cancellation);
        var conclusions = observations.Select(observation => Conclude(world, observation, now)).ToList();
        await session.Write(world.Changes, now, cancellation);
        await WritePayments(session, observations, world, now, cancellation);
        return conclusions;
    }

    EventResult Conclude(SettlementContext world, ProviderReport observation, DateTimeOffset now) =>
        observation switch
        {
            ProviderReport.OfPayment payment => ConcludePayment(world, payment, now),
            ProviderReport.OfRefund refund => ConcludeRefund(world, refund, now),
            ProviderReport.OfTransfer transfer => ConcludeTransfer(world, transfer, now),
            ProviderReport.OfPayout payout => ConcludePayout(world, payout, now),
            ProviderReport.OfDispute dispute => ConcludeDispute(world, dispute, now),
            _ => throw new ArgumentOutOfRangeException(nameof(observation)),
        };

    EventResult ConcludePayment(
        SettlementContext world,
        ProviderReport.OfPayment observed,
        DateTimeOffset now
    )
    {
        var (seen, report) = (observed.Payment, observed.Payment.ToReport());
        var deposit = OrNone(world.DepositOf(seen.PaymentId));
        if (world.Charge(seen.PaymentId) is var (subscription, payment))
        {
            var told = SubscriptionSettlement.paymentReported(
                settings.RefundRules,
                settings.SubscriptionRules,
                now,
                report,
                payment,
                subscription,
                deposit
            );
            return Conclude(world, told, observed.Cause);
        }

        if (world.OrderOfPayment(seen.PaymentId) is not { } order)
        {
            return new(EventState.Parked, "unknown_payment");
        }

        var verdict = Settlement.paymentReported(
            settings.RefundRules,
            now,
            settings.TransferHold,
            report,
            order,
            deposit
        );
        return Conclude(world, verdict, order.Id, observed.Cause, now);
    }

    /// <summary>What takes from a deposit, or comes back to it.</summary>
    EventResult ConcludeWithdrawal(
        SettlementContext world,
        ProviderReport.OfRefund observed,
        Deposit deposit,
        DateTimeOffset now
    )
    {
        var verdict = SubscriptionSettlement.refundReported(
            settings.RefundRules,
            settings.SubscriptionRules,
            now,
            observed.Refund.RefundId,
            observed.Refund.Report,
            observed.Source,
            deposit,
            OrNone(world.SubscriptionOf(deposit))
        );
        return Conclude(world, verdict, observed.Cause);
    }

    EventResult ConcludeWithdrawal(
        SettlementContext world,
        ProviderReport.OfDispute observed,
        Deposit deposit,
        DateTimeOffset now
    )
    {
        var seen = observed.Dispute;
        var verdict = SubscriptionSettlement.disputeReported(
            settings.RefundRules,
            settings.SubscriptionRules,
            now,
            seen.Name,
            seen.Amount,
            seen.Currency,
            seen.Fact,
            observed.Source,
            deposit,
            OrNone(world.SubscriptionOf(deposit))
        );
        return Conclude(world, verdict, observed.Cause);
    }

    static FSharpOption<T> OrNone<T>(T? value)
        where T : class => value is null ? FSharpOption<T>.None : FSharpOption<T>.Some(value);

    EventResult ConcludeRefund(SettlementContext world, ProviderReport.OfRefund observed, DateTimeOffset now)
    {
        if (world.RefundNamed(observed.Refund.RefundId) is not { } refund)
        {
            return world.DepositOf(observed.Refund.Report.Payment) is { } deposit
                ? ConcludeWithdrawal(world, observed, deposit, now)
                : new(EventState.Parked, "unknown_refund", observed.Refund.Report.Payment);
        }

        var order = world.Order(refund.Order);
        var verdict = Settlement.refundReported(
            settings.RefundRules,
            settings.TransferRules,
            now,
            observed.Source,
            observed.Refund.Report,
            refund,
            order,
            world.LicensesOf(order.Id),
            world.TransfersOf(order.Id)
        );
        return Conclude(world, verdict, order.Id, observed.Cause, now);
    }

    /// <summary>
    /// A transfer at Stripe that names one of ours was made by us. One that only names an order of ours was made by
    /// somebody else, and a person must look: the seller may have been paid twice.
    /// </summary>
    EventResult ConcludeTransfer(
        SettlementContext world,
        ProviderReport.OfTransfer observed,
        DateTimeOffset now
    )
    {
        var seen = observed.Transfer;
        if (seen.TransferId is not { } id)
        {
            return seen.OrderNamed is { } order && world.Knows(order)
                ? new(EventState.Quarantined, "foreign_transfer")
                : new(EventState.Ignored, "not_ours");
        }

        return world.Transfer(id) is { } transfer
            ? Conclude(world, transfer.Hear(settings.TransferRules, now, seen.Fact), observed.Cause)
            : new(EventState.Quarantined, "unknown_transfer");
    }

    EventResult ConcludePayout(SettlementContext world, ProviderReport.OfPayout observed, DateTimeOffset now)
    {
        if (observed.Payout.PayoutId is not { } id)
        {
            return new(EventState.Ignored, "not_ours");
        }

        return world.Payout(id) is { } payout
            ? Conclude(world, payout.Hear(settings.PayoutRules, now, observed.Payout.Report), observed.Cause)
            : new(EventState.Quarantined, "unknown_payout");
    }

    EventResult ConcludeDispute(
        SettlementContext world,
        ProviderReport.OfDispute observed,
        DateTimeOffset now
    )
    {
        var seen = observed.Dispute;
        var known = world.DisputeNamed(seen.Name);
        if (
            known is null
            && world.DepositOf(SettlementContext.PaymentOf(seen)) is { Status.IsAdopted: false } deposit
        )
        {
            return ConcludeWithdrawal(world, observed, deposit, now);
        }

        var paid = world.OrderOfPayment(SettlementContext.PaymentOf(seen));
        if ((known is null ? paid : world.Order(known.Order)) is not { } order)
        {
            return new(EventState.Parked, "unknown_payment", SettlementContext.PaymentOf(seen));
        }

        if (paid is not null && !paid.Id.Equals(order.Id))
        {
            return new(EventState.Quarantined, Doubtful.PaymentDiffers.Word());
        }

        if (!order.Currency.HasCode(seen.Currency))
        {
            return new(EventState.Quarantined, Doubtful.CurrencyDiffers.Word());
        }

        if (observed.AskedAt is { } asked && asked != world.VersionOf(known))
        {
            // Something else was heard while the provider was being asked: its answer may be older than that.
            return new(EventState.Asking);
        }

        var verdict = known is null
            ? DisputeSettlement.raised(
                settings.RefundRules,
                settings.TransferRules,
                settings.DisputeRules,
                now,
                observed.Source,
                DisputeId.Named(order.Id, seen.Name),
                seen.Name,
                seen.Report,
                world.Case(order.Id)
            )
            : DisputeSettlement.reported(
                settings.RefundRules,
                settings.TransferRules,
                settings.DisputeRules,
                now,
                observed.Source,
                seen.Report,
                world.ImposedOn(order.Id),
                known,
                world.Case(order.Id)
            );
        return Conclude(world, verdict, order.Id, observed.Cause, now);
    }

    /// <summary>What has become free on the order goes to the disputes that still claim something of it.</summary>
    EventResult Conclude(
        SettlementContext world,
        Verdict<Effect> verdict,
        OrderId order,
        Cause cause,
        DateTimeOffset now
    )
    {
        var conclusion = Conclude(world, verdict, cause);
        if (verdict.IsSettled && world.DisputesOf(order) is { IsEmpty: false } disputes)
        {
            var effect = DisputeSettlement.takeFreed(
                settings.RefundRules,
                settings.TransferRules,
                settings.DisputeRules,
                now,
                world.ImposedOn(order),
                disputes,
                world.Case(order)
            );
            world.Changes.Add(effect, cause);
        }

        return conclusion;
    }

    static EventResult Conclude(SettlementContext world, Verdict<Effect> verdict, Cause cause) =>
        verdict.Match(
            settled: effect =>
            {
                world.Changes.Add(effect, cause);
                return Concluded(effect);
            },
            alreadyKnown: () => new EventResult(EventState.Known),
            mustBeAsked: () => new EventResult(EventState.Asking),
            quarantined: why => new EventResult(EventState.Quarantined, why.Word())
        );

    /// <summary>Booked, and where it needs a person's attention put before one.</summary>
    static EventResult Concluded(Effect effect) =>
        effect.Attention is { Value: var why }
            ? new(EventState.Quarantined, why.Word())
            : new(EventState.Processed);

    static async Task WritePayments(
        ITransaction session,
        IReadOnlyList<ProviderReport> observations,
        SettlementContext world,
        DateTimeOffset now,
        CancellationToken cancellation
    )
    {
        var observed = observations
            .OfType<ProviderReport.OfPayment>()
            .Select(observation => observation.Payment)
            .DistinctBy(payment => payment.PaymentId)
            .ToList();
        var ofOrders = observed
            .Where(payment => world.OrderOfPayment(payment.PaymentId) is not null)
            .ToList();
        if (ofOrders.Count > 0)
        {
            await session.WritePayments(ofOrders, now, cancellation);
        }

        var charges = observed.Where(payment => world.Charge(payment.PaymentId) is not null).ToList();
        if (charges.Count > 0)
        {
            await session.WriteCharges(charges, now, cancellation);
        }
    }
}
