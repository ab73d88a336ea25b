//! The OpenAPI 3.1 document of route tables.

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::route::{Param, ParamKind, RouteInfo};
use crate::{Access, Service};

/// The document of some services; `version` is that of the product.
#[must_use]
pub fn document(services: &[&Service], version: &str) -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    let mut generator = settings.into_generator();
    let mut paths: Map<String, Value> = Map::new();
    for service in services {
        for info in service.routes() {
            let own = if info.path == "/" { "" } else { info.path };
            let path = format!("{}{own}", service.settings.prefix);
            let path = if path.is_empty() {
                "/".to_owned()
            } else {
                path
            };
            let item = paths.entry(path).or_insert_with(|| json!({}));
            item[info.method.as_str().to_lowercase()] = operation(service, info, &mut generator);
        }
    }
    let schemas = generator.take_definitions(true);
    json!({
        "openapi": "3.1.0",
        "info": {"title": "Jeroboam", "version": version,
            "description": "Container clusters as a service, compatible with OpenStack."},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"}},
        },
    })
}

fn operation(service: &Service, info: &RouteInfo, generator: &mut SchemaGenerator) -> Value {
    let settings = &service.settings;
    let mut operation = json!({
        "tags": [settings.name],
        "summary": info.about,
        "operationId": operation_id(settings.name, info),
        "parameters": parameters(info),
    });
    if matches!(info.access, Access::AnyToken(_) | Access::Rule(_)) {
        operation["security"] = json!([{"token": []}]);
    }
    operation["x-access"] = match info.access {
        Access::Public(reason) => json!({"public": reason}),
        Access::AnyToken(reason) => json!({"token": reason}),
        Access::Rule(rule) => json!({"policy": rule.name}),
        Access::Own(means) => json!({"own": means}),
    };
    if let Some(since) = info.since {
        operation["x-since"] = json!(since.to_string());
    }
    if let Some(schema) = (info.body)(generator) {
        operation["requestBody"] =
            json!({"required": true, "content": {"application/json": {"schema": schema}}});
    }
    let mut success = json!({"description": "The request succeeded."});
    if let Some(schema) = (info.answer)(generator) {
        success["content"] = json!({"application/json": {"schema": schema}});
    }
    let errors = settings.dialect.schema(generator);
    let failure = |text: &str| json!({"description": text, "content": {"application/json": {"schema": errors}}});
    let other = info
        .other_status
        .map(|status| (status.to_string(), success.clone()));
    operation["responses"] = json!({
        info.status.to_string(): success,
        "4XX": failure("The request is refused; the text says why."),
        "5XX": failure("The server failed, or is busy: see Retry-After."),
    });
    if let Some((status, success)) = other {
        operation["responses"][status] = success;
    }
    operation
}

/// Paths and queries have no control characters; see [`crate::query::check_text`].
const NO_CONTROL: &str = r"^[^\u0000-\u001f\u007f]*$";

fn parameters(info: &RouteInfo) -> Vec<Value> {
    let segments = info.path.split('/');
    let names = segments.filter_map(|s| s.strip_prefix('{')?.strip_suffix('}'));
    let in_path = names.map(|name| {
        json!({"name": name, "in": "path", "required": true,
            "schema": {"type": "string", "minLength": 1, "pattern": NO_CONTROL}})
    });
    let all = info.query.iter().flat_map(|list| list.iter());
    let in_query = all.map(|param| {
        json!({"name": param.name, "in": "query", "required": false,
            "description": param.about, "schema": param_schema(param)})
    });
    in_path.chain(in_query).collect()
}

fn param_schema(param: &Param) -> Value {
    match param.kind {
        ParamKind::Text => json!({"type": "string", "pattern": NO_CONTROL}),
        ParamKind::Integer => json!({"type": "integer"}),
        ParamKind::Positive => json!({"type": "integer", "minimum": 1}),
        ParamKind::Boolean => json!({"type": "boolean"}),
        ParamKind::Words(words) => json!({"type": "string", "enum": words}),
    }
}

fn operation_id(service: &str, info: &RouteInfo) -> String {
    let path = info.path.replace(['{', '}'], "");
    let words = path.split('/').filter(|word| !word.is_empty());
    let words: Vec<&str> = words.collect();
    let method = info.method.as_str().to_lowercase();
    format!("{service}_{method}_{}", words.join("_")).replace('-', "_")
}
