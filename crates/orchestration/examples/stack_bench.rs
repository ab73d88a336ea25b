//! Measures the engine alone, with in-memory services.
//!
//! `cargo run -p orchestration --example stack_bench -- chained 100` (or
//! `independent 1000`, or `group 1000`) creates a stack with that many
//! resources, updates it without a change and deletes it, and prints seconds,
//! CPU seconds, statements and peak memory.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a developer's tool"
)]

#[path = "../tests/fixture/mod.rs"]
mod fixture;

use std::fmt::Write as _;
use std::time::Instant;

use fixture::Fixture;
use orchestration::StackId;
use orchestration::api::{StackUpdate, Status};

fn template(shape: &str, count: usize) -> String {
    let mut text = "heat_template_version: 2021-04-16\nresources:\n".to_owned();
    match shape {
        "chained" => {
            text.push_str("  r0: {type: OS::Neutron::Net}\n");
            for i in 1..count {
                writeln!(
                    text,
                    "  r{i}: {{type: OS::Neutron::Net, depends_on: r{}}}",
                    i - 1
                )
                .unwrap();
            }
        }
        "independent" => {
            for i in 0..count {
                writeln!(text, "  r{i}: {{type: OS::Neutron::Net}}").unwrap();
            }
        }
        "group" => {
            write!(
                text,
                "  net: {{type: OS::Neutron::Net}}\n  all:\n    type: OS::Heat::ResourceGroup\n    properties:\n      count: {count}\n      resource_def:\n        type: OS::Nova::Server\n        properties: {{name: w-%index%, image: i, flavor: f, networks: [{{network: {{get_resource: net}}}}], user_data: \"number %index%\"}}\n"
            )
            .unwrap();
        }
        other => panic!("unknown shape {other}: chained, independent or group"),
    }
    text
}

/// Peak of the resident memory so far, MiB.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmHWM:"));
    let kib = line.and_then(|l| l.split_whitespace().nth(1));
    kib.and_then(|k| k.parse::<u64>().ok()).unwrap_or(0) / 1024
}

/// CPU time of the process, seconds.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Fields 14 and 15, in hundredths of a second. The name in parentheses, field 2,
    // may contain spaces, so the fields are counted after it.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: u32 = ticks.filter_map(|t| t.parse::<u32>().ok()).sum();
    f64::from(ticks) / 100.0
}

/// Runs the engine until the action of the stack has ended; prints the cost.
async fn measure(fixture: &Fixture, id: &StackId, what: &str) {
    let (began, before, cpu) = (Instant::now(), fixture.db.queries(), cpu_seconds());
    let mut runs = 0;
    loop {
        while fixture.run_once().await {
            runs += 1;
        }
        match fixture.show(id).await.map(|s| (s.status, s.status_reason)) {
            Some((Status::InProgress, _)) => {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await
            }
            Some((Status::Failed, why)) => panic!("{what}: {why}"),
            _ => break,
        }
    }
    println!(
        "{what:8} {:8.3} s {:8.2} s cpu {:8} statements {runs:4} runs {:5} MiB peak",
        began.elapsed().as_secs_f64(),
        cpu_seconds() - cpu,
        fixture.db.queries() - before,
        peak_mib()
    );
}

#[tokio::main]
async fn main() {
    let mut args = std::env::args().skip(1);
    let shape = args.next().unwrap_or_else(|| "independent".into());
    let count = args.next().map_or(1000, |n| n.parse().unwrap());
    let fixture = Fixture::new().await;
    let began = Instant::now();
    let id = fixture
        .create(Fixture::new_stack(&template(&shape, count)))
        .await
        .id;
    println!("accept   {:8.3} s", began.elapsed().as_secs_f64());
    measure(&fixture, &id, "create").await;
    fixture
        .stacks
        .update(&fixture.ctx, &id, StackUpdate::default())
        .await
        .unwrap();
    measure(&fixture, &id, "update").await;
    fixture.delete(&id).await;
    measure(&fixture, &id, "delete").await;
}
