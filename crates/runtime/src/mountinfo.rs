//! Parses `/proc/PID/mountinfo`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// A mounted file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The directory of the file system that is mounted.
    pub root: PathBuf,
    pub target: PathBuf,
    /// Type of the file system.
    pub kind: String,
    /// Options of the file system, with octal escapes.
    pub options: Vec<u8>,
}

impl Mount {
    /// The options with their values, decoded.
    pub fn options(&self) -> impl Iterator<Item = (Vec<u8>, Option<Vec<u8>>)> {
        self.options.split(|b| *b == b',').map(|option| {
            match option.iter().position(|b| *b == b'=') {
                Some(at) => (decode(&option[..at]), Some(decode(&option[at + 1..]))),
                None => (decode(option), None),
            }
        })
    }
}

/// The mounts of this process.
///
/// # Errors
/// If the kernel's file cannot be read.
pub fn own() -> Result<Vec<Mount>> {
    let path = "/proc/self/mountinfo";
    let text = std::fs::read(path).with_context(|| format!("reading {path}"))?;
    Ok(parse(&text))
}

/// All mounts; lines with too few fields are left out.
pub fn parse(text: &[u8]) -> Vec<Mount> {
    text.split(|b| *b == b'\n').filter_map(mount).collect()
}

fn mount(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|b| *b == b' ');
    // Mount id, parent's id, device.
    let root = fields.nth(3)?;
    let target = fields.next()?;
    // The number of optional fields before the separator differs.
    fields.find(|field| *field == b"-")?;
    let kind = String::from_utf8(decode(fields.next()?)).ok()?;
    let _source = fields.next()?;
    Some(Mount {
        root: path(root),
        target: path(target),
        kind,
        options: fields.next()?.to_vec(),
    })
}

/// The mount that is visible at a path.
pub fn find<'a>(mounts: &'a [Mount], target: &Path) -> Option<&'a Mount> {
    mounts.iter().rev().find(|m| m.target == target)
}

fn path(field: &[u8]) -> PathBuf {
    OsString::from_vec(decode(field)).into()
}

/// Replaces octal escapes (`\040`), which the kernel writes for blanks, commas and
/// backslashes.
fn decode(field: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        let escaped = match tail {
            [
                a @ b'0'..=b'3',
                b @ b'0'..=b'7',
                c @ b'0'..=b'7',
                after @ ..,
            ] if *first == b'\\' => {
                rest = after;
                Some((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'))
            }
            _ => None,
        };
        decoded.push(escaped.unwrap_or(*first));
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fields_are_decoded_and_the_last_mount_of_a_target_is_visible() {
        let text = b"22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
            36 22 0:31 /a\\040b /mnt/x\\134y ro shared:2 master:1 - overlay overlay rw,lowerdir=/l\\0541:/l2,index=off\n\
            37 36 0:32 / /mnt/x\\134y rw - tmpfs tmpfs rw\n\
            short line\n";
        let mounts = parse(text);
        assert_eq!(mounts.len(), 3);
        assert_eq!(mounts[1].root, Path::new("/a b"));
        assert_eq!(mounts[1].target, Path::new("/mnt/x\\y"));
        let options: Vec<_> = mounts[1].options().collect();
        assert_eq!(options[0], (b"rw".to_vec(), None));
        assert_eq!(
            options[1],
            (b"lowerdir".to_vec(), Some(b"/l,1:/l2".to_vec()))
        );
        assert_eq!(find(&mounts, Path::new("/mnt/x\\y")).unwrap().kind, "tmpfs");
        assert_eq!(find(&mounts, Path::new("/mnt")), None);
    }

    #[test]
    fn incomplete_escapes_are_kept() {
        assert_eq!(decode(b"\\04"), b"\\04");
        assert_eq!(decode(b"\\0408\\"), b" 8\\");
        assert_eq!(decode(b"\\400"), b"\\400");
    }

    proptest! {
        #[test]
        fn what_the_kernel_escapes_is_decoded(bytes in proptest::collection::vec(1u8.., 0..40)) {
            let escaped: Vec<u8> = bytes
                .iter()
                .flat_map(|b| match b {
                    b' ' | b'\t' | b'\n' | b'\\' | b',' => format!("\\{b:03o}").into_bytes(),
                    other => vec![*other],
                })
                .collect();
            prop_assert_eq!(decode(&escaped), bytes);
        }

        #[test]
        fn any_text_is_parsed_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for mount in parse(&bytes) {
                mount.options().count();
            }
        }
    }
}
