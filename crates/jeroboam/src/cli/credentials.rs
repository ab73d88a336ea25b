//! `jeroboam cluster config` and `kubeconfig`: the key is generated here and
//! never sent.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Args as ClapArgs;
use reqwest::Method;
use serde_json::{Value, json};

use super::client::Api;
use super::fields::text;
use super::kubeconfig::{self, Credentials, Names};

/// Lifetime and subject of the certificate of a user.
#[derive(ClapArgs)]
pub struct TermArgs {
    /// Seconds until the certificate expires [default: five years].
    #[arg(long)]
    expires_in: Option<u32>,
    /// A certificate with your own name and the groups jeroboam:project:ID and
    /// jeroboam:role:ROLE instead of an administrator's (Kubernetes only); an
    /// administrator of the cluster binds roles to them.
    #[arg(long)]
    personal: bool,
}

/// Address of the API of a cluster.
struct ClusterEndpoint {
    uuid: String,
    name: String,
    address: String,
}

impl ClusterEndpoint {
    async fn find(api: &Api, cluster: &str) -> Result<Self> {
        let shown = api
            .clusters(Method::GET, &format!("/clusters/{cluster}"), None)
            .await?;
        let address = text(&shown, "api_address");
        if address.is_empty() {
            bail!("{}", no_address(cluster, &shown));
        }
        Ok(Self {
            uuid: text(&shown, "uuid"),
            name: text(&shown, "name"),
            address,
        })
    }

    /// Docker's address is `tcp://…`.
    fn is_kubernetes(&self) -> bool {
        self.address.starts_with("https://")
    }

    /// Generates a key and requests its certificate from the server.
    async fn credentials(&self, api: &Api, term: &TermArgs) -> Result<Credentials> {
        let key = rcgen::KeyPair::generate()?;
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "admin");
        params
            .distinguished_name
            .push(rcgen::DnType::OrganizationName, "system:masters");
        let csr = params.serialize_request(&key)?.pem()?;
        let mut body = json!({"cluster_uuid": self.uuid, "csr": csr});
        if let Some(seconds) = term.expires_in {
            body["expiration_seconds"] = json!(seconds);
        }
        if term.personal {
            body["bind_to_caller"] = json!(true);
        }
        let signed = api
            .clusters(Method::POST, "/certificates", Some(body))
            .await?;
        let ca = api
            .clusters(Method::GET, &format!("/certificates/{}", self.uuid), None)
            .await?;
        Ok(Credentials {
            ca: text(&ca, "pem"),
            cert: text(&signed, "pem"),
            key: key.serialize_pem(),
        })
    }
}

/// Why a cluster without an API address has none, and what to do.
fn no_address(cluster: &str, shown: &Value) -> String {
    let status = text(shown, "status");
    let fix = match status.as_str() {
        "CREATE_IN_PROGRESS" => format!(
            "wait for CREATE_COMPLETE: `jeroboam cluster show {cluster}` shows the status, and \
             `jeroboam cluster create --wait` ends with it"
        ),
        "CREATE_FAILED" => format!(
            "`jeroboam cluster show {cluster}` shows the reason; delete the cluster and create it again"
        ),
        _ => format!("see: jeroboam cluster show {cluster}"),
    };
    format!("cluster {cluster} has no API address, because its status is {status}; {fix}")
}

/// Writes the files of a client of the cluster and prints the variables to set.
pub async fn write(
    api: &Api,
    cluster: &str,
    dir: &Path,
    force: bool,
    term: &TermArgs,
) -> Result<ExitCode> {
    let reached = ClusterEndpoint::find(api, cluster).await?;
    std::fs::create_dir_all(dir).with_context(|| format!("{} cannot be created", dir.display()))?;
    let dir = dir.canonicalize()?;
    let names: &[&str] = if reached.is_kubernetes() {
        &["config"]
    } else {
        &["ca.pem", "cert.pem", "key.pem"]
    };
    let files: Vec<_> = names.iter().map(|f| dir.join(f)).collect();
    if let Some(there) = files.iter().find(|f| f.exists())
        && !force
    {
        bail!("{} exists; use --force to overwrite it", there.display());
    }
    let made = reached.credentials(api, term).await?;
    if reached.is_kubernetes() {
        // File names as written by the OpenStack client.
        let names = Names {
            cluster: &reached.name,
            user: "admin",
            context: "default",
        };
        let config = kubeconfig::build(&names, &reached.address, &made);
        let path = dir.join("config");
        private(&path, &kubeconfig::yaml(&config))?;
        println!("export KUBECONFIG={}", path.display());
        return Ok(ExitCode::SUCCESS);
    }
    for (path, content) in files.iter().zip([&made.ca, &made.cert, &made.key]) {
        private(path, content)?;
    }
    println!("export DOCKER_HOST={}", reached.address);
    println!("export DOCKER_TLS_VERIFY=1");
    println!("export DOCKER_CERT_PATH={}", dir.display());
    Ok(ExitCode::SUCCESS)
}

/// Prints a kubeconfig, or merges it into the user's own.
pub async fn kubeconfig(
    api: &Api,
    cluster: &str,
    merge: bool,
    term: &TermArgs,
) -> Result<ExitCode> {
    let reached = ClusterEndpoint::find(api, cluster).await?;
    if !reached.is_kubernetes() {
        bail!("{cluster} is not a Kubernetes cluster; use: jeroboam cluster config {cluster}");
    }
    let made = reached.credentials(api, term).await?;
    let user = format!("{}-admin", reached.name);
    let names = Names {
        cluster: &reached.name,
        user: &user,
        context: &reached.name,
    };
    let config = kubeconfig::build(&names, &reached.address, &made);
    if !merge {
        print!("{}", kubeconfig::yaml(&config));
        return Ok(ExitCode::SUCCESS);
    }
    let path = kubeconfig::own_path()?;
    let before = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(e) => return Err(e).with_context(|| format!("{} cannot be read", path.display())),
    };
    let after = kubeconfig::merged(&before, &config)
        .with_context(|| format!("{} is left as it is", path.display()))?;
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)
            .with_context(|| format!("{} cannot be created", dir.display()))?;
    }
    // Replaced atomically, because the file contains keys of other clusters.
    let mut temporary = path.clone().into_os_string();
    temporary.push(".jeroboam");
    let temporary = std::path::PathBuf::from(temporary);
    private(&temporary, &kubeconfig::yaml(&after))?;
    std::fs::rename(&temporary, &path)
        .with_context(|| format!("{} cannot be written", path.display()))?;
    println!("context {} is in {}", reached.name, path.display());
    println!("next: kubectl --context {} get nodes", reached.name);
    Ok(ExitCode::SUCCESS)
}

/// Writes a file that only its owner may read.
fn private(path: &Path, content: &str) -> Result<()> {
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("{} cannot be written", path.display()))?;
    file.write_all(content.as_bytes())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_address_is_explained_by_the_status() {
        let text = |status: &str| no_address("demo", &json!({"status": status}));
        let creating = text("CREATE_IN_PROGRESS");
        assert!(
            creating.contains("its status is CREATE_IN_PROGRESS"),
            "{creating}"
        );
        assert!(creating.contains("wait for CREATE_COMPLETE"), "{creating}");
        assert!(text("CREATE_FAILED").contains("delete the cluster"));
        assert!(text("DELETE_IN_PROGRESS").ends_with("jeroboam cluster show demo"));
    }
}
