//! The tools under measurement: each takes one sample on a heap of its own.
//!
//! Holds: starting the target, running exuvia beside it, running a peer inside of it, and the check that the answer is right.
//! Never: decides how often, or keeps anything.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::resource::{getrusage, UsageWho};
use serde::Deserialize;
use serde_json::Value;

use super::ledger;
use super::questions::{Ask, LIMIT_SECONDS, OURS, THEIRS};
use super::record::{Sample, Saved};
use crate::trouble::{Doing, Done, Trouble};

/// Peers that run inside the process that they look at.
pub(crate) const PEERS: &[&str] = &["guppy3", "pympler", "getsizeof"];

/// The word for those peers that are asked who holds what.
pub(crate) const QUESTIONS: &str = "questions";

/// The word for the ledger, beside psutil.
pub(crate) const LEDGER: &str = "ledger";

/// From this N on nobody is asked questions: some peers take hours there, and exuvia's commands take what `explain` takes.
const QUESTIONS_BELOW: u64 = 1_000_000;

/// exuvia's looks at one heap: what the samples call them, and their mode.
pub(crate) const LOOKS: [(&str, &str, &str); 4] = [
    ("exuvia fork", "types", "fork"),
    ("exuvia fork again", "types", "fork"),
    ("exuvia again", "types", "freeze"),
    ("exuvia explain", "explain", "fork"),
];

/// What the samples call a snapshot that is written and asked.
pub(crate) const SNAPSHOT: &str = "exuvia snapshot";

/// How long a heap may take to be built. The large one takes a minute on a slow and busy machine.
const READY_SECONDS_MAX: u64 = 900;

/// What a run needs.
#[derive(Debug)]
pub(crate) struct Bench<'a> {
    /// The workspace.
    pub(crate) root: &'a Path,
    /// exuvia, built for release.
    pub(crate) exuvia: PathBuf,
    /// The target's interpreter.
    pub(crate) python: PathBuf,
    /// The same with the peers installed.
    pub(crate) peers_python: PathBuf,
}

