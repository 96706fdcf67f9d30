//! Every route of the OpenAPI document, with values to send: a new route is walked without anybody thinking of it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use wardbook::api::openapi;

use super::{Answer, Client};

/// One method of one path.
pub struct Route {
    pub method: String,
    pub path: String,
    /// Whether anybody may call it.
    pub is_open: bool,
    /// Names of what stands in braces.
    pub params: Vec<String>,
    body: Option<Value>,
}

/// Values by the names of parameters and members: ids mostly.
pub type Ids = BTreeMap<&'static str, String>;

/// All of them.
pub fn routes() -> Vec<Route> {
    let paths = openapi::json()["paths"].as_object().unwrap();
    let operations = paths.iter().flat_map(|(path, methods)| {
        methods.as_object().unwrap().iter().map(move |(method, operation)| (path, method, operation))
    });
    let route = |(path, method, operation): (&String, &String, &Value)| Route {
        method: method.to_ascii_uppercase(),
        path: path.clone(),
        is_open: operation.get("security").is_none(),
        params: path.split('{').skip(1).filter_map(|part| part.split('}').next()).map(str::to_owned).collect(),
        body: operation.pointer("/requestBody/content/application~1json/schema").cloned(),
    };
    operations.map(route).collect()
}

impl Route {
    pub fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// Calls it with these ids in the path, and a body in which they stand wherever one of that name is asked for.
    pub fn call(&self, client: &Client, in_path: &Ids, in_body: &Ids) -> Answer {
        let mut path = self.path.clone();
        for param in &self.params {
            let value = in_path.get(param.as_str()).cloned().unwrap_or_else(|| uuid::Uuid::nil().to_string());
            path = path.replace(&format!("{{{param}}}"), &value);
        }
        let client = client.with("If-Match", "\"1\"");
        match &self.body {
            None if self.method == "GET" => client.get(&path),
            None => client.raw(&self.method, &path, None, b""),
            Some(schema) => {
                let body = usual(&self.name(), in_body).unwrap_or_else(|| sample(schema, "", in_body));
                client.raw(&self.method, &path, Some("application/json"), body.to_string().as_bytes())
            }
        }
    }
}

/// Bodies that no schema tells all about.
fn usual(route: &str, ids: &Ids) -> Option<Value> {
    let text = json!({"code": {"text": "x"}});
    Some(match route {
        "POST /v1/patients" => super::person("Sample"),
        "PATCH /v1/patients/{patient}" => json!({"language": "en"}),
        "POST /v1/patients/search" => json!({"name": "Sample"}),
        "POST /v1/patients/{patient}/records" => json!({"type": "note", "body": text}),
        "POST /v1/patients/{patient}/documents" => {
            json!({"title": "x", "media_type": "text/plain", "size_bytes": 5})
        }
        "PUT /v1/patients/{patient}/records/{record}" => json!({"body": text}),
        "POST /v1/users" => {
            json!({"username": format!("n-{}", uuid::Uuid::now_v7().simple()), "roles": ["nurse"], "patient": ids.get("patient")})
        }
        "POST /v1/patients/{patient}/restrictions" => json!({"role": "nurse"}),
        "POST /v1/patients/{patient}/disclosures" => json!({"label": "SUD"}),
        "POST /v1/access-reviews" => json!({"title": "Sample", "due_at": "2999-01-01T00:00:00Z"}),
        "POST /v1/services" => json!({"username": format!("n-{}", uuid::Uuid::now_v7().simple())}),
        "POST /v1/replay" => json!({"patient": ids.get("patient"), "limit": 10}),
        _ => return None,
    })
}

/// A value that fits a schema: what must be there, and every id by its name.
fn sample(schema: &Value, name: &str, ids: &Ids) -> Value {
    if let Some(reference) = schema["$ref"].as_str() {
        return sample(openapi::json().pointer(&reference[1..]).unwrap(), name, ids);
    }
    for choice in ["oneOf", "anyOf", "allOf"] {
        let one = schema[choice].as_array().and_then(|all| all.iter().find(|one| one["type"] != "null"));
        if let Some(one) = one {
            return sample(one, name, ids);
        }
    }
    if let Some(first) = schema["enum"].as_array().and_then(|all| all.first()) {
        return first.clone();
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().find(|kind| *kind != "null").and_then(Value::as_str),
        kind => kind.as_str(),
    };
    match kind {
        Some("object") | None => object(schema, ids),
        Some("array") => json!([sample(&schema["items"], name, ids)]),
        Some("boolean") => json!(true),
        Some("integer" | "number") => schema["minimum"].as_i64().unwrap_or(1).into(),
        _ => text(schema, name, ids).into(),
    }
}

fn object(schema: &Value, ids: &Ids) -> Value {
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let members = schema["properties"].as_object().into_iter().flatten();
    let wanted = members.filter(|(name, _)| ids.contains_key(name.as_str()) || required.iter().any(|one| one == *name));
    wanted.map(|(name, schema)| (name.clone(), sample(schema, name, ids))).collect::<Map<_, _>>().into()
}

fn text(schema: &Value, name: &str, ids: &Ids) -> String {
    match (ids.get(name), schema["format"].as_str()) {
        (Some(id), _) => id.clone(),
        (None, Some("uuid")) => uuid::Uuid::now_v7().to_string(),
        (None, Some("date-time")) => "2026-03-01T20:00:00Z".to_owned(),
        (None, Some("date")) => "2026-03-01".to_owned(),
        (None, Some("password")) => super::PASSWORD.to_owned(),
        _ => "sample".to_owned(),
    }
}
