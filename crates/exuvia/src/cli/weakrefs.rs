//! Arguments of `weakrefs`.

use clap::Args;

use super::{Look, Rows, Target};

/// Weak references and weak containers, and what pins what should be weak.
///
/// Weak references by the type of what they refer to and by who has them; WeakValueDictionary, WeakKeyDictionary and
/// WeakSet with their live and dead entries, what these keep alive, and the one object, a list say, that alone keeps
/// many of them alive; callbacks, and those that hold what they wait for, so that they are never called. In `explain`
/// are a cache of weak values that something pins, and entries that hold each other. What a parent that should be weak
/// costs is told by `exuvia cycles`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  exuvia weakrefs 4711
  exuvia weakrefs --limit 0 4711
  exuvia weakrefs -- python3 -c 'import weakref, ast; r = weakref.ref(ast)'")]
#[command(override_usage = "exuvia weakrefs [OPTIONS] PID|FOLDER|CORE\n       exuvia weakrefs [OPTIONS] -- PROGRAM [ARGUMENT]...")]
pub(crate) struct Weakrefs {
    #[command(flatten)]
    pub(crate) target: Target,
    #[command(flatten)]
    pub(crate) rows: Rows,
    #[command(flatten)]
    pub(crate) look: Look,
}
