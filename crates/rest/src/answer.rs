//! Typed answers of handlers.

use axum::body::Body;
use axum::response::Response;
use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderName, HeaderValue, StatusCode};
use kernel::{Error, Result};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;

/// What a handler answers; the type decides the status and the schema.
pub trait Answer {
    const STATUS: u16;

    /// Another status with the same body.
    const OTHER_STATUS: Option<u16> = None;

    /// The schema of the body; `None` if there is no body, or none in JSON.
    fn schema(generator: &mut SchemaGenerator) -> Option<Schema>;

    /// # Errors
    /// `Internal` if the body cannot be written.
    fn write(self) -> Result<Response>;
}

/// 200 with a body.
pub struct Json<T>(pub T);

/// 201 with a body.
pub struct Created<T>(pub T);

/// 202 with a body.
pub struct Accepted<T>(pub T);

/// 300 with a body: version documents.
pub struct Choices<T>(pub T);

/// 204.
pub struct NoContent;

/// 200 with a body that is not JSON, or a stream.
pub struct Raw(pub Response);

/// Another answer with more headers.
pub struct With<T> {
    pub answer: T,
    pub headers: Vec<(HeaderName, String)>,
}

impl<T> With<T> {
    /// Adds `Location`.
    pub fn location(answer: T, url: String) -> Self {
        Self {
            answer,
            headers: vec![(LOCATION, url)],
        }
    }
}

fn json(status: u16, body: &impl Serialize) -> Result<Response> {
    let bytes = serde_json::to_vec(body).map_err(|e| Error::internal(e).context("answer"))?;
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = StatusCode::from_u16(status).map_err(Error::internal)?;
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    Ok(response)
}

macro_rules! json_answer {
    ($($name:ident $status:literal),*) => {$(
        impl<T: Serialize + JsonSchema> Answer for $name<T> {
            const STATUS: u16 = $status;

            fn schema(generator: &mut SchemaGenerator) -> Option<Schema> {
                Some(generator.subschema_for::<T>())
            }

            fn write(self) -> Result<Response> {
                json(Self::STATUS, &self.0)
            }
        }
    )*};
}

json_answer!(Json 200, Created 201, Accepted 202, Choices 300);

impl Answer for NoContent {
    const STATUS: u16 = 204;

    fn schema(_: &mut SchemaGenerator) -> Option<Schema> {
        None
    }

    fn write(self) -> Result<Response> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        Ok(response)
    }
}

impl Answer for Raw {
    const STATUS: u16 = 200;

    fn schema(_: &mut SchemaGenerator) -> Option<Schema> {
        None
    }

    fn write(self) -> Result<Response> {
        Ok(self.0)
    }
}

impl<T: Answer> Answer for With<T> {
    const STATUS: u16 = T::STATUS;
    const OTHER_STATUS: Option<u16> = T::OTHER_STATUS;

    fn schema(generator: &mut SchemaGenerator) -> Option<Schema> {
        T::schema(generator)
    }

    fn write(self) -> Result<Response> {
        let mut response = self.answer.write()?;
        for (name, value) in self.headers {
            let value = HeaderValue::from_str(&value)
                .map_err(|e| Error::internal(e).context(format!("header {name}")))?;
            response.headers_mut().insert(name, value);
        }
        Ok(response)
    }
}
