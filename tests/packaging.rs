//! What is in `packaging/` and the Dockerfile fits together and fits the code, as far as that can be known without a
//! cluster and without Docker.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use homing::config::Config;
use serde_json::Value;

use crate::support::process::File;
use crate::support::{Backend, Proxy, Setup, eventually};

const TOKEN_PATH: &str = "/etc/homing-admin/token";
const STATE_PATH: &str = "/var/lib/homing/state";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The objects of `packaging/kubernetes.yaml`.
struct Manifest(Vec<Value>);

impl Manifest {
    fn read() -> Self {
        let text = fs::read_to_string(root("packaging/kubernetes.yaml")).unwrap();
        Self(serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{error}")))
    }

    #[track_caller]
    fn object(&self, kind: &str, name: &str) -> &Value {
        let found = self.0.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
        found.unwrap_or_else(|| panic!("no {kind} {name}"))
    }

    /// The configuration, with what only exists in a pod replaced by what is at hand.
    fn configuration(&self, token: &File) -> String {
        let text = self.object("ConfigMap", "homing")["data"]["proxy.toml"].as_str().unwrap();
        assert!(text.contains(TOKEN_PATH));
        let state = format!("{}-state", token.path());
        // Of an earlier run whose process had the same number.
        let _ = fs::remove_dir_all(&state);
        text.replace(TOKEN_PATH, token.path()).replace(STATE_PATH, &state)
    }

    fn pod(&self, kind: &str, name: &str) -> &Value {
        &self.object(kind, name)["spec"]["template"]["spec"]
    }

    /// The command of a hook of the backends' container.
    fn hook(&self, hook: &str) -> Vec<String> {
        let command = &container(self.pod("StatefulSet", "rooms"))["lifecycle"][hook]["exec"]["command"];
        command.as_array().unwrap().iter().map(|part| part.as_str().unwrap().to_owned()).collect()
    }
}

fn container(pod: &Value) -> &Value {
    &pod["containers"][0]
}

fn seconds(value: &Value) -> Duration {
    Duration::from_secs(value.as_u64().unwrap())
}

fn port(container: &Value, name: &str) -> u16 {
    let ports = container["ports"].as_array().unwrap();
    let found = ports.iter().find(|port| port["name"] == name).unwrap_or_else(|| panic!("no port {name}"));
    u16::try_from(found["containerPort"].as_u64().unwrap()).unwrap()
}

#[test]
fn the_backends_of_the_configuration_are_the_pods() {
    let (manifest, token) = (Manifest::read(), File::with(TOKEN));
    let config =
        Config::parse(&manifest.configuration(&token), "ConfigMap").unwrap_or_else(|e| panic!("{e}"));
    let set = &manifest.object("StatefulSet", "rooms")["spec"];
    let (service, own) =
        (set["serviceName"].as_str().unwrap(), port(container(manifest.pod("StatefulSet", "rooms")), "http"));
    let pods: Vec<_> = (0..set["replicas"].as_u64().unwrap()).map(|index| format!("rooms-{index}")).collect();
    let backends = &config.pools[0].backends;
    assert_eq!(backends.iter().map(|backend| &*backend.name).collect::<Vec<_>>(), pods);
    for backend in backends {
        let expected = format!("{}.{service}.games.svc.cluster.local:{own}", backend.name);
        assert_eq!(backend.address.to_string(), expected);
    }
    let service = &manifest.object("Service", service)["spec"];
    assert_eq!(
        (service["clusterIP"].as_str(), &service["publishNotReadyAddresses"]),
        (Some("None"), &Value::Bool(true))
    );
}

#[test]
fn ports_and_files_are_where_they_are_looked_for() {
    let (manifest, token) = (Manifest::read(), File::with(TOKEN));
    let config = Config::parse(&manifest.configuration(&token), "ConfigMap").unwrap();
    let homing = container(manifest.pod("Deployment", "homing"));
    assert_eq!(config.listeners[0].address.port(), port(homing, "http"));
    assert_eq!(config.admin.unwrap().address.port(), port(homing, "admin"));
    for probe in ["readinessProbe", "livenessProbe", "startupProbe"] {
        assert_eq!(homing[probe]["httpGet"]["port"], "admin", "{probe}");
    }
    for pod in [homing, container(manifest.pod("StatefulSet", "rooms"))] {
        let mounts = pod["volumeMounts"].as_array().unwrap();
        assert!(
            mounts
                .iter()
                .any(|mount| Path::new(TOKEN_PATH).starts_with(mount["mountPath"].as_str().unwrap()))
        );
        assert!(
            mounts.iter().all(|mount| mount.get("subPath").is_none()),
            "what is mounted by subPath never changes"
        );
    }
    let file = homing["args"].as_array().unwrap().last().unwrap().as_str().unwrap();
    assert_eq!(file, "/etc/homing/proxy.toml");
    let state =
        homing["volumeMounts"].as_array().unwrap().iter().find(|mount| mount["name"] == "state").unwrap();
    let below = Path::new(STATE_PATH).strip_prefix(state["mountPath"].as_str().unwrap());
    assert!(below.is_ok_and(|below| below != Path::new("")), "the root of a volume is not the proxy's own");
    let dockerfile = fs::read_to_string(root("Dockerfile")).unwrap();
    assert!(dockerfile.contains(&format!("CMD [\"run\", \"-c\", \"{file}\"]")));
    let user = manifest.pod("Deployment", "homing")["securityContext"]["runAsUser"].as_u64().unwrap();
    assert!(dockerfile.contains(&format!("USER {user}:{user}")));
}

#[test]
fn kubernetes_waits_longer_than_a_stop_takes() {
    let (manifest, token) = (Manifest::read(), File::with(TOKEN));
    let config = Config::parse(&manifest.configuration(&token), "ConfigMap").unwrap();
    let homing = manifest.pod("Deployment", "homing");
    let pause = seconds(&container(homing)["lifecycle"]["preStop"]["sleep"]["seconds"]);
    assert!(
        seconds(&homing["terminationGracePeriodSeconds"])
            >= pause + config.server.shutdown_timeout + Duration::from_secs(5)
    );
    let rooms = manifest.pod("StatefulSet", "rooms");
    let found_again = Duration::from_mins(1);
    assert!(seconds(&manifest.object("StatefulSet", "rooms")["spec"]["minReadySeconds"]) >= found_again);
    // A drain may begin just after the hook has looked for the last time, and be over 35 s before it looks again.
    let least = config.pools[0].drain.timeout + Duration::from_mins(1);
    assert!(seconds(&rooms["terminationGracePeriodSeconds"]) >= least);
}

#[test]
#[ignore = "needs curl; .ci/run has it"]
fn the_hooks_drain_a_pod_and_make_it_ready_again() {
    let (manifest, token) = (Manifest::read(), File::with(TOKEN));
    let backends = ["rooms-0", "rooms-1", "rooms-2"].map(|name| Backend::checked(name, || 200));
    let proxy = fleet(&manifest, &token, &backends);
    let owner = proxy.get("/room/7", &[]).text();

    let mut hook = Hook::start(&manifest.hook("preStop"), &proxy, &owner, &token);
    eventually("the drain has begun", || proxy.status(&owner).state == "drain");
    hook.ends_well();
    assert_eq!(proxy.status(&owner).sessions, 0, "it has waited for its session to end");
    assert_ne!(proxy.get("/room/7", &[]).text(), owner, "its session has moved");

    Hook::start(&manifest.hook("postStart"), &proxy, &owner, &token).ends_well();
    assert_eq!(proxy.status(&owner).state, "ready");
}

/// A proxy with the configuration of the cluster in front of backends on this machine, and drains that take 2 s.
fn fleet(manifest: &Manifest, token: &File, backends: &[Backend]) -> Proxy {
    let mut toml = manifest.configuration(token).replace("\"10m\"", "\"2s\"").replace("\"2m\"", "\"1s\"");
    for (port, free) in [("0.0.0.0:8080", "127.0.0.1:0"), ("0.0.0.0:9900", "127.0.0.1:0")] {
        toml = toml.replace(port, free);
    }
    for Backend { name, address, .. } in backends {
        toml = toml.replace(&format!("{name}.rooms.games.svc.cluster.local:9000"), &address.to_string());
    }
    assert!(!toml.contains("cluster.local"), "{toml}");
    let proxy = Setup::start_toml(&toml);
    for backend in backends {
        proxy.until(&backend.name, "up");
    }
    proxy
}

/// A hook as the kubelet runs it; killed when dropped.
struct Hook(Child);

impl Hook {
    fn start(command: &[String], proxy: &Proxy, pod: &str, token: &File) -> Self {
        let admin = format!("http://{}", proxy.admin.as_ref().unwrap().address());
        let [program, arguments @ ..] = command else { panic!("no command") };
        let environment = [("POD_NAME", pod), ("HOMING_ADMIN", &admin), ("HOMING_TOKEN_FILE", token.path())];
        Self(Command::new(program).args(arguments).envs(environment).spawn().unwrap())
    }

