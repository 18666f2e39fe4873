"""What every refusal of this room is."""

from collections.abc import Iterator
from contextlib import contextmanager


class DoesNotVerify(Exception):
    """Something is not what it claims to be. The message is what an auditor reads: one line, whatever is told of."""

    def __str__(self) -> str:
        # Names in a document are anybody's: one with a line break or an escape would say what it likes on a terminal.
        return "".join(c if c.isprintable() or c == "\u3000" else repr(c)[1:-1] for c in super().__str__())


class Malformed(DoesNotVerify):
    """A text or a document has not the form that its format prescribes."""


class WrongField(DoesNotVerify):
    """One field of a document is what is wrong."""

    def __init__(self, field: str, what: str) -> None:
        super().__init__(f"{field} {what}")
        self.field = field
        self.what = what


class Finding(DoesNotVerify):
    """What is wrong with an export, and where: one sentence."""

    def __init__(
        self, what: str, *, file: str, line: int | None = None, index: int | None = None, field: str | None = None
    ) -> None:
        places = (("line", line), ("index", index), ("field", field))
        where = "".join(f", {name} {value}" for name, value in places if value is not None)
        super().__init__(f"{file}{where}: {what}.")
        self.what = what
        self.file = file
        self.line = line
        self.index = index
        self.field = field


def placed(
    error: DoesNotVerify, *, file: str, line: int | None = None, index: int | None = None, field: str | None = None
) -> Finding:
    """The refusal with the place where it was met; one that names its place keeps it."""
    if isinstance(error, Finding):
        return error
    if isinstance(error, WrongField):
        path = f"{field}.{error.field}" if field else error.field
        return Finding(error.what, file=file, line=line, index=index, field=path)
    return Finding(str(error), file=file, line=line, index=index, field=field)


@contextmanager
def found_in(file: str, *, field: str | None = None) -> Iterator[None]:
    """Places what is refused inside."""
    try:
        yield
    except DoesNotVerify as error:
        raise placed(error, file=file, field=field) from error
