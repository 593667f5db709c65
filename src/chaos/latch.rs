//! A program behind a latch: it is started, its number is written down, and only then it is told to go on. So whoever comes
//! after a crash knows every program that may be acting, and waits for it before looking at what it has left.
//!
//! The latch is a shell that waits for one line. When its input ends without that line, whoever started it is dead or gave
//! up, and it goes without a deed. Told to go on, it leaves a mark and becomes the program: a number without a mark belongs
//! to a program that never began.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use nix::sys::signal::{Signal, kill};
use tokio::{
    io::AsyncWriteExt,
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};

use super::{
    LOOK, command, ended,
    known::{Known, look_at},
};

const SHELL: &str = "/bin/sh";
/// What lets it go on.
const GO: &str = "go";
/// What the shell does; `$0` is the mark, the rest is the program.
const WAIT: &str = r#"IFS= read -r word && [ "$word" = go ] && : >"$0" && exec "$@""#;
/// How long a latch whose starter is gone may take to go.
const SHUT_MAX: Duration = Duration::from_secs(5);

/// The latch of one program of a fault.
pub(super) struct Latch {
    number: PathBuf,
    mark: PathBuf,
}

impl Latch {
    /// The latch of that name in the folder of a fault.
    pub(super) fn new(folder: &Path, name: &str) -> Self {
        Self {
            number: folder.join(format!("{name}.known")),
            mark: folder.join(format!("{name}.begun")),
        }
    }

    /// The program behind it, to be given its arguments.
    pub(super) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut shell = command(SHELL);
        shell.args(["-c", WAIT]).arg(&self.mark).arg(program);
        shell
    }

    /// Starts it and lets it go on, with `input` to read.
    pub(super) async fn open(&self, mut command: Command, input: &str) -> Result<Child, String> {
        let told = |error: std::io::Error| format!("it cannot be started: {error}");
        // That of the time before, where a program may be started more than once.
        let _ = fs::remove_file(&self.mark);
        let mut child = command.stdin(Stdio::piped()).spawn().map_err(told)?;
        let pipe = child.stdin.take();
        let listed = child.id().and_then(|number| look_at(number as i32));
        let (Some(mut pipe), Some(listed)) = (pipe, listed) else {
            return Err("it has gone before it was told to go on".to_owned());
        };
        Known::of(&listed).keep(&self.number)?;
        pipe.write_all(format!("{GO}\n{input}").as_bytes())
            .await
            .map_err(told)?;
        Ok(child)
    }

    /// Starts a program called `name`, lets it go on, and waits for its end; what it said when that was not a good one.
    pub(super) async fn run(
        &self,
        mut command: Command,
        (name, input): (&str, &str),
        limit: Duration,
    ) -> Result<(), String> {
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let work = async {
            let child = self.open(command, input).await?;
            child.wait_with_output().await.map_err(|error| error.to_string())
        };
        let output = timeout(limit, work)
            .await
            .map_err(|_| format!("{name} did not end within {} s", limit.as_secs()))?
            .map_err(|why| format!("{name}: {why}"))?;
        match output.status.success() {
            true => Ok(()),
            false => Err(ended(
                name,
                output.status,
                &[output.stderr, output.stdout].concat(),
            )),
        }
    }

    /// The program that was let go on, if one ever began. A latch that still waits is waited for: nobody opens it any more.
    pub(super) async fn begun(&self) -> Result<Option<Known>, String> {
        let Some(known) = Known::read(&self.number)? else {
            return Ok(None);
        };
        self.until(known, SHUT_MAX, || self.mark.exists()).await?;
        Ok(self.mark.exists().then_some(known))
    }

    /// Waits until what was let go on has come to its end; what does not is ended.
    pub(super) async fn ended(&self, limit: Duration) -> Result<(), String> {
        match self.begun().await? {
            Some(known) => self.until(known, limit, || false).await,
            None => Ok(()),
        }
    }

    /// Waits for something, or for the end of the process, which is brought about when the time is over.
    async fn until(&self, known: Known, limit: Duration, is_so: impl Fn() -> bool) -> Result<(), String> {
        let end = Instant::now() + limit;
        while !is_so() && known.look().is_some() {
            if Instant::now() >= end + SHUT_MAX {
                return Err(format!("process {} cannot be ended", known.pid));
            }
            if Instant::now() >= end {
                let _ = kill(known.pid, Signal::SIGKILL);
            }
            sleep(LOOK).await;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("muster-latch-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn touch(&self, latch: &Latch) -> (PathBuf, Command) {
            let deed = self.0.join("deed");
            let mut touch = latch.command("/bin/touch");
            touch.arg(&deed);
            (deed, touch)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[tokio::test]
    async fn a_program_whose_starter_dies_before_the_word_does_nothing() {
        let folder = Folder::new("shut");
        let latch = Latch::new(&folder.0, "touch");
        let (deed, mut touch) = folder.touch(&latch);
        for said in ["", "g", "stop\n"] {
            let mut child = touch.stdin(Stdio::piped()).spawn().unwrap();
            Known::of(&look_at(child.id().unwrap() as i32).unwrap())
                .keep(&latch.number)
                .unwrap();
            child
                .stdin
                .take()
                .unwrap()
                .write_all(said.as_bytes())
                .await
                .unwrap();
            assert!(latch.begun().await.unwrap().is_none(), "{said:?}");
            assert!(!child.wait().await.unwrap().success());
            assert!(!deed.exists(), "{said:?}");
        }
    }

    #[tokio::test]
    async fn a_program_is_known_before_it_begins_and_is_waited_for() {
        let folder = Folder::new("open");
        let latch = Latch::new(&folder.0, "touch");
        assert!(latch.begun().await.unwrap().is_none(), "nothing was started");
        let (deed, touch) = folder.touch(&latch);
        latch.run(touch, ("touch", ""), SHUT_MAX).await.unwrap();
        assert!(deed.exists() && latch.begun().await.unwrap().is_some());
        latch.ended(SHUT_MAX).await.unwrap();

        let mut sleeping = latch.command("/bin/sleep");
        sleeping.arg("600");
        let mut child = latch.open(sleeping, "").await.unwrap();
        latch.ended(Duration::from_millis(50)).await.unwrap();
        assert!(!child.wait().await.unwrap().success(), "it was ended");
    }

    #[tokio::test]
    async fn what_is_given_to_read_is_whole() {
        let folder = Folder::new("input");
        let latch = Latch::new(&folder.0, "grep");
        let mut grep = latch.command("/bin/grep");
        grep.arg("^first$");
        latch
            .run(grep, ("grep", "first\nsecond\n"), SHUT_MAX)
            .await
            .unwrap();
    }
}
