"""A private MariaDB server for a test, in a temporary directory and on a free port of
the loopback interface. It is removed when the test ends."""

import os
import shutil
import socket
import subprocess
import tempfile

from environment import Failed, run, wait_for

# The kernel limits the number of queues for asynchronous I/O.
OPTIONS = ["--innodb-use-native-aio=0", "--innodb-buffer-pool-size=128M", "--bind-address=127.0.0.1",
           "--skip-name-resolve", "--max-connections=100"]


class MariaDb:
    def __init__(self):
        self.server = "/usr/sbin/mariadbd"
        if not os.path.exists(self.server):
            raise Failed("MariaDB is not installed: apt-get install mariadb-server-core")
        self.dir = tempfile.mkdtemp(prefix="jeroboam-maria-")
        data = os.path.join(self.dir, "data")
        run(["mariadb-install-db", "--no-defaults", "--skip-test-db", "--auth-root-authentication-method=normal",
             "--innodb-use-native-aio=0", "--user=root", f"--datadir={data}"]).ok()
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        init = os.path.join(self.dir, "init.sql")
        with open(init, "w") as f:
            f.write("CREATE USER 'jeroboam'@'%' IDENTIFIED BY 'jeroboam';\n"
                    "GRANT ALL ON *.* TO 'jeroboam'@'%';\n")
        with open(os.path.join(self.dir, "log"), "wb") as log:
            self.process = subprocess.Popen(
                [self.server, "--no-defaults", "--user=root", f"--datadir={data}", f"--port={self.port}",
                 f"--socket={self.dir}/s", f"--pid-file={self.dir}/pid", f"--init-file={init}", *OPTIONS],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_for("MariaDB", 60, lambda: self.ask("SELECT 1"))
        self.count = 0

    def ask(self, sql):
        return run(["mariadb", "--no-defaults", "-h", "127.0.0.1", "-P", str(self.port), "-u", "jeroboam", "-pjeroboam",
                    "-Ne", sql]).ok().out.strip()

    def database(self):
        """The URL of a new, empty database."""
        self.count += 1
        self.ask(f"CREATE DATABASE jeroboam{self.count} CHARACTER SET utf8mb4")
        return f"mysql://jeroboam:jeroboam@127.0.0.1:{self.port}/jeroboam{self.count}"

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
        shutil.rmtree(self.dir, ignore_errors=True)
