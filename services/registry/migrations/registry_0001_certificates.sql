-- 電子証書 as purchasers see it. Rebuilt from certificates.v1 and registrations.v1, row for row.
CREATE TABLE certificate (
    certificate_id uuid PRIMARY KEY,
    contract_number text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    change_number integer NOT NULL,
    application_id uuid NOT NULL,
    product text NOT NULL,
    surety_id text COLLATE "C" NOT NULL,
    purchaser_id text COLLATE "C" NOT NULL,
    issued_at timestamptz NOT NULL,
    -- canonical JSON, the very bytes that content_sha256 is of
    content text NOT NULL,
    content_sha256 text NOT NULL,
    key_digest text NOT NULL,
    pepper_id text NOT NULL,
    -- 電子保証発行日時: when it arrived here
    registered_at timestamptz NOT NULL,
    UNIQUE (contract_number, version),
    UNIQUE (application_id, product, version)
);

-- Every successful look.
CREATE TABLE view (
    view_id uuid PRIMARY KEY,
    certificate_id uuid NOT NULL REFERENCES certificate,
    account_id uuid NOT NULL REFERENCES account,
    viewed_at timestamptz NOT NULL
);

-- Failed look-ups of an account: in all, and per number tried. Never per number alone, so that no account shuts out
-- another. `subject` is a digest of the number: what was typed is not kept.
CREATE TABLE throttle (
    account_id uuid NOT NULL REFERENCES account,
    subject bytea NOT NULL,
    window_began timestamptz NOT NULL,
    failures integer NOT NULL,
    PRIMARY KEY (account_id, subject)
);
