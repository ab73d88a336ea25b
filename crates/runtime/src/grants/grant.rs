//! The content of a grant.

use std::io;

use crate::range::Range;

/// Longer names are not names of containers.
pub(super) const MAX_NAME: usize = 255;

/// A range and the container that has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    pub range: Range,
    /// The name of the container.
    pub container: String,
    /// The id of the installation that created the container.
    pub installation: Option<String>,
}

impl Grant {
    /// Reads the lines of a file: the container, and perhaps its installation.
    pub(super) fn parse(range: &Range, text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let mut name = || {
            lines
                .next()
                .map(|line| check_name(line).is_ok().then(|| line.to_owned()))
        };
        let (container, installation) = (name()??, name());
        let grant = Self {
            range: *range,
            container,
            installation: match installation {
                Some(name) => Some(name?),
                None => None,
            },
        };
        lines.next().is_none().then_some(grant)
    }

    /// The lines of the file.
    pub(super) fn text(&self) -> String {
        let lines = [Some(&self.container), self.installation.as_ref()];
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
