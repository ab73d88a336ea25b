//! `create`: gives the container a user namespace, and runs runc.

use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use runtime::cgroups::{self, Processes};
use runtime::grants::{DIRECTORY as GRANTS, Grant, Grants, Range};
use runtime::leftovers::{self, Facts as RecordFacts, Record};
use runtime::mountinfo::{self, Mount};
use rustix::process::{Pid, getppid};
use serde_json::Value;

use crate::arguments::Create;
use crate::bundle::{self, Bind, Facts};
use crate::idmap::{self, Mapping};
use crate::namespace::Namespace;
use crate::overlay::{self, Layers};
use crate::{accounts, cgroup, container, device, runc, scratch};

/// Time for the removal of what a container has left.
const REMOVE_TIMEOUT: Duration = Duration::from_secs(5);
/// The same for containers that are not those of this call.
const OTHERS_TIMEOUT: Duration = Duration::from_millis(500);

/// Creates the container; returns the exit code of runc. `root` is the directory with
/// the states of containers.
pub(crate) fn create(create: &Create, args: &[OsString], root: &Path, runc: &Path) -> Result<i32> {
    // Otherwise the removal after a failure would remove the other container.
    ensure!(
        !root.join(&create.id).exists(),
        "a container with the id {} exists",
        create.id
    );
    let config_path = create.bundle.join("config.json");
    let config = read(&config_path)?;
    let grant = granted(&config, &create.id)?;
    scratch::create()?;
    // What remains is removed later, also by the server, which reports it.
    let _ = leftovers::remove(OTHERS_TIMEOUT);
    let facts = facts(&config, &root.join(&create.id))?;
    let record = Record::write(&create.id, &facts)?;
    let mounts = mountinfo::own()?;
    let created = prepare(config, &create.bundle, &grant, &mounts).and_then(|prepared| {
        write(&config_path, &prepared.config)?;
        start(create, args, runc, &grant.range, &mounts)
    });
    let created = created.map_err(|error| {
        // What runc has not removed because it was killed.
        let how = (Processes::Kill, REMOVE_TIMEOUT);
        match cgroups::remove(&facts.cgroup, &create.id, &mounts, how) {
            Ok(()) => error,
            Err(e) => error.context(format!("{e:#}")),
        }
    });
    if !matches!(created, Ok(0)) {
        record.remove();
    }
    created
}

/// What is recorded about the container with this directory of runc.
fn facts(config: &Value, state: &Path) -> Result<RecordFacts> {
    let file = bundle::hostname_file(config)?;
    // The engine keeps the file at containers/ID/hostname.
    let engine = file.ancestors().nth(2).unwrap_or(Path::new("/"));
    Ok(RecordFacts {
        cgroup: bundle::cgroup(config).unwrap_or_default().to_owned(),
        state: state.to_owned(),
        engine: engine.to_owned(),
        shim: getppid().map_or(0, |pid| pid.as_raw_nonzero().get()),
    })
}

/// A configuration for a user namespace that exists as long as this.
struct Prepared {
    config: Value,
    _namespace: Namespace,
}

fn read(path: &Path) -> Result<Value> {
    let text = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("parsing {}", path.display()))
}

/// Replaces the file. containerd writes it again before each start.
fn write(path: &Path, config: &Value) -> Result<()> {
    let unfinished = path.with_extension("json.jeroboam");
    let replaced = (|| {
        let _ = fs::remove_file(&unfinished);
        let mut file = fs::OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(&unfinished)?;
        file.write_all(config.to_string().as_bytes())?;
        fs::rename(&unfinished, path)
    })();
    replaced.with_context(|| format!("replacing {}", path.display()))
}

/// The grant of the range in the configuration, if it is for this container.
fn granted(config: &Value, id: &str) -> Result<Grant> {
    let range = bundle::range(config)?;
    let file = bundle::hostname_file(config)?;
    let name = container::name(&file, id).context("finding the container's name")?;
    Grants::existing(GRANTS)
        .verify(&range, &name)
        .with_context(|| {
            format!("the range {range} is not granted to the container {name}; the server must grant it before it starts the container")
        })
}

