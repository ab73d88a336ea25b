//! Output files of components and the log of their starts and exits.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use kernel::clock;

use crate::report::log_line;

/// Maximum size; two files of this size are kept per component.
const MAX_LOG: u64 = 4 * 1024 * 1024;

/// The output of a component, in two files of bounded size.
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

    /// Appends a line. An error is ignored, because the log must not stop a
    /// component.
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

/// One JSON line per start and exit.
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
        let at = clock::now().iso_micros_z();
        let line = serde_json::json!({
            "at": at, "component": component, "event": event, "detail": detail,
        });
        self.file.write(&line.to_string());
        log_line(format_args!("{component}: {event} {detail}"));
    }
}

/// Length of the quoted output in bytes; the server keeps 4096 bytes of the log
/// of a step.
const MAX_TEXT: usize = 3 * 1024;

/// The last lines that fit into a report together with the description.
pub(super) fn last(words: &str) -> String {
    let mut remaining = MAX_TEXT;
    let mut lines: Vec<&str> = words
        .lines()
        .rev()
        .take_while(|line| {
            remaining = remaining.saturating_sub(line.len() + 1);
            remaining > 0
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
        let long = "x".repeat(MAX_TEXT - 10);
        let kept = format!("{long}\nlast");
        assert_eq!(last(&format!("first\n{kept}")), kept);
        assert_eq!((last("a\nb").as_str(), last("").as_str()), ("a\nb", ""));
    }
}
