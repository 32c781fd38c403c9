//! Sizes that are no sizes, contradict each other, or contradict what exists.

use rds_csi::proto::csi;
use tonic::Code;

use crate::room::{Room, create, delete, expand};

const GIB: i64 = 1 << 30;

fn sized(name: &str, required: i64, limit: i64) -> csi::CreateVolumeRequest {
    csi::CreateVolumeRequest {
        capacity_range: Some(csi::CapacityRange {
            required_bytes: required,
            limit_bytes: limit,
        }),
        ..create(name)
    }
}

#[tokio::test]
async fn sizes_that_cannot_be_served_are_refused() {
    let room = Room::new().await;
    let mut client = room.socket.client.clone();
    let id = room.id.as_str();
    let (invalid, range) = (Code::InvalidArgument, Code::OutOfRange);
    for (required, limit, code, word) in [
        (-1, 0, invalid, "required_bytes"),
        (i64::MIN, 0, invalid, "required_bytes"),
        (0, -1, invalid, "limit_bytes"),
        (i64::MAX, 0, range, "16 TiB"),
        ((16 << 40) + 1, 0, range, "16 TiB"),
        (2 * GIB, GIB, range, "at most"),
        (0, 1, range, "at most"),
        (GIB + 1, GIB + 2, range, "whole MiB"),
    ] {
        let case = format!("{required}..{limit}");
        let answer = client.create_volume(sized("v", required, limit)).await;
        room.refused(&case, answer, code, word);
        let grow = expand(id, required, limit);
        let answer = client.controller_expand_volume(grow).await;
        room.refused(&case, answer, code, word);
    }
    let answer = client.controller_expand_volume(expand(id, 0, 0)).await;
    room.refused("no size", answer, invalid, "capacity_range");
    let request = csi::ControllerExpandVolumeRequest {
        capacity_range: None,
        ..expand(id, 0, 0)
    };
    let answer = client.controller_expand_volume(request).await;
    room.refused("no range", answer, invalid, "capacity_range");
}

#[tokio::test]
async fn a_volume_never_shrinks_and_one_that_is_too_large_already_says_so() {
    let room = Room::new().await;
    let mut client = room.socket.client.clone();
    let id = room.id.as_str();
    let smaller = client.controller_expand_volume(expand(id, GIB / 2, 0));
    assert_eq!(smaller.await.unwrap().into_inner().capacity_bytes, GIB);
    room.unchanged("smaller");
    let answer = client
        .controller_expand_volume(expand(id, GIB / 4, GIB / 2))
        .await;
    room.refused("limit", answer, Code::OutOfRange, "already");
}

#[tokio::test]
async fn the_same_name_with_another_request_is_another_volume_and_refused() {
    let room = Room::new().await;
    let mut client = room.socket.client.clone();
    let taken = Code::AlreadyExists;
    for (required, limit) in [(2 * GIB, 0), (0, GIB / 2)] {
        let answer = client.create_volume(sized("there", required, limit)).await;
        room.refused("size", answer, taken, "there");
    }
    let mut other = create("there");
    other
        .parameters
        .insert("nvmePort".to_owned(), "4421".to_owned());
    let answer = client.create_volume(other).await;
    room.refused("parameters", answer, taken, "parameters");
    let same = client.create_volume(sized("there", GIB, 0)).await.unwrap();
    assert_eq!(
        same.into_inner().volume.unwrap().volume_id,
        room.id.as_str()
    );
    room.unchanged("the same again");
    let answer = client.delete_volume(delete(room.id.as_str())).await;
    room.refused("delete", answer, Code::FailedPrecondition, "node-a");
}
