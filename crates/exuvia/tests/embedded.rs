//! Pythons that are not called python: a program with a libpython, a static build, several libpythons in one process, files that were
//! deleted or replaced since, uwsgi under load.
//!
//! The programs are C, compiled here, and their truth is what they say of themselves: len(gc.get_objects()), sys.getsizeof.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "common/mod.rs"]
mod common;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use common::{may_trace, ran, run, Started};
use serde_json::Value;
use testbed::{for_each_that, Interpreter, Scratch};

/// Python in a thread other than the main one, under another program's name; the last argument is what it runs.
const EMBEDS: &str = r#"
#include <Python.h>
#include <pthread.h>
static const char *script;
static void *run(void *nothing) {
    PyConfig config;
    PyConfig_InitPythonConfig(&config);
    PyConfig_SetString(&config, &config.program_name, L"/opt/shop/bin/frontend");
    PyStatus status = Py_InitializeFromConfig(&config);
    PyConfig_Clear(&config);
    if (PyStatus_Exception(status)) Py_ExitStatusException(status);
    PyRun_SimpleString(script);
    return nothing;
}
int main(int argc, char **argv) {
    pthread_t thread;
    script = argv[argc - 1];
    return pthread_create(&thread, NULL, run, NULL) || pthread_join(thread, NULL);
}
"#;

/// Two libpythons with their homes; the fifth argument says which are initialised, in which order; each runs the sixth.
const LOADS_TWO: &str = r#"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
int main(int argc, char **argv) {
    void *library[2];
    for (int i = 0; i < 2; i++) {
        library[i] = dlopen(argv[1 + 2 * i], RTLD_NOW | RTLD_LOCAL);
        if (!library[i]) { puts(dlerror()); return 1; }
    }
    for (const char *which = argv[5]; *which; which++) {
        int i = *which - '0';
        setenv("PYTHONHOME", argv[2 + 2 * i], 1);
        ((void (*)(int))dlsym(library[i], "Py_InitializeEx"))(0);
        ((int (*)(const char *))dlsym(library[i], "PyRun_SimpleString"))(argv[6]);
        ((void *(*)(void))dlsym(library[i], "PyEval_SaveThread"))();
    }
    puts("READY");
    fflush(stdout);
    return getchar() == 'x';
}
"#;

/// A forked child says what the collector has, and what it has of some types costs. The parent does nothing more than wait.
/// The first fork is for what a warning about threads would leave (3.12 and later).
const TELLS: &str = r#"
import gc, os, sys
class Order:
    def __init__(self, n):
        self.n, self.rows = n, [n]
ORDERS = [Order(n) for n in range(700)]
for _ in range(2):
    pid = os.fork()
    if pid == 0:
        found = gc.get_objects()
        total, lines = len(found), []
        for kind in (Order, list, type(os.fork), type(gc)):
            sizes = [sys.getsizeof(o) for o in found if type(o) is kind and o is not found and o is not lines]
            lines.append("%s=%d,%d" % (kind.__name__, len(sizes), sum(sizes)))
        with open(FACTS, "w") as facts:
            facts.write("\n".join(lines + ["all=%d,0" % total]))
        os._exit(0)
    os.waitpid(pid, 0)
os.write(1, b"READY\n")
os.read(0, 1)
"#;

/// How programs are made with an interpreter in them.
struct Kit {
    py: Interpreter,
    include: PathBuf,
    home: String,
    /// `-lpython3.12` is in this folder.
    library: Option<(PathBuf, String)>,
    archive: PathBuf,
    /// What the archive wants.
    wants: Vec<String>,
}

