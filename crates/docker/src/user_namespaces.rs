//! Containers in user namespaces of their own: whether the host can run them, and
//! the ranges of user ids that they get.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use bollard::models::{ContainerCreateBody, SystemInfo};
use infra::{
    ContainerHost as _, ContainerSpec, InvalidReservation, LABEL_INSTALLATION, OfferedIsolation,
    Reservations,
};
use kernel::{Error, Kind, Result};
use runtime::grants::{
    Claim, ClaimError, DIRECTORY, Grant, Grants, InvalidGrant, RUNTIME, Range, VARIABLE,
};
use runtime::leftovers;

use crate::{Engine, program};

/// Other servers of the host wait while this server inspects a container and holds
/// the lock of the grants.
const INSPECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Time for the removal of what a container has left.
const LEFTOVERS_TIMEOUT: Duration = Duration::from_secs(2);

/// Oldest kernel with overlay file systems over idmapped layers.
const KERNEL: (u32, u32) = (5, 19);

/// The strongest isolation level of the host of the engine at `url`.
pub(crate) async fn offered(url: &str, info: &SystemInfo) -> OfferedIsolation {
    let missing = missing(url, info).or_else(|| {
        let opened = Grants::open(DIRECTORY);
        opened
            .err()
            .map(|e| format!("{e}; this server must run as root on the host of its engine"))
    });
    let missing = match missing {
        Some(missing) => Some(missing),
        None => program::identify(info).await.err(),
    };
    missing.map_or_else(OfferedIsolation::full, OfferedIsolation::host_root)
}

/// What the engine or its kernel lacks for user namespaces, and what to do.
fn missing(url: &str, info: &SystemInfo) -> Option<String> {
    if !url.starts_with("unix://") {
        return Some(format!(
            "the engine at {url} may be on another host; connect this server to an engine of \
             the same host, by a unix:// address"
        ));
    }
    let runtimes = info.runtimes.as_ref();
    if !runtimes.is_some_and(|all| all.contains_key(RUNTIME)) {
        return Some(format!(
            "the engine has no runtime {RUNTIME}; run `jeroboam host prepare` on the host"
        ));
    }
    let directory = info.docker_root_dir.as_deref().unwrap_or_default();
    if is_open_to_all(directory) {
        return Some(format!(
            "all users of the host can enter the engine's directory {directory}, where programs \
             that root in a node has made setuid belong to root; run `chmod 710 {directory}`"
        ));
    }
    let driver = info.driver.as_deref().unwrap_or("unknown");
    if driver != "overlay2" {
        return Some(format!(
            "the storage driver of the engine is {driver}; set `storage-driver` to overlay2 in \
             /etc/docker/daemon.json"
        ));
    }
    let version = info.kernel_version.as_deref().unwrap_or_default();
    if kernel_version(version).is_none_or(|v| v < KERNEL) {
        return Some(format!(
            "the kernel is '{version}'; user namespaces over idmapped layers need {}.{} or newer",
            KERNEL.0, KERNEL.1
        ));
    }
    None
}

/// Whether users without a right on the directory can open files below it. Engines
/// before 20.10.9 have made it so. A directory that cannot be read is not of this host.
fn is_open_to_all(directory: &str) -> bool {
    std::fs::metadata(directory).is_ok_and(|m| m.permissions().mode() & 0o001 != 0)
}

/// Major and minor number of a version such as `6.1.0-50-cloud`.
fn kernel_version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// What is wrong with files among the grants of this host, and what to do.
///
/// # Errors
/// If the directory of the grants cannot be used.
pub fn invalid_grants() -> std::io::Result<Vec<String>> {
    if !has_grants() {
        return Ok(Vec::new());
    }
    let listing = Grants::existing(DIRECTORY).list()?;
    Ok(listing.invalid.into_iter().map(|grant| grant.why).collect())
}

fn invalid(grant: InvalidGrant) -> InvalidReservation {
    InvalidReservation {
        name: grant.path.display().to_string(),
        hint: grant.why,
    }
}

/// Whether this server may have granted anything: only root can, and can read the
/// grants.
fn has_grants() -> bool {
    std::fs::read_dir(DIRECTORY).is_ok()
}

/// Selects the runtime and hands the range over to it.
pub(crate) fn with_range(mut body: ContainerCreateBody, range: Range) -> ContainerCreateBody {
    let variable = format!("{VARIABLE}={range}");
    body.env.get_or_insert_default().push(variable);
    let host = body.host_config.get_or_insert_default();
    host.runtime = Some(RUNTIME.into());
    body
}

impl Engine {
    /// Reserves a range of user ids for the container of this name, or finds the
    /// one that it has.
    ///
    /// # Errors
    /// `Conflict` if all ranges are in use.
    pub(crate) async fn claim_range(&self, spec: &ContainerSpec) -> Result<Range> {
        let (pool, name) = (self.user_ids, spec.name.clone());
        let devices = self.devices.clone();
        let installation = spec.labels.get(LABEL_INSTALLATION).cloned();
        let claimed = tokio::task::spawn_blocking(move || {
            Grants::open(DIRECTORY)
                .map_err(ClaimError::from)
                .and_then(|grants| {
                    let claim = Claim {
                        container: &name,
                        installation: installation.as_deref(),
                        devices: &devices,
                    };
                    grants.claim(&pool, &claim)
                })
        });
        claimed.await.map_err(Error::internal)?.map_err(|e| {
            let kind = match e {
                ClaimError::Exhausted { .. } => Kind::Conflict,
                _ => Kind::Unavailable { retry_after: 5 },
            };
            Error::new(kind, format!("user ids for container {}: {e}", spec.name))
        })
    }

