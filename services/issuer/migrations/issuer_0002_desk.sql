-- What the desk finds things by: NFKC, small letters, no spaces, and the variants of characters that people do not type
-- (髙﨑 is found as 高崎). Stored values are made with it, so another rule is another function and a new column.
CREATE FUNCTION searchable(text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
    RETURN translate(
        regexp_replace(lower(normalize($1, NFKC) COLLATE "C"), '\s', '', 'g'),
        '髙﨑嵜𠮷濵濱邉邊齋齊櫻澤廣國德惠圓嶋嶌冨',
        '高崎崎吉浜浜辺辺斎斉桜沢広国徳恵円島島富'
    );

ALTER TABLE application
    -- names of contractor, joint venture and works
    ADD COLUMN search_text text COLLATE "C" GENERATED ALWAYS AS (
        searchable(
            (submitted #>> '{contractor,name}') || chr(31) || (submitted #>> '{works,name}') || chr(31)
                || coalesce(submitted #>> '{works,jv_name}', '')
        )
    ) STORED,
    -- the desk's person by name, as `decided_by` is by account
    ADD COLUMN decider text,
    -- of the decision, to the contractor
    ADD COLUMN desk_message text NOT NULL DEFAULT '',
    -- per product, as told in ApplicationDecided; null for what was decided before this file
    ADD COLUMN outcomes jsonb;
UPDATE application SET decider = account.person FROM account WHERE account.id = application.decided_by;

-- The queue goes by how long something waits.
DROP INDEX application_queue;
CREATE INDEX application_queue ON application (surety_id, queued_at, id) WHERE status = 'queued';
-- Newest first; ids ascend with time.
CREATE INDEX application_of_surety ON application (surety_id, id);

-- 保証料, as told in ApplicationDecided; null for what was issued before this file.
ALTER TABLE guarantee ADD COLUMN fee jsonb;

-- Four eyes: what one person proposed, until another approves or rejects it.
CREATE TABLE proposal (
    application_id uuid PRIMARY KEY REFERENCES application,
    outcome text NOT NULL CHECK (outcome IN ('accepted', 'returned')),
    message text NOT NULL,
    proposed_by uuid NOT NULL,
    proposer text NOT NULL,
    proposed_at timestamptz NOT NULL
);

-- Proposals that came to nothing, and why.
CREATE TABLE rejection (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    application_id uuid NOT NULL REFERENCES application,
    outcome text NOT NULL,
    proposed_by uuid NOT NULL,
    proposer text NOT NULL,
    proposed_at timestamptz NOT NULL,
    rejected_by uuid NOT NULL,
    person text NOT NULL,
    rejected_at timestamptz NOT NULL,
    message text NOT NULL
);
CREATE INDEX rejection_of_application ON rejection (application_id, id);

-- What contractor and desk wrote to each other: sealed under the application's data key, never in the clear.
CREATE TABLE message (
    message_id uuid PRIMARY KEY,
    application_id uuid NOT NULL REFERENCES application,
    direction text NOT NULL CHECK (direction IN ('from_contractor', 'to_contractor')),
    sent_at timestamptz NOT NULL,
    sent_by uuid NOT NULL,
    -- the desk's person; a contractor's is known to intake only
    person text,
    data_key_id uuid NOT NULL,
    nonce bytea NOT NULL,
    ciphertext bytea NOT NULL,
    CHECK ((direction = 'to_contractor') = (person IS NOT NULL))
);
CREATE INDEX message_of_application ON message (application_id, sent_at, message_id);