impl Bench<'_> {
    /// What `tool` gives on a heap of size `n` of its own, the answers checked.
    pub(crate) fn samples(&self, tool: &str, n: u64) -> Done<Vec<Sample>> {
        let samples = match tool {
            "exuvia" => self.exuvia(n)?,
            LEDGER => self.ledger(n)?,
            QUESTIONS if n >= QUESTIONS_BELOW => Vec::new(),
            QUESTIONS => THEIRS.iter().map(|ask| self.asked(ask, n)).collect::<Done<_>>()?,
            _ => vec![self.peer(tool, n)?],
        };
        for sample in &samples {
            if let Some([sessions, nodes]) = sample.counted.filter(|counted| *counted != [n, n]) {
                return Err(Trouble::new(format!(
                    "{tool} counted {sessions} instances of Session and {nodes} of Node, there are {n} of each"
                )));
            }
        }
        Ok(samples)
    }

    /// Looks at one heap, questions about it, and a snapshot of it. The later ones follow at once and get memory that this machine has at hand; for the first one
    /// a virtual machine may have to ask its host for every page.
    fn exuvia(&self, n: u64) -> Done<Vec<Sample>> {
        let target = Target::start(&self.python, &self.root.join("bench/targets/service_heap.py"), n)?;
        let pid = target.child.id().to_string();
        let target_rss_bytes = rss(&pid)?;
        // The target's own hiccups are part of what it sees later: let it see some before.
        std::thread::sleep(Duration::from_millis(500));
        let gap_before_ms = target.longest_gap_ms();
        let looks = LOOKS.into_iter().map(|look| self.look(&target, look, n, &pid, target_rss_bytes, gap_before_ms));
        let mut samples: Vec<Sample> = looks.collect::<Done<_>>()?;
        if n < QUESTIONS_BELOW {
            for ask in &OURS {
                samples.push(self.ask(ask, n, &pid, target_rss_bytes)?);
            }
        }
        samples.push(self.snapshot(n, &pid, target_rss_bytes)?);
        Ok(samples)
    }

    /// Ledgers of one heap, and psutil's sums of the same.
    fn ledger(&self, n: u64) -> Done<Vec<Sample>> {
        let target = Target::start(&self.python, &self.root.join("bench/targets/service_heap.py"), n)?;
        let pid = target.child.id().to_string();
        let target_rss_bytes = rss(&pid)?;
        std::thread::sleep(Duration::from_millis(500));
        let gap_before_ms = target.longest_gap_ms();
        let mut samples = Vec::new();
        for (tool, mode) in ledger::LOOKS {
            samples.push(self.look(&target, (tool, "ledger", mode), n, &pid, target_rss_bytes, gap_before_ms)?);
        }
        let objects = samples.last().map_or(0, |sample| sample.objects);
        for (tool, what) in ledger::PSUTIL {
            target.forget_gaps();
            let script = self.root.join("bench/peers/outside.py");
            let output = Command::new(&self.peers_python).arg(script).args([what, &pid]).stderr(Stdio::inherit()).output().doing(tool)?;
            let answer: OutsideAnswer = serde_json::from_slice(&output.stdout).doing(tool)?;
            samples.push(Sample {
                tool: tool.to_owned(),
                n,
                wall_ms: answer.wall_ms,
                pause_ms: 0.0,
                second_stop_ms: None,
                gap_ms: Some(target.longest_gap_ms()).filter(|gap| *gap > 0.0),
                gap_before_ms: Some(gap_before_ms),
                peak_bytes: answer.peak_bytes,
                target_rss_bytes,
                objects,
                counted: None,
                copied_bytes: None,
                answer_bytes: Some(answer.rss_bytes),
                is_over_limit: false,
                accounted: None,
                saved: None,
            });
        }
        Ok(samples)
    }

    fn look(
        &self,
        target: &Target,
        (tool, command, mode): (&str, &str, &str),
        n: u64,
        pid: &str,
        target_rss_bytes: u64,
        gap_before_ms: f64,
    ) -> Done<Sample> {
        target.forget_gaps();
        let (measured, answer) = self.run(&[command, pid, "--json", "--mode", mode, "--max-pause", "10s"])?;
        std::thread::sleep(Duration::from_millis(100));
        let gap_ms = Some(target.longest_gap_ms()).filter(|gap| *gap > 0.0);
        Ok(Sample {
            tool: tool.to_owned(),
            n,
            wall_ms: measured.wall_ms,
            pause_ms: told(&answer, "/target/pause_ms")?,
            second_stop_ms: answer.pointer("/target/second_stop_ms").and_then(Value::as_f64),
            gap_ms,
            gap_before_ms: Some(gap_before_ms),
            peak_bytes: measured.peak_bytes,
            target_rss_bytes,
            objects: told(&answer, "/coverage/objects")? as u64,
            counted: (command == "types").then(|| counted(&answer)),
            copied_bytes: Some(told(&answer, "/target/copied_bytes")? as u64),
            answer_bytes: None,
            is_over_limit: false,
            accounted: (command == "ledger").then(|| ledger::accounted(&answer)).transpose()?,
            saved: None,
        })
    }

    /// Asks exuvia one of the questions.
    fn ask(&self, ask: &Ask, n: u64, pid: &str, target_rss_bytes: u64) -> Done<Sample> {
        let newest;
        let mut arguments = vec![ask.what, pid];
        match ask.what {
            "sizes" => arguments.push("__main__:CACHE"),
            "path" => {
                let (_, dict) = self.run(&["objects", pid, "--json", "--type", "dict", "--limit", "1"])?;
                newest = dict
                    .get("address")
                    .and_then(Value::as_str)
                    .ok_or_else(|| Trouble::new("exuvia objects --json has no address"))?
                    .to_owned();
                arguments.push(&newest);
            }
            _ => {}
        }
        arguments.push("--json");
        let (measured, answer) = self.run(&arguments)?;
        Ok(Sample {
            tool: ask.tool.to_owned(),
            n,
            wall_ms: measured.wall_ms,
            pause_ms: told(&answer, "/target/pause_ms")?,
            second_stop_ms: answer.pointer("/target/second_stop_ms").and_then(Value::as_f64),
            gap_ms: None,
            gap_before_ms: None,
            peak_bytes: measured.peak_bytes,
            target_rss_bytes,
            objects: told(&answer, "/coverage/objects")? as u64,
            counted: None,
            copied_bytes: Some(told(&answer, "/target/copied_bytes")? as u64),
            answer_bytes: answer.pointer("/sizes/0/retained_bytes").and_then(Value::as_u64),
            is_over_limit: false,
            accounted: None,
            saved: None,
        })
    }

    /// Asks a peer one of the questions; one that takes too long is ended.
    fn asked(&self, ask: &Ask, n: u64) -> Done<Sample> {
        let script = self.root.join("bench/peers/peer.py");
        let arguments = [ask.what, &n.to_string(), &LIMIT_SECONDS.to_string()];
        let output = Command::new(&self.peers_python).arg(&script).args(arguments).stderr(Stdio::inherit()).output().doing(ask.tool)?;
        let is_over_limit = output.status.signal() == Some(nix::sys::signal::Signal::SIGALRM as i32);
        let limit_ms = LIMIT_SECONDS as f64 * 1e3;
        let answer = match is_over_limit {
            true => PeerAnswer {
                wall_ms: limit_ms,
                extra_peak_bytes: 0,
                rss_bytes: 0,
                objects: 0,
                sessions: None,
                nodes: None,
                answer_bytes: None,
            },
            false => serde_json::from_slice(&output.stdout).doing(ask.tool)?,
        };
        Ok(Sample { is_over_limit, ..answer.sample(ask.tool, n) })
    }

    /// Saves the heap and asks the folder.
    fn snapshot(&self, n: u64, pid: &str, target_rss_bytes: u64) -> Done<Sample> {
        let folder = self.root.join("target/bench-snapshot");
        if folder.exists() {
            std::fs::remove_dir_all(&folder).doing(folder.display())?;
        }
        let name = folder.to_string_lossy().into_owned();
        let (measured, answer) = self.run(&["snapshot", pid, "-o", &name, "--json"])?;
        let (types, counts) = self.run(&["types", &name, "--json"])?;
        // One of the last objects, whose references stand near the end of the table.
        let (_, sessions) = self.run(&["objects", &name, "--json", "--type", "__main__.Session", "--limit", "1"])?;
        let address =
            sessions.get("address").and_then(Value::as_str).ok_or_else(|| Trouble::new("exuvia objects --json has no address"))?;
        let (object, _) = self.run(&["object", &name, address, "--json"])?;
        let (explain, _) = self.run(&["explain", &name, "--json"])?;
        std::fs::remove_dir_all(&folder).doing(folder.display())?;
        Ok(Sample {
            tool: SNAPSHOT.to_owned(),
            n,
            wall_ms: measured.wall_ms,
            pause_ms: told(&answer, "/target/pause_ms")?,
            second_stop_ms: answer.pointer("/target/second_stop_ms").and_then(Value::as_f64),
            gap_ms: None,
            gap_before_ms: None,
            peak_bytes: measured.peak_bytes,
            target_rss_bytes,
            objects: told(&answer, "/coverage/objects")? as u64,
            counted: Some(counted(&counts)),
            copied_bytes: answer.pointer("/target/copied_bytes").and_then(Value::as_u64),
            answer_bytes: None,
            is_over_limit: false,
            accounted: None,
            saved: Some(Saved {
                after_copy_ms: told(&answer, "/after_copy_ms")?,
                bytes: told(&answer, "/written_bytes")? as u64,
                types_ms: types.wall_ms,
                object_ms: object.wall_ms,
                explain_ms: Some(explain.wall_ms),
                explain_peak_bytes: Some(explain.peak_bytes),
            }),
        })
    }

    /// Runs the command in a process of its own, whose children are this one command: their peak memory is the command's. Gives the
    /// last line of what it prints.
    fn run(&self, arguments: &[&str]) -> Done<(Measured, Value)> {
        let what = || format!("exuvia {}", arguments.join(" "));
        let output = self.root.join("target/bench-exuvia.json");
        let measured = Command::new(std::env::current_exe().doing("xtask")?)
            .args(["bench", "--measure"])
            .arg(&output)
            .arg(&self.exuvia)
            .args(arguments)
            .stderr(Stdio::inherit())
            .output()
            .doing(what())?;
        let measured: Measured = serde_json::from_slice(&measured.stdout).doing(what())?;
        if measured.code != Some(0) {
            return Err(Trouble::new(format!("{} ended with {:?}", what(), measured.code)));
        }
        let text = std::fs::read_to_string(&output).doing(output.display())?;
        let answer: Value = serde_json::from_str(text.lines().last().unwrap_or_default()).doing(what())?;
        Ok((measured, answer))
    }

    fn peer(&self, tool: &str, n: u64) -> Done<Sample> {
        let script = self.root.join("bench/peers/peer.py");
        let output =
            Command::new(&self.peers_python).arg(&script).args([tool, &n.to_string()]).stderr(Stdio::inherit()).output().doing(tool)?;
        let answer: PeerAnswer = serde_json::from_slice(&output.stdout).doing(tool)?;
        Ok(answer.sample(tool, n))
    }
}