    /// The containers to which an installation has granted ranges, and the grants that
    /// are not valid.
    pub(crate) async fn granted_to(&self, installation: &str) -> Result<Reservations> {
        if !has_grants() {
            return Ok(Reservations::default());
        }
        let listed = tokio::task::spawn_blocking(|| Grants::existing(DIRECTORY).list());
        let listing = listed.await.map_err(Error::internal)?;
        let listing =
            listing.map_err(|e| Error::unavailable(format!("grants of user ids: {e}")))?;
        let ours = |grant: &Grant| grant.installation.as_deref() == Some(installation);
        Ok(Reservations {
            containers: listing
                .valid
                .into_iter()
                .filter(ours)
                .map(|grant| grant.container)
                .collect(),
            invalid: listing.invalid.into_iter().map(invalid).collect(),
        })
    }

    /// Frees the range of a container that does not exist any more.
    pub(crate) async fn release_range(&self, container: &str) -> Result<()> {
        if !has_grants() || self.inspect(container).await?.is_some() {
            return Ok(());
        }
        let (engine, name) = (self.clone(), container.to_owned());
        let runtime = tokio::runtime::Handle::current();
        let released = tokio::task::spawn_blocking(move || {
            let exists = || {
                let inspect = tokio::time::timeout(INSPECT_TIMEOUT, engine.inspect(&name));
                match runtime.block_on(inspect) {
                    Ok(Ok(found)) => Ok(found.is_some()),
                    Ok(Err(e)) => Err(std::io::Error::other(e.message)),
                    Err(_) => Err(std::io::Error::other("the engine does not answer")),
                }
            };
            // An engine that was killed may have left processes with ids of the range.
            if let Err(e) = leftovers::remove(LEFTOVERS_TIMEOUT) {
                tracing::warn!("containers that do not exist any more have left something: {e:#}");
            }
            Grants::open(DIRECTORY).and_then(|grants| grants.release(&name, exists))
        });
        let released = released.await.map_err(Error::internal)?;
        released.map(|_| ()).map_err(|e| {
            let text = format!("user ids of container {container}: {e}");
            match e.kind() {
                // An operator has to repair the directory.
                std::io::ErrorKind::PermissionDenied => Error::conflict(text),
                _ => Error::unavailable(text),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use bollard::models::Runtime;

    use super::*;

    const LOCAL: &str = "unix:///var/run/docker.sock";

    fn able() -> SystemInfo {
        SystemInfo {
            runtimes: Some(HashMap::from([(RUNTIME.to_owned(), Runtime::default())])),
            driver: Some("overlay2".into()),
            kernel_version: Some("6.1.0-50-cloud-amd64".into()),
            ..SystemInfo::default()
        }
    }

    #[test]
    fn what_a_host_lacks_is_named() {
        assert_eq!(missing(LOCAL, &able()), None);
        let cases = [
            ("tcp://10.0.0.1:2375", able(), "another host"),
            (
                LOCAL,
                SystemInfo {
                    runtimes: None,
                    ..able()
                },
                "jeroboam host prepare",
            ),
            (
                LOCAL,
                SystemInfo {
                    driver: Some("vfs".into()),
                    ..able()
                },
                "is vfs",
            ),
            (
                LOCAL,
                SystemInfo {
                    kernel_version: Some("5.15.0-1".into()),
                    ..able()
                },
                "5.19 or newer",
            ),
            (
                LOCAL,
                SystemInfo {
                    kernel_version: None,
                    ..able()
                },
                "5.19 or newer",
            ),
        ];
        for (url, info, text) in cases {
            let why = missing(url, &info).unwrap();
            assert!(why.contains(text), "{why}");
        }
    }

    #[test]
    fn the_directory_of_the_engine_is_closed_to_users() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("docker");
        std::fs::create_dir(&path).unwrap();
        let check = |mode| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let info = SystemInfo {
                docker_root_dir: Some(path.display().to_string()),
                ..able()
            };
            missing(LOCAL, &info)
        };
        assert_eq!(check(0o710), None);
        assert!(check(0o711).unwrap().contains("chmod 710"));
    }

    #[test]
    fn versions_of_kernels() {
        assert_eq!(kernel_version("5.19"), Some((5, 19)));
        assert_eq!(kernel_version("6.18.5-x"), Some((6, 18)));
        assert_eq!(kernel_version("five"), None);
    }

    #[test]
    fn the_range_is_in_the_environment() {
        let body = with_range(
            ContainerCreateBody::default(),
            "65536:65536".parse().unwrap(),
        );
        assert_eq!(body.env.unwrap(), ["JEROBOAM_USERNS=65536:65536"]);
        assert_eq!(
            body.host_config.unwrap().runtime.unwrap(),
            "jeroboam-userns"
        );
    }
}
