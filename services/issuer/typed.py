"""What a person at the desk typed into a box: cleaned, or refused with the field and the rule."""

from typing import Final

from chassis.web.problems import FieldError, invalid
from services.issuer import domain

REASON_LENGTH: Final = 4000
MESSAGE_LENGTH: Final = 2000


def lines_of(text: str, field: str, *, longest: int) -> str:
    """The lines without space around. Problem 422 for what is too long or cannot be printed (FORM-14)."""
    lines = domain.typed_lines(text)
    if len(lines) > longest:
        raise invalid(
            [FieldError(field, "FORM-14", f"{longest}文字以内で入力してください。", f"At most {longest} characters.")]
        )
    if code := domain.unprintable(lines):
        told = f"使用できない文字({code})が含まれています。"
        raise invalid([FieldError(field, "FORM-14", told, f"Contains {code}, which cannot be printed.")])
    return lines
