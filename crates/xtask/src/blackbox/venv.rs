//! The Python environment of the tests.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::shell;

/// The list of packages, relative to the checkout.
const REQUIREMENTS: &str = "tests/requirements.txt";

/// A Python environment with the packages of `tests/requirements.txt` from PyPI. The
/// environment of an older checkout is updated.
pub fn venv() -> Result<PathBuf> {
    let dir = shell::cache_dir().join("venv");
    let file = shell::root().join(REQUIREMENTS);
    let wanted = hash(&file)?;
    if is_complete(&dir, &wanted) {
        return Ok(dir);
    }
    println!("installing {REQUIREMENTS} from PyPI into {}", dir.display());
    std::fs::create_dir_all(shell::cache_dir())?;
    shell::run(Command::new("python3").args(["-m", "venv"]).arg(&dir))?;
    shell::run(
        Command::new(dir.join("bin/pip"))
            .args(["install", "--quiet", "--disable-pip-version-check", "-r"])
            .arg(&file),
    )
    .context("pip; the tests need the packages of tests/requirements.txt from PyPI")?;
    std::fs::write(stamp(&dir), wanted)?;
    Ok(dir)
}

/// Whether exactly the requirements with this hash were installed.
fn is_complete(dir: &Path, wanted: &str) -> bool {
    dir.join("bin/openstack").is_file()
        && dir.join("bin/pytest").is_file()
        && std::fs::read_to_string(stamp(dir)).is_ok_and(|found| found.trim() == wanted)
}

/// The file with the hash of the installed requirements, which is written last.
fn stamp(dir: &Path) -> PathBuf {
    dir.join("complete")
}

fn hash(file: &Path) -> Result<String> {
    let sum = shell::output(Command::new("sha256sum").arg(file))?;
    Ok(sum.split_whitespace().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_is_complete_only_with_the_hash_of_the_requirements() {
        let dir = std::env::temp_dir().join(format!("xtask-venv-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("bin")).unwrap();
        for program in ["openstack", "pytest"] {
            std::fs::write(dir.join("bin").join(program), "").unwrap();
        }
        let wanted = hash(&shell::root().join(REQUIREMENTS)).unwrap();
        assert_eq!(wanted.len(), 64);
        assert!(!is_complete(&dir, &wanted));
        // The stamp of earlier checkouts was empty.
        std::fs::write(stamp(&dir), "").unwrap();
        assert!(!is_complete(&dir, &wanted));
        std::fs::write(stamp(&dir), &wanted).unwrap();
        assert!(is_complete(&dir, &wanted));
        std::fs::remove_file(dir.join("bin/pytest")).unwrap();
        assert!(!is_complete(&dir, &wanted));
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn each_requirement_has_an_exact_version() {
        let text = std::fs::read_to_string(shell::root().join(REQUIREMENTS)).unwrap();
        let lines: Vec<&str> = text.lines().filter(|l| !l.starts_with('#')).collect();
        assert!(
            !lines.is_empty() && lines.iter().all(|l| l.contains("==")),
            "{lines:?}"
        );
    }
}
