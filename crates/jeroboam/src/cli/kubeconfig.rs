//! Kubeconfigs: building, YAML output, merging into the kubeconfig of the user.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

/// Names of the entries of a kubeconfig.
pub struct Names<'a> {
    pub cluster: &'a str,
    pub user: &'a str,
    pub context: &'a str,
}

/// Client credentials; PEM.
pub struct Credentials {
    pub ca: String,
    pub cert: String,
    pub key: String,
}

/// A kubeconfig in the format of the OpenStack client, with embedded data.
pub fn build(names: &Names<'_>, server: &str, credentials: &Credentials) -> Value {
    let Credentials { ca, cert, key } = credentials;
    json!({
        "apiVersion": "v1",
        "clusters": [{ "cluster": {
            "certificate-authority-data": base64(ca.as_bytes()), "server": server },
            "name": names.cluster }],
        "contexts": [{ "context": { "cluster": names.cluster, "user": names.user },
            "name": names.context }],
        "current-context": names.context,
        "kind": "Config",
        "preferences": {},
        "users": [{ "name": names.user, "user": {
            "client-certificate-data": base64(cert.as_bytes()),
            "client-key-data": base64(key.as_bytes()) } }],
    })
}

/// The first file of `KUBECONFIG`, otherwise `~/.kube/config`.
pub fn own_path() -> Result<PathBuf> {
    let listed = std::env::var_os("KUBECONFIG")
        .and_then(|list| std::env::split_paths(&list).find(|path| !path.as_os_str().is_empty()));
    if let Some(first) = listed {
        return Ok(first);
    }
    let home = std::env::var_os("HOME").context("neither KUBECONFIG nor HOME is set")?;
    Ok(PathBuf::from(home).join(".kube").join("config"))
}

/// Merges the entries of `new` into `text`, replacing entries of the same name,
/// and makes its context the current one.
pub fn merged(text: &str, new: &Value) -> Result<Value> {
    let read: Value = if text.trim().is_empty() {
        Value::Null
    } else {
        serde_saphyr::from_str(text).context("it is not valid YAML")?
    };
    let mut out = match read {
        Value::Null => Map::new(),
        Value::Object(map) => map,
        _ => bail!("it is not a kubeconfig"),
    };
    for key in ["clusters", "contexts", "users"] {
        let added = new[key].as_array().cloned().unwrap_or_default();
        let list = out.entry(key).or_insert_with(|| json!([]));
        if list.is_null() {
            *list = json!([]);
        }
        let Some(list) = list.as_array_mut() else {
            bail!("its field `{key}` is not a list");
        };
        list.retain(|have| !added.iter().any(|a| a["name"] == have["name"]));
        list.extend(added);
    }
    for key in ["apiVersion", "kind", "current-context"] {
        out.insert(key.to_owned(), new[key].clone());
    }
    Ok(Value::Object(out))
}

/// YAML in block style. Strings are quoted as in JSON, which YAML accepts.
pub fn yaml(value: &Value) -> String {
    let mut out = String::new();
    block(value, 0, &mut out);
    out
}

fn block(value: &Value, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let key = if plain(key) {
                    key.clone()
                } else {
                    Value::from(key.as_str()).to_string()
                };
                out.push_str(&format!("{indent}{key}:"));
                below(value, depth + 1, out);
            }
        }
        Value::Array(list) => {
            for value in list {
                let start = out.len();
                block(value, depth + 1, out);
                // The dash replaces the indentation of the first line.
                let dash = format!("{indent}- ");
                out.replace_range(start..start + dash.len(), &dash);
            }
        }
        scalar => out.push_str(&format!("{indent}{scalar}\n")),
    }
}

fn below(value: &Value, depth: usize, out: &mut String) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            out.push('\n');
            block(value, depth, out);
        }
        Value::Array(list) if !list.is_empty() && list.iter().all(needs_block_style) => {
            out.push('\n');
            block(value, depth - 1, out);
        }
        // Empty and plain lists are written on one line, as in JSON.
        flat => out.push_str(&format!(" {flat}\n")),
    }
}

/// Whether a list item needs several lines.
fn needs_block_style(value: &Value) -> bool {
    value.as_object().is_some_and(|map| !map.is_empty())
}

fn plain(key: &str) -> bool {
    key.starts_with(|c: char| c.is_ascii_alphabetic())
        && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        && !matches!(
            key.to_ascii_lowercase().as_str(),
            "y" | "n" | "yes" | "no" | "on" | "off" | "true" | "false" | "null"
        )
}

fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(cluster: &str) -> Value {
        let names = Names {
            cluster,
            user: "admin",
            context: "default",
        };
        let credentials = Credentials {
            ca: "ca".into(),
            cert: "cert".into(),
            key: "key".into(),
        };
        build(&names, "https://10.0.0.2:6443", &credentials)
    }

    #[test]
    fn what_is_written_is_read_again() {
        let config = sample("c1");
        let text = yaml(&config);
        assert!(
            text.contains("\n- cluster:\n    certificate-authority-data: \"Y2E=\"\n"),
            "{text}"
        );
        let back: Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(back, config);
    }

    #[test]
    fn a_merge_keeps_what_is_there_and_replaces_its_own() {
        let mine = "apiVersion: v1\nkind: Config\nclusters:\n- name: other\n  cluster: {server: 'https://x', extensions: [{name: e, extension: {on: true, n: 3}}]}\ncontexts:\nusers: []\ncurrent-context: other\npreferences: {}\n";
        let once = merged(mine, &sample("c1")).unwrap();
        let twice = merged(&yaml(&once), &sample("c1")).unwrap();
        assert_eq!(once, twice);
        let back: Value = serde_saphyr::from_str(&yaml(&once)).unwrap();
        assert_eq!(back, once);
        let names: Vec<&str> = once["clusters"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| c["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["other", "c1"]);
        assert_eq!(once["current-context"], "default");
        assert_eq!(
            once["clusters"][0]["cluster"]["extensions"][0]["extension"]["n"],
            3
        );
        assert!(merged("- a\n", &sample("c1")).is_err());
        assert_eq!(merged("", &sample("c1")).unwrap()["kind"], "Config");
    }
}
