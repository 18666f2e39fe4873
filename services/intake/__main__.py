"""`python -m services.intake`"""

from chassis.service import serve
from services.intake.app import make_service
from services.intake.settings import IntakeSettings

if __name__ == "__main__":
    serve(make_service(IntakeSettings()))
