//! The devices of the host that are granted to a container.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use runtime::grants::Devices;
use rustix::fs::{FileType, Mode, major, makedev, minor, mknodat};

use crate::bundle::Device;
use crate::scratch;

/// Devices whose numbers the kernel never changes. A host may create their files only
/// when they are used first.
const FIXED: [(&str, u32, u32); 2] = [("/dev/fuse", 10, 229), ("/dev/net/tun", 10, 200)];
/// The memory and the log of the kernel, among others.
const MEMORY: u32 = 1;

/// The numbers of the devices. Their files are created later, in a place that only the
/// container sees.
pub(crate) fn find(devices: &Devices) -> Result<Vec<Device>> {
    devices
        .iter()
        .enumerate()
        .map(|(index, path)| {
            let fixed = FIXED.iter().find(|(name, ..)| *name == path);
            let (major, minor) = match fixed {
                Some((_, major, minor)) => (*major, *minor),
                None => numbers(Path::new(path))?,
            };
            Ok(Device {
                path: path.to_owned(),
                source: Path::new(scratch::DIRECTORY).join(format!("d{index}")),
                major,
                minor,
            })
        })
        .collect()
}

/// The numbers of a device that the host has.
fn numbers(path: &Path) -> Result<(u32, u32)> {
    let remedy = "correct the setting `[infra] devices` of the server";
    let shown = path.display();
    let metadata = match fs::metadata(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => {
            return Err(e).with_context(|| format!("the host has no device {shown}; {remedy}"));
        }
        found => found.with_context(|| format!("the device {shown}"))?,
    };
    ensure!(
        metadata.file_type().is_char_device(),
        "{shown} is not a character device; {remedy}"
    );
    let device = metadata.rdev();
    ensure!(
        major(device) != MEMORY,
        "{shown} is a device of the kernel's memory, which no container may have; {remedy}"
    );
    Ok((major(device), minor(device)))
}

/// Creates the files with permissions for all users, because in a user namespace the
/// devices of the host have no owner.
pub(crate) fn create(devices: Vec<Device>) -> Result<Vec<Device>> {
    for device in &devices {
        let path = &device.source;
        mknodat(
            rustix::fs::CWD,
            path,
            FileType::CharacterDevice,
            Mode::from_raw_mode(0o666),
            makedev(device.major, device.minor),
        )
        .with_context(|| format!("creating the device {}", path.display()))?;
        // The umask may have removed bits.
        fs::set_permissions(path, fs::Permissions::from_mode(0o666))?;
    }
    Ok(devices)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_character_devices_outside_of_the_kernels_memory_are_found() {
        let found = find(&Devices::default()).unwrap();
        let found: Vec<_> = found.iter().map(|d| (d.major, d.minor)).collect();
        assert_eq!(found, [(10, 229), (10, 200)]);
        assert_eq!(numbers(Path::new("/dev/tty")).unwrap(), (5, 0));
        for (path, reason) in [
            ("/dev/null", "kernel's memory"),
            ("/dev/absent", "has no device"),
            ("/dev/fd", "is not a character device"),
        ] {
            let why = format!("{:#}", numbers(Path::new(path)).unwrap_err());
            assert!(
                why.contains(reason) && why.contains("[infra] devices"),
                "{why}"
            );
        }
    }
}
