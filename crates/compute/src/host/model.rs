//! Filter and weigh: pure.

/// A host's row.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    pub name: String,
    pub vcpus: i64,
    /// MiB.
    pub ram: i64,
    pub vcpus_used: i64,
    pub ram_used: i64,
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

impl Host {
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
pub(crate) fn candidates(mut hosts: Vec<Host>, ask: Ask, ratios: Ratios) -> Vec<Host> {
    hosts.retain(|h| {
        let (vcpus, ram) = h.free(ratios);
        vcpus >= ask.vcpus && ram >= ask.ram
    });
    hosts.sort_by(|a, b| {
        let key = |h: &Host| (-h.free(ratios).1, -h.free(ratios).0);
        key(a).cmp(&key(b)).then_with(|| a.name.cmp(&b.name))
    });
    hosts
}

/// Why nothing fits, in Nova's words and with the figures.
pub(crate) fn no_valid_host(hosts: &[Host], ask: Ask, ratios: Ratios) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    const RATIOS: Ratios = Ratios {
        cpu: 16.0,
        memory: 2.0,
    };

    fn host(name: &str, vcpus_used: i64, ram_used: i64) -> Host {
        Host {
            name: name.into(),
            vcpus: 2,
            ram: 1000,
            vcpus_used,
            ram_used,
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
