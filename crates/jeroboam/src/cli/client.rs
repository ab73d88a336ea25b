//! A small client of the OpenStack APIs, configured like their own clients.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, Result, anyhow, bail};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

/// Credentials and the address of the identity service.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct AuthSection {
    auth_url: Option<String>,
    username: Option<String>,
    password: Option<String>,
    project_name: Option<String>,
    project_id: Option<String>,
    user_domain_name: Option<String>,
    user_domain_id: Option<String>,
    project_domain_name: Option<String>,
    project_domain_id: Option<String>,
    application_credential_id: Option<String>,
    application_credential_secret: Option<String>,
}

#[derive(Debug, Deserialize)]
struct CloudEntry {
    auth: AuthSection,
}

#[derive(Debug, Deserialize)]
struct CloudsFile {
    clouds: BTreeMap<String, CloudEntry>,
}

/// An authenticated session.
pub struct Api {
    http: reqwest::Client,
    token: String,
    /// Base address of the container-infra service, ending in `/v1`.
    clusters: String,
    /// Scheme, host and port of the server, for native routes.
    server: String,
}

impl Api {
    /// Logs in with the named cloud, otherwise with `OS_*`, otherwise with the
    /// only or default cloud (`jeroboam`) of the first `clouds.yaml` found.
    pub async fn connect(cloud: Option<&str>) -> Result<Self> {
        let auth = settings(cloud)?;
        let url = auth.auth_url.clone().ok_or_else(|| {
            anyhow!("no auth_url: set OS_CLOUD and provide a clouds.yaml, or set OS_AUTH_URL; `jeroboam serve` writes a clouds.yaml into its state directory")
        })?;
        let url = url.trim_end_matches('/').trim_end_matches("/v3").to_owned();
        let http = reqwest::Client::builder().build()?;
        let answer = http
            .post(format!("{url}/v3/auth/tokens"))
            .json(&login(&auth)?)
            .send()
            .await
            .with_context(|| {
                format!("the server at {url} does not answer; is `jeroboam serve` running?")
            })?;
        if !answer.status().is_success() {
            let status = answer.status();
            let body: Value = answer.json().await.unwrap_or_default();
            bail!("login at {url} refused ({status}): {}", message(&body));
        }
        let token = answer
            .headers()
            .get("x-subject-token")
            .and_then(|v| v.to_str().ok())
            .ok_or_else(|| anyhow!("{url} answered without a token"))?
            .to_owned();
        let body: Value = answer.json().await?;
        let clusters = endpoint(&body, "container-infra")
            .ok_or_else(|| anyhow!("the catalogue has no public container-infra endpoint"))?;
        let parsed = reqwest::Url::parse(&url)?;
        let server = parsed.origin().ascii_serialization();
        Ok(Self {
            http,
            token,
            clusters: clusters.trim_end_matches('/').to_owned(),
            server,
        })
    }

    /// A call to the container-infra API; `path` starts with `/`.
    pub async fn clusters(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value> {
        self.call(method, format!("{}{path}", self.clusters), body)
            .await
    }

    /// A call to a native route.
    pub async fn own(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value> {
        self.call(method, format!("{}/jeroboam/v1{path}", self.server), body)
            .await
    }

    async fn call(&self, method: Method, url: String, body: Option<Value>) -> Result<Value> {
        let mut request = self
            .http
            .request(method.clone(), &url)
            .header("X-Auth-Token", &self.token)
            .header("OpenStack-API-Version", "container-infra latest");
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request
            .send()
            .await
            .with_context(|| format!("{method} {url}"))?;
        let status = answer.status();
        let bytes = answer.bytes().await?;
        let value: Value = if bytes.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&bytes).unwrap_or(Value::Null)
        };
        if status.is_success() {
            return Ok(value);
        }
        Err(Refused {
            status,
            text: message(&value),
        }
        .into())
    }
}

/// An unsuccessful answer with the text of the server.
#[derive(Debug)]
pub struct Refused {
    pub status: StatusCode,
    text: String,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (HTTP {})", self.text, self.status.as_u16())
    }
}

impl std::error::Error for Refused {}

/// Whether an error is a 404 of the server.
pub fn is_not_found(e: &anyhow::Error) -> bool {
    e.downcast_ref::<Refused>()
        .is_some_and(|r| r.status == StatusCode::NOT_FOUND)
}