impl Kit {
    fn of(py: &Interpreter) -> Result<Kit, String> {
        const ASKS: &str = "import sys, sysconfig
for name in ('INCLUDEPY', 'LIBDIR', 'LDLIBRARY', 'LIBPL', 'LIBRARY', 'LIBS', 'MODLIBS', 'SYSLIBS', 'LDVERSION'):
    print(sysconfig.get_config_var(name) or '')
print(sys.base_prefix)";
        let told = ran(Command::new(&py.path).args(["-I", "-c", ASKS])).stdout;
        let lines: Vec<&str> = told.lines().collect();
        let [include, folder, library, config, archive, libs, modules, system, version, home] = lines[..] else {
            return Err(format!("its sysconfig says {told}"));
        };
        let (include, folder) = (py.here(Path::new(include)), py.here(Path::new(folder)));
        let archive = py.here(&Path::new(config).join(archive));
        if !include.join("Python.h").exists() || !archive.exists() {
            return Err(format!("it comes without Python.h or {}", archive.display()));
        }
        let shared = library.contains(".so") && folder.join(library).exists();
        let library = shared.then(|| (folder, format!("-lpython{version}")));
        let wants = [libs, modules, system, "-lpthread -ldl -lutil -lm"].join(" ");
        let wants = wants.split_whitespace().map(str::to_owned).collect();
        Ok(Kit { py: py.clone(), include, home: home.to_owned(), library, archive, wants })
    }

    /// The program with the whole interpreter in it.
    fn whole(&self, program: &Path, flags: &[&str]) {
        let cc = compiler(self.py.cc(None), EMBEDS, program);
        compiled(cc.arg("-I").arg(&self.include).arg(&self.archive).args(&self.wants).arg("-rdynamic").args(flags));
    }

    /// The program with a libpython of this folder.
    fn beside(&self, program: &Path, folder: &Path, library: &str) {
        let cc = compiler(self.py.cc(Some(folder)), EMBEDS, program);
        compiled(cc.arg("-I").arg(&self.include).arg("-L").arg(folder).arg(library).arg("-lpthread"));
    }
}

/// A compiler with this source in a file.
fn compiler(mut command: Command, source: &str, program: &Path) -> Cc {
    let file = program.with_extension("c");
    std::fs::write(&file, source).unwrap();
    command.arg("-o").arg(program).arg(&file);
    Cc(command)
}

struct Cc(Command);

impl Cc {
    fn arg(mut self, arg: impl AsRef<std::ffi::OsStr>) -> Self {
        self.0.arg(arg);
        self
    }

    fn args<S: AsRef<std::ffi::OsStr>>(mut self, args: &[S]) -> Self {
        self.0.args(args);
        self
    }
}

fn compiled(mut cc: Cc) {
    let ran = ran(&mut cc.0);
    assert_eq!(ran.code, Some(0), "{:?}: {}", cc.0, ran.stderr);
}

/// Without what would lead another interpreter astray.
fn plain(program: &Path, home: &str) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PYTHON")) {
        command.env_remove(name);
    }
    command.env("PYTHONHOME", home).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// The embedded program, with what it says of itself.
fn told(program: &Path, home: &str, facts: &Path) -> (Started, BTreeMap<String, [u64; 2]>) {
    let script = format!("{}\nFACTS = {facts:?}\n{TELLS}", common::MAY_BE_TRACED);
    let started = Started::ready(plain(program, home).arg(script));
    let text = std::fs::read_to_string(facts).unwrap();
    let line = |line: &str| {
        let (name, numbers) = line.split_once('=').unwrap();
        let (count, bytes) = numbers.split_once(',').unwrap();
        (name.to_owned(), [count.parse().unwrap(), bytes.parse().unwrap()])
    };
    (started, text.lines().map(line).collect())
}

fn json(args: &[&str]) -> Value {
    serde_json::from_str(run(args).answered()).unwrap()
}

/// The answers about a process are what it said of itself.
#[track_caller]
fn agrees(pid: &str, truth: &BTreeMap<String, [u64; 2]>, what: &str) {
    let types = json(&["types", "--json", pid]);
    agree(&types, truth, what);
    let gc = json(&["gc", "--json", pid]);
    let lists = gc["lists"].as_array().unwrap().iter().filter(|l| l["list"] != "frozen");
    assert_eq!(lists.map(|l| l["objects"].as_u64().unwrap()).sum::<u64>(), truth["all"][0], "{what}: {:#}", gc["lists"]);
}

