"""`python -m services.intake`"""

from chassis.service import serve
from documents.signing import KeyDoesNotSign
from reference.errors import InvalidReference
from services.intake.app import make_service
from services.intake.settings import IntakeSettings

if __name__ == "__main__":
    serve("intake", lambda: make_service(IntakeSettings()), InvalidReference, KeyDoesNotSign)
