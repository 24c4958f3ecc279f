using Npgsql;
using Veza.Adapters.Hyperswitch;
using Veza.Adapters.Postgres;
using Veza.Domain;
using Veza.Domain.Orders;
using Veza.Host.Workers;

namespace Veza.Host.Settling;

/// <summary>What became of a request for a payment.</summary>
abstract record PaymentAnswer
{
    public sealed record Open(string PaymentId, string? ClientSecret, string Status) : PaymentAnswer;

    /// <summary>Nobody knows whether Hyperswitch has it. Asking again finds out and never makes a second one.</summary>
    public sealed record InDoubt : PaymentAnswer;

    public sealed record Refused(string Code, string Message) : PaymentAnswer;

    public sealed record NotPayable(string OrderStatus) : PaymentAnswer;

    public sealed record NoSuchOrder : PaymentAnswer;
}

/// <summary>
/// Offers orders for payment. The payment's id follows from the order's, and Hyperswitch deduplicates by it: an
/// order never has a second payment, however often it is asked for.
/// </summary>
sealed partial class PaymentDesk(
    Settings settings,
    NpgsqlDataSource database,
    HyperswitchClient hyperswitch,
    Settler settler,
    Wakes wakes,
    TimeProvider clock,
    ILogger<PaymentDesk> log
)
{
    const int Most = 20;

    public async Task<PaymentAnswer> Pay(
        Guid orderId,
        string? returnUrl,
        string actor,
        CancellationToken cancellation
    )
    {
        var (order, answer) = await Conflicts.DecideAgain(() => Offer(orderId, actor, cancellation));
        if (answer is not null)
        {
            return answer;
        }

        // From here on the caller's disconnect changes nothing: the payment is on its way.
        var answered = await hyperswitch.CreatePayment(order!, returnUrl, CancellationToken.None);
        if (answered.Answer.IsDuplicate)
        {
            answered = await hyperswitch.GetPayment(PaymentId.For(order!.Id), CancellationToken.None);
        }

        switch (answered.Answer)
        {
            case Answer<ProviderPayment>.Accepted { Receipt: var payment }
                when payment.Amount != order!.Total || payment.Currency != order.Currency.Code:
                LogQuarantined(payment.PaymentId, "amount_differs");
                return new PaymentAnswer.Refused(
                    "amount_differs",
                    $"Hyperswitch holds this payment at {payment.Amount} {payment.Currency}."
                );
            case Answer<ProviderPayment>.Accepted { Receipt: var payment }:
                await Observe(payment, new Cause(actor, answered.RequestId));
                return new PaymentAnswer.Open(payment.PaymentId, payment.ClientSecret, payment.Status);
            case Answer<ProviderPayment>.Denied { Refusal: var refusal }:
                return new PaymentAnswer.Refused(refusal.Code, refusal.Message);
            default:
                LogInDoubt(orderId, answered.Answer);
                return new PaymentAnswer.InDoubt();
        }
    }

    /// <summary>
    /// Asks Hyperswitch about payments it should have reported: those awaited, and those that failed, because it
    /// may make another attempt on the same payment. Each wait is half of the payment's age, so that what nobody
    /// ever pays is asked about ever more rarely and never given up. True if there may be more.
    /// </summary>
    public async Task<bool> AskAboutDue(CancellationToken cancellation)
    {
        var now = clock.GetUtcNow();
        var due = new List<Guid>();
        await using (
            var command = database.CreateCommand(
                """
                update payments
                set due_at = $1 + greatest($2, ($1 - created_at) / 2)
                where order_id = any(array(
                    select order_id from payments where due_at <= $1 order by due_at limit $3 for update skip locked))
                returning order_id
                """
            )
        )
        {
            command.Parameters.Add(new NpgsqlParameter<DateTimeOffset> { TypedValue = now });
            command.Parameters.Add(new NpgsqlParameter<TimeSpan> { TypedValue = settings.SweepAfter });
            command.Parameters.AddWithValue(Most);
            await using var reader = await command.ExecuteReaderAsync(cancellation);
            while (await reader.ReadAsync(cancellation))
            {
                due.Add(reader.GetGuid(0));
            }
        }

        await Task.WhenAll(due.Select(order => Ask(OrderId.Of(order), cancellation)));
        return due.Count == Most;
    }

    /// <summary>Puts the order up for payment, or answers at once what is already known.</summary>
    async Task<(Order? Order, PaymentAnswer? Answer)> Offer(
        Guid orderId,
        string actor,
        CancellationToken cancellation
    )
    {
        await using var session = await Session.Begin(database, cancellation);
        var orders = await session.Orders([orderId], cancellation);
        if (!orders.TryGetValue(orderId, out var order))
        {
            return (null, new PaymentAnswer.NoSuchOrder());
        }

        var now = clock.GetUtcNow();
        return await order
            .Value.Apply(OrderSignal.PaymentRequested)
            .Match<Task<(Order?, PaymentAnswer?)>>(
                advanced: async next =>
                {
                    var changes = new Changes();
                    changes.Save(order, next, OrderSignal.PaymentRequested.Word(), new Cause(actor));
                    await session.Write(changes, now, cancellation);
                    await Intend(session, next, now, cancellation);
                    await session.Commit(cancellation);
                    return (next, null);
                },
                unchanged: async () => (order.Value, await Known(session, orderId, cancellation)),
                refused: _ =>
                    Task.FromResult<(Order?, PaymentAnswer?)>(
                        (null, new PaymentAnswer.NotPayable(order.Value.Status.Word()))
                    )
            );
    }

    async Task Intend(Session session, Order order, DateTimeOffset now, CancellationToken cancellation)
    {
        await using var command = session.Command(
            """
            insert into payments (order_id, payment_id, due_at, created_at, updated_at) values ($1, $2, $3, $4, $4)
            on conflict (order_id) do update set due_at = excluded.due_at, updated_at = excluded.updated_at
            """
        );
        command.Parameters.AddWithValue(order.Id.Value);
        command.Parameters.AddWithValue(PaymentId.For(order.Id).Value);
        command.Parameters.Add(
            new NpgsqlParameter<DateTimeOffset> { TypedValue = now + settings.SweepAfter }
        );
        command.Parameters.Add(new NpgsqlParameter<DateTimeOffset> { TypedValue = now });
        await command.ExecuteNonQueryAsync(cancellation);
    }

    /// <summary>The payment, if Hyperswitch has already answered for it.</summary>
    static async Task<PaymentAnswer?> Known(Session session, Guid orderId, CancellationToken cancellation)
    {
        await using var command = session.Command(
            "select payment_id, client_secret, provider_status from payments where order_id = $1"
        );
        command.Parameters.AddWithValue(orderId);
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        return await reader.ReadAsync(cancellation) && !reader.IsDBNull(1)
            ? new PaymentAnswer.Open(
                reader.GetString(0),
                reader.GetString(1),
                reader.IsDBNull(2) ? "processing" : reader.GetString(2)
            )
            : null;
    }

    async Task Ask(OrderId order, CancellationToken cancellation)
    {
        var answered = await hyperswitch.GetPayment(PaymentId.For(order), cancellation);
        if (answered.Answer is Answer<ProviderPayment>.Accepted { Receipt: var payment })
        {
            await Observe(payment, new Cause("sweep", answered.RequestId));
        }
    }

    async Task Observe(ProviderPayment payment, Cause cause)
    {
        var conclusion = await Conflicts.DecideAgain(async () =>
        {
            await using var session = await Session.Begin(database, CancellationToken.None);
            var conclusions = await settler.Settle(
                session,
                [new Observation.OfPayment(payment, cause)],
                clock.GetUtcNow(),
                CancellationToken.None
            );
            await session.Commit(CancellationToken.None);
            return conclusions[0];
        });
        if (conclusion.State == EventState.Quarantined)
        {
            LogQuarantined(payment.PaymentId, conclusion.Reason);
        }

        wakes.Workers();
    }

    [LoggerMessage(LogLevel.Warning, "The payment of order {Id} has no definite answer ({Answer}).")]
    partial void LogInDoubt(Guid id, Answer<ProviderPayment> answer);

    [LoggerMessage(
        LogLevel.Error,
        "What Hyperswitch says of payment {Id} is not believed: {Why}. A person must look."
    )]
    partial void LogQuarantined(string id, string? why);
}
