//! A target whose every name tries to steer the terminal: no command writes what a terminal obeys or hides, as text or as JSON.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::{may_trace, run, Started};
use testbed::Scratch;

/// Names of everything that has a name, each with escape sequences, line breaks, direction marks and what has no width. What is planted
/// is enough of everything that each analysis has something to say of it.
const PLANTED: &str = r#"
import asyncio, atexit, gc, os, sys, threading, types, weakref
EVIL = "\x1bc\x9b2J\x9d0;owned\x07\r\n\t\x7f\u202e\u2066\u200f\u061c\u200b\ufeff\u2028\u00ad"
def evil(name):
    return name + EVIL

module = types.ModuleType(evil("module"))
module.__file__ = "/srv/" + evil("file") + ".py"
sys.modules[module.__name__] = module
source = '''
import weakref, threading, time, asyncio
class Session:
    def __init__(self, n):
        setattr(self, evil("number"), n + 1000000)
        setattr(self, evil("text"), "text %d" % n)
    def __del__(self):
        len("x")
class Knot:
    def method(self):
        pass
class Slotted:
    __slots__ = ("plain",)
class Passing:
    pass
def generated():
    held = [1]
    while True:
        yield held
def called(*ignored):
    pass
def work(started, stop):
    mine = [(n + 100000, "local %d" % n) for n in range(3000)]
    started.set()
    stop.wait()
async def coroutine():
    kept = [str(n) * 9 for n in range(2000)]
    await asyncio.sleep(9999)
'''
code = compile(source, "/srv/" + evil("source") + ".py", "exec")
def renamed(code):
    """The same with evil names of functions and locals: those are no words of a grammar, but strings."""
    consts = tuple(renamed(c) if isinstance(c, types.CodeType) else c for c in code.co_consts)
    new = {"co_consts": consts}
    if code.co_name in ("__del__", "method", "generated", "called", "work", "coroutine"):
        new["co_name"] = evil(code.co_name)
        new["co_varnames"] = tuple(evil(n) for n in code.co_varnames)
        if sys.version_info >= (3, 11):
            new["co_qualname"] = evil(code.co_qualname)
    return code.replace(**new)
module.evil = evil
exec(renamed(code), vars(module))
for name in ("Session", "Knot", "Slotted", "Passing"):
    c = getattr(module, name)
    c.__name__ = c.__qualname__ = evil(name)
    c.__module__ = evil("module")
    setattr(module, evil(name), c)
for name in ("generated", "called", "work", "coroutine"):
    f = getattr(module, name)
    f.__name__ = f.__qualname__ = evil(name)
setattr(module, evil("SESSIONS"), [module.Session(n) for n in range(1500)])
setattr(module, evil("TABLE"), {evil("key %d" % n): [n + 1000000, evil("value")] for n in range(900)})
setattr(module.Session, evil("shared"), [bytes(700) for n in range(500)])
gc.collect()
gc.disable()
for n in range(700):
    a, b = module.Knot(), module.Knot()
    setattr(a, evil("other"), b)
    setattr(b, evil("parent"), a)
    if n < 300:
        getattr(module, evil("SESSIONS")).append(a)
del a, b
def lose():
    for n in range(600):
        s = module.Session(n)
        setattr(s, evil("self"), s)
lose()
module.unended = [module.generated() for n in range(40)]
[next(g) for g in module.unended]
module.weak = [weakref.ref(s, module.called) for s in module.__dict__[evil("SESSIONS")][:50]]
for s in module.__dict__[evil("SESSIONS")][:20]:
    weakref.finalize(s, module.called)
setattr(module, evil("CACHE"), weakref.WeakValueDictionary((evil("key %d" % n), s) for n, s in enumerate(getattr(module, evil("SESSIONS")))))
module.never = []
def never(k):
    module.never.append(weakref.ref(k, k.method))
[never(module.Knot()) for n in range(300)]
module.files = [open(os.devnull) for n in range(5)]
started, stop = threading.Event(), threading.Event()
threading.Thread(target=module.work, args=(started, stop), name=evil("thread"), daemon=True).start()
started.wait()
loop = asyncio.new_event_loop()
async def tasks():
    made = [asyncio.ensure_future(module.coroutine()) for n in range(3)]
    for task in made:
        if hasattr(task, "set_name"):
            task.set_name(evil("task"))
    module.tasks = made
    await asyncio.sleep(0)
