//! Parses the command line as runc does. Options that are not known here are refused,
//! because it is not known whether the next argument is their value.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};

const GLOBAL_VALUES: &[&str] = &["log", "log-format", "root", "criu", "rootless"];
const GLOBAL_FLAGS: &[&str] = &["debug", "systemd-cgroup"];
/// Options instead of a command.
const INFORMATION: &[&str] = &["help", "h", "version", "v"];
const CREATE_VALUES: &[&str] = &["bundle", "b", "console-socket", "pid-file", "preserve-fds"];
const CREATE_FLAGS: &[&str] = &["no-pivot", "no-new-keyring"];
const KILL_FLAGS: &[&str] = &["all", "a"];
/// The names of the signal KILL.
const KILL: &[&str] = &["9", "KILL", "SIGKILL"];
const DELETE_FLAGS: &[&str] = &["force", "f"];
const DEFAULT_ROOT: &str = "/run/runc";

/// What a command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Create(Create),
    /// `delete` of this container.
    Delete {
        id: String,
        force: bool,
    },
    /// `kill` of this container with the signal KILL.
    Kill(String),
    /// Any other command, which runc handles.
    Other,
}

/// The arguments of `create`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Create {
    pub id: String,
    pub bundle: PathBuf,
    pub pid_file: PathBuf,
    /// The global options, for other commands for the same container.
    pub global: Vec<OsString>,
}

/// A parsed command line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Arguments {
    /// Directory with the states of the containers.
    pub root: PathBuf,
    pub command: Command,
}

/// An option and the value that follows it or its `=`.
struct Parsed<'a> {
    options: Vec<(&'a str, Option<&'a OsStr>)>,
    /// The first argument that is not an option, and the arguments after it.
    rest: &'a [OsString],
}

impl Parsed<'_> {
    /// The value of an option; the last one counts.
    fn value(&self, names: &[&str]) -> Option<PathBuf> {
        let mut found = self.options.iter().filter(|(name, _)| names.contains(name));
        found
            .next_back()
            .and_then(|(_, value)| value.map(PathBuf::from))
    }
}

/// The log file of a command line, also if other arguments are wrong.
pub(crate) fn log_file(args: &[OsString]) -> Option<PathBuf> {
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match option(arg)? {
            ("log", Some(value)) => return Some(value.into()),
            ("log", None) => return args.next().map(PathBuf::from),
            (name, None) if GLOBAL_VALUES.contains(&name) => {
                args.next();
            }
            _ => {}
        }
    }
    None
}

/// Parses the arguments after the name of the program.
pub(crate) fn parse(args: &[OsString]) -> Result<Arguments> {
    let flags: Vec<&str> = [GLOBAL_FLAGS, INFORMATION].concat();
    let global = options(args, GLOBAL_VALUES, &flags).context("before the command")?;
    let root = global
        .value(&["root"])
        .unwrap_or_else(|| PathBuf::from(DEFAULT_ROOT));
    let informs = |(name, _): &(&str, _)| INFORMATION.contains(name);
    let command = match global.rest.split_first() {
        _ if global.options.iter().any(informs) => Command::Other,
        None => Command::Other,
        Some((command, rest)) if command == "create" => {
            let before = args.len() - global.rest.len();
            Command::Create(create(rest, &args[..before]).context("create")?)
        }
        Some((command, rest)) if command == "delete" => delete(rest),
        Some((command, rest)) if command == "kill" => kill(rest),
        Some((command, _)) if command == "run" || command == "restore" => bail!(
            "{} is not supported, because the container would have no user namespace; use create and start",
            command.display()
        ),
        Some(_) => Command::Other,
    };
    Ok(Arguments { root, command })
}

