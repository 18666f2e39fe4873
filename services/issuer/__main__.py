"""`python -m services.issuer`"""

from chassis.service import serve
from services.issuer.app import make_service
from services.issuer.settings import IssuerSettings

if __name__ == "__main__":
    serve(make_service(IssuerSettings()))
