-- A key that was shredded must not come back with a record that is read again. So its application keeps its row: the
-- unique id is where a repeat of the key and the tombstone meet, also when two processes have them at once.
ALTER TABLE data_key RENAME TO known_data_key;
ALTER TABLE known_data_key RENAME CONSTRAINT data_key_pkey TO known_data_key_pkey;
ALTER TABLE known_data_key
    ALTER COLUMN data_key_id DROP NOT NULL,
    ALTER COLUMN wrapped DROP NOT NULL,
    ADD COLUMN shredded_at timestamptz,
    ADD CHECK ((shredded_at IS NULL) = (wrapped IS NOT NULL)),
    ADD CHECK ((wrapped IS NULL) = (data_key_id IS NULL));

-- The keys that are there; the release before reads and writes them by this name, too.
CREATE VIEW data_key AS SELECT application_id, data_key_id, wrapped FROM known_data_key WHERE wrapped IS NOT NULL;
