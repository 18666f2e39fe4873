-- How an account signs in on pages. One without a row here has tokens only.
CREATE TABLE sign_in (
    account_id uuid PRIMARY KEY REFERENCES account,
    -- お客様ID, 利用者ID
    login text COLLATE "C" NOT NULL UNIQUE,
    -- argon2id, as its own text says
    password text NOT NULL,
    -- until the person has chosen a password of their own
    must_change boolean NOT NULL,
    changed_at timestamptz NOT NULL,
    -- the secret of RFC 6238 codes, sealed under the service's own key
    totp_nonce bytea,
    totp_ciphertext bytea,
    -- null while the person has not proved to have it
    totp_confirmed_at timestamptz,
    -- a code counts once
    totp_last_step bigint NOT NULL DEFAULT 0
);

-- One browser that a person signed in with. Only the hash of its cookie is here.
CREATE TABLE session (
    sha256 bytea PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES account,
    -- true between password and code
    code_due boolean NOT NULL,
    browser text NOT NULL,
    began_at timestamptz NOT NULL,
    seen_at timestamptz NOT NULL
);
CREATE INDEX session_of_account ON session (account_id);

-- How often signing in failed within a window, by whoever tried what from where, hashed.
CREATE TABLE sign_in_attempt (
    subject bytea PRIMARY KEY,
    window_began timestamptz NOT NULL,
    failures integer NOT NULL
);
