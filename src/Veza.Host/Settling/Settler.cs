using Veza.Adapters.Storage;
using Veza.Domain;
using Veza.Domain.Orders;
using Veza.Domain.Refunds;

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
            _ => throw new ArgumentOutOfRangeException(nameof(observation)),
        };

    Conclusion ConcludePayment(
        World world,
        Changes changes,
        Observation.OfPayment observed,
        DateTimeOffset now
    )
    {
        if (world.OrderOfPayment(observed.Payment.PaymentId) is not { } order)
        {
            return new(EventState.Parked, "unknown_payment");
        }

        if (!observed.Payment.HasSucceeded && !observed.Payment.HasFailed)
        {
            return new(EventState.Known, observed.Payment.Status);
        }

        var verdict = observed.Payment.HasSucceeded
            ? Settlement.paymentSucceeded(now, settings.TransferHold, observed.Payment.ToFact(), order.Value)
            : Settlement.paymentFailed(order.Value);
        var signal = observed.Payment.HasSucceeded
            ? OrderSignal.PaymentSucceeded
            : OrderSignal.PaymentHasFailed;
        return Conclude(
            world,
            changes,
            verdict,
            order.Value,
            signal.Word(),
            "order",
            order.Value.Id.Value,
            observed.Cause
        );
    }

    Conclusion ConcludeRefund(World world, Changes changes, Observation.OfRefund observed, DateTimeOffset now)
    {
        if (world.RefundNamed(observed.Refund.RefundId) is not { } refund)
        {
            return new(EventState.Parked, "unknown_refund");
        }

        var order = world.Order(refund.Value.Order).Value;
        var verdict = Settlement.refundReported(
            settings.RefundRules,
            settings.TransferRules,
            now,
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
            observed.Cause
        );
    }

    static Conclusion Conclude(
        World world,
        Changes changes,
        Verdict<Effect> verdict,
        Order order,
        string signal,
        string source,
        Guid sourceId,
        Cause cause
    ) =>
        verdict.Match(
            settled: effect =>
            {
                world.Take(effect, changes, signal, cause);
                changes.Post(order.Id, order.Currency, source, sourceId, effect.Postings);
                return new Conclusion(EventState.Processed);
            },
            alreadyKnown: () => new Conclusion(EventState.Known),
            quarantined: why => new Conclusion(EventState.Quarantined, why.Word())
        );

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
            .Where(payment => world.OrderOfPayment(payment.PaymentId) is not null)
            .DistinctBy(payment => payment.PaymentId)
            .ToList();
        if (observed.Count > 0)
        {
            await session.WritePayments(observed, now, cancellation);
        }
    }
}
