"""What is common to every event: an immutable document with a Kafka key and an identity of its own."""

import uuid
from datetime import MAXYEAR, MINYEAR, UTC, datetime
from typing import Annotated, ClassVar

import pydantic
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from uuid_utils.compat import uuid5

#: Event ids are uuid5 under this name, so that telling the same fact twice is the same event.
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:akashi:event")

Code = Annotated[str, StringConstraints(min_length=1, max_length=64)]
"""A code from reference data. Never an enum: a new value must not break an old reader."""
#: One line: no control characters, not only blanks.
Line = Annotated[
    str, StringConstraints(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*[^\x00-\x20\x7f\u3000][^\x00-\x1f\x7f]*$")
]
Text = Annotated[str, StringConstraints(max_length=4000)]
Yen = Annotated[int, Field(ge=0, le=10**15)]
Percent = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,7}\.[0-9]$")]
#: A rate in percent, such as 0.285.
Rate = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,3}\.[0-9]{1,6}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Base64 = Annotated[
    str,
    StringConstraints(
        min_length=4,
        max_length=100_000,
        pattern=r"^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$",
    ),
]
Version = Annotated[int, Field(ge=1, le=9999)]
#: 変更の発生番号: 0 for a new one.
ChangeNumber = Annotated[int, Field(ge=0, le=9999)]
Attempts = Annotated[int, Field(ge=0, le=10_000)]


#: Between these years no time zone leads near an end of the calendar.
_FAR_FROM_THE_FIRST, _FAR_FROM_THE_LAST = MINYEAR + 2, MAXYEAR - 2


def in_every_zone(moment: datetime) -> datetime:
    """The moment; ValueError for one that has no name in some time zone, at the very ends of the calendar."""
    if _FAR_FROM_THE_FIRST < moment.year < _FAR_FROM_THE_LAST:
        return moment
    try:
        year = moment.astimezone(UTC).year
    except OverflowError:
        year = MINYEAR
    if not MINYEAR < year < MAXYEAR:
        raise ValueError("not a moment in every time zone")
    return moment


AwareDatetime = Annotated[pydantic.AwareDatetime, AfterValidator(in_every_zone)]
#: 保証契約番号. NUM-1.
ContractNumber = Annotated[str, StringConstraints(pattern=r"^[0-9]{5}-[0-9]{5}[0-9A-Z]$")]


class Document(BaseModel):
    """A part of an event. Unknown fields are ignored, so that a newer writer does not break an older reader.

    Errors never repeat the input: it may be personal or secret.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class Event(Document):
    """Something that happened, told once for ever. Subclasses name the fields that say under which key, which, when."""

    #: The major version of the contract; a new one is a new class on a new topic.
    version_of_contract: ClassVar[int] = 1
    #: Holds the Kafka key: what must stay in order.
    key_field: ClassVar[str]
    #: Tell this occurrence from every other of its type; two equal ones are the same event.
    identity_fields: ClassVar[tuple[str, ...]]
    time_field: ClassVar[str]

    @property
    def key(self) -> str:
        return str(getattr(self, self.key_field))

    @property
    def event_id(self) -> uuid.UUID:
        identity = "|".join([str(getattr(self, name)) for name in self.identity_fields])
        return uuid5(NAMESPACE, f"{self.type_name()}|{identity}")

    @property
    def occurred_at(self) -> datetime:
        when: datetime = getattr(self, self.time_field)
        return when

    @classmethod
    def type_name(cls) -> str:
        """The CloudEvents `type`."""
        return f"akashi.{cls.__name__}.v{cls.version_of_contract}"


__all__ = [
    "Attempts",
    "AwareDatetime",
    "Base64",
    "ChangeNumber",
    "Code",
    "ContractNumber",
    "Document",
    "Event",
    "Line",
    "Percent",
    "Rate",
    "Sha256",
    "Text",
    "Version",
    "Yen",
]
