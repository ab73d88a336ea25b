//! Notifications of other servers: LISTEN/NOTIFY on PostgreSQL. On MariaDB
//! other servers find changes only by the periodic scan.

use std::collections::BTreeSet;
use std::time::Duration;

use kernel::{Error, Result};
use sqlx::postgres::{PgListener, PgPool};

use crate::wake::{Key, Wakes};

/// A notification of PostgreSQL must be shorter than 8000 bytes.
const PAYLOAD: usize = 7000;
/// Commits within this time are announced to other servers together, because
/// PostgreSQL commits only one transaction with a notification at a time.
const GATHER: Duration = Duration::from_millis(10);

/// The payload of a notification: one key per line, empty if there are too
/// many.
fn payload(keys: &BTreeSet<Key>) -> String {
    let lines: Vec<String> = keys.iter().map(|(k, id)| format!("{k} {id}")).collect();
    let text = lines.join("\n");
    if text.len() < PAYLOAD {
        text
    } else {
        String::new()
    }
}

fn keys_of(payload: &str) -> Vec<Key> {
    payload
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(k, id)| (k.to_owned(), id.to_owned()))
        .collect()
}

/// Forwards notifications of all servers to `wakes`, and sends those of this
/// server. The tasks end with the last handle to the database.
///
/// # Errors
/// `Internal` if the database does not answer.
#[expect(
    clippy::disallowed_methods,
    reason = "the tasks end with the last handle to the database"
)]
pub(crate) async fn listen(work: &PgPool, leases: &PgPool, wakes: &Wakes) -> Result<()> {
    let mut listener = PgListener::connect_with(work)
        .await
        .map_err(Error::internal)?;
    listener.listen("jeroboam").await.map_err(Error::internal)?;
    let weak = wakes.downgrade();
    tokio::spawn(async move {
        // `recv` reconnects by itself; missed notifications are covered by
        // the scan.
        loop {
            let heard = listener.recv().await;
            if heard.is_err() {
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            let Some(wakes) = weak.upgrade() else { return };
            wakes.receive(&heard.map(|n| keys_of(n.payload())).unwrap_or_default());
        }
    });
    let mut receiver = wakes.forward();
    let leases = leases.clone();
    tokio::spawn(async move {
        while let Some(first) = receiver.recv().await {
            tokio::time::sleep(GATHER).await;
            let mut keys = BTreeSet::from([first]);
            while let Ok(key) = receiver.try_recv() {
                keys.insert(key);
            }
            let text = payload(&keys);
            let sent = sqlx::query("SELECT pg_notify('jeroboam', $1)")
                .bind(text)
                .execute(&leases)
                .await;
            if let Err(e) = sent {
                tracing::debug!(error = %e, "other servers were not notified");
            }
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notification_names_its_keys_unless_they_are_too_many() {
        let keys = vec![("a".to_owned(), "1".to_owned()), ("b".into(), "2 3".into())];
        let set = keys.iter().cloned().collect();
        assert_eq!(keys_of(&payload(&set)), keys);
        let many: BTreeSet<Key> = (0..2000).map(|i| ("kind".into(), i.to_string())).collect();
        assert_eq!(payload(&many), "");
    }
}
