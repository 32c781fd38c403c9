//! Refusals, as the Status objects an API server sends.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::kind::Kind;

/// What clients look for in the message of a lost race.
const STALE: &str =
    "the object has been modified; please apply your changes to the latest version and try again";

/// Why a request was not served.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Refusal {
    pub(super) code: u16,
    pub(super) reason: &'static str,
    pub(super) message: String,
    details: Value,
    retry_after: Option<u32>,
}

// === impl Refusal ===

impl Refusal {
    pub(super) fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            details: Value::Null,
            retry_after: None,
        }
    }

    fn about(mut self, kind: &Kind, name: &str) -> Self {
        self.details = json!({"name": name, "group": kind.group, "kind": kind.resource});
        self
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// The path names nothing this API has.
    pub(super) fn no_such_path() -> Self {
        Self::new(
            404,
            "NotFound",
            "the server could not find the requested resource",
        )
    }

    pub(super) fn method() -> Self {
        Self::new(
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        )
    }

    pub(super) fn not_found(kind: &Kind, name: &str) -> Self {
        let message = format!("{} \"{name}\" not found", kind.qualified());
        Self::new(404, "NotFound", message).about(kind, name)
    }

    pub(super) fn already_exists(kind: &Kind, name: &str, leaving: bool) -> Self {
        let prefix = if leaving {
            "object is being deleted: "
        } else {
            ""
        };
        let message = format!("{prefix}{} \"{name}\" already exists", kind.qualified());
        Self::new(409, "AlreadyExists", message).about(kind, name)
    }

    pub(super) fn conflict(kind: &Kind, name: &str, why: &str) -> Self {
        let what = kind.qualified();
        let message = format!("Operation cannot be fulfilled on {what} \"{name}\": {why}");
        Self::new(409, "Conflict", message).about(kind, name)
    }

    /// The object has another resourceVersion than the request.
    pub(super) fn stale(kind: &Kind, name: &str) -> Self {
        Self::conflict(kind, name, STALE)
    }

    /// A field that does not pass validation.
    pub(super) fn invalid(kind: &Kind, name: &str, field: &str, why: &str) -> Self {
        let what = kind.qualified_name();
        let message = format!("{what} \"{name}\" is invalid: {field}: {why}");
        let mut refusal = Self::new(422, "Invalid", message);
        refusal.details = json!({
            "name": name, "group": kind.group, "kind": kind.name,
            "causes": [{"reason": "FieldValueInvalid", "message": why, "field": field}],
        });
        refusal
    }

    /// History does not reach back that far.
    pub(super) fn expired(wanted: u64, oldest: u64) -> Self {
        let message = format!("too old resource version: {wanted} ({oldest})");
        Self::new(410, "Expired", message)
    }

    /// A version that does not exist yet.
    pub(super) fn too_new(wanted: u64, newest: u64) -> Self {
        let message = format!("Too large resource version: {wanted}, current: {newest}");
        let mut refusal = Self::new(504, "Timeout", message);
        refusal.details = json!({
            "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
            "retryAfterSeconds": 1,
        });
        refusal
    }

    pub(super) fn media_type(given: &str) -> Self {
        let message = format!("the body of the request was in an unknown format: \"{given}\"");
        Self::new(415, "UnsupportedMediaType", message)
    }

    pub(super) fn too_many(retry_after_seconds: u32) -> Self {
        let mut refusal = Self::new(
            429,
            "TooManyRequests",
            "the server has received too many requests, please try again later",
        );
        refusal.details = json!({"retryAfterSeconds": retry_after_seconds});
        refusal.retry_after = Some(retry_after_seconds);
        refusal
    }

    /// A server error of this code.
    pub(super) fn server(code: u16) -> Self {
        let reason = match code {
            503 => "ServiceUnavailable",
            504 => "Timeout",
            _ => "InternalError",
        };
        Self::new(code, reason, "an injected fault answers this request")
    }

    /// The Status object.
    pub(super) fn status(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "code": self.code,
        });
        if let (Some(status), false) = (status.as_object_mut(), self.details.is_null()) {
            status.insert("details".to_owned(), self.details.clone());
        }
        status
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let code = StatusCode::from_u16(self.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (code, axum::Json(self.status())).into_response();
        if let Some(seconds) = self.retry_after {
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
