//! What images of others need: to be pulled, and a program of ours in their
//! containers.

use std::sync::PoisonError;
use std::time::{Duration, SystemTime};

use bollard::query_parameters::{CreateImageOptionsBuilder, UploadToContainerOptionsBuilder};
use bytes::Bytes;
use futures_util::StreamExt as _;
use infra::ProgramSpec;
use kernel::{Error, Kind, Result};

use crate::{Engine, spec};

/// A node image of others is some hundred MB.
const PATIENCE: Duration = Duration::from_secs(600);

/// A program as an archive, and what it was made of.
#[derive(Clone)]
pub(crate) struct Archive {
    of: (ProgramSpec, Option<SystemTime>),
    bytes: Bytes,
}

impl Engine {
    /// Has the engine pull an image from the registry that its name says.
    pub(crate) async fn pull_image(&self, image: &str) -> Result<()> {
        let docker = self.docker().await?;
        let (name, tag) = parts(image);
        let mut options = CreateImageOptionsBuilder::new().from_image(&name);
        if let Some(tag) = &tag {
            options = options.tag(tag);
        }
        let mut progress = docker.create_image(Some(options.build()), None, None);
        let all = async {
            while let Some(step) = progress.next().await {
                step.map_err(|e| words(&e))?;
            }
            Ok(())
        };
        let why = match tokio::time::timeout(PATIENCE, all).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(why)) => why,
            Err(_) => format!("it took longer than {} s", PATIENCE.as_secs()),
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
        let of = (program.clone(), changed.ok());
        let mut kept = self.program.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(archive) = kept.as_ref().filter(|a| a.of == of) {
            return Ok(archive.bytes.clone());
        }
        let bytes = Bytes::from(spec::program(program)?);
        *kept = Some(Archive {
            of,
            bytes: bytes.clone(),
        });
        Ok(bytes)
    }
}

/// Name and tag as the engine's call wants them; a digest is part of the
/// name. Without either the engine would pull every tag there is.
fn parts(image: &str) -> (String, Option<String>) {
    if image.contains('@') {
        return (image.to_owned(), None);
    }
    match image.rsplit_once(':') {
        // A colon before a slash is a registry's port.
        Some((name, tag)) if !tag.contains('/') => (name.to_owned(), Some(tag.to_owned())),
        _ => (image.to_owned(), Some("latest".to_owned())),
    }
}

fn words(e: &bollard::errors::Error) -> String {
    match e {
        bollard::errors::Error::DockerResponseServerError { message, .. } => {
            message.trim().to_owned()
        }
        bollard::errors::Error::DockerStreamError { error } => error.trim().to_owned(),
        other => other.to_string(),
    }
}

/// What to do where an image is not there and cannot be pulled.
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
    fn a_name_is_taken_apart_as_the_engine_wants_it() {
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
            assert_eq!(parts(image), (name.to_owned(), wanted), "{image}");
        }
    }

    #[test]
    fn a_refusal_says_what_to_pull() {
        let text = no_pull("kindest/node:v1", "h", "no such host");
        assert!(text.contains("`docker pull kindest/node:v1`"), "{text}");
        assert!(text.contains("no such host"), "{text}");
    }
}
