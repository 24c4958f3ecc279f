using Veza.Sandbox.Control;
using Veza.Sandbox.Hyperswitch;

namespace Veza.Sandbox.Chaos;

/// <summary>
/// What goes wrong, drawn from a seed: calls that are lost before or after their effect, errors stored and not, answers
/// that cannot be read, limits and locks, slow answers, webhooks dropped, doubled, late and overtaken, refunds that fail
/// late, balances emptied and filled, and reversals by hand.
/// </summary>
sealed class Misfortune(Simulation world, Random dice, IReadOnlyList<string> accounts)
{
    static readonly string[] Operations =
    [
        "stripe.transfers.create",
        "stripe.transfers.create",
        "stripe.reversals.create",
        "stripe.reversals.create",
        "stripe.reversals.list",
        "stripe.transfers.list",
        "stripe.transfers.get",
        "stripe.payouts.create",
        "stripe.events.list",
        "hyperswitch.payments.create",
        "hyperswitch.payments.get",
        "hyperswitch.refunds.create",
        "hyperswitch.refunds.get",
        "stripe.*",
        "hyperswitch.*",
    ];

    public int ByHand { get; private set; }
    public int Returned { get; private set; }
    public int Emptied { get; private set; }
    public int Scripted { get; private set; }

    /// <summary>One more thing goes wrong.</summary>
    public void Strike()
    {
        Scripted++;
        switch (dice.Next(10))
        {
            case < 6:
                world.Faults.Add(Fault());
                break;
            case 6 or 7:
                world.Courier.Add(Delivery());
                break;
            case 8:
                Refunds();
                break;
            default:
                Money();
                break;
        }
    }

    /// <summary>All is well again, and there is money everywhere.</summary>
    public void End()
    {
        world.Faults.Clear();
        world.Courier.Clear();
        Fill();
    }

    public void Fill()
    {
        foreach (var account in accounts)
        {
            foreach (var currency in ChaosRun.Currencies)
            {
                world.Stripe.Move(account, currency, 10_000_000);
            }
        }
    }

    Fault Fault()
    {
        var operation = Operations[dice.Next(Operations.Length)];
        var times = dice.Next(1, 6);
        return dice.Next(9) switch
        {
            0 => new(operation, FaultMode.TimeoutBefore, times),
            1 or 2 => new(operation, FaultMode.TimeoutAfter, times),
            3 => new(operation, FaultMode.ErrorAfter, times, Status: 500),
            4 => new(operation, FaultMode.ErrorStored, dice.Next(1, 3), Status: 500),
            5 => new(operation, FaultMode.Unreadable, times),
            6 => new(operation, FaultMode.ErrorBefore, times, Status: dice.Next(2) == 0 ? 502 : 503),
            7 => new(
                operation,
                FaultMode.ErrorBefore,
                times,
                Status: 429,
                Code: dice.Next(2) == 0 ? "lock_timeout" : null
            ),
            _ => new(
                operation,
                FaultMode.Slow,
                times,
                Delay: TimeSpan.FromMilliseconds(dice.Next(100, 4000))
            ),
        };
    }

    DeliveryRule Delivery()
    {
        var times = dice.Next(1, 12);
        return dice.Next(4) switch
        {
            0 => new("*", Control.Delivery.Drop, times),
            1 => new("*", Control.Delivery.Duplicate, times, Copies: dice.Next(2, 5)),
            2 => new(
                "*",
                Control.Delivery.Delay,
                times,
                Delay: TimeSpan.FromMilliseconds(dice.Next(500, 5000))
            ),
            _ => new("*", Control.Delivery.Reorder, times),
        };
    }

    void Refunds()
    {
        if (dice.Next(2) == 0)
        {
            var fate = dice.Next(3) switch
            {
                0 => RefundFate.Failed,
                1 => RefundFate.Succeeded,
                _ => RefundFate.LaterSucceeded,
            };
            world.Hyperswitch.Decide(fate, dice.Next(1, 4));
        }
        else if (world.Hyperswitch.ReturnAny(dice.Next()))
        {
            Returned++;
        }
    }

    void Money()
    {
        if (dice.Next(2) == 0)
        {
            var account = accounts[dice.Next(accounts.Count)];
            foreach (var currency in ChaosRun.Currencies)
            {
                world.Stripe.PayOut(account, currency);
            }

            Emptied++;
            return;
        }

        var transfers = world.Stripe.Transfers();
        if (transfers.Count == 0)
        {
            return;
        }

        var transfer = transfers[dice.Next(transfers.Count)];
        var left = transfer.Amount - transfer.Reversed;
        if (left > 1)
        {
            var form = new Dictionary<string, string> { ["amount"] = $"{dice.NextInt64(1, left)}" };
            if (world.Stripe.Reverse(transfer.Id, form).Status == 200)
            {
                ByHand++;
            }
        }
    }
}