loop.run_until_complete(tasks())
globals()["surrogate\udc80"] = [object() for n in range(900)]
def step():
    module.__dict__[evil("SESSIONS")].extend(module.Session(n) for n in range(1500))
    for n in range(1000):
        module.__dict__[evil("TABLE")][evil("later %d" % n)] = [evil("x")]
    module.passing = [module.Passing() for n in range(2000)]
"#;

/// What the target does after PLANTED: says READY, and on each line that it reads takes a step.
const STEPS: &str = "
print('READY', flush=True)
for line in sys.stdin:
    step()
    print('DONE', flush=True)
";

/// Whether a terminal obeys or hides it, by Unicode's own classes: control, format, line and paragraph separators.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
        || matches!(c, '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[track_caller]
fn harmless(told: &str, text: &str) {
    for line in text.split('\n') {
        assert!(!line.contains(steers), "{told}: {line:?}");
    }
}

#[test]
fn no_command_writes_what_a_terminal_obeys() {
    if !may_trace() {
        return;
    }
    // Escaping is one for all releases; what differs are the names that are found: in the oldest, in one of the middle, in the newest.
    let wanted =
        |py: &testbed::Interpreter| match py.path == common::python().path || ["3.8", "3.15"].iter().any(|s| py.name.starts_with(s)) {
            true => Ok(()),
            false => Err("names are asked for on the oldest, the newest and one more release".to_string()),
        };
    testbed::for_each_that(wanted, |py| {
        let scratch = Scratch::new().unwrap();
        let mut target = Started::ready(std::process::Command::new(&py.path).args([
            "-I",
            "-c",
            &format!("{}{PLANTED}{STEPS}", common::MAY_BE_TRACED),
            "\x1b[2J\u{202e}argument",
        ]));
        let pid = target.pid();
        let at = |name: &str| scratch.path().join(name).to_str().unwrap().to_owned();
        // A folder's name comes from the user, and is written into the lines to paste all the same.
        let looks = [at("first"), at("second\u{1b}[2J\u{202e}"), at("third")];
        for (n, folder) in looks.iter().enumerate() {
            if n > 0 {
                step(&mut target);
            }
            for answer in [run(&["snapshot", &pid, "-o", folder]), run(&["types", folder])] {
                harmless(&format!("{} snapshot", py.name), answer.answered());
            }
        }
        let names = Names::of(&looks[1]);
        let mut shown = String::new();
        // Escaping is one for all releases: what each release tells differently are the names.
        let whole = py.path == common::python().path;
        for target in [pid.as_str(), &looks[1]] {
            let mut commands: Vec<Vec<&str>> = vec![
                vec!["objects", target, "--type", &names.session],
                vec!["explain", target],
                vec!["retained", target],
                vec!["refcounts", target],
                vec!["cycles", target],
                vec!["finalizers", target],
                vec!["weakrefs", target],
                vec!["slots", target],
                vec!["containers", target],
                vec!["gc", target],
                vec!["path", target, &names.session],
                vec!["sizes", target, &names.session, &names.global],
            ];
            let other: Vec<Vec<&str>> = vec![
                vec!["types", target],
                vec!["objects", target],
                vec!["objects", target, "--type", "no\u{1b}[2Jsuch"],
                vec!["retained", "--by", "type", target],
                vec!["retained", "--by", "module", target],
                vec!["retained", "--by", "distribution", target],
                vec!["path", target, &names.global],
                vec!["path", target, &names.session, "--exclude", &names.attribute],
                vec!["path", target, "module\u{1b}[2J:nothing"],
                vec!["sizes", target, "nothing\u{202e}such"],
            ];
            let values = ["--limit", "9", "--values"];
            let values = if target == pid { &values[..] } else { &values[..2] };
            let addresses = names.addresses.iter().map(|address| [&["object", target, address], values].concat());
            if target != pid {
                if whole {
                    commands.extend(other.into_iter().chain(addresses));
                } else {
                    commands.remove(0);
                }
                commands.push(vec!["diff", &looks[0], &looks[1], &looks[2]]);
            } else if whole {
                // A live target's answers are written by the same code; what it has alone are values.
                commands = vec![vec!["explain", target]];
                commands.extend(addresses);
                commands.push(vec!["doctor", target]);
                commands.push(vec!["diff", target, "--every", "1ms", "--times", "2"]);
                commands.push(vec![]);
            } else {
                commands = vec![vec!["explain", target]];
            }
            for words in commands {
                shown += &asked(&py.name, &words, whole);
            }
        }
        // The planted names were met: in words of every kind.
        for word in [
            "Session",
            "module",
            "SESSIONS",
            "source",
            "generated",
            "called",
            "mine",
            "number",
            "self",
            "other",
            "TABLE",
            "shared",
            "CACHE",
        ] {
            assert!(shown.contains(&format!("{word}\\u{{1b}}c")), "{}: {word} was never shown", py.name);
        }
    });
}

/// Runs a command in each form; every answer, and every refusal, is harmless. Gives the text.
fn asked(release: &str, words: &[&str], whole: bool) -> String {
    const LISTS: [&str; 13] = [
        "types",
        "objects",
        "retained",
        "refcounts",
        "cycles",
        "finalizers",
        "weakrefs",
        "slots",
        "containers",
        "gc",
        "path",
        "diff",
        "explain",
    ];
    let told = |extra: &[&str]| format!("{release}: exuvia {words:?} {extra:?}");
    let command = words.first().copied().unwrap_or_default();
    let all: &[&str] = if command == "explain" { &["--all"] } else { &["--limit", "0"] };
    let mut text = String::new();
    let first_screen: &[&str] = &[];
    let forms = if !LISTS.contains(&command) {
        vec![first_screen]
    } else if whole {
        vec![first_screen, all]
    } else {
        vec![all]
    };
    for extra in forms {
        let ran = run(&[words, extra].concat());
        assert!(matches!(ran.code, Some(0 | 3)), "{}: {ran:#?}", told(extra));
        assert!(ran.stdout.len() + ran.stderr.len() > 50, "{}: {ran:#?}", told(extra));
        harmless(&told(extra), &ran.stdout);
        harmless(&told(extra), &ran.stderr);
        text += &ran.stdout;
    }
    if command.is_empty() || !whole && command != "explain" {
        return text;
    }
    let ran = run(&[words, &["--json"]].concat());
    harmless(&told(&["--json"]), &ran.stdout);
    for line in ran.stdout.lines() {
        let parsed: Result<serde_json::Value, _> = serde_json::from_str(line);
        assert!(parsed.is_ok(), "{}: {line}", told(&["--json"]));
    }
    assert!(ran.code == Some(3) || ran.stdout.lines().count() > 0, "{}: {ran:#?}", told(&["--json"]));
    text
}

fn step(target: &mut Started) {
    use std::io::{BufRead, BufReader, Write};
    writeln!(target.child.stdin.as_mut().unwrap(), "step").unwrap();
    let mut line = String::new();
    BufReader::new(target.child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "DONE\n");
}

/// What is asked about, by the names as they really are.
struct Names {
    session: String,
    global: String,
    attribute: String,
    addresses: Vec<String>,
}

impl Names {
    fn of(folder: &str) -> Names {
        const EVIL: &str = "\u{1b}c\u{9b}2J\u{9d}0;owned\u{7}\r\n\t\u{7f}\u{202e}\u{2066}\u{200f}\u{61c}\u{200b}\u{feff}\u{2028}\u{ad}";
        let session = format!("module{EVIL}.Session{EVIL}");
        let mut addresses = Vec::new();
        for kind in [session.as_str(), "module", "type", "function", "frame", "code", "generator", "dict", "_asyncio.Task", "weakref"] {
            let ran = run(&["objects", "--json", "--type", kind, folder]);
            let rows = ran.stdout.lines().skip(1).filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
            addresses.extend(rows.take(1).filter_map(|row| Some(row["address"].as_str()?.to_owned())));
        }
        assert!(addresses.len() > 5, "{addresses:?}");
        Names { global: format!("module{EVIL}:SESSIONS{EVIL}"), attribute: format!("number{EVIL}"), session, addresses }
    }
}
