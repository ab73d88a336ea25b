//! `jeroboam cluster …`.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args as ClapArgs;
use comfy_table::{Table, presets};
use reqwest::Method;
use serde_json::json;

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
    /// COE of the default template.
    #[arg(long, default_value = "swarm")]
    coe: String,
    #[arg(long, default_value_t = 1)]
    master_count: u32,
    #[arg(long, default_value_t = 1)]
    node_count: u32,
    #[arg(long)]
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
        None => own_template(api, &args.coe).await?,
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
async fn own_template(api: &Api, coe: &str) -> Result<String> {
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
    table.set_header(["field", "value"]);
    for (key, _) in shown
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(k, _)| *k != "links")
    {
        table.add_row([key.clone(), text(&shown, key)]);
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
    let mut said = String::new();
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
                if reason != said {
                    println!("  {reason}");
                    said = reason;
                }
            }
        }
        if Instant::now() > end {
            bail!("{cluster} is not deleted after {timeout} s: {said}");
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
