//! One pod of the controller's Deployment, as a kubelet would run it: its volumes, its ServiceAccount's
//! token, its containers in their order, its hooks and its end.

pub mod container;
pub mod exits;
pub mod launch;
mod life;
mod ports;
pub(crate) mod probe;
mod volumes;

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container as Rendered, PodSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use rds_csi::workload::cluster::Blow;
use rds_csi::workload::way::Way;

use self::container::Container;
use self::launch::{Facts, Launch, Surroundings};
use self::ports::Ports;
use self::probe::here;
use self::volumes::Volumes;
use crate::deployment::Plan;
use crate::process::Program;
use crate::trouble::{Attempt, Trouble};

/// What Kubernetes takes for `terminationGracePeriodSeconds` if it is not given.
const GRACE: i64 = 30;

/// A pod. Dropping it kills its processes.
#[derive(Debug)]
pub struct Pod {
    facts: Facts,
    spec: PodSpec,
    volumes: Volumes,
    ports: Mutex<Ports>,
    api: Way,
    rds: Way,
    logs: PathBuf,
    /// Native sidecars first, as they were started.
    members: Vec<Member>,
    grace: Duration,
}

#[derive(Debug)]
struct Member {
    rendered: Rendered,
    launch: Launch,
    container: Container,
    /// It is started before the others and stopped after them.
    is_native_sidecar: bool,
}

// === impl Pod ===

impl Pod {
    /// Starts a pod; returns when all its containers run.
    pub(crate) async fn start(plan: &Plan, name: &str) -> Result<Self, Trouble> {
        let facts = Facts {
            name: name.to_owned(),
            uid: uid(rand::random()),
            namespace: plan.namespace.clone(),
            node: format!("{name}-node"),
            service_account: plan.service_account()?,
        };
        let spec = plan.spec.clone();
        let folder = plan.folder.join(name);
        let made = Volumes::make(&spec, &plan.client, &plan.namespace, &facts.uid, &folder);
        let grace = spec.termination_grace_period_seconds.unwrap_or(GRACE);
        let mut pod = Self {
            volumes: made.await?,
            ports: Mutex::default(),
            api: Way::to(plan.api()?)
                .await
                .attempt(|| "make a way to the API".to_owned())?,
            rds: Way::to(plan.rds)
                .await
                .attempt(|| "make a way to the RDS".to_owned())?,
            logs: plan.logs.clone(),
            members: Vec::new(),
            grace: Duration::from_secs(grace.unsigned_abs()),
            facts,
            spec,
        };
        let kubeconfig = plan.kubeconfig(pod.api.address()).await?;
        let file = folder.join("kubeconfig");
        std::fs::write(&file, kubeconfig).attempt(|| format!("write {}", file.display()))?;
        for rendered in pod.spec.init_containers.clone().unwrap_or_default() {
            if rendered.restart_policy.as_deref() != Some("Always") {
                let name = rendered.name;
                return Err(Trouble::found(format!(
                    "{name} is no native sidecar: the bed runs no other init container"
                )));
            }
            let member = pod.member(plan, rendered, &file, true)?;
            pod.members.push(member);
            pod.started().await?;
        }
        for rendered in pod.spec.containers.clone() {
            let member = pod.member(plan, rendered, &file, false)?;
            pod.members.push(member);
        }
        Ok(pod)
    }

    fn member(
        &self,
        plan: &Plan,
        rendered: Rendered,
        kubeconfig: &std::path::Path,
        is_native_sidecar: bool,
    ) -> Result<Member, Trouble> {
        let surroundings = Surroundings {
            facts: &self.facts,
            places: &self.volumes.places,
            values: &self.volumes.values,
            programs: &plan.programs,
        };
        let mut ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        let mut launch = Launch::of(&rendered, &surroundings, &mut ports)?;
        // In a cluster the pod would find the API by its environment and its token by its mount.
        launch::set_flag(&mut launch.arguments, "kubeconfig", kubeconfig.display());
        // Each pod has its own way to the RDS, so that one can be cut off alone.
        if launch::flag(&launch.arguments, "rds-port").is_some() {
            launch::set_flag(&mut launch.arguments, "rds-port", self.rds.address().port());
        }
        for (name, value) in &mut launch.environment {
            if name == "RDS_CSI_RDS_PORT" {
                *value = self.rds.address().port().to_string();
            }
        }
        if launch::flag(&launch.arguments, "endpoint").is_some() {
            launch.environment.extend(plan.environment.iter().cloned());
        }
        let program = self.program(&rendered.name, &launch);
        let (pod, back_off) = (&self.facts.name, plan.back_off);
        let exits = plan.exits.clone();
        let container = Container::start(&rendered.name, pod, program, back_off, exits)?;
        Ok(Member {
            rendered,
            launch,
            container,
            is_native_sidecar,
        })
    }

    fn program(&self, name: &str, launch: &Launch) -> Program {
        let name = format!("{}.{name}", self.facts.name);
        let program = Program::new(name, &launch.program, &self.logs).args(&launch.arguments);
        let environment = launch.environment.iter();
        environment.fold(program, |program, (name, value)| program.env(name, value))
    }

