using Microsoft.FSharp.Core;
using Veza.Domain;
using Veza.Domain.Orders;
using Veza.Domain.Refunds;

namespace Veza.Host.Refunds;

/// <summary>What became of a request for a refund.</summary>
abstract record RefundAnswer
{
    /// <summary>The provider has it: submitted or succeeded.</summary>
    public sealed record Taken(Guid Id, string Status) : RefundAnswer;

    /// <summary>Nobody knows yet; its amount stays reserved and the provider is asked.</summary>
    public sealed record InDoubt(Guid Id) : RefundAnswer;

    /// <summary>The provider refused; the refund is kept as failed and its amount released.</summary>
    public sealed record Refused(Guid Id, string Code, string Message) : RefundAnswer;

    /// <summary>The order does not allow it; nothing was reserved.</summary>
    public sealed record NotAllowed(OrderRefusal Why, string OrderStatus, Currency Currency) : RefundAnswer;

    public sealed record NoSuchOrder : RefundAnswer;
}

/// <summary>
/// Refunds buyers. The amount is reserved under the order's lock and committed before Hyperswitch is called; it
/// is called once; a doubt is kept and resolved by asking.
/// </summary>
sealed partial class RefundService(
    Settings settings,
    IStore store,
    Decider decider,
    HyperswitchClient hyperswitch,
    RefundCalls calls,
    ProviderReportService observations,
    LeaseKeeper leases,
    WorkSignals wakes,
    TimeProvider clock,
    ILogger<RefundService> log
)
{
    const int Most = 20;

    /// <param name="id">Chosen by the caller, so that a repeated request finds the refund it made before.</param>
    public async Task<RefundAnswer> Refund(
        Guid id,
        Guid orderId,
        RefundRequest request,
        string? reason,
        string actor,
        CancellationToken cancellation
    )
    {
        var (refund, isNew, refused) = await decider.Transact(
            work => Reserve(work, id, orderId, request, reason, actor),
            cancellation
        );
        if (refund is null)
        {
            return refused!;
        }

        if (isNew)
        {
            // From here on the caller's disconnect changes nothing: the refund is on its way.
            var answered = await hyperswitch.CreateRefund(refund, CancellationToken.None);
            await Hear(
                refund,
                answered.Answer.IsDuplicate ? await Decided(refund, answered) : answered,
                actor
            );
        }

        // A repeat only hears how the first one stands: Hyperswitch would answer a second send of a full refund
        // with "exceeds the captured amount", which says nothing about the first.
        return await Stand(refund.Id, CancellationToken.None);
    }

    /// <summary>
    /// Stripe says that a refund which Hyperswitch made for us has failed. Hyperswitch may still call it a success.
    /// </summary>
    public async Task<EventResult> HearOfFailure(SeenRefund seen, Cause cause, CancellationToken cancellation)
    {
        if (await PaymentOf(seen.RefundId, cancellation) is not { } payment)
        {
            return new(EventState.Ignored, "not_ours");
        }

        var refusal = new Refusal(
            RefusalCause.OtherCause,
            seen.FailureReason ?? "refund_failed",
            $"Stripe says that {seen.StripeId} has {seen.Status}."
        );
        return await Observe(
            new ProviderRefund(
                seen.RefundId,
                new RefundReport(seen.Amount, seen.Currency, payment, RefundFact.NewHasFailed(refusal))
            ),
            cause
        );
    }

    /// <summary>
    /// The payment that a refund gives back: of ours at once, of somebody else's by asking Hyperswitch, because it may
    /// take from money outside of orders' books. Null if Hyperswitch knows none.
    /// </summary>
    async Task<string?> PaymentOf(string name, CancellationToken cancellation)
    {
        if (await FindNamed(name, cancellation) is { } refund)
        {
            return PaymentId.For(refund.Order).Value;
        }

        var answered = await hyperswitch.GetRefund(ProviderRefundId.Named(name), cancellation);
        return answered.Answer switch
        {
            Answer<ProviderRefund>.Accepted { Receipt.Report.Payment: var payment } => payment,
            { IsMissing: true } => null,
            _ => throw new HttpRequestException($"Hyperswitch does not say whose refund {name} is."),
        };
    }

    /// <summary>
    /// A webhook contradicts what is known of a refund: what Hyperswitch says now is followed. Null if it does not say.
    /// </summary>
    public async Task<EventResult?> AskAbout(string name, Cause cause, CancellationToken cancellation)
    {
        // It may be somebody else's, of a payment outside of an order's books.
        var answered = await hyperswitch.GetRefund(ProviderRefundId.Named(name), cancellation);
        return answered.Answer switch
        {
            Answer<ProviderRefund>.Accepted { Receipt: var told } => await Observe(told, cause),
            { IsMissing: true } => new EventResult(EventState.Quarantined, "refund_missing"),
            _ => null,
        };
    }

    /// <summary>Asks Hyperswitch about refunds whose time has come. True if there may be more.</summary>
    public async Task<bool> AskAboutDue(CancellationToken cancellation)
    {
        var due = await store.ClaimRefunds(Most, clock.GetUtcNow(), settings.LeaseTerm, cancellation);
        await Task.WhenAll(due.Select(refund => AskAbout(refund, cancellation)));
        return due.Count == Most;
    }

    async Task<(Refund? Refund, bool IsNew, RefundAnswer? Refused)> Reserve(
        UnitOfWork work,
        Guid id,
        Guid orderId,
        RefundRequest request,
        string? reason,
        string actor
    )
    {
        // Refunds before orders, as everywhere: two that lock in opposite orders wait for each other.
        if (await work.Refund(id) is { } known)
        {
            return (known, false, null);
        }

        if (await work.Order(orderId) is not { } order)
        {
            return (null, false, new RefundAnswer.NoSuchOrder());
        }

        // Somebody may have made it while this one waited for the order.
        if (await work.Refund(id) is { } made)
        {
            return (made, false, null);
        }

        var outcome = Settlement.reserve(
            settings.RefundRules,
            work.Now,
            RefundId.Of(id),
            request,
            reason is null ? FSharpOption<string>.None : FSharpOption<string>.Some(reason),
            order
        );
        return outcome.Match<Decision<Refund>, OrderRefusal, (Refund?, bool, RefundAnswer?)>(
            advanced: decision => (work.Add(decision, new Cause(actor)), true, null),
            unchanged: () => throw new InvalidOperationException("A reservation always changes its order."),
            refused: why =>
                (null, false, new RefundAnswer.NotAllowed(why, order.Status.Word(), order.Currency))
        );
    }

    async Task AskAbout(Versioned<Refund> refund, CancellationToken cancellation)
    {
        using var held = leases.Hold(Leased.Refund, refund.Value.Id.Value, refund.Version);
        await Ask(refund.Value, cancellation);
        await held.PutOff(clock.GetUtcNow() + settings.SweepAfter, cancellation);
    }

    async Task Ask(Refund refund, CancellationToken cancellation)
    {
        var actor = "sweep";
        var answered = await calls.Ask(
            ProviderRefundId.For(refund.Id),
            refund.IsToBeSentAgain(settings.RefundRules, clock.GetUtcNow()),
            async () =>
            {
                actor = "worker";
                await Tell(refund.Id, RefundSignal.SentAgain, Cause.Worker);
                // From here on a stop of the host changes nothing: the refund is on its way.
                return await Decided(refund, await hyperswitch.CreateRefund(refund, CancellationToken.None));
            },
            cancellation
        );
        await Hear(refund, answered, actor);
    }

    Task<Answered<ProviderRefund>> Decided(Refund refund, Answered<ProviderRefund> answered) =>
        calls.Decided(ProviderRefundId.For(refund.Id), answered);

    async Task Hear(Refund refund, Answered<ProviderRefund> answered, string actor)
    {
        var cause = new Cause(actor, answered.RequestId);
        switch (answered.Answer)
        {
            case Answer<ProviderRefund>.Accepted { Receipt: var told }:
                await Observe(told, cause);
                break;
            case Answer<ProviderRefund>.Denied { Refusal: var refusal }:
                await Observe(Failed(refund, refusal), cause);
                break;
            case { IsMissing: true }:
                await Tell(refund.Id, RefundSignal.ProviderMissesIt, cause);
                break;
            default:
                LogInDoubt(refund.Id.Value, answered.Answer);
                await Tell(
                    refund.Id,
                    answered.Answer.Shown() is { Value: var trouble }
                        ? RefundSignal.NewProviderTroubled(trouble)
                        : RefundSignal.ProviderSilent,
                    cause
                );
                break;
        }
    }

    /// <summary>What a provider says of a refund, whoever asked.</summary>
    public async Task<EventResult> Observe(ProviderRefund told, Cause cause)
    {
        var conclusion = await observations.Settle(
            new ProviderReport.OfRefund(told, cause),
            // What was heard is kept, whoever stops waiting.
            CancellationToken.None
        );
        if (conclusion.State == EventState.Quarantined)
        {
            LogQuarantined(told.RefundId, conclusion.Reason);
        }

        wakes.Workers();
        return conclusion;
    }

    /// <summary>False where it changes nothing.</summary>
    Task<bool> Tell(RefundId id, RefundSignal signal, Cause cause) =>
        decider.Transact<Refund, RefundRefusal, bool>(
            work => work.Refund(id.Value),
            (refund, now) => refund.Decide(settings.RefundRules, now, signal),
            _ => cause,
            missing: () => false,
            (_, outcome) => outcome.IsAdvanced,
            // What was heard is kept, whoever stops waiting.
            CancellationToken.None
        );

    async Task<Refund?> FindNamed(string name, CancellationToken cancellation)
    {
        await using var session = await store.Begin(cancellation);
        return await session.RefundsNamed([name], cancellation) is [var known] ? known.Value : null;
    }

    async Task<RefundAnswer> Stand(RefundId id, CancellationToken cancellation)
    {
        await using var session = await store.Begin(cancellation);
        var refund = (await session.Refunds([id.Value], cancellation)).Single().Value;
        return refund.Status.Match<RefundAnswer>(
            pending: () => new RefundAnswer.InDoubt(id.Value),
            submitted: () => new RefundAnswer.Taken(id.Value, refund.Status.Word()),
            succeeded: () => new RefundAnswer.Taken(id.Value, refund.Status.Word()),
            failed: refusal => new RefundAnswer.Refused(id.Value, refusal.Code, refusal.Message)
        );
    }

    /// <summary>A refusal without an object, told as the object would tell it.</summary>
    static ProviderRefund Failed(Refund refund, Refusal refusal) =>
        new(
            ProviderRefundId.For(refund.Id).Value,
            new RefundReport(
                refund.Amount.Minor,
                refund.Amount.Currency.Code,
                PaymentId.For(refund.Order).Value,
                RefundFact.NewHasFailed(refusal)
            )
        );

    [LoggerMessage(
        LogLevel.Warning,
        "Refund {Id} has no definite answer ({Answer}); Hyperswitch will be asked."
    )]
    partial void LogInDoubt(Guid id, Answer<ProviderRefund> answer);

    [LoggerMessage(
        LogLevel.Error,
        "What Hyperswitch says of refund {Id} is not believed: {Why}. A person must look."
    )]
    partial void LogQuarantined(string id, string? why);
}
