//! Names, volume ids, node ids, tokens and parameters.

use rds_csi::proto::csi;
use rds_csi::proto::csi::volume_capability::access_mode::Mode;
use tonic::Code;

use crate::bed::GIB;
use crate::room::{
    NASTY, Room, capability, create, delete, expand, get, publish, unpublish, validate,
};

const BYTES: i64 = 1 << 31;

/// Every call that takes a volume id, with this one.
async fn every_call(room: &Room, id: &str, code: Code, word: &str) {
    let mut client = room.socket.client.clone();
    let case = |call: &str| format!("{call} of {id:?}");
    let answer = client.delete_volume(delete(id)).await;
    room.refused(&case("delete"), answer, code, word);
    let answer = client.controller_publish_volume(publish(id, "n")).await;
    room.refused(&case("publish"), answer, code, word);
    let answer = client.controller_unpublish_volume(unpublish(id, "n")).await;
    room.refused(&case("unpublish"), answer, code, word);
    let answer = client.controller_expand_volume(expand(id, BYTES, 0)).await;
    room.refused(&case("expand"), answer, code, word);
    let answer = client.controller_get_volume(get(id)).await;
    room.refused(&case("get"), answer, code, word);
    let asked = validate(id, vec![capability(Mode::SingleNodeWriter)]);
    let answer = client.validate_volume_capabilities(asked).await;
    room.refused(&case("validate"), answer, code, word);
}

#[tokio::test]
async fn volume_ids_that_no_driver_can_have_made_are_refused_by_every_call() {
    let room = Room::new().await;
    let long = "x".repeat(129);
    let ids = NASTY.iter().copied().chain(["", long.as_str()]);
    for id in ids {
        every_call(&room, id, Code::InvalidArgument, "volume_id").await;
    }
}

#[tokio::test]
async fn slots_of_others_are_volumes_that_do_not_exist() {
    let room = Room::new().await;
    let mut client = room.socket.client.clone();
    let upper = room.id.as_str().to_uppercase();
    let short = room.id.as_str().get(..31).unwrap().to_owned();
    let ids = [
        "storage-pool",
        "csi-probe-0000000000001000",
        "csi-",
        "raid1",
        &upper,
        &short,
        "csi-ffffffffffffffffffffffffffff",
        "pvc-42f0d924-eb9f-4a5f-a323-112802392ace",
    ];
    for id in ids {
        let answer = client.controller_publish_volume(publish(id, "n")).await;
        room.refused(id, answer, Code::NotFound, "no volume");
        let answer = client.controller_expand_volume(expand(id, BYTES, 0)).await;
        room.refused(id, answer, Code::NotFound, "no volume");
        let answer = client.controller_get_volume(get(id)).await;
        room.refused(id, answer, Code::NotFound, "no volume");
        // What is not there needs no deleting and no detaching (CSI, both calls).
        client.delete_volume(delete(id)).await.expect(id);
        let detached = client.controller_unpublish_volume(unpublish(id, "n"));
        detached.await.expect(id);
        room.unchanged(id);
    }
}

#[tokio::test]
async fn volume_names_are_any_text_and_never_reach_the_device() {
    let room = Room::new().await;
    let mut client = room.socket.client.clone();
    let long = "n".repeat(129);
    for (name, word) in [
        ("", "name is missing"),
        (long.as_str(), "more than 128"),
        ("a\0b", "control"),
        ("a\nb", "control"),
    ] {
        let answer = client.create_volume(create(name)).await;
        room.refused(name, answer, Code::InvalidArgument, word);
    }
    for name in NASTY {
        if name.contains(char::is_control) {
            continue;
        }
        let before = room.bed.world().now_seq();
        let named = format!("zqx{name}");
        let made = client.create_volume(create(&named)).await.expect(name);
        let id = made.into_inner().volume.unwrap().volume_id;
        let lines = room.bed.commands(before);
        assert!(
            lines.iter().all(|line| !line.text.contains("zqx")),
            "{name}: {lines:?}"
        );
        client.delete_volume(delete(&id)).await.expect(name);
        room.unchanged(name);
    }
}

#[tokio::test]
async fn node_ids_that_could_break_a_name_are_refused() {
    let room = Room::new().await;
    let mut client = room.socket.client.clone();
    let (id, long) = (room.id.as_str(), "n".repeat(254));
    let nodes = NASTY.iter().copied();
    for node in nodes.chain([long.as_str(), "-n", ":n", "a:free"]) {
        let answer = client.controller_publish_volume(publish(id, node)).await;
        room.refused(node, answer, Code::InvalidArgument, "node_id");
        let answer = client
            .controller_unpublish_volume(unpublish(id, node))
            .await;
        room.refused(node, answer, Code::InvalidArgument, "node_id");
    }
    let answer = client.controller_publish_volume(publish(id, "")).await;
    room.refused("empty", answer, Code::InvalidArgument, "node_id is missing");
}