#[track_caller]
fn agree(types: &Value, truth: &BTreeMap<String, [u64; 2]>, what: &str) {
    let rows = types["types"].as_array().unwrap();
    for (name, shown) in
        [("Order", "__main__.Order"), ("list", "list"), ("builtin_function_or_method", "builtin_function_or_method"), ("module", "module")]
    {
        let row = rows.iter().find(|r| r["type"] == shown).unwrap_or_else(|| panic!("{what}: no {shown}"));
        assert_eq!([row["count"].as_u64().unwrap(), row["own_bytes"].as_u64().unwrap()], truth[name], "{what}: {name}");
    }
}

#[test]
fn a_program_with_python_in_it_is_read_like_python() {
    if !may_trace() {
        return;
    }
    for_each_that(
        |py| Kit::of(py).map(|_| ()),
        |py| {
            let kit = Kit::of(py).unwrap();
            let scratch = Scratch::new().unwrap();
            let facts = scratch.path().join("facts");
            let mut programs = Vec::new();
            // Debian's archive is for a program at a fixed place, and since 3.13 not whole: it has no code of hashes (HACL).
            let debian = py.path.starts_with("/usr");
            if py.root.is_none() {
                let whole = scratch.path().join(format!("shop-{}-{}", py.minor, std::process::id()));
                kit.whole(&whole, if debian { &["-no-pie"] } else { &[] });
                programs.push(whole);
            }
            if let Some((folder, library)) = &kit.library {
                let program = scratch.path().join("frontend");
                kit.beside(&program, folder, library);
                programs.push(program);
            }
            if debian {
                // No dynamic section, no loader, no libc.so.
                let program = scratch.path().join("alone");
                kit.whole(&program, &["-static", "-Wl,--no-export-dynamic"]);
                programs.push(program);
            }
            for program in programs {
                let name = program.file_name().unwrap().to_str().unwrap();
                let what = format!("{name} of {}", py.name);
                let (started, truth) = told(&program, &kit.home, &facts);
                agrees(&started.pid(), &truth, &what);
                if name.starts_with("shop-") {
                    // By its name, although nothing that it has mapped is called python.
                    let answer = json(&["types", "--json", name]);
                    assert_eq!(answer["target"]["pid"].to_string(), started.pid(), "{what}");
                    assert_eq!(answer["target"]["beside"], Value::Null);
                }
            }
        },
    );
}

