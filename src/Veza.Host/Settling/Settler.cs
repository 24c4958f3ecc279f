using Npgsql;
using Veza.Adapters.Postgres;
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
        Session session,
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
            postponed: () => new Conclusion(EventState.Parked, "undo_in_progress"),
            quarantined: why => new Conclusion(EventState.Quarantined, why.Word())
        );

    /// <summary>The provider's own word on its payments is kept beside our decision.</summary>
    static async Task WritePayments(
        Session session,
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
        if (observed.Count == 0)
        {
            return;
        }

        await using var command = session.Command(
            """
            update payments p
            set provider_status = c.status, error_code = c.error_code, error_message = c.error_message,
                client_secret = coalesce(p.client_secret, c.client_secret),
                due_at = case when o.status in ('awaiting_payment', 'payment_failed')
                    and c.status not in ('cancelled', 'expired') then p.due_at end,
                updated_at = $6
            from unnest($1, $2, $3, $4, $5) as c (payment_id, status, error_code, error_message, client_secret),
                orders o
            where p.payment_id = c.payment_id and o.id = p.order_id
                and (p.provider_status, p.error_code) is distinct from ('succeeded', null)
            """
        );
        command.Parameters.Add(Texts(observed.Select(payment => payment.PaymentId)));
        command.Parameters.Add(Texts(observed.Select(payment => payment.Status)));
        command.Parameters.Add(Texts(observed.Select(payment => payment.ErrorCode)));
        command.Parameters.Add(Texts(observed.Select(payment => payment.ErrorMessage)));
        command.Parameters.Add(Texts(observed.Select(payment => payment.ClientSecret)));
        command.Parameters.Add(new NpgsqlParameter<DateTimeOffset> { TypedValue = now });
        await command.ExecuteNonQueryAsync(cancellation);
    }

    static NpgsqlParameter<string?[]> Texts(IEnumerable<string?> texts) => new() { TypedValue = [.. texts] };
}
