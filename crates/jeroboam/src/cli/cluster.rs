//! `jeroboam cluster …`.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args as ClapArgs;
use comfy_table::{ContentArrangement, Table, presets};
use reqwest::Method;
use serde_json::{Value, json};

use super::client::{Api, is_not_found};
use super::fields::text;
use super::progress::Progress;

#[derive(ClapArgs)]
pub struct CreateArgs {
    /// Name of the new cluster.
    name: String,
    /// Name or uuid of a template [default: one named after the COE, created if missing].
    #[arg(long)]
    cluster_template: Option<String>,
    /// COE of the default template: swarm or kubernetes.
    #[arg(long, default_value = "swarm")]
    coe: String,
    /// Number of masters: 1, or an odd number so that a majority remains if some
    /// fail. It cannot be changed later. Several masters of Kubernetes need a
    /// template with a load balancer.
    #[arg(long, value_name = "N", default_value_t = 1)]
    master_count: u32,
    /// Number of worker nodes.
    #[arg(long, value_name = "N", default_value_t = 1)]
    node_count: u32,
    /// Keypair, which must exist as in Magnum, such as `default`. It has no effect,
    /// because nodes run no SSH server [default: that of the template].
    #[arg(long, value_name = "NAME")]
    keypair: Option<String>,
    /// Label as key=value; may be repeated.
    #[arg(long = "label")]
    labels: Vec<String>,
    /// Timeout of the creation, minutes.
    #[arg(long)]
    timeout: Option<u32>,
    /// Show each step as it happens, and end when the cluster is complete.
    #[arg(long)]
    wait: bool,
}

pub async fn create(api: &Api, args: CreateArgs) -> Result<ExitCode> {
    let template = match &args.cluster_template {
        Some(template) => template.clone(),
        None => default_template(api, &args.coe).await?,
    };
    let mut body = json!({
        "name": args.name, "cluster_template_id": template,
        "master_count": args.master_count, "node_count": args.node_count,
    });
    if let Some(keypair) = &args.keypair {
        body["keypair"] = json!(keypair);
    }
    if let Some(minutes) = args.timeout {
        body["create_timeout"] = json!(minutes);
    }
    for label in &args.labels {
        let Some((key, value)) = label.split_once('=') else {
            bail!("--label '{label}' is not key=value");
        };
        body["labels"][key] = json!(value);
    }
    let begun = Instant::now();
    let answer = api.clusters(Method::POST, "/clusters", Some(body)).await?;
    let uuid = answer["uuid"].as_str().unwrap_or_default().to_owned();
    println!("cluster {} accepted: {uuid}", args.name);
    if !args.wait {
        println!("follow it with: jeroboam cluster show {}", args.name);
        return Ok(ExitCode::SUCCESS);
    }
    let expected = args.master_count + args.node_count;
    let mut progress = Progress::new(expected);
    loop {
        let now = api
            .own(Method::GET, &format!("/clusters/{uuid}/progress"), None)
            .await?;
        progress.show(&now);
        match now["status"].as_str().unwrap_or_default() {
            "CREATE_COMPLETE" => {
                progress.finish();
                println!(
                    "CREATE_COMPLETE after {:.1} s",
                    begun.elapsed().as_secs_f64()
                );
                println!(
                    "next: jeroboam cluster config {} --dir ./{}-tls",
                    args.name, args.name
                );
                return Ok(ExitCode::SUCCESS);
            }
            "CREATE_IN_PROGRESS" | "" => tokio::time::sleep(Duration::from_millis(200)).await,
            other => {
                progress.finish();
                println!(
                    "{other}: {}",
                    now["status_reason"].as_str().unwrap_or_default()
                );
                println!(
                    "delete it with: jeroboam cluster delete {} --wait",
                    args.name
                );
                return Ok(ExitCode::FAILURE);
            }
        }
    }
}

