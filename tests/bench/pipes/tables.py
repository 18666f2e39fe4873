"""What do all three references read and write? The hops and rows of the whole flow, with nothing in them.

An application becomes a decision and a certificate, the certificate a registration, and where it began a row is made of
each: four messages and five rows, as ours. `sample` holds what such messages look like: every one of a kind is the same.
"""

from typing import Final

#: Topic → as many partitions as ours have. Each reference has its own: `bare-applications` and so on.
KINDS: Final = ("applications", "decisions", "certificates", "registrations")

OUTBOXES: Final = ("first_outbox", "middle_outbox", "last_outbox")
#: Where each kind ends.
ROWS: Final = {
    "applications": ("middle_row",),
    "decisions": ("first_decided",),
    "certificates": ("last_row", "first_certificate"),
    "registrations": ("first_registration",),
}

CREATE: Final = "\n".join(
    [
        "CREATE TABLE sample (kind text PRIMARY KEY, value bytea NOT NULL, headers text NOT NULL);",
        *(
            f"CREATE TABLE {name} (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
            " topic text NOT NULL, key bytea NOT NULL, value bytea NOT NULL, headers text NOT NULL);"
            for name in OUTBOXES
        ),
        *(
            f"CREATE TABLE {name} (id bytea PRIMARY KEY, value bytea NOT NULL);"
            for names in ROWS.values()
            for name in names
        ),
    ]
)
INSERT_OUTBOX: Final = """
INSERT INTO {table} (topic, key, value, headers) SELECT topic, key, value, headers
FROM unnest($1::text[], $2::bytea[], $3::bytea[], $4::text[]) WITH ORDINALITY AS m (topic, key, value, headers, n)
ORDER BY n
"""
INSERT_ROWS: Final = """
INSERT INTO {table} (id, value) SELECT id, value FROM unnest($1::bytea[], $2::bytea[]) AS r (id, value)
ON CONFLICT (id) DO NOTHING RETURNING id
"""
