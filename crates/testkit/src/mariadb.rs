//! A private MariaDB on loopback, in a temporary directory.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The asynchronous I/O queues of the kernel are few and shared by all servers
/// on the machine, so tests that start several servers exhaust them.
const AIO: &str = "--innodb-use-native-aio=0";

/// A running server; stopped when dropped.
pub struct MariaDb {
    _dir: TempDir,
    child: Child,
    port: u16,
}

impl MariaDb {
    /// `None` if MariaDB is not installed.
    #[must_use]
    pub fn start() -> Option<Self> {
        let server = PathBuf::from("/usr/sbin/mariadbd");
        if !server.is_file() {
            return None;
        }
        let dir = TempDir::new().expect("a temporary directory");
        let data = dir.path().join("data");
        // Created and run as the current user.
        let user = std::env::var("USER").unwrap_or_else(|_| "root".into());
        install(&user, &data);
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("its address").port();
        drop(free);
        let init = dir.path().join("init.sql");
        let sql = "CREATE DATABASE jeroboam CHARACTER SET utf8mb4;\n\
                   CREATE USER 'jeroboam'@'%' IDENTIFIED BY 'jeroboam';\n\
                   GRANT ALL ON jeroboam.* TO 'jeroboam'@'%';\n";
        std::fs::write(&init, sql).expect("the first statements");
        let child = Command::new(server)
            .arg("--no-defaults")
            .arg(format!("--user={user}"))
            .arg(format!("--datadir={}", data.display()))
            .arg(format!("--socket={}", dir.path().join("s").display()))
            .arg(format!("--pid-file={}", dir.path().join("pid").display()))
            .arg(format!("--init-file={}", init.display()))
            .args([
                "--bind-address=127.0.0.1",
                "--skip-name-resolve",
                "--innodb-buffer-pool-size=64M",
                AIO,
            ])
            .arg(format!("--port={port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("mariadbd starts");
        let server = Self {
            _dir: dir,
            child,
            port,
        };
        let end = Instant::now() + Duration::from_secs(60);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < end, "MariaDB does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(server)
    }

    #[must_use]
    pub fn url(&self) -> String {
        format!("mysql://jeroboam:jeroboam@127.0.0.1:{}/jeroboam", self.port)
    }
}

/// Creates the data directory. Up to three attempts, because this fails at times on
/// a busy machine.
fn install(user: &str, data: &Path) {
    let mut output = String::new();
    for _ in 0..3 {
        let _ = std::fs::remove_dir_all(data);
        let made = Command::new("mariadb-install-db")
            .args([
                "--no-defaults",
                "--skip-test-db",
                "--auth-root-authentication-method=normal",
                AIO,
            ])
            .arg(format!("--user={user}"))
            .arg(format!("--datadir={}", data.display()))
            .stdin(Stdio::null())
            .output()
            .expect("mariadb-install-db starts");
        if made.status.success() {
            return;
        }
        let (out, err) = (&made.stdout, &made.stderr);
        output = [out, err].map(|t| String::from_utf8_lossy(t)).concat();
    }
    panic!("mariadb-install-db failed: {output}");
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
