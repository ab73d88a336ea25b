//! The configuration of a container (`config.json`): what it contains, and how it is
//! changed for a user namespace.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use runtime::grants::{Range, VARIABLE};
use serde_json::{Map, Value, json};

/// Devices that each container has, by major and minor number; `None` is any. They are
/// null, zero, full, random, urandom, tty, console, ptmx and pts.
const DEVICES: &[(u32, Option<u32>)] = &[
    (1, Some(3)),
    (1, Some(5)),
    (1, Some(7)),
    (1, Some(8)),
    (1, Some(9)),
    (5, Some(0)),
    (5, Some(1)),
    (5, Some(2)),
    (136, None),
];

/// Namespaces that the user namespace must own.
const NAMESPACES: &[&str] = &["mount", "pid", "network", "ipc", "uts"];

const PING_GROUPS: &str = "net.ipv4.ping_group_range";

/// A bind mount of the configuration.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Bind {
    /// Its index in `mounts`.
    pub index: usize,
    pub source: PathBuf,
    /// Whether mounts below the source are included.
    pub recursive: bool,
}

/// A character device of the host.
#[derive(Debug)]
pub(crate) struct Device {
    /// Its path in the container.
    pub path: String,
    /// The source of its bind mount.
    pub source: PathBuf,
    pub major: u32,
    pub minor: u32,
}

/// The parts of the user namespace and of the mounts that [`transform`] writes into a
/// configuration.
#[derive(Debug)]
pub(crate) struct Facts {
    pub range: Range,
    /// A path of the user namespace.
    pub namespace: PathBuf,
    pub root: PathBuf,
    /// New sources of bind mounts, by their index in `mounts`.
    pub sources: Vec<(usize, PathBuf)>,
    /// The devices that are granted.
    pub devices: Vec<Device>,
}

/// The range in the environment of the container's process.
pub(crate) fn range(config: &Value) -> Result<Range> {
    let environment = config["process"]["env"].as_array();
    let mut values = environment.into_iter().flatten().filter_map(|entry| {
        let rest = entry.as_str()?.strip_prefix(VARIABLE)?;
        // A variable without a value is one, too.
        rest.strip_prefix('=').or(rest.is_empty().then_some(""))
    });
    let value = values.next().with_context(|| {
        format!("the container has no variable {VARIABLE} with its range of ids; only containers that the server creates use this runtime")
    })?;
    ensure!(
        values.next().is_none(),
        "the variable {VARIABLE} is repeated; it must be set once, by the server"
    );
    value
        .parse()
        .with_context(|| format!("the variable {VARIABLE}"))
}

/// The source of the mount at `/etc/hostname`, which is in the engine's directory of the
/// container.
pub(crate) fn hostname_file(config: &Value) -> Result<PathBuf> {
    let mounts = config["mounts"].as_array();
    let mut found = mounts
        .into_iter()
        .flatten()
        .filter(|mount| mount["destination"] == "/etc/hostname");
    match (found.next(), found.next()) {
        (Some(mount), None) if is_bind(mount) => source(mount),
        (Some(_), _) => bail!("/etc/hostname must be one bind mount of the engine"),
        (None, _) => bail!(
            "no mount at /etc/hostname, by which the container's name is found; the engine must be Docker"
        ),
    }
}

/// The path of the root file system; a relative one is below the bundle.
pub(crate) fn root(config: &Value) -> Result<PathBuf> {
    let path = config["root"]["path"].as_str();
    Ok(path.context("no root.path")?.into())
}

/// The path of the container's cgroup, in the form that the cgroup driver expects.
pub(crate) fn cgroup(config: &Value) -> Option<&str> {
    config["linux"]["cgroupsPath"].as_str()
}

/// The bind mounts.
pub(crate) fn binds(config: &Value) -> Result<Vec<Bind>> {
    let Some(mounts) = config["mounts"].as_array() else {
        return Ok(Vec::new());
    };
    let binds = mounts.iter().enumerate().filter(|(_, m)| is_bind(m));
    binds
        .map(|(index, mount)| {
            Ok(Bind {
                index,
                source: source(mount)?,
                recursive: has_option(mount, "rbind"),
            })
        })
        .collect()
}

fn source(mount: &Value) -> Result<PathBuf> {
    let source = mount["source"].as_str().unwrap_or_default();
    ensure!(
        Path::new(source).is_absolute(),
        "the source of the mount at {} is not an absolute path: {source:?}",
        mount["destination"]
    );
    Ok(source.into())
}

