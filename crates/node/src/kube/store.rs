//! The node image contains a containerd store that was filled when the image
//! was built. Otherwise each node would have to unpack its images, which takes
//! more than a second of CPU time.
//!
//! The databases of the store are copied to the volume of the node; blobs and
//! layers are links into the read-only image. Layers are copied instead if the kernel
//! refuses another overlay on top of those of the engine. Small layers are always
//! copied, because pods with `hostUsers: false` cannot use linked layers: the overlay of
//! the engine cannot be mounted with other ids.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use kernel::{Error, Result};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use super::network;

/// Path of the store in the image; its file `id` identifies the contents.
pub(super) const IMAGE_STORE: &str = "/usr/share/jeroboam/containerd";
/// The root of containerd, a volume.
pub(super) const DATA: &str = "/var/lib/containerd";

const META: &str = "io.containerd.metadata.v1.bolt/meta.db";
const BLOBS: &str = "io.containerd.content.v1.content/blobs/sha256";
const INGEST: &str = "io.containerd.content.v1.content/ingest";
const OVERLAYS: &str = "io.containerd.snapshotter.v1.overlayfs";
/// File with the id of the store from which `data` was filled; written last.
const MARK: &str = ".jeroboam-store";
/// Layers with at most this many bytes of files are copied: those of the images pause
/// and echo.
const SMALL_LAYER: u64 = 8 << 20;

/// Fills `data` from the store of the image, unless it was filled from this store
/// before. Contents from another image are deleted first, because their links are
/// broken and their containers ended with their node. Does nothing if the image
/// has no store. This must finish before containerd starts.
///
/// # Errors
/// Internal, naming the path.
pub(super) async fn install_store(image_store: &Path, data: &Path) -> Result<()> {
    let id = match fs::read_to_string(image_store.join("id")) {
        Ok(id) => id,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(failed(&image_store.join("id"), &e)),
    };
    let mark = data.join(MARK);
    if fs::read_to_string(&mark).is_ok_and(|known| known == id) {
        return Ok(());
    }
    empty(data)?;
    for dir in [BLOBS, INGEST] {
        make(&data.join(dir))?;
    }
    for blob in entries(&image_store.join(BLOBS))? {
        link(&blob, &data.join(BLOBS))?;
    }
    layers(image_store, data).await?;
    for file in [META, &format!("{OVERLAYS}/metadata.db")] {
        let to = data.join(file);
        to.parent().map_or(Ok(()), make)?;
        fs::copy(image_store.join(file), &to).map_err(|e| failed(&to, &e))?;
    }
    fs::write(&mark, id).map_err(|e| failed(&mark, &e))
}

async fn layers(image_store: &Path, data: &Path) -> Result<()> {
    let all = entries(&image_store.join(OVERLAYS).join("snapshots"))?;
    let linked = all
        .first()
        .is_none_or(|layer| can_be_lower(&layer.join("fs"), data));
    for layer in all {
        let name = layer.file_name().unwrap_or_default();
        let own = data.join(OVERLAYS).join("snapshots").join(name);
        make(&own.join("work"))?;
        for dir in [&data.join(OVERLAYS), &own] {
            // The mode that containerd uses, because layers may contain setuid
            // programs.
            fs::set_permissions(dir, fs::Permissions::from_mode(0o700))
                .map_err(|e| failed(dir, &e))?;
        }
        if linked && !is_small(&layer.join("fs")) {
            link(&layer.join("fs"), &own)?;
        } else {
            let (from, to) = (layer.join("fs"), own.join("fs"));
            let copy = ["-a", &from.to_string_lossy(), &to.to_string_lossy()];
            network::run("cp", &copy).await?;
        }
    }
    Ok(())
}

/// Whether the files of a layer have at most `SMALL_LAYER` bytes.
fn is_small(layer: &Path) -> bool {
    let mut bytes = 0;
    let mut directories = vec![layer.to_path_buf()];
    while let Some(directory) = directories.pop() {
        let Ok(entries) = fs::read_dir(&directory) else {
            return false;
        };
        for entry in entries {
            let Ok((entry, data)) = entry.and_then(|e| e.metadata().map(|data| (e, data))) else {
                return false;
            };
            if data.is_dir() {
                directories.push(entry.path());
            } else {
                bytes += data.len();
            }
        }
        if bytes > SMALL_LAYER {
            return false;
        }
    }
    true
}

