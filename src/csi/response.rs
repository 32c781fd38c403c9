//! Answers of the services as CSI responses: total functions, nothing here can fail.

use std::collections::HashMap;

use crate::domain::context::PublishContext;
use crate::domain::error::Error;
use crate::domain::id::VolumeId;
use crate::proto::csi;
use crate::proto::csi::validate_volume_capabilities_response::Confirmed;
use crate::proto::csi::{controller_get_volume_response, list_volumes_response};
use crate::service::{Created, Page, Room, Status};

/// The CSI specification wants a message for volumes in good order, too.
const NORMAL: &str = "nothing is wrong with the volume";

/// Answers CreateVolume.
pub fn created(created: &Created) -> csi::CreateVolumeResponse {
    let Created { id, size, context } = created;
    csi::CreateVolumeResponse {
        volume: Some(volume(id, *size, context.to_map(id))),
    }
}

/// Answers ControllerExpandVolume.
pub fn expanded(size: u64, node_expansion: bool) -> csi::ControllerExpandVolumeResponse {
    csi::ControllerExpandVolumeResponse {
        capacity_bytes: bytes(size),
        node_expansion_required: node_expansion,
    }
}

/// Answers ControllerPublishVolume.
pub fn published(context: &PublishContext) -> csi::ControllerPublishVolumeResponse {
    csi::ControllerPublishVolumeResponse {
        publish_context: context.to_map(),
    }
}

/// Answers ValidateVolumeCapabilities: everything that was asked about, or why not.
pub fn validated(
    request: csi::ValidateVolumeCapabilitiesRequest,
    verdict: Result<(), Error>,
) -> csi::ValidateVolumeCapabilitiesResponse {
    match verdict {
        Ok(()) => csi::ValidateVolumeCapabilitiesResponse {
            confirmed: Some(Confirmed {
                volume_context: request.volume_context,
                volume_capabilities: request.volume_capabilities,
                parameters: request.parameters,
                mutable_parameters: request.mutable_parameters,
            }),
            message: String::new(),
        },
        Err(error) => csi::ValidateVolumeCapabilitiesResponse {
            confirmed: None,
            message: error.context().to_owned(),
        },
    }
}

/// Answers ListVolumes.
pub fn listed(page: Page) -> csi::ListVolumesResponse {
    let Page { entries, next } = page;
    csi::ListVolumesResponse {
        entries: entries.into_iter().map(entry).collect(),
        next_token: next.unwrap_or_default(),
    }
}

/// Answers ControllerGetVolume.
pub fn got(status: Status) -> csi::ControllerGetVolumeResponse {
    let Status {
        id,
        size,
        published,
        abnormal,
    } = status;
    csi::ControllerGetVolumeResponse {
        volume: Some(volume(&id, size, HashMap::new())),
        status: Some(controller_get_volume_response::VolumeStatus {
            published_node_ids: published,
            volume_condition: Some(condition(abnormal)),
        }),
    }
}

/// Answers GetCapacity.
pub fn room(room: &Room) -> csi::GetCapacityResponse {
    let Room {
        available,
        largest,
        smallest,
    } = room;
    csi::GetCapacityResponse {
        available_capacity: bytes(*available),
        maximum_volume_size: Some(bytes(*largest)),
        minimum_volume_size: Some(bytes(*smallest)),
    }
}

fn entry(status: Status) -> list_volumes_response::Entry {
    let Status {
        id,
        size,
        published,
        abnormal,
    } = status;
    list_volumes_response::Entry {
        volume: Some(volume(&id, size, HashMap::new())),
        status: Some(list_volumes_response::VolumeStatus {
            published_node_ids: published,
            volume_condition: Some(condition(abnormal)),
        }),
    }
}

fn volume(id: &VolumeId, size: u64, volume_context: HashMap<String, String>) -> csi::Volume {
    csi::Volume {
        capacity_bytes: bytes(size),
        volume_id: id.to_string(),
        volume_context,
        content_source: None,
        accessible_topology: Vec::new(),
    }
}

fn condition(abnormal: Option<String>) -> csi::VolumeCondition {
    csi::VolumeCondition {
        abnormal: abnormal.is_some(),
        message: abnormal.unwrap_or_else(|| NORMAL.to_owned()),
    }
}

/// CSI counts in signed numbers. 8 EiB less one byte is beyond any pool.
fn bytes(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::error::Kind;

    const ID: &str = "csi-0123456789abcdef0123456789ab";

    fn status(abnormal: Option<&str>) -> Status {
        Status {
            id: ID.parse().unwrap(),
            size: 1 << 30,
            published: vec!["node-1".to_owned()],
            abnormal: abnormal.map(str::to_owned),
        }
    }

    #[test]
    fn list_and_get_say_the_same_of_one_volume() {
        for abnormal in [None, Some("its file is missing")] {
            let got = got(status(abnormal));
            let listed = listed(Page {
                entries: vec![status(abnormal)],
                next: None,
            });
            let [entry] = &listed.entries[..] else {
                panic!("one volume, {} entries", listed.entries.len());
            };
            assert_eq!(got.volume, entry.volume);
            let (got, entry) = (got.status.unwrap(), entry.status.clone().unwrap());
            assert_eq!(got.published_node_ids, entry.published_node_ids);
            assert_eq!(got.volume_condition, entry.volume_condition);
            let condition = got.volume_condition.unwrap();
            assert_eq!(condition.abnormal, abnormal.is_some());
            assert_eq!(condition.message, abnormal.unwrap_or(NORMAL));
        }
    }

    #[test]
    fn the_last_page_has_no_token() {
        let token = |next: Option<&str>| {
            let next = next.map(str::to_owned);
            let entries = Vec::new();
            listed(Page { entries, next }).next_token
        };
        assert_eq!(token(None), "");
        assert_eq!(token(Some(ID)), ID);
    }

    #[test]
    fn a_refused_validation_confirms_nothing_and_says_why() {
        let request = csi::ValidateVolumeCapabilitiesRequest {
            parameters: HashMap::from([("nvmePort".to_owned(), "4420".to_owned())]),
            ..Default::default()
        };
        let parameters = request.parameters.clone();
        let yes = validated(request.clone(), Ok(()));
        assert_eq!(yes.confirmed.unwrap().parameters, parameters);
        assert_eq!(yes.message, "");
        let no = validated(request, Err(Error::new(Kind::Invalid, "no such mode")));
        assert_eq!(no.confirmed, None);
        assert_eq!(no.message, "no such mode");
    }

    #[test]
    fn sizes_beyond_what_csi_can_count_do_not_wrap() {
        assert_eq!(bytes(1 << 30), 1 << 30);
        assert_eq!(bytes(u64::MAX), i64::MAX);
    }
}
