-- What is to be published. A row is written in the transaction of the fact it tells, and deleted when Kafka has it.
CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic text NOT NULL,
    key bytea,
    value bytea,
    -- JSON pairs [name, value]; a value's bytes are written as Latin-1, so that any byte survives.
    headers text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
-- Rows live for milliseconds: vacuum early, and never let the planner think the table is big.
ALTER TABLE outbox SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
