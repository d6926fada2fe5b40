"""A stand-in that speaks MongoDB's protocol over a real socket. It is not MongoDB itself.

Started by the tests with an interpreter that has `mongoeco[wire]`; it keeps everything in memory
and forgets it when it ends. Users: `ann` with the password `pass/word` may write, `reader` with the
same password may only read. Without `--login` no user has to log in.

python tests/records/mongodb/stand_in.py <port> [--login]
"""

import asyncio
import sys

from mongoeco.engines.memory import MemoryEngine
from mongoeco.errors import OperationFailure
from mongoeco.wire import AsyncMongoEcoProxyServer, WireAuthUser
from mongoeco.wire.auth import WireAuthenticationService

PASSWORD = "pass/word"
WRITES = {"insert", "update", "delete", "bulkWrite", "findAndModify"}


class Users(WireAuthenticationService):
    """Rejects what a real server rejects from a user who may only read."""

    def require_authenticated(self, connection, command_name):
        super().require_authenticated(connection, command_name)
        names = {user["user"] for user in connection.authenticated_users}
        if "reader" in names and command_name in WRITES:
            raise OperationFailure(f"not authorized to execute command {command_name}", code=13)


async def serve(port: int, login: bool) -> None:
    users = tuple(WireAuthUser(username=name, password=PASSWORD) for name in ("ann", "reader"))
    server = AsyncMongoEcoProxyServer(
        engine=MemoryEngine(), host="127.0.0.1", port=port, auth_users=users if login else ()
    )
    server._auth.__class__ = Users
    async with server:
        print("ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), "--login" in sys.argv))
