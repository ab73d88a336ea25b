//! Repositories that rotations, copies and servers started together make.

use super::Keyring;
use super::rotation::DRAFT;
use crate::token::time::TokenTime;

fn numbers(ring: &Keyring) -> Vec<u32> {
    let all = ring.entries().unwrap();
    all.into_iter().map(|k| k.number).collect()
}

#[test]
fn tokens_survive_a_rotation_and_not_three() {
    let dir = tempfile::TempDir::new().unwrap();
    let ring = Keyring::open(dir.path()).unwrap();
    let other = Keyring::open(dir.path()).unwrap();
    let token = ring.seal(TokenTime::default(), &[7; 90]).unwrap();
    ring.rotate(false).unwrap();
    assert!(ring.open_token(&token).is_some());
    let newer = ring.seal(TokenTime::default(), &[7; 90]).unwrap();
    assert!(
        other.open_token(&newer).is_some(),
        "another server has the staged key"
    );
    for _ in 0..3 {
        ring.rotate(true).unwrap();
    }
    assert!(ring.open_token(&token).is_none());
    assert!(other.open_token(&token).is_none(), "it follows at once");
    let of_other = other.seal(TokenTime::default(), &[7; 90]).unwrap();
    assert!(ring.open_token(&of_other).is_some());
    assert_eq!(numbers(&ring), [0, 4, 5]);
}

#[test]
fn a_copy_that_is_one_rotation_behind_reads_the_new_primary() {
    let (dir, copy) = (
        tempfile::TempDir::new().unwrap(),
        tempfile::TempDir::new().unwrap(),
    );
    let ring = Keyring::open(dir.path()).unwrap();
    for number in ["0", "1"] {
        std::fs::copy(dir.path().join(number), copy.path().join(number)).unwrap();
    }
    let behind = Keyring::open(copy.path()).unwrap();
    ring.rotate(false).unwrap();
    let token = ring.seal(TokenTime::default(), &[7; 90]).unwrap();
    assert!(behind.open_token(&token).is_some());
    let token = behind.seal(TokenTime::default(), &[7; 90]).unwrap();
    assert!(ring.open_token(&token).is_some());
}

#[test]
fn a_rotation_that_would_invalidate_tokens_is_refused() {
    let dir = tempfile::TempDir::new().unwrap();
    let ring = Keyring::open(dir.path()).unwrap();
    ring.rotate(false).unwrap();
    assert_eq!(numbers(&ring), [0, 1, 2]);
    let e = ring.rotate(false).unwrap_err();
    assert_eq!(e.kind, kernel::Kind::Precondition);
    assert!(e.message.contains("key 1"), "{e}");
    assert_eq!(numbers(&ring), [0, 1, 2]);
    ring.rotate(true).unwrap();
    assert_eq!(numbers(&ring), [0, 2, 3]);
    let roles: Vec<_> = ring.entries().unwrap().iter().map(|k| k.role).collect();
    assert_eq!(roles, ["staged", "secondary", "primary"]);
}

#[test]
fn an_interrupted_rotation_is_completed_and_not_doubled() {
    let dir = tempfile::TempDir::new().unwrap();
    let ring = Keyring::open(dir.path()).unwrap();
    let path = |name: &str| dir.path().join(name);
    let before = ring.seal(TokenTime::default(), &[7; 90]).unwrap();
    // Killed before anything was renamed: the draft is not a key.
    std::fs::write(path(DRAFT), "half").unwrap();
    assert!(Keyring::open(dir.path()).is_ok());
    // Killed between the two renames.
    std::fs::rename(path("0"), path("2")).unwrap();
    let started = Keyring::open(dir.path()).unwrap();
    let token = started.seal(TokenTime::default(), &[7; 90]).unwrap();
    assert!(ring.open_token(&token).is_some());
    ring.rotate(false).unwrap();
    assert_eq!(numbers(&ring), [0, 1, 2]);
    assert!(ring.open_token(&before).is_some() && ring.open_token(&token).is_some());
    // Killed before the oldest key was deleted.
    std::fs::copy(path("1"), path("3")).unwrap();
    std::fs::copy(path("2"), path("4")).unwrap();
    ring.rotate(true).unwrap();
    assert_eq!(numbers(&ring), [0, 4, 5]);
}

#[test]
fn servers_that_start_together_make_one_repository() {
    let dir = tempfile::TempDir::new().unwrap();
    let tokens: Vec<String> = std::thread::scope(|s| {
        let start = || {
            let ring = Keyring::open(dir.path()).unwrap();
            ring.seal(TokenTime::default(), &[7; 90]).unwrap()
        };
        let starts: Vec<_> = (0..8).map(|_| s.spawn(start)).collect();
        starts.into_iter().map(|t| t.join().unwrap()).collect()
    });
    let ring = Keyring::open(dir.path()).unwrap();
    assert!(tokens.iter().all(|t| ring.open_token(t).is_some()));
    assert_eq!(numbers(&ring), [0, 1]);
}

#[test]
fn a_malformed_key_is_named_at_the_start_and_harmless_later() {
    let dir = tempfile::TempDir::new().unwrap();
    let ring = Keyring::open(dir.path()).unwrap();
    let token = ring.seal(TokenTime::default(), &[7; 90]).unwrap();
    std::fs::write(dir.path().join("9"), "no key").unwrap();
    assert!(ring.open_token(&token).is_some());
    let e = Keyring::open(dir.path()).err().unwrap();
    assert!(e.to_string().contains("/9"), "{e}");
}
