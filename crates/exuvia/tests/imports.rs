//! `exuvia imports`: planted costs are found where they are, the sums add up, and what is told to be lazy saves what it says.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use common::run;
use serde_json::Value;
use testbed::{for_each_interpreter, interpreters, Scratch};

/// Two packages of the user's, one heavy and used in a function only, one light that shares a part with the heavy one.
fn plant(folder: &Path) {
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("heavy/__init__.py", "import common_part\nkept = bytearray(30 << 20)\n");
    write("heavy/part.py", "more = bytearray(8 << 20)\n");
    write("common_part.py", "kept = bytearray(12 << 20)\n");
    write("light.py", "import common_part\nimport time\ntime.sleep(0.2)\n");
    write("app.py", "import light\nimport heavy.part\ntry:\n    import nothing_there\nexcept ImportError:\n    pass\nprint('said')\n\ndef rare():\n    return heavy.part.more\n\nif __name__ == '__main__':\n    kept = bytearray(20 << 20)\n");
    write("lazy_app.py", "import light\ntry:\n    import nothing_there\nexcept ImportError:\n    pass\nprint('said')\n\ndef rare():\n    import heavy.part\n    return heavy.part.more\n");
}

fn asked(words: &[&str]) -> Value {
    serde_json::from_str(run(&[&["imports", "--json"], words].concat()).answered()).unwrap()
}

fn all(nodes: &Value) -> Vec<&Value> {
    let mut ahead: Vec<&Value> = nodes.as_array().unwrap().iter().collect();
    let mut found = Vec::new();
    while let Some(node) = ahead.pop() {
        ahead.extend(node["imports"].as_array().unwrap());
        found.push(node);
    }
    found
}

fn mib(value: &Value) -> f64 {
    value.as_f64().unwrap() / f64::from(1 << 20)
}

#[test]
fn planted_costs_are_found_and_add_up_to_the_whole() {
    for_each_interpreter(|py| {
        let scratch = Scratch::new().unwrap();
        plant(scratch.path());
        let at = |name: &str| scratch.path().join(name).to_str().unwrap().to_owned();
        let python = py.path.to_str().unwrap();
        let answer = asked(&["--repeat", "1", "--python", python, &at("app.py")]);
        assert_eq!(answer["schema"], "exuvia/imports/1");
        let nodes = all(&answer["tree"]);
        let one =
            |name: &str| *nodes.iter().find(|node| node["module"] == name).unwrap_or_else(|| panic!("{}: no {name}: {answer:#}", py.name));
        let exclusive: i64 = nodes.iter().map(|node| node["exclusive_bytes"].as_i64().unwrap()).sum();
        let number = |key: &str| answer[key].as_i64().unwrap();
        assert_eq!(number("start_bytes") + exclusive + number("between_bytes"), number("end_bytes"), "{}", py.name);
        assert!(number("between_bytes").abs() < 1 << 20, "{}: {answer:#}", py.name);
        // Each is found within half a MiB at its own place: what else an import takes.
        for (name, planted) in [("heavy", 30.0), ("heavy.part", 8.0), ("common_part", 12.0)] {
            let found = mib(&one(name)["exclusive_bytes"]);
            assert!((planted - 0.1..planted + 0.5).contains(&found), "{}: {name}: {found}", py.name);
        }
        // The first to import it pays.
        assert!(mib(&one("light")["inclusive_bytes"]) > 12.0, "{}", py.name);
        assert!(one("light")["exclusive_ms"].as_f64().unwrap() > 190.0, "{}", py.name);
        assert_eq!(one("nothing_there")["error"], "ModuleNotFoundError", "{}", py.name);
        assert!(one("app")["file"].as_str().unwrap().ends_with("app.py") && mib(&answer["end_bytes"]) < 90.0, "{}: main ran", py.name);

        // What it says is saved is what the changed program saves.
        let lazy = answer["could_be_lazy"].as_array().unwrap();
        let heavy = lazy.first().unwrap();
        assert_eq!((&heavy["module"], &heavy["used_later"], &heavy["places"][0]["line"]), (&"heavy.part".into(), &true.into(), &2.into()));
        let changed = asked(&["--repeat", "1", "--python", python, &at("lazy_app.py")]);
        assert!(changed["could_be_lazy"].as_array().unwrap().iter().all(|lazy| lazy["module"] != "heavy.part"), "{}", py.name);
        // Nothing uses the name that it binds: it may be there for what it does.
        let light = lazy.iter().find(|lazy| lazy["module"] == "light").unwrap();
        assert_eq!(light["used_later"], false, "{}", py.name);
        let saved = mib(&answer["end_bytes"]) - mib(&changed["end_bytes"]);
        let said = mib(&heavy["saved_bytes"]);
        assert!((saved - said).abs() < 0.03 * said, "{}: said {said}, saved {saved}", py.name);
    });
}

