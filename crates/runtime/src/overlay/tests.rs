use super::*;
use proptest::prelude::*;

fn find(options: &str, kind: &str) -> Result<Layers> {
    let mounts = mountinfo::parse(
        format!("36 22 0:31 / /d/overlay2/x/merged rw - {kind} overlay {options}\n").as_bytes(),
    );
    Layers::find(
        &mounts,
        Path::new("/d/overlay2/x/merged"),
        Path::new("/d/overlay2"),
    )
}

#[test]
fn layers_of_the_storage_driver_are_found() {
    let found = find(
        "rw,lowerdir=/d/overlay2/l/A:l/B,upperdir=x/diff,workdir=x/work,index=off,redirect_dir=on,nouserxattr",
        "overlay",
    );
    let expected = Layers {
        lower: vec!["/d/overlay2/l/A".into(), "/d/overlay2/l/B".into()],
        upper: "/d/overlay2/x/diff".into(),
        options: vec!["redirect_dir=on".to_owned()],
    };
    assert_eq!(found.unwrap(), expected);
    let found = find("rw,lowerdir+=/a,lowerdir+=/b,upperdir=/x/diff", "overlay").unwrap();
    assert_eq!(found.lower, [Path::new("/a"), Path::new("/b")]);
}

#[test]
fn other_root_file_systems_are_refused() {
    let error = find("rw", "btrfs").unwrap_err().to_string();
    assert!(
        error.contains("is btrfs; the engine must use the storage driver overlay2"),
        "{error}"
    );
    let error = Layers::find(&[], Path::new("/m"), Path::new("/")).unwrap_err();
    assert!(error.to_string().contains("is not a mount"), "{error}");
    assert!(find("rw,lowerdir=/a", "overlay").is_err());
    assert!(find("rw,upperdir=/a", "overlay").is_err());
    assert!(find("rw,lowerdir=/a::/b,upperdir=/c", "overlay").is_err());
    assert!(find("rw,lowerdir+=/a,datadir+=/b,upperdir=/c", "overlay").is_err());
}

#[test]
fn options_of_128_layers_fit_into_a_page_and_more_are_refused_with_a_reason() {
    let layers = |count| Layers {
        lower: vec![PathBuf::from("/a"); count],
        upper: "/u/diff".into(),
        options: Vec::new(),
    };
    let options = layers(128).mount_options("diff").unwrap();
    assert!(options.starts_with("index=off,lowerdir=l0:l1:") && options.len() < 1000);
    let error = layers(1000).mount_options("diff").unwrap_err().to_string();
    assert!(error.contains("has 1000 layers"), "{error}");
}

proptest! {
    #[test]
    fn paths_with_colons_are_split_as_they_were_joined(paths in proptest::collection::vec("[a-z/:\\\\]{1,9}", 1..5)) {
        let joined: Vec<String> = paths
            .iter()
            .map(|p| p.replace('\\', "\\\\").replace(':', "\\:"))
            .collect();
        let found = split(joined.join(":").as_bytes());
        let found: Vec<String> = found.into_iter().map(|p| String::from_utf8(p).unwrap()).collect();
        prop_assert_eq!(found, paths);
    }

    #[test]
    fn any_options_are_parsed_without_panic(options in "[a-z+=,:\\\\0-9]{0,60}") {
        let _ = find(&options, "overlay");
    }
}
