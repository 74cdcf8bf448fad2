//! The guard against an app that boots copies of itself without end.

use crate::{
    backend::BootError,
    runner::guard::{MAX_GENERATION, Standing, standing},
};

/// Whether this process may boot runners: it is none itself, and it asked for its role first if they are to be copies of it,
/// so that they will ask too and not boot copies of their own. For backends outside this crate.
///
/// # Errors
///
/// Which of these does not hold, and what to do.
pub fn may_boot(copies_of_this_executable: bool) -> Result<(), BootError> {
    check(copies_of_this_executable).map(drop)
}

/// Whether this process may boot runners, and of which generation they are.
pub(super) fn check(copies_of_this_executable: bool) -> Result<u32, BootError> {
    judge(standing(), copies_of_this_executable)
}

fn judge(standing: Standing, copies_of_this_executable: bool) -> Result<u32, BootError> {
    let Standing { asked, runner, generation } = standing;
    if runner {
        return Err(BootError::IsRunner);
    }
    // A named command may be another program than this one, with a role line that this one (a test) has no use for.
    // If it is this one after all, its copies run with a generation above 0 and are stopped here.
    if !asked && (copies_of_this_executable || generation > 0) {
        return Err(BootError::NotAskedForRole);
    }
    if generation >= MAX_GENERATION {
        return Err(BootError::TooDeep { generation });
    }
    Ok(generation + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(generation: u32) -> Standing {
        Standing { asked: true, runner: false, generation }
    }

    #[test]
    fn a_process_that_asked_for_its_role_boots() {
        assert!(matches!(judge(asked(0), true), Ok(1)));
        assert!(matches!(judge(asked(0), false), Ok(1)));
    }

    #[test]
    fn a_process_that_never_asked_boots_no_copies_of_itself() {
        let silent = Standing { asked: false, ..asked(0) };
        assert!(matches!(judge(silent, true), Err(BootError::NotAskedForRole)));
        assert!(matches!(judge(silent, false), Ok(1)), "a test may name another program");
        let silent_copy = Standing { generation: 1, ..silent };
        assert!(matches!(judge(silent_copy, false), Err(BootError::NotAskedForRole)), "that names itself");
    }

    #[test]
    fn a_runner_boots_nothing() {
        let runner = Standing { runner: true, ..asked(1) };
        assert!(matches!(judge(runner, true), Err(BootError::IsRunner)));
        assert!(matches!(judge(runner, false), Err(BootError::IsRunner)));
    }

    #[test]
    fn a_chain_of_apps_that_do_not_know_they_are_runners_ends() {
        assert!(matches!(judge(asked(1), true), Ok(2)));
        assert!(matches!(judge(asked(2), true), Err(BootError::TooDeep { generation: 2 })));
        assert!(matches!(judge(asked(u32::MAX), false), Err(BootError::TooDeep { .. })));
    }
}
