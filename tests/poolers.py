"""Poolers in front of PostgreSQL: a real PgBouncer where there is one, and one way of theirs that any machine can show."""

from __future__ import annotations

import os
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

PGBOUNCER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin")


def _parts(url: str) -> tuple[str, str]:
    """Answer the name of a database and the folder of its server's socket, by a URL of `tests.databases`."""
    name, _, folder = url.partition("@/")[2].partition("?host=")
    return name, unquote(folder)


@contextmanager
def pgbouncer(url: str, mode: str) -> Iterator[str]:
    """Run PgBouncer in front of a database.

    :param url: of the database.
    :param mode: ``transaction`` or ``session``.
    :return: the URL through PgBouncer.
    """
    assert PGBOUNCER is not None
    name, server = _parts(url)
    port = _free_port()
    folder = Path(tempfile.mkdtemp(prefix="vod-bouncer-"))
    folder.chmod(0o777)  # it does not run as root
    Path(server).chmod(0o755)
    settings = folder / "ini"
    settings.write_text(
        f"[databases]\n* = host={server} user=postgres\n[pgbouncer]\nlisten_addr=127.0.0.1\nlisten_port={port}\n"
        f"unix_socket_dir=\nauth_type=any\npool_mode={mode}\ndefault_pool_size=5\nmax_client_conn=200\n"
        f"logfile={folder}/log\npidfile={folder}/pid\n"
    )
    user = ["-u", "nobody"] if os.getuid() == 0 else []
    process = subprocess.Popen([PGBOUNCER, *user, settings], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _until_open(port)
        yield f"postgresql+psycopg://postgres@127.0.0.1:{port}/{name}"
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder)


@contextmanager
def deaf(url: str) -> Iterator[str]:
    """Put a proxy in front of a database that hands on what a client asked for, and drops what comes while it is idle.

    That is what transaction pooling makes of notifications: a client has a session only while it has a transaction, so it
    gets those that its own transaction brings, and no others. (PostgreSQL documentation, Message Formats.)

    :return: the URL through the proxy.
    """
    name, folder = _parts(url)
    listening = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            try:
                client, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=_serve, args=(client, f"{folder}/.s.PGSQL.5432"), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"postgresql+psycopg://postgres@127.0.0.1:{listening.getsockname()[1]}/{name}"
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()


def _serve(client: socket.socket, path: str) -> None:
    server = socket.socket(socket.AF_UNIX)
    idle = threading.Event()
    try:
        server.connect(path)
        threading.Thread(target=_hand_back, args=(server, client, idle), daemon=True).start()
        while data := client.recv(65536):
            idle.clear()
            server.sendall(data)
    except OSError:
        pass
    finally:
        server.close()
        client.close()


def _hand_back(server: socket.socket, client: socket.socket, idle: threading.Event) -> None:
    """Hand messages of the server to the client; a refusal of TLS is one byte without a length."""
    data = b""
    try:
        while received := server.recv(65536):
            data += received
            if data[:1] == b"N" and len(data) == 1:
                client.sendall(data)
                data = b""
            while len(data) >= 5 and len(data) > (length := struct.unpack("!I", data[1:5])[0]):
                message, data = data[: length + 1], data[length + 1 :]
                if message[:1] == b"A" and idle.is_set():  # NotificationResponse
                    continue
                client.sendall(message)
                if message[:1] == b"Z":  # ReadyForQuery
                    idle.set()
    except OSError:
        pass
    finally:
        client.close()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _until_open(port: int) -> None:
    give_up_at = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > give_up_at:
                raise
            time.sleep(0.05)
        else:
            return
