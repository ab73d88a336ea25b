use std::collections::BTreeSet;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::LazyLock;
use std::thread;

use rustix::process::geteuid;
use tempfile::TempDir;

use super::*;

const FIRST: u32 = 1 << 28;
const SIZE: u32 = 1 << 16;

/// A pool with this number of ranges.
fn pool(ranges: u32) -> Pool {
    Pool {
        first: FIRST,
        size: SIZE,
        end: FIRST + ranges * SIZE,
    }
}

/// A directory whose grants belong to the user that runs the tests.
fn grants() -> (TempDir, Grants) {
    let temporary = TempDir::new().unwrap();
    let directory = temporary.path().join("grants");
    let grants = Grants::open_as(directory, geteuid().as_raw()).unwrap();
    // Nodes of the host may use ranges of the tests.
    let running = || Ok(Vec::new());
    (temporary, Grants { running, ..grants })
}

fn range(index: u32) -> Range {
    Range::new(FIRST + index * SIZE, SIZE).unwrap()
}

/// A grant without an installation.
fn plain(range: Range, container: &str) -> Grant {
    Grant {
        range,
        container: container.to_owned(),
        installation: None,
        devices: Devices::default(),
    }
}

/// A claim of this container, without an installation and with the default devices.
fn claim(container: &str) -> Claim<'_> {
    static DEFAULT: LazyLock<Devices> = LazyLock::new(Devices::default);
    Claim {
        container,
        installation: None,
        devices: &DEFAULT,
    }
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_claim_is_a_private_file_with_the_name_of_the_container() {
    let (_temporary, grants) = grants();
    assert_eq!(grants.claim(&pool(4), &claim("jb-one")).unwrap(), range(0));
    let path = grants.directory.join(format!("{FIRST}-{SIZE}"));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "jb-one\n");
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(&grants.directory), 0o700);
    grants.verify(&range(0), "jb-one").unwrap();
    let other = grants.verify(&range(0), "jb-two").unwrap_err().to_string();
    assert!(
        other.contains("to the container jb-one, not to jb-two"),
        "{other}"
    );
    let missing = grants.verify(&range(1), "jb-one").unwrap_err().to_string();
    assert!(missing.ends_with("does not exist"), "{missing}");
}

#[test]
fn a_repeated_claim_returns_the_same_range_unless_the_pool_has_changed() {
    let (_temporary, grants) = grants();
    grants.claim(&pool(4), &claim("a")).unwrap();
    assert_eq!(grants.claim(&pool(4), &claim("b")).unwrap(), range(1));
    assert_eq!(grants.claim(&pool(4), &claim("b")).unwrap(), range(1));
    let moved = Pool {
        first: FIRST + 8 * SIZE,
        ..pool(16)
    };
    assert_eq!(grants.claim(&moved, &claim("b")).unwrap(), range(8));
    let listed = grants.list().unwrap().valid;
    let names: Vec<&str> = listed.iter().map(|g| g.container.as_str()).collect();
    assert_eq!(names, ["a", "b", "b"]);
    assert!(grants.release("b", || Ok(false)).unwrap());
    assert_eq!(grants.list().unwrap().valid, [plain(range(0), "a")]);
    assert!(!grants.release("b", || Ok(false)).unwrap());
}

#[test]
fn an_exhausted_pool_is_reported_with_the_setting_and_release_frees_a_range() {
    let (_temporary, grants) = grants();
    for name in ["a", "b"] {
        grants.claim(&pool(2), &claim(name)).unwrap();
    }
    let error = grants.claim(&pool(2), &claim("c")).unwrap_err();
    assert!(matches!(error, ClaimError::Exhausted { size: 2, used: 2 }));
    let text = error.to_string();
    assert!(
        text.contains("2 grants are in use") && text.contains("`[infra.user_ids]`"),
        "{text}"
    );
    assert!(grants.release("a", || Ok(false)).unwrap());
    assert_eq!(grants.claim(&pool(2), &claim("c")).unwrap(), range(0));
}

#[test]
fn a_range_that_overlaps_a_grant_of_another_size_is_not_granted() {
    let (_temporary, grants) = grants();
    // From the middle of the first range to the middle of the third one.
    let other = Pool {
        first: FIRST + SIZE / 2,
        size: 2 * SIZE,
        end: FIRST + SIZE / 2 + 2 * SIZE,
    };
    let wide = grants.claim(&other, &claim("wide")).unwrap();
    assert_eq!(grants.claim(&pool(4), &claim("a")).unwrap(), range(3));
    let error = grants.claim(&pool(4), &claim("b")).unwrap_err();
    assert!(matches!(error, ClaimError::Exhausted { size: 4, used: 2 }));
    assert_eq!(grants.list().unwrap().valid[0], plain(wide, "wide"));
}

