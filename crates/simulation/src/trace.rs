//! The record of a simulation: a digest of all events, and lines for display.
#![expect(
    clippy::print_stdout,
    reason = "the simulator prints a trace on demand"
)]

use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};

use kernel::clock;

/// The record of one simulation; cheap to clone.
#[derive(Clone)]
pub struct Trace(Arc<Mutex<Record>>);

struct Record {
    digest: u64,
    events: u64,
    printed: bool,
    lines: Vec<String>,
}

impl Trace {
    /// A new record. With `printed`, lines are also written to standard output as they
    /// are recorded.
    #[must_use]
    pub fn new(printed: bool) -> Self {
        Self(Arc::new(Mutex::new(Record {
            digest: 0xcbf2_9ce4_8422_2325,
            events: 0,
            printed,
            lines: Vec::new(),
        })))
    }

    fn add(&self, shown: bool, what: &dyn Display) {
        let at = clock::database_now();
        let line = format!("{at} {what}");
        let mut record = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // FNV-1a gives the same digest on every machine.
        for byte in line.bytes() {
            record.digest = (record.digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        record.events += 1;
        if shown {
            let micros = at.as_micros().rem_euclid(100_000_000_000);
            let text = format!("{:>6}.{:06} {what}", micros / 1_000_000, micros % 1_000_000);
            if record.printed {
                println!("{text}");
            }
            record.lines.push(text);
        }
    }

    /// Records an operation, a fault or an effect for display.
    pub fn record_line(&self, what: impl Display) {
        self.add(true, &what);
    }

    /// Records a scheduling point, which only changes the digest.
    pub fn note(&self, what: impl Display) {
        self.add(false, &what);
    }

    /// The digest of all events so far, and their number.
    #[must_use]
    pub fn digest(&self) -> (u64, u64) {
        let record = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (record.digest, record.events)
    }

    /// The recorded lines.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let record = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        record.lines.clone()
    }
}
