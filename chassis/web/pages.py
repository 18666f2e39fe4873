"""Pages for people: one look, one way to sign in, one way to answer, whichever service they belong to.

A route opens a visit, which is the request's one transaction:

    @router.get("/desk/applications/{application_id}")
    async def show(request: Request, application_id: UUID) -> Response:
        async with site.visit(request) as visit:
            found = await views.application(visit.tx, application_id, visit.person.subject_id)
            return visit.page("application.html", application=found)

A POST has its form read and its origin checked before the transaction opens (`visit.form`), and ends with
`visit.go("/desk/…")`: the browser is sent on with 303, so that a reload repeats nothing. Whoever is not signed in is
sent to the log-in page and comes back afterwards. A `Problem` becomes a page.
"""

import contextlib
import hashlib
import hmac
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl, quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from chassis.clock import JST, Clock
from chassis.postgres import Transaction
from chassis.sealing import DataKey
from chassis.settings import ServiceSettings
from chassis.web import sessions
from chassis.web.headers import ALWAYS
from chassis.web.problems import Problem
from chassis.web.sessions import Signed
from chassis.web.tokens import Principal
from chassis.web.wording import LANGUAGE, LANGUAGES, Wording

HERE: Final = Path(__file__).parent
#: Paths that answer programs, with documents.
FOR_PROGRAMS: Final = ("/api/", "/log/", "/health/", "/metrics", "/openapi.json", "/static/")
MOST_FIELDS: Final = 400
LANGUAGE_COOKIE: Final = "akashi_language"

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    **ALWAYS,
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass(frozen=True)
class Portal:
    """The pages of one service for one kind of people."""

    #: First part of every path: `/contractor/…`.
    name: str
    #: Of the accounts that may sign in.
    role: str
    #: In Japanese, like every text here; the catalogue has the English.
    title: str
    #: What a log-in's name is called: お客様ID.
    login_label: str
    #: Whether people may ask for a code beside the password (RFC 6238).
    offers_codes: bool

    @property
    def home(self) -> str:
        return f"/{self.name}/"

    def path(self, rest: str) -> str:
        return f"/{self.name}/{rest}"


class Backing(Protocol):
    """What pages need of a running service."""

    @property
    def settings(self) -> ServiceSettings: ...

    @property
    def clock(self) -> Clock: ...

    def transaction(self, *, of_one_moment: bool = False) -> contextlib.AbstractAsyncContextManager[Transaction]: ...


def read_fields(body: bytes) -> FormData:
    """The fields of a form as browsers send it: text, whatever it says. Problem 400 for anything else."""
    no_form = Problem(400, "not-a-form", "The body is not a form.")
    try:
        fields = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict")
    except ValueError:
        raise no_form from None
    if _has_nul(fields):
        raise no_form
    return FormData(list[tuple[str, str | UploadFile]](fields))


def _has_nul(pairs: Iterable[tuple[str, str]]) -> bool:
    """Whether there is a character in it that nobody types, and that PostgreSQL takes in no text."""
    return any("\0" in text for pair in pairs for text in pair)


