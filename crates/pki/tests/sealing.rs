//! Secrets at rest.

use std::os::unix::fs::PermissionsExt as _;

use kernel::Kind;
use pki::{KeyRole, Sealer, SealingKeys, sealed_prefix};

#[test]
fn what_is_sealed_opens_again_and_nowhere_else() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let sealer = Sealer::open(dir.path()).unwrap();
    let text = sealer.seal("cluster/1/key", b"secret").unwrap();
    assert_ne!(text, sealer.seal("cluster/1/key", b"secret").unwrap());
    assert!(text.starts_with("jbs1."));

    let again = Sealer::open(dir.path()).unwrap();
    assert_eq!(
        again.unseal("cluster/1/key", &text).unwrap().as_slice(),
        b"secret"
    );
    assert_eq!(
        again.unseal_text("cluster/1/key", &text).unwrap().as_str(),
        "secret"
    );
    assert_eq!(again.key_check(), sealer.key_check());

    let e = again.unseal("cluster/2/key", &text).unwrap_err();
    assert_eq!(e.kind, Kind::Internal);
    assert!(!e.to_string().contains("secret"));

    let stranger = Sealer::open(other.path()).unwrap();
    let e = stranger.unseal("cluster/1/key", &text).unwrap_err();
    assert!(e.to_string().contains("is not in"), "{e}");
    assert_ne!(stranger.key_check(), sealer.key_check());
    assert!(!stranger.knows(&sealer.key_check()));
}

#[test]
fn every_changed_character_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let sealer = Sealer::open(dir.path()).unwrap();
    let text = sealer.seal("p", b"a longer secret").unwrap();
    for at in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        assert!(sealer.unseal("p", &changed).is_err(), "{at}");
        assert!(sealer.unseal("p", &text[..at]).is_err(), "{at}");
    }
    assert!(sealer.unseal("p", "").is_err());
}

#[test]
fn running_servers_follow_a_rotation_and_keep_old_texts_readable() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (
        Sealer::open(dir.path()).unwrap(),
        Sealer::open(dir.path()).unwrap(),
    );
    let check = first.key_check();
    let old = first.seal("p", b"1").unwrap();
    let primary = SealingKeys::open(dir.path()).unwrap().promote().unwrap();
    let new = first.seal("p", b"2").unwrap();
    assert!(new.starts_with(&sealed_prefix(&primary)), "{new}");
    assert_eq!(first.primary_prefix(), sealed_prefix(&primary));
    // The second server has not looked at the file since.
    assert_eq!(second.unseal("p", &new).unwrap().as_slice(), b"2");
    assert_eq!(second.unseal("p", &old).unwrap().as_slice(), b"1");
    for sealer in [&first, &second, &Sealer::open(dir.path()).unwrap()] {
        assert_eq!(sealer.key_check(), check);
        assert!(sealer.knows(&check) && sealer.knows(&sealer.primary_check()));
        assert_ne!(sealer.primary_check(), check);
    }
}

#[test]
fn a_staged_key_unseals_and_seals_only_when_promoted() {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let here = Sealer::open(dir.path()).unwrap();
    let copy_keys = || {
        let name = "sealing.keys";
        std::fs::copy(dir.path().join(name), copy.path().join(name)).unwrap();
    };
    copy_keys();
    let there = Sealer::open(copy.path()).unwrap();
    let before = here.primary_prefix();
    let staged = SealingKeys::open(dir.path()).unwrap().stage().unwrap();
    let again = SealingKeys::open(dir.path()).unwrap().stage().unwrap();
    assert_eq!(staged, again);
    assert_eq!(here.primary_prefix(), before);
    assert_eq!(here.key_check(), there.key_check());
    copy_keys();
    let mut keys = SealingKeys::open(dir.path()).unwrap();
    let roles = |keys: &SealingKeys| -> Vec<KeyRole> {
        keys.entries().into_iter().map(|k| k.role).collect()
    };
    assert_eq!(roles(&keys), [KeyRole::Staged, KeyRole::Primary]);
    assert_eq!(keys.promote().unwrap(), staged);
    assert_eq!(roles(&keys), [KeyRole::Secondary, KeyRole::Primary]);
    assert!(keys.entries().iter().all(|k| k.made.is_some()));
    let text = here.seal("p", b"x").unwrap();
    assert_eq!(there.unseal("p", &text).unwrap().as_slice(), b"x");
}

#[test]
fn a_retired_key_is_kept_apart_and_forgotten_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let sealer = Sealer::open(dir.path()).unwrap();
    let text = sealer.seal("p", b"x").unwrap();
    let mut keys = SealingKeys::open(dir.path()).unwrap();
    let old = keys.entries()[0].id.clone();
    assert!(keys.retire(&old).is_err(), "it is the primary key");
    let second = SealingKeys::open(dir.path()).err().unwrap();
    assert_eq!(second.kind, Kind::Conflict);
    keys.promote().unwrap();
    let kept = keys.retire(&old).unwrap();
    assert!(std::fs::read_to_string(&kept).unwrap().contains(&old));
    let mode = std::fs::metadata(&kept).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let _ = sealer.primary_prefix();
    assert!(sealer.unseal("p", &text).is_ok(), "read before");
    let restarted = Sealer::open(dir.path()).unwrap();
    assert!(restarted.unseal("p", &text).is_err());
}

#[test]
fn a_damaged_file_does_not_disturb_a_running_server() {
    let dir = tempfile::tempdir().unwrap();
    let sealer = Sealer::open(dir.path()).unwrap();
    let text = sealer.seal("p", b"x").unwrap();
    std::fs::write(dir.path().join("sealing.keys"), "no key").unwrap();
    let again = sealer.seal("p", b"y").unwrap();
    assert!(sealer.unseal("p", &text).is_ok() && sealer.unseal("p", &again).is_ok());
}

#[test]
fn the_key_file_is_private_and_one_for_all() {
    let dir = tempfile::tempdir().unwrap();
    let checks: Vec<String> = std::thread::scope(|s| {
        let starts: Vec<_> = (0..8)
            .map(|_| s.spawn(|| Sealer::open(dir.path()).unwrap().key_check()))
            .collect();
        starts.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert!(checks.iter().all(|c| *c == checks[0]), "{checks:?}");
    let names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
    assert_eq!(names.len(), 1, "drafts are removed");
    let path = dir.path().join("sealing.keys");
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let e = Sealer::open(dir.path()).unwrap_err();
    assert!(e.to_string().contains("chmod 600"), "{e}");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(&path, "short c2hvcnQ\n").unwrap();
    let e = Sealer::open(dir.path()).unwrap_err();
    assert!(e.to_string().contains("line 1"), "{e}");
}

#[test]
fn a_change_of_keys_waits_for_a_short_one_and_refuses_beside_a_long_one() {
    let dir = tempfile::tempdir().unwrap();
    let _sealer = Sealer::open(dir.path()).unwrap();
    let first = SealingKeys::open(dir.path()).unwrap();
    std::thread::scope(|s| {
        s.spawn(|| {
            std::thread::sleep(std::time::Duration::from_millis(200));
            drop(first);
        });
        let _second = SealingKeys::open(dir.path()).unwrap();
        let e = SealingKeys::open(dir.path()).err().unwrap();
        assert_eq!(e.kind, Kind::Conflict);
        assert!(e.message.contains("repeat the command"), "{e}");
    });
}
