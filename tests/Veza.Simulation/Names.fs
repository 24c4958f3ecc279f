module Veza.Simulation.Names

open System
open System.Security.Cryptography
open System.Text
open Veza.Domain

/// The same name is the same id in every run.
let id (what: string) (number: int) =
    Guid(Array.truncate 16 (SHA256.HashData(Encoding.UTF8.GetBytes $"{what} {number}")))

/// What Hyperswitch is given for a refund.
let refund (id: Guid) = (ProviderRefundId.For(RefundId id)).Value