fn is_bind(mount: &Value) -> bool {
    mount["type"] == "bind" || has_option(mount, "bind") || has_option(mount, "rbind")
}

fn has_option(mount: &Value, option: &str) -> bool {
    let options = mount["options"].as_array();
    options.into_iter().flatten().any(|o| o == option)
}

/// The configuration for a user namespace.
pub(crate) fn transform(mut config: Value, facts: &Facts) -> Result<Value> {
    let top = config.as_object_mut().context("not an object")?;
    object(top, "root")?.insert("path".to_owned(), text(&facts.root)?);
    let mounts = array(top, "mounts")?;
    for (index, path) in &facts.sources {
        let mount = mounts.get_mut(*index).and_then(Value::as_object_mut);
        let mount = mount.with_context(|| format!("no mount {index}"))?;
        mount.insert("source".to_owned(), text(path)?);
    }
    for mount in mounts.iter_mut() {
        // A user namespace cannot make them writable later. Their files are protected
        // by the host's root being another user.
        if mount["type"] == "sysfs" || mount["type"] == "cgroup" {
            let options = mount.get_mut("options").and_then(Value::as_array_mut);
            if let Some(options) = options {
                options.retain(|option| option != "ro");
            }
        }
    }
    for device in &facts.devices {
        mounts.push(json!({
            "destination": device.path,
            "type": "bind",
            "source": text(&device.source)?,
            "options": ["bind", "rw", "nosuid", "noexec"],
        }));
    }
    linux(object(top, "linux")?, facts)?;
    Ok(config)
}

fn linux(linux: &mut Map<String, Value>, facts: &Facts) -> Result<()> {
    let namespaces = array(linux, "namespaces")?;
    ensure!(
        !namespaces.iter().any(|n| n["type"] == "user"),
        "the container already has a user namespace; do not use this runtime together with the engine's userns-remap"
    );
    for kind in NAMESPACES {
        ensure!(
            namespaces.iter().any(|n| n["type"] == *kind),
            "the container shares the host's {kind} namespace, which a user namespace cannot use; create it with its own"
        );
    }
    namespaces.push(json!({"type": "user", "path": text(&facts.namespace)?}));
    let Range { base, size } = facts.range;
    let ids = json!([{"containerID": 0, "hostID": base, "size": size}]);
    linux.insert("uidMappings".to_owned(), ids.clone());
    linux.insert("gidMappings".to_owned(), ids);
    // Nodes of the host's devices would have no owner inside, and are not permitted.
    linux.insert("devices".to_owned(), json!([]));
    object(linux, "resources")?.insert("devices".to_owned(), device_rules(&facts.devices));
    let sysctl = linux.get_mut("sysctl").and_then(Value::as_object_mut);
    if let Some(groups) = sysctl.and_then(|s| s.get_mut(PING_GROUPS)) {
        // The engine's default contains ids that are not in the namespace.
        *groups = json!(format!("0 {}", size.saturating_sub(1)));
    }
    Ok(())
}

fn device_rules(granted: &[Device]) -> Value {
    let mut rules = vec![json!({"allow": false, "access": "rwm"})];
    let granted = granted.iter().map(|d| (d.major, Some(d.minor)));
    rules.extend(
        DEVICES
            .iter()
            .copied()
            .chain(granted)
            .map(|(major, minor)| {
                let mut rule = json!({"allow": true, "type": "c", "access": "rwm", "major": major});
                if let Some(minor) = minor {
                    rule["minor"] = json!(minor);
                }
                rule
            }),
    );
    Value::Array(rules)
}

fn text(path: &Path) -> Result<Value> {
    let text = path.to_str();
    Ok(text
        .with_context(|| format!("{} is not UTF-8", path.display()))?
        .into())
}

/// The object of a key, created if it is missing.
fn object<'a>(parent: &'a mut Map<String, Value>, key: &str) -> Result<&'a mut Map<String, Value>> {
    let value = parent.entry(key).or_insert(Value::Null);
    if value.is_null() {
        *value = json!({});
    }
    value
        .as_object_mut()
        .with_context(|| format!("{key} is not an object"))
}

/// The array of a key, created if it is missing.
fn array<'a>(parent: &'a mut Map<String, Value>, key: &str) -> Result<&'a mut Vec<Value>> {
    let value = parent.entry(key).or_insert(Value::Null);
    if value.is_null() {
        *value = json!([]);
    }
    value
        .as_array_mut()
        .with_context(|| format!("{key} is not an array"))
}

#[cfg(test)]
mod tests;
