namespace Veza.Domain.Transfers

open Veza.Domain

/// The words for a transfer that the outside sees and the rows keep.
module TransferWords =
    let status status =
        match status with
        | Pending _ -> "pending"
        | Failed _ -> "failed"
        | Completed _ -> "completed"
        | ReversalPending _ -> "reversal_pending"
        | Reversed _ -> "reversed"
        | PermanentlyFailed _ -> "permanently_failed"
        | Cancelled -> "cancelled"
        | WrittenOff _ -> "written_off"

    let givenUp why =
        match why with
        | RetriesExhausted -> "retries_exhausted"
        | TransferMissing -> "transfer_missing"
        | NoStripeId -> "no_stripe_id"
        | SeveralFound -> "several_found"

    let everyGivenUp = [ RetriesExhausted; TransferMissing; NoStripeId; SeveralFound ]

    let signal signal =
        match signal with
        | TransferAnswered(Accepted _) -> "transfer_accepted"
        | TransferAnswered(Denied _) -> "transfer_refused"
        | TransferAnswered(NotExecuted _) -> "transfer_not_executed"
        | TransferAnswered(InDoubt _) -> "transfer_in_doubt"
        | TransferAnswered(Missing | Duplicate _ | KeyReused _) -> "transfer_duplicate"
        | TransferSeen [] -> "transfer_not_found"
        | TransferSeen [ _ ] -> "transfer_found"
        | TransferSeen(_ :: _ :: _) -> "several_transfers_found"
        | RefundSucceeded _ -> "refund_succeeded"
        | ClaimResized _ -> "claim_resized"
        | ReversalAnswered(Accepted _) -> "reversal_accepted"
        | ReversalAnswered(Denied _) -> "reversal_refused"
        | ReversalAnswered(NotExecuted _) -> "reversal_not_executed"
        | ReversalAnswered(InDoubt _) -> "reversal_in_doubt"
        | ReversalAnswered Missing -> "transfer_missing"
        | ReversalAnswered(Duplicate _ | KeyReused _) -> "reversal_duplicate"
        | ReversalSeen { Ours = Some _ } -> "reversal_found"
        | ReversalSeen { Ours = None } -> "reversals_listed"
        | ReversalsNoticed { Ours = Some _ } -> "reversal_noticed"
        | ReversalsNoticed { Ours = None } -> "reversals_noticed"
        | FundsArrived -> "funds_arrived"
        | LookUpFailed _ -> "look_up_failed"
        | StripeIdMissing -> "stripe_id_missing"
        | RetryRequested -> "retry_requested"
        | WriteOffRequested -> "write_off_requested"
        | RedirectRequested _ -> "redirect_requested"
