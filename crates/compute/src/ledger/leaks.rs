//! Compares the host with the ledger in both directions.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use infra::{LABEL, Leak, Reservations, Side, owned};
use kernel::Result;

use super::table::{Entry, all};
use crate::Compute;

pub(crate) async fn leaks(compute: &Compute) -> Result<Vec<Leak>> {
    let mut found = look(compute).await?;
    if !found.is_empty() {
        // The second comparison excludes objects that were in transition in the
        // first.
        let again = look(compute).await?;
        found.retain(|leak| again.contains(leak));
    }
    Ok(found)
}

async fn look(compute: &Compute) -> Result<Vec<Leak>> {
    let containers = compute.host.list().await?;
    let volumes = compute.host.volumes().await?;
    let containers = containers
        .into_iter()
        .map(|c| ("container", c.name, c.labels));
    let volumes = volumes.into_iter().map(|v| ("volume", v.name, v.labels));
    let ledger = all(&compute.db).await?;
    let reserved = compute
        .host
        .reservations(&compute.config.installation)
        .await?;
    let named: BTreeSet<_> = ledger.iter().map(|e| e.name.clone()).collect();
    let there = containers
        .chain(volumes)
        .filter(|(_, name, labels)| owned(name, labels, &compute.config.installation));
    let mut found = compare(there, ledger);
    found.extend(unneeded(reserved, &named));
    Ok(found)
}

/// The reservations without a container in the ledger; those of others are released with
/// their containers.
fn unneeded(reserved: Reservations, named: &BTreeSet<String>) -> impl Iterator<Item = Leak> {
    let containers = reserved.containers.into_iter();
    let unneeded = containers
        .filter(|name| !named.contains(name))
        .map(|name| (name, "the server releases it within a minute".into()));
    let invalid = reserved.invalid.into_iter().map(|i| (i.name, i.hint));
    unneeded.chain(invalid).map(|(name, hint)| Leak {
        side: Side::Engine,
        object: "grant",
        name,
        id: None,
        hint,
    })
}

type Object = (&'static str, String, BTreeMap<String, String>);

fn compare(there: impl Iterator<Item = Object>, ledger: Vec<Entry>) -> Vec<Leak> {
    let mut known: HashMap<String, Entry> =
        ledger.into_iter().map(|e| (e.name.clone(), e)).collect();
    let mut out = Vec::new();
    for (object, name, labels) in there {
        if known.remove(&name).is_some() {
            continue;
        }
        let command = match object {
            "container" => "docker rm -f -v",
            _ => "docker volume rm",
        };
        out.push(Leak {
            side: Side::Engine,
            object,
            hint: format!("remove it with `{command} {name}`"),
            id: labels.get(LABEL).cloned(),
            name,
        });
    }
    let mut missing: Vec<Entry> = known.into_values().collect();
    missing.sort_by(|a, b| a.name.cmp(&b.name));
    for entry in missing {
        // A server in transition or with a failed build need not have all of
        // its objects.
        match entry.status.as_deref() {
            Some("BUILD" | "DELETING") => continue,
            Some("ERROR") if !entry.launched => continue,
            _ => {}
        }
        out.push(Leak {
            side: Side::Ledger,
            object: if entry.object == "volume" {
                "volume"
            } else {
                "container"
            },
            hint: format!(
                "it was removed from the host externally; delete server {}",
                entry.server_id
            ),
            id: Some(entry.server_id.into()),
            name: entry.name,
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use infra::InvalidReservation;

    use super::*;

    fn entry(name: &str, status: Option<&str>) -> Entry {
        Entry {
            name: name.into(),
            object: "container".into(),
            server_id: "s".into(),
            status: status.map(str::to_owned),
            launched: status == Some("ACTIVE"),
        }
    }

    #[test]
    fn unneeded_and_invalid_reservations_are_reported() {
        let reserved = Reservations {
            containers: vec!["jb-srv-1".into(), "jb-srv-2".into()],
            invalid: vec![InvalidReservation {
                name: "/grants/1-2".into(),
                hint: "/grants/1-2 is a symbolic link; remove it".into(),
            }],
        };
        let found: Vec<_> = unneeded(reserved, &BTreeSet::from(["jb-srv-1".into()]))
            .map(|leak| (leak.object, leak.name, leak.hint))
            .collect();
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].0, found[0].1.as_str()), ("grant", "jb-srv-2"));
        assert_eq!((found[1].0, found[1].1.as_str()), ("grant", "/grants/1-2"));
        assert!(found[1].2.contains("remove it"));
    }

    #[test]
    fn leaks_on_both_sides_are_reported() {
        let there = vec![
            ("container", "jb-srv-1".to_owned(), BTreeMap::new()),
            ("volume", "jb-srv-9-docker".to_owned(), BTreeMap::new()),
        ];
        let ledger = vec![
            entry("jb-srv-1", Some("ACTIVE")),
            entry("jb-srv-2", Some("BUILD")),
            entry("jb-srv-3", Some("ACTIVE")),
            entry("jb-srv-4", None),
            entry("jb-srv-5", Some("ERROR")),
            Entry {
                launched: true,
                ..entry("jb-srv-6", Some("ERROR"))
            },
        ];
        let found = compare(there.into_iter(), ledger);
        let reported: Vec<_> = found.iter().map(|l| (l.side, l.name.as_str())).collect();
        assert_eq!(
            reported,
            [
                (Side::Engine, "jb-srv-9-docker"),
                (Side::Ledger, "jb-srv-3"),
                (Side::Ledger, "jb-srv-4"),
                (Side::Ledger, "jb-srv-6")
            ]
        );
    }
}
