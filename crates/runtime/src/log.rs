//! Errors in the log file that containerd reads, in the form of runc's JSON log.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use kernel::Timestamp;
use serde_json::json;

/// Writes an error to the log file, from which the engine's API shows it, and to stderr.
pub(crate) fn error(file: Option<&Path>, message: &str) {
    let message = format!("jeroboam-runtime: {message}");
    let _ = writeln!(io::stderr(), "{message}");
    let Some(file) = file else { return };
    let line = line(&message, kernel::clock::now());
    let opened = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(file);
    if let Err(e) = opened.and_then(|mut file| file.write_all(line.as_bytes())) {
        let _ = writeln!(io::stderr(), "jeroboam-runtime: {}: {e}", file.display());
    }
}

fn line(message: &str, time: Timestamp) -> String {
    let line = json!({"level": "error", "msg": message, "time": time.iso_micros_z()});
    format!("{line}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_form_of_runc() {
        let text = line("a \"b\"\nc", Timestamp::EPOCH);
        assert_eq!(
            text,
            "{\"level\":\"error\",\"msg\":\"a \\\"b\\\"\\nc\",\"time\":\"1970-01-01T00:00:00.000000Z\"}\n"
        );
    }
}
