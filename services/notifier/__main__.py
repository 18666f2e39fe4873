"""`python -m services.notifier`"""

from chassis.service import serve
from reference.errors import InvalidReference
from services.notifier.app import make_service
from services.notifier.settings import NotifierSettings

if __name__ == "__main__":
    serve("notifier", lambda: make_service(NotifierSettings()), InvalidReference)
