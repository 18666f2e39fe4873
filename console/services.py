"""The four services, put together without connecting to anything: for their tables and their HTTP contracts."""

import importlib
import tempfile
from pathlib import Path
from typing import Any, Final, cast

from chassis.migrations import files_of
from chassis.service import Service
from chassis.settings import ServiceSettings
from deploy.local.problem import Problem
from deploy.secrets import SERVICES, make_secrets

__all__ = ["SERVICES", "known_services", "make_service", "migrations_of"]

#: No variable begins so: a service is put together alike on every machine.
_NO_ENVIRONMENT: Final = "AKASHI_NOT_FROM_THE_ENVIRONMENT_"


def known_services(names: list[str] | None) -> tuple[str, ...]:
    """The services by these names, or all of them. `Problem` for a name that is none."""
    if strangers := sorted(set(names or ()) - set(SERVICES)):
        raise Problem(f"There is no service {', '.join(strangers)}: choose of {', '.join(SERVICES)}.")
    return tuple(name for name in SERVICES if not names or name in names)


def make_service(name: str) -> Service:
    """A service as its `app.py` wires it, with secrets of its own that are thrown away."""
    app = _module(name, "app")
    settings_module = _module(name, "settings")
    with tempfile.TemporaryDirectory(prefix="akashi-") as folder:
        make_secrets(Path(folder))
        settings = _settings_class(settings_module.__dict__, settings_module.__name__)(
            _env_prefix=_NO_ENVIRONMENT, secrets_dir=Path(folder) / name
        )
        return cast("Service", app.make_service(settings))


def migrations_of(name: str) -> tuple[Path, ...]:
    """A service's migrations, those of the chassis first, in the order in which they are applied."""
    return files_of(name, _module(name, "app").SHARED_TABLES)


def _module(service: str, name: str) -> Any:
    try:
        return importlib.import_module(f"services.{service}.{name}")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("services"):
            raise Problem(f"The service {service} is not in this installation: {error.name} is missing.") from None
        raise Problem(
            f"The service {service} can't be put together without {error.name}: "
            f"install the dependency group {service}, too (`uv sync --group {service}`)."
        ) from None


def _settings_class(names: dict[str, object], module: str) -> type[ServiceSettings]:
    for value in names.values():
        if isinstance(value, type) and issubclass(value, ServiceSettings) and value.__module__ == module:
            return value
    raise Problem(f"{module} declares no settings: let it derive a class from ServiceSettings.")
