//! What an editor shows of policy and facts files: the real YAML language server, asked over its protocol, with no more than
//! the schemas that the files' first lines name.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "a test may panic and speak")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

/// Where the cursor is in a text.
const CURSOR: char = '¦';
const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const POLICY: &str = "# yaml-language-server: $schema=../schemas/policy.schema.json\n";
const FACTS: &str = "# yaml-language-server: $schema=../../schemas/facts.schema.json\nschema: wan22-policy/facts/v1\n";

/// The language server as an editor starts it.
struct Server {
    process: Child,
    input: ChildStdin,
    messages: Receiver<Value>,
    configured: bool,
    requests: usize,
    diagnostics: BTreeMap<String, Value>,
}

impl Server {
    /// Starts it; `None`, with a word, where `.ci/editor` has not installed it. In CI it must be there.
    fn start() -> Option<Self> {
        let program = Path::new(ROOT).join("target/editor/node_modules/.bin/yaml-language-server");
        if !program.exists() {
            assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "`{}` is missing", program.display());
            eprintln!("SKIPPED: no `{}`; `.ci/editor` installs it", program.display());
            return None;
        }
        let mut process =
            Command::new(program).arg("--stdio").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            let mut output = BufReader::new(output);
            while let Some(message) = read(&mut output) {
                if sender.send(message).is_err() {
                    break;
                }
            }
        });
        let (configured, requests, diagnostics) = (false, 0, BTreeMap::new());
        let mut server = Self { process, input, messages, configured, requests, diagnostics };
        let capabilities = json!({
            "workspace": { "configuration": true, "didChangeConfiguration": { "dynamicRegistration": true } },
            "textDocument": {
                "completion": { "completionItem": { "documentationFormat": ["markdown"] } },
                "hover": { "contentFormat": ["markdown"] },
            },
        });
        server.request("initialize", json!({ "processId": null, "rootUri": uri(""), "capabilities": capabilities }));
        server.notify("initialized", json!({}));
        while !server.configured {
            server.listen();
        }
        Some(server)
    }

    fn send(&mut self, mut message: Value) {
        message["jsonrpc"] = json!("2.0");
        let text = message.to_string();
        write!(self.input, "Content-Length: {}\r\n\r\n{text}", text.len()).unwrap();
        self.input.flush().unwrap();
    }

    fn notify(&mut self, method: &str, params: Value) {
        self.send(json!({ "method": method, "params": params }));
    }

    fn request(&mut self, method: &str, params: Value) -> Value {
        self.requests += 1;
        let id = self.requests;
        self.send(json!({ "id": id, "method": method, "params": params }));
        loop {
            let mut message = self.listen();
            if message["id"] == id && message.get("method").is_none() {
                assert!(message.get("error").is_none(), "{method}: {message}");
                return message["result"].take();
            }
        }
    }

    // The next message, after what it asks of an editor is answered.
    fn listen(&mut self) -> Value {
        let message = self.messages.recv_timeout(Duration::from_secs(60)).expect("the language server answers");
        match (message["method"].as_str(), message.get("id")) {
            (Some("workspace/configuration"), Some(id)) => {
                // No catalogue of schemas, and a proxy that nobody is behind: nothing can come from the network.
                let of = |item: &Value| match item["section"].as_str() {
                    Some("yaml") => {
                        json!({ "schemaStore": { "enable": false }, "completion": true, "hover": true, "validate": true })
                    }
                    Some("http") => json!({ "proxy": "http://127.0.0.1:9", "proxyStrictSSL": true }),
                    _ => Value::Null,
                };
                let answer: Vec<Value> = message["params"]["items"].as_array().unwrap().iter().map(of).collect();
                self.send(json!({ "id": id, "result": answer }));
                self.configured = true;
            }
            (Some("client/registerCapability"), Some(id)) => self.send(json!({ "id": id, "result": null })),
            (Some(method), Some(_)) => panic!("the language server asks for `{method}`: {message}"),
            (Some("textDocument/publishDiagnostics"), None) => {
                let file = message["params"]["uri"].as_str().unwrap().to_owned();
                self.diagnostics.insert(file, message["params"]["diagnostics"].clone());
            }
            _ => {}
        }
        message
    }

    /// Opens a text as the file of that name, which need not be there, and gives what is wrong with it.
    fn open(&mut self, file: &str, text: &str) -> Vec<String> {
        let document = json!({ "uri": uri(file), "languageId": "yaml", "version": 1, "text": text });
        self.notify("textDocument/didOpen", json!({ "textDocument": document }));
        let found = loop {
            match self.diagnostics.remove(&uri(file)) {
                Some(found) => break found,
                None => self.listen(),
            };
        };
        let line = |problem: &Value| problem["range"]["start"]["line"].as_u64().unwrap() + 1;
        let message = |problem: &Value| problem["message"].as_str().unwrap().replace('\n', " ");
        found.as_array().unwrap().iter().map(|problem| format!("{}: {}", line(problem), message(problem))).collect()
    }

    // Asks about the place of the cursor in a file of that folder.
    fn ask(&mut self, what: &str, folder: &str, text: &str) -> Value {
        // The server remembers what it made of a file, so each text is one of its own.
        let file = &format!("{folder}/{}-me.yaml", self.requests);
        let before = text.split_once(CURSOR).expect("the text shows the cursor").0;
        let line = before.matches('\n').count();
        let character = before.rsplit('\n').next().unwrap().encode_utf16().count();
        self.open(file, &text.replace(CURSOR, ""));
        let place =
            json!({ "textDocument": { "uri": uri(file) }, "position": { "line": line, "character": character } });
        self.request(&format!("textDocument/{what}"), place)
    }

    /// What is offered at the cursor of a policy file: the text of each by its label.
    fn complete(&mut self, text: &str) -> BTreeMap<String, String> {
        let answer = self.ask("completion", "policies", &format!("{POLICY}{text}"));
        let items = answer["items"].as_array().unwrap().iter();
        let text = |item: &Value| {
            let documentation = &item["documentation"];
            documentation["value"].as_str().or(documentation.as_str()).unwrap_or_default().to_owned()
        };
        items.map(|item| (item["label"].as_str().unwrap().to_owned(), text(item))).collect()
    }

    /// What is shown of what the cursor is on.
    fn hover(&mut self, folder: &str, text: &str) -> String {
        let shown = self.ask("hover", folder, text);
        shown["contents"]["value"].as_str().unwrap_or_else(|| panic!("nothing is shown of {text}: {shown}")).to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

// One message: a header with its length, an empty line, and so many bytes of JSON. `None` at the end.
fn read(output: &mut impl BufRead) -> Option<Value> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if output.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim().split_once(": ") {
            Some(("Content-Length", number)) => length = number.parse().ok()?,
            Some(_) => {}
            None => break,
        }
    }
    let mut text = vec![0; length];
    output.read_exact(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

fn uri(file: &str) -> String {
    format!("file://{ROOT}/{file}")
}

#[track_caller]
fn assert_shows(shown: &str, wanted: &[&str]) {
    for part in wanted {
        assert!(shown.contains(part), "`{part}` is not in:\n{shown}");
    }
}

#[test]
fn settings_facts_and_codes_are_completed_with_their_meaning() {
    let Some(mut server) = Server::start() else { return };
    for (key, value) in [("set", "256"), ("derive", "'256'"), ("limit", "{ at_most: 256 }")] {
        let offered = server
            .complete(&format!("policies:\n  - id: mine\n    {key}:\n      batch.size: {value}\n      vae.ti¦\n"));
        let tile = offered.get("vae.tile_size").unwrap_or_else(|| panic!("{key}: {offered:?}"));
        assert_shows(tile, &["Edge of the square tiles", "In px.", "64 px to 4096 px, in steps of 32"]);
        assert!(!offered.contains_key("batch.size"), "it stands there already: {offered:?}");
    }
    let offered = server.complete("policies:\n  - id: mine\n    choose:\n      ¦\n");
    assert!(offered.contains_key("vae.tile_size"), "{offered:?}");
    let offered = server.complete("policies:\n  - id: mine\n    choose:\n      mine:\n        into:\n          ¦\n");
    assert!(offered.contains_key("vae.tile_size"), "{offered:?}");
    let offered = server.complete("policies:\n  - id: mine\n    set:\n      offload.dit: ¦\n");
    assert_eq!(offered.keys().collect::<Vec<_>>(), ["block", "model", "none", "sequential"]);

    // Where an expression begins, the facts are offered; those of a GPU for the one that the workload runs on.
    for text in ["policies:\n  - id: mine\n    when: ¦\n", "checks:\n  - id: mine\n    assert: gpu.¦\n"] {
        let offered = server.complete(text);
        let total = offered.get("gpu.vram.total").unwrap_or_else(|| panic!("{text}: {offered:?}"));
        assert_shows(total, &["VRAM that the driver reports in all", "In bytes."]);
    }

    let offered = server.complete("allow:\n  nomi¦\n");
    assert_shows(&offered["nominal-vram"], &["the size on the box"]);
    let offered = server.complete("disable:\n  - ¦\n");
    assert_shows(&offered["does-not-fit"], &["does not fit"]);
    let offered = server.complete("functions:\n  mine:\n    returns: ¦\n");
    assert!(offered.contains_key("bytes") && offered.contains_key("px"), "{offered:?}");
    let offered = server.complete("policies:\n  - id: mine\n    ¦\n");
    assert_eq!(offered.keys().map(String::as_str).collect::<Vec<_>>(), KEYS_OF_A_POLICY);
}

const KEYS_OF_A_POLICY: [&str; 8] = ["choose", "derive", "expires", "limit", "set", "source", "when", "why"];

#[test]
fn facts_settings_and_keys_are_explained_where_the_cursor_is() {
    let Some(mut server) = Server::start() else { return };
    let total =
        server.hover("tests/machines", &format!("{FACTS}facts:\n  gpus:\n    - vram: {{ to¦tal: 15845 MiB }}\n"));
    assert_shows(
        &total,
        &["VRAM that the driver reports in all; less than the nominal size.", "In bytes.", "Unknown when"],
    );
    let cores = server.hover("tests/machines", &format!("{FACTS}facts:\n  cpu:\n    physical¦_cores: 6\n"));
    assert_shows(&cores, &["Physical cores of the machine that are online"]);
    let family = server.hover("tests/machines", &format!("{FACTS}facts:\n  r¦am:\n    total: 32 GiB\n"));
    assert_shows(&family, &["Memory and swap."]);

    let tile =
        server.hover("policies", &format!("{POLICY}policies:\n  - id: mine\n    set:\n      vae.tile¦_size: 256\n"));
    assert_shows(&tile, &["Edge of the square tiles", "In px.", "64 px to 4096 px, in steps of 32"]);
    let when = server.hover("policies", &format!("{POLICY}policies:\n  - id: mine\n    wh¦en: gpus.len() > 1\n"));
    assert_shows(&when, &["Condition; absent means always.", "docs/facts.md", "docs/functions.md"]);
}

#[test]
fn what_is_not_of_the_language_is_flagged() {
    let Some(mut server) = Server::start() else { return };
    let text = "policies:\n  - id: mine\n    wen: gpus.len() > 1\n    set:\n      vae.tile_sise: 256\n      offload.dit: disk\nallow:\n  nominal-vrm: why\n";
    let found = server.open("policies/90-me.yaml", &format!("{POLICY}{text}"));
    let wanted = [
        "9: Property nominal-vrm is not allowed.",
        "4: Property wen is not allowed.",
        "6: Property vae.tile_sise is not allowed.",
        "7: Value is not accepted. Valid values: \"none\", \"model\", \"block\", \"sequential\".",
    ];
    assert_eq!(sorted(found), sorted(wanted.map(str::to_owned).to_vec()));
    let found =
        server.open("tests/machines/mine.yaml", &format!("{FACTS}facts:\n  gpus:\n    - vram: {{ totl: 16 GiB }}\n"));
    assert_eq!(found, ["5: Property totl is not allowed."]);
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

/// As they are: each names its schema in its first line, and nothing in it is flagged.
#[test]
fn what_is_shipped_is_clean_in_an_editor() {
    let Some(mut server) = Server::start() else { return };
    let mut seen = 0;
    for folder in ["policies", "policies/data", "policies/targets", "tests/policies/forms", "tests/invariants"] {
        for entry in fs::read_dir(Path::new(ROOT).join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let file = path.strip_prefix(ROOT).unwrap().to_str().unwrap();
            if !file.ends_with(".yaml") {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.starts_with("# yaml-language-server: $schema=../"), "{file}");
            assert_eq!(server.open(file, &text), Vec::<String>::new(), "{file}");
            seen += 1;
        }
    }
    assert!(seen > 10, "{seen}");
}
