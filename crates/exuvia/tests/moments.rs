//! Hard moments: a target that stands in the middle of a collection, of a dict's growth, of fork, of malloc, in a signal handler, at its
//! begin and its end. Each is answered with true numbers, and the target goes on to the right result. Never waits for a time: a library
//! of ours says READY from within the moment and stands in a read until the test lets it go on.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use common::{may_trace, run, Started};
use serde_json::Value;
use testbed::{Interpreter, Scratch};

/// The library, built once.
fn library() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let (source, made, library) = (folder.join("stops.c"), folder.join("libstops.new"), folder.join("libstops.so"));
        std::fs::write(&source, include_str!("moments/stops.c")).unwrap();
        let built = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&made).arg(&source).output().unwrap();
        assert!(built.status.success(), "{built:?}");
        std::fs::rename(made, &library).unwrap();
        library
    })
}

/// What every program begins with.
const HEAD: &str = r#"
import ctypes, gc, os, sys
lib = ctypes.PyDLL(LIBRARY)
lib.make.restype, lib.make.argtypes = ctypes.py_object, [ctypes.py_object]
lib.hook.argtypes = [ctypes.c_size_t, ctypes.c_void_p, ctypes.c_void_p]
lib.in_malloc.restype = ctypes.c_size_t
gc.disable()
class Kept:
    def __init__(self, n):
        self.n, self.own = n, [n]
kept = [Kept(n) for n in range(2000)]
def done(*told):
    print(*told, sum(k.n for k in kept), flush=True)
"#;

/// A Python that stands in its moment.
struct Standing {
    started: Started,
    told: String,
}

impl Standing {
    fn python(py: &Interpreter, moment: &str, script: &str) -> Standing {
        let script = format!("{}LIBRARY = {:?}\nMOMENT = {moment:?}\n{HEAD}{script}", common::MAY_BE_TRACED, library());
        let started = Started::ready(Command::new(&py.path).args(["-I", "-S", "-c", &script]));
        Standing { started, told: format!("{} {moment}", py.name) }
    }

    fn pid(&self) -> String {
        self.started.pid()
    }

    /// Lets it go on to its end; gives the last line that it says.
    #[track_caller]
    fn goes_on(mut self) -> String {
        let child = &mut self.started.child;
        child.stdin.take().unwrap().write_all(b"\n").unwrap();
        let (mut out, mut err) = (String::new(), String::new());
        child.stdout.as_mut().unwrap().read_to_string(&mut out).unwrap();
        child.stderr.as_mut().unwrap().read_to_string(&mut err).unwrap();
        let code = child.wait().unwrap().code();
        assert_eq!((code, err.as_str()), (Some(0), ""), "{}: {out}", self.told);
        out.trim_end().to_owned()
    }
}

/// `types` of a target, all rows.
#[track_caller]
fn look(target: &str, options: &[&str]) -> Value {
    let ran = run(&[&["types", "--json", "--limit", "0", target], options].concat());
    serde_json::from_str(ran.answered()).unwrap()
}

/// How many objects have a class of this name.
fn count(answer: &Value, class: &str) -> u64 {
    let rows = answer["types"].as_array().unwrap().iter();
    rows.filter(|row| row["type"].as_str().unwrap().rsplit('.').next() == Some(class)).map(|row| row["count"].as_u64().unwrap()).sum()
}

/// What is missing, but for blocks without an object: of those every program has some.
fn gaps(answer: &Value) -> Vec<(String, u64)> {
    let all = answer["coverage"]["gaps"].as_array().unwrap().iter();
    let all = all.map(|gap| (gap["what"].as_str().unwrap().to_owned(), gap["count"].as_u64().unwrap()));
    all.filter(|(what, _)| what != "unexplained-block").collect()
}

/// The oldest, the newest and one more release: where what differs by release is seen elsewhere.
fn three(py: &Interpreter) -> Result<(), String> {
    match ["3.8", "3.12", "3.15"].iter().any(|series| py.name.starts_with(series)) {
        true => Ok(()),
        false => Err("this moment is asked for on the oldest, the newest and one more release".to_owned()),
    }
}

/// `Stop` is a class of the library whose `tp_traverse` and `tp_clear` stand still when told to: the first `tp_traverse` of a collection
/// is in `subtract_refs`, where back links are counts, the second in `move_unreachable`, where a list is split in two. Wide objects stand
/// in malloc's memory, where no sweep sees what is on no list.
const COLLECTION: &str = r#"
import weakref
class Lost: pass
class Wide:
    __slots__ = tuple("s%d" % n for n in range(80))
