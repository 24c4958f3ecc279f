namespace Veza.Domain

/// How a provider's word on one of its objects has reached us.
type Source =
    /// Signed, but it may be old: later news may have overtaken it, and it may be delivered again at any time.
    | ByWebhook
    /// What the provider says now: its answer to a call, or its books when they are looked into.
    | ByAnswer