#[tokio::test]
async fn unusual_node_ids_are_told_apart() {
    let room = Room::new().await;
    let mut client = room.socket.client.clone();
    let made = client.create_volume(create("v")).await.unwrap();
    let id = made.into_inner().volume.unwrap().volume_id;
    let long = |end: &str| "n".repeat(250) + end;
    // The word that stands where a free volume's holder would, and two names that differ at the end.
    for (node, other) in [
        ("free".to_owned(), "free.x".to_owned()),
        (long("a"), long("b")),
        ("Node".to_owned(), "node".to_owned()),
    ] {
        let told = client.controller_publish_volume(publish(&id, &node)).await;
        let told = told.expect(&node).into_inner().publish_context;
        let host = told.get("nvme_hostnqn").unwrap();
        assert!(host.len() <= 223, "{host}");
        let refused = client.controller_publish_volume(publish(&id, &other));
        assert_eq!(refused.await.unwrap_err().code(), Code::FailedPrecondition);
        let elsewhere = client.controller_unpublish_volume(unpublish(&id, &other));
        elsewhere
            .await
            .expect("a detach of a node that has nothing");
        let again = client.controller_publish_volume(publish(&id, &node)).await;
        assert_eq!(again.expect(&node).into_inner().publish_context, told);
        let detached = client.controller_unpublish_volume(unpublish(&id, &node));
        detached.await.expect(&node);
    }
}

#[tokio::test]
async fn parameters_are_known_and_well_formed_or_refused_by_name() {
    let room = Room::new().await;
    let mut client = room.socket.client.clone();
    let fixed = [
        ("nvmePort", "0"),
        ("nvmePort", "65536"),
        ("nvmePort", "+4420"),
        ("nvmeAddress", "rds.example"),
        ("rdsAddress", ""),
        ("volumePath", "/storage-pool"),
        ("volumePath", "/storage-pool/metal-csi-evil"),
        ("volumePath", "/storage-pool/metal-csi/../x"),
        ("volumePath", "storage-pool/metal-csi"),
        ("ctrlLossTmo", "-2"),
        ("reconnectDelay", "0"),
        ("keepAliveTmo", "1e3"),
        ("migrationTimeoutSeconds", "soon"),
        ("fsType", "ext4"),
        ("sshPort", "22"),
        ("replicas", "3"),
        ("NVMEPORT", "4420"),
        ("csi.storage.k8s.io/unheard-of", "x"),
    ];
    let keys = ["nvmePort", "nvmeAddress", "rdsAddress", "volumePath"];
    let nasty = keys
        .iter()
        .flat_map(|key| NASTY.iter().map(move |value| (*key, *value)));
    for (key, value) in fixed.into_iter().chain(nasty) {
        let parameters = std::collections::HashMap::from([(key.to_owned(), value.to_owned())]);
        let case = format!("{key}={value:?}");
        let request = csi::CreateVolumeRequest {
            parameters: parameters.clone(),
            ..create("v")
        };
        let answer = client.create_volume(request).await;
        room.refused(&case, answer, Code::InvalidArgument, key);
        let request = csi::GetCapacityRequest {
            parameters,
            ..Default::default()
        };
        let answer = client.get_capacity(request).await;
        room.refused(&case, answer, Code::InvalidArgument, key);
    }
}

#[tokio::test]
async fn a_volume_context_edited_by_hand_is_refused_by_its_key() {
    let room = Room::new().await;
    let mut client = room.socket.client.clone();
    let rows = NASTY.iter().copied().chain(["0", "99999", "host"]);
    for value in rows {
        for key in ["nvmeAddress", "nvmePort"] {
            let mut request = publish(room.id.as_str(), "node-a");
            request
                .volume_context
                .insert(key.to_owned(), value.to_owned());
            let answer = client.controller_publish_volume(request).await;
            let case = format!("{key}={value:?}");
            room.refused(&case, answer, Code::InvalidArgument, key);
        }
    }
}

#[tokio::test]
async fn list_tokens_that_were_not_handed_out_are_aborted() {
    let room = Room::new().await;
    let mut client = room.socket.client.clone();
    let list = |token: &str, max| csi::ListVolumesRequest {
        starting_token: token.to_owned(),
        max_entries: max,
    };
    for token in NASTY.iter().copied().chain(["1", "csi-"]) {
        let answer = client.list_volumes(list(token, 0)).await;
        room.refused(token, answer, Code::Aborted, "starting_token");
    }
    let answer = client.list_volumes(list("", -1)).await;
    room.refused("negative", answer, Code::InvalidArgument, "max_entries");
    // A volume that has gone since the page ended with it is no reason to begin again.
    let gone = "csi-00000000000000000000000000aa";
    let page = client.list_volumes(list(gone, 1)).await.unwrap();
    let found = page.into_inner().entries;
    assert_eq!(found.len(), 1);
    let volume = found.into_iter().next().unwrap().volume.unwrap();
    assert_eq!(volume.capacity_bytes, i64::try_from(GIB).unwrap());
}
