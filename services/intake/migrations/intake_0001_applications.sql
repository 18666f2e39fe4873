-- 受注者. Registered by an operator; applications copy what stands here on the day they are sent.
CREATE TABLE contractor (
    id text COLLATE "C" PRIMARY KEY,
    name text NOT NULL,
    address text NOT NULL,
    representative text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- What a contractor sent. Contact data is sealed under a key of its own, which is sealed to this service.
CREATE TABLE application (
    id uuid PRIMARY KEY,
    contractor_id text COLLATE "C" NOT NULL REFERENCES contractor,
    surety_id text NOT NULL,
    purchaser_id text NOT NULL,
    replaces uuid REFERENCES application,
    -- ApplicationSubmitted, as published
    submitted jsonb NOT NULL,
    submitted_at timestamptz NOT NULL,
    -- null once shredded
    wrapped_data_key bytea,
    withdrawal_requested_at timestamptz
);
CREATE INDEX application_submitted ON application (submitted_at);
CREATE INDEX application_of_contractor ON application (contractor_id, id DESC);

-- One row per product asked for. The same works and product twice is one too many (APP-4), while it is `active`.
CREATE TABLE product (
    application_id uuid NOT NULL REFERENCES application,
    product text NOT NULL,
    form text NOT NULL,
    -- contractor, purchaser, name of the works and contract date, hashed
    works_key bytea NOT NULL,
    -- false once another application replaces it
    active boolean NOT NULL DEFAULT true,
    PRIMARY KEY (application_id, product)
);
CREATE UNIQUE INDEX product_once ON product (works_key, product) WHERE active;

-- The stored answer of a write, so that a repeat gets the same.
CREATE TABLE idempotency (
    contractor_id text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    fingerprint bytea NOT NULL,
    status integer NOT NULL,
    -- json, not jsonb: the same answer to the byte
    answer json NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (contractor_id, key)
);
