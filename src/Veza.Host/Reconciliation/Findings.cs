namespace Veza.Host.Reconciliation;

/// <summary>What is compared, and what may be done about it.</summary>
/// <param name="Since">What was made or changed before it is not looked at.</param>
/// <param name="CutOff">What is younger may be on its way: its differences are only a matter of time.</param>
/// <param name="Heal">Whether the provider's word is told to the domain where that is proven to be enough.</param>
/// <param name="Actor">To whom what is healed is attributed.</param>
sealed record Scope(DateTimeOffset Since, DateTimeOffset CutOff, bool Heal, string Actor)
{
    /// <summary>Whether telling the provider's word to the domain has mended a difference of which this is the remedy.</summary>
    public async Task<bool> Mends(bool isRemedy, Func<Cause, Task<EventResult?>> tell) =>
        Heal
        && isRemedy
        && await tell(new Cause(Actor)) is { State: EventState.Processed or EventState.Known };
}

/// <summary>How much was laid side by side.</summary>
sealed class Compared
{
    public int StripeTransfers { get; set; }
    public int HyperswitchPayments { get; set; }
    public int HyperswitchRefunds { get; set; }
    public int Payouts { get; set; }
    public int Disputes { get; set; }
    public int Orders { get; set; }

    /// <summary>Lines of ours that the lists did not show, asked about one by one.</summary>
    public int AskedAbout { get; set; }

    /// <summary>Lines of the providers that have nothing to do with Veza.</summary>
    public int NotOurs { get; set; }
}

/// <summary>What a run came to.</summary>
sealed record Report(Scope Scope, Compared Compared, IReadOnlyList<Finding> Findings)
{
    public bool Agrees => !Findings.Any(finding => finding.Counts);
}

/// <summary>A provider or the database could not be asked, so nothing is known.</summary>
sealed class CouldNotCompareException(string why) : Exception(why);
