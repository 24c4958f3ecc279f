namespace Veza.Domain

/// What a signal does to an aggregate.
type Outcome<'next, 'why> =
    | Advanced of Next: 'next
    | Unchanged
    | Refused of Why: 'why

module Outcome =
    let map change outcome =
        match outcome with
        | Advanced next -> Advanced(change next)
        | Unchanged -> Unchanged
        | Refused why -> Refused why
