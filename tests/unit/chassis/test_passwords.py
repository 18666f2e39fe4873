import time

import pyotp
import pytest

from chassis.web import passwords

SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
NOW = 1_800_000_000.0
STEP = int(NOW) // passwords.STEP_SECONDS


async def test_a_password_fits_itself_in_any_width() -> None:
    stored = await passwords.hashed("Mihon-2026-kensetsu")

    assert stored.startswith("$argon2id$")
    assert await passwords.fits(stored, "Ｍｉｈｏｎ－２０２６－ｋｅｎｓｅｔｓｕ")
    assert not await passwords.fits(stored, "mihon-2026-kensetsu")


async def test_nothing_fits_where_nothing_is_stored() -> None:
    assert not await passwords.fits(None, "")


async def test_a_first_password_can_be_taken() -> None:
    assert await passwords.fault_of(passwords.draw(), login="takasaki") is None


@pytest.mark.parametrize(
    "chosen",
    ["関係のない言葉と釣鐘と梯子", "correct horse battery staple", "kensetsu-tanaka-1985", "x" * 32 + "Q7h!vR2m"],
)
async def test_a_password_that_takes_many_guesses_is_taken(chosen: str) -> None:
    assert await passwords.fault_of(chosen, login="takasaki") is None


@pytest.mark.parametrize(
    "chosen",
    [
        "password1234",
        "Password!2024",
        "qwertyuiop12",
        "1qaz2wsx3edc",
        "123456789012",
        "letmeinletmein",
        "P4ssw0rd1234",
        "あああああああああああああ",
        "aaaaaaaaaaaa",
        "ｐａｓｓｗｏｒｄ１２３４",
        "takasaki-no-pass-word",
        "1l!|" * 32,
    ],
)
async def test_a_password_that_is_common_or_soon_guessed_is_not_taken(chosen: str) -> None:
    fault = await passwords.fault_of(chosen, login="takasaki")

    assert fault is not None
    assert fault.startswith("推測されやすい")


async def test_no_password_takes_long_to_be_estimated() -> None:
    began = time.process_time()

    await passwords.fault_of("@4(8<[{369!1|0$5+7%2" * 6, login="takasaki")

    assert time.process_time() - began < 5


@pytest.mark.parametrize("offset", [-1, 0, 1])
def test_a_code_of_the_step_before_and_after_is_taken(offset: int) -> None:
    code = pyotp.TOTP(SECRET).at((STEP + offset) * passwords.STEP_SECONDS)

    assert passwords.matching_step(SECRET, code, now=NOW, after=0) == STEP + offset


@pytest.mark.parametrize("offset", [-2, 2])
def test_an_older_or_later_code_is_not(offset: int) -> None:
    code = pyotp.TOTP(SECRET).at((STEP + offset) * passwords.STEP_SECONDS)

    assert passwords.matching_step(SECRET, code, now=NOW, after=0) is None


def test_a_code_in_full_width_with_a_space_is_the_same_code() -> None:
    code = pyotp.TOTP(SECRET).at(STEP * passwords.STEP_SECONDS)
    typed = "".join(chr(ord(digit) + 0xFEE0) for digit in f"{code[:3]}{code[3:]}")

    assert passwords.matching_step(SECRET, f"{typed[:3]} {typed[3:]}", now=NOW, after=0) == STEP