class Elsewhere(Exception):
    """The request is answered on another page."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


class Site:
    """What the pages of a service share."""

    def __init__(
        self,
        runtime: Backing,
        portal: Portal,
        *,
        templates: Sequence[Path],
        catalogue: Path,
        at_rest: DataKey,
        static: Iterable[Path] = (),
        filters: Mapping[str, Callable[..., Any]] | None = None,
    ) -> None:
        self.runtime = runtime
        self.portal = portal
        self.at_rest = at_rest
        self.wording = Wording((HERE / "messages" / "en.po", catalogue))
        self.files = _Files((HERE / "static", *static))
        self.templates = Environment(
            loader=FileSystemLoader([*templates, HERE / "templates"]),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.i18n"],
        )
        install = self.templates.install_gettext_callables  # type: ignore[attr-defined] # made by the extension
        install(self.wording.gettext, self.wording.ngettext, newstyle=True)
        self.templates.filters.update(
            {
                "minute": lambda at: at.astimezone(JST).strftime("%Y/%m/%d %H:%M"),
                "day": lambda day: day.strftime("%Y/%m/%d"),
                **(filters or {}),
            }
        )
        self.requires_codes = portal.offers_codes and runtime.settings.codes_required
        self._while_without_code = {portal.path(page) for page in ("account/code", "account/password")}
        self.templates.globals.update(portal=portal, asset=self.files.address, codes_required=self.requires_codes)
        secure = runtime.settings.cookies_secure
        self.cookie = f"__Host-akashi_{portal.name}" if secure else f"akashi_{portal.name}"

    # --- requests -------------------------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def visit(self, request: Request) -> "AsyncIterator[Visit]":
        """The one transaction of a signed-in person's request."""
        async with self.enter(request) as visit:
            signed = visit.signed
            if signed is None or signed.code_due:
                raise Elsewhere(f"{self.portal.path('sign-in')}?next={quote(_here(request))}")
            if signed.must_change and request.url.path != self.portal.path("account/password"):
                raise Elsewhere(self.portal.path("account/password"))
            if self.requires_codes and not signed.has_totp and request.url.path not in self._while_without_code:
                raise Elsewhere(self.portal.path("account/code"))
            yield visit

    @contextlib.asynccontextmanager
    async def enter(self, request: Request) -> "AsyncIterator[Visit]":
        """As `visit`, for everyone: `visit.signed` is None for who is not signed in."""
        LANGUAGE.set(language_of(request))
        if _has_nul([(request.scope["path"], ""), *request.query_params.multi_items()]):
            raise Problem(404, "http", "Not Found")
        form = await self._read_form(request) if request.method == "POST" else FormData()
        token = request.cookies.get(self.cookie, "")
        async with self.runtime.transaction(of_one_moment=request.method == "GET") as tx:
            now = self.runtime.clock.now()
            signed = await sessions.find(tx, token, role=self.portal.role, now=now) if token else None
            yield Visit(self, request, tx, form, signed, token)

    async def _read_form(self, request: Request) -> FormData:
        """The fields of a form that one of our own pages sent. Problem 403 for any other."""
        came_from = request.headers.get("sec-fetch-site", "same-origin")
        origin = request.headers.get("origin")
        ours = came_from in ("same-origin", "none") and (
            origin is None or origin.partition("://")[2] == request.headers.get("host")
        )
        form = read_fields(await request.body())
        token = request.cookies.get(self.cookie, "")
        given = str(form.get("csrf", ""))
        if not ours or not token or not hmac.compare_digest(sessions.csrf_of(token).encode(), given.encode()):
            raise Problem(
                403,
                "not-our-form",
                "This form was not sent from a page of ours, or the page is too old.",
                detail=self.wording.gettext("画面の有効期限が切れています。前の画面に戻り、もう一度操作してください。"),
            )
        return form

    # --- answers --------------------------------------------------------------------------------------------------

    def page(
        self, request: Request, template: str, *, signed: Signed | None, status: int = 200, **values: Any
    ) -> HTMLResponse:
        token = request.cookies.get(self.cookie) or sessions.draw_token()
        text = self.templates.get_template(template).render(
            request=request,
            signed=signed,
            language=LANGUAGE.get(),
            csrf=Markup('<input type="hidden" name="csrf" value="{}">').format(sessions.csrf_of(token)),
            **values,
        )
        answer = HTMLResponse(text, status_code=status, headers=HEADERS)
        if self.cookie not in request.cookies:
            self.set_cookie(answer, token)
        return answer

    def answer(self, request: Request, problem: Problem) -> Response | None:
        """What went wrong, for a person; None for a program, which gets the document."""
        if request.url.path.startswith(FOR_PROGRAMS):
            return None
        LANGUAGE.set(language_of(request))
        if problem.slug == "invalid":
            # A field of a form is told on its form; what is left is an address that nobody was given.
            problem = Problem(404, "http", "Not Found")
        answer = self.page(request, "problem.html", signed=None, status=problem.status, problem=problem)
        answer.headers.update(problem.headers)
        return answer

    def set_cookie(self, answer: Response, token: str) -> None:
        answer.set_cookie(
            self.cookie, token, httponly=True, samesite="lax", secure=self.runtime.settings.cookies_secure, path="/"
        )

    def safe_next(self, path: str) -> str:
        """Where to go after signing in: a page of this portal, whatever was asked for."""
        is_ours = path.startswith(self.portal.home) and "\\" not in path and "//" not in path
        return path if is_ours else self.portal.home


@dataclass(frozen=True)
class Visit:
    """One request for a page, inside its transaction."""

    site: Site
    request: Request
    tx: Transaction
    form: FormData
    signed: Signed | None
    token: str

    @property
    def person(self) -> Principal:
        """The person who is signed in, as handlers know one."""
        assert self.signed is not None, "only of `visit`, which lets nobody else in"
        return self.signed.person

    def text(self, name: str) -> str:
        """A field of the form, without the blanks around it; "" when it is not there."""
        return str(self.form.get(name, "")).strip()

    def page(self, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
        return self.site.page(self.request, template, signed=self.signed, status=status, **values)

    def go(self, path: str) -> Response:
        """Send the browser on."""
        return go(self.request, path)


def go(request: Request, path: str) -> Response:
    """303, or what htmx takes for it."""
    answer = RedirectResponse(path, status_code=303, headers=HEADERS)
    if request.headers.get("hx-request"):
        # The address as it is written in a header: in ASCII.
        return Response(status_code=204, headers={**HEADERS, "HX-Redirect": answer.headers["location"]})
    return answer


def language_of(request: Request) -> str:
    chosen = request.cookies.get(LANGUAGE_COOKIE, "ja")
    return chosen if chosen in LANGUAGES else "ja"


def _here(request: Request) -> str:
    """The page asked for, to come back to; after a POST that was refused, there is none."""
    if request.method != "GET":
        return ""
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


class _Files(StaticFiles):
    """Style sheets, scripts and pictures, under addresses that change with their contents: cached for good."""

    def __init__(self, folders: tuple[Path, ...]) -> None:
        super().__init__(directory=folders[0])
        self.folders = folders
        self.all_directories = list(folders)
        self._versions: dict[str, str] = {}

    def address(self, name: str) -> str:
        if name not in self._versions:
            path = next(folder / name for folder in self.folders if (folder / name).is_file())
            self._versions[name] = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
        return f"/static/{name}?v={self._versions[name]}"

    async def get_response(self, path: str, scope: Scope) -> Response:
        answer = await super().get_response(path, scope)
        versioned = b"v=" in scope.get("query_string", b"")
        answer.headers["Cache-Control"] = "public, max-age=31536000, immutable" if versioned else "no-cache"
        return answer
