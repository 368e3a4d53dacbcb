//! What a relay shows in two ways: addresses on loopback are of use only on its own machine.

/// A rendered value for clients elsewhere, and one for clients on loopback. Each is rendered when
/// it is needed, and kept until a change.
pub(super) struct PerAudience<T>([Option<T>; 2]);

impl<T> Default for PerAudience<T> {
    fn default() -> Self {
        Self([None, None])
    }
}

impl<T: Clone> PerAudience<T> {
    /// What is shown has changed.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn get_or_render(&mut self, on_loopback: bool, render: impl FnOnce() -> T) -> T {
        let value = &mut self.0[usize::from(on_loopback)];
        value.get_or_insert_with(render).clone()
    }
}
