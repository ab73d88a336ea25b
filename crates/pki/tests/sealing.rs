//! Secrets at rest.

use std::os::unix::fs::PermissionsExt as _;

use kernel::Kind;
use pki::Sealer;

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
fn rotation_keeps_old_texts_readable() {
    let dir = tempfile::tempdir().unwrap();
    let mut sealer = Sealer::open(dir.path()).unwrap();
    let check = sealer.key_check();
    let old = sealer.seal("p", b"1").unwrap();
    sealer.rotate().unwrap();
    let new = sealer.seal("p", b"2").unwrap();
    assert!(sealer.is_stale(&old) && !sealer.is_stale(&new));
    let again = Sealer::open(dir.path()).unwrap();
    assert_eq!(again.unseal("p", &old).unwrap().as_slice(), b"1");
    assert_eq!(again.unseal("p", &new).unwrap().as_slice(), b"2");
    assert_eq!(again.key_check(), check);
    assert!(again.knows(&check));
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
