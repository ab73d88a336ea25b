//! Support for images that were not built by Jeroboam: pulling, and copying a
//! program into their containers.

use std::sync::PoisonError;
use std::time::Duration;

use bollard::query_parameters::{CreateImageOptionsBuilder, UploadToContainerOptionsBuilder};
use bytes::Bytes;
use futures_util::StreamExt as _;
use infra::ProgramSpec;
use kernel::{Error, Kind, Result};

use crate::engine::Archive;
use crate::{Engine, spec};

/// Timeout of a pull; such node images have some hundred MB.
const PULL_TIMEOUT: Duration = Duration::from_secs(600);

impl Engine {
    /// Pulls an image from the registry in its name.
    pub(crate) async fn pull_image(&self, image: &str) -> Result<()> {
        let docker = self.docker().await?;
        let (name, tag) = split_reference(image);
        let mut options = CreateImageOptionsBuilder::new().from_image(&name);
        if let Some(tag) = &tag {
            options = options.tag(tag);
        }
        let mut progress = docker.create_image(Some(options.build()), None, None);
        let all = async {
            while let Some(step) = progress.next().await {
                step.map_err(|e| error_text(&e))?;
            }
            Ok(())
        };
        let why = match tokio::time::timeout(PULL_TIMEOUT, all).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(why)) => why,
            Err(_) => format!("it took longer than {} s", PULL_TIMEOUT.as_secs()),
        };
        Err(Error::new(
            Kind::NotFound,
            no_pull(image, self.host_name().await, &why),
        ))
    }

    pub(crate) async fn put_program(&self, container: &str, program: &ProgramSpec) -> Result<()> {
        let bytes = self.archive_of(program)?;
        let options = UploadToContainerOptionsBuilder::new().path("/").build();
        self.docker()
            .await?
            .upload_to_container(container, Some(options), bollard::body_full(bytes))
            .await
            .map_err(|e| self.fault(&format!("put {} into {container}", program.target), &e))
    }

    fn archive_of(&self, program: &ProgramSpec) -> Result<Bytes> {
        let changed = std::fs::metadata(&program.source).and_then(|m| m.modified());
        let source = (program.clone(), changed.ok());
        let mut kept = self.program.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(archive) = kept.as_ref().filter(|a| a.source == source) {
            return Ok(archive.bytes.clone());
        }
        let bytes = Bytes::from(spec::program(program)?);
        *kept = Some(Archive {
            source,
            bytes: bytes.clone(),
        });
        Ok(bytes)
    }
}

/// Splits name and tag for the engine API; a digest is part of the name.
/// Without a tag or digest the engine would pull all tags.
fn split_reference(image: &str) -> (String, Option<String>) {
    if image.contains('@') {
        return (image.to_owned(), None);
    }
    match image.rsplit_once(':') {
        // A colon before a slash belongs to the port of a registry.
        Some((name, tag)) if !tag.contains('/') => (name.to_owned(), Some(tag.to_owned())),
        _ => (image.to_owned(), Some("latest".to_owned())),
    }
}

fn error_text(e: &bollard::errors::Error) -> String {
    match e {
        bollard::errors::Error::DockerResponseServerError { message, .. } => {
            message.trim().to_owned()
        }
        bollard::errors::Error::DockerStreamError { error } => error.trim().to_owned(),
        other => other.to_string(),
    }
}

/// Hint for an image that is missing and cannot be pulled.
fn no_pull(image: &str, host: &str, why: &str) -> String {
    format!(
        "image {image} is not on host {host} and could not be pulled: {why}; let the host reach \
         its registry, or run `docker pull {image}` where one is reachable and carry it over \
         with `docker save {image} | docker load`"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_reference_is_split_for_the_engine() {
        let tag = |tag: &str| Some(tag.to_owned());
        for (image, name, wanted) in [
            ("kindest/node:v1.36.1", "kindest/node", tag("v1.36.1")),
            ("127.0.0.1:5000/node", "127.0.0.1:5000/node", tag("latest")),
            ("127.0.0.1:5000/node:a", "127.0.0.1:5000/node", tag("a")),
            (
                "kindest/node:v1@sha256:ab",
                "kindest/node:v1@sha256:ab",
                None,
            ),
        ] {
            assert_eq!(split_reference(image), (name.to_owned(), wanted), "{image}");
        }
    }

    #[test]
    fn a_refusal_says_what_to_pull() {
        let text = no_pull("kindest/node:v1", "h", "no such host");
        assert!(text.contains("`docker pull kindest/node:v1`"), "{text}");
        assert!(text.contains("no such host"), "{text}");
    }
}
