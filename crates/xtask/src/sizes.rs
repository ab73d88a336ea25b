//! `./x sizes`: sizes of the project.

use std::path::Path;

use anyhow::Result;

use crate::{shell, tidy};

/// Prints the lines of each crate, and the sizes of existing binaries and images.
pub fn sizes() -> Result<()> {
    println!(
        "{:<16} {:>8} {:>8} {:>6}",
        "crate", "code", "tests", "files"
    );
    let crates = shell::root().join("crates");
    let mut names: Vec<_> = std::fs::read_dir(&crates)?
        .filter_map(|e| e.ok())
        .map(|e| e.path())
        .collect();
    names.sort();
    let mut total = (0, 0, 0);
    for path in names.iter().filter(|p| p.is_dir()) {
        let mut count = (0, 0, 0);
        lines(path, &mut count)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        println!("{name:<16} {:>8} {:>8} {:>6}", count.0, count.1, count.2);
        total = (total.0 + count.0, total.1 + count.1, total.2 + count.2);
    }
    println!(
        "{:<16} {:>8} {:>8} {:>6}",
        "total", total.0, total.1, total.2
    );
    for profile in ["release", "debug"] {
        for name in ["jeroboam", "jeroboam-node", "jeroboam-runtime"] {
            let path = shell::target().join(profile).join(name);
            if let Ok(meta) = path.metadata() {
                println!("{profile}/{name}: {:.1} MB", meta.len() as f64 / 1e6);
            }
        }
    }
    let images = shell::output(&mut shell::command(
        "docker",
        &[
            "images",
            "--filter",
            "reference=jeroboam/*",
            "--format",
            "image {{.Repository}}:{{.Tag}} {{.Size}}",
        ],
    ));
    println!(
        "{}",
        images.unwrap_or_else(|_| "images: Docker does not answer".into())
    );
    Ok(())
}

fn lines(dir: &Path, count: &mut (usize, usize, usize)) -> Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            lines(&path, count)?;
        } else if path.extension().is_some_and(|e| e == "rs") {
            let file = tidy::File::new(&path.to_string_lossy(), std::fs::read_to_string(&path)?);
            let tests = file.lines.iter().filter(|l| file.test || l.test).count();
            count.0 += file.lines.len() - tests;
            count.1 += tests;
            count.2 += 1;
        }
    }
    Ok(())
}
