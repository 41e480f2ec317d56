//! Who wants to know when a task of the server runs: a tripwire for calls that no task may make.

use core::cell::Cell;

thread_local! {
    static HOOK: Cell<Option<fn(bool)>> = const { Cell::new(None) };
}

/// From now on `hook` is told on this thread when the server's tasks begin to run, and when they cease.
pub fn turns(hook: Option<fn(bool)>) {
    HOOK.set(hook);
}

/// Runs `turn`, and tells the hook.
pub(crate) fn around<T>(turn: impl FnOnce() -> T) -> T {
    let Some(hook) = HOOK.get() else {
        return turn();
    };
    hook(true);
    let done = turn();
    hook(false);
    done
}
