using System.Text.Json;

namespace Veza.Host.ProviderEvents;

/// <summary>
/// Asks a provider about what an event only hints at, outside any transaction, and lets the domain decide on the answer. An
/// event whose question has no answer is retried when its lease expires.
/// </summary>
sealed partial class EventLookupWorker(
    Settings settings,
    IStore store,
    TransferService transfers,
    RefundService refunds,
    DisputeService disputes,
    StripeReader books,
    LeaseKeeper leases,
    WorkSignals wakes,
    TimeProvider clock,
    ILogger<EventLookupWorker> logger
)
    : PollingWorker(
        Durations.Least(TimeSpan.FromSeconds(5), settings.LeaseBeat),
        clock,
        logger,
        wakes.Inquiries
    )
{
    const int Most = 20;

    protected override async Task<bool> RunOnce(CancellationToken cancellation) =>
        await Inquire(cancellation) == Most;

    /// <summary>One batch; returns how many events it claimed.</summary>
    internal async Task<int> Inquire(CancellationToken cancellation)
    {
        var claimed = await store.ClaimEvents(Most, Clock.GetUtcNow(), settings.LeaseTerm, cancellation);
        await Task.WhenAll(claimed.Select(waiting => Conclude(waiting, cancellation)));
        return claimed.Count;
    }

    async Task Conclude(WaitingEvent waiting, CancellationToken cancellation)
    {
        EventResult? conclusion;
        Correlation.Begin(waiting.Correlation);
        using var held = leases.Hold(Leased.Event, waiting.Seq);
        try
        {
            conclusion = await Ask(waiting, cancellation);
        }
        catch (Exception error)
            when (StripeTransfers.IsPassing(error, cancellation) || store.IsPassing(error))
        {
            LogNoAnswer(waiting.EventId, waiting.Type, error.Message);
            return;
        }
        catch (Exception error) when (error is JsonException or InvalidDataException or KeyNotFoundException)
        {
            conclusion = new(EventState.Poisoned, error.Message);
        }

        if (conclusion is null)
        {
            return;
        }

        if (conclusion.State == EventState.Quarantined)
        {
            LogQuarantined(waiting.Provider, waiting.EventId, waiting.Type, conclusion.Reason);
        }

        await using var session = await store.Begin(cancellation);
        await session.CloseEvents(
            [new ClosedEvent(waiting, conclusion.State, conclusion.Reason, conclusion.Awaits)],
            Clock.GetUtcNow(),
            cancellation
        );
        await session.Commit(cancellation);
    }

    /// <summary>Null: not now.</summary>
    async Task<EventResult?> Ask(WaitingEvent waiting, CancellationToken cancellation)
    {
        using var document = JsonDocument.Parse(waiting.Body);
        return waiting.Provider == "hyperswitch"
            ? await AskHyperswitch(waiting, document.RootElement, cancellation)
            : await AskStripe(waiting, document.RootElement, cancellation);
    }

    /// <summary>What it said contradicts what is known.</summary>
    async Task<EventResult?> AskHyperswitch(
        WaitingEvent waiting,
        JsonElement root,
        CancellationToken cancellation
    )
    {
        var content = root.GetProperty("content");
        var about = content.GetProperty("object");
        var cause = new Cause("hyperswitch", waiting.EventId, waiting.Type);
        return JsonFields.OptionalText(content, "type") switch
        {
            "refund_details" => await refunds.AskAbout(
                HyperswitchMapping.Refund(about).RefundId,
                cause,
                cancellation
            ),
            "dispute_details" => await disputes.AskAbout(
                HyperswitchMapping.Dispute(about).Name,
                cause,
                cancellation
            ),
            var type => throw new InvalidDataException($"Hyperswitch cannot be asked about '{type}'."),
        };
    }

    async Task<EventResult?> AskStripe(WaitingEvent waiting, JsonElement root, CancellationToken cancellation)
    {
        var about = root.GetProperty("data").GetProperty("object");
        var account = JsonFields.OptionalText(root, "account");
        var cause = new Cause("stripe", waiting.EventId, waiting.Type);
        return waiting.Type switch
        {
            "transfer.reversed" => await transfers.Notice(StripeMapping.Transfer(about), cause, cancellation),
            "balance.available" => await transfers.FundsArrived(account, cause, cancellation),
            "account.updated" or "account.application.deauthorized" => await Standing(
                account ?? JsonFields.Text(about, "id"),
                cancellation
            ),
            "refund.failed" or "refund.updated" or "charge.refund.updated" => await AskAboutRefund(
                about,
                cause,
                cancellation
            ),
            var type when type.StartsWith("charge.dispute.", StringComparison.Ordinal) =>
                await disputes.AskAbout(StripeMapping.Dispute(about).Name, cause, cancellation),
            var type => throw new InvalidDataException($"Stripe cannot be asked about '{type}'."),
        };
    }

    /// <summary>
    /// Hyperswitch does not understand Stripe's <c>refund.failed</c> (its connector knows only
    /// <c>charge.refund.updated</c>), so a refund that fails late is invisible there. Stripe is believed: it has the
    /// money.
    /// </summary>
    async Task<EventResult?> AskAboutRefund(JsonElement about, Cause cause, CancellationToken cancellation)
    {
        var told = StripeMapping.Refund(about)!;
        return
            await books.Refund(told.StripeId, cancellation) is { } found
            && StripeMapping.Refund(found) is { HasFailed: true } failed
            ? await refunds.HearOfFailure(failed, cause, cancellation)
            : new EventResult(EventState.Known, "not_failed");
    }

    async Task<EventResult?> Standing(string account, CancellationToken cancellation)
    {
        var standing =
            await books.Account(account, cancellation) ?? new AccountStanding(false, false, "not_connected");
        return await store.SaveStanding(account, standing, Clock.GetUtcNow(), cancellation)
            ? new EventResult(EventState.Processed)
            : new EventResult(EventState.Ignored, "not_ours");
    }

    [LoggerMessage(
        LogLevel.Warning,
        "Event {Event} ({Type}): the provider did not answer ({Why}). It will be retried when its lease expires."
    )]
    partial void LogNoAnswer(string @event, string type, string why);

    [LoggerMessage(LogLevel.Error, "The {Provider} event {Event} ({Type}) is quarantined: {Why}.")]
    partial void LogQuarantined(string provider, string @event, string type, string? why);
}
