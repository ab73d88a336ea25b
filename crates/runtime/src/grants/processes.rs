//! The ranges of user ids that processes of the host use. A container can be absent in
//! the engine while its processes still run: after the engine was killed, for example.

use std::fs;
use std::io;

use crate::range::Range;

/// The ranges in the user namespaces of all processes.
pub(super) fn ranges() -> io::Result<Vec<Range>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let is_process = entry
            .file_name()
            .to_str()
            .is_some_and(|name| name.bytes().all(|b| b.is_ascii_digit()));
        if !is_process {
            continue;
        }
        // A process may end meanwhile.
        if let Ok(map) = fs::read_to_string(entry.path().join("uid_map")) {
            for range in mapped(&map) {
                if !found.contains(&range) {
                    found.push(range);
                }
            }
        }
    }
    Ok(found)
}

/// The ranges outside in a `uid_map`, whose lines have the first id inside, the first
/// id outside and the number of ids. Maps of the host itself and of few ids are not
/// those of nodes.
fn mapped(map: &str) -> impl Iterator<Item = Range> {
    map.lines().filter_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let base = fields.next()?.parse().ok()?;
        let size = fields.next()?.parse().ok()?;
        Range::new(base, size).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ranges_of_nodes_are_found() {
        let found = |map| mapped(map).collect::<Vec<_>>();
        assert_eq!(found("         0          0 4294967295\n"), []);
        assert_eq!(
            found(" 0 1000 1\n 1 100000 65536\n"),
            [Range::new(100_000, 65_536).unwrap()]
        );
        for map in ["", "0", "0 x y\n", "0 268435456\n"] {
            assert_eq!(found(map), [], "{map}");
        }
        ranges().unwrap();
    }
}
