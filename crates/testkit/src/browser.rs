//! A headless Chromium, steered by the DevTools protocol: it opens a page, and says what a script in
//! it returns.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tempfile::TempDir;
use tungstenite::{Message, WebSocket};

use crate::PATIENCE;

/// A browser with one page. It ends when it is dropped.
pub struct Browser {
    process: Child,
    _profile: TempDir,
    devtools: WebSocket<TcpStream>,
    session: Option<String>,
    calls: u64,
}

impl Browser {
    /// Starts a browser; `None` if there is none on this machine.
    pub fn start() -> Option<Self> {
        let profile = TempDir::new().expect("a folder");
        let mut process = command(program()?, profile.path())
            .arg("--remote-debugging-port=0")
            .arg("about:blank")
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .expect("the program starts");
        let said = BufReader::new(process.stderr.take().expect("it is piped"));
        let mut lines = said.lines().map_while(Result::ok);
        let address = lines.find_map(|line| {
            let (_, address) = line.split_once("DevTools listening on ")?;
            Some(address.trim().to_owned())
        });
        let address = address.expect("the browser says where its tools are");
        // What else it says must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let host = address.split('/').nth(2).unwrap_or_default();
        let stream = TcpStream::connect(host).expect("its tools listen");
        stream
            .set_read_timeout(Some(3 * PATIENCE))
            .expect("it is open");
        let (devtools, _) = tungstenite::client(address.as_str(), stream).expect("a WebSocket");
        let mut browser = Self {
            process,
            _profile: profile,
            devtools,
            session: None,
            calls: 0,
        };
        browser.attach();
        Some(browser)
    }

    fn attach(&mut self) {
        let target = self.call("Target.createTarget", &json!({"url": "about:blank"}));
        let options = json!({"targetId": target["targetId"], "flatten": true});
        let attached = self.call("Target.attachToTarget", &options);
        self.session = attached["sessionId"].as_str().map(str::to_owned);
        self.call("Page.enable", &json!({}));
    }

    /// Opens `url` in a window of this width and height, and waits until it is loaded.
    pub fn open(&mut self, url: &str, (width, height): (u32, u32)) {
        let metrics = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false,
        });
        self.call("Emulation.setDeviceMetricsOverride", &metrics);
        let navigated = self.call("Page.navigate", &json!({"url": url}));
        assert_eq!(navigated["errorText"], Value::Null, "{url}");
        while self.next()["method"] != "Page.loadEventFired" {}
    }

    /// The value of a JavaScript expression in the page, once it is true.
    pub fn wait_for(&mut self, expression: &str) -> Value {
        let limit = PATIENCE.as_millis();
        let script = format!(
            "new Promise((resolve, reject) => {{
               const until = performance.now() + {limit};
               (function look() {{
                 const value = {expression};
                 if (value) return resolve(value);
                 if (performance.now() > until) return reject(new Error(document.body.innerText));
                 setTimeout(look, 10);
               }})();
             }})"
        );
        let options = json!({
            "expression": script, "awaitPromise": true, "returnByValue": true,
        });
        let outcome = self.call("Runtime.evaluate", &options);
        let failure = &outcome["exceptionDetails"];
        assert!(
            failure.is_null(),
            "{expression} never became true: {failure}"
        );
        outcome["result"]["value"].clone()
    }

    /// What the page looks like, as a PNG in base64.
    pub fn screenshot(&mut self) -> String {
        let shot = self.call("Page.captureScreenshot", &json!({"format": "png"}));
        shot["data"].as_str().unwrap_or_default().to_owned()
    }

    fn call(&mut self, method: &str, options: &Value) -> Value {
        self.calls += 1;
        let mut call = json!({"id": self.calls, "method": method, "params": options});
        if let Some(session) = &self.session {
            call["sessionId"] = json!(session);
        }
        let sent = self.devtools.send(Message::text(call.to_string()));
        sent.expect("the browser runs");
        loop {
            let mut message = self.next();
            if message["id"] == json!(self.calls) {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].take();
            }
        }
    }

    fn next(&mut self) -> Value {
        let message = self.devtools.read().expect("the browser answers");
        let text = message.into_text().expect("it speaks text");
        serde_json::from_str(&text).expect("it speaks JSON")
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Fails only if all of its processes have gone.
        let _ = kill_process_group(Pid::from_child(&self.process), Signal::KILL);
        let _ = self.process.wait();
    }
}

/// The name of a browser on this machine.
pub fn program() -> Option<&'static str> {
    let names = [
        "chromium",
        "chromium-browser",
        "google-chrome",
        "google-chrome-stable",
    ];
    names.into_iter().find(|name| {
        let version = Command::new(name).arg("--version").output();
        version.is_ok_and(|output| output.status.success())
    })
}

/// Starts `program` without a window, a network beyond this machine, or anything that it remembers.
pub fn command(program: &str, profile: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .args(["--headless", "--no-sandbox", "--disable-gpu"])
        .args([
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-sync",
        ])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
        ])
        .arg("--disable-extensions")
        .arg("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
        .arg(format!("--user-data-dir={}", profile.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}