class Ending:
    def __del__(self):
        if MOMENT == "finalizer": lib.here()
wide = [Wide() for n in range(50)]
stop = lib.make(kept)
gc.collect()
def lose():
    global ref
    held = []
    held.append(lib.make(held))
    e = Ending(); e.me = e
    w = Lost(); w.me = w
    if MOMENT == "callback": ref = weakref.ref(w, lambda r: lib.here())
    for n in range(500):
        a, b = Lost(), Lost()
        a.other, b.other = b, a
    for n in range(50):
        w = Wide(); w.s0 = w
lose()
lib.arm({"subtract_refs": 1, "move_unreachable": 2}.get(MOMENT, 0), MOMENT == "clear")
done(gc.collect() > 1000)
"#;

/// Half of the wide ones were missing: what the collector found unreachable it holds on a list of its own, and a block of malloc's that
/// no list and no object leads to is not looked at. Now the links of those that were found lead to the others.
#[test]
fn in_a_collection_every_object_is_found() {
    if !may_trace() {
        return;
    }
    testbed::for_each_interpreter(|py| {
        let scratch = Scratch::new().unwrap();
        for moment in ["subtract_refs", "move_unreachable", "finalizer", "callback", "clear"] {
            let target = Standing::python(py, moment, COLLECTION);
            let pid = target.pid();
            let mut looks = vec![look(&pid, &["--mode", if moment == "clear" { "freeze" } else { "fork" }])];
            if moment == "move_unreachable" {
                let core = scratch.path().join("core");
                run(&["snapshot", "--core", &pid, "-o", core.to_str().unwrap()]).answered();
                looks.extend([look(&pid, &["--mode", "freeze"]), look(core.to_str().unwrap(), &[])]);
            }
            for answer in looks {
                let told = format!("{} in {}", target.told, answer["target"]["mode"]);
                assert_eq!(gaps(&answer), [("collecting".to_owned(), 1)], "{told}");
                assert_eq!(["Kept", "Lost", "Wide"].map(|class| count(&answer, class)), [2000, 1001, 100], "{told}");
            }
            assert_eq!(target.goes_on(), "True 1999000");
        }
    });
}

/// A dict is stopped where the block for its larger table is asked for (it is whole), and where its old table is freed: to 3.12 it has the
/// new table then, without one entry counted in it. A list where its array has moved, and it still has the address of the old one.
const GROWTH: &str = r#"
class Row: pass
word = lambda at: ctypes.c_size_t.from_address(at).value
if MOMENT == "list":
    rows = list(kept)
    while word(id(rows) + 16) < word(id(rows) + 32) or len(rows) < 30000: rows.append(Row())
    lib.hook(0, None, word(id(rows) + 24))
    rows.append(Row())
    done(len(rows) > 30000)
else:
    table = {n + 100000: k for n, k in enumerate(kept)}
    rows = [Row() for n in range(5000)]
    if MOMENT == "new table": lib.hook(30000, None, None)
    else: lib.hook(0, word(id(table) + 32), None)
    for n, row in enumerate(rows): table[n + 200000] = row
    done(len(table), sum(k.n for k in table.values() if isinstance(k, Kept)))
"#;

#[test]
fn in_a_dict_that_grows_what_it_holds_is_found() {
    if !may_trace() {
        return;
    }
    testbed::for_each_interpreter(|py| {
        for moment in ["new table", "old table", "list"] {
            let target = Standing::python(py, moment, GROWTH);
            let pid = target.pid();
            let modes = if moment == "old table" { &["fork", "freeze"][..] } else { &["fork"] };
            for mode in modes {
                let answer = look(&pid, &["--mode", mode]);
                let told = format!("{} in {mode}", target.told);
                assert_eq!(count(&answer, "Kept"), 2000, "{told}");
                match moment {
                    "new table" => assert_eq!((gaps(&answer), count(&answer, "Row")), (vec![], 5000), "{told}"),
                    "old table" => {
                        assert_eq!((gaps(&answer), count(&answer, "Row")), (vec![("torn-object".to_owned(), 1)], 5000), "{told}")
                    }
                    // The old array may still be mapped, and hold what it held.
                    _ => assert!(
                        gaps(&answer).iter().all(|(what, n)| matches!(what.as_str(), "absent-page" | "corrupted") && *n < 3),
                        "{told}: {answer}"
                    ),
                }
            }
            assert_eq!(target.goes_on(), if moment == "list" { "True 1999000" } else { "7000 1999000 1999000" });
        }
    });
}

