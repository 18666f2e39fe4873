-- 保証料 of an accepted product, as told in ApplicationDecided; null for what was decided before there were rates.
ALTER TABLE outcome ADD COLUMN fee jsonb;

-- 作成中の申込: a form that is not sent yet, sealed under this service's own key. Once sent, what was typed is gone and
-- the application's id stands in its place, so that the same draft is sent once.
CREATE TABLE draft (
    id uuid PRIMARY KEY,
    contractor_id text COLLATE "C" NOT NULL REFERENCES contractor,
    surety_id text NOT NULL,
    began_at timestamptz NOT NULL,
    saved_at timestamptz NOT NULL,
    saved_by uuid NOT NULL REFERENCES account,
    nonce bytea,
    ciphertext bytea,
    application_id uuid UNIQUE REFERENCES application,
    CHECK ((application_id IS NULL) = (nonce IS NOT NULL)),
    CHECK ((nonce IS NULL) = (ciphertext IS NULL))
);
CREATE INDEX draft_of_contractor ON draft (contractor_id, surety_id, saved_at DESC) WHERE application_id IS NULL;

-- What contractor and surety wrote to each other about an application: sealed under its data key, never in the clear.
CREATE TABLE message (
    message_id uuid PRIMARY KEY,
    application_id uuid NOT NULL REFERENCES application,
    direction text NOT NULL CHECK (direction IN ('to_surety', 'to_contractor')),
    sent_at timestamptz NOT NULL,
    sent_by uuid NOT NULL,
    -- the contractor's person; the surety's is known to the issuer only
    person text,
    data_key_id uuid NOT NULL,
    nonce bytea NOT NULL,
    ciphertext bytea NOT NULL,
    -- when somebody of the contractor's first opened the application after it came
    seen_at timestamptz,
    CHECK ((direction = 'to_surety') = (person IS NOT NULL))
);
CREATE INDEX message_of_application ON message (application_id, sent_at, message_id);
CREATE INDEX message_unseen ON message (application_id) WHERE direction = 'to_contractor' AND seen_at IS NULL;
