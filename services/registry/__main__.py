"""`python -m services.registry`"""

from chassis.service import serve
from documents.signing import KeyDoesNotSign
from reference.errors import InvalidReference
from services.registry.app import make_service
from services.registry.settings import RegistrySettings
from transparency.errors import Malformed

if __name__ == "__main__":
    serve("registry", lambda: make_service(RegistrySettings()), InvalidReference, KeyDoesNotSign, Malformed)
