//! Holds the test that no wrong table is believed: in every structure that the search stands on, every field moves, alone with
//! all that come after it, as if the build had one more word there.
//! Never shifts what is read only where a type's own size fits (the structs of single types): see the catalogue's `fits`.

use cpython::layout::Table;
use cpython::LayoutError;
use testbed::for_each_interpreter;

use crate::look::prove_each;
use crate::{start, tables};

/// The structures that the search stands on, as far as it takes their fields from the table.
const CORE: &[&str] = &[
    "PyASCIIObject",
    "PyBytesObject",
    "PyCodeObject",
    "PyCompactUnicodeObject",
    "PyDictObject",
    "PyFrameObject",
    "PyGenObject",
    "PyHeapTypeObject",
    "PyListObject",
    "PyMemberDef",
    "PyModuleObject",
    "PySetObject",
    "PyTupleObject",
    "PyTypeObject",
    "PyUnicodeObject",
    "PyWeakReference",
    "_PyCFrame",
    "_PyCoCached",
    "_PyErr_StackItem",
    "_PyInterpreterFrame",
    "_dictkeysobject",
    "_gc_runtime_state",
    "_is",
    "_obmalloc_state",
    "_ts",
    "pyruntimestate",
];

/// Fields of them that the tables have and no source reads, or that only say how large something else is.
const UNREAD: &[(&str, &[&str])] = &[
    ("PyTypeObject", &["tp_weaklist"]),
    ("PyWeakReference", &["hash", "wr_next"]),
    ("_PyCFrame", &["previous"]),
    ("_is", &["dict", "small_ints", "static_objects"]),
    ("_ts", &["_initialized", "context", "datastack_chunk", "dict", "id", "native_thread_id", "tracing"]),
    ("pyruntimestate", &["allocators", "static_objects", "types"]),
];

/// A wrong table must never be believed.
#[test]
fn a_shifted_table_is_refused() {
    for_each_interpreter(|py| {
        let target = start(py, "zoo_heap.py");
        let own: Vec<Table> = tables().into_iter().filter(|t| (t.release.minor, t.release.micro) == (py.minor, py.micro)).collect();
        let [own] = &own[..] else { panic!("{} tables for {}", own.len(), py.name) };
        let mut names = vec!["nothing".to_owned()];
        let mut lists = vec![vec![own.clone()]];
        for structure in CORE {
            let unread = UNREAD.iter().find(|(name, _)| name == structure).map_or(&[][..], |(_, fields)| fields);
            let fields = own.fields(structure);
            let mut moves: Vec<u64> = fields.iter().map(|(_, at)| *at).collect();
            moves.dedup();
            for from in moves {
                let moved: Vec<&str> = fields.iter().filter(|(_, at)| *at >= from).map(|(field, _)| *field).collect();
                if moved.iter().all(|field| unread.contains(field)) {
                    continue;
                }
                for (how, wrong) in [("shifted", own.shifted(structure, from, 8)), ("grown", own.grown(structure, from, 8))] {
                    names.push(format!("{structure} {how} from {}", moved[0]));
                    lists.push(vec![wrong]);
                }
            }
        }
        let answers = prove_each(&target, &lists);
        assert!(answers[0].is_ok(), "the right table is refused: {:?}", answers[0]);
        // A shift of the runtime's first fields looks like an interpreter that is not there, or goes: refused as well.
        let refused = |e: &LayoutError| matches!(e, LayoutError::Unproved { .. } | LayoutError::NotInitialised | LayoutError::Finalizing);
        let believed: Vec<String> = names
            .iter()
            .zip(&answers)
            .skip(1)
            .filter(|(_, answer)| !answer.as_ref().is_err_and(refused))
            .map(|(name, answer)| format!("{name}: {:?}", answer.as_ref().map(|p| p.layout.how_known())))
            .collect();
        println!("{}: {} wrong tables", py.name, names.len() - 1);
        assert!(names.len() > 200, "only {} wrong tables", names.len());
        assert_eq!(believed, [""; 0], "{}", py.name);
    });
}
