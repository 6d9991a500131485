"""Who may use the server: people with a cookie, and programs with a token.

The owner logs in with a token that works once. Other people have named tokens, in a TOML file that only its owner can
change::

    [anna]
    role = "labeller"
    sha256 = "…"

``lookalike serve --new-token anna`` adds such a table, and prints the token. Only its digest is kept. Whoever logs in
gets a cookie. It holds the name, the role and the end of its life, and is sealed with a key that only the server knows.
So a restart of the server logs nobody out.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
import secrets
import threading
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.errors import ConfigError
from pipeline.support.private_paths import exposures, make_closed_folder
from pipeline.user_settings import user_file

Role = Literal["reader", "labeller"]
ROLES: tuple[Role, ...] = ("reader", "labeller")
"""A reader looks and searches. A labeller also writes labels."""
COOKIE_LIFE_S = 30 * 86_400
"""Time after which a person must log in again, in seconds."""
KEY_BYTES = 32
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class Person:
    """Who sends a request."""

    name: str
    role: Role

    @property
    def may_label(self) -> bool:
        """True if this person may write labels."""
        return self.role == "labeller"


def key_path() -> Path:
    """Return the path of the key that seals cookies: ``serve-key`` beside the user's settings file."""
    return user_file().with_name("serve-key")


def own_key() -> bytes:
    """Read the key that seals cookies. It is made at the first use.

    Raises
    ------
    ConfigError
        It cannot be read or made, or others can read or change it.
    """
    path = key_path()
    try:
        make_closed_folder(path.parent, 0o700)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(KEY_BYTES))
        except FileExistsError:
            pass
        key = path.read_bytes()
        is_open = path.stat().st_mode & 0o077
    except OSError as error:
        raise ConfigError(f"{path}: the key that seals cookies cannot be read or made ({error.strerror or error}); set "
                          "XDG_CONFIG_HOME to a folder of your own") from error
    if is_open or exposures(path) or len(key) != KEY_BYTES:
        raise ConfigError(f"{path}: is damaged, or others can read or change it; delete it, and everybody must "
                          "log in again")
    return key


class Access:
    """Tells who sends a request. Threads may share it.

    Parameters
    ----------
    key : bytes
        Secret that seals cookies.
    purpose : str
        What the cookies are for, such as the folder of the corpus. Cookies of another purpose do not fit.
    owner : Person
        Who logs in with the token that works once.
    tokens : Path, optional
        File of named tokens.
    """

    def __init__(self, key: bytes, purpose: str, owner: Person, tokens: Path | None = None) -> None:
        self._key = hmac.digest(key, purpose.encode("utf-8", "surrogateescape"), "sha256")
        self._owner = owner
        self._path = tokens
        self._lock = threading.Lock()
        self._once: str | None = None
        self._read: tuple[tuple[int, int], dict[str, Person]] | None = None
        self.people()  # so that a file that cannot be used stops the start

    def new_one_time_token(self) -> str:
        """Return a token with which the owner can log in once. It replaces an earlier one."""
        token = secrets.token_urlsafe(32)
        self._once = digest_of(token)
        return token

    def log_in(self, token: str) -> str | None:
        """Return the cookie for a token, or None if the token is wrong or used up."""
        digest = digest_of(token)
        with self._lock:
            if self._once is not None and hmac.compare_digest(digest, self._once):
                self._once = None
                return self._sealed(self._owner, "")
        person = self.people().get(digest)
        return self._sealed(person, digest) if person else None

    def person_of_token(self, token: str) -> Person | None:
        """Return whose named token this is; None if it is nobody's."""
        return self.people().get(digest_of(token))

    def person_of_cookie(self, cookie: str) -> Person | None:
        """Return who has a cookie; None if it is forged, too old, or of a token that was removed since."""
        text, _, seal = cookie.partition(".")
        if not hmac.compare_digest(self._seal(text), seal.encode("ascii", "replace").decode()):
            return None
        name, role, until_s, digest = json.loads(base64.urlsafe_b64decode(text))
        if time.time() > until_s:
            return None
        if digest:
            return next((one for known, one in self.people().items() if known.startswith(digest)), None)
        return Person(name, role)

    def _sealed(self, person: Person, digest: str) -> str:
        record = [person.name, person.role, int(time.time()) + COOKIE_LIFE_S, digest[:16]]
        text = base64.urlsafe_b64encode(json.dumps(record).encode()).decode()
        return f"{text}.{self._seal(text)}"

    def _seal(self, text: str) -> str:
        return hmac.new(self._key, text.encode("utf-8", "replace"), "sha256").hexdigest()

    def people(self) -> dict[str, Person]:
        """Return digest of a named token → person. The file is read again if it has changed.

        Raises
        ------
        ConfigError
            The file cannot be used.
        """
        if self._path is None:
            return {}
        try:
            status = self._path.stat()
        except OSError as error:
            raise ConfigError(f"{self._path}: cannot be read ({error.strerror or error}); make it with lookalike serve "
                              f"--new-token NAME --tokens {self._path}") from error
        state = status.st_mtime_ns, status.st_size
        if self._read is None or self._read[0] != state:
            self._read = state, _people_in(self._path)
        return self._read[1]


def digest_of(token: str) -> str:
    """Return the digest under which a token is kept."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _people_in(path: Path) -> dict[str, Person]:
    if faults := exposures(path):
        raise ConfigError(f"{path}: is not read, because others can change it, and it says who may write labels: "
                          f"{', '.join(map(str, faults))}; mend it with: {'; '.join(one.remedy for one in faults)}")
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: is no TOML that can be read ({error})") from error
    people = {}
    for name, table in tables.items():
        role, digest = (table.get(key) for key in ("role", "sha256")) if isinstance(table, dict) else (None, None)
        if role not in ROLES or not isinstance(digest, str) or not re.fullmatch("[0-9a-f]{64}", digest):
            raise ConfigError(f"{path} [{name}]: needs role, one of {' and '.join(ROLES)}, and sha256, the digest of a "
                              "token; lookalike serve --new-token writes both")
        people[digest] = Person(name, role)
    return people


def add_person(path: Path, name: str, role: Role) -> str:
    """Add a named token to a file, which is made if it does not exist. Return the token, which is kept nowhere.

    Raises
    ------
    ConfigError
        The name cannot be used or is in the file, or the file cannot be used or written.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(f"--new-token {name!r}: a name has letters, digits, -, _ and ., and begins with a letter or "
                          "digit")
    token = secrets.token_urlsafe(32)
    try:
        known = _people_in(path) if path.exists() else {}
        if any(one.name == name for one in known.values()):
            raise ConfigError(f"{path}: has a token of {name} already; delete the table [{name}] first")
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f'["{name}"]\nrole = "{role}"\nsha256 = "{digest_of(token)}"\n')
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror or error})") from error
    return token