/// Two interpreters with a libpython each, of different releases: the newest and the oldest that there are.
fn two() -> [(&'static Interpreter, Kit); 2] {
    let shared = |py: &'static Interpreter| Some((py, Kit::of(py).ok().filter(|kit| kit.library.is_some())?));
    let mut all: Vec<_> = testbed::interpreters().found.iter().filter_map(shared).collect();
    assert!(all.len() >= 2, "two interpreters with a libpython and headers are needed");
    let last = all.pop().unwrap();
    [all.swap_remove(0), last]
}

fn library_of(kit: &Kit) -> PathBuf {
    let (folder, name) = kit.library.as_ref().unwrap();
    folder.join(format!("lib{}.so", name.trim_start_matches("-l"))).canonicalize().unwrap()
}

#[test]
fn of_several_pythons_the_one_in_use_is_read_and_the_others_are_told() {
    if !may_trace() {
        return;
    }
    let (scratch, all) = (Scratch::new().unwrap(), two());
    let program = scratch.path().join("two");
    // With the newest one's C library, which has all that an older one had; all of it at once, since the older libpython would look for
    // its parts among the machine's.
    let parts = ["-Wl,--no-as-needed", "-ldl", "-lm", "-lpthread", "-lutil"];
    compiled(compiler(all[1].0.cc(None), LOADS_TWO, &program).args(&parts));
    let start = |which: &str| {
        let mut command = plain(&program, "/");
        for (_, kit) in &all {
            command.arg(library_of(kit)).arg(&kit.home);
        }
        // So many that the one is not taken for the other.
        let script = "import sys\nclass Order: pass\nORDERS = [Order() for _ in range(sys.version_info[1])]";
        Started::ready(command.arg(which).arg(format!("{}{script}", common::MAY_BE_TRACED)))
    };
    let release = |i: usize| format!("3.{}.{}", all[i].0.minor, all[i].0.micro);
    let orders = |answer: &Value| {
        let rows = answer["types"].as_array().unwrap();
        rows.iter().find(|r| r["type"] == "__main__.Order").map(|r| r["count"].as_u64().unwrap())
    };
    for used in [0, 1] {
        let started = start(&used.to_string());
        let answer = json(&["types", "--json", &started.pid()]);
        assert_eq!(answer["target"]["python"], release(used));
        assert_eq!(orders(&answer), Some(all[used].0.minor.into()));
        let beside = answer["target"]["beside"].as_str().unwrap();
        assert!(beside.contains("never started") && beside.contains(library_of(&all[1 - used].1).to_str().unwrap()), "{beside}");
        let text = run(&["explain", &started.pid()]);
        assert!(text.answered().contains("\nbeside:   CPython "), "{text:#?}");
        let refused = run(&["types", "--python", &release(1 - used), &started.pid()]);
        assert!(refused.refused(3)[0].contains("not initialised"), "{refused:#?}");
    }
    for order in ["01", "10"] {
        let started = start(order);
        let first = json(&["types", "--json", &started.pid()]);
        let beside = first["target"]["beside"].as_str().unwrap();
        assert!(beside.contains("in use too, see it with --python "), "{beside}");
        for (i, (py, kit)) in all.iter().enumerate() {
            for word in [release(i), library_of(kit).to_str().unwrap().to_owned()] {
                let answer = json(&["types", "--json", "--python", &word, &started.pid()]);
                assert_eq!((orders(&answer), &answer["target"]["python"]), (Some(py.minor.into()), &release(i).into()));
            }
        }
        let ran = run(&["types", "--python", "3.99", &started.pid()]);
        let [what, why, advice] = ran.refused(3);
        assert!(what.contains("no Python 3.99") && why.contains(&release(0)) && advice.starts_with("--python 3."), "{ran:#?}");
    }
}

/// Runs a command with no capability at all: the kernel's own links to mapped files (map_files) are closed then, as they are to everybody
/// who is not root.
fn without_rights(program: &Path) -> Option<Command> {
    static THERE: OnceLock<bool> = OnceLock::new();
    if !nix::unistd::geteuid().is_root() {
        return Some(Command::new(program));
    }
    let setpriv = |program: &Path| {
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set=-all", "--inh-caps=-all"]).arg(program);
        command
    };
    let there = *THERE.get_or_init(|| setpriv(Path::new("/bin/true")).status().is_ok_and(|s| s.success()));
    if !there {
        println!("left out: without capabilities (setpriv of util-linux is needed)");
    }
    there.then(|| setpriv(program))
}

#[test]
fn files_that_were_deleted_or_replaced_are_read_as_they_are_mapped() {
    if !may_trace() {
        return;
    }
    let [(_, older), (py, kit)] = two();
    let scratch = Scratch::new().unwrap();
    let folder = scratch.path().join("lib");
    std::fs::create_dir(&folder).unwrap();
    let (real, library) = (library_of(&kit), kit.library.as_ref().unwrap().1.clone());
    let own = folder.join(real.file_name().unwrap());
    let link = folder.join(format!("lib{}.so", library.trim_start_matches("-l")));
    std::os::unix::fs::symlink(&own, &link).unwrap();
    let program = scratch.path().join("service");
    // As a package manager does: another file takes the place of the name, the old one stays with who has it mapped.
    let replaced = |at: &Path, by: &Path| {
        let new = scratch.path().join("new");
        std::fs::copy(by, &new).unwrap();
        std::fs::rename(&new, at).unwrap();
    };
    for rights in [true, false] {
        for what in ["library replaced", "library deleted", "program replaced", "program deleted"] {
            std::fs::copy(&real, &own).unwrap();
            kit.beside(&program, &folder, &library);
            let command = match rights {
                true => Some(Command::new(&program)),
                false => without_rights(&program),
            };
            let Some(command) = command else { continue };
            let mut start = plain(Path::new(command.get_program()), &kit.home);
            start.args(command.get_args());
            let facts = scratch.path().join("facts");
            let script = format!("{}\nFACTS = {facts:?}\n{TELLS}", common::MAY_BE_TRACED);
            let started = Started::ready(start.arg(script));
            match what {
                "library replaced" => replaced(&own, &library_of(&older)),
                "library deleted" => std::fs::remove_file(&own).unwrap(),
                "program replaced" => replaced(&program, &py.executable),
                _ => std::fs::remove_file(&program).unwrap(),
            }
            let exuvia = Path::new(env!("CARGO_BIN_EXE_exuvia"));
            let mut look = if rights { Command::new(exuvia) } else { without_rights(exuvia).unwrap() };
            let looked = ran(look.args(["types", "--json", &started.pid()]));
            let answer: Value = serde_json::from_str(looked.answered()).unwrap();
            let text = std::fs::read_to_string(&facts).unwrap();
            let orders = text.lines().find_map(|l| l.strip_prefix("Order=")).unwrap();
            let row = answer["types"].as_array().unwrap().iter().find(|r| r["type"] == "__main__.Order").unwrap().clone();
            assert_eq!(format!("{},{}", row["count"], row["own_bytes"]), orders, "{what}, rights: {rights}");
            assert_eq!(answer["target"]["python"], format!("3.{}.{}", py.minor, py.micro), "{what}");
            let deleted = answer["target"]["executable"].as_str().unwrap().ends_with(" (deleted)");
            assert_eq!(deleted, what.starts_with("program"), "{what}: {}", answer["target"]["executable"]);
            drop(started);
            let _ = std::fs::remove_file(&own);
            let _ = std::fs::remove_file(&program);
        }
    }
}

/// The application of uwsgi's workers.
const APPLICATION: &str = "
class Row:
    pass
ROWS = [Row() for n in range(4000)]
def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [str(len([{'n': n} for n in range(200)])).encode()]
";

/// A server of several processes, ended when dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // The master takes its workers with it (--die-on-term); what of it is left when it had no time is killed with its group.
        let group = nix::unistd::Pid::from_raw(-(self.0.id() as i32));
        let _ = nix::sys::signal::kill(group, nix::sys::signal::Signal::SIGKILL);
        let _ = self.0.wait();
    }
}

