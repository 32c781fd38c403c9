//! Reads: GET and LIST, with paging and with the past.

use std::ops::Bound;

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::json;

use super::event;
use super::refusal::Refusal;
use super::request::Call;
use super::selector::Selector;
use super::store::{Key, Store};
use super::write::Served;

/// Serves one object. `stale` is the past that a read at "any" version gets to see, by a fault.
pub(super) fn get(store: &Store, call: &Call, stale: Option<u64>) -> Result<Served, Refusal> {
    let target = &call.target;
    let key = target.key(target.name());
    let objects = store.at(target.kind, seen(store, call, stale)?)?;
    let stored = objects
        .get(&key)
        .ok_or_else(|| Refusal::not_found(target.kind, target.name()))?;
    Ok(Served {
        code: 200,
        body: event::served_text(target.kind, &stored.text),
    })
}

/// The version a read without paging sees: the newest, except that a fault may show an older one to
/// those who ask for any.
fn seen(store: &Store, call: &Call, stale: Option<u64>) -> Result<u64, Refusal> {
    let newest = store.version();
    Ok(match (call.version()?, stale) {
        (Some(0), Some(stale)) => stale,
        (Some(wanted), _) if wanted > newest => return Err(Refusal::too_new(wanted, newest)),
        (Some(wanted), _) if call.options.resource_version_match == "Exact" => wanted,
        _ => newest,
    })
}

/// Where a list goes on: the version its first page saw, and the last key that was served.
struct Page {
    version: u64,
    after: Bound<Key>,
}

impl Page {
    fn parse(token: &str) -> Option<Self> {
        let mut parts = token.splitn(3, '/');
        let version = parts.next()?.parse().ok()?;
        let key = (parts.next()?.to_owned(), parts.next()?.to_owned());
        Some(Self {
            version,
            after: Bound::Excluded(key),
        })
    }

    fn token(version: u64, (namespace, name): &Key) -> String {
        format!("{version}/{namespace}/{name}")
    }
}

/// Serves a list, or a page of it.
pub(super) fn list(store: &Store, call: &Call, stale: Option<u64>) -> Result<Served, Refusal> {
    let kind = call.target.kind;
    let selector = Selector::of(call)?;
    let page = if call.options.after.is_empty() {
        Page {
            version: seen(store, call, stale)?,
            after: Bound::Unbounded,
        }
    } else {
        Page::parse(&call.options.after)
            .ok_or_else(|| Refusal::bad_request("continue key is not valid"))?
    };
    let objects = store.at(kind, page.version)?;
    // A list of any version comes from a cache, which does not cut it into pages.
    let whole = call.options.limit == 0 || call.version()? == Some(0);
    let limit = if whole {
        usize::MAX
    } else {
        call.options.limit
    };
    let mut rest = objects
        .range((page.after, Bound::Unbounded))
        .filter(|(key, stored)| selector.takes(key, stored));
    let mut items = BytesMut::new();
    let mut last = None;
    for (key, stored) in rest.by_ref().take(limit) {
        if last.is_some() {
            items.put_u8(b',');
        }
        items.put(event::served_text(kind, &stored.text));
        last = Some(key);
    }
    let left = rest.count();
    let mut metadata = json!({"resourceVersion": page.version.to_string()});
    if let (Some(last), true, Some(metadata)) = (last, left > 0, metadata.as_object_mut()) {
        let token = Page::token(page.version, last);
        metadata.insert("continue".to_owned(), token.into());
        if selector.takes_all() {
            metadata.insert("remainingItemCount".to_owned(), left.into());
        }
    }
    let head = format!(
        "{{\"kind\":\"{}List\",\"apiVersion\":\"{}\",\"metadata\":{metadata},\"items\":[",
        kind.name,
        kind.api_version()
    );
    let mut body = BytesMut::with_capacity(head.len() + items.len() + 2);
    body.put(head.as_bytes());
    body.put(items);
    body.put(&b"]}"[..]);
    Ok(Served {
        code: 200,
        body: Bytes::from(body),
    })
}
