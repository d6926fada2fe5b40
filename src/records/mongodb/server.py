"""A MongoDB server: connecting to it, checking it, and saying what is wrong with it."""

import re
import warnings
from dataclasses import dataclass, field
from typing import Any

import pymongo
from bson.errors import BSONError
from pymongo.database import Database
from pymongo.errors import (
    ConfigurationError,
    ConnectionFailure,
    OperationFailure,
    PyMongoError,
)

from utils.errors import UserError
from utils.mongo_url import FLAG, VARIABLE, holds_secret, redact

ANSWER_SECONDS = 2.0  # a server that has not answered by then counts as unreachable
WRONG_PASSWORD = 18  # MongoDB's error code AuthenticationFailed
SCHEME = re.compile(r"mongodb(\+srv)?://")
ERRORS = (PyMongoError, BSONError)
REMEDY = (
    f"Write {FLAG}=mongodb://<host>:27017, or for a user mongodb://<name>:<password>@<host>:27017 "
    f"with special characters of both as %XX; the same goes for {VARIABLE} and mongo_url."
)


@dataclass(frozen=True)
class Server:
    """Where records go. Made by `find_server`.

    Attributes:
        url: the server's URL, which may hold a password.
        hosts: the part of it that says where the server is.
        database: name of the database.
    """

    url: str = field(repr=False)
    hosts: str
    database: str

    def client(self) -> pymongo.MongoClient[Any]:
        """A client, which connects when it is first used; close it."""
        return _client(self.url)

    def records(self, client: pymongo.MongoClient[Any]) -> Database[Any]:
        """The database, always as its primary server knows it."""
        primary = pymongo.ReadPreference.PRIMARY
        return client.get_database(self.database, read_preference=primary)

    def require_answer(self, client: pymongo.MongoClient[Any]) -> None:
        """Raise an error of the driver after two seconds at most if the server does not answer."""
        with pymongo.timeout(ANSWER_SECONDS):
            client.admin.command("ping")

    def check(self) -> None:
        """See whether the server answers and would take a record; nothing is changed.

        Raises:
            UserError: if not, after two seconds at most.
        """
        try:
            with self.client() as client, pymongo.timeout(ANSWER_SECONDS):
                runs = self.records(client).runs
                runs.find_one({}, {"_id": True})
                changed = runs.update_one({"_id": "none has this"}, {"$set": {"status": ""}})
                assert changed.matched_count == 0
        except ERRORS as error:
            raise UserError(self.explain(error)) from None

    def explain(self, error: Exception) -> str:
        """The message for the user about an error of the driver, without anything secret."""
        reason = redact(re.split(r" \(configured|, Timeout:|, full error", str(error))[0])[:300]
        is_late = getattr(error, "timeout", False)
        if is_late or isinstance(error, ConnectionFailure | ConfigurationError):
            return (
                f"MongoDB at {self.hosts} does not answer ({reason}). Start the server, or correct "
                f"the URL."
            )
        if not isinstance(error, OperationFailure):
            return (
                f"MongoDB at {self.hosts} cannot take the record ({reason}). The one in the run's "
                f"folder is complete."
            )
        if error.code == WRONG_PASSWORD or "authentication failed" in reason.lower():
            return (
                f"MongoDB at {self.hosts} does not accept the name and password of the URL. "
                f"Correct them; ?authSource=<database> at the URL's end names the database that "
                f"knows the user."
            )
        return (
            f"MongoDB at {self.hosts} does not allow writing to the database '{self.database}' "
            f"({reason}). Give the URL of a user with the role readWrite on it, or another "
            f"database by mongo_db."
        )


def find_server(url: str, database: str) -> Server:
    """The server of a URL. Nothing is sent yet.

    Args:
        url: the URL, which may hold a password.
        database: name of the database; empty: the one that the URL names, or `sacred`.

    Raises:
        UserError: if the URL or the name is malformed.
    """
    if not SCHEME.match(url):
        raise UserError(f"The MongoDB URL does not begin with mongodb://. {REMEDY}")
    try:
        with _client(url) as client:
            database = database or client.get_default_database("sacred").name
            client.get_database(database)
    except (*ERRORS, ValueError, TypeError, Warning) as error:
        # The reason may quote a part of a password that is not percent-encoded.
        reason = "" if holds_secret(url) else f" ({error})"
        raise UserError(
            f"The MongoDB URL or the name of the database is malformed{reason}. {REMEDY}"
        ) from None
    hosts = re.split("[/?]", SCHEME.sub("", url).rpartition("@")[2])[0]
    return Server(url, hosts, database)


def _client(url: str) -> pymongo.MongoClient[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # pymongo only warns of an option that it does not know
        patience = round(1000 * ANSWER_SECONDS)
        return pymongo.MongoClient(url, connect=False, connectTimeoutMS=patience)
