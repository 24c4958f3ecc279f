using Veza.Domain;
using Veza.Domain.Orders;

namespace Veza.Host.Payments;

/// <summary>What became of a request for a payment.</summary>
abstract record PaymentAnswer
{
    public sealed record Open(string PaymentId, string? ClientSecret, string Status) : PaymentAnswer;

    /// <summary>Nobody knows whether Hyperswitch has it. Asking again finds out and never makes a second one.</summary>
    public sealed record InDoubt : PaymentAnswer;

    public sealed record Refused(string Code, string Message) : PaymentAnswer;

    public sealed record NotPayable(string OrderStatus) : PaymentAnswer;

    /// <summary>The payment was made with another address for the buyer to come back to, and keeps it.</summary>
    public sealed record AnotherReturnUrl : PaymentAnswer;

    public sealed record NoSuchOrder : PaymentAnswer;
}

/// <summary>
/// Offers orders for payment. The payment's id follows from the order's, and Hyperswitch deduplicates by it: an
/// order never has a second payment, however often it is asked for.
/// </summary>
sealed partial class PaymentService(
    Settings settings,
    IStore store,
    Decider decider,
    HyperswitchClient hyperswitch,
    ProviderReportService observations,
    LeaseKeeper leases,
    WorkSignals wakes,
    TimeProvider clock,
    ILogger<PaymentService> log
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
        var (order, returnTo, answer) = await decider.Transact(
            work => Offer(work, orderId, returnUrl, actor, cancellation),
            cancellation
        );
        if (answer is not null)
        {
            return answer;
        }

        // From here on the caller's disconnect changes nothing: the payment is on its way.
        cancellation = CancellationToken.None;
        var answered = await hyperswitch.CreatePayment(order!, returnTo, cancellation);
        if (answered.Answer.IsDuplicate)
        {
            answered = await hyperswitch.GetPayment(PaymentId.For(order!.Id), cancellation);
        }

        switch (answered.Answer)
        {
            case Answer<ProviderPayment>.Accepted { Receipt: var payment }
                when !Settlement.isAskedFor(order!, payment.ToFact()):
                LogQuarantined(payment.PaymentId, "amount_differs");
                return new PaymentAnswer.Refused(
                    "amount_differs",
                    $"Hyperswitch holds this payment at {Money.Display(payment.Amount, payment.Currency)}."
                );
            case Answer<ProviderPayment>.Accepted { Receipt: var payment }:
                await Observe(payment, new Cause(actor, answered.RequestId), cancellation);
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
    /// may make another attempt on the same payment. True if there may be more.
    /// </summary>
    public async Task<bool> AskAboutDue(CancellationToken cancellation)
    {
        var due = await store.ClaimPayments(
            Most,
            clock.GetUtcNow(),
            settings.SweepAfter,
            settings.LeaseTerm,
            cancellation
        );
        await Task.WhenAll(due.Select(payment => AskAbout(payment, cancellation)));
        return due.Count == Most;
    }

    /// <summary>Puts the order up for payment, or answers at once what is already known.</summary>
    async Task<(Order? Order, string? ReturnUrl, PaymentAnswer? Answer)> Offer(
        UnitOfWork work,
        Guid orderId,
        string? returnUrl,
        string actor,
        CancellationToken cancellation
    )
    {
        if (await work.Order(orderId) is not { } order)
        {
            return (null, null, new PaymentAnswer.NoSuchOrder());
        }

        var made = await work.Session.ReturnUrlOf(orderId, cancellation);
        var isAnother = made is not null && returnUrl is not null && made != returnUrl;
        var returnTo = string.IsNullOrEmpty(made) ? returnUrl : made;
        var outcome = order.Decide(OrderSignal.PaymentRequested);
        if (isAnother && !outcome.IsRefused)
        {
            return (null, null, new PaymentAnswer.AnotherReturnUrl());
        }

        return await outcome.Match<Decision<Order>, OrderRefusal, Task<(Order?, string?, PaymentAnswer?)>>(
            advanced: decision =>
            {
                var next = work.Add(decision, new Cause(actor));
                var due = work.Now + settings.SweepAfter;
                work.Afterwards(() =>
                    work.Session.IntendPayment(next, returnTo, due, work.Now, cancellation)
                );
                return Task.FromResult<(Order?, string?, PaymentAnswer?)>((next, returnTo, null));
            },
            unchanged: async () => (order, returnTo, await Known(work.Session, orderId, cancellation)),
            refused: _ =>
                Task.FromResult<(Order?, string?, PaymentAnswer?)>(
                    (null, null, new PaymentAnswer.NotPayable(order.Status.Word()))
                )
        );
    }

    /// <summary>The payment, if Hyperswitch has already answered for it.</summary>
    static async Task<PaymentAnswer?> Known(
        ITransaction session,
        Guid orderId,
        CancellationToken cancellation
    ) =>
        await session.FindPayment(orderId, cancellation) is { } known
            ? new PaymentAnswer.Open(known.PaymentId, known.ClientSecret, known.Status ?? "processing")
            : null;

    async Task AskAbout(DuePayment payment, CancellationToken cancellation)
    {
        using var held = leases.Hold(Leased.Payment, payment.Order);
        await Ask(OrderId.Of(payment.Order), cancellation);
        await held.PutOff(payment.Next, cancellation);
    }

    async Task Ask(OrderId order, CancellationToken cancellation)
    {
        var answered = await hyperswitch.GetPayment(PaymentId.For(order), cancellation);
        if (answered.Answer is Answer<ProviderPayment>.Accepted { Receipt: var payment })
        {
            await Observe(payment, new Cause("sweep", answered.RequestId), cancellation);
        }
    }

    /// <summary>What Hyperswitch says of a payment, whoever asked.</summary>
    public async Task<EventResult> Observe(
        ProviderPayment payment,
        Cause cause,
        CancellationToken cancellation
    )
    {
        var conclusion = await observations.Settle(
            new ProviderReport.OfPayment(payment, cause),
            cancellation
        );
        if (conclusion.State == EventState.Quarantined)
        {
            LogQuarantined(payment.PaymentId, conclusion.Reason);
        }

        wakes.Workers();
        return conclusion;
    }

    [LoggerMessage(
        LogLevel.Warning,
        "The payment of order {Id} has no definite answer ({Answer}). Hyperswitch will be polled."
    )]
    partial void LogInDoubt(Guid id, Answer<ProviderPayment> answer);

    [LoggerMessage(
        LogLevel.Error,
        "Hyperswitch's answer about payment {Id} is quarantined: {Why}. An operator must look into it."
    )]
    partial void LogQuarantined(string id, string? why);
}
