using Microsoft.FSharp.Core;
using Veza.Adapters.Storage;
using Veza.Domain;
using Veza.Domain.Deposits;
using Veza.Domain.Orders;
using Veza.Domain.Payouts;
using Veza.Domain.Refunds;
using Veza.Domain.Subscriptions;
using Veza.Domain.Transfers;

namespace Veza.Host.Settling;

/// <summary>
/// Lets the domain decide on a batch of observations inside one transaction: everything they concern is loaded
/// with a few statements, decided in memory, and written with a few statements. A batch of one is the same code.
/// </summary>
sealed class Settler(Settings settings)
{
    /// <summary>One conclusion for each observation, in their order. The caller commits.</summary>
    public async Task<IReadOnlyList<Conclusion>> Settle(
        ITransaction session,
        IReadOnlyList<Observation> observations,
        DateTimeOffset now,
        CancellationToken cancellation
    )
    {
        var world = await World.Load(session, observations, cancellation);
        var changes = new Changes();
        var conclusions = observations
            .Select(observation => Conclude(world, changes, observation, now))
            .ToList();
        await session.Write(changes, now, cancellation);
        await WritePayments(session, observations, world, now, cancellation);
        return conclusions;
    }

    Conclusion Conclude(World world, Changes changes, Observation observation, DateTimeOffset now) =>
        observation switch
        {
            Observation.OfPayment payment => ConcludePayment(world, changes, payment, now),
            Observation.OfRefund refund => ConcludeRefund(world, changes, refund, now),
            Observation.OfTransfer transfer => ConcludeTransfer(world, changes, transfer, now),
            Observation.OfPayout payout => ConcludePayout(world, changes, payout, now),
            Observation.OfDispute dispute => ConcludeDispute(world, changes, dispute, now),
            _ => throw new ArgumentOutOfRangeException(nameof(observation)),
        };

    Conclusion ConcludePayment(
        World world,
        Changes changes,
        Observation.OfPayment observed,
        DateTimeOffset now
    )
    {
        var (seen, report) = (observed.Payment, observed.Payment.ToReport());
        var deposit = OrNone(world.DepositOf(seen.PaymentId)?.Value);
        var captured = DepositSignal.NewAmountCaptured(seen.Amount).Word();
        if (world.Charge(seen.PaymentId) is var (subscription, payment))
        {
            var told = SubscriptionSettlement.paymentReported(
                settings.RefundRules,
                settings.SubscriptionRules,
                now,
                report,
                payment,
                subscription.Value,
                deposit
            );
            var period =
                report.Meaning.IsPaidInFull ? SubscriptionSignal.NewPeriodPaid(payment).Word()
                : report.Meaning.IsPaidInPart ? captured
                : SubscriptionSignal.NewPeriodFailed(payment, report.Refusal).Word();
            return Conclude(world, changes, told, period, observed.Cause);
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
            order.Value,
            deposit
        );
        return Conclude(
            world,
            changes,
            verdict,
            order.Value,
            report.Meaning.IsPaidInFull ? OrderSignal.PaymentSucceeded.Word()
                : report.Meaning.IsPaidInPart ? captured
                : OrderSignal.PaymentHasFailed.Word(),
            "order",
            order.Value.Id.Value,
            observed.Cause,
            now
        );
    }

    /// <summary>What takes from a deposit, or comes back to it.</summary>
    Conclusion ConcludeWithdrawal(
        World world,
        Changes changes,
        Observation.OfRefund observed,
        Deposit deposit,
        DateTimeOffset now
    )
    {
        var (name, report) = (observed.Refund.RefundId, observed.Refund.Report);
        var verdict = SubscriptionSettlement.refundReported(
            settings.RefundRules,
            settings.SubscriptionRules,
            now,
            name,
            report,
            observed.Source,
            deposit,
            OrNone(world.SubscriptionOf(deposit))
        );
        return Conclude(
            world,
            changes,
            verdict,
            RefundSignal.NewProviderSays(report.Says).Word(),
            observed.Cause
        );
    }

