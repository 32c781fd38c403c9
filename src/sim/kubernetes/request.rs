//! What a request asks for: verb, resource, object and options.

use axum::extract::Query;
use axum::http::request::Parts;
use axum::http::{Method, header};
use serde::{Deserialize, Deserializer, Serialize};

use super::kind::Kind;
use super::refusal::Refusal;
use super::store::Key;

/// What is done to a resource, in the words of RBAC rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// Reads one object.
    Get,
    /// Reads many.
    List,
    /// Follows the changes of many.
    Watch,
    /// Adds one (POST).
    Create,
    /// Replaces one (PUT).
    Update,
    /// Changes parts of one (PATCH).
    Patch,
    /// Removes one.
    Delete,
}

/// The part of an API a path names.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) kind: &'static Kind,
    /// `None` for cluster-wide kinds and for lists over all namespaces.
    pub(super) namespace: Option<String>,
    pub(super) name: Option<String>,
    /// The `status` subresource of it.
    pub(super) status: bool,
}

/// Options in the query. Names and meanings are the API server's.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Options {
    #[serde(deserialize_with = "truth")]
    watch: bool,
    pub(super) resource_version: String,
    pub(super) resource_version_match: String,
    pub(super) limit: usize,
    #[serde(rename = "continue")]
    pub(super) after: String,
    pub(super) field_selector: String,
    pub(super) label_selector: String,
    #[serde(deserialize_with = "truth")]
    pub(super) allow_watch_bookmarks: bool,
    #[serde(deserialize_with = "truth")]
    pub(super) send_initial_events: bool,
    pub(super) timeout_seconds: Option<u64>,
    dry_run: String,
}

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) verb: Verb,
    pub(super) target: Target,
    pub(super) options: Options,
    /// The content type, without parameters.
    pub(super) media_type: String,
    /// The bearer token, empty without one.
    pub(super) token: String,
}

/// `1` and `true` are both in use.
fn truth<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok(matches!(text.as_str(), "1" | "true"))
}

// === impl Verb ===

impl Verb {
    /// The word an RBAC rule has for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
        }
    }
}

// === impl Target ===

impl Target {
    fn parse(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let (group, version, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] => ("", version, rest),
            ["apis", group, version, rest @ ..] => (*group, version, rest),
            _ => return None,
        };
        let (namespace, rest) = match rest {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => {
                (Some((*namespace).to_owned()), rest)
            }
            rest => (None, rest),
        };
        let (resource, name, status) = match rest {
            [resource] => (resource, None, false),
            [resource, name] => (resource, Some(*name), false),
            [resource, name, "status"] => (resource, Some(*name), true),
            _ => return None,
        };
        let kind = Kind::find(group, version, resource)?;
        let fits = match (&namespace, name) {
            (Some(_), _) => kind.namespaced,
            (None, Some(_)) => !kind.namespaced,
            (None, None) => true,
        };
        (fits && (!status || kind.status.is_some())).then(|| Self {
            kind,
            namespace,
            name: name.map(str::to_owned),
            status,
        })
    }

    /// `volumeattachments`, `volumeattachments/status`.
    pub(super) fn resource(&self) -> String {
        let part = if self.status { "/status" } else { "" };
        format!("{}{part}", self.kind.resource)
    }

    /// The name in the path, empty for a whole resource.
    pub(super) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    /// Where the object of this name is kept.
    pub(super) fn key(&self, name: &str) -> Key {
        let namespace = self.namespace.clone().unwrap_or_default();
        (namespace, name.to_owned())
    }
}

// === impl Call ===

impl Call {
    /// # Errors
    /// The path, the method or an option is none that this API has.
    pub(super) fn parse(parts: &Parts) -> Result<Self, Refusal> {
        let target = Target::parse(parts.uri.path()).ok_or_else(Refusal::no_such_path)?;
        let Query(options) = Query::<Options>::try_from_uri(&parts.uri)
            .map_err(|error| Refusal::bad_request(error.to_string()))?;
        if !options.dry_run.is_empty() {
            return Err(Refusal::bad_request("dryRun is not supported here"));
        }
        let text = |name| {
            let value = parts.headers.get(name);
            value
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
        };
        let media_type = text(header::CONTENT_TYPE).split(';').next();
        Ok(Self {
            verb: verb(&parts.method, &target, &options)?,
            media_type: media_type.unwrap_or_default().trim().to_owned(),
            token: text(header::AUTHORIZATION)
                .trim_start_matches("Bearer ")
                .to_owned(),
            target,
            options,
        })
    }

    /// The resourceVersion asked for: `None` for the newest there is.
    ///
    /// # Errors
    /// It is not a number.
    pub(super) fn version(&self) -> Result<Option<u64>, Refusal> {
        let text = &self.options.resource_version;
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|_| {
            let message = format!("resourceVersion: Invalid value: \"{text}\": not a number");
            Refusal::bad_request(message)
        })
    }
}

fn verb(method: &Method, target: &Target, options: &Options) -> Result<Verb, Refusal> {
    // A namespaced kind is created in a namespace; without one the path is a list over all.
    let creates = target.namespace.is_some() || !target.kind.namespaced;
    Ok(match (method, &target.name) {
        (&Method::GET, Some(_)) => Verb::Get,
        (&Method::GET, None) if options.watch => Verb::Watch,
        (&Method::GET, None) => Verb::List,
        (&Method::POST, None) if creates => Verb::Create,
        (&Method::PUT, Some(_)) => Verb::Update,
        (&Method::PATCH, Some(_)) => Verb::Patch,
        (&Method::DELETE, Some(_)) if !target.status => Verb::Delete,
        _ => return Err(Refusal::method()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_what_they_name_on_an_api_server() {
        for (path, expected) in [
            ("/api/v1/nodes", Some("nodes  ")),
            ("/api/v1/nodes/n1/status", Some("nodes/status  n1")),
            ("/api/v1/events", Some("events  ")),
            ("/api/v1/namespaces/a/events/e", Some("events a e")),
            (
                "/apis/coordination.k8s.io/v1/namespaces/a/leases",
                Some("leases a "),
            ),
            ("/apis/coordination.k8s.io/v1/leases", Some("leases  ")),
            ("/apis/coordination.k8s.io/v1/leases/l", None),
            (
                "/apis/coordination.k8s.io/v1/namespaces/a/leases/l/status",
                None,
            ),
            ("/api/v1/namespaces/a/nodes", None),
            ("/api/v1/namespaces/a", None),
            ("/api/v1/pods", None),
            ("/apis/storage.k8s.io/v1beta1/volumeattachments", None),
            ("/", None),
        ] {
            let found = Target::parse(path).map(|target| {
                let namespace = target.namespace.clone().unwrap_or_default();
                format!("{} {namespace} {}", target.resource(), target.name())
            });
            assert_eq!(found.as_deref(), expected, "{path}");
        }
    }
}
