"""`python -m services.notifier`"""

from chassis.service import serve
from services.notifier.app import make_service
from services.notifier.settings import NotifierSettings

if __name__ == "__main__":
    serve(make_service(NotifierSettings()))
