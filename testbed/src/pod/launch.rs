//! From a container as the chart describes it to a process: everything as rendered, and only what a
//! kubelet and a container runtime would do put in place of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Container;

use super::ports::Ports;
use crate::trouble::Trouble;

/// What the downward API says about a pod.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) namespace: String,
    pub(crate) node: String,
    pub(crate) service_account: String,
}

/// Where a volume is that a container mounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A folder.
    Folder(PathBuf),
    /// Files that begin so, in a folder that is a mount point and shared with others.
    Prefix(String),
}

/// What of a pod its containers refer to.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings<'a> {
    pub(crate) facts: &'a Facts,
    /// Volumes by name.
    pub(crate) places: &'a BTreeMap<String, Place>,
    /// Values of Secrets and ConfigMaps by `name/key`.
    pub(crate) values: &'a BTreeMap<String, String>,
    pub(crate) programs: &'a Programs,
}

/// The programs inside the images.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The `rds-csi` under test.
    pub driver: PathBuf,
    /// The folder with the stock sidecars.
    pub tools: PathBuf,
}

/// A process to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
}

// === impl Programs ===

impl Programs {
    /// The program of an image, by the last part of its name: `registry/path/NAME:tag@digest`.
    pub(crate) fn of(&self, image: &str) -> Result<PathBuf, Trouble> {
        let last = image.rsplit('/').next().unwrap_or(image);
        let name = last.split(['@', ':']).next().unwrap_or(last);
        match name {
            "rds-csi" => Ok(self.driver.clone()),
            "csi-attacher" | "csi-provisioner" | "csi-resizer" => Ok(self.tools.join(name)),
            _ => Err(Trouble::found(format!(
                "nobody knows the program of {image}"
            ))),
        }
    }
}

// === impl Launch ===

impl Launch {
    /// The process of a container.
    pub(crate) fn of(
        container: &Container,
        pod: &Surroundings<'_>,
        ports: &mut Ports,
    ) -> Result<Self, Trouble> {
        let paths = Paths::of(container, pod.places)?;
        let mut environment: Vec<(String, String)> = Vec::new();
        for variable in container.env.iter().flatten() {
            let value = match (&variable.value, &variable.value_from) {
                (None, Some(source)) => given(source, pod).ok_or_else(|| {
                    Trouble::found(format!(
                        "the bed cannot fill {} of container {}: {source:?}",
                        variable.name, container.name
                    ))
                })?,
                (value, _) => expanded(value.as_deref().unwrap_or_default(), &environment),
            };
            environment.push((variable.name.clone(), value));
        }
        let declared = container.ports.iter().flatten();
        let declared: Vec<i32> = declared.map(|port| port.container_port).collect();
        let mut place = |text: &str| -> Result<String, Trouble> {
            let text = paths.relocated(&expanded(text, &environment));
            ports.relocated(&text, &declared)
        };
        let mut words = Vec::new();
        // The first word of a command is the program, which the image's own name says already.
        let command = container.command.iter().flatten().skip(1);
        for word in command.chain(container.args.iter().flatten()) {
            words.push(place(word)?);
        }
        let mut placed = Vec::new();
        for (name, value) in &environment {
            placed.push((name.clone(), place(value)?));
        }
        let image = container.image.as_deref().unwrap_or_default();
        Ok(Self {
            program: pod.programs.of(image)?,
            arguments: words,
            environment: placed,
        })
    }

    /// A command that is run in the container of this process: a hook or a probe.
    pub(crate) fn inside(
        &self,
        container: &Container,
        command: &[String],
        places: &BTreeMap<String, Place>,
    ) -> Result<Self, Trouble> {
        let paths = Paths::of(container, places)?;
        let words = command.iter().skip(1);
        let words = words.map(|word| paths.relocated(word));
        Ok(Self {
            arguments: words.collect(),
            ..self.clone()
        })
    }
}

