-- What the other services told. Each table is a set of facts that may arrive in any order; what is shown is derived.
-- A fact about an application that was never sent here is refused by its foreign key, and parked.
CREATE TABLE queued (
    application_id uuid PRIMARY KEY REFERENCES application,
    queued_at timestamptz NOT NULL
);

CREATE TABLE decided (
    application_id uuid PRIMARY KEY REFERENCES application,
    decided_at timestamptz NOT NULL,
    decided_by text NOT NULL,
    message text NOT NULL
);

CREATE TABLE outcome (
    application_id uuid NOT NULL,
    product text NOT NULL,
    outcome text NOT NULL,
    reasons jsonb NOT NULL,
    -- of paper ones, which get no certificate event
    contract_number text COLLATE "C",
    PRIMARY KEY (application_id, product),
    FOREIGN KEY (application_id, product) REFERENCES product
);

CREATE TABLE withdrawal (
    application_id uuid PRIMARY KEY REFERENCES application,
    answer text NOT NULL CHECK (answer IN ('withdrawn', 'refused')),
    answered_at timestamptz NOT NULL
);

CREATE TABLE certificate (
    certificate_id uuid PRIMARY KEY,
    contract_number text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    change_number integer NOT NULL,
    application_id uuid NOT NULL,
    product text NOT NULL,
    issued_at timestamptz NOT NULL,
    content jsonb NOT NULL,
    content_sha256 text NOT NULL,
    -- 認証キー, opened once and sealed again under this service's own key
    key_nonce bytea NOT NULL,
    key_ciphertext bytea NOT NULL,
    UNIQUE (contract_number, version),
    UNIQUE (application_id, product, version),
    FOREIGN KEY (application_id, product) REFERENCES product
);

CREATE TABLE registration (
    certificate_id uuid PRIMARY KEY,
    contract_number text COLLATE "C" NOT NULL,
    application_id uuid NOT NULL,
    product text NOT NULL,
    content_sha256 text NOT NULL,
    registered_at timestamptz NOT NULL,
    FOREIGN KEY (application_id, product) REFERENCES product
);

CREATE TABLE view (
    view_id uuid PRIMARY KEY,
    certificate_id uuid NOT NULL,
    contract_number text COLLATE "C" NOT NULL,
    application_id uuid NOT NULL REFERENCES application,
    viewed_at timestamptz NOT NULL
);
CREATE INDEX view_of_certificate ON view (certificate_id, viewed_at);

CREATE TABLE mail (
    certificate_id uuid NOT NULL,
    letter text NOT NULL,
    application_id uuid NOT NULL REFERENCES application,
    outcome text NOT NULL CHECK (outcome IN ('sent', 'undeliverable')),
    message_id text NOT NULL,
    told_at timestamptz NOT NULL,
    reason text,
    PRIMARY KEY (certificate_id, letter)
);

-- Who looked at a key, and when (KEY-7).
CREATE TABLE key_disclosure (
    id uuid PRIMARY KEY,
    certificate_id uuid NOT NULL REFERENCES certificate,
    account_id uuid NOT NULL REFERENCES account,
    disclosed_at timestamptz NOT NULL
);
