namespace Veza.Domain

open System

/// How often and how patiently something is tried again.
type RetryPolicy = {
    /// Tries after the first one; the failure that follows them is the last.
    MaxRetries: int
    Base: TimeSpan
    Cap: TimeSpan
}

module Backoff =
    /// base · 2^retries, never above the cap.
    let delay policy retries =
        let doublings = min (max retries 0) 40
        let ticks = bigint policy.Base.Ticks * pown 2I doublings
        TimeSpan.FromTicks(int64 (min ticks (bigint policy.Cap.Ticks)))

    /// Up to a tenth longer, always the same for the same id and try, so that rows which failed together do
    /// not come back together. Still never above the cap.
    let spread policy retries (id: Guid) =
        let plain = delay policy retries
        let tenth = plain.Ticks / 10L
        let seed = int64 (id.ToByteArray()[15]) * 31L + int64 (max retries 0) * 17L
        min policy.Cap (plain + TimeSpan.FromTicks(tenth * (seed % 256L) / 255L))

/// The clocks and limits by which a transfer is sent and taken back.
type TransferRules = {
    Sending: RetryPolicy
    Reversing: RetryPolicy
    /// How often something that waits for a balance to fill is tried again. Spends no retry.
    FundsInterval: TimeSpan
    /// How long a worker keeps what it claimed; after that any worker may take it over, with the same key.
    Lease: TimeSpan
}