    fn runs(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    #[track_caller]
    fn ends_well(&mut self) {
        eventually("the hook ends", || !self.runs());
        assert_eq!(self.0.wait().unwrap().code(), Some(0));
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_image_is_built_from_what_its_context_has() {
    let dockerfile = fs::read_to_string(root("Dockerfile")).unwrap();
    let version = env!("CARGO_PKG_RUST_VERSION");
    assert!(
        dockerfile.contains(&format!("FROM rust:{version}-")),
        "the image has another Rust than {version}"
    );
    let context = fs::read_to_string(root(".dockerignore")).unwrap();
    let kept: Vec<_> = context.lines().filter_map(|line| line.strip_prefix('!')).collect();
    let copied = dockerfile.lines().filter(|line| line.starts_with("COPY ") && !line.contains("--from"));
    for line in copied {
        let sources = line.split_whitespace().skip(1).filter(|part| !part.starts_with('.'));
        sources.for_each(|source| assert!(kept.contains(&source), "{source} is not in the context"));
    }
    // What the code includes from elsewhere than `src` would not be there.
    let mut folders = vec![root("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else if let Ok(text) = fs::read_to_string(&entry) {
                let code = text.split("#[cfg(test)]").next().unwrap_or_default();
                let included = code.split("include_").skip(1).filter_map(|rest| rest.split('"').nth(1));
                for path in included.filter(|path| path.starts_with("..")) {
                    let target = entry.parent().unwrap().join(path).canonicalize().unwrap();
                    let inside = kept.iter().any(|kept| target.starts_with(root(kept)));
                    assert!(inside, "{} includes {path}, which is not in the context", entry.display());
                }
            }
        }
    }
}