/// Whether the overlay of a container can have `lower` as a lower directory. The
/// kernel permits two overlays on top of each other, and an engine that is itself
/// on an overlay has used one of them.
fn can_be_lower(lower: &Path, data: &Path) -> bool {
    let trial = data.join(".trial");
    let dirs = ["upper", "work", "merged"].map(|name| trial.join(name));
    let mounted = dirs.iter().all(|dir| fs::create_dir_all(dir).is_ok()) && {
        let [upper, work, merged] = &dirs;
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            lower.display(),
            upper.display(),
            work.display()
        );
        std::ffi::CString::new(options).is_ok_and(|options| {
            mount(
                "overlay",
                merged,
                "overlay",
                MountFlags::empty(),
                Some(options.as_c_str()),
            )
            .is_ok_and(|()| unmount(merged, UnmountFlags::DETACH).is_ok())
        })
    };
    let _ = fs::remove_dir_all(&trial);
    mounted
}

fn empty(data: &Path) -> Result<()> {
    make(data)?;
    for entry in entries(data)? {
        let is_dir = entry.symlink_metadata().is_ok_and(|m| m.is_dir());
        let removed = if is_dir {
            fs::remove_dir_all(&entry)
        } else {
            fs::remove_file(&entry)
        };
        removed.map_err(|e| failed(&entry, &e))?;
    }
    Ok(())
}

fn link(target: &Path, dir: &Path) -> Result<()> {
    let at = dir.join(target.file_name().unwrap_or_default());
    symlink(target, &at).map_err(|e| failed(&at, &e))
}

fn make(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).map_err(|e| failed(dir, &e))
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    fs::read_dir(dir)
        .and_then(|all| all.map(|e| e.map(|e| e.path())).collect())
        .map_err(|e| failed(dir, &e))
}

fn failed(path: &Path, e: &std::io::Error) -> Error {
    Error::internal(format!("containerd's store: {}: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image_store(dir: &Path, id: &str) -> PathBuf {
        let store = dir.join(format!("brought-{id}"));
        for (file, text) in [
            ("id", id),
            (META, "meta"),
            (&format!("{BLOBS}/ab12"), "blob"),
            (&format!("{OVERLAYS}/metadata.db"), "layers"),
            (&format!("{OVERLAYS}/snapshots/1/fs/pause"), "program"),
        ] {
            let path = store.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        store
    }

    fn layer(data: &Path) -> String {
        fs::read_to_string(data.join(OVERLAYS).join("snapshots/1/fs/pause")).unwrap()
    }

    #[tokio::test]
    async fn an_empty_volume_has_all_images_before_containerd_starts() {
        let dir = tempfile::tempdir().unwrap();
        let (store, data) = (image_store(dir.path(), "one"), dir.path().join("data"));
        install_store(&store, &data).await.unwrap();
        assert_eq!(
            fs::read_to_string(data.join(BLOBS).join("ab12")).unwrap(),
            "blob"
        );
        assert_eq!(layer(&data), "program");
        // The databases are copied, because containerd writes to them.
        assert!(!data.join(META).is_symlink());
    }

    #[tokio::test]
    async fn only_large_layers_are_links() {
        let dir = tempfile::tempdir().unwrap();
        let (store, data) = (image_store(dir.path(), "one"), dir.path().join("data"));
        let layers = |root: &Path| root.join(OVERLAYS).join("snapshots");
        let large = layers(&store).join("2/fs/deep");
        fs::create_dir_all(&large).unwrap();
        let program = fs::File::create(large.join("program")).unwrap();
        program.set_len(SMALL_LAYER + 1).unwrap();
        install_store(&store, &data).await.unwrap();
        assert!(!layers(&data).join("1/fs").is_symlink());
        // Where overlays cannot be mounted, as without root, all are copied.
        let copied = !can_be_lower(&layers(&store).join("2/fs"), &data);
        assert_eq!(layers(&data).join("2/fs").is_symlink(), !copied);
    }

    #[tokio::test]
    async fn a_second_boot_keeps_what_was_added() {
        let dir = tempfile::tempdir().unwrap();
        let (store, data) = (image_store(dir.path(), "one"), dir.path().join("data"));
        install_store(&store, &data).await.unwrap();
        fs::write(data.join(META), "grown").unwrap();
        install_store(&store, &data).await.unwrap();
        assert_eq!(fs::read_to_string(data.join(META)).unwrap(), "grown");
    }

    #[tokio::test]
    async fn the_store_of_another_image_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        install_store(&image_store(dir.path(), "one"), &data)
            .await
            .unwrap();
        fs::write(data.join(META), "grown").unwrap();
        install_store(&image_store(dir.path(), "two"), &data)
            .await
            .unwrap();
        assert_eq!(fs::read_to_string(data.join(META)).unwrap(), "meta");
    }

    #[tokio::test]
    async fn an_image_without_a_store_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        fs::create_dir(&data).unwrap();
        fs::write(data.join("kept"), "").unwrap();
        install_store(&dir.path().join("none"), &data)
            .await
            .unwrap();
        assert!(data.join("kept").exists());
    }
}