#[test]
fn a_module_a_run_and_what_does_not_end_are_answered() {
    let python = interpreters().found.last().unwrap().path.to_str().unwrap();
    let answer = asked(&["--repeat", "1", "--python", python, "json"]);
    assert!(all(&answer["tree"]).iter().any(|node| node["module"] == "json.decoder"), "{answer:#}");
    let scratch = Scratch::new().unwrap();
    plant(scratch.path());
    let app = scratch.path().join("app.py");
    let whole = asked(&["--repeat", "1", "--python", python, "--run", app.to_str().unwrap()]);
    assert!(mib(&whole["end_bytes"]) > 75.0, "{}", whole["end_bytes"]);
    let endless = scratch.path().join("endless");
    std::fs::write(&endless, "import light, sys\nassert sys.argv[1:] == ['--port', '80'], sys.argv\nwhile True: pass\n").unwrap();
    let answer = asked(&["--repeat", "1", "--python", python, "--timeout", "2s", endless.to_str().unwrap(), "--port", "80"]);
    assert_eq!(answer["ended"], "its time was over");
    assert!(all(&answer["tree"]).iter().any(|node| node["module"] == "light"));
    // One that swallows what ends it, for ever; what it had begun is in the tree.
    std::fs::write(&endless, "import light\nwhile True:\n    try:\n        while True: pass\n    except: pass\n").unwrap();
    let answer = asked(&["--repeat", "1", "--python", python, "--timeout", "1s", endless.to_str().unwrap()]);
    assert_eq!(answer["ended"], "its time was over");
    assert!(all(&answer["tree"])[0]["inclusive_ms"].as_f64() > Some(500.0), "{answer:#}");
    // A name that is no UTF-8, and a first place that is somebody else's.
    let odd = scratch.path().join(std::ffi::OsStr::from_bytes(b"caf\xe9"));
    std::fs::create_dir(&odd).unwrap();
    std::fs::write(odd.join("odd.py"), "import light\nraise ValueError('\\udce9')\n").unwrap();
    let mut command = common::exuvia();
    command.args(["imports", "--json", "--repeat", "1", "--python", python]).arg(odd.join("odd.py"));
    let answer = common::ran(command.env("PYTHONPATH", scratch.path()).env("PYTHONSAFEPATH", "1"));
    let answer: Value = serde_json::from_str(answer.answered()).unwrap();
    assert!(
        answer["ended_with"].as_str().unwrap().starts_with("ValueError") && answer["tree"][0]["imports"][0]["module"] == "light",
        "{answer:#}"
    );
    // For people: the sum, the tree, the advice; in 80 columns.
    let shown = run(&["imports", "--repeat", "2", "--python", python, app.to_str().unwrap()]);
    let text = shown.answered();
    for words in ["of imports =", "2 runs:", "    heavy", "(ModuleNotFoundError)", "could wait until it is used", "app.py:2"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(!text.contains("said"), "its own words do not stand in our answer");
}

#[test]
fn what_other_files_have_from_a_module_is_not_advised_to_wait() {
    let python = interpreters().found.last().unwrap().path.to_str().unwrap();
    let scratch = Scratch::new().unwrap();
    let write = |name: &str, text: &str| {
        let path = scratch.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    // One name is taken at once, one by a star, one as an attribute; one is used by a function of the package alone.
    write("app.py", "from pkg import Taken\nfrom names import *\nimport pkg\nclass More(Taken): pass\npkg.Had\n");
    write("names.py", "from starred import Starred\n");
    write("starred.py", "kept = bytearray(4 << 20)\nclass Starred: pass\n");
    write("pkg/__init__.py", "from .taken import Taken\nfrom .had import Had\nfrom .rare import Rare\ndef make(): return Rare()\n");
    for name in ["taken", "had", "rare"] {
        let class = format!("{}{}", name[..1].to_uppercase(), &name[1..]);
        write(&format!("pkg/{name}.py"), &format!("kept = bytearray(4 << 20)\nclass {class}: pass\n"));
    }
    let answer = asked(&["--repeat", "1", "--python", python, scratch.path().join("app.py").to_str().unwrap()]);
    let lazy: Vec<&str> = answer["could_be_lazy"].as_array().unwrap().iter().map(|lazy| lazy["module"].as_str().unwrap()).collect();
    assert_eq!(lazy, ["pkg.rare"], "{answer:#}");
}

#[test]
fn wrong_input_has_one_error() {
    let python = interpreters().found.last().unwrap().path.to_str().unwrap();
    let scratch = Scratch::new().unwrap();
    let broken = scratch.path().join("broken.py");
    std::fs::write(&broken, "import json\nraise ValueError('so it is')\n").unwrap();
    for (words, code, wanted) in [
        (&["nowhere/app.py"][..], 2, "there is no such file"),
        (&["--repeat", "0", "json"], 2, "at least one run"),
        (&["--run", "json"], 2, "--run needs a file"),
        (&["--python", python, "no_such_module_at_all"], 3, "ModuleNotFoundError"),
        (&["--python", "/nowhere/python3", "json"], 3, "/nowhere/python3"),
        (&["--python", "/bin/true", "json"], 3, "wrote nothing down"),
    ] {
        let lines = run(&[&["imports"], words].concat()).refused(code).join("\n");
        assert!(lines.contains(wanted), "{words:?}: {lines}");
    }
    // It imported something before it failed: that is told, with the reason.
    let told = run(&["imports", "--repeat", "1", "--python", python, broken.to_str().unwrap()]);
    assert!(told.answered().contains("not to its end: it failed: ValueError: so it is"), "{told:?}");
}
