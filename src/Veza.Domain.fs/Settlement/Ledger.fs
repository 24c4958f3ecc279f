/// Double entry. Every step that moves money, or a claim on money, names its postings; each set sums to zero.
namespace Veza.Domain.Ledger

open Veza.Domain
open Veza.Domain.Disputes
open Veza.Domain.Orders
open Veza.Domain.Deposits
open Veza.Domain.Transfers

/// Debits are positive. At rest what the platform holds is what its fees, losses and the sellers explain.
type Account =
    /// What the platform holds at its providers.
    | PlatformCash
    /// What the platform has earned (in credit, so negative).
    | PlatformFees
    /// Buyers' money that nobody gave back: fees kept from a refund's seller, claims given up.
    | PlatformLosses
    /// Withdrawn by buyers' banks while they decide.
    | DisputedFunds
    /// What subscribers have paid for their periods (in credit).
    | SubscriptionRevenue
    /// Buyers' money that came in and belongs to nothing, until it is given back (in credit).
    | Suspense
    /// Owed to the seller and not yet sent (in credit).
    | SellerPayable of SellerId
    /// Refunded to buyers and not yet taken back from the seller.
    | SellerDebt of SellerId
    /// Paid to the seller by other means than Stripe (in credit).
    | SettledOutside of SellerId

type Posting = { Account: Account; Amount: int64 }

module Ledger =
    let name account =
        match account with
        | PlatformCash -> "platform_cash"
        | PlatformFees -> "platform_fees"
        | PlatformLosses -> "platform_losses"
        | DisputedFunds -> "disputed_funds"
        | SubscriptionRevenue -> "subscription_revenue"
        | Suspense -> "suspense"
        | SellerPayable seller -> $"seller_payable:{seller}"
        | SellerDebt seller -> $"seller_debt:{seller}"
        | SettledOutside seller -> $"settled_outside:{seller}"

    let private post account amount = { Account = account; Amount = amount }

    /// One posting for each account, none of zero.
    let private summed postings = [
        for account, postings in List.groupBy _.Account postings do
            let amount = postings |> List.sumBy _.Amount
            if amount <> 0L then
                post account amount
    ]

    /// The buyer has paid.
    let ofPayment (order: Order) =
        summed [
            post PlatformCash order.Total
            for leg in order.Legs do
                post (SellerPayable leg.Seller) -leg.Net
                post PlatformFees -leg.Fee
        ]

    /// What a deposit comes to in the books: what is left of it is earned or in suspense, what was taken beyond it is lost.
    let private standing (deposit: Deposit) =
        let rest = deposit.Amount.Minor - Deposit.taken deposit
        let on account = [
            post PlatformCash rest
            post account -(max 0L rest)
            post PlatformLosses (max 0L -rest)
        ]
        match deposit.Status with
        | Earned -> on SubscriptionRevenue
        | Held _
        | ToConfirm _
        | Returning _
        | Cleared _ -> on Suspense
        | Adopted -> []

    /// What a step of a deposit means for the books; `before` is none for one that is new.
    let ofDeposit before after =
        let undone = [
            for posting in before |> Option.map standing |> Option.defaultValue [] ->
                { posting with Amount = -posting.Amount }
        ]
        summed (undone @ standing after)

    /// The buyer has the money back; the seller's part is a debt until it is taken back or withheld.
    let ofRefund (shares: (SellerId * int64 * int64 * int64) list) =
        summed [
            for seller, part, feeBack, sellerBack in shares do
                post PlatformCash -part
                post PlatformFees feeBack
                post (SellerDebt seller) sellerBack
                post PlatformLosses (part - feeBack - sellerBack)
        ]

    /// The buyer's refund came back: the mirror of its postings.
    let ofRefundUndone shares = [
        for posting in ofRefund shares -> { posting with Amount = -posting.Amount }
    ]

    /// Where the money stands that the bank has withdrawn and that no refund explains.
    let private withdrawn (dispute: Dispute) =
        let unexplained = dispute.Claim - dispute.Taken
        match dispute.Status with
        | DisputeStatus.Open _ -> [ post PlatformCash -unexplained; post DisputedFunds unexplained ]
        | Lost _ -> [ post PlatformCash -unexplained; post PlatformLosses unexplained ]
        | Won -> []

    /// A dispute withdraws its amount when it opens and gives it back when it is won. What it takes from the order is
    /// posted with the refund that it becomes; the rest is the platform's loss.
    let ofDispute (before: Dispute option) (after: Dispute) =
        summed [
            yield! withdrawn after
            for posting in before |> Option.map withdrawn |> Option.defaultValue [] do
                post posting.Account -posting.Amount
        ]

    let private ofMovement seller movement =
        match movement with
        | MoneySent amount -> [ post (SellerPayable seller) amount; post PlatformCash -amount ]
        | MoneyReturned amount
        | ReturnedUnasked amount -> [ post PlatformCash amount; post (SellerDebt seller) -amount ]
        | ClaimWithheld amount -> [ post (SellerPayable seller) amount; post (SellerDebt seller) -amount ]
        | ClaimForgiven amount -> [ post PlatformLosses amount; post (SellerDebt seller) -amount ]
        | ClaimRestored amount
        | CompensationOwed({ Amount = amount }, _) -> [
            post (SellerDebt seller) amount
            post (SellerPayable seller) -amount
          ]
        | ForgivenessUndone amount -> [ post (SellerDebt seller) amount; post PlatformLosses -amount ]
        | Movement.SettledOutside amount -> [
            post (SellerPayable seller) amount
            post (SettledOutside seller) -amount
          ]

    /// What a step of a transfer means for the books.
    let ofMovements (transfer: Transfer) movements =
        movements |> List.collect (ofMovement transfer.Seller) |> summed
