"""What the fields of a file may hold. Lengths are those of the events that carry them."""

from collections import Counter
from collections.abc import Collection, Iterable
from datetime import date
from decimal import Decimal
from string import Formatter
from typing import Annotated, Final

from pydantic import AfterValidator, Field, StringConstraints

from reference import codes


def one_of(known: Collection[str]) -> AfterValidator:
    """Refuse a code that is not known, and say which are."""

    def check(code: str) -> str:
        if code not in known:
            raise ValueError(f"{code!r} is not one of {', '.join(sorted(known))}")
        return code

    return AfterValidator(check)


def repeated(values: Iterable[str]) -> list[str]:
    """Return the values that occur more than once, sorted."""
    return sorted(value for value, times in Counter(values).items() if times > 1)


def no_repeats(values: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse values of which one occurs more than once."""
    if twice := repeated(values):
        raise ValueError(f"more than once: {', '.join(twice)}")
    return values


#: What a mail's subject may have places for.
SUBJECT_PLACES: Final = frozenset({"works_name", "contract_number", "contractor_name"})


def _known_places(template: str) -> str:
    """Refuse a template that `str.format` could not fill with these, or that would fill them otherwise than plainly."""
    for _, name, how, conversion in Formatter().parse(template):
        if name is not None and (name not in SUBJECT_PLACES or how or conversion):
            raise ValueError(
                f"{{{name}}} is not one of {', '.join(f'{{{place}}}' for place in sorted(SUBJECT_PLACES))}"
            )
    return template


def _one_decimal(percent: Decimal) -> Decimal:
    if percent.as_tuple().exponent != -1:
        raise ValueError('must be written with one decimal, as in "40.0"')
    return percent


Id = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=64)]
Version = Annotated[int, Field(strict=True, ge=1)]
Line = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^\S(.*\S)?$")]
SubjectLine = Annotated[Line, AfterValidator(_known_places)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=4000)]
Telephone = Annotated[str, StringConstraints(pattern=r"^0[0-9]{1,4}-[0-9]{1,4}-[0-9]{3,4}$")]
MailAddress = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._+-]+@([a-z0-9-]+\.)+[a-z]{2,}$", max_length=254)]
Url = Annotated[str, StringConstraints(pattern=r"^https://[^\s/]+/\S*$", max_length=200)]
Yen = Annotated[int, Field(strict=True, gt=0, le=10**15)]
Percentage = Annotated[Decimal, Field(gt=0, le=100), AfterValidator(_one_decimal)]
#: A date of the file, never a text or a number that could be read as one.
Day = Annotated[date, Field(strict=True)]
FiscalYear = Annotated[int, Field(strict=True, ge=2000, le=2999)]
Block = Annotated[str, StringConstraints(pattern=r"^[0-9]{5}$")]
Product = Annotated[str, one_of(codes.PRODUCTS)]
WorksKind = Annotated[str, one_of(codes.WORKS_KINDS)]
SubmissionChannel = Annotated[str, one_of(codes.SUBMISSION_CHANNELS)]
