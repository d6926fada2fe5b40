"""The URL of a MongoDB server: where it comes from, and how its password stays unseen."""

import os
import re
import sys

FLAG, VARIABLE = "--mongo", "SACRED_MONGO_URL"
MONGO_ID = "mongo_id"  # file in a run's folder by which its record in a database is known


def find_url(flag: str | None, setting: str) -> str:
    """The URL given by `--mongo`, else by the environment, else by `mongo_url`; empty for none."""
    return flag or os.environ.get(VARIABLE, "") or setting


def holds_secret(text: str) -> bool:
    """Whether a text holds a URL with a user, with its password, or with a secret option."""
    return redact(text) != text


def redact(text: str) -> str:
    """The text without the user and the secret options of a URL in it."""
    text = re.sub(r"(?s)([\w+]+://).*@", r"\1***@", text)
    return re.sub(r"(?i)(\w*password|authmechanismproperties)=[^&\s'\"]+", r"\1=***", text)


def hide_password() -> None:
    """Start this process again if `--mongo` gives a password, with the URL in the environment.

    Every user of a machine can see the command line of a process, but only its owner the
    environment. The process keeps its number.
    """
    rest, urls = _split(sys.orig_argv)
    if len(urls) != 1 or not holds_secret(urls[0]):
        return
    can_move = os.name == "posix"  # elsewhere a waiting parent would see another process
    print(
        f"warning: a password on the command line is seen by other users of this machine and kept "
        f"by the shell. {'It has been moved into the environment; set' if can_move else 'Set'} "
        f"{VARIABLE} instead of giving {FLAG}.",
        file=sys.stderr,
        flush=True,
    )
    if can_move:
        os.environ[VARIABLE] = urls[0]
        os.execv(sys.executable, [sys.executable, *rest[1:]])


def _split(argv: list[str]) -> tuple[list[str], list[str]]:
    """A command line without `--mongo`, and the URLs that it gave."""
    rest: list[str] = []
    urls: list[str] = []
    words = iter(argv)
    for word in words:
        flag, equals, url = word.partition("=")
        if flag != FLAG:
            rest.append(word)
        else:
            urls.append(url if equals else next(words, ""))
    return rest, urls
