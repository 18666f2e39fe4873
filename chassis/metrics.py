"""What we count. One registry per process, shown at `/metrics`."""

from prometheus_client import PLATFORM_COLLECTOR, REGISTRY, Counter, Gauge, Histogram

# Which Python this is, and on what: whoever reaches the service need not learn it.
REGISTRY.unregister(PLATFORM_COLLECTOR)

EVENTS_HANDLED = Counter("akashi_events_handled_total", "Events whose effect is durable", ["group", "type"])
EVENTS_PARKED = Counter("akashi_events_parked_total", "Records sent to the dead-letter topic", ["group", "reason"])
BATCH_SECONDS = Histogram("akashi_batch_seconds", "From poll to commit", ["group"])
BATCH_RETRIES = Counter("akashi_batch_retries_total", "Batches tried again", ["group", "error"])
CONSUMER_STOPPED = Gauge("akashi_consumer_stopped", "1 while a sudden rise of parked records stops it", ["group"])
CONSUMER_LAG = Gauge("akashi_consumer_lag", "Records not yet taken, over this process's partitions", ["group"])
OUTBOX_PUBLISHED = Counter("akashi_outbox_published_total", "Messages acknowledged by Kafka")
OUTBOX_PENDING = Gauge("akashi_outbox_pending", "Messages waiting for Kafka (counted up to 10,000)")
HTTP_SECONDS = Histogram("akashi_http_seconds", "Time to answer", ["method", "route", "status"])
CONNECTIONS_CUT = Counter("akashi_http_connections_cut_total", "Connections that we ended, and for what", ["why"])
WRONG_SECRETS = Counter(
    "akashi_wrong_secrets_total", "Passwords, codes and keys that were not taken, and for what", ["of", "why"]
)
MUST_NEVER = Counter("akashi_must_never_total", "Things that must never happen; see docs/failure-modes.md", ["what"])
CERTIFICATE_GOOD_UNTIL = Gauge(
    "akashi_certificate_good_until_seconds", "End of the certificate shown, since the epoch; 0: none"
)
