//! `jeroboam leaks`.

use std::process::ExitCode;

use anyhow::Result;
use comfy_table::{Table, presets};
use reqwest::Method;

use super::client::Api;
use super::fields::text;

pub async fn run(api: &Api, as_json: bool) -> Result<ExitCode> {
    let answer = api.own(Method::GET, "/leaks", None).await?;
    let leaks = answer["leaks"].as_array().cloned().unwrap_or_default();
    if as_json {
        println!("{:#}", answer["leaks"]);
    } else if leaks.is_empty() {
        println!("no leaks: the engine and the ledger agree");
    } else {
        let mut table = Table::new();
        table.load_style(presets::ASCII_FULL_CONDENSED);
        table.set_header(["kind", "name", "what"]);
        for leak in &leaks {
            table.add_row(["kind", "name", "what"].map(|k| text(leak, k)));
        }
        println!("{table}");
    }
    Ok(if leaks.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
