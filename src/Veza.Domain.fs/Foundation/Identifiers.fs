namespace Veza.Domain

open System

/// How names are checked and spelled.
module private Name =
    let longest = 255

    let bounded what (text: string) =
        if String.IsNullOrWhiteSpace text then
            Error $"{what} must not be blank."
        elif text.Length > longest then
            Error $"{what} must not be longer than {longest} characters."
        else
            Ok text

    let prefixed prefix what (text: string | null) =
        match text with
        | null -> Error $"{what} must not be missing."
        | text when text.StartsWith(prefix, StringComparison.Ordinal) && text.Length <= longest -> Ok text
        | text -> Error $"'{text}' does not name {what}: it should begin with '{prefix}'."

    let private digits = "0123456789abcdefghjkmnpqrstvwxyz"

    /// 128 bits as 26 digits of base 32, in Crockford's alphabet.
    let base32 (id: Guid) =
        let bytes = id.ToByteArray(bigEndian = true)
        let number = UInt128.op_Implicit 0uy
        let number = (number, bytes) ||> Array.fold (fun sum byte -> (sum <<< 8) ||| UInt128.op_Implicit byte)
        String.init 26 (fun place ->
            string digits[int (UInt128.op_Explicit (number >>> (5 * (25 - place))): uint64) &&& 31])

    /// A UUIDv7 that follows from others: the time of one, and a digest of all in place of chance.
    let derived (what: string) (time: Guid) (from: Guid list) =
        let seed =
            Array.concat [
                Text.Encoding.UTF8.GetBytes what
                yield! from |> List.map _.ToByteArray(bigEndian = true)
            ]
        let digest = Security.Cryptography.SHA256.HashData seed
        let bytes =
            Array.append (Array.truncate 6 (time.ToByteArray(bigEndian = true))) (Array.truncate 10 digest)
        bytes[6] <- (bytes[6] &&& 0x0Fuy) ||| 0x70uy
        bytes[8] <- (bytes[8] &&& 0x3Fuy) ||| 0x80uy
        Guid(bytes, bigEndian = true)

/// Our own name for an order.
[<Struct>]
type OrderId =
    | OrderId of Guid

    static member Of(value: Guid) = OrderId value

    member id.Value =
        let (OrderId value) = id
        value

/// Our own name for one line of an order.
[<Struct>]
type LineId =
    | LineId of Guid

    static member Of(value: Guid) = LineId value

    member id.Value =
        let (LineId value) = id
        value

/// Our own name for a dispute.
[<Struct>]
type DisputeId =
    | DisputeId of Guid

    static member Of(value: Guid) = DisputeId value

    /// Derived from the order and the provider's name for it, so that it cannot be made twice.
    static member Named(order: OrderId, provider: string) =
        DisputeId(Name.derived $"dispute {provider}" order.Value [ order.Value ])

    member id.Value =
        let (DisputeId value) = id
        value

/// Our own name for a buyer's refund.
[<Struct>]
type RefundId =
    | RefundId of Guid

    static member Of(value: Guid) = RefundId value

    member id.Value =
        let (RefundId value) = id
        value

    /// What a lost dispute takes from the order, the first time, the second time… Derived, so that it cannot be made
    /// twice.
    static member OfDispute(dispute: DisputeId, round: int) =
        RefundId(Name.derived $"dispute round {round}" dispute.Value [ dispute.Value ])

/// Our own name for a seller's transfer.
[<Struct>]
type TransferId =
    | TransferId of Guid

    static member Of(value: Guid) = TransferId value

    member id.Value =
        let (TransferId value) = id
        value

    /// The transfer that makes good what was taken for a refund that failed. Derived from what it makes good, so
    /// that it cannot be made twice.
    static member Compensating(transfer: TransferId, refund: RefundId, kept: int64) =
        TransferId(Name.derived $"compensation down to {kept}" refund.Value [ transfer.Value; refund.Value ])

/// Our own name for a license.
[<Struct>]
type LicenseId =
    | LicenseId of Guid

    static member Of(value: Guid) = LicenseId value

    member id.Value =
        let (LicenseId value) = id
        value

/// Our own name for a seller's payout.
[<Struct>]
type PayoutId =
    | PayoutId of Guid

    static member Of(value: Guid) = PayoutId value

    member id.Value =
        let (PayoutId value) = id
        value

/// Our own name for a subscription.
[<Struct>]
type SubscriptionId =
    | SubscriptionId of Guid

    static member Of(value: Guid) = SubscriptionId value

    member id.Value =
        let (SubscriptionId value) = id
        value

/// Our own name for a payment that stands outside of an order's books.
[<Struct>]
type DepositId =
    | DepositId of Guid

    static member Of(value: Guid) = DepositId value

    member id.Value =
        let (DepositId value) = id
        value

    /// Derived, so that one payment has one.
    static member OfOrder(order: OrderId) = DepositId(Name.derived "deposit" order.Value [ order.Value ])

    static member OfPeriod(subscription: SubscriptionId, period: int, retries: int) =
        let what = $"deposit of period {period}, try {retries}"
        DepositId(Name.derived what subscription.Value [ subscription.Value ])

    /// The refund by which we give it back; each that was refused is followed by one of another name.
    member id.Return(refused: int) = RefundId(Name.derived $"return {refused}" id.Value [ id.Value ])

