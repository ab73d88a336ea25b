//! The content of a grant.

use std::io;

use crate::devices::Devices;
use crate::range::Range;

/// Longer names are not names of containers.
pub(super) const MAX_NAME: usize = 255;
/// Longer files are not grants.
pub(super) const MAX_TEXT: u64 = 4096;
/// Before the devices in the last line, which a grant of the default devices lacks. No
/// name contains a colon.
const DEVICES: &str = "devices:";

/// A range and the container that has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    pub range: Range,
    /// The name of the container.
    pub container: String,
    /// The id of the installation that created the container.
    pub installation: Option<String>,
    /// The devices of the host that the container gets.
    pub devices: Devices,
}

impl Grant {
    /// Reads the lines of a file: the container, and perhaps its installation and its
    /// devices.
    pub(super) fn parse(range: &Range, text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n').peekable();
        let name = |line: &str| check_name(line).is_ok().then(|| line.to_owned());
        let container = name(lines.next()?)?;
        let installation = match lines.next_if(|line| !line.starts_with(DEVICES)) {
            Some(line) => Some(name(line)?),
            None => None,
        };
        let devices = match lines.next() {
            Some(line) => Devices::parse(line.strip_prefix(DEVICES)?).ok()?,
            None => Devices::default(),
        };
        let grant = Self {
            range: *range,
            container,
            installation,
            devices,
        };
        lines.next().is_none().then_some(grant)
    }

    /// The lines of the file.
    pub(super) fn text(&self) -> String {
        let devices = self.devices.text();
        let devices = devices.map(|devices| format!("{DEVICES}{devices}"));
        let lines = [
            Some(&self.container),
            self.installation.as_ref(),
            devices.as_ref(),
        ];
        lines
            .into_iter()
            .flatten()
            .map(|l| format!("{l}\n"))
            .collect()
    }
}

/// Checks that a name is one that the engine permits for containers.
pub(super) fn check_name(name: &str) -> io::Result<()> {
    let valid = name.len() <= MAX_NAME
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
    if valid {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("{name:?} is not the name of a container"),
    ))
}
