//! Locks, queues and thread-local values.
//!
//! Source: `Modules/_threadmodule.c`, `Modules/_queuemodule.c`, `Modules/_multiprocessing/semaphore.c` of 3.8–3.13. A lock is a
//! `sem_t` of 32 bytes in a block of its own (`PyThread_allocate_lock` in `Python/thread_pthread.h`).

use super::{owning, plain, Row};

pub(super) const ROWS: &[Row] = &[
    owning(&["_thread.lock"], "lockobject", "", "lock_lock:1*32"),
    owning(&["_thread.RLock"], "rlockobject", "", "rlock_lock:1*32"),
    plain(&["_thread._local"], "localobject", "-key args kw=kwargs dummies localdicts thread_watchdogs -wr_callback"),
    // The dictionary is the thread's.
    plain(&["_thread._localdummy"], "localdummyobject", "~localdict"),
    plain(&["_thread._ThreadHandle"], "PyThreadHandleObject", ""),
    // A list to 3.12, a ring from 3.13.
    Row {
        arrays: "*buf.items:buf.items_cap",
        ..owning(&["_queue.SimpleQueue"], "simplequeueobject", "lst=items", "lock:1*32 %buf.items:buf.items_cap*8")
    },
    owning(&["_multiprocessing.SemLock"], "SemLockObject", "", "name:str"),
];
