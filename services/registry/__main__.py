"""`python -m services.registry`"""

from chassis.service import serve
from services.registry.app import make_service
from services.registry.settings import RegistrySettings

if __name__ == "__main__":
    serve(make_service(RegistrySettings()))