/// A number of an answer.
pub(crate) fn told(answer: &Value, place: &str) -> Done<f64> {
    answer.pointer(place).and_then(Value::as_f64).ok_or_else(|| Trouble::new(format!("exuvia's answer has no {place}")))
}

/// How many instances of `Session` and `Node` an answer of `types` has.
fn counted(answer: &Value) -> [u64; 2] {
    let types = || answer.get("types").and_then(Value::as_array).into_iter().flatten();
    ["__main__.Session", "__main__.Node"].map(|name| {
        let mut of_name = types().filter(|one| one.get("type").and_then(Value::as_str) == Some(name));
        of_name.find_map(|one| one.get("count")?.as_u64()).unwrap_or(0)
    })
}

#[derive(Debug, Deserialize)]
struct PeerAnswer {
    wall_ms: f64,
    extra_peak_bytes: u64,
    rss_bytes: u64,
    objects: u64,
    sessions: Option<u64>,
    nodes: Option<u64>,
    answer_bytes: Option<u64>,
}

impl PeerAnswer {
    fn sample(&self, tool: &str, n: u64) -> Sample {
        Sample {
            tool: tool.to_owned(),
            n,
            wall_ms: self.wall_ms,
            // It works in the target's only thread, with the lock held.
            pause_ms: self.wall_ms,
            second_stop_ms: None,
            gap_ms: None,
            gap_before_ms: None,
            peak_bytes: self.extra_peak_bytes,
            target_rss_bytes: self.rss_bytes,
            objects: self.objects,
            counted: self.sessions.zip(self.nodes).map(|(sessions, nodes)| [sessions, nodes]),
            copied_bytes: None,
            answer_bytes: self.answer_bytes,
            is_over_limit: false,
            accounted: None,
            saved: None,
        }
    }
}

