"""The servers that tests of databases ask, started when the first test asks for one."""

from __future__ import annotations

import shutil

import pytest

from servers import MariadbServer, PostgresServer


@pytest.fixture(scope="session")
def postgres():
    if PostgresServer.folder_of_programs() is None:
        pytest.skip("PostgreSQL is not installed")
    server = PostgresServer()
    yield server
    server.end()


@pytest.fixture(scope="session")
def mariadb():
    if shutil.which("mariadb-install-db") is None:
        pytest.skip("MariaDB is not installed")
    server = MariadbServer()
    yield server
    server.end()