#[test]
fn concurrent_claims_get_different_ranges() {
    let (_temporary, grants) = grants();
    let claimed: Vec<Vec<Range>> = thread::scope(|scope| {
        let workers: Vec<_> = (0..8)
            .map(|worker| {
                let grants = &grants;
                scope.spawn(move || {
                    (0..8)
                        .map(|i| {
                            grants
                                .claim(&pool(64), &claim(&format!("w{worker}-{i}")))
                                .unwrap()
                        })
                        .collect()
                })
            })
            .collect();
        workers.into_iter().map(|w| w.join().unwrap()).collect()
    });
    let different: BTreeSet<Range> = claimed.into_iter().flatten().collect();
    assert_eq!(different.len(), 64);
    assert_eq!(grants.list().unwrap().valid.len(), 64);
}

#[test]
fn concurrent_claims_for_one_container_get_one_range() {
    let (_temporary, grants) = grants();
    let claimed: BTreeSet<Range> = thread::scope(|scope| {
        let workers: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| grants.claim(&pool(64), &claim("same")).unwrap()))
            .collect();
        workers.into_iter().map(|w| w.join().unwrap()).collect()
    });
    assert_eq!(claimed.len(), 1);
    assert_eq!(grants.list().unwrap().valid.len(), 1);
}

#[test]
fn invalid_grants_are_refused_and_their_ranges_are_not_free() {
    let (_temporary, grants) = grants();
    let path = |index: u32| grants.directory.join(range(index).file_name());
    std::fs::write(grants.directory.join("elsewhere"), "a\n").unwrap();
    symlink("elsewhere", path(0)).unwrap();
    std::fs::create_dir(path(1)).unwrap();
    std::fs::write(path(2), "a\n").unwrap();
    set_mode(&path(2), 0o620);
    std::fs::write(path(3), "a\n").unwrap();
    set_mode(&path(3), 0o602);
    for (index, text) in [
        (4, "a"),
        (5, ""),
        (6, "a\n\n"),
        (7, "../a\n"),
        (8, "a\nb\nc\n"),
    ] {
        std::fs::write(path(index), text).unwrap();
        set_mode(&path(index), 0o600);
    }
    std::fs::write(path(9), [b'a'; 300]).unwrap();
    std::fs::write(path(10), [0xff, b'\n']).unwrap();
    for (index, reason) in [
        (0, "is a symbolic link"),
        (1, "is not a regular file"),
        (2, "is writable by its group or others (mode 620)"),
        (3, "is writable by its group or others (mode 602)"),
        (4, "does not contain the name"),
        (5, "does not contain the name"),
        (6, "does not contain the name"),
        (7, "does not contain the name"),
        (8, "does not contain the name"),
        (9, "does not contain the name"),
        (10, ""),
    ] {
        let error = grants.verify(&range(index), "a").unwrap_err().to_string();
        assert!(error.contains(reason), "{index}: {error}");
    }
    let listing = grants.list().unwrap();
    assert_eq!(listing.valid, []);
    assert_eq!(listing.invalid.len(), 11);
    for (index, invalid) in (0..).zip(&listing.invalid) {
        assert_eq!(invalid.path, path(index));
        let named = format!("{} ", path(index).display());
        assert!(invalid.why.contains(&named), "{}", invalid.why);
        let variable = format!("JEROBOAM_USERNS={}", range(index));
        assert!(invalid.why.contains(&variable), "{}", invalid.why);
    }
    assert_eq!(grants.claim(&pool(12), &claim("a")).unwrap(), range(11));
}

#[test]
fn a_grant_names_devices_that_are_not_the_default() {
    let (_temporary, grants) = grants();
    let file = grants.directory.join(range(0).file_name());
    for (paths, text) in [
        (vec!["/dev/fuse", "/dev/net/tun"], "a\n"),
        (vec!["/dev/kvm"], "a\ndevices:/dev/kvm\n"),
        (vec![], "a\ndevices:\n"),
        (vec!["/dev/fuse", "/dev/net/tun"], "a\n"),
    ] {
        let devices = Devices::new(paths.into_iter().map(str::to_owned).collect()).unwrap();
        let wanted = Claim {
            devices: &devices,
            ..claim("a")
        };
        // A repeated claim changes them.
        assert_eq!(grants.claim(&pool(4), &wanted).unwrap(), range(0));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
        assert_eq!(grants.verify(&range(0), "a").unwrap().devices, devices);
    }
    for text in [
        "a\ndevices:/etc/passwd\n",
        "a\ndevices:\nb\n",
        "devices:\n",
        "a\nb\ndevices\n",
    ] {
        std::fs::write(&file, text).unwrap();
        assert!(grants.verify(&range(0), "a").is_err(), "{text}");
    }
}

