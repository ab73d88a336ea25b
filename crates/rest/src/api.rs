//! All services of one listener.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use http::{HeaderValue, StatusCode};
use kernel::{Error, Kind, ids};

use crate::dialect::Asked;
use crate::limits::LargeHead;
use crate::service::RouteFigures;
use crate::{Dialect, Service, link};

/// The services of one listener; cheap to clone.
#[derive(Clone)]
pub struct Api(Arc<Inner>);

struct Inner {
    services: Vec<Service>,
    /// For paths of no service.
    dialect: Arc<dyn Dialect>,
    public_endpoint: Option<String>,
}

impl Api {
    /// The first service whose prefix fits serves a path. `public_endpoint` is
    /// used in links instead of the `Host` of requests.
    pub fn new(
        services: Vec<Service>,
        dialect: Arc<dyn Dialect>,
        public_endpoint: Option<String>,
    ) -> Self {
        Self(Arc::new(Inner {
            services,
            dialect,
            public_endpoint,
        }))
    }

    #[must_use]
    pub fn services(&self) -> &[Service] {
        &self.0.services
    }

    /// What the routes have answered.
    pub fn figures(&self) -> impl Iterator<Item = RouteFigures> {
        self.0.services.iter().flat_map(Service::figures)
    }

    /// A router with a single fallback, for the listener.
    pub fn into_router(self) -> Router {
        Router::new().fallback(move |request: Request| async move { self.serve(request).await })
    }

    async fn serve(self, request: Request) -> Response {
        let request_id = ids::request_id();
        let mut response = self.0.answer(request, &request_id).await;
        if let Ok(value) = HeaderValue::from_str(&request_id) {
            let headers = response.headers_mut();
            headers.insert("x-openstack-request-id", value);
        }
        response
    }
}

impl Inner {
    async fn answer(&self, request: Request, request_id: &str) -> Response {
        let path = request.uri().path().trim_end_matches('/').to_owned();
        let own = |s: &'_ Service| s.own_path(&path).is_some();
        let service = self.services.iter().find(|s| own(s));
        let public = self.public_endpoint.as_deref();
        let base = link::base(request.uri(), request.headers(), public);
        let asked = Asked {
            request_id,
            base: base.as_deref().unwrap_or_default(),
        };
        let dialect = service.map_or(&self.dialect, |s| &s.settings.dialect);
        if let Err(e) = &base {
            return dialect.render(e, &asked);
        }
        if request.extensions().get::<LargeHead>().is_some() {
            let text = "The head of the request is too large; send fewer or shorter headers, or a shorter URL.";
            let error = Error::new(Kind::NotSupported { status: 431 }, text);
            return dialect.render(&error, &asked);
        }
        match service {
            Some(service) => {
                let path = service.own_path(&path).unwrap_or_default().to_owned();
                service.serve(&path, request, &asked).await
            }
            None => dialect.routing(StatusCode::NOT_FOUND, &asked),
        }
    }
}
