"""What the notifier counts besides what every service does."""

from prometheus_client import Counter, Gauge, Histogram

MAILS_SENT = Counter("akashi_mails_sent_total", "Letters an SMTP server took over", ["surety", "letter"])
MAILS_DEFERRED = Counter(
    "akashi_mails_deferred_total", "Letters put off; `server` is where the server takes no mail from us at all", ["why"]
)
MAILS_UNDELIVERABLE = Counter("akashi_mails_undeliverable_total", "Letters given up for good", ["reason", "letter"])
MAILS_UNKNOWN = Counter(
    "akashi_mails_unknown_total", "Letters of which nobody knows whether they left; then `resent` or `parked`", ["then"]
)
MAILS_REPEATED = Counter("akashi_mails_repeated_total", "Letters that left again after they had been noted as sent")
MAIL_SECONDS = Histogram(
    "akashi_mail_seconds",
    "From the registration in the registry to the SMTP server's answer about the completion letter",
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600, 86400),
)
HALVES_ALONE = Gauge("akashi_halves_alone", "Halves that wait too long for another half", ["missing"])
HALVES_PARKED = Counter(
    "akashi_halves_parked_total",
    "Registrations, decisions and views handed to the dead letters because a half never came",
    ["letter"],
)
