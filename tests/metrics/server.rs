//! A Prometheus that scrapes replicas, and what it answers.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::{interval, timeout};

use crate::rig::HANG;

/// How often to look whether something is so.
const POLL: Duration = Duration::from_millis(100);

/// A running server. Dropping it kills it.
pub(crate) struct Prometheus {
    address: String,
    log: std::path::PathBuf,
    _process: Child,
    _folder: TempDir,
}

impl Prometheus {
    /// Scrapes these addresses every second, and evaluates these rules as often.
    pub(crate) async fn start(tools: &Path, targets: &[String], rules: &Path) -> Self {
        let folder = TempDir::new().unwrap();
        // The port is free, though somebody else might take it in between.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let config = folder.path().join("prometheus.yml");
        let text = serde_json::json!({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [rules],
            "scrape_configs": [
                {"job_name": "rds-csi", "static_configs": [{"targets": targets}]},
            ],
        });
        // JSON is YAML.
        fs::write(&config, text.to_string()).unwrap();
        let log = folder.path().join("log");
        let process = Command::new(tools.join("prometheus"))
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.path().join("data").display()
            ))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).unwrap())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self {
            address,
            log,
            _process: process,
            _folder: folder,
        }
    }

    /// The result of a query at this moment.
    pub(crate) async fn query(&self, expression: &str) -> Result<Vec<Value>, String> {
        let path = format!("/api/v1/query?query={}", escaped(expression));
        let answer = self.get(&path).await?;
        match answer["data"]["result"].as_array() {
            Some(rows) if answer["status"] == "success" => Ok(rows.clone()),
            _ => Err(answer.to_string()),
        }
    }

    /// Every rule, with what became of it.
    pub(crate) async fn rules(&self) -> Vec<Value> {
        let answer = self.get("/api/v1/rules").await.unwrap();
        let groups = answer["data"]["groups"].as_array().unwrap().iter();
        let rules = groups.flat_map(|group| group["rules"].as_array().unwrap().clone());
        rules.collect()
    }

    /// Waits until a query has a result, and returns it.
    pub(crate) async fn until(&self, expression: &str) -> Vec<Value> {
        let mut last = None;
        let look = async {
            let mut ticks = interval(POLL);
            loop {
                ticks.tick().await;
                match self.query(expression).await {
                    Ok(rows) if !rows.is_empty() => return rows,
                    other => last = Some(other),
                }
            }
        };
        let found = timeout(HANG, look).await;
        found.unwrap_or_else(|_| {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            panic!("{expression} never had a result: {last:?}\n{log}")
        })
    }

    /// By HTTP 1.0, where an answer ends with its connection.
    async fn get(&self, path: &str) -> Result<Value, String> {
        let exchange = async {
            let mut stream = TcpStream::connect(&self.address).await?;
            let request = format!("GET {path} HTTP/1.0\r\n\r\n");
            stream.write_all(request.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            Ok::<_, std::io::Error>(answer)
        };
        let answer = timeout(HANG, exchange)
            .await
            .map_err(|late| late.to_string())?;
        let answer = answer.map_err(|error| error.to_string())?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or("half an answer")?;
        serde_json::from_str(body).map_err(|_| format!("{head}\n{body}"))
    }
}

fn escaped(text: &str) -> String {
    let bytes = text.bytes().map(|byte| match byte {
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    });
    bytes.collect::<Vec<_>>().concat()
}
