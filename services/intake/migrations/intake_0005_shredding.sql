-- Who had the personal data of an application erased, when and why. Its wrapped data key is gone in the transaction that
-- wrote this row.
CREATE TABLE shredding (
    application_id uuid PRIMARY KEY REFERENCES application,
    shredded_at timestamptz NOT NULL,
    shredded_by text NOT NULL CHECK (shredded_by <> ''),
    reason text NOT NULL CHECK (reason <> ''),
    -- When the tombstone is told once more, and until when it is told every day: Kafka rewrites a segment only after a
    -- later record has closed it, and a relay that thaws may put the key back behind the first tombstone.
    tell_again_at timestamptz,
    tell_until timestamptz NOT NULL
);
CREATE INDEX shredding_to_tell ON shredding (tell_again_at) WHERE tell_again_at IS NOT NULL;
