module Veza.Simulation.Names

open System
open System.Security.Cryptography
open System.Text
open Veza.Domain

/// The same name is the same id in every run: a UUIDv7 of a minute before the world begins.
let id (what: string) (number: int) =
    let digest = SHA256.HashData(Encoding.UTF8.GetBytes $"{what} {number}")
    let time = DateTimeOffset(2026, 11, 23, 11, 59, 0, TimeSpan.Zero).ToUnixTimeMilliseconds()
    let bytes = [| for place in 40..-8..0 -> byte (time >>> place) |]
    let bytes = Array.append bytes (Array.truncate 10 digest)
    bytes[6] <- (bytes[6] &&& 0x0Fuy) ||| 0x70uy
    bytes[8] <- (bytes[8] &&& 0x3Fuy) ||| 0x80uy
    Guid(bytes, bigEndian = true)

/// What Hyperswitch is given for a refund.
let refund (id: Guid) = (ProviderRefundId.For(RefundId id)).Value
