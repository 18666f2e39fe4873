-- 透明性ログ: the tree over certificates, registrations and views. docs/transparency.md says what a leaf is.

-- Its right edge: one row, locked by whoever appends. `frontier` are the roots of its complete subtrees, largest first.
CREATE TABLE log_head (
    size bigint NOT NULL,
    frontier bytea[] NOT NULL
);
CREATE UNIQUE INDEX log_head_is_one ON log_head ((true));
INSERT INTO log_head (size, frontier) VALUES (0, '{}');

-- Never changed but by erasing a salt: the commitment then says nothing any more, and the tree stays as it is.
CREATE TABLE leaf (
    index bigint PRIMARY KEY,
    kind text COLLATE "C" NOT NULL CHECK (kind IN ('certificate', 'registration', 'view')),
    -- certificate_id, or view_id
    subject uuid NOT NULL,
    salt bytea,
    commitment bytea NOT NULL,
    UNIQUE (kind, subject)
);

-- Hashes of tiles above level 0, whose own are made from the commitments.
CREATE TABLE tile_node (
    level smallint NOT NULL CHECK (level >= 1),
    index bigint NOT NULL,
    hash bytea NOT NULL,
    PRIMARY KEY (level, index)
);

-- What was signed, with the cosignatures that came since. No two for one size.
CREATE TABLE checkpoint (
    size bigint PRIMARY KEY,
    note text NOT NULL,
    signed_at timestamptz NOT NULL
);