fn prepare(config: Value, bundle: &Path, grant: &Grant, mounts: &[Mount]) -> Result<Prepared> {
    let range = &grant.range;
    let devices = device::find(&grant.devices)?;
    let root = bundle.join(bundle::root(&config)?);
    let root = root
        .canonicalize()
        .with_context(|| format!("the root file system {}", root.display()))?;
    // Docker mounts at overlay2/ID/merged.
    let home = root.ancestors().nth(2).unwrap_or(Path::new("/"));
    let layers = Layers::find(mounts, &root, home)?;
    let mut binds = bundle::binds(&config)?;
    // The engine's own directories: volumes, and the files and the shared memory of
    // containers. With mapped ids, root in the container could write to another path
    // as the host's root.
    let engine = home.parent().unwrap_or(home);
    binds.retain(|bind| {
        bind.source
            .canonicalize()
            .is_ok_and(|path| path.starts_with(engine))
    });
    scratch::hide_mounts()?;
    let namespace = Namespace::create(range)?;
    let directory = Path::new(scratch::DIRECTORY);
    let merged = root;
    let root = overlay::mount(&layers, directory, namespace.as_fd(), range)?;
    accounts::keep(&root)?;
    overlay::forget_cached(&merged);
    let mut sources = Vec::new();
    for bind in &binds {
        sources.extend(map_bind(bind, &namespace)?.map(|path| (bind.index, path)));
    }
    let facts = Facts {
        range: *range,
        namespace: namespace.path(),
        root,
        sources,
        devices: device::create(devices)?,
    };
    Ok(Prepared {
        config: bundle::transform(config, &facts).context("config.json")?,
        _namespace: namespace,
    })
}

/// Mounts the source of a bind mount with mapped ids. `None` if its file system does not
/// support that.
fn map_bind(bind: &Bind, namespace: &Namespace) -> Result<Option<PathBuf>> {
    let source = &bind.source;
    let target = Path::new(scratch::DIRECTORY).join(format!("m{}", bind.index));
    let metadata = fs::metadata(source)
        .with_context(|| format!("the source {} of a mount", source.display()))?;
    let created = if metadata.is_dir() {
        fs::create_dir(&target)
    } else {
        fs::write(&target, "")
    };
    created.with_context(|| format!("creating {}", target.display()))?;
    let mapping = idmap::mount(source, &target, namespace.as_fd(), bind.recursive)?;
    Ok((mapping == Mapping::Mapped).then_some(target))
}

/// Runs runc and delegates the cgroups. A container whose cgroups cannot be delegated is
/// removed.
fn start(
    create: &Create,
    args: &[OsString],
    runc: &Path,
    range: &Range,
    mounts: &[Mount],
) -> Result<i32> {
    let status = runc::run(runc, args)?;
    let Some(code) = status.exit_status() else {
        remove(create, runc)?;
        let signal = status.terminating_signal().unwrap_or_default();
        bail!("runc create was killed by signal {signal}; start the container again");
    };
    if code != 0 {
        return Ok(code);
    }
    let delegated =
        pid(&create.pid_file).and_then(|pid| cgroup::delegate(pid, &create.id, range.base, mounts));
    if let Err(e) = delegated {
        remove(create, runc)?;
        return Err(e.context("delegating the cgroups to the container"));
    }
    Ok(code)
}

fn remove(create: &Create, runc: &Path) -> Result<()> {
    let status = runc::delete(runc, &create.global, &create.id)?;
    ensure!(
        status.exit_status() == Some(0),
        "runc cannot delete the container {}",
        create.id
    );
    Ok(())
}

/// The id of the container's first process.
fn pid(file: &Path) -> Result<Pid> {
    let text = fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let pid = text.trim().parse().ok().and_then(Pid::from_raw);
    pid.with_context(|| format!("no process id in {}", file.display()))
}
