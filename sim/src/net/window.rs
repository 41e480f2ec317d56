//! One direction of a connection: how many bytes the writer may have under way.
//!
//! Stands for the sender's and the receiver's kernel buffers together. turmoil counts writes, not bytes,
//! so backpressure has to be made here.

use core::cell::RefCell;
use core::task::Waker;
use std::rc::Rc;

/// Bytes under way in one direction; both ends share it.
#[derive(Clone)]
pub(super) struct Window(Rc<RefCell<State>>);

struct State {
    capacity: usize,
    under_way: usize,
    writer: Option<Waker>,
}

impl Window {
    pub(super) fn new(capacity: usize) -> Self {
        Self(Rc::new(RefCell::new(State {
            capacity,
            under_way: 0,
            writer: None,
        })))
    }

    /// Bytes a write may take now.
    pub(super) fn room(&self) -> usize {
        let state = self.0.borrow();
        state.capacity.saturating_sub(state.under_way)
    }

    /// Bytes sent and not yet read.
    pub(super) fn under_way(&self) -> usize {
        self.0.borrow().under_way
    }

    /// Whether a blocked writer should try again: a third is free, as Linux has it.
    pub(super) fn is_writable(&self) -> bool {
        self.room() > self.0.borrow().capacity / 3
    }

    /// The writer has sent `n` bytes.
    pub(super) fn fill(&self, n: usize) {
        self.0.borrow_mut().under_way += n;
    }

    /// The reader has taken `n` bytes; wakes the writer if it should try again.
    pub(super) fn drain(&self, n: usize) {
        {
            let mut state = self.0.borrow_mut();
            state.under_way = state.under_way.saturating_sub(n);
        }
        if self.is_writable() {
            let writer = self.0.borrow_mut().writer.take();
            if let Some(writer) = writer {
                writer.wake();
            }
        }
    }

    /// Whom to wake when the window opens.
    pub(super) fn set_writer(&self, waker: Waker) {
        self.0.borrow_mut().writer = Some(waker);
    }

    /// How many handles there are: the registry's own and one an end.
    pub(super) fn handles(&self) -> usize {
        Rc::strong_count(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_bytes_and_says_writable_only_when_a_third_is_free() {
        let window = Window::new(900);
        assert!(window.is_writable());
        window.fill(900);
        assert_eq!((window.room(), window.is_writable()), (0, false));
        window.drain(300);
        assert_eq!((window.room(), window.is_writable()), (300, false));
        window.drain(1);
        assert!(window.is_writable());
        window.drain(5_000);
        assert_eq!(window.room(), 900);
    }
}