fn message(body: &Value) -> String {
    let list = &body["errors"][0]["detail"];
    let single = &body["error"]["message"];
    list.as_str()
        .or(single.as_str())
        .unwrap_or("no explanation was given")
        .to_owned()
}

fn endpoint(token: &Value, service: &str) -> Option<String> {
    token["token"]["catalog"]
        .as_array()?
        .iter()
        .find(|s| s["type"] == service)?["endpoints"]
        .as_array()?
        .iter()
        .find(|e| e["interface"] == "public")?["url"]
        .as_str()
        .map(str::to_owned)
}

fn login(auth: &AuthSection) -> Result<Value> {
    if let Some(id) = &auth.application_credential_id {
        return Ok(
            json!({"auth": {"identity": {"methods": ["application_credential"],
            "application_credential": {"id": id, "secret": auth.application_credential_secret}}}}),
        );
    }
    let (Some(user), Some(password)) = (&auth.username, &auth.password) else {
        bail!(
            "no username and password: set OS_USERNAME and OS_PASSWORD, or use a cloud of clouds.yaml"
        );
    };
    let domain = |id: &Option<String>, name: &Option<String>| match (id, name) {
        (Some(id), _) => json!({"id": id}),
        (None, Some(name)) => json!({"name": name}),
        (None, None) => json!({"id": "default"}),
    };
    let mut body = json!({"auth": {"identity": {"methods": ["password"], "password": {"user": {
        "name": user, "password": password,
        "domain": domain(&auth.user_domain_id, &auth.user_domain_name)}}}}});
    if let Some(id) = &auth.project_id {
        body["auth"]["scope"] = json!({"project": {"id": id}});
    } else if let Some(name) = &auth.project_name {
        body["auth"]["scope"] = json!({"project": {"name": name,
            "domain": domain(&auth.project_domain_id, &auth.project_domain_name)}});
    }
    Ok(body)
}

fn settings(cloud: Option<&str>) -> Result<AuthSection> {
    if cloud.is_none() && std::env::var_os("OS_AUTH_URL").is_some() {
        let var = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
        return Ok(AuthSection {
            auth_url: var("OS_AUTH_URL"),
            username: var("OS_USERNAME"),
            password: var("OS_PASSWORD"),
            project_name: var("OS_PROJECT_NAME"),
            project_id: var("OS_PROJECT_ID"),
            user_domain_name: var("OS_USER_DOMAIN_NAME"),
            user_domain_id: var("OS_USER_DOMAIN_ID"),
            project_domain_name: var("OS_PROJECT_DOMAIN_NAME"),
            project_domain_id: var("OS_PROJECT_DOMAIN_ID"),
            application_credential_id: var("OS_APPLICATION_CREDENTIAL_ID"),
            application_credential_secret: var("OS_APPLICATION_CREDENTIAL_SECRET"),
        });
    }
    let path = clouds_file().ok_or_else(|| {
        anyhow!("no clouds.yaml found: set OS_CLIENT_CONFIG_FILE to the one in the server's state directory")
    })?;
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("{} cannot be read", path.display()))?;
    let file: CloudsFile = serde_saphyr::from_str(&text)
        .map_err(|e| anyhow!("{} is not a clouds.yaml: {e}", path.display()))?;
    let name = cloud.unwrap_or("jeroboam");
    let entry = file.clouds.get(name).ok_or_else(|| {
        let known: Vec<_> = file.clouds.keys().map(String::as_str).collect();
        anyhow!(
            "cloud '{name}' is not in {}; it has: {}",
            path.display(),
            known.join(", ")
        )
    })?;
    Ok(entry.auth.clone())
}

fn clouds_file() -> Option<PathBuf> {
    let home = std::env::var_os("HOME")
        .map(PathBuf::from)
        .unwrap_or_default();
    let mut places = Vec::new();
    if let Some(named) = std::env::var_os("OS_CLIENT_CONFIG_FILE") {
        places.push(PathBuf::from(named));
    }
    places.push(PathBuf::from("clouds.yaml"));
    places.push(home.join(".config/openstack/clouds.yaml"));
    places.push(PathBuf::from("/etc/openstack/clouds.yaml"));
    // Path that `jeroboam serve` without flags writes to.
    places.push(home.join(".local/share/jeroboam/clouds.yaml"));
    places.into_iter().find(|p| p.is_file())
}