/// The marketplace's own name for a seller.
type SellerId =
    private
    | SellerId of string

    static member Parse(text: string) = Name.bounded "A seller's id" text |> Result.map SellerId

    member id.Value =
        let (SellerId text) = id
        text

    override id.ToString() = id.Value

/// Stripe's name for a seller's connected account, `acct_…`.
type StripeAccountId =
    private
    | StripeAccountId of string

    static member Parse(text: string | null) =
        Name.prefixed "acct_" "a Stripe account" text |> Result.map StripeAccountId

    /// One that somebody names anew. What is stored may be older than this rule.
    static member ParseNew(text: string) =
        match Name.prefixed "acct_" "a Stripe account" text with
        | Ok text when
            text.Length > 5 && text |> Seq.forall (fun c -> Char.IsAsciiLetterOrDigit c || c = '_' || c = '-')
            ->
            Ok(StripeAccountId text)
        | Ok _ -> Error "A Stripe account's id has only letters, digits, - and _ after 'acct_'."
        | Error why -> Error why

    member id.Value =
        let (StripeAccountId text) = id
        text

    override id.ToString() = id.Value

/// Stripe's name for a transfer, `tr_…`.
type StripeTransferId =
    private
    | StripeTransferId of string

    static member Parse(text: string | null) =
        Name.prefixed "tr_" "a Stripe transfer" text |> Result.map StripeTransferId

    member id.Value =
        let (StripeTransferId text) = id
        text

    override id.ToString() = id.Value

/// Stripe's name for a reversal, `trr_…`.
type StripeReversalId =
    private
    | StripeReversalId of string

    static member Parse(text: string | null) =
        Name.prefixed "trr_" "a Stripe reversal" text |> Result.map StripeReversalId

    member id.Value =
        let (StripeReversalId text) = id
        text

    override id.ToString() = id.Value

/// Stripe's name for a payout, `po_…`.
type StripePayoutId =
    private
    | StripePayoutId of string

    static member Parse(text: string | null) =
        Name.prefixed "po_" "a Stripe payout" text |> Result.map StripePayoutId

    member id.Value =
        let (StripePayoutId text) = id
        text

    override id.ToString() = id.Value

/// Hyperswitch's name for a payment. We choose it, from the order's id, because that is what keeps
/// Hyperswitch from taking a payment twice: its v1 API ignores the Idempotency-Key header.
/// 30 characters satisfy both its specification and its code.
type PaymentId =
    private
    | PaymentId of string

    static member For(order: OrderId) = PaymentId("pay_" + Name.base32 order.Value)

    /// A try to charge one period of a subscription.
    static member ForPeriod(subscription: SubscriptionId, period: int, retries: int) =
        let what = $"period {period}, try {retries}"
        PaymentId("pay_" + Name.base32 (Name.derived what subscription.Value [ subscription.Value ]))

    member id.Value =
        let (PaymentId text) = id
        text

    override id.ToString() = id.Value

/// Hyperswitch's name for a refund, chosen by us from the refund's id for the same reason.
type ProviderRefundId =
    private
    | ProviderRefundId of string

    static member For(refund: RefundId) = ProviderRefundId("ref_" + Name.base32 refund.Value)

    /// One that somebody else may have made.
    static member Named(text: string) = ProviderRefundId text

    member id.Value =
        let (ProviderRefundId text) = id
        text

    override id.ToString() = id.Value

/// What makes a request safe to repeat: the same key always means the same request.
/// Never blank: Stripe.net would put a random key in its place, and a repeat would pay twice.
type IdempotencyKey =
    private
    | IdempotencyKey of string

    static member Parse(text: string) = Name.bounded "An idempotency key" text |> Result.map IdempotencyKey

    /// `<verb>:<id>:<generation>`
    static member internal Make(verb: string, id: string, generation: int) =
        IdempotencyKey $"{verb}:{id}:{generation}"

    /// How long a key may be relied on. Stripe keeps it for at least 24 hours and may then forget it; a forgotten
    /// key is a brand-new request. One hour of margin covers clocks and slow calls.
    /// (docs.stripe.com/api/idempotent_requests)
    static member Life = TimeSpan.FromHours 23.

    /// The key of a request that is made at most once for one of our ids.
    static member ForOnce(id: Guid) = IdempotencyKey(id.ToString "D")

    /// The key of a payment that Hyperswitch deduplicates by its name.
    static member ForOnce(payment: PaymentId) = IdempotencyKey payment.Value

    static member ForOnce(refund: ProviderRefundId) = IdempotencyKey refund.Value

    member key.Value =
        let (IdempotencyKey text) = key
        text

    override key.ToString() = key.Value
