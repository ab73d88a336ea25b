//! The connection to the database when a program starts. The pool repeats attempts for
//! 30 s without a message, so this module reports why it waits.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, anyhow};
use db::Db;
use kernel::Kind;
use reqwest::Url;
use tokio::net::{TcpStream, UnixStream};

/// A database that works answers within this time, and gets no additional connection.
const USUAL_DELAY: Duration = Duration::from_millis(500);
/// Maximum duration of an attempt to connect, and of the silence of a database that
/// accepts connections.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(3);

/// Where a database server listens; without user and password.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Address {
    Tcp { host: String, port: u16 },
    Socket(PathBuf),
}

impl Address {
    /// `None` for SQLite, and for a URL that does not name the host.
    fn of_url(url: &str) -> Option<Self> {
        let url = Url::parse(url).ok()?;
        let is_postgres = url.scheme().starts_with("postgres");
        let default_port = match url.scheme() {
            "postgres" | "postgresql" => 5432,
            "mysql" | "mariadb" => 3306,
            _ => return None,
        };
        // The parameters that sqlx prefers to the parts of the URL.
        let parameter = |name: &str| {
            let mut pairs = url.query_pairs();
            pairs.find_map(|(key, value)| (key == name).then(|| value.into_owned()))
        };
        if let Some(path) = parameter("socket").filter(|_| !is_postgres) {
            return Some(Self::Socket(path.into()));
        }
        let named = parameter("hostaddr").or_else(|| parameter("host"));
        let host = match named.filter(|_| is_postgres) {
            Some(host) => host,
            // An IPv6 address is in brackets, and a directory is encoded.
            None => url
                .host_str()?
                .trim_matches(['[', ']'])
                .replace("%2F", "/")
                .replace("%2f", "/"),
        };
        let port = parameter("port").filter(|_| is_postgres);
        let port = port.and_then(|port| port.parse().ok()).or(url.port());
        let port = port.unwrap_or(default_port);
        Some(if host.starts_with('/') {
            Self::Socket(PathBuf::from(host).join(format!(".s.PGSQL.{port}")))
        } else {
            Self::Tcp { host, port }
        })
    }

    /// Connects without a login.
    ///
    /// # Errors
    /// The cause, for people.
    async fn attempt(&self) -> Result<(), String> {
        let connect = async {
            match self {
                Self::Tcp { host, port } => {
                    let connected = TcpStream::connect((host.as_str(), *port)).await;
                    connected.map(drop)
                }
                Self::Socket(path) => UnixStream::connect(path).await.map(drop),
            }
        };
        match tokio::time::timeout(ATTEMPT_TIMEOUT, connect).await {
            Ok(done) => done.map_err(|e| e.to_string()),
            Err(_) => Err(format!("no answer within {} s", ATTEMPT_TIMEOUT.as_secs())),
        }
    }

    /// Waits until it is clear that the database does not answer as usual, and returns
    /// the cause.
    async fn find_cause(&self) -> String {
        tokio::time::sleep(USUAL_DELAY).await;
        if let Err(cause) = self.attempt().await {
            return cause;
        }
        tokio::time::sleep(ATTEMPT_TIMEOUT).await;
        "it accepts connections, but does not answer".to_owned()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Socket(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Connects to the database. If it does not answer soon, `warn` gets its address and
/// the cause once.
///
/// # Errors
/// Names the address and the cause, and never the password.
pub async fn connect(url: &str, warn: impl Fn(&str)) -> Result<Db> {
    let Some(address) = Address::of_url(url) else {
        return Ok(Db::connect(url).await?);
    };
    let connecting = Db::connect(url);
    tokio::pin!(connecting);
    let connected = tokio::select! {
        biased;
        done = &mut connecting => done,
        cause = address.find_cause() => {
            warn(&format!("waiting for the database at {address}: {cause}"));
            connecting.await
        }
    };
    match connected {
        Ok(db) => Ok(db),
        Err(e) if matches!(e.kind, Kind::Unavailable { .. }) => {
            // The error of the pool says only that its time has passed.
            let cause = match address.attempt().await {
                Ok(()) => e.context.unwrap_or(e.message),
                Err(cause) => cause,
            };
            Err(anyhow!(
                "database: no connection to {address}: {cause}; start the database, or correct \
                 its URL (--database, --database-file, JEROBOAM_DATABASE or `database` in the \
                 configuration)"
            ))
        }
        Err(e) => Err(e.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_no_password() {
        for (url, shown) in [
            (
                "postgres://a:secret@db.example.org/j",
                Some("db.example.org:5432"),
            ),
            ("postgres://a:secret@[::1]:6000/j", Some("[::1]:6000")),
            (
                "postgres://db/j?host=10.0.0.1&port=7&password=secret",
                Some("10.0.0.1:7"),
            ),
            ("postgres://a@%2Frun%2Fpg/j", Some("/run/pg/.s.PGSQL.5432")),
            (
                "postgres:///j?host=/run/pg&user=a",
                Some("/run/pg/.s.PGSQL.5432"),
            ),
            ("mysql://a:secret@db/j", Some("db:3306")),
            (
                "mysql://a:secret@db/j?socket=/run/my.sock",
                Some("/run/my.sock"),
            ),
            ("postgres:///j", None),
            ("sqlite:/var/lib/a.sqlite", None),
            ("oracle://db/j", None),
        ] {
            let address = Address::of_url(url).map(|a| a.to_string());
            assert_eq!(address.as_deref(), shown, "{url}");
        }
    }

    #[tokio::test]
    async fn a_closed_port_is_the_cause() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let address = Address::of_url(&format!("postgres://a:secret@127.0.0.1:{port}/j")).unwrap();
        address.attempt().await.unwrap();
        drop(listener);
        let cause = address.find_cause().await;
        assert!(cause.contains("refused"), "{cause}");
    }
}
