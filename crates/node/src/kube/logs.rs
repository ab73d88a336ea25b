//! Where components' words and the log of their starts and exits lie.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use kernel::clock;

use crate::report::say;

/// Two files of this size are kept of each.
const MAX_LOG: u64 = 4 * 1024 * 1024;

/// What a component writes, in two files of bounded size.
pub(crate) struct LogFile {
    path: PathBuf,
    open: Mutex<Option<(File, u64)>>,
}

impl LogFile {
    pub(crate) fn open(dir: &Path, name: &str) -> Self {
        let path = dir.join(format!("{name}.log"));
        let _ = fs::create_dir_all(dir);
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let open = file.ok().map(|file| {
            let size = file.metadata().map(|m| m.len()).unwrap_or(0);
            (file, size)
        });
        Self {
            path,
            open: Mutex::new(open),
        }
    }

    /// A log that cannot be written stops nothing.
    pub(crate) fn write(&self, line: &str) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.as_ref().is_some_and(|(_, size)| *size > MAX_LOG) {
            let _ = fs::rename(&self.path, self.path.with_extension("log.1"));
            *open = File::create(&self.path).ok().map(|file| (file, 0));
        }
        if let Some((file, size)) = open.as_mut() {
            let _ = writeln!(file, "{line}");
            *size += line.len() as u64 + 1;
        }
    }
}

/// One line per start and end, JSON.
#[derive(Clone)]
pub(crate) struct EventLog {
    pub dir: PathBuf,
    file: Arc<LogFile>,
}

impl EventLog {
    pub(crate) fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            file: Arc::new(LogFile::open(dir, "events")),
        }
    }

    pub(crate) fn note(&self, component: &str, event: &str, detail: &str) {
        let at = clock::iso_micros_z(clock::now_micros());
        let line = serde_json::json!({
            "at": at, "component": component, "event": event, "detail": detail,
        });
        self.file.write(&line.to_string());
        say(format_args!("{component}: {event} {detail}"));
    }
}

/// Bytes; the server keeps 4096 of a step's log.
const WORDS: usize = 3 * 1024;

/// As many of the last lines as a report keeps beside what is said of them.
pub(super) fn last(words: &str) -> String {
    let mut room = WORDS;
    let mut lines: Vec<&str> = words
        .lines()
        .rev()
        .take_while(|line| {
            room = room.saturating_sub(line.len() + 1);
            room > 0
        })
        .collect();
    lines.reverse();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_lines_are_kept_from_the_end() {
        let long = "x".repeat(WORDS - 10);
        let kept = format!("{long}\nlast");
        assert_eq!(last(&format!("first\n{kept}")), kept);
        assert_eq!((last("a\nb").as_str(), last("").as_str()), ("a\nb", ""));
    }
}
