//! The demo service on the nodes of a cluster.

use std::process::Command;

use anyhow::Result;
use serde_json::Value;

use crate::shell;

/// Workers of the demo cluster.
pub(super) const WORKERS: u64 = 2;
/// The port of the demo service on each node.
pub(super) const PORT: u16 = 8080;

/// Queries the demo service on each node of the cluster.
pub(super) fn query_nodes(shown: &Value, port: u16) -> Result<()> {
    let nodes = ["master_addresses", "node_addresses"];
    for address in nodes
        .iter()
        .flat_map(|k| shown[k].as_array().into_iter().flatten())
        .filter_map(Value::as_str)
    {
        let url = format!("http://{address}:{port}/");
        let retry = [
            "-sS",
            "--retry",
            "20",
            "--retry-connrefused",
            "--retry-delay",
            "1",
            "-m",
            "5",
        ];
        let answer = shell::output(Command::new("curl").args(retry).arg(&url))?;
        println!("{url} -> {answer}");
    }
    Ok(())
}