/// The moments that are the operating system's: each as (what it is called, the program, the last line).
const OTHERS: &[(&str, &str, &str)] = &[
    // malloc's lock is held, on a stack of the handler's own: whoever called malloc in the target now would wait for ever.
    ("malloc in a signal handler", "done(lib.in_malloc())", "1 1999000"),
    (
        "a handler in Python",
        "import signal\nsignal.signal(signal.SIGUSR1, lambda *a: lib.here())\nos.kill(os.getpid(), signal.SIGUSR1)\ndone()",
        "1999000",
    ),
    ("before fork", "lib.fork_stops(1)\np = os.fork()\nif p == 0: os._exit(5)\ndone(os.waitpid(p, 0)[1] >> 8)", "5 1999000"),
    ("after fork in the parent", "lib.fork_stops(2)\np = os.fork()\nif p == 0: os._exit(5)\ndone(os.waitpid(p, 0)[1] >> 8)", "5 1999000"),
    ("after fork in the child", "lib.fork_stops(3)\np = os.fork()\nif p == 0: os._exit(5)\ndone(os.waitpid(p, 0)[1] >> 8)", "5 1999000"),
    ("vfork", "done(lib.vforked())", "7 1999000"),
    ("atexit", "import atexit\natexit.register(lambda: (lib.here(), done()))", "1999000"),
];

#[test]
fn in_fork_malloc_handlers_and_at_exit_the_numbers_are_true() {
    if !may_trace() {
        return;
    }
    testbed::for_each_that(three, |py| {
        for (moment, script, last) in OTHERS {
            let target = Standing::python(py, moment, script);
            // A child that stands in the moment is a target too; one that has ended already is not.
            let tasks = format!("/proc/{0}/task/{0}/children", target.pid());
            let children = std::fs::read_to_string(tasks).unwrap_or_default();
            let stands = matches!(*moment, "after fork in the child" | "vfork");
            let looked: Vec<String> = children.split_whitespace().filter(|_| stands).map(str::to_owned).chain([target.pid()]).collect();
            assert_eq!(looked.len(), 1 + usize::from(stands), "{}: {children}", target.told);
            for pid in looked {
                for mode in ["auto", "freeze"] {
                    let answer = look(&pid, &["--mode", mode]);
                    assert_eq!((gaps(&answer), count(&answer, "Kept")), (vec![], 2000), "{} {mode}", target.told);
                }
            }
            // A process that waits for its vfork's child makes no call of ours: auto freezes it, and says why.
            if *moment == "vfork" {
                run(&["types", "--mode", "fork", &target.pid()]).refused(3);
            }
            assert_eq!(target.goes_on(), *last);
        }
    });
}

/// The interpreter has begun and cannot run a program yet, or it has taken its modules apart: what is there is told, or why not.
#[test]
fn before_the_interpreter_is_up_and_after_its_end_there_is_one_clear_answer() {
    if !may_trace() || !common::may_trace_anybody() {
        return;
    }
    testbed::for_each_interpreter(|py| {
        let scratch = Scratch::new().unwrap();
        // `encodings` is the first module that is read from a file, in Py_InitializeFromConfig.
        std::fs::create_dir(scratch.path().join("encodings")).unwrap();
        let begins = "import posix, sys\nposix.write(1, b'READY\\n'); posix.read(0, 1)\n\
                      del sys.modules['encodings']; sys.path.pop(0)\nimport encodings\n";
        std::fs::write(scratch.path().join("encodings/__init__.py"), begins).unwrap();
        let started = Started::ready(Command::new(&py.path).env("PYTHONPATH", scratch.path()).args(["-S", "-c", "print('up')"]));
        let begun = Standing { started, told: format!("{} begins", py.name) };
        let ran = run(&["types", "--json", &begun.pid()]);
        match ran.code {
            Some(0) => assert!(count(&serde_json::from_str(&ran.stdout).unwrap(), "type") > 50, "{}: {ran:#?}", begun.told),
            _ => assert!(ran.refused(3).join(" ").contains("not"), "{}: {ran:#?}", begun.told),
        }
        assert_eq!(begun.goes_on(), "up", "{}", py.name);

        let ends = "class Ending:\n    def __del__(self, here=lib.here): here()\nending = Ending()\ndone = ending";
        let target = Standing::python(py, "end", ends);
        let why = run(&["types", &target.pid()]).refused(3).join(" ");
        assert!(why.contains("finaliz") || why.contains("ending"), "{}: {why}", target.told);
        assert_eq!(target.goes_on(), "");
    });
}
