-- Who may ask. A person acts for a contractor, a surety or a purchaser; a token speaks for the person.
CREATE TABLE account (
    id uuid PRIMARY KEY,
    role text NOT NULL CHECK (role IN ('contractor', 'desk', 'purchaser', 'operator')),
    -- contractor id, surety id or purchaser id
    subject_id text COLLATE "C" NOT NULL,
    person text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    disabled_at timestamptz
);

CREATE TABLE token (
    sha256 bytea PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES account,
    label text NOT NULL,
    scopes text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz
);
CREATE INDEX token_account ON token (account_id);
