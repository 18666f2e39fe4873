"""What the registry counts about its log. (`akashi_must_never_total` is the chassis'.)"""

from prometheus_client import Gauge

LOG_SIZE = Gauge("akashi_log_size", "Leaves under the newest checkpoint")
LOG_STOPPED = Gauge("akashi_log_stopped", "1 while nothing is signed, because the log contradicts what was signed")
LOG_COSIGNED = Gauge(
    "akashi_log_cosigned_size", "Leaves under the newest checkpoint that a witness cosigned", ["witness"]
)
