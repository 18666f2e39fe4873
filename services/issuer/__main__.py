"""`python -m services.issuer`"""

from chassis.service import serve
from reference.errors import InvalidReference
from services.issuer.app import make_service
from services.issuer.settings import IssuerSettings

if __name__ == "__main__":
    serve("issuer", lambda: make_service(IssuerSettings()), InvalidReference)
