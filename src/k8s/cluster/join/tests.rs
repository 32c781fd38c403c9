//! Every hard case of the join, as a table.

use super::*;
use crate::k8s::cluster::row::Pvc;

const DRIVER: &str = "rds.csi.srvlab.io";

fn id(digit: char) -> VolumeId {
    format!("csi-{}", String::from(digit).repeat(28))
        .parse()
        .unwrap()
}

/// A live attachment of volume `a`, through PersistentVolume `pv-a`, to node `name`, id `name-id`.
fn row() -> AttachmentRow {
    AttachmentRow {
        name: Attachment::name_of(&id('a'), DRIVER, "name").into(),
        uid: "uid".into(),
        version: "7".into(),
        source: Source::Volume("pv-a".into()),
        node_name: "name".into(),
        node_id: Some("name-id".into()),
        wish: Some(Wish::Attach),
        attached: true,
        told: None,
        remade: None,
    }
}

fn volume(name: &str, handle: &str, shared: bool) -> Arc<VolumeRow> {
    Arc::new(VolumeRow {
        name: name.into(),
        handle: handle.into(),
        shared,
        pvc: None::<Pvc>,
    })
}

fn sheet(attachments: Vec<AttachmentRow>) -> Sheet {
    let volumes = [
        volume("pv-a", id('a').as_str(), false),
        volume("pv-b", id('b').as_str(), true),
        volume("pv-odd", "not-an-id-of-ours", false),
    ];
    Sheet {
        attachments,
        volumes: volumes
            .into_iter()
            .map(|row| (row.name.clone(), row))
            .collect(),
        node_ids: HashMap::from([("name".into(), "reported-id".into())]),
    }
}

fn slots() -> HashSet<VolumeId> {
    ('0'..='9').chain('a'..='f').map(id).collect()
}

/// What a survey says of one row: `volume node wish attached shared`, `blocked volume`,
/// `unresolved`, or nothing.
fn said(row: AttachmentRow) -> String {
    let name = row.name.to_string();
    let mut joined = sheet(vec![row]).join(DRIVER);
    joined.recover(&slots());
    let survey = joined.survey(&HashMap::new());
    let claims = survey.claims.values().flatten().map(|claim| {
        let kind = if claim.shared { "shared" } else { "alone" };
        format!(
            "{} {} {:?} {} {kind}",
            &claim.volume.as_str()[4..5],
            claim.node,
            claim.wish,
            claim.attached
        )
    });
    let blocked = survey.blocked.iter().map(|(volume, why)| {
        assert!(why.contains(&name), "{why}");
        format!("blocked {}", &volume.as_str()[4..5])
    });
    let unresolved = survey.unresolved.iter().map(|_| "unresolved".to_owned());
    let said: Vec<String> = claims.chain(blocked).chain(unresolved).collect();
    said.join(", ")
}

/// What sets a row apart from the plain one.
type Edit = fn(&mut AttachmentRow);

fn lose(row: &mut AttachmentRow) {
    row.source = Source::Volume("pv-gone".into());
}

/// Another node, with the name that Kubernetes gives an attachment to it.
fn move_to(row: &mut AttachmentRow, node: &str) {
    row.name = Attachment::name_of(&id('a'), DRIVER, node).into();
    row.node_name = node.into();
}

const CASES: [(&str, Edit, &str); 16] = [
    ("plain", |_| (), "a name-id Attach true alone"),
    (
        "without an annotation the CSINode tells the id, never the name of the node",
        |row| row.node_id = None,
        "a reported-id Attach true alone",
    ),
    (
        "neither tells the id",
        |row| {
            row.node_id = None;
            move_to(row, "elsewhere");
        },
        "blocked a",
    ),
    (
        "the id is none",
        |row| row.node_id = Some("a b".into()),
        "blocked a",
    ),
    (
        "being deleted",
        |row| row.wish = Some(Wish::Detach),
        "a name-id Detach true alone",
    ),
    ("let go of", |row| row.wish = None, ""),
    (
        "let go of, and its volume is gone",
        |row| {
            row.wish = None;
            lose(row);
        },
        "",
    ),
    (
        "not published yet",
        |row| row.attached = false,
        "a name-id Attach false alone",
    ),
    (
        "shared, and named by hand",
        |row| row.source = Source::Volume("pv-b".into()),
        "b name-id Attach true shared",
    ),
    (
        "inline",
        |row| row.source = Source::Inline(id('c').as_str().into()),
        "c name-id Attach true alone",
    ),
    (
        "the volume is gone, its id is in the name",
        lose,
        "a name-id Attach true alone",
    ),
    (
        "no source at all, but the name",
        |row| row.source = Source::Unknown,
        "a name-id Attach true alone",
    ),
    (
        "the volume is gone, and nothing tells the node",
        |row| {
            lose(row);
            row.node_id = None;
            move_to(row, "elsewhere");
        },
        "blocked a",
    ),
    (
        "the volume is gone, and nothing on the RDS fits the name",
        |row| {
            lose(row);
            row.name = "csi-0".into();
        },
        "unresolved",
    ),
    (
        "the volume is gone, and the name is that of an attachment to another node",
        |row| {
            lose(row);
            row.node_name = "elsewhere".into();
        },
        "unresolved",
    ),
    (
        "a handle that is nobody's",
        |row| row.source = Source::Volume("pv-odd".into()),
        "",
    ),
];