/// A value out of `valueFrom`.
fn given(
    source: &k8s_openapi::api::core::v1::EnvVarSource,
    pod: &Surroundings<'_>,
) -> Option<String> {
    if let Some(field) = &source.field_ref {
        let facts = pod.facts;
        let fact = match field.field_path.as_str() {
            "metadata.name" => &facts.name,
            "metadata.uid" => &facts.uid,
            "metadata.namespace" => &facts.namespace,
            "spec.nodeName" => &facts.node,
            "spec.serviceAccountName" => &facts.service_account,
            "status.podIP" | "status.hostIP" => "127.0.0.1",
            _ => return None,
        };
        return Some(fact.to_owned());
    }
    let secret = source.secret_key_ref.as_ref();
    let config = source.config_map_key_ref.as_ref();
    let (name, key) = secret
        .map(|of| (&of.name, &of.key))
        .or(config.map(|of| (&of.name, &of.key)))?;
    pod.values.get(&format!("{name}/{key}")).cloned()
}

/// `$(NAME)` becomes the value of a variable that was defined before; what is not defined stays as
/// it is, and so does `$$(NAME)` but for one dollar sign.
fn expanded(text: &str, environment: &[(String, String)]) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        rest = after;
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        let name = rest.strip_prefix('(').and_then(|rest| rest.split_once(')'));
        let defined = name.and_then(|(name, after)| {
            let mut variables = environment.iter().rev();
            let (_, value) = variables.find(|(known, _)| known == name)?;
            Some((value, after))
        });
        match defined {
            Some((value, after)) => {
                out.push_str(value);
                rest = after;
            }
            None => out.push('$'),
        }
    }
    out.push_str(rest);
    out
}

/// The mounts of one container, the longest path first.
struct Paths<'a>(Vec<(&'a str, &'a Place)>);

// === impl Paths ===

impl<'a> Paths<'a> {
    fn of(container: &'a Container, places: &'a BTreeMap<String, Place>) -> Result<Self, Trouble> {
        let mut paths = Vec::new();
        for mount in container.volume_mounts.iter().flatten() {
            let place = places.get(&mount.name).ok_or_else(|| {
                let (container, volume) = (&container.name, &mount.name);
                Trouble::found(format!(
                    "container {container} mounts {volume}, which is not there"
                ))
            })?;
            paths.push((mount.mount_path.trim_end_matches('/'), place));
        }
        paths.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
        Ok(Self(paths))
    }

    /// The text with every path inside a mount led to where the mount's volume is.
    fn relocated(&self, text: &str) -> String {
        let found = self.0.iter().find_map(|(path, place)| {
            let (before, after) = text.split_once(path)?;
            let begins =
                before.is_empty() || before.ends_with(['=', ':', ',']) || before.ends_with("://");
            let ends = after.is_empty() || after.starts_with('/');
            (begins && ends).then_some((before, after, place))
        });
        let Some((before, after, place)) = found else {
            return text.to_owned();
        };
        match place {
            Place::Folder(folder) => format!("{before}{}{after}", folder.display()),
            Place::Prefix(prefix) => format!("{before}{prefix}{}", after.trim_start_matches('/')),
        }
    }
}

/// Puts a flag in the place of the one that is there, or at the end.
pub(crate) fn set_flag(arguments: &mut Vec<String>, name: &str, value: impl std::fmt::Display) {
    let prefix = format!("--{name}=");
    let flag = format!("{prefix}{value}");
    match arguments.iter_mut().find(|one| one.starts_with(&prefix)) {
        Some(there) => *there = flag,
        None => arguments.push(flag),
    }
}

/// The value of a flag.
pub(crate) fn flag<'a>(arguments: &'a [String], name: &str) -> Option<&'a str> {
    let prefix = format!("--{name}=");
    arguments.iter().find_map(|one| one.strip_prefix(&prefix))
}