    /// The pod's name.
    pub fn name(&self) -> &str {
        &self.facts.name
    }

    /// Its UID.
    pub fn uid(&self) -> &str {
        &self.facts.uid
    }

    /// How the holder of a Lease begins that is a process of this pod.
    pub fn holder_prefix(&self) -> String {
        format!("{}_{}_", self.facts.name, self.facts.uid)
    }

    /// The pod's way to the Kubernetes API, driver and sidecars alike.
    pub fn api_way(&self) -> &Way {
        &self.api
    }

    /// The driver's way to the RDS.
    pub fn rds_way(&self) -> &Way {
        &self.rds
    }

    /// Its containers, native sidecars first.
    pub fn containers(&self) -> impl Iterator<Item = &Container> {
        self.members.iter().map(|member| &member.container)
    }

    /// The container of this name.
    ///
    /// # Errors
    /// There is none.
    pub fn container(&self, name: &str) -> Result<&Container, Trouble> {
        let mut containers = self.containers();
        let found = containers.find(|one| one.name() == name);
        found.ok_or_else(|| Trouble::found(format!("{} has no container {name}", self.name())))
    }

    /// The container of the driver.
    ///
    /// # Errors
    /// There is none.
    pub fn driver(&self) -> Result<&Container, Trouble> {
        Ok(&self.driver_member()?.container)
    }

    /// The driver's CSI socket.
    ///
    /// # Errors
    /// The driver is not told one.
    pub fn socket(&self) -> Result<PathBuf, Trouble> {
        let socket = launch::socket(&self.driver_member()?.launch.arguments);
        let socket = socket.ok_or_else(|| Trouble::found("the driver has no --endpoint"))?;
        Ok(socket.to_owned())
    }

    /// The socket for `status`, `explain` and `drain`.
    ///
    /// # Errors
    /// The driver is told no socket at all.
    pub fn control_socket(&self) -> Result<PathBuf, Trouble> {
        let arguments = &self.driver_member()?.launch.arguments;
        match launch::flag(arguments, "control-socket") {
            Some(path) => Ok(PathBuf::from(path)),
            None => Ok(self.socket()?.with_file_name("control.sock")),
        }
    }

    /// The port of this machine on which the driver serves health, status and metrics.
    ///
    /// # Errors
    /// The chart has no readiness probe that says which it is.
    pub fn admin_port(&self) -> Result<u16, Trouble> {
        let rendered = &self.driver_member()?.rendered;
        let probe = rendered.readiness_probe.as_ref();
        let http = probe.and_then(|probe| probe.http_get.as_ref());
        let http = http.ok_or_else(|| Trouble::found("the driver has no HTTP readiness probe"))?;
        self.port(rendered, &http.port)
    }

    /// The first word of `/readyz`, `leader` or `standby`, if the driver answers that it is ready.
    pub async fn role(&self) -> Option<String> {
        probe::role(here(self.admin_port().ok()?)).await
    }

    /// What `GET path` on the admin port answers: the status and the body.
    pub async fn admin(&self, path: &str) -> Option<(u16, String)> {
        probe::get(here(self.admin_port().ok()?), path).await
    }

    /// Does something to the driver's process alone.
    ///
    /// # Errors
    /// It does not run.
    pub fn hit(&self, blow: Blow) -> Result<(), Trouble> {
        self.driver()?.hit(blow)
    }

    /// The end of what every container said.
    pub fn logs(&self) -> String {
        let logs = self.containers();
        let logs =
            logs.map(|one| format!("=== {} {}\n{}", self.name(), one.name(), one.log_tail()));
        logs.collect::<Vec<_>>().join("\n")
    }

    fn driver_member(&self) -> Result<&Member, Trouble> {
        let mut members = self.members.iter();
        let found = members.find(|one| launch::flag(&one.launch.arguments, "endpoint").is_some());
        found.ok_or_else(|| Trouble::found("no container of the pod is the driver"))
    }

    fn port(&self, rendered: &Rendered, port: &IntOrString) -> Result<u16, Trouble> {
        let number = match port {
            IntOrString::Int(number) => Some(*number),
            IntOrString::String(name) => {
                let mut declared = rendered.ports.iter().flatten();
                let named = declared.find(|port| port.name.as_ref() == Some(name));
                named.map(|port| port.container_port)
            }
        };
        let number = number.and_then(|number| u16::try_from(number).ok());
        let number =
            number.ok_or_else(|| Trouble::found(format!("nobody declares port {port:?}")))?;
        self.ports
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .here(number)
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        self.volumes.remove();
    }
}

/// A UID as Kubernetes gives one, which the driver insists on before it takes one process for the
/// successor of another.
fn uid(number: u128) -> String {
    let digits = format!("{number:032x}");
    let groups = [0..8, 8..12, 12..16, 16..20, 20..32];
    let groups = groups.map(|group| digits.get(group).unwrap_or_default());
    groups.join("-")
}
