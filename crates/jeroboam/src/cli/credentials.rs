//! `jeroboam cluster config`: the key is made here and never leaves.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use reqwest::Method;
use serde_json::json;

use super::client::Api;
use super::cluster::text;

pub async fn write(api: &Api, cluster: &str, dir: &Path, force: bool) -> Result<ExitCode> {
    let shown = api
        .clusters(Method::GET, &format!("/clusters/{cluster}"), None)
        .await?;
    let uuid = text(&shown, "uuid");
    let address = text(&shown, "api_address");
    if address.is_empty() {
        bail!(
            "cluster {cluster} has no API address yet; its status is {}",
            text(&shown, "status")
        );
    }
    std::fs::create_dir_all(dir).with_context(|| format!("{} cannot be made", dir.display()))?;
    let dir = dir.canonicalize()?;
    let files = ["ca.pem", "cert.pem", "key.pem"].map(|f| dir.join(f));
    if let Some(there) = files.iter().find(|f| f.exists())
        && !force
    {
        bail!("{} exists; use --force to overwrite it", there.display());
    }
    let key = rcgen::KeyPair::generate()?;
    let mut params = rcgen::CertificateParams::default();
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, "admin");
    params
        .distinguished_name
        .push(rcgen::DnType::OrganizationName, "system:masters");
    let csr = params.serialize_request(&key)?.pem()?;
    let body = json!({"cluster_uuid": uuid, "csr": csr});
    let signed = api
        .clusters(Method::POST, "/certificates", Some(body))
        .await?;
    let ca = api
        .clusters(Method::GET, &format!("/certificates/{uuid}"), None)
        .await?;
    let contents = [text(&ca, "pem"), text(&signed, "pem"), key.serialize_pem()];
    for (path, content) in files.iter().zip(contents) {
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)
            .with_context(|| format!("{} cannot be written", path.display()))?;
        file.write_all(content.as_bytes())?;
    }
    println!("export DOCKER_HOST={address}");
    println!("export DOCKER_TLS_VERIFY=1");
    println!("export DOCKER_CERT_PATH={}", dir.display());
    Ok(ExitCode::SUCCESS)
}
