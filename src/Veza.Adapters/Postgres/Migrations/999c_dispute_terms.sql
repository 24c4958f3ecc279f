-- What the buyer told the bank, and until when it hears evidence. Disputes known before get both when the provider is
-- next asked about them.
alter table disputes
    add column reason text,
    add column respond_by timestamptz;
