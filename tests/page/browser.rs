//! A real Chromium without a window, driven over its own pipe: messages in JSON, each ended by a zero byte.

use std::collections::BTreeMap;
use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

/// Where the protocol wants the pipe. What the pages hold is ours, and a container seldom lets Chromium make its sandbox.
const START: &str = "exec \"$0\" --headless --no-sandbox --disable-gpu --hide-scrollbars --disable-background-networking \
    --disable-dev-shm-usage --remote-debugging-pipe --user-data-dir=\"$1\" 3<&0 4>&1 </dev/null >/dev/null 2>&1";

/// The browser, with one page open.
pub struct Browser {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    messages: u64,
    session: Option<String>,
    /// What pages wrote to the console, threw, or were refused.
    pub complaints: Vec<String>,
    /// Addresses that were asked for, and not refused by the page itself.
    pub requests: BTreeMap<String, String>,
    _profile: TempDir,
}

impl Browser {
    /// Starts it, cut off from the network; `None`, with a word, where there is none. In CI there must be one.
    pub fn start() -> Option<Self> {
        let named = env::var("CHROMIUM").ok();
        let paths = env::var_os("PATH").unwrap_or_default();
        let is_there = |name: &&str| {
            Path::new(name).is_absolute() && Path::new(name).exists()
                || env::split_paths(&paths).any(|path| path.join(name).exists())
        };
        let known = ["chromium", "chromium-browser", "google-chrome"];
        let Some(program) = named.as_deref().into_iter().chain(known).find(is_there) else {
            assert!(env::var_os("CI").is_none_or(|ci| ci != "true"), "there is no Chromium");
            eprintln!("SKIPPED: no Chromium in $CHROMIUM or on the PATH; `.ci/browser` installs it");
            return None;
        };
        let profile = tempfile::tempdir().unwrap();
        let mut process = Command::new("sh")
            .args(["-c", START, program])
            .arg(profile.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (process.stdin.take().unwrap(), BufReader::new(process.stdout.take().unwrap()));
        let (session, complaints, requests) = (None, Vec::new(), BTreeMap::new());
        let mut browser =
            Self { process, input, output, messages: 0, session, complaints, requests, _profile: profile };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attached =
            browser.call("Target.attachToTarget", json!({ "targetId": target["targetId"], "flatten": true }));
        browser.session = Some(attached["sessionId"].as_str().unwrap().to_owned());
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        let offline = json!({ "offline": true, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0 });
        browser.call("Network.emulateNetworkConditions", offline);
        browser.call("Emulation.setFocusEmulationEnabled", json!({ "enabled": true }));
        Some(browser)
    }

    /// Asks something, and waits for the answer.
    #[track_caller]
    pub fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.messages += 1;
        let id = self.messages;
        let mut message = json!({ "id": id, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        self.input.write_all(message.to_string().as_bytes()).unwrap();
        self.input.write_all(b"\0").unwrap();
        self.input.flush().unwrap();
        loop {
            let message = self.read();
            if message["id"] == id {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].clone();
            }
        }
    }

    // Waits until something has happened.
    fn await_event(&mut self, name: &str) {
        while self.read()["method"] != name {}
    }

    fn read(&mut self) -> Value {
        let mut bytes = Vec::new();
        self.output.read_until(0, &mut bytes).unwrap();
        assert_eq!(bytes.pop(), Some(0), "Chromium has ended");
        let message: Value = serde_json::from_slice(&bytes).unwrap();
        let parameters = &message["params"];
        match message["method"].as_str() {
            Some("Runtime.consoleAPICalled" | "Runtime.exceptionThrown" | "Log.entryAdded") => {
                self.complaints.push(parameters.to_string());
            }
            Some("Network.requestWillBeSent") => {
                let address = parameters["request"]["url"].as_str().unwrap();
                self.requests.insert(parameters["requestId"].to_string(), address.to_owned());
            }
            Some("Network.loadingFailed") if parameters["blockedReason"] == "csp" => {
                self.requests.remove(&parameters["requestId"].to_string());
            }
            _ => {}
        }
        message
    }

    /// Opens a file in a window so wide, px, whose system is light or dark.
    pub fn open(&mut self, file: &Path, width: u32, scheme: &str) {
        let size = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500 });
        self.call("Emulation.setDeviceMetricsOverride", size);
        self.prefer(scheme);
        self.call("Page.navigate", json!({ "url": format!("file://{}", file.display()) }));
        self.await_event("Page.loadEventFired");
    }

    /// Makes the system light or dark.
    pub fn prefer(&mut self, scheme: &str) {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.call("Emulation.setEmulatedMedia", features);
    }

    /// Loads the page again.
    pub fn reload(&mut self) {
        self.call("Page.reload", json!({}));
        self.await_event("Page.loadEventFired");
    }

    /// The value of an expression in the page.
    #[track_caller]
    pub fn value(&mut self, expression: &str) -> Value {
        let answer = self.call("Runtime.evaluate", json!({ "expression": expression, "returnByValue": true }));
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Presses a key, and lets it go; `text` is what it would write.
    pub fn press(&mut self, key: &str, text: &str) {
        let code = match key {
            "Tab" => 9,
            "Escape" => 27,
            "/" => 191,
            _ => 0,
        };
        let down = if text.is_empty() { "rawKeyDown" } else { "keyDown" };
        let key = json!({ "type": down, "key": key, "text": text, "windowsVirtualKeyCode": code });
        self.call("Input.dispatchKeyEvent", key);
    }

    /// Types a text.
    pub fn write(&mut self, text: &str) {
        self.call("Input.insertText", json!({ "text": text }));
    }

    /// What the window shows, as a PNG in base 64.
    pub fn picture(&mut self) -> String {
        let answer = self.call("Page.captureScreenshot", json!({}));
        answer["data"].as_str().unwrap().to_owned()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It closes its own children; one that does not answer any more is killed.
        let closed =
            self.input.write_all(b"{\"id\":0,\"method\":\"Browser.close\"}\0").and_then(|()| self.input.flush());
        if closed.is_err() || std::thread::panicking() {
            let _ = self.process.kill();
        }
        let _ = self.process.wait();
    }
}
