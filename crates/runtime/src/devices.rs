//! The devices of the host that a node in a user namespace gets, besides those of an
//! ordinary container.

use std::fmt;

/// Devices that have a state for each opening or each network namespace, and no power
/// over the host. Nodes get them by default.
const DEFAULT: [&str; 2] = ["/dev/fuse", "/dev/net/tun"];
const MAX_DEVICES: usize = 32;
const MAX_PATH: usize = 64;

/// Paths of character devices of the host; a node has them at the same paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Devices(Vec<String>);

/// A list that cannot be one of devices; the text names the device and the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidDevices(String);

impl fmt::Display for InvalidDevices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidDevices {}

impl Default for Devices {
    fn default() -> Self {
        Self(DEFAULT.map(str::to_owned).to_vec())
    }
}

impl Devices {
    /// Checks the paths, but not whether the host has the devices.
    ///
    /// # Errors
    /// If a path is not a plain path below `/dev`, or there are more than 32.
    pub fn new(paths: Vec<String>) -> Result<Self, InvalidDevices> {
        if paths.len() > MAX_DEVICES {
            return Err(InvalidDevices(format!(
                "{} devices are listed; at most {MAX_DEVICES} are possible",
                paths.len()
            )));
        }
        for (index, path) in paths.iter().enumerate() {
            if !is_device_path(path) {
                return Err(InvalidDevices(format!(
                    "{path:?} is not the path of a device; write a path below /dev such as \
                     \"/dev/fuse\", with at most {MAX_PATH} letters, digits and _.-"
                )));
            }
            if paths[..index].contains(path) {
                return Err(InvalidDevices(format!("{path:?} is listed twice")));
            }
        }
        Ok(Self(paths))
    }

    /// The paths.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// The text in a grant; `None` for the default, which earlier releases expect.
    pub(crate) fn text(&self) -> Option<String> {
        (*self != Self::default()).then(|| self.0.join(","))
    }

    /// The devices of a text in a grant.
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidDevices> {
        let paths = text.split(',').filter(|_| !text.is_empty());
        Self::new(paths.map(str::to_owned).collect())
    }
}

fn is_device_path(path: &str) -> bool {
    let is_plain = |name: &str| {
        let permitted = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
        !name.is_empty() && !name.starts_with('.') && name.bytes().all(permitted)
    };
    path.len() <= MAX_PATH
        && path
            .strip_prefix("/dev/")
            .is_some_and(|rest| rest.split('/').all(is_plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn devices(paths: &[&str]) -> Result<Devices, InvalidDevices> {
        Devices::new(paths.iter().map(|path| (*path).to_owned()).collect())
    }

    #[test]
    fn only_plain_paths_below_dev_are_devices() {
        assert_eq!(
            devices(&["/dev/fuse", "/dev/net/tun"]),
            Ok(Devices::default())
        );
        let long = format!("/dev/{}", "x".repeat(60));
        for path in [
            "",
            "fuse",
            "/dev",
            "/dev/",
            "/dev//fuse",
            "/dev/../etc/x",
            "/dev/a,b",
            "/dev/a b",
            "/dev/./fuse",
            "/dev/fuse\n",
            "/etc/passwd",
            &long,
        ] {
            let why = devices(&["/dev/fuse", path]).unwrap_err().to_string();
            assert!(why.contains(&format!("{path:?}")), "{why}");
        }
        assert!(devices(&["/dev/kvm", "/dev/kvm"]).is_err());
        let many: Vec<String> = (0..33).map(|n| format!("/dev/x{n}")).collect();
        assert!(Devices::new(many).is_err());
    }

    #[test]
    fn a_text_determines_the_devices_and_the_default_has_none() {
        assert_eq!(Devices::default().text(), None);
        for list in [vec![], vec!["/dev/fuse"], vec!["/dev/kvm", "/dev/net/tun"]] {
            let devices = devices(&list).unwrap();
            assert_eq!(Devices::parse(&devices.text().unwrap()), Ok(devices));
        }
        for text in [",", "/dev/fuse,", "x"] {
            assert!(Devices::parse(text).is_err(), "{text}");
        }
    }
}
