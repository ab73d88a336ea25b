//! Identity alone on a port, to try OpenStack clients against:
//! `cargo run -p identity --example keystone -- DIR` writes `DIR/clouds.yaml`,
//! prints its address and answers until it is interrupted.
#![expect(clippy::print_stdout, reason = "a command-line program")]

use std::path::PathBuf;
use std::sync::Arc;

use axum::response::{IntoResponse as _, Response};
use identity::{CatalogEntry, Identity};
use kernel::{Error, Result};
use tokio_util::sync::CancellationToken;

struct Plain;

impl rest::Dialect for Plain {
    fn render(&self, error: &Error, _: &str) -> Response {
        (axum::http::StatusCode::NOT_FOUND, error.message.clone()).into_response()
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let dir = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| ".".into()));
    let db = db::Db::connect(&format!("sqlite:{}", dir.join("db.sqlite").display())).await?;
    db.migrate(identity::migrations()).await?;
    let catalog = vec![CatalogEntry::new("identity", "keystone", "/identity/v3")];
    let identity = Identity::new(db, &dir.join("keys"), catalog, None).await?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .map_err(Error::internal)?;
    let address = listener.local_addr().map_err(Error::internal)?;
    if let Some(first) = identity.bootstrap().await? {
        let cloud = |name: &str, password: &str| {
            format!(
                "  {name}:\n    auth: {{auth_url: \"http://{address}/identity\", username: {name}, password: {password}, project_name: {name}, user_domain_name: Default, project_domain_name: Default}}\n    region_name: RegionOne\n    identity_api_version: 3\n"
            )
        };
        let text = format!(
            "clouds:\n{}{}",
            cloud("admin", &first.admin_password),
            cloud("demo", &first.demo_password)
        );
        std::fs::write(dir.join("clouds.yaml"), text).map_err(Error::internal)?;
    }
    println!("http://{address}/identity");
    let stop = CancellationToken::new();
    let serving = rest::serve(
        listener,
        rest::finish(identity.routes(), Arc::new(Plain)),
        stop.clone(),
    );
    let ended = async {
        let _ = tokio::signal::ctrl_c().await;
        stop.cancel();
    };
    tokio::join!(serving, ended).0
}