    Conclusion ConcludeWithdrawal(
        World world,
        Changes changes,
        Observation.OfDispute observed,
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
        return Conclude(world, changes, verdict, "dispute_" + seen.Fact.Ruling.Word(), observed.Cause);
    }

    static FSharpOption<T> OrNone<T>(T? value)
        where T : class => value is null ? FSharpOption<T>.None : FSharpOption<T>.Some(value);

    Conclusion ConcludeRefund(World world, Changes changes, Observation.OfRefund observed, DateTimeOffset now)
    {
        if (world.RefundNamed(observed.Refund.RefundId) is not { } refund)
        {
            return world.DepositOf(observed.Refund.Report.Payment) is { } deposit
                ? ConcludeWithdrawal(world, changes, observed, deposit.Value, now)
                : new(EventState.Parked, "unknown_refund", observed.Refund.Report.Payment);
        }

        var order = world.Order(refund.Value.Order).Value;
        var verdict = Settlement.refundReported(
            settings.RefundRules,
            settings.TransferRules,
            now,
            observed.Source,
            observed.Refund.Report,
            refund.Value,
            order,
            world.LicensesOf(order.Id),
            world.TransfersOf(order)
        );
        var signal = RefundSignal.NewProviderSays(observed.Refund.Report.Says);
        return Conclude(
            world,
            changes,
            verdict,
            order,
            signal.Word(),
            "refund",
            refund.Value.Id.Value,
            observed.Cause,
            now
        );
    }

    /// <summary>
    /// A transfer at Stripe that names one of ours was made by us. One that only names an order of ours was made by
    /// somebody else, and a person must look: the seller may have been paid twice.
    /// </summary>
    Conclusion ConcludeTransfer(
        World world,
        Changes changes,
        Observation.OfTransfer observed,
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

        if (world.Transfer(id) is not { } transfer)
        {
            return new(EventState.Quarantined, "unknown_transfer");
        }

        return transfer
            .Value.Hear(settings.TransferRules, now, seen.Fact)
            .Match(
                settled: effect =>
                {
                    var answer = Answer<StripeTransferId>.NewAccepted(seen.Fact.StripeId);
                    var signal = TransferSignal.NewTransferAnswered(answer).Word();
                    changes.Save(transfer, effect.Transfer, effect.Movements, signal, observed.Cause, now);
                    world.Take(effect.Transfer);
                    return new Conclusion(EventState.Processed);
                },
                alreadyKnown: () => new Conclusion(EventState.Known),
                mustBeAsked: () => new Conclusion(EventState.Asking),
                quarantined: why => new Conclusion(EventState.Quarantined, why.Word())
            );
    }

    Conclusion ConcludePayout(World world, Changes changes, Observation.OfPayout observed, DateTimeOffset now)
    {
        if (observed.Payout.PayoutId is not { } id)
        {
            return new(EventState.Ignored, "not_ours");
        }

        if (world.Payout(id) is not { } payout)
        {
            return new(EventState.Quarantined, "unknown_payout");
        }

        var report = observed.Payout.Report;
        return payout
            .Value.Hear(settings.PayoutRules, now, report)
            .Match(
                settled: next =>
                {
                    changes.Save(
                        payout,
                        next,
                        PayoutSignal.NewPayoutReported(report.Sight).Word(),
                        observed.Cause
                    );
                    world.Take(next);
                    return new Conclusion(EventState.Processed);
                },
                alreadyKnown: () => new Conclusion(EventState.Known),
                mustBeAsked: () => new Conclusion(EventState.Asking),
                quarantined: why => new Conclusion(EventState.Quarantined, why.Word())
            );
    }

