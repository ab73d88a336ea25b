//! Filtering, weighing and identification of hosts: pure.

use infra::{HostInfo, Isolation, OfferedIsolation};
use kernel::Timestamp;

db::table! {
    /// A row of a host.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub(crate) struct HostRow in "host" {
        pub name: String,
        pub vcpus: i64,
        /// MiB.
        pub ram: i64,
        pub vcpus_used: i64,
        pub ram_used: i64,
        /// Version of the engine.
        pub version: String,
        /// When its capacity was last refreshed.
        pub seen_at: Timestamp,
        /// Id of its engine; `None` for a row of an earlier release.
        pub engine_id: Option<String>,
        /// The strongest isolation level that it offers.
        pub isolation: Isolation,
        /// What it lacks for a stronger level.
        pub isolation_missing: Option<String>,
    }
}

/// What a server requires of its host.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ResourceRequest {
    pub vcpus: i64,
    /// MiB.
    pub ram: i64,
    pub isolation: Isolation,
}

/// Overcommit ratios of a host.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ratios {
    pub cpu: f64,
    pub memory: f64,
}

impl HostRow {
    /// Maximum claims: vCPUs and MiB.
    pub(crate) fn limits(&self, ratios: Ratios) -> (i64, i64) {
        // Hosts have far less than 2^52 MiB, so the conversion to a float is
        // exact.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            reason = "small whole numbers times a ratio"
        )]
        let scaled = |n: i64, ratio: f64| (n as f64 * ratio).floor() as i64;
        (
            scaled(self.vcpus, ratios.cpu),
            scaled(self.ram, ratios.memory),
        )
    }

    pub(crate) fn offered(&self) -> OfferedIsolation {
        OfferedIsolation {
            level: self.isolation,
            missing: self.isolation_missing.clone(),
        }
    }

    fn free(&self, ratios: Ratios) -> (i64, i64) {
        let (vcpus, ram) = self.limits(ratios);
        (
            (vcpus - self.vcpus_used).max(0),
            (ram - self.ram_used).max(0),
        )
    }
}

/// Hosts with sufficient capacity and isolation, the emptiest first.
pub(crate) fn candidates(
    mut hosts: Vec<HostRow>,
    resource_request: ResourceRequest,
    ratios: Ratios,
) -> Vec<HostRow> {
    hosts.retain(|h| {
        let (vcpus, ram) = h.free(ratios);
        vcpus >= resource_request.vcpus
            && ram >= resource_request.ram
            && h.offered().includes(resource_request.isolation)
    });
    hosts.sort_by(|a, b| {
        let key = |h: &HostRow| (-h.free(ratios).1, -h.free(ratios).0);
        key(a).cmp(&key(b)).then_with(|| a.name.cmp(&b.name))
    });
    hosts
}

/// The error text, in Nova's words, with the free capacity of some hosts.
pub(crate) fn no_valid_host(
    hosts: &[HostRow],
    resource_request: ResourceRequest,
    ratios: Ratios,
) -> String {
    let level = resource_request.isolation;
    if let Some(host) = hosts.iter().find(|h| !h.offered().includes(level)) {
        return format!(
            "No valid host was found. Host {} does not offer the isolation level {level}: {}",
            host.name,
            host.isolation_missing.as_deref().unwrap_or("unknown")
        );
    }
    let free: Vec<String> = hosts
        .iter()
        .take(3)
        .map(|h| {
            let (vcpus, ram) = h.free(ratios);
            format!("{} has {vcpus} vCPUs and {ram} MiB", h.name)
        })
        .collect();
    let more = match hosts.len().saturating_sub(3) {
        0 => String::new(),
        n => format!(" (and {n} more hosts)"),
    };
    format!(
        "No valid host was found. Asked for {} vCPUs and {} MiB of memory; free: {}{more}. \
         Delete servers, choose a smaller flavor, or raise the allocation ratios.",
        resource_request.vcpus,
        resource_request.ram,
        free.join(", ")
    )
}

/// The result of matching an engine with the host rows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    /// The row of this name belongs to the engine.
    Known(String),
    /// No row belongs to it; these rows are of engines without objects of ours.
    New(Vec<String>),
    /// A different engine than the one with our objects; the text gives the
    /// reason.
    Refused(String),
}

/// All objects of a database are on one engine. `used` lists the hosts with
/// objects.
pub(crate) fn identify(hosts: &[HostRow], used: &[String], info: &HostInfo) -> Identity {
    let same = |h: &&HostRow| match &h.engine_id {
        Some(id) => *id == info.engine_id,
        None => h.name == info.name,
    };
    if let Some(known) = hosts.iter().find(same) {
        return Identity::Known(known.name.clone());
    }
    match hosts.iter().find(|h| used.contains(&h.name)) {
        None => Identity::New(hosts.iter().map(|h| h.name.clone()).collect()),
        Some(other) => Identity::Refused(format!(
            "The containers of this database are on engine {} (host {}), but this server is \
             connected to engine {} (host {}). Connect it to the same engine. If that engine was \
             lost with everything on it, see \"A host that was lost\" in the operator guide.",
            other
                .engine_id
                .as_deref()
                .unwrap_or("of an unknown identity"),
            other.name,
            info.engine_id,
            info.name
        )),
    }
}