#[derive(Debug, Deserialize)]
struct OutsideAnswer {
    wall_ms: f64,
    peak_bytes: u64,
    rss_bytes: u64,
}

#[derive(Debug, Deserialize)]
struct Measured {
    wall_ms: f64,
    peak_bytes: u64,
    code: Option<i32>,
}

/// `bench --measure OUTPUT PROGRAM ARGUMENT…`: runs the program with its stdout in a file and prints what it took as JSON.
pub(crate) fn measure(words: &[String]) -> Done<()> {
    let [output, program, arguments @ ..] = words else { return Err(Trouble::new("--measure OUTPUT PROGRAM ARGUMENT…")) };
    let file = std::fs::File::create(output).doing(output)?;
    let start = Instant::now();
    let status = Command::new(program).args(arguments).stdin(Stdio::null()).stdout(file).status().doing(program)?;
    let wall_ms = start.elapsed().as_secs_f64() * 1e3;
    let children = getrusage(UsageWho::RUSAGE_CHILDREN).doing("getrusage")?;
    // Linux counts ru_maxrss in KiB (getrusage(2)).
    let peak_bytes = children.max_rss().unsigned_abs() * 1024;
    println!("{}", serde_json::json!({"wall_ms": wall_ms, "peak_bytes": peak_bytes, "code": status.code()}));
    Ok(())
}

/// A running service heap.
struct Target {
    child: Child,
    longest_gap_ms: Arc<Mutex<f64>>,
}

impl Target {
    fn start(python: &Path, script: &Path, n: u64) -> Done<Target> {
        let mut child = Command::new(python)
            .arg(script)
            .args([&n.to_string(), "--hold", "3600"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .doing(python.display())?;
        let stdout = child.stdout.take().ok_or_else(|| Trouble::new("the target has no stdout"))?;
        let longest_gap_ms = Arc::new(Mutex::new(0.0));
        let mut target = Target { child, longest_gap_ms: Arc::clone(&longest_gap_ms) };
        let (ready, is_ready) = std::sync::mpsc::channel();
        std::thread::spawn(move || follow(BufReader::new(stdout), &ready, &longest_gap_ms));
        if is_ready.recv_timeout(Duration::from_secs(READY_SECONDS_MAX)).is_err() {
            let status = target.child.try_wait().ok().flatten();
            return Err(Trouble::new(format!("the target is not ready after {READY_SECONDS_MAX} s (its status: {status:?})")));
        }
        Ok(target)
    }

    /// From now on it counts what follows. It tells of a gap only when that is its longest, so a look with a short pause after
    /// one with a long one shows no gap at all; those with short ones come first.
    fn forget_gaps(&self) {
        *self.longest_gap_ms.lock().unwrap_or_else(PoisonError::into_inner) = 0.0;
    }

    fn longest_gap_ms(&self) -> f64 {
        *self.longest_gap_ms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // Nothing is lost where these fail: it ends by itself within the hour.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn follow(output: impl Read, ready: &std::sync::mpsc::Sender<()>, longest_gap_ms: &Mutex<f64>) {
    for line in BufReader::new(output).lines() {
        let Ok(line) = line else { return };
        if line.starts_with("tracked ") {
            // Nobody listens any more where the wait was given up.
            let _ = ready.send(());
        }
        if let Some(gap) = line.strip_prefix("longest_gap_ms ").and_then(|gap| gap.parse().ok()) {
            *longest_gap_ms.lock().unwrap_or_else(PoisonError::into_inner) = gap;
        }
    }
}

fn rss(pid: &str) -> Done<u64> {
    let path = format!("/proc/{pid}/status");
    let text = std::fs::read_to_string(&path).doing(&path)?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or_else(|| Trouble::new("no VmRSS"))?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>().doing("VmRSS")? * 1024)
}
