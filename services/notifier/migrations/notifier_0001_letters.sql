-- What is known of an application, in halves that arrive in any order: the wish (ApplicationSubmitted) and the key
-- that opens its contact data (DataKeyWrapped). The third half, a registration, is a row of `letter`.
CREATE TABLE delivery (
    application_id uuid PRIMARY KEY,
    -- the wish, and when it was read here
    wished_at timestamptz,
    surety_id text COLLATE "C",
    branch_id text COLLATE "C",
    contractor_name text,
    works_name text,
    -- the surety's rule and the contractor's wish together
    wanted boolean,
    -- SealedContact; kept only where a mail is wanted
    contact_nonce bytea,
    contact_ciphertext bytea,
    -- the key, and when it was read here
    key_at timestamptz,
    data_key_id uuid,
    wrapped bytea,
    -- a tombstone came: no key is kept any more, nor taken again
    shredded_at timestamptz,
    CHECK (wished_at IS NULL
        OR (surety_id IS NOT NULL AND branch_id IS NOT NULL AND contractor_name IS NOT NULL
            AND works_name IS NOT NULL AND wanted IS NOT NULL)),
    CHECK (shredded_at IS NULL OR (wrapped IS NULL AND contact_ciphertext IS NULL))
);
CREATE INDEX delivery_without_key ON delivery (wished_at)
    WHERE wanted AND wrapped IS NULL AND shredded_at IS NULL;
CREATE INDEX delivery_without_wish ON delivery (key_at) WHERE wished_at IS NULL AND wrapped IS NOT NULL;

-- The ledger. One row per certificate and letter, made by CertificateRegistered and by nothing else: so no letter goes
-- out before the purchaser can see the certificate, and none twice. Kept as long as the topics are.
CREATE TABLE letter (
    certificate_id uuid NOT NULL,
    letter text COLLATE "C" NOT NULL,
    application_id uuid NOT NULL REFERENCES delivery,
    contract_number text COLLATE "C" NOT NULL,
    product text NOT NULL,
    registered_at timestamptz NOT NULL,
    message_id text NOT NULL,
    -- the chain it belongs to
    correlation_id text NOT NULL,
    causation_id text,
    traceparent text,
    -- waiting        for the other halves
    -- parked         as waiting, but too long: a dead letter tells a person; goes on when the halves come after all
    -- queued         to be sent when due
    -- sending        a process has it until due, then nobody knows what became of it
    -- unknown        nobody knows, and the setting leaves it to a person
    -- sent, not_wished, undeliverable    for ever
    state text NOT NULL CHECK (
        state IN ('waiting', 'parked', 'queued', 'sending', 'unknown', 'sent', 'not_wished', 'undeliverable')),
    arrived_at timestamptz NOT NULL,
    queued_at timestamptz,
    -- queued: next attempt; sending: end of the lease
    due_at timestamptz,
    -- conversations begun
    attempts integer NOT NULL DEFAULT 0,
    -- times a server put this letter off
    deferrals integer NOT NULL DEFAULT 0,
    -- the server's last reply code; never its text, which may repeat the address
    smtp_code integer,
    -- of an undeliverable one
    reason text,
    ended_at timestamptz,
    -- the record itself while it waits, so that it can be parked as it came
    record_topic text,
    record_partition integer,
    record_offset bigint,
    record_key bytea,
    record_value bytea,
    record_headers text,
    PRIMARY KEY (certificate_id, letter),
    CHECK ((state IN ('queued', 'sending')) = (due_at IS NOT NULL)),
    CHECK ((state = 'undeliverable') = (reason IS NOT NULL)),
    CHECK ((state = 'waiting') = (record_topic IS NOT NULL))
);
CREATE INDEX letter_of_application ON letter (application_id);
CREATE INDEX letter_due ON letter (due_at) WHERE state IN ('queued', 'sending');
CREATE INDEX letter_waiting ON letter (arrived_at) WHERE state = 'waiting';
