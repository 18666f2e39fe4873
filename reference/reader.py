"""Where the reference data is read, once, when a program starts: everything in the folder or nothing."""

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from reference.errors import InvalidReference, Problem, UnknownPurchaser, UnknownSurety
from reference.model import Purchaser, Surety

#: The data that comes with the program.
DEFAULT: Final = Path(__file__).parent / "data"

_DECLARATION: Final = "reference.toml"


class _Declaration(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    #: Raised by whoever changes a file.
    version: Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+)*$", max_length=32)]


_Record = TypeVar("_Record", bound=BaseModel)
_Party = TypeVar("_Party", Purchaser, Surety)


@dataclass(frozen=True, slots=True)
class Reference:
    """All purchasers and sureties, as one version of the files tells them."""

    #: The declared version and what the files hash to: `2026.1+0f3a9c51d2e4`. Goes into every event.
    version: str
    purchasers: Mapping[str, Purchaser]
    sureties: Mapping[str, Surety]

    def purchaser(self, purchaser_id: str) -> Purchaser:
        try:
            return self.purchasers[purchaser_id]
        except KeyError:
            raise UnknownPurchaser(purchaser_id) from None

    def surety(self, surety_id: str) -> Surety:
        try:
            return self.sureties[surety_id]
        except KeyError:
            raise UnknownSurety(surety_id) from None


def load(folder: Path = DEFAULT) -> Reference:
    """Read and check all files of a folder.

    Raises InvalidReference, with every problem of every file, if anything at all is wrong.
    """
    files = _Files(folder)
    declaration = files.read(_DECLARATION, _Declaration)
    purchasers = files.read_parties("purchasers", Purchaser)
    sureties = files.read_parties("sureties", Surety)
    if files.problems or declaration is None:
        raise InvalidReference(files.problems)
    if problems := _across(purchasers, sureties):
        raise InvalidReference(problems)
    return Reference(
        version=f"{declaration.version}+{files.digest()}",
        purchasers=MappingProxyType(purchasers),
        sureties=MappingProxyType(sureties),
    )


class _Files:
    """The files of one folder: what was read so far, and what was wrong with it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._contents: dict[str, bytes] = {}
        self.problems: list[Problem] = []

    def read(self, name: str, model: type[_Record]) -> _Record | None:
        fields = self._fields(name)
        if fields is None:
            return None
        try:
            return model.model_validate(fields)
        except ValidationError as error:
            for detail in error.errors(include_url=False, include_context=False, include_input=False):
                field = ".".join(str(part) for part in detail["loc"])
                self.problems.append(Problem(name, field, detail["msg"].removeprefix("Value error, ")))
            return None

    def read_parties(self, noun: str, model: type[_Party]) -> dict[str, _Party]:
        parties: dict[str, _Party] = {}
        paths = sorted((self._folder / noun).glob("*.toml"))
        if not paths:
            self.problems.append(Problem(f"{noun}/", "", "no file"))
        for path in paths:
            name = f"{noun}/{path.name}"
            party = self.read(name, model)
            if party is None:
                continue
            if party.id != path.stem:
                self.problems.append(Problem(name, "id", f"{party.id!r} does not match the file's name"))
            parties[party.id] = party
        return parties

    def digest(self) -> str:
        """Return a short hash that changes when any file does, in name or content."""
        lines = (f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sorted(self._contents.items()))
        return hashlib.sha256("".join(lines).encode()).hexdigest()[:12]

    def _fields(self, name: str) -> dict[str, Any] | None:
        try:
            content = (self._folder / name).read_bytes()
            fields = tomllib.loads(content.decode())
        except OSError as error:
            self.problems.append(Problem(name, "", error.strerror or "cannot be read"))
        except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            self.problems.append(Problem(name, "", str(error)))
        else:
            self._contents[name] = content
            return fields
        return None


def _across(purchasers: Mapping[str, Purchaser], sureties: Mapping[str, Surety]) -> list[Problem]:
    """Return what no file shows by itself: strangers named, and numbers that two sureties would both give."""
    problems: list[Problem] = []
    owners: dict[str, str] = {}
    for surety in sureties.values():
        file = f"sureties/{surety.id}.toml"
        for at, branch in enumerate(surety.branches):
            strangers = [purchaser_id for purchaser_id in branch.handles if purchaser_id not in purchasers]
            if strangers:
                message = f"no such purchaser: {', '.join(strangers)}"
                problems.append(Problem(file, f"branches.{at}.handles", message))
        for at, row in enumerate(surety.numbering):
            for block in row.blocks:
                owner = owners.setdefault(block, surety.id)
                if owner != surety.id:
                    problems.append(Problem(file, f"numbering.{at}.blocks", f"block {block} belongs to {owner}"))
    return problems