fn create(args: &[OsString], global: &[OsString]) -> Result<Create> {
    let mut parsed = options(args, CREATE_VALUES, CREATE_FLAGS)?;
    let (id, rest) = parsed.rest.split_first().context("the id is missing")?;
    // runc accepts options after the id, too.
    let after = options(rest, CREATE_VALUES, CREATE_FLAGS)?;
    ensure!(
        after.rest.is_empty(),
        "more than one argument: {:?}",
        after.rest
    );
    parsed.options.extend(after.options);
    ensure!(
        parsed.value(&["bundle", "b"]).is_none() || count(&parsed, &["bundle", "b"]) == 1,
        "--bundle is repeated"
    );
    ensure!(
        count(&parsed, &["pid-file"]) == 1,
        "--pid-file must be given once, because the cgroups are found by the id of the process"
    );
    let id = id.to_str().filter(|id| is_id(id));
    Ok(Create {
        id: id.context("the id is not valid")?.to_owned(),
        bundle: parsed
            .value(&["bundle", "b"])
            .unwrap_or_else(|| PathBuf::from(".")),
        pid_file: parsed.value(&["pid-file"]).context("no --pid-file")?,
        global: global.to_vec(),
    })
}

fn count(parsed: &Parsed<'_>, names: &[&str]) -> usize {
    let named = parsed
        .options
        .iter()
        .filter(|(name, _)| names.contains(name));
    named.count()
}

/// A `delete` that cannot be parsed is left to runc.
fn delete(args: &[OsString]) -> Command {
    let Ok(parsed) = options(args, &[], DELETE_FLAGS) else {
        return Command::Other;
    };
    match parsed.rest {
        [id] => match id.to_str().filter(|id| is_id(id)) {
            Some(id) => Command::Delete {
                id: id.to_owned(),
                force: !parsed.options.is_empty(),
            },
            None => Command::Other,
        },
        _ => Command::Other,
    }
}

/// A `kill` that cannot be parsed, or with another signal, is left to runc.
fn kill(args: &[OsString]) -> Command {
    let Ok(parsed) = options(args, &[], KILL_FLAGS) else {
        return Command::Other;
    };
    match parsed.rest {
        [id, signal] if KILL.iter().any(|name| signal == name) => {
            match id.to_str().filter(|id| is_id(id)) {
                Some(id) => Command::Kill(id.to_owned()),
                None => Command::Other,
            }
        }
        _ => Command::Other,
    }
}

/// Whether an id can be the name of a file.
fn is_id(id: &str) -> bool {
    let permitted = |b: u8| b.is_ascii_alphanumeric() || b"_+-.".contains(&b);
    !id.is_empty() && id.len() <= 255 && id.bytes().all(permitted) && id != "." && id != ".."
}

/// Name and value of `--name=value`, `-name=value`, `--name` or `-name`; `None` if the
/// argument is not an option.
fn option(arg: &OsStr) -> Option<(&str, Option<&OsStr>)> {
    use std::os::unix::ffi::OsStrExt as _;
    let bytes = arg.as_bytes();
    let text = bytes
        .strip_prefix(b"--")
        .or_else(|| bytes.strip_prefix(b"-").filter(|rest| !rest.is_empty()))?;
    let (name, value) = match text.iter().position(|b| *b == b'=') {
        Some(at) => (&text[..at], Some(OsStr::from_bytes(&text[at + 1..]))),
        None => (text, None),
    };
    // A name that is not UTF-8 is not known.
    Some((std::str::from_utf8(name).unwrap_or_default(), value))
}

/// Parses options up to the first argument that is not an option.
fn options<'a>(args: &'a [OsString], values: &[&str], flags: &[&str]) -> Result<Parsed<'a>> {
    let mut options = Vec::new();
    let mut at = 0;
    while let Some((name, value)) = args.get(at).and_then(|arg| option(arg)) {
        let arg = args[at].display();
        at += 1;
        if flags.contains(&name) {
            // A false flag is handled as runc would: it has no effect.
            if value.is_none_or(|value| value != "false") {
                options.push((name, None));
            }
        } else if values.contains(&name) {
            let value = match value {
                Some(value) => value,
                None => {
                    at += 1;
                    let next = args.get(at - 1);
                    next.with_context(|| format!("the value of {arg} is missing"))?
                }
            };
            options.push((name, Some(value)));
        } else {
            bail!(
                "the option {arg} is not known to jeroboam-runtime; a newer jeroboam-runtime may know it"
            );
        }
    }
    Ok(Parsed {
        options,
        rest: &args[at..],
    })
}

#[cfg(test)]
mod tests;
