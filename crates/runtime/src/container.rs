//! The name of a container, from the files of the engine.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use rustix::fs::{Mode, OFlags};
use serde_json::Value;

/// The engine's file with the properties of a container.
const FILE: &str = "config.v2.json";

/// The name of the container whose host name is in this file, which the engine keeps
/// beside the properties of the container. `config.json` contains no name.
pub(crate) fn name(hostname_file: &Path, id: &str) -> Result<String> {
    let directory = hostname_file
        .parent()
        .context("the file is in no directory")?;
    ensure!(
        directory.file_name().is_some_and(|name| name == id),
        "{} is not in the engine's directory of the container {id}",
        hostname_file.display()
    );
    let path = directory.join(FILE);
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::open(&path, flags, Mode::empty())
        .with_context(|| format!("opening {}", path.display()))?;
    let mut file = File::from(file);
    for (path, metadata) in [
        (directory, directory.metadata()?),
        (&path, file.metadata()?),
    ] {
        ensure!(
            metadata.uid() == 0 && metadata.mode() & 0o022 == 0,
            "{} must be owned by root and writable by root only",
            path.display()
        );
    }
    let mut text = String::new();
    file.read_to_string(&mut text)
        .with_context(|| format!("reading {}", path.display()))?;
    parse(&text, id).with_context(|| path.display().to_string())
}

fn parse(text: &str, id: &str) -> Result<String> {
    let properties: Value = serde_json::from_str(text)?;
    let found = properties["ID"].as_str().unwrap_or_default();
    ensure!(found == id, "describes the container {found:?}, not {id}");
    let name = properties["Name"].as_str().context("no Name")?;
    Ok(name.strip_prefix('/').unwrap_or(name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_read_only_if_the_id_is_equal() {
        let text = r#"{"ID": "abc", "Name": "/jb-node", "Config": {}}"#;
        assert_eq!(parse(text, "abc").unwrap(), "jb-node");
        assert!(parse(text, "abd").is_err());
        for text in [
            "",
            "[]",
            "{}",
            r#"{"ID": "abc"}"#,
            r#"{"ID": "abc", "Name": 1}"#,
        ] {
            assert!(parse(text, "abc").is_err(), "{text}");
        }
    }

    #[test]
    fn a_file_outside_of_the_directory_of_the_container_is_refused() {
        for file in [
            "/data/containers/other/hostname",
            "/hostname",
            "/",
            "hostname",
        ] {
            let error = name(Path::new(file), "abc").unwrap_err().to_string();
            assert!(error.contains("directory"), "{error}");
        }
        let error = name(Path::new("/nonexistent/abc/hostname"), "abc").unwrap_err();
        assert!(
            error
                .to_string()
                .contains("/nonexistent/abc/config.v2.json"),
            "{error}"
        );
    }
}
