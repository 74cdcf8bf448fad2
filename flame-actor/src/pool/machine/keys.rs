//! Which runner serves which key.

use std::collections::HashMap;

use super::event::Key;
use crate::pool::ids::{ResourceClass, RunnerSeq};

/// Keys that nothing uses but that are remembered; twice as many for a moment. Keys come from users' calls, and a
/// runner may live for ever.
const REMEMBERED: usize = 4096;

/// The keys and their runners.
#[derive(Default)]
pub(super) struct Keys {
    bindings: HashMap<(ResourceClass, Key), Binding>,
    unused: usize,
    uses: u64,
}

struct Binding {
    runner: RunnerSeq,
    /// Requests of this key that hold a slot of the runner or wait for one.
    users: u32,
    last_use: u64,
}

impl Keys {
    /// The runner that serves the key.
    pub(super) fn runner(&self, class: ResourceClass, key: &Key) -> Option<RunnerSeq> {
        // Most pools have no keys at all: no clone for them.
        if self.bindings.is_empty() {
            return None;
        }
        self.bindings.get(&(class, key.clone())).map(|binding| binding.runner)
    }

    /// A request with this key comes to `runner`; says whether the runner has taken the key with it.
    pub(super) fn enter(&mut self, class: ResourceClass, key: &Key, runner: RunnerSeq) -> bool {
        self.uses += 1;
        let (unused, last_use) = (&mut self.unused, self.uses);
        let mut taken = false;
        let binding = self.bindings.entry((class, key.clone())).or_insert_with(|| {
            taken = true;
            *unused += 1;
            Binding { runner, users: 0, last_use }
        });
        // A preferring request that found its runner full and went elsewhere leaves the key where it is.
        if binding.runner == runner {
            if binding.users == 0 {
                *unused -= 1;
            }
            binding.users += 1;
            binding.last_use = last_use;
        }
        taken
    }

    /// A request with this key has left `runner`.
    pub(super) fn leave(&mut self, class: ResourceClass, key: &Key, runner: RunnerSeq) {
        let Some(binding) = self.bindings.get_mut(&(class, key.clone())) else { return };
        if binding.runner != runner || binding.users == 0 {
            return;
        }
        binding.users -= 1;
        if binding.users == 0 {
            self.unused += 1;
            if self.unused > 2 * REMEMBERED {
                self.forget_oldest();
            }
        }
    }

    /// The runner takes no more work.
    pub(super) fn forget(&mut self, runner: RunnerSeq) {
        if self.bindings.is_empty() {
            return;
        }
        self.bindings.retain(|_, binding| binding.runner != runner);
        self.unused = self.bindings.values().filter(|binding| binding.users == 0).count();
    }

    fn forget_oldest(&mut self) {
        let mut uses: Vec<u64> = self
            .bindings
            .values()
            .filter(|binding| binding.users == 0)
            .map(|binding| binding.last_use)
            .collect();
        let forgotten = uses.len().saturating_sub(REMEMBERED);
        uses.sort_unstable();
        let Some(&keep_from) = uses.get(forgotten) else { return };
        self.bindings.retain(|_, binding| binding.users > 0 || binding.last_use >= keep_from);
        self.unused -= forgotten;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_keys_do_not_add_up_and_the_latest_are_remembered() {
        let mut keys = Keys::default();
        let class = ResourceClass::default();
        let busy = Key::from("busy");
        assert!(keys.enter(class, &busy, RunnerSeq(1)));
        let last = 50_000;
        for n in 0..=last {
            let key = Key::from(n.to_string());
            assert!(keys.enter(class, &key, RunnerSeq(1)));
            keys.leave(class, &key, RunnerSeq(1));
            assert!(keys.bindings.len() <= 2 * REMEMBERED + 2);
        }
        assert_eq!(keys.runner(class, &Key::from(last.to_string())), Some(RunnerSeq(1)));
        assert_eq!(keys.runner(class, &Key::from("0")), None);
        assert_eq!(keys.runner(class, &busy), Some(RunnerSeq(1)), "a key in use is never forgotten");
    }
}
