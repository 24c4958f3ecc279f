/// How badly the world behaves. Every percentage is the chance of one call or delivery.
module Veza.Simulation.Weather

type Weather = {
    /// The request never arrives; the caller hears nothing or "no connection".
    LostRequest: int
    /// It arrives and takes effect; the caller hears nothing.
    LostAnswer: int
    /// A server error before anything began, or after it took effect: stored under the key and replayed.
    ServerError: int
    RateLimited: int
    Locked: int
    Garbled: int
    /// Refused for a reason of the business; stored under the key.
    Refused: int
    LostWebhook: int
    DoubledWebhook: int
    /// It comes within a day and not within ten minutes, as it was: retries replay the stored body.
    SlowWebhook: int
    /// A commit that happened and reported a failure.
    LostCommit: int
    /// The connector behind Hyperswitch does not answer: the refund stays pending.
    StuckRefund: int
    FailedRefund: int
    LateRefund: int
    /// A subscriber's bank declines the charge.
    DeclinedCharge: int
}

let fair = {
    LostRequest = 0
    LostAnswer = 0
    ServerError = 0
    RateLimited = 0
    Locked = 0
    Garbled = 0
    Refused = 0
    LostWebhook = 0
    DoubledWebhook = 0
    SlowWebhook = 0
    LostCommit = 0
    StuckRefund = 0
    FailedRefund = 0
    LateRefund = 0
    DeclinedCharge = 0
}

let foul = {
    LostRequest = 6
    LostAnswer = 8
    ServerError = 6
    RateLimited = 5
    Locked = 3
    Garbled = 3
    Refused = 4
    LostWebhook = 20
    DoubledWebhook = 20
    SlowWebhook = 8
    LostCommit = 2
    StuckRefund = 5
    FailedRefund = 10
    LateRefund = 30
    DeclinedCharge = 25
}
