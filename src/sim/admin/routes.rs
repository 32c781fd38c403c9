//! The routes of the admin interface.

use std::time::Duration;

use axum::extract::{Path, Query, State as With};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;

use super::types::{
    Action, ActionReply, ActionRequest, Faults, Incident, NewMachine, Observer, Problem, Reboot,
    SnapshotId, State,
};
use crate::sim::handle::Sim;
use crate::sim::initiator::{ConnectError, Machine, MachineView};
use crate::sim::observer::Entry;
use crate::sim::personality::Personality;

/// Time between writes of `keep-writing` when none is given: slow enough to follow by eye.
const DEFAULT_PERIOD: Duration = Duration::from_millis(100);

/// Why a request was not served.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("there is no {0}")]
    Missing(&'static str),
    #[error("the request lacks \"{0}\"")]
    Lacks(&'static str),
    #[error("no personality is called {0}")]
    Personality(String),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("cannot listen again: {0}")]
    Listen(#[from] std::io::Error),
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match self {
            Self::Missing(_) => StatusCode::NOT_FOUND,
            Self::Lacks(_) | Self::Personality(_) => StatusCode::BAD_REQUEST,
            Self::Connect(_) => StatusCode::CONFLICT,
            Self::Listen(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let error = self.to_string();
        (status, Json(Problem { error })).into_response()
    }
}

pub(super) fn router(sim: Sim) -> Router {
    Router::new()
        .route("/state", get(state))
        .route("/log", get(log))
        .route("/observer", get(observer))
        .route("/faults", post(faults))
        .route("/reboot", post(reboot))
        .route("/power-on", post(power_on))
        .route("/snapshot", post(snapshot))
        .route("/restore", post(restore))
        .route("/machines", get(machines).post(new_machine))
        .route("/machines/{name}/{action}", post(act))
        .with_state(sim)
}

async fn state(With(sim): With<Sim>) -> Json<State> {
    let world = sim.world();
    Json(State {
        disks: world.disks().into_iter().map(Into::into).collect(),
        files: world.files(),
        sessions: world.sessions().into_iter().map(Into::into).collect(),
        host_key: sim.host_key(),
        fingerprint: sim.fingerprint(),
        now_seq: world.now_seq(),
    })
}

#[derive(Debug, Deserialize)]
struct Since {
    #[serde(default)]
    since: u64,
}

async fn log(With(sim): With<Sim>, Query(Since { since }): Query<Since>) -> Json<Vec<Entry>> {
    Json(sim.world().log(since))
}

async fn observer(With(sim): With<Sim>) -> Json<Observer> {
    let world = sim.world();
    let (overlaps, replays) = (world.second_writers(), world.replayed_writes());
    Json(Observer {
        second_writers: overlaps.into_iter().map(Into::into).collect(),
        replayed_writes: replays.into_iter().map(Into::into).collect(),
        findings_dropped: world.findings_dropped(),
        counters: sim.server().counters(),
    })
}

async fn faults(With(sim): With<Sim>, Json(wanted): Json<Faults>) -> Result<(), Refusal> {
    let Faults {
        clear,
        rules,
        transport,
        device,
        policies,
        personality,
        now,
    } = wanted;
    let personality = match personality {
        Some(name) => Some(Personality::named(&name).ok_or(Refusal::Personality(name))?),
        None => None,
    };
    if clear {
        sim.faults().clear();
    }
    for rule in rules {
        sim.faults().add(rule);
    }
    if let Some(transport) = transport {
        sim.faults().set_transport(transport);
    }
    if let Some(device) = device {
        sim.world().set_faults(device);
    }
    if let Some(user) = policies {
        sim.world().set_policies(&user.user, user.policies);
    }
    if let Some(personality) = personality {
        sim.world().set_personality(personality);
    }
    for incident in now {
        match incident {
            Incident::RefuseConnects => sim.server().refuse_connects().await,
            Incident::AcceptConnects => sim.server().accept_connects()?,
            Incident::RotateHostKey => sim.server().rotate_host_key(),
            Incident::CutConnections => sim.server().cut_connections(),
            Incident::Release => sim.faults().release(),
        }
    }
    Ok(())
}

async fn reboot(With(sim): With<Sim>, Json(Reboot { ms }): Json<Reboot>) {
    match ms {
        Some(ms) => sim.reboot(Duration::from_millis(ms)).await,
        None => sim.power_off().await,
    }
}

async fn power_on(With(sim): With<Sim>) -> Result<(), Refusal> {
    Ok(sim.power_on()?)
}

async fn snapshot(With(sim): With<Sim>) -> Json<SnapshotId> {
    Json(SnapshotId { id: sim.snapshot() })
}

async fn restore(
    With(sim): With<Sim>,
    Json(SnapshotId { id }): Json<SnapshotId>,
) -> Result<(), Refusal> {
    if sim.restore(id) {
        Ok(())
    } else {
        Err(Refusal::Missing("such snapshot"))
    }
}

async fn machines(With(sim): With<Sim>) -> Json<Vec<MachineView>> {
    Json(sim.machines())
}

async fn new_machine(
    With(sim): With<Sim>,
    Json(NewMachine { config, background }): Json<NewMachine>,
) -> Json<MachineView> {
    let machine = sim.add_machine(config);
    if background {
        sim.run_machine(machine.name());
    }
    Json(machine.view())
}

async fn act(
    With(sim): With<Sim>,
    Path((name, action)): Path<(String, Action)>,
    Json(request): Json<ActionRequest>,
) -> Result<Json<ActionReply>, Refusal> {
    let machine = sim
        .find_machine(&name)
        .ok_or(Refusal::Missing("such machine"))?;
    let context = || request.context.as_ref().ok_or(Refusal::Lacks("context"));
    let volume = || request.volume.as_deref().ok_or(Refusal::Lacks("volume"));
    let mut written = None;
    match action {
        Action::Connect => machine.connect_only(context()?)?,
        Action::Stage => machine.stage(context()?)?,
        Action::Write => written = Some(machine.write(volume()?)),
        Action::KeepWriting => {
            let period = request
                .period_ms
                .map_or(DEFAULT_PERIOD, |ms| Duration::from_millis(ms.max(1)));
            sim.keep_writing(&name, volume()?, Some(period));
        }
        Action::StopWriting => sim.keep_writing(&name, volume()?, None),
        Action::Disconnect => machine.disconnect(volume()?),
        Action::Partition
        | Action::Heal
        | Action::Freeze
        | Action::Thaw
        | Action::Reconnect
        | Action::GiveUpSessions
        | Action::ExpireStaleSessions => happen(&machine, action),
    }
    Ok(Json(ActionReply {
        written,
        machine: machine.view(),
    }))
}

/// Actions that need nothing but the machine.
fn happen(machine: &Machine, action: Action) {
    match action {
        Action::Partition => machine.partition(true),
        Action::Heal => machine.partition(false),
        Action::Freeze => machine.freeze(true),
        Action::Thaw => machine.freeze(false),
        Action::Reconnect => machine.reconnect_now(),
        Action::GiveUpSessions => machine.give_up_sessions(),
        Action::ExpireStaleSessions => machine.expire_stale_sessions(),
        Action::Connect
        | Action::Stage
        | Action::Write
        | Action::KeepWriting
        | Action::StopWriting
        | Action::Disconnect => {}
    }
}