/// Returns the default template of a COE, creating it the first time.
async fn default_template(api: &Api, coe: &str) -> Result<String> {
    match api
        .clusters(Method::GET, &format!("/clustertemplates/{coe}"), None)
        .await
    {
        Ok(_) => return Ok(coe.to_owned()),
        Err(e) if is_not_found(&e) => {}
        Err(e) => return Err(e),
    }
    let body = json!({
        "name": coe, "coe": coe, "image_id": coe, "keypair_id": "default",
        "external_network_id": "public", "flavor_id": "m1.small", "master_flavor_id": "m1.small",
    });
    let made = api
        .clusters(Method::POST, "/clustertemplates", Some(body))
        .await?;
    println!("cluster template {coe} created: {}", text(&made, "uuid"));
    Ok(text(&made, "uuid"))
}

pub async fn list(api: &Api, as_json: bool) -> Result<ExitCode> {
    let answer = api.clusters(Method::GET, "/clusters", None).await?;
    if as_json {
        println!("{:#}", answer["clusters"]);
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new();
    table.load_style(presets::ASCII_FULL_CONDENSED);
    table.set_header(["uuid", "name", "masters", "nodes", "status", "health"]);
    for c in answer["clusters"].as_array().into_iter().flatten() {
        let cells = [
            "uuid",
            "name",
            "master_count",
            "node_count",
            "status",
            "health_status",
        ];
        table.add_row(cells.map(|k| text(c, k)));
    }
    println!("{table}");
    Ok(ExitCode::SUCCESS)
}

/// The order of fields in `show`; others follow.
const FIELD_ORDER: [&str; 17] = [
    "name",
    "uuid",
    "status",
    "status_reason",
    "health_status",
    "health_status_reason",
    "faults",
    "isolation",
    "api_address",
    "coe_version",
    "container_version",
    "master_count",
    "node_count",
    "master_addresses",
    "node_addresses",
    "cluster_template_id",
    "labels",
];

/// The fields of a cluster that have a value, in the order of [`FIELD_ORDER`].
fn shown_fields(cluster: &Value) -> Vec<(&str, String)> {
    let position = |field: &str| FIELD_ORDER.iter().position(|known| *known == field);
    let mut fields: Vec<(&str, String)> = cluster
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(field, _)| *field != "links")
        .map(|(field, value)| (field.as_str(), cell(value)))
        .filter(|(_, value)| !value.is_empty())
        .collect();
    // The sort is stable, so the other fields keep the order of the server.
    fields.sort_by_key(|(field, _)| position(field).unwrap_or(FIELD_ORDER.len()));
    fields
}

/// Formats a value for a table: a list on one line, an object with a line for each
/// key. Null and empty values are empty.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => {
            let line = |(key, value): (&String, &Value)| format!("{key}={}", cell(value));
            fields.iter().map(line).collect::<Vec<_>>().join("\n")
        }
        other => other.to_string(),
    }
}

pub async fn show(api: &Api, cluster: &str, as_json: bool) -> Result<ExitCode> {
    let mut shown = api
        .clusters(Method::GET, &format!("/clusters/{cluster}"), None)
        .await?;
    let uuid = text(&shown, "uuid");
    let progress = api
        .own(Method::GET, &format!("/clusters/{uuid}/progress"), None)
        .await?;
    if as_json {
        shown["progress"] = progress;
        println!("{shown:#}");
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new();
    table.load_style(presets::ASCII_FULL_CONDENSED);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["field", "value"]);
    for (field, value) in shown_fields(&shown) {
        table.add_row([field, &value]);
    }
    for ca in progress["authorities"].as_array().into_iter().flatten() {
        let field = format!("CA {}", text(ca, "name"));
        table.add_row([field, format!("expires {}", text(ca, "expires"))]);
    }
    println!("{table}");
    let mut steps = Table::new();
    steps.load_style(presets::ASCII_FULL_CONDENSED);
    steps.set_header(["node", "step", "status", "ms", "log"]);
    for node in progress["nodes"].as_array().into_iter().flatten() {
        for step in node["steps"].as_array().into_iter().flatten() {
            steps.add_row([
                text(node, "name"),
                text(step, "name"),
                text(step, "status"),
                text(step, "ms"),
                text(step, "log"),
            ]);
        }
    }
    println!("{steps}");
    Ok(ExitCode::SUCCESS)
}

