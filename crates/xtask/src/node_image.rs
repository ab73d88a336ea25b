//! The node image of a COE.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::shell;

/// Builds the node image if it is missing, or the agent or its recipe has
/// changed.
pub fn build_if_changed(bin: &Path, coe: &str) -> Result<()> {
    let agent = bin.with_file_name("jeroboam-node");
    let recipe = [format!("images/{coe}/build.sh"), "images/lib.sh".to_owned()];
    let sums = shell::output(
        Command::new("sha256sum")
            .arg(&agent)
            .args(recipe.map(|file| shell::root().join(file))),
    )?;
    let sums = sums.lines().filter_map(|l| l.split_whitespace().next());
    let sum = sums.collect::<Vec<_>>().join(" ");
    let stamp = shell::cache_dir().join(format!("{coe}-image"));
    let tag = format!("jeroboam/{coe}:latest");
    let id =
        || shell::output(Command::new("docker").args(["image", "inspect", "-f", "{{.Id}}", &tag]));
    if let Ok(id) = id()
        && fs::read_to_string(&stamp).is_ok_and(|t| t.trim() == format!("{id} {sum}"))
    {
        return Ok(());
    }
    shell::run(Command::new(bin).args(["image", "build", coe]))?;
    fs::create_dir_all(shell::cache_dir())?;
    fs::write(stamp, format!("{} {sum}", id()?))?;
    Ok(())
}