#[test]
fn every_attachment_is_a_claim_a_blocked_volume_a_warning_or_nothing() {
    for (case, edit, expected) in CASES {
        let mut row = row();
        edit(&mut row);
        assert_eq!(said(row), expected, "{case}");
    }
}

#[test]
fn claims_of_one_volume_stand_in_order_of_name_whatever_order_they_were_read_in() {
    let other = |node: &str| AttachmentRow {
        name: Attachment::name_of(&id('a'), DRIVER, node).into(),
        node_name: node.into(),
        node_id: Some(node.into()),
        ..row()
    };
    let lost = AttachmentRow {
        source: Source::Unknown,
        ..other("z")
    };
    let rows = vec![other("x"), lost, other("y"), row()];
    let mut names: Vec<String> = rows.iter().map(|row| row.name.to_string()).collect();
    names.sort();
    let of = |claims: &[Claim]| -> Vec<String> {
        let names = claims.iter().map(|claim| claim.attachment.name.clone());
        names.collect()
    };
    let mut joined = sheet(rows).join(DRIVER);
    assert_eq!(of(&joined.on(&id('a')).unwrap()), names);
    assert_eq!(joined.on(&id('b')).unwrap(), []);
    joined.recover(&slots());
    assert_eq!(of(joined.survey(&HashMap::new()).on(&id('a'))), names);
}

#[test]
fn a_volume_with_a_row_that_cannot_be_resolved_is_refused_alone() {
    let unknown = |source: Source| AttachmentRow {
        name: Attachment::name_of(&id('a'), DRIVER, "elsewhere").into(),
        node_id: None,
        node_name: "elsewhere".into(),
        source,
        ..row()
    };
    let fine = AttachmentRow {
        source: Source::Volume("pv-b".into()),
        ..row()
    };
    for source in [
        Source::Volume("pv-a".into()),
        Source::Volume("pv-gone".into()),
    ] {
        let joined = sheet(vec![unknown(source), row(), fine.clone()]).join(DRIVER);
        let why = joined.on(&id('a')).unwrap_err();
        assert!(why.contains("elsewhere"), "{why}");
        assert_eq!(joined.on(&id('b')).unwrap().len(), 1);
    }
}

#[test]
fn a_machine_is_gone_only_if_every_name_it_has_is() {
    let node = |name: &str, out_of_service| NodeRow {
        name: name.into(),
        out_of_service,
    };
    let named = |name: &str| AttachmentRow {
        node_name: name.into(),
        ..row()
    };
    let nodes = [node("up", false), node("off", true)];
    let nodes: HashMap<Box<str>, NodeRow> = nodes
        .into_iter()
        .map(|node| (node.name.clone(), node))
        .collect();
    let rows: [(&[&str], Presence); 5] = [
        (&["up"], Presence::Present),
        (&["off"], Presence::OutOfService),
        (&["none"], Presence::Gone),
        (&["none", "off"], Presence::OutOfService),
        (&["none", "up", "off"], Presence::Present),
    ];
    for (names, expected) in rows {
        let rows = names.iter().map(|name| named(name)).collect();
        let survey = sheet(rows).join(DRIVER).survey(&nodes);
        let found = survey.presence(&"name-id".parse().unwrap());
        assert_eq!(found, expected, "{names:?}");
    }
}
