"""A private PostgreSQL server for a test, in a temporary directory, on a Unix socket
and on a free port of the loopback interface. It is removed when the test ends."""

import glob
import os
import pwd
import shutil
import socket
import subprocess
import tempfile

from environment import Failed, run, wait_for

OPTIONS = ["-c", "fsync=on", "-c", "max_connections=60", "-c", "shared_buffers=64MB"]


class Postgres:
    def __init__(self):
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
        where = shutil.which("initdb")
        if not found and not where:
            raise Failed("PostgreSQL is not installed: apt-get install postgresql")
        self.bin = found[-1] if found else os.path.dirname(where)
        self.dir = tempfile.mkdtemp(prefix="jeroboam-pg-")
        self.prefix = []
        if os.geteuid() == 0:
            # PostgreSQL refuses to run as root.
            user = pwd.getpwnam("postgres")
            os.chown(self.dir, user.pw_uid, user.pw_gid)
            self.prefix = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        data = os.path.join(self.dir, "data")
        run([*self.prefix, os.path.join(self.bin, "initdb"), "-D", data, "-U", "jeroboam", "--auth=trust", "-E", "UTF8"],
            cwd="/").ok()
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        with open(os.path.join(self.dir, "log"), "wb") as log:
            self.process = subprocess.Popen(
                [*self.prefix, os.path.join(self.bin, "postgres"), "-D", data, "-p", str(self.port), "-k", self.dir,
                 "-h", "127.0.0.1", *OPTIONS], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")
        wait_for("PostgreSQL", 30, lambda: self.ask("SELECT 1", "postgres"))
        self.count = 0

    def ask(self, sql, database):
        return run([os.path.join(self.bin, "psql"), "-h", "127.0.0.1", "-p", str(self.port), "-U", "jeroboam", "-Atc",
                    sql, database], env={"PGHOST": None}).ok().out.strip()

    def database(self):
        """The URL of a new, empty database."""
        self.count += 1
        name = f"jeroboam{self.count}"
        self.ask(f"CREATE DATABASE {name}", "postgres")
        return f"postgres://jeroboam@127.0.0.1:{self.port}/{name}"

    def size(self, url):
        """The size of the database in bytes."""
        name = url.rsplit("/", 1)[1]
        return int(self.ask(f"SELECT pg_database_size('{name}')", "postgres"))

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
        shutil.rmtree(self.dir, ignore_errors=True)
