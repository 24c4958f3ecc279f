using Veza.Domain;
using Veza.Domain.Deposits;

namespace Veza.Host.Deposits;

/// <summary>What became of an operator's word on a deposit.</summary>
abstract record DepositTold
{
    public sealed record Done : DepositTold;

    /// <summary>Nothing of it is held, or a refund of it is on its way.</summary>
    public sealed record Refused(string DepositStatus) : DepositTold;

    public sealed record NoSuchDeposit : DepositTold;
}

/// <summary>
/// Gives back what belongs to nothing: once Hyperswitch, asked, confirms that it has the money, by one refund whose name
/// follows from the payment's and which is on disk before Hyperswitch hears of it.
/// </summary>
sealed partial class DepositService(
    Settings settings,
    IStore store,
    Decider decider,
    HyperswitchClient hyperswitch,
    RefundCalls calls,
    ProviderReportService observations,
    LeaseKeeper leases,
    TimeProvider clock,
    ILogger<DepositService> log
)
{
    const int Most = 20;

    /// <summary>True if there may be more.</summary>
    public async Task<bool> MoveDue(CancellationToken cancellation)
    {
        var due = await store.ClaimDeposits(Most, clock.GetUtcNow(), settings.LeaseTerm, cancellation);
        await Task.WhenAll(due.Select(deposit => Move(deposit, cancellation)));
        return due.Count == Most;
    }

    /// <summary>
    /// An operator wants it given back: that is written down first. Then Hyperswitch is asked and called at once; what
    /// stays open is the sweep's.
    /// </summary>
    public async Task<DepositTold> GiveBack(
        Guid id,
        string actor,
        string note,
        CancellationToken cancellation
    )
    {
        var (told, asked) = await decider.Transact(
            work => Request(work, id, new Cause(actor, Detail: note)),
            cancellation
        );
        if (asked is not null)
        {
            // From here on the caller's disconnect changes nothing.
            await Move(asked, CancellationToken.None);
        }

        return told;
    }

    async Task<(DepositTold Told, Versioned<Deposit>? Asked)> Request(UnitOfWork work, Guid id, Cause cause)
    {
        if (await work.Deposit(id) is not { } known)
        {
            return (new DepositTold.NoSuchDeposit(), null);
        }

        var version = work.Changes.Deposits.VersionOf(id);
        var outcome = known.Decide(settings.RefundRules, work.Now, DepositSignal.ReturnRequested);
        work.Add(outcome, cause);
        return outcome.Match<Decision<Deposit>, DepositRefusal, (DepositTold, Versioned<Deposit>?)>(
            advanced: decision =>
                (new DepositTold.Done(), new Versioned<Deposit>(decision.Next, version + 1)),
            unchanged: () => (new DepositTold.Done(), new Versioned<Deposit>(known, version)),
            refused: _ => (new DepositTold.Refused(known.Status.Word()), null)
        );
    }

    async Task Move(Versioned<Deposit> deposit, CancellationToken cancellation)
    {
        using var held = leases.Hold(Leased.Deposit, deposit.Value.Id.Value, deposit.Version);
        if (deposit.Value.Duty() is { Value: var duty })
        {
            await duty.Match(
                confirmPayment: () => Confirm(deposit.Value, cancellation),
                askAboutReturn: () => AskAboutReturn(deposit.Value, cancellation)
            );
        }
    }

    /// <summary>A webhook is a hint where money would move: what Hyperswitch says now decides.</summary>
    async Task Confirm(Deposit deposit, CancellationToken cancellation)
    {
        var answered = await hyperswitch.GetPayment(deposit.PaymentName, cancellation);
        var cause = new Cause("worker", answered.RequestId);
        if (answered.Answer is not Answer<ProviderPayment>.Accepted { Receipt: var seen })
        {
            await Tell(deposit, DepositSignal.ProviderSilent, cause);
            return;
        }

        if (!deposit.IsConfirmedBy(seen.Meaning, seen.Amount))
        {
            LogNotConfirmed(deposit.Payment, seen.Status);
            // What was heard is kept, whoever stops waiting.
            await observations.Settle(new ProviderReport.OfPayment(seen, cause), CancellationToken.None);
            await Tell(deposit, DepositSignal.ProviderSilent, cause);
            return;
        }

        // It stays to be confirmed while somebody else's refund of it is on its way.
        if (await Tell(deposit, DepositSignal.PaymentConfirmed, cause) is { Status.IsReturning: true } sent)
        {
            await Hear(sent, await Send(sent), "worker");
        }
    }

    async Task AskAboutReturn(Deposit deposit, CancellationToken cancellation)
    {
        var actor = "sweep";
        var answered = await calls.Ask(
            deposit.OwnRefund,
            deposit.IsToBeSentAgain(settings.RefundRules, clock.GetUtcNow()),
            async () =>
            {
                actor = "worker";
                return
                    await Tell(deposit, DepositSignal.ReturnSentAgain, Cause.Worker)
                        is { Status.IsReturning: true } sent
                    ? await Send(sent)
                    : null;
            },
            cancellation
        );
        await Hear(deposit, answered, actor);
    }

    async Task<Answered<ProviderRefund>> Send(Deposit deposit)
    {
        var (stray, amount) = deposit.Status is DepositStatus.Returning { Stray: var why, Amount: var sum }
            ? (why, sum)
            : throw new InvalidOperationException($"Deposit {deposit.Id.Value} is not being given back.");
        var answered = await hyperswitch.CreateReturn(
            deposit,
            amount,
            DepositWords.stray(stray),
            // The return is on its way: a stop of the host changes nothing.
            CancellationToken.None
        );
        return await calls.Decided(deposit.OwnRefund, answered);
    }

    async Task Hear(Deposit deposit, Answered<ProviderRefund> answered, string actor)
    {
        var cause = new Cause(actor, answered.RequestId);
        switch (answered.Answer)
        {
            case Answer<ProviderRefund>.Accepted { Receipt: var told }:
                await Observe(told, cause);
                break;
            case Answer<ProviderRefund>.Denied { Refusal: var why }:
                LogRefused(deposit.Payment, why.Code, why.Message);
                await Tell(deposit, DepositSignal.NewReturnRefused(why), cause);
                return;
            default:
                LogInDoubt(deposit.Payment, answered.Answer);
                break;
        }

        // It is asked about again, later each time, for as long as it is not decided.
        await Tell(deposit, DepositSignal.ProviderSilent, cause);
    }

    // What was heard is kept, whoever stops waiting.
    Task<EventResult> Observe(ProviderRefund told, Cause cause) =>
        observations.Settle(new ProviderReport.OfRefund(told, cause), CancellationToken.None);

    /// <summary>Null where it changed nothing.</summary>
    Task<Deposit?> Tell(Deposit deposit, DepositSignal signal, Cause cause) =>
        decider.Transact<Deposit, DepositRefusal, Deposit?>(
            work => work.Deposit(deposit.Payment),
            (stored, now) => stored.Decide(settings.RefundRules, now, signal),
            _ => cause,
            missing: () => null,
            (_, outcome) =>
                outcome.Match(advanced: Deposit? (decision) => decision.Next, () => null, _ => null),
            // What was heard is kept, whoever stops waiting.
            CancellationToken.None
        );

    [LoggerMessage(
        LogLevel.Warning,
        "Payment {Payment} was to be given back, and Hyperswitch now says '{Status}'; it is asked again."
    )]
    partial void LogNotConfirmed(string payment, string status);

    [LoggerMessage(LogLevel.Warning, "The return of payment {Payment} has no definite answer ({Answer}).")]
    partial void LogInDoubt(string payment, Answer<ProviderRefund> answer);

    [LoggerMessage(
        LogLevel.Error,
        "Hyperswitch refuses to give payment {Payment} back ({Code}: {Message}). A person must look."
    )]
    partial void LogRefused(string payment, string code, string message);
}
