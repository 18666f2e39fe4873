"""What can be wrong with a question to the reference data, or with the data itself."""

from collections.abc import Iterable
from datetime import date
from typing import NamedTuple


class Problem(NamedTuple):
    """One thing wrong in one file."""

    #: Relative to the data folder.
    file: str
    #: Dotted path of the field; empty when the file as a whole is wrong.
    field: str
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in self if part)


class InvalidReference(Exception):
    """The reference data cannot be used. Carries every problem found, not only the first."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class UnknownPurchaser(LookupError):
    """No purchaser has this id."""

    def __init__(self, purchaser_id: str) -> None:
        super().__init__(f"no purchaser has the id {purchaser_id!r}")
        self.purchaser_id = purchaser_id


class UnknownSurety(LookupError):
    """No surety has this id."""

    def __init__(self, surety_id: str) -> None:
        super().__init__(f"no surety has the id {surety_id!r}")
        self.surety_id = surety_id


class UnknownBranch(LookupError):
    """The surety has no branch with this id."""

    def __init__(self, surety_id: str, branch_id: str) -> None:
        super().__init__(f"surety {surety_id!r} has no branch {branch_id!r}")
        self.surety_id = surety_id
        self.branch_id = branch_id


class UnknownProduct(LookupError):
    """No product has this code."""

    def __init__(self, product: str) -> None:
        super().__init__(f"no product has the code {product!r}")
        self.product = product


class NoOfficerOn(LookupError):
    """Nobody is recorded as the surety's signing officer on this day."""

    def __init__(self, surety_id: str, day: date) -> None:
        super().__init__(f"surety {surety_id!r} has no officer on {day.isoformat()}")
        self.surety_id = surety_id
        self.day = day


class NoNumberingBlocks(LookupError):
    """The branch was given no block of numbers for this fiscal year."""

    def __init__(self, surety_id: str, branch_id: str, fiscal_year: int) -> None:
        super().__init__(f"surety {surety_id!r} has no numbering block for branch {branch_id!r} in {fiscal_year}")
        self.surety_id = surety_id
        self.branch_id = branch_id
        self.fiscal_year = fiscal_year


class NoFeeRates(LookupError):
    """The surety has no rates (保証料率) for this product on this day."""

    def __init__(self, surety_id: str, product: str, day: date) -> None:
        super().__init__(f"surety {surety_id!r} has no rates for {product!r} on {day.isoformat()}")
        self.surety_id = surety_id
        self.product = product
        self.day = day
