use std::path::PathBuf;

use super::record::{Existence, Stored};
use super::*;

fn facts(engine: &Path) -> Facts {
    Facts {
        cgroup: "/docker/abc".into(),
        state: "/run/runc/abc".into(),
        engine: engine.to_owned(),
        shim: i32::try_from(std::process::id()).unwrap(),
    }
}

/// A directory for records, and the engine's directory with the container.
fn directories() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let top = tempfile::tempdir().unwrap();
    let (records, engine) = (top.path().join("records"), top.path().join("containers"));
    fs::create_dir(&records).unwrap();
    fs::create_dir_all(engine.join("abc")).unwrap();
    (top, records, engine)
}

#[test]
fn a_record_is_locked_while_its_container_is_created() {
    let (_top, records, engine) = directories();
    let record = Record::write_in(&records, "abc", &facts(&engine)).unwrap();
    assert!(Stored::lock_in(&records, "abc").unwrap().is_none());
    drop(record);
    let stored = Stored::lock_in(&records, "abc").unwrap().unwrap();
    assert_eq!(stored.facts, facts(&engine));
    // Another process cleans up.
    assert!(Stored::lock_in(&records, "abc").unwrap().is_none());
    drop(stored);
    // A container that is started again has a new record.
    Record::write_in(&records, "abc", &facts(&engine))
        .unwrap()
        .remove();
    assert_eq!(fs::read_dir(&records).unwrap().count(), 0);
    assert!(Stored::lock_in(&records, "abc").unwrap().is_none());
}

#[test]
fn a_container_is_gone_only_if_its_engine_does_not_have_it() {
    let (top, records, engine) = directories();
    drop(Record::write_in(&records, "abc", &facts(&engine)).unwrap());
    let stored = Stored::lock_in(&records, "abc").unwrap().unwrap();
    assert_eq!(stored.existence(), Existence::Exists);
    fs::remove_dir(engine.join("abc")).unwrap();
    assert_eq!(stored.existence(), Existence::Gone);
    // Another engine may use the same path in another mount namespace.
    fs::rename(&engine, top.path().join("moved")).unwrap();
    assert_eq!(stored.existence(), Existence::Unknown);
    fs::create_dir(&engine).unwrap();
    assert_eq!(stored.existence(), Existence::Unknown);
}

#[test]
fn only_the_shim_of_the_container_is_killed() {
    let (_top, records, engine) = directories();
    let shim = |id: &str, shim: i32| {
        let facts = Facts {
            state: format!("/run/runc/{id}").into(),
            shim,
            ..facts(&engine)
        };
        drop(Record::write_in(&records, id, &facts).unwrap());
        let stored = Stored::lock_in(&records, id).unwrap().unwrap();
        stored.shim().map(|pid| pid.as_raw_nonzero().get())
    };
    let mut child = std::process::Command::new("sleep")
        .arg("1000")
        .spawn()
        .unwrap();
    let pid = i32::try_from(child.id()).unwrap();
    assert_eq!(shim("1000", pid), Some(pid));
    assert_eq!(shim("1001", pid), None);
    assert_eq!(shim("1000", 0), None);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(shim("1000", pid), None);
}

#[test]
fn text_that_is_not_a_record_is_refused() {
    let (_top, records, _) = directories();
    for text in [
        "",
        "{}",
        "[]",
        r#"{"cgroup": "/a/abc", "state": "/", "engine": {"directory": "/e", "device": 1, "inode": 1}}"#,
        r#"{"cgroup": "/a/abc", "state": "run/abc", "engine": {"directory": "/e", "device": 1, "inode": 1}}"#,
    ] {
        fs::write(records.join("abc"), text).unwrap();
        let error = Stored::lock_in(&records, "abc").err().unwrap().to_string();
        assert!(error.contains("is not a record"), "{text}: {error}");
    }
}
