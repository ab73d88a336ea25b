//! Filter, weigh, identify: pure.

use infra::HostInfo;

db::table! {
    /// A host's row.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub(crate) struct HostRow in "host" {
        pub name: String,
        pub vcpus: i64,
        /// MiB.
        pub ram: i64,
        pub vcpus_used: i64,
        pub ram_used: i64,
        /// Of its engine.
        pub version: String,
        /// When it last told what it can hold, microseconds.
        pub seen_at: i64,
        /// Identity of its engine; `None` for a row of an earlier release.
        pub engine_id: Option<String>,
    }
}

/// What a server asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask {
    pub vcpus: i64,
    /// MiB.
    pub ram: i64,
}

/// How much more than it has a host hands out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ratios {
    pub cpu: f64,
    pub memory: f64,
}

impl HostRow {
    /// Most that may be claimed: vCPUs and MiB.
    pub(crate) fn limits(&self, ratios: Ratios) -> (i64, i64) {
        // Hosts have far fewer than 2^52 MiB: exact as floats.
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

    fn free(&self, ratios: Ratios) -> (i64, i64) {
        let (vcpus, ram) = self.limits(ratios);
        (
            (vcpus - self.vcpus_used).max(0),
            (ram - self.ram_used).max(0),
        )
    }
}

/// Hosts that can take it, the emptiest first.
pub(crate) fn candidates(mut hosts: Vec<HostRow>, ask: Ask, ratios: Ratios) -> Vec<HostRow> {
    hosts.retain(|h| {
        let (vcpus, ram) = h.free(ratios);
        vcpus >= ask.vcpus && ram >= ask.ram
    });
    hosts.sort_by(|a, b| {
        let key = |h: &HostRow| (-h.free(ratios).1, -h.free(ratios).0);
        key(a).cmp(&key(b)).then_with(|| a.name.cmp(&b.name))
    });
    hosts
}

/// Why nothing fits, in Nova's words and with the figures.
pub(crate) fn no_valid_host(hosts: &[HostRow], ask: Ask, ratios: Ratios) -> String {
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
        n => format!(" and {n} more hosts less"),
    };
    format!(
        "No valid host was found. Asked for {} vCPUs and {} MiB of memory; free: {}{more}. \
         Delete servers, choose a smaller flavor, or raise the allocation ratios.",
        ask.vcpus,
        ask.ram,
        free.join(", ")
    )
}

/// Which row an engine that answers belongs to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    /// The row of this name.
    Known(String),
    /// None; these rows are of engines that nothing of ours is on.
    New(Vec<String>),
    /// It is another engine than the one that holds our objects; why.
    Refused(String),
}

/// All objects of one database are on one engine. `used` are the hosts that
/// objects are on.
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
            seen_at: 0,
            engine_id: None,
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
        // Its machine got another name.
        assert_eq!(identify(&rows, &used, &info("b", "A")), update);
        // A row of an earlier release takes the identity over.
        assert_eq!(identify(&[known(None)], &used, &info("a", "A")), update);
        // Nothing of ours is on the engine that was there before.
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
        let ask = Ask { vcpus: 1, ram: 500 };
        let names: Vec<_> = candidates(hosts.clone(), ask, RATIOS)
            .into_iter()
            .map(|h| h.name)
            .collect();
        assert_eq!(names, ["b", "a"]);
        let big = Ask {
            vcpus: 4,
            ram: 8192,
        };
        assert!(candidates(hosts.clone(), big, RATIOS).is_empty());
        let why = no_valid_host(&hosts, big, RATIOS);
        assert!(
            why.starts_with("No valid host was found. Asked for 4 vCPUs and 8192 MiB"),
            "{why}"
        );
        assert!(why.contains("a has 32 vCPUs and 500 MiB") && why.contains("1 more"));
    }
}