/// The folder of a socket's path, where the driver binds it.
pub(crate) fn socket(arguments: &[String]) -> Option<&Path> {
    let endpoint = flag(arguments, "endpoint")?;
    let path = endpoint.strip_prefix("unix:").unwrap_or(endpoint);
    Some(Path::new(path.strip_prefix("//").unwrap_or(path)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn facts() -> Facts {
        Facts {
            name: "pod-0".to_owned(),
            uid: "u-1".to_owned(),
            namespace: "ns".to_owned(),
            node: "node-a".to_owned(),
            service_account: "sa".to_owned(),
        }
    }

    fn launched(container: serde_json::Value) -> Result<Launch, Trouble> {
        let container: Container = serde_json::from_value(container).unwrap();
        let places = BTreeMap::from([
            ("socket".to_owned(), Place::Folder("/tmp/pod/socket".into())),
            ("lock".to_owned(), Place::Prefix("/dev/shm/u-1-".to_owned())),
        ]);
        let values = BTreeMap::from([("secret/user".to_owned(), "csi".to_owned())]);
        let programs = Programs {
            driver: "/bin/rds-csi".into(),
            tools: "/tools".into(),
        };
        let pod = Surroundings {
            facts: &facts(),
            places: &places,
            values: &values,
            programs: &programs,
        };
        Launch::of(&container, &pod, &mut Ports::default())
    }

    #[test]
    fn a_container_becomes_its_process() {
        let launch = launched(json!({
            "name": "driver",
            "image": "ghcr.io/someone/rds-csi:1.2.3@sha256:00",
            "command": ["/rds-csi", "controller"],
            "args": [
                "--endpoint=unix:///csi/csi.sock", "--lock-file=/lock/pod.lock", "--pod-name=$(POD)",
                "--plain=/csisocket", "--twice=$$(POD)", "--unknown=$(NOBODY)",
            ],
            "env": [
                {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                {"name": "USER", "valueFrom": {"secretKeyRef": {"name": "secret", "key": "user"}}},
                {"name": "BOTH", "value": "$(POD)-$(USER)"},
                {"name": "SOCKET", "value": "/csi/csi.sock"},
            ],
            "volumeMounts": [
                {"name": "socket", "mountPath": "/csi"}, {"name": "lock", "mountPath": "/lock/"},
            ],
        }));
        let launch = launch.unwrap();
        assert_eq!(launch.program, Path::new("/bin/rds-csi"));
        let expected = [
            "controller",
            "--endpoint=unix:///tmp/pod/socket/csi.sock",
            "--lock-file=/dev/shm/u-1-pod.lock",
            "--pod-name=pod-0",
            "--plain=/csisocket",
            "--twice=$(POD)",
            "--unknown=$(NOBODY)",
        ];
        assert_eq!(launch.arguments, expected);
        let socket = socket(&launch.arguments);
        assert_eq!(socket, Some(Path::new("/tmp/pod/socket/csi.sock")));
        let expected = [
            ("POD", "pod-0"),
            ("USER", "csi"),
            ("BOTH", "pod-0-csi"),
            ("SOCKET", "/tmp/pod/socket/csi.sock"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(launch.environment, expected);
    }

    #[test]
    fn what_the_bed_cannot_do_as_a_kubelet_would_is_said() {
        let rows = [
            json!({"name": "a", "image": "someone/else:1"}),
            json!({"name": "a", "image": "rds-csi", "volumeMounts": [{"name": "x", "mountPath": "/x"}]}),
            json!({"name": "a", "image": "rds-csi", "env": [
                {"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels"}}},
            ]}),
        ];
        for row in rows {
            assert!(launched(row.clone()).is_err(), "{row}");
        }
        let good = json!({"name": "a", "image": "registry.k8s.io/sig-storage/csi-attacher:v4"});
        assert_eq!(
            launched(good).unwrap().program,
            Path::new("/tools/csi-attacher")
        );
    }

    #[test]
    fn a_flag_is_replaced_where_it_is() {
        let mut arguments = vec!["controller".to_owned(), "--rds-port=22".to_owned()];
        set_flag(&mut arguments, "rds-port", 7);
        set_flag(&mut arguments, "kubeconfig", "/k");
        assert_eq!(arguments, ["controller", "--rds-port=7", "--kubeconfig=/k"]);
        assert_eq!(flag(&arguments, "rds-port"), Some("7"));
    }
}