/// The COE of a cluster, which only its template names.
async fn coe(api: &Api, cluster: &Value) -> Result<String> {
    let path = format!("/clustertemplates/{}", text(cluster, "cluster_template_id"));
    let template = api.clusters(Method::GET, &path, None).await?;
    Ok(text(&template, "coe"))
}

/// The add-ons in the last report of the masters.
pub async fn addons(api: &Api, cluster: &str, as_json: bool) -> Result<ExitCode> {
    let shown = api
        .clusters(Method::GET, &format!("/clusters/{cluster}"), None)
        .await?;
    let path = format!("/clusters/{}/progress", text(&shown, "uuid"));
    let progress = api.own(Method::GET, &path, None).await?;
    if as_json {
        println!("{:#}", progress["addons"]);
        return Ok(ExitCode::SUCCESS);
    }
    if progress["addons"].as_array().is_none_or(Vec::is_empty) {
        if coe(api, &shown).await? == "swarm" {
            bail!("{cluster} is a Swarm cluster; only Kubernetes clusters have add-ons");
        }
        let status = text(&shown, "status");
        println!("{cluster} has not reported add-ons yet; its status is {status}");
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new();
    table.load_style(presets::ASCII_FULL_CONDENSED);
    table.set_header(["add-on", "state", "reason"]);
    for addon in progress["addons"].as_array().into_iter().flatten() {
        table.add_row(["name", "state", "reason"].map(|k| text(addon, k)));
    }
    println!("{table}");
    Ok(ExitCode::SUCCESS)
}

pub async fn delete(api: &Api, cluster: &str, wait: bool, timeout: u64) -> Result<ExitCode> {
    let shown = api
        .clusters(Method::GET, &format!("/clusters/{cluster}"), None)
        .await?;
    let uuid = text(&shown, "uuid");
    match api
        .clusters(Method::DELETE, &format!("/clusters/{uuid}"), None)
        .await
    {
        // It was already being deleted, and that has just finished.
        Err(e) if is_not_found(&e) => {
            println!("{cluster} is deleted");
            return Ok(ExitCode::SUCCESS);
        }
        other => other.map(|_| ())?,
    }
    println!("deletion of {cluster} accepted");
    let end = Instant::now() + Duration::from_secs(timeout);
    let mut last_reason = String::new();
    if !wait {
        return Ok(ExitCode::SUCCESS);
    }
    loop {
        match api
            .clusters(Method::GET, &format!("/clusters/{uuid}"), None)
            .await
        {
            Err(e) if is_not_found(&e) => {
                println!("{cluster} is deleted");
                return Ok(ExitCode::SUCCESS);
            }
            Err(e) => return Err(e),
            Ok(now) => {
                let reason = text(&now, "status_reason");
                if text(&now, "status") == "DELETE_FAILED" {
                    println!("DELETE_FAILED: {reason}");
                    return Ok(ExitCode::FAILURE);
                }
                if reason != last_reason {
                    println!("  {reason}");
                    last_reason = reason;
                }
            }
        }
        if Instant::now() > end {
            bail!("{cluster} is not deleted after {timeout} s: {last_reason}");
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_shown_in_order_and_only_with_a_value() {
        let cluster = json!({
            "uuid": "u1", "links": [{"rel": "self"}], "created_at": "2026-01-01", "labels": {},
            "discovery_url": null, "fixed_network": "", "name": "demo", "node_addresses": ["a", "b"],
            "master_count": 1, "master_lb_enabled": false, "status": "CREATE_COMPLETE",
            "health_status_reason": {"api": "ok", "node-0.Ready": "True"},
        });
        let shown = shown_fields(&cluster);
        let shown: Vec<(&str, &str)> = shown.iter().map(|(k, v)| (*k, v.as_str())).collect();
        assert_eq!(
            shown,
            [
                ("name", "demo"),
                ("uuid", "u1"),
                ("status", "CREATE_COMPLETE"),
                ("health_status_reason", "api=ok\nnode-0.Ready=True"),
                ("master_count", "1"),
                ("node_addresses", "a, b"),
                ("created_at", "2026-01-01"),
                ("master_lb_enabled", "false"),
            ]
        );
    }
}
