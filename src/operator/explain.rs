//! `rds-csi explain`: one volume, who holds it, and why another node does not get it.

use anyhow::Context;
use tokio_util::sync::CancellationToken;

use super::table::{plain, table};
use super::words::{age, decided, moment};
use super::{INTERRUPTED, Origin, print, print_json};
use crate::admin::report::{Attachment, Explanation, Holder, Register};
use crate::cli::operator::ExplainArgs;

/// Prints what is known of one volume.
///
/// # Errors
/// If the replica is not there, or cannot say, or `stop` is cancelled before it has.
pub async fn run(args: ExplainArgs, stop: CancellationToken) -> anyhow::Result<()> {
    let ExplainArgs {
        query,
        json,
        origin,
    } = args;
    let origin = Origin::of(origin).await?;
    let explanation = stop.run_until_cancelled(origin.explain(&query)).await;
    let explanation = explanation.context(INTERRUPTED)??;
    if json {
        print_json(&explanation)
    } else {
        print(&text(&explanation))
    }
}

fn text(explanation: &Explanation) -> String {
    let Explanation {
        volume,
        pvc,
        holder,
        register,
        claims,
        last_decision,
        verdict,
        advice,
    } = explanation;
    let mut rows = vec![
        row("volume", volume.clone()),
        row("claim", pvc.clone().unwrap_or_else(|| "unknown".to_owned())),
        row("holder", held(holder.as_ref())),
    ];
    rows.extend(registered(register.as_ref()));
    rows.extend(
        last_decision
            .as_ref()
            .map(|one| row("decided", decided(one))),
    );
    let mut paragraphs = vec![table(&[], &rows)];
    if !claims.is_empty() {
        paragraphs.push(attachments(claims));
    }
    let mut last = vec![plain(verdict)];
    let steps = advice.iter().zip(1..);
    last.extend(steps.map(|(step, number)| format!("{number}. {}", plain(step))));
    last.push(String::new());
    paragraphs.push(last.join("\n"));
    paragraphs.join("\n")
}

fn attachments(claims: &[Attachment]) -> String {
    let yes = |is| if is { "yes" } else { "no" }.to_owned();
    let rows = claims.iter().map(|claim| {
        vec![
            claim.node.clone(),
            claim.wish.clone(),
            yes(claim.attached),
            yes(claim.told),
            claim.machine.clone(),
            claim.name.clone(),
        ]
    });
    let heads = ["NODE", "WISH", "ATTACHED", "TOLD", "MACHINE", "ATTACHMENT"];
    table(&heads, &rows.collect::<Vec<_>>())
}

fn held(holder: Option<&Holder>) -> String {
    let Some(holder) = holder else {
        return "nobody".to_owned();
    };
    let Holder {
        node,
        since_unix,
        age_ms,
        epoch,
    } = holder;
    let (since, age) = (moment(*since_unix), age(*age_ms));
    format!("{node}, since {since} ({age}), epoch {epoch}")
}

fn registered(register: Option<&Register>) -> Vec<Vec<String>> {
    let Some(register) = register else {
        return vec![row("register", "no entry on the RDS".to_owned())];
    };
    let Register {
        state,
        exported,
        subsystem,
        host,
    } = register;
    let export = if *exported {
        "exported"
    } else {
        "not exported"
    };
    let name = |name: &Option<String>| name.clone().unwrap_or_else(|| "none".to_owned());
    vec![
        row("register", format!("{state}, {export}")),
        row("  subsystem", name(subsystem)),
        row("  host", name(host)),
    ]
}

fn row(name: &str, value: String) -> Vec<String> {
    vec![name.to_owned(), value]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::report::Decision;

    #[test]
    fn a_held_volume_is_explained_in_full() {
        let explanation = Explanation {
            volume: "csi-01".to_owned(),
            pvc: Some("apps/data".to_owned()),
            holder: Some(Holder {
                node: "worker-1".to_owned(),
                since_unix: 1_700_000_000,
                age_ms: 185_000,
                epoch: 7,
            }),
            register: Some(Register {
                state: "granted".to_owned(),
                exported: true,
                subsystem: Some("nqn.a".to_owned()),
                host: None,
            }),
            claims: vec![Attachment {
                name: "csi-f00".to_owned(),
                node: "worker-1".to_owned(),
                wish: "attach".to_owned(),
                attached: true,
                told: false,
                machine: "present".to_owned(),
            }],
            last_decision: Some(Decision {
                volume: "csi-01".to_owned(),
                operation: "publish".to_owned(),
                decided: "held".to_owned(),
                age_ms: 2_000,
                trace: Some("4bf92f3577b34da6a3ce929d0e0e4736".to_owned()),
            }),
            verdict: "worker-1 has it.".to_owned(),
            advice: vec!["Delete the pod.".to_owned(), "Wait.".to_owned()],
        };
        let expected = "\
volume       csi-01
claim        apps/data
holder       worker-1, since 2023-11-14T22:13:20Z (3 min 5 s), epoch 7
register     granted, exported
  subsystem  nqn.a
  host       none
decided      publish: held, 2 s ago, trace 4bf92f3577b34da6a3ce929d0e0e4736

NODE      WISH    ATTACHED  TOLD  MACHINE  ATTACHMENT
worker-1  attach  yes       no    present  csi-f00

worker-1 has it.
1. Delete the pod.
2. Wait.
";
        assert_eq!(text(&explanation), expected);
    }

    #[test]
    fn a_volume_of_which_little_is_known_is_explained_all_the_same() {
        let explanation = Explanation {
            volume: "csi-01".to_owned(),
            pvc: None,
            holder: None,
            register: None,
            claims: Vec::new(),
            last_decision: None,
            verdict: "There is no such volume.".to_owned(),
            advice: Vec::new(),
        };
        let expected = "\
volume    csi-01
claim     unknown
holder    nobody
register  no entry on the RDS

There is no such volume.
";
        assert_eq!(text(&explanation), expected);
    }
}
