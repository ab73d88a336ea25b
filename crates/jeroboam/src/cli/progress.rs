//! Live steps and a progress bar for `--wait`.

use std::collections::HashSet;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use super::fields::text;

pub struct Progress {
    bar: ProgressBar,
    seen: HashSet<String>,
}

impl Progress {
    /// `nodes`: the expected number of nodes.
    pub fn new(nodes: u32) -> Self {
        let bar = ProgressBar::new(u64::from(nodes));
        if let Ok(style) =
            ProgressStyle::with_template("{bar:30} {pos}/{len} nodes ready  {elapsed}  {msg}")
        {
            bar.set_style(style);
        }
        Self {
            bar,
            seen: HashSet::new(),
        }
    }

    /// Prints new steps and updates the bar.
    pub fn show(&mut self, progress: &Value) {
        let mut ready = 0;
        for node in progress["nodes"].as_array().into_iter().flatten() {
            if node["status"] == "ready" {
                ready += 1;
            }
            for step in node["steps"].as_array().into_iter().flatten() {
                if step["status"] == "running" {
                    continue;
                }
                let key = format!(
                    "{} {} {}",
                    text(node, "name"),
                    text(step, "name"),
                    text(step, "at")
                );
                if self.seen.insert(key) {
                    let line = format!(
                        "  {:<28} {:<12} {:<7} {:>6} ms  {}",
                        text(node, "name"),
                        text(step, "name"),
                        text(step, "status"),
                        text(step, "ms"),
                        text(step, "log").lines().next().unwrap_or_default()
                    );
                    self.line(&line);
                }
            }
        }
        self.bar.set_position(ready);
        self.bar.set_message(text(progress, "status_reason"));
    }

    /// Prints a line above the bar on a terminal, a plain line otherwise.
    fn line(&self, line: &str) {
        if self.bar.is_hidden() {
            println!("{line}");
        } else {
            self.bar.println(line);
        }
    }

    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
