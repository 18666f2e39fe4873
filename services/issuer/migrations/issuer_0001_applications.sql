-- An application as the issuer took it, and what became of it.
CREATE TABLE application (
    id uuid PRIMARY KEY,
    surety_id text COLLATE "C" NOT NULL,
    contractor_id text COLLATE "C" NOT NULL,
    status text NOT NULL CHECK (status IN ('queued', 'decided', 'withdrawn')),
    -- ApplicationSubmitted, as published
    submitted jsonb NOT NULL,
    correlation_id text NOT NULL,
    traceparent text,
    findings jsonb NOT NULL DEFAULT '[]',
    queued_at timestamptz,
    decided_at timestamptz,
    -- the desk's person, when a person decided
    decided_by uuid,
    desk_outcome text CHECK (desk_outcome IN ('accepted', 'returned')),
    -- what was answered to a request for withdrawal, once
    withdrawal text CHECK (withdrawal IN ('withdrawn', 'refused'))
);
CREATE INDEX application_queue ON application (surety_id, id) WHERE status = 'queued';

-- 保証契約. One per application, product and version; the number is unique across sureties.
CREATE TABLE guarantee (
    contract_number text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    change_number integer NOT NULL,
    application_id uuid NOT NULL REFERENCES application,
    product text NOT NULL,
    surety_id text COLLATE "C" NOT NULL,
    contractor_id text COLLATE "C" NOT NULL,
    -- fixed for the life of the contract (MIX-1)
    form text NOT NULL CHECK (form IN ('electronic', 'paper')),
    amount_yen bigint NOT NULL,
    issued_at timestamptz NOT NULL,
    certificate_id uuid NOT NULL UNIQUE,
    content jsonb NOT NULL,
    content_sha256 text NOT NULL,
    -- of an electronic one only: paper gets no key
    key_digest text,
    pepper_id text,
    printed_at timestamptz,
    PRIMARY KEY (contract_number, version),
    UNIQUE (application_id, product, version),
    CHECK ((form = 'electronic') = (key_digest IS NOT NULL))
);
CREATE INDEX guarantee_to_print ON guarantee (surety_id, certificate_id) WHERE form = 'paper' AND printed_at IS NULL;

-- What a contractor's guarantees with a surety add up to.
CREATE TABLE exposure (
    surety_id text COLLATE "C" NOT NULL,
    contractor_id text COLLATE "C" NOT NULL,
    accepted_yen bigint NOT NULL,
    PRIMARY KEY (surety_id, contractor_id)
);

-- How many numbers a branch has drawn in a fiscal year; gaps are allowed.
CREATE TABLE number_series (
    surety_id text COLLATE "C" NOT NULL,
    branch_id text COLLATE "C" NOT NULL,
    fiscal_year integer NOT NULL,
    drawn bigint NOT NULL,
    PRIMARY KEY (surety_id, branch_id, fiscal_year)
);

-- Opens the contact data of an application for the desk; gone when shredded.
CREATE TABLE data_key (
    application_id uuid PRIMARY KEY,
    data_key_id uuid NOT NULL,
    wrapped bytea NOT NULL
);