#[test]
fn grants_and_directories_of_other_users_are_refused() {
    let (_temporary, grants) = grants();
    grants.claim(&pool(1), &claim("a")).unwrap();
    let other = geteuid().as_raw() + 1;
    let error = Grants::open_as(grants.directory.clone(), other).unwrap_err();
    assert!(error.to_string().contains("is owned by user"), "{error}");
    // The directory is ours, and the grant belongs to another user. Only root can
    // change the owner of a file.
    if geteuid().is_root() {
        let path = grants.directory.join(range(0).file_name());
        std::os::unix::fs::chown(path, Some(other), None).unwrap();
        let error = grants.verify(&range(0), "a").unwrap_err();
        assert!(error.to_string().contains("is owned by user"), "{error}");
        assert!(!grants.release("a", || Ok(false)).unwrap());
    }
}

#[test]
fn directories_that_others_may_write_or_that_are_links_are_refused() {
    let (temporary, grants) = grants();
    let user = geteuid().as_raw();
    let link = temporary.path().join("link");
    symlink(&grants.directory, &link).unwrap();
    assert!(Grants::open_as(link, user).is_err());
    let file = temporary.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(Grants::open_as(file, user).is_err());
    assert!(Grants::open_as(temporary.path().join("a/b"), user).is_err());
    for mode in [0o720, 0o702] {
        set_mode(&grants.directory, mode);
        assert!(grants.verify(&range(0), "a").is_err());
        assert!(grants.claim(&pool(1), &claim("a")).is_err());
        assert!(grants.release("a", || Ok(false)).is_err());
        assert!(grants.list().is_err());
    }
}

#[test]
fn files_that_are_not_grants_are_ignored() {
    let (_temporary, grants) = grants();
    // As a process leaves it that was killed before the rename.
    symlink("elsewhere", grants.directory.join(".unfinished")).unwrap();
    for name in [
        "README",
        "1-2",
        "0268435456-65536",
        "268435456-65536.bak",
        "268435456:65536",
    ] {
        std::fs::write(grants.directory.join(name), "a\n").unwrap();
    }
    assert_eq!(grants.list().unwrap().valid, []);
    assert_eq!(grants.claim(&pool(1), &claim("a")).unwrap(), range(0));
    assert!(!grants.directory.join("elsewhere").exists());
}

#[test]
fn names_that_containers_cannot_have_get_no_range() {
    let (_temporary, grants) = grants();
    for name in ["", "/a", "a\n", "a b", "-a", ".a", "ä", &"a".repeat(256)] {
        assert!(
            matches!(grants.claim(&pool(1), &claim(name)), Err(ClaimError::Io(_))),
            "{name:?}"
        );
    }
    assert_eq!(grants.list().unwrap().valid, []);
}

#[test]
fn the_range_of_an_existing_container_is_kept() {
    let (_dir, grants) = grants();
    let pool = Pool::default();
    let range = grants.claim(&pool, &claim("a")).unwrap();
    assert!(!grants.release("a", || Ok(true)).unwrap());
    let unknown = || Err(io::Error::other("the engine does not answer"));
    assert!(grants.release("a", unknown).is_err());
    assert_eq!(grants.claim(&pool, &claim("a")).unwrap(), range);
}

#[test]
fn a_grant_names_its_installation() {
    let (_temporary, grants) = grants();
    let installation = Some("here");
    let here = Claim {
        installation,
        ..claim("a")
    };
    grants.claim(&pool(4), &here).unwrap();
    let grant = Grant {
        installation: Some("here".to_owned()),
        ..plain(range(0), "a")
    };
    assert_eq!(grants.list().unwrap().valid, [grant]);
    grants.verify(&range(0), "a").unwrap();
    let installation = Some("a\nb");
    let wrong = Claim {
        installation,
        ..claim("b")
    };
    assert!(grants.claim(&pool(4), &wrong).is_err());
}

#[test]
fn a_range_is_not_free_while_processes_have_its_ids() {
    let (_temporary, grants) = grants();
    grants.claim(&pool(4), &claim("a")).unwrap();
    let busy = Grants {
        running: || Ok(vec![range(0), range(1)]),
        ..grants.clone()
    };
    assert_eq!(busy.claim(&pool(4), &claim("b")).unwrap(), range(2));
    let error = busy.release("a", || Ok(false)).unwrap_err().to_string();
    assert!(error.contains("still run"), "{error}");
    assert!(busy.release("b", || Ok(false)).unwrap());
    assert!(grants.release("a", || Ok(false)).unwrap());
}
