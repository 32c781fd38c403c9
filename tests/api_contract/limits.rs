//! What the stand-in does not do, it refuses: nothing passes for done that was not.

use kube::api::{Patch, PatchParams, PostParams};
use rds_csi::sim::kubernetes::Options;
use serde_json::json;

use super::fixture::{attachment, attachments, client, refusal, refused, stand_in};
use super::suite::{Case, stand_in_only};

pub(super) const ON_THE_STAND_IN: &[Case] = stand_in_only![
    patches_of_other_kinds_are_refused_not_misread,
    a_dry_run_is_refused_not_carried_out,
];

async fn patches_of_other_kinds_are_refused_not_misread() {
    let api = stand_in(Options::default()).await;
    let vas = attachments(&client(&api, "test"));
    api.seed(&attachment("va")).unwrap();
    let patch = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttachment",
        "metadata": {"name": "va", "finalizers": ["example.com/x"]},
    });
    let params = PatchParams::apply("test");
    for patch in [Patch::Strategic(patch.clone()), Patch::Apply(patch)] {
        let answer = vas.patch("va", &params, &patch).await;
        assert_eq!(refusal(answer), refused(415, "UnsupportedMediaType"));
    }
}

async fn a_dry_run_is_refused_not_carried_out() {
    let api = stand_in(Options::default()).await;
    let vas = attachments(&client(&api, "test"));
    let params = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let answer = vas.create(&params, &attachment("va")).await;
    assert_eq!(refusal(answer), refused(400, "BadRequest"));
    assert!(vas.get_opt("va").await.unwrap().is_none());
}
