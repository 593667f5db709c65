//! A person at a browser: headless Chromium, led through chromedriver.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use data_encoding::BASE64;
use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::ports;
use super::process::{self, Process, Program};
use super::prometheus::get;
use super::scratch::Scratch;

pub const CHROMIUM: Program = Program {
    names: &["chromium", "chromium-browser", "google-chrome"],
    package: "chromium",
};
pub const CHROMEDRIVER: Program = Program {
    names: &["chromedriver"],
    package: "chromium-driver",
};

/// What the person looks at. Chromium's own window cannot be as narrow as a phone, so the screen is emulated.
#[derive(Clone, Copy)]
pub enum Screen {
    Desktop,
    Phone,
}

pub struct Browser {
    /// The page: `goto`, `find`, `wait` and so on.
    pub page: Client,
    session: String,
    _driver: Process,
}

impl Browser {
    /// A fresh browser that has never been anywhere, with a desktop's screen.
    pub async fn start(scratch: &Scratch, name: &str) -> Result<Browser> {
        let port = ports::free()?;
        let home = scratch.folder(name)?;
        let chromium = CHROMIUM.find()?;
        let mut command = process::command(&CHROMEDRIVER.find()?, None, Signal::SIGKILL)?;
        command.arg(format!("--port={port}"));
        // Keeps settings, caches and crash reports in here.
        for variable in ["HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "TMPDIR"] {
            command.env(variable, &home);
        }
        let mut driver = Process::start("chromedriver", command, &scratch.log(name))?;
        driver
            .ready(Duration::from_secs(20), async || {
                get(port, "/status", &[]).await.map(drop)
            })
            .await?;

        let wanted = json!({
            "goog:chromeOptions": {
                "binary": chromium,
                "args": [
                    "--headless",
                    "--no-sandbox",
                    "--disable-gpu",
                    "--disable-dev-shm-usage",
                    "--disable-quic",
                    "--no-first-run",
                    "--disable-background-networking",
                    "--disable-component-update",
                    "--disable-sync",
                    // Chromium ends when the other end of the pipe is gone, however chromedriver ended.
                    "--remote-debugging-pipe",
                    format!("--user-data-dir={}", home.join("profile").display()),
                ],
            },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let Value::Object(wanted) = wanted else {
            unreachable!("it is written as an object")
        };
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let page = ClientBuilder::new(connector)
            .capabilities(wanted)
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .context("chromedriver could not start Chromium")?;
        let id = page.session_id().await?.context("the browser has no session")?;
        let session = format!("http://127.0.0.1:{port}/session/{id}");
        let browser = Browser {
            page,
            session,
            _driver: driver,
        };
        browser.screen(Screen::Desktop).await?;
        Ok(browser)
    }

    pub async fn screen(&self, screen: Screen) -> Result<()> {
        match screen {
            Screen::Desktop => self.resize(1280, 900, 1, false).await,
            Screen::Phone => self.resize(360, 740, 2, true).await,
        }
    }

    /// The size of what the page gets, in CSS pixels.
    pub async fn resize(&self, width: u32, height: u32, scale: u32, mobile: bool) -> Result<()> {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": scale, "mobile": mobile });
        self.devtools("Emulation.setDeviceMetricsOverride", size)
            .await
            .map(drop)
    }

    /// Saves what is on the screen as PNG.
    pub async fn screenshot(&self, file: &Path) -> Result<()> {
        save(file, &self.page.screenshot().await?)
    }

    /// Saves the page from its top to its end as PNG.
    pub async fn screenshot_whole(&self, file: &Path) -> Result<()> {
        let options = json!({ "format": "png", "captureBeyondViewport": true });
        let answer = self.devtools("Page.captureScreenshot", options).await?;
        let data = answer["data"].as_str().context("the answer has no picture")?;
        save(file, &BASE64.decode(data.as_bytes())?)
    }

    /// What the console showed as errors since the last call: scripts that failed, files that did not come, rules of
    /// the content security policy that were broken.
    pub async fn console_errors(&self) -> Result<Vec<String>> {
        let entries = self.driver("se/log", json!({ "type": "browser" })).await?;
        let errors = entries
            .as_array()
            .into_iter()
            .flatten()
            .filter(|entry| entry["level"] == "SEVERE");
        Ok(errors
            .filter_map(|entry| Some(entry["message"].as_str()?.to_owned()))
            .collect())
    }

    pub async fn close(self) -> Result<()> {
        Ok(self.page.close().await?)
    }

    /// A command of Chromium's own protocol.
    pub async fn devtools(&self, command: &str, parameters: Value) -> Result<Value> {
        self.driver(
            "goog/cdp/execute",
            json!({ "cmd": command, "params": parameters }),
        )
        .await
    }

    /// Whether the person's system is dark.
    pub async fn dark(&self, dark: bool) -> Result<()> {
        let value = if dark { "dark" } else { "light" };
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": value }] });
        self.devtools("Emulation.setEmulatedMedia", media).await.map(drop)
    }

    /// Gives the person an authenticator that knows them: a phone's lock or a security key with a fingerprint.
    pub async fn authenticator(&self) -> Result<()> {
        let kind = json!({
            "protocol": "ctap2", "transport": "internal", "hasResidentKey": true, "hasUserVerification": true,
            "isUserVerified": true, "isUserConsenting": true,
        });
        self.driver("webauthn/authenticator", kind).await.map(drop)
    }

    /// A command of chromedriver that WebDriver does not have.
    async fn driver(&self, path: &str, body: Value) -> Result<Value> {
        let request = super::http()?
            .post(format!("{}/{path}", self.session))
            .json(&body);
        let answer = request.send().await?.error_for_status()?;
        Ok(answer.json::<Value>().await?["value"].take())
    }
}

fn save(file: &Path, picture: &[u8]) -> Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(file, picture).with_context(|| format!("cannot write {}", file.display()))
}
