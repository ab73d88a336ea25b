//! Creates a container and prepares everything that it needs before its first
//! start.

use bollard::models::NetworkConnectRequest;
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder, UploadToContainerOptionsBuilder,
};
use infra::{
    Actor, ContainerHost as _, ContainerSpec, ContainerState, Isolation, Relation, foreign,
    relation, stale,
};
use kernel::{Error, Result};

use crate::fault::{message_contains, no_image, status};
use crate::user_namespaces::with_range;
use crate::{Engine, spec};

/// State of an existing container with the wanted name.
pub(crate) enum Found {
    /// It was started, so its files are complete.
    Complete(String),
    /// It was created by a run that may not have continued.
    Incomplete(String),
    /// It belonged to an older build and was removed.
    Removed,
}

/// The engine has reserved the name but does not show the container yet: a
/// creation is in progress, possibly our own that timed out.
pub(crate) fn registering(name: &str) -> Error {
    Error::unavailable(format!(
        "the engine still registers container {name}; trying again"
    ))
}

impl Engine {
    /// Returns `None` if the name is in use.
    pub(crate) async fn make_container(&self, spec: &ContainerSpec) -> Result<Option<String>> {
        let mut body = spec::body(spec);
        if spec.isolation == Isolation::UserNamespace {
            body = with_range(body, self.claim_range(spec).await?);
        }
        let options = CreateContainerOptionsBuilder::new().name(&spec.name);
        let made = self
            .docker()
            .await?
            .create_container(Some(options.build()), body)
            .await;
        match made {
            Ok(made) => Ok(Some(made.id)),
            Err(e) if status(&e) == Some(404) && message_contains(&e, "No such image") => {
                Err(no_image(&spec.image, self.host_name().await))
            }
            Err(e)
                if status(&e) == Some(409)
                    && message_contains(&e, "is already in use by container") =>
            {
                Ok(None)
            }
            Err(e) => Err(self.fault(&format!("create container {}", spec.name), &e)),
        }
    }

    pub(crate) async fn found(&self, actor: Actor, spec: &ContainerSpec) -> Result<Found> {
        let view = self
            .inspect(&spec.name)
            .await?
            .ok_or_else(|| registering(&spec.name))?;
        let what = format!("container {}", spec.name);
        match relation(&view.labels, &spec.labels, actor) {
            Relation::Newer => Err(stale(&what)),
            Relation::Foreign => Err(foreign(&what, &format!("docker rm -f {}", view.id))),
            Relation::Older => {
                self.remove_container(&view.id).await?;
                Ok(Found::Removed)
            }
            // Another release has created it without the namespace.
            Relation::Same if view.isolation != Some(spec.isolation) => {
                self.remove_container(&view.id).await?;
                Ok(Found::Removed)
            }
            Relation::Same if view.state == ContainerState::Created => {
                Ok(Found::Incomplete(view.id))
            }
            Relation::Same => Ok(Found::Complete(view.id)),
        }
    }

    /// Completes a container before its first start. Repeatable.
    pub(crate) async fn complete_container(&self, id: &str, spec: &ContainerSpec) -> Result<()> {
        let docker = self.docker().await?;
        for end in spec.endpoints.iter().skip(1) {
            let request = NetworkConnectRequest {
                container: id.to_owned(),
                endpoint_config: Some(spec::endpoint(end)),
            };
            match docker.connect_network(&end.network, request).await {
                Err(e) if !message_contains(&e, "already exists in network") => {
                    return Err(self.fault(&format!("connect it to {}", end.network), &e));
                }
                _ => {}
            }
        }
        if let Some(program) = &spec.foreign.program {
            self.put_program(id, program).await?;
        }
        if spec.files.is_empty() {
            return Ok(());
        }
        let options = UploadToContainerOptionsBuilder::new().path("/").build();
        let tar = bollard::body_full(spec::archive(&spec.files)?.into());
        docker
            .upload_to_container(id, Some(options), tar)
            .await
            .map_err(|e| self.fault(&format!("put files into container {}", spec.name), &e))
    }

    pub(crate) async fn remove_container(&self, id: &str) -> Result<()> {
        // `v` also removes anonymous volumes of the image.
        let options = RemoveContainerOptionsBuilder::new()
            .force(true)
            .v(true)
            .build();
        match self
            .docker()
            .await?
            .remove_container(id, Some(options))
            .await
        {
            Ok(()) => Ok(()),
            Err(e) if status(&e) == Some(404) => Ok(()),
            Err(e) if message_contains(&e, "already in progress") => Err(Error::unavailable(
                format!("container {id} is being removed"),
            )),
            Err(e) => Err(self.fault(&format!("remove container {id}"), &e)),
        }
    }
}
