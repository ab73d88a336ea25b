//! Prepares the container, starts containerd and loads the images of the node.

use std::path::Path;
use std::time::Duration;

use kernel::{Error, Result};

use super::config_file::write_all;
use super::node::Node;
use super::plan::{self, Component, IMAGE_FACTS, Image};
use super::{files, machine, network, store};
use crate::{images, prepare};

const CONTAINERD_TIMEOUT: Duration = Duration::from_secs(60);

impl Node<'_> {
    /// Prepares mounts, devices and image data; starts containerd.
    pub(super) async fn prepare(&self) -> Result<Image> {
        let (boot, supervisor) = (self.boot, &self.supervisor);
        boot.reporter
            .run("prepare", async {
                prepare::prepare(&boot.seed.node)?;
                machine::prepare(&boot.home)?;
                let text = std::fs::read_to_string(IMAGE_FACTS)
                    .map_err(|e| Error::invalid("image", format!("{IMAGE_FACTS}: {e}")))?;
                let image = Image::parse(&text)?;
                write_all(&files::containerd(&image.images.pause))?;
                store::install_store(Path::new(store::IMAGE_STORE), Path::new(store::DATA)).await?;
                supervisor.start(Component::Containerd, plan::arguments_of_containerd());
                Ok(image)
            })
            .await
    }

    /// Waits for containerd and loads the images of the node.
    pub(super) async fn runtime(&self) -> Result<()> {
        let reporter = &self.boot.reporter;
        let open = async || {
            tokio::net::UnixStream::connect(plan::CONTAINERD_SOCKET)
                .await
                .is_ok()
        };
        let up = self.supervisor.until(
            Component::Containerd,
            "its socket",
            CONTAINERD_TIMEOUT,
            open,
        );
        reporter.run("containerd", up).await?;
        self.containerd.send_replace(true);
        let import = async |archive: &Path| {
            let archive = archive.to_string_lossy();
            let import = ["-n", "k8s.io", "images", "import", &archive];
            network::run("ctr", &import).await.map(|_| ())
        };
        let marks = Path::new("/var/lib/containerd/.jeroboam-loaded");
        reporter
            .run("images", async {
                images::import_each(Path::new(images::ARCHIVES), marks, import).await
            })
            .await?;
        self.images.send_replace(true);
        Ok(())
    }
}