    Conclusion ConcludeDispute(
        World world,
        Changes changes,
        Observation.OfDispute observed,
        DateTimeOffset now
    )
    {
        var seen = observed.Dispute;
        var known = world.DisputeNamed(seen.Name);
        if (
            known is null
            && world.DepositOf(World.PaymentOf(seen)) is { Value: { Status.IsAdopted: false } deposit }
        )
        {
            return ConcludeWithdrawal(world, changes, observed, deposit, now);
        }

        var paid = world.OrderOfPayment(World.PaymentOf(seen));
        if ((known is null ? paid : world.Order(known.Value.Order)) is not { } order)
        {
            return new(EventState.Parked, "unknown_payment", World.PaymentOf(seen));
        }

        if (paid is not null && !paid.Value.Id.Equals(order.Value.Id))
        {
            return new(EventState.Quarantined, Doubtful.PaymentDiffers.Word());
        }

        if (!order.Value.Currency.HasCode(seen.Currency))
        {
            return new(EventState.Quarantined, Doubtful.CurrencyDiffers.Word());
        }

        if (observed.AskedAt is { } asked && asked != (known?.Version ?? 0))
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
                DisputeId.Named(order.Value.Id, seen.Name),
                seen.Name,
                seen.Report,
                world.Case(order.Value.Id)
            )
            : DisputeSettlement.reported(
                settings.RefundRules,
                settings.TransferRules,
                settings.DisputeRules,
                now,
                observed.Source,
                seen.Report,
                world.ImposedOn(order.Value.Id),
                known.Value,
                world.Case(order.Value.Id)
            );
        return verdict.Match(
            settled: effect =>
            {
                world.Take(effect, changes, "dispute_" + seen.Fact.Ruling.Word(), observed.Cause);
                TakeFreed(world, changes, order.Value.Id, observed.Cause, now);
                return new Conclusion(EventState.Processed);
            },
            alreadyKnown: () => new Conclusion(EventState.Known),
            mustBeAsked: () => new Conclusion(EventState.Asking),
            quarantined: why => new Conclusion(EventState.Quarantined, why.Word())
        );
    }

    Conclusion Conclude(
        World world,
        Changes changes,
        Verdict<Effect> verdict,
        Order order,
        string signal,
        string source,
        Guid sourceId,
        Cause cause,
        DateTimeOffset now
    ) =>
        verdict.Match(
            settled: effect =>
            {
                world.Take(effect, changes, signal, cause);
                changes.Post(order.Id, order.Currency, source, sourceId, effect.Postings, cause);
                TakeFreed(world, changes, order.Id, cause, now);
                return Concluded(effect);
            },
            alreadyKnown: () => new Conclusion(EventState.Known),
            mustBeAsked: () => new Conclusion(EventState.Asking),
            quarantined: why => new Conclusion(EventState.Quarantined, why.Word())
        );

    /// <summary>What has become free on an order goes to the disputes that still claim something of it.</summary>
    void TakeFreed(World world, Changes changes, OrderId order, Cause cause, DateTimeOffset now)
    {
        var disputes = world.DisputesOf(order);
        if (disputes.IsEmpty)
        {
            return;
        }

        var effects = DisputeSettlement.takeFreed(
            settings.RefundRules,
            settings.TransferRules,
            now,
            world.ImposedOn(order),
            disputes,
            world.Case(order)
        );
        foreach (var effect in effects)
        {
            world.Take(effect, changes, "claim_met", cause);
        }
    }

    /// <summary>Of what stands outside of an order's books; its postings follow from its steps.</summary>
    static Conclusion Conclude(
        World world,
        Changes changes,
        Verdict<Effect> verdict,
        string signal,
        Cause cause
    ) =>
        verdict.Match(
            settled: effect =>
            {
                world.Take(effect, changes, signal, cause);
                return Concluded(effect);
            },
            alreadyKnown: () => new Conclusion(EventState.Known),
            mustBeAsked: () => new Conclusion(EventState.Asking),
            quarantined: why => new Conclusion(EventState.Quarantined, why.Word())
        );

    /// <summary>Booked, and where it needs a person's attention put before one.</summary>
    static Conclusion Concluded(Effect effect) =>
        effect.Attention is { Value: var why }
            ? new(EventState.Quarantined, why.Word())
            : new(EventState.Processed);

    static async Task WritePayments(
        ITransaction session,
        IReadOnlyList<Observation> observations,
        World world,
        DateTimeOffset now,
        CancellationToken cancellation
    )
    {
        var observed = observations
            .OfType<Observation.OfPayment>()
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
