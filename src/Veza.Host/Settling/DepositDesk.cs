using Veza.Adapters.Hyperswitch;
using Veza.Adapters.Storage;
using Veza.Domain;
using Veza.Domain.Deposits;

namespace Veza.Host.Settling;

/// <summary>
/// Gives back what belongs to nothing: once Hyperswitch, asked, confirms that it has the money, by one refund whose name
/// follows from the payment's and which is on disk before Hyperswitch hears of it.
/// </summary>
sealed partial class DepositDesk(
    Settings settings,
    IStore store,
    Decider decider,
    HyperswitchClient hyperswitch,
    ObservationDesk observations,
    TimeProvider clock,
    ILogger<DepositDesk> log
)
{
    const int Most = 20;

    /// <summary>True if there may be more.</summary>
    public async Task<bool> MoveDue(CancellationToken cancellation)
    {
        var due = await store.ClaimDeposits(Most, clock.GetUtcNow(), settings.LeaseTerm, cancellation);
        await Task.WhenAll(due.Select(deposit => Move(deposit.Value, cancellation)));
        return due.Count == Most;
    }

    Task Move(Deposit deposit, CancellationToken cancellation) =>
        deposit.Duty() is { Value: var duty }
            ? duty.Match(
                confirmPayment: () => Confirm(deposit, cancellation),
                askAboutReturn: () => AskAboutReturn(deposit, cancellation)
            )
            : Task.CompletedTask;

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

        if (!seen.HasSucceeded || seen.Amount != deposit.Amount.Minor)
        {
            LogNotConfirmed(deposit.Payment, seen.Status);
            await observations.Settle(new Observation.OfPayment(seen, cause), CancellationToken.None);
            await Tell(deposit, DepositSignal.ProviderSilent, cause);
            return;
        }

        if (await Tell(deposit, DepositSignal.PaymentConfirmed, cause) is { } sent)
        {
            await Send(sent);
        }
    }

    /// <summary>Asking comes first; only what Hyperswitch has proven not to know may be sent again.</summary>
    async Task AskAboutReturn(Deposit deposit, CancellationToken cancellation)
    {
        var answered = await hyperswitch.GetRefund(deposit.OwnRefund, cancellation);
        var cause = new Cause("sweep", answered.RequestId);
        if (answered.Answer is Answer<ProviderRefund>.Accepted { Receipt: var told })
        {
            await Observe(told, cause);
            await Tell(deposit, DepositSignal.ProviderSilent, cause);
        }
        else if (
            answered.Answer.IsMissing && deposit.IsToBeSentAgain(settings.RefundRules, clock.GetUtcNow())
        )
        {
            if (await Tell(deposit, DepositSignal.ReturnSentAgain, Cause.Worker) is { } sent)
            {
                await Send(sent);
            }
        }
        else
        {
            await Tell(deposit, DepositSignal.ProviderSilent, cause);
        }
    }

    async Task Send(Deposit deposit)
    {
        if (deposit.Status is not DepositStatus.Returning { Stray: var stray, Amount: var amount })
        {
            return;
        }

        var answered = await hyperswitch.CreateReturn(
            deposit,
            amount,
            DepositWords.stray(stray),
            CancellationToken.None
        );
        var cause = new Cause("worker", answered.RequestId);
        if (answered.Answer is Answer<ProviderRefund>.Accepted { Receipt: var told })
        {
            await Observe(told, cause);
            return;
        }

        if (!answered.Answer.IsDenied && !answered.Answer.IsDuplicate)
        {
            LogInDoubt(deposit.Payment, answered.Answer);
            return;
        }

        // A refusal of what arrived before says nothing about the first one: its books decide.
        var books = await hyperswitch.GetRefund(deposit.OwnRefund, CancellationToken.None);
        if (books.Answer is Answer<ProviderRefund>.Accepted { Receipt: var known })
        {
            await Observe(known, cause);
        }
        else if (
            books.Answer.IsMissing && answered.Answer is Answer<ProviderRefund>.Denied { Refusal: var why }
        )
        {
            LogRefused(deposit.Payment, why.Code, why.Message);
            await Tell(deposit, DepositSignal.NewReturnRefused(why), cause);
        }
    }

    Task<Conclusion> Observe(ProviderRefund told, Cause cause) =>
        observations.Settle(new Observation.OfRefund(told, cause), CancellationToken.None);

    /// <summary>Null where it changed nothing.</summary>
    Task<Deposit?> Tell(Deposit deposit, DepositSignal signal, Cause cause) =>
        decider.Transact<Deposit, DepositRefusal, Deposit?>(
            work => work.Deposit(deposit.Payment),
            (stored, now) => stored.Decide(settings.RefundRules, now, signal),
            _ => cause,
            missing: () => null,
            (_, outcome) =>
                outcome.Match(advanced: Deposit? (decision) => decision.Next, () => null, _ => null),
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