/// uwsgi is on PyPI as sources only: it is built once, for one release, since what is tested is how it starts Python, not which one.
fn uwsgi() -> PathBuf {
    let folder = testbed::packages::folder().join("uwsgi");
    let program = folder.join("bin/uwsgi");
    if !folder.join("installed").exists() {
        // pyenv's, which have ensurepip; setuptools builds it up to 3.13.
        let all = &testbed::interpreters().found;
        let py = all.iter().filter(|py| py.minor <= 12 && !py.name.contains('(')).max_by_key(|py| py.minor).expect("one of pyenv's");
        let make = |program: &Path, args: &[&str]| {
            // What it does not need takes a minute to build.
            let profile = "embedded_plugins=python;ssl=false;xml=false;pcre=false;yaml=false";
            let made = ran(Command::new(program).args(args).env("UWSGI_PROFILE_OVERRIDE", profile));
            assert_eq!(made.code, Some(0), "{args:?}: {made:#?}");
        };
        make(&py.path, &["-m", "venv", folder.to_str().unwrap()]);
        make(&folder.join("bin/python3"), &["-m", "pip", "install", "--quiet", "uwsgi==2.0.31"]);
        std::fs::write(folder.join("installed"), "").unwrap();
    }
    program
}

/// One request; its status line.
fn request(address: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\nHost: shop\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn uwsgi_answers_every_request_while_it_is_looked_at() {
    if !may_trace() {
        return;
    }
    if !testbed::packages::wanted() {
        println!("left out: uwsgi comes from PyPI: EXUVIA_PYPI=1");
        return;
    }
    let scratch = Scratch::new().unwrap();
    std::fs::write(scratch.path().join("app.py"), format!("{}{APPLICATION}", common::MAY_BE_TRACED)).unwrap();
    let mut command = Command::new(uwsgi());
    command.args(["--http-socket", "127.0.0.1:0", "--master", "--processes", "3", "--threads", "2", "--die-on-term", "--wsgi-file"]);
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut child = command.arg("app.py").current_dir(scratch.path()).stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let server = Server(child);
    let bound = log.find_map(|l| Some(l.split_once("bound to TCP address ")?.1.split(' ').next()?.to_owned())).unwrap();
    let mut workers = Vec::new();
    while workers.len() < 3 {
        let line = log.next().expect("three workers start");
        if let Some((_, pid)) = line.split_once("spawned uWSGI worker ").and_then(|(_, l)| l.split_once("(pid: ")) {
            workers.push(pid.split(',').next().unwrap().trim_end_matches(')').parse::<i64>().unwrap());
        }
    }
    // What it goes on to say is read, so that it never waits for us.
    std::thread::spawn(move || log.for_each(drop));

    let done = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..2)
        .map(|_| {
            let (bound, done) = (bound.clone(), Arc::clone(&done));
            std::thread::spawn(move || {
                let mut all = Vec::new();
                while !done.load(Ordering::Relaxed) || all.is_empty() {
                    all.push(request(&bound));
                }
                all
            })
        })
        .collect();
    let master = server.0.id().to_string();
    let all = json(&["types", "--json", "--children", &master]);
    let rows = all["types"].as_array().unwrap().iter().find(|r| r["type"] == "uwsgi_file_app.Row").unwrap().clone();
    assert_eq!((&rows["count"], &rows["processes"]), (&(4 * 4000).into(), &4.into()), "{:#}", all["processes"]);
    let told: Vec<i64> = all["processes"].as_array().unwrap().iter().skip(1).map(|p| p["pid"].as_i64().unwrap()).collect();
    assert_eq!(told, workers);
    for mode in ["fork", "freeze"] {
        let one = json(&["types", "--json", "--mode", mode, &workers[0].to_string()]);
        let rows = one["types"].as_array().unwrap().iter().find(|r| r["type"] == "uwsgi_file_app.Row").unwrap().clone();
        assert_eq!(rows["count"], 4000, "{mode}");
    }
    for args in [&["explain", "--all"][..], &["ledger", "--children"], &["retained", "--children"]] {
        let ran = run(&[args, &[&master]].concat());
        assert_eq!(ran.code, Some(0), "{args:?}: {ran:#?}");
    }
    done.store(true, Ordering::Relaxed);
    let answers: Vec<String> = clients.into_iter().flat_map(|c| c.join().unwrap()).collect();
    assert!(answers.iter().all(|a| a.ends_with(" 200 OK")), "{} of {answers:?}", answers.len());
    // The same processes are there, and answer.
    for pid in &workers {
        assert!(Path::new(&format!("/proc/{pid}/stat")).exists(), "worker {pid} is gone");
    }
    assert!(request(&bound).ends_with(" 200 OK"));
    println!("{} requests, all answered", answers.len());
}
