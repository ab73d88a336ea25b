//! The system calls that nodes in user namespaces cannot use. Everything else is permitted,
//! because containers and pods in a node may be privileged.
//!
//! These calls allocate memory of the kernel that counts for no cgroup. Keys and the
//! buffers of perf are limited for each user only, and a node has a million users; the
//! rings of packet sockets are not limited at all.

use serde_json::{Value, json};

const EPERM: u16 = 1;
const EACCES: u16 = 13;
const ENOSYS: u16 = 38;

/// Runtimes of containers continue without keys only after this error.
const KEYS: [&str; 3] = ["add_key", "keyctl", "request_key"];

/// It can do the same as `setsockopt`, which a filter of system calls does not see.
const IO_URING: [&str; 3] = ["io_uring_enter", "io_uring_register", "io_uring_setup"];

/// Sockets of this family have rings in memory that counts for no cgroup, too.
const AF_XDP: u32 = 44;
const SOL_XDP: u32 = 283;
const SOL_PACKET: u32 = 263;
const PACKET_RX_RING: u32 = 5;
const PACKET_TX_RING: u32 = 13;

/// `SYS_SETSOCKOPT` of `socketcall`, the old form of the call for 32-bit programs on x86. Its
/// arguments are in memory, where a filter cannot read them.
const SOCKETCALL_SETSOCKOPT: u32 = 14;

/// The profile in Docker's format.
pub(crate) fn profile() -> String {
    let mut rules = vec![
        refuse(&KEYS, ENOSYS, &[]),
        refuse(&IO_URING, ENOSYS, &[]),
        // What an unprivileged user of Debian gets.
        refuse(&["perf_event_open"], EACCES, &[]),
        refuse(&["socket"], EPERM, &[(0, AF_XDP)]),
        refuse(&["setsockopt"], EPERM, &[(1, SOL_XDP)]),
    ];
    for ring in [PACKET_RX_RING, PACKET_TX_RING] {
        let arguments = [(1, SOL_PACKET), (2, ring)];
        rules.push(refuse(&["setsockopt"], EPERM, &arguments));
    }
    // libseccomp adds this rule itself for 32-bit x86, with other conditions, and
    // refuses one with another error.
    rules.push(refuse(
        &["socketcall"],
        EPERM,
        &[(0, SOCKETCALL_SETSOCKOPT)],
    ));
    let profile = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "archMap": [
            {
                "architecture": "SCMP_ARCH_X86_64",
                "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"],
            },
            {
                "architecture": "SCMP_ARCH_AARCH64",
                "subArchitectures": ["SCMP_ARCH_ARM"],
            },
        ],
        "syscalls": rules,
    });
    profile.to_string()
}

/// A rule that lets calls with these arguments (index and value) fail with `errno`.
fn refuse(names: &[&str], errno: u16, arguments: &[(u32, u32)]) -> Value {
    // The kernel ignores the upper half of arguments of the type int. For this comparison
    // `value` is the mask.
    let equal = |(index, value): &(u32, u32)| json!({"index": index, "value": u32::MAX, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ"});
    json!({
        "names": names,
        "action": "SCMP_ACT_ERRNO",
        "errnoRet": errno,
        "args": arguments.iter().map(equal).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_listed_is_refused() {
        let profile: Value = serde_json::from_str(&profile()).unwrap();
        assert_eq!(profile["defaultAction"], "SCMP_ACT_ALLOW");
        let rules = profile["syscalls"].as_array().unwrap();
        assert!(rules.iter().all(|rule| rule["action"] == "SCMP_ACT_ERRNO"));
        // Calls that nodes need are refused with certain arguments only.
        let needed = |rule: &&Value| {
            let name = rule["names"][0].as_str().unwrap();
            ["setsockopt", "socket", "socketcall"].contains(&name)
        };
        let limited: Vec<_> = rules.iter().filter(needed).collect();
        assert_eq!(limited.len(), 5);
        let is_masked = |rule: &&Value| {
            let argument = &rule["args"][0];
            argument["value"] == u32::MAX && argument["op"] == "SCMP_CMP_MASKED_EQ"
        };
        assert!(limited.iter().all(is_masked));
    }
}
