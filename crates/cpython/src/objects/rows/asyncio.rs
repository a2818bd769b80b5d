//! Futures and tasks.
//!
//! Source: `FutureObj_traverse`, `TaskObj_traverse` in `Modules/_asynciomodule.c` of 3.8–3.13.

use super::{plain, Row};

pub(super) const ROWS: &[Row] = &[
    plain(
        &["_asyncio.Future"],
        "FutureObj",
        "fut_awaited_by=awaited_by fut_loop=loop fut_callback0=callback fut_context0=callback_context fut_callbacks=callbacks fut_exception=exception \
         fut_exception_tb=exception_tb fut_result=result fut_source_tb=source_traceback fut_cancel_msg=cancel_message \
         fut_cancelled_exc=cancelled_exc fut_cancelled_exc_state.exc_type=exc_type fut_cancelled_exc_state.exc_value=exc_value \
         fut_cancelled_exc_state.exc_traceback=exc_traceback dict=__dict__",
    ),
    plain(
        &["_asyncio.Task"],
        "TaskObj",
        "task_awaited_by=awaited_by task_loop=loop task_callback0=callback task_context0=callback_context task_callbacks=callbacks task_exception=exception \
         task_exception_tb=exception_tb task_result=result task_source_tb=source_traceback task_cancel_msg=cancel_message \
         task_cancelled_exc=cancelled_exc task_cancelled_exc_state.exc_type=exc_type task_cancelled_exc_state.exc_value=exc_value \
         task_cancelled_exc_state.exc_traceback=exc_traceback dict=__dict__ task_context=context task_coro=coro task_name=name \
         task_fut_waiter=fut_waiter",
    ),
    plain(&["_asyncio.FutureIter"], "futureiterobject", "future"),
    plain(&["TaskStepMethWrapper", "_asyncio.TaskStepMethWrapper"], "TaskStepMethWrapper", "sw_task=task sw_arg=arg"),
    plain(&["TaskWakeupMethWrapper"], "TaskWakeupMethWrapper", "ww_task=task"),
    plain(&["_RunningLoopHolder"], "PyRunningLoopHolder", "rl_loop=loop"),
];
