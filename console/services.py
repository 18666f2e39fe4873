"""The four services, put together without connecting to anything: for their tables and their HTTP contracts."""

import importlib
import tempfile
from pathlib import Path
from typing import Final, cast

from chassis.service import Service
from chassis.settings import ServiceSettings
from deploy.local.problem import Problem
from deploy.secrets import SERVICES, make_secrets

__all__ = ["SERVICES", "known_services", "make_service"]

#: No variable begins so: a service is put together alike on every machine.
_NO_ENVIRONMENT: Final = "AKASHI_NOT_FROM_THE_ENVIRONMENT_"


def known_services(names: list[str] | None) -> tuple[str, ...]:
    """The services by these names, or all of them. `Problem` for a name that is none."""
    if strangers := sorted(set(names or ()) - set(SERVICES)):
        raise Problem(f"There is no service {', '.join(strangers)}: choose of {', '.join(SERVICES)}.")
    return tuple(name for name in SERVICES if not names or name in names)


def make_service(name: str) -> Service:
    """A service as its `app.py` wires it, with secrets of its own that are thrown away."""
    try:
        app = importlib.import_module(f"services.{name}.app")
        settings_module = importlib.import_module(f"services.{name}.settings")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("services"):
            raise Problem(f"The service {name} is not in this installation: {error.name} is missing.") from None
        raise Problem(
            f"The service {name} can't be put together without {error.name}: "
            f"install the dependency group {name}, too (`uv sync --group {name}`)."
        ) from None
    with tempfile.TemporaryDirectory(prefix="akashi-") as folder:
        make_secrets(Path(folder))
        settings = _settings_class(settings_module.__dict__, settings_module.__name__)(
            _env_prefix=_NO_ENVIRONMENT, secrets_dir=Path(folder) / name
        )
        return cast("Service", app.make_service(settings))


def _settings_class(names: dict[str, object], module: str) -> type[ServiceSettings]:
    for value in names.values():
        if isinstance(value, type) and issubclass(value, ServiceSettings) and value.__module__ == module:
            return value
    raise Problem(f"{module} declares no settings: let it derive a class from ServiceSettings.")