/// What this process knows about the connected engine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Engine {
    /// Not checked since the connection was made.
    #[default]
    Unknown,
    /// The engine holds the objects of this database.
    Confirmed,
    /// A different engine; the text gives the reason.
    Refused(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATIOS: Ratios = Ratios {
        cpu: 16.0,
        memory: 2.0,
    };

    fn host(name: &str, vcpus_used: i64, ram_used: i64) -> HostRow {
        HostRow {
            name: name.into(),
            vcpus: 2,
            ram: 1000,
            vcpus_used,
            ram_used,
            version: String::new(),
            seen_at: Timestamp::EPOCH,
            engine_id: None,
            isolation: Isolation::UserNamespace,
            isolation_missing: None,
        }
    }

    fn info(name: &str, engine_id: &str) -> HostInfo {
        HostInfo {
            name: name.into(),
            engine_id: engine_id.into(),
            cpus: 1,
            memory: 1 << 30,
            version: String::new(),
            api_version: String::new(),
            architecture: String::new(),
            isolation: OfferedIsolation::full(),
        }
    }

    #[test]
    fn an_engine_is_known_by_its_identity() {
        let known = |id: Option<&str>| HostRow {
            engine_id: id.map(str::to_owned),
            ..host("a", 0, 0)
        };
        let used = ["a".to_owned()];
        let update = Identity::Known("a".into());
        assert_eq!(identify(&[], &[], &info("a", "A")), Identity::New(vec![]));
        let rows = [known(Some("A"))];
        assert_eq!(identify(&rows, &used, &info("a", "A")), update);
        // The machine was renamed.
        assert_eq!(identify(&rows, &used, &info("b", "A")), update);
        // A row of an earlier release adopts the id of the engine.
        assert_eq!(identify(&[known(None)], &used, &info("a", "A")), update);
        // The previous engine has no objects of ours.
        assert_eq!(
            identify(&rows, &[], &info("a", "B")),
            Identity::New(vec!["a".into()])
        );
        for name in ["a", "b"] {
            let Identity::Refused(why) = identify(&rows, &used, &info(name, "B")) else {
                panic!("another engine was accepted");
            };
            assert!(
                why.contains("engine A") && why.contains("engine B"),
                "{why}"
            );
        }
    }

    #[test]
    fn the_emptiest_that_fits_is_first() {
        let hosts = vec![
            host("a", 0, 1500),
            host("b", 0, 500),
            host("c", 32, 0),
            host("d", 0, 1900),
        ];
        let resource_request = ResourceRequest {
            vcpus: 1,
            ram: 500,
            isolation: Isolation::UserNamespace,
        };
        let names: Vec<_> = candidates(hosts.clone(), resource_request, RATIOS)
            .into_iter()
            .map(|h| h.name)
            .collect();
        assert_eq!(names, ["b", "a"]);
        let big = ResourceRequest {
            vcpus: 4,
            ram: 8192,
            ..resource_request
        };
        assert!(candidates(hosts.clone(), big, RATIOS).is_empty());
        let why = no_valid_host(&hosts, big, RATIOS);
        assert!(
            why.starts_with("No valid host was found. Asked for 4 vCPUs and 8192 MiB"),
            "{why}"
        );
        assert!(why.contains("a has 32 vCPUs and 500 MiB") && why.contains("1 more"));
    }

    #[test]
    fn a_host_without_the_level_is_not_chosen() {
        let weak = HostRow {
            isolation: Isolation::HostRoot,
            isolation_missing: Some("the engine has no such runtime".into()),
            ..host("weak", 0, 0)
        };
        let request = |isolation| ResourceRequest {
            vcpus: 1,
            ram: 500,
            isolation,
        };
        let hosts = vec![weak, host("strong", 8, 500)];
        let names = |isolation| {
            let found = candidates(hosts.clone(), request(isolation), RATIOS);
            found.into_iter().map(|h| h.name).collect::<Vec<_>>()
        };
        assert_eq!(names(Isolation::UserNamespace), ["strong"]);
        assert_eq!(names(Isolation::HostRoot), ["weak", "strong"]);
        let why = no_valid_host(&hosts[..1], request(Isolation::UserNamespace), RATIOS);
        assert_eq!(
            why,
            "No valid host was found. Host weak does not offer the isolation level \
             user-namespace: the engine has no such runtime"
        );
    }
}
