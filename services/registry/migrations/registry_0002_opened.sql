-- A certificate that one browser opened with number and key: its pages and files can be fetched again for a while. Ends
-- with the session, at the latest.
CREATE TABLE opened_certificate (
    session_sha256 bytea NOT NULL REFERENCES session ON DELETE CASCADE,
    contract_number text COLLATE "C" NOT NULL,
    -- the look that opened it
    view_id uuid NOT NULL REFERENCES view,
    opened_at timestamptz NOT NULL,
    PRIMARY KEY (session_sha256, contract_number)
);

-- An account's own looks, newest first.
CREATE INDEX view_of_account ON view (account_id, viewed_at DESC);
