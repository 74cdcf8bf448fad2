//! Which resources are which class.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::machine::ResourceClass;
use crate::backend::Resources;

/// Beyond so many classes, those that nothing uses are forgotten: resources come from users' calls, and a pool may live for
/// ever.
const REMEMBERED: usize = 1024;

/// The classes of resources of one pool.
pub(super) struct Classes {
    default: Class,
    others: Mutex<Others>,
}

/// Resources and their number, which is theirs for as long as somebody has this.
#[derive(Clone)]
pub(super) struct Class {
    pub(super) number: ResourceClass,
    pub(super) resources: Arc<Resources>,
}

#[derive(Default)]
struct Others {
    numbers: HashMap<Arc<Resources>, ResourceClass>,
    last: u32,
}

impl Classes {
    /// Work that asks for nothing gets the default.
    pub(super) fn new(default: Resources) -> Self {
        let default = Class { number: ResourceClass::default(), resources: Arc::new(default) };
        Self { default, others: Mutex::default() }
    }

    /// The class of these resources, of the default for none.
    pub(super) fn of(&self, resources: Option<&Resources>) -> Class {
        match resources {
            Some(resources) if *resources != *self.default.resources => self.other(resources),
            _ => self.default.clone(),
        }
    }

    /// The class of this number, if somebody still uses it.
    pub(super) fn get(&self, number: ResourceClass) -> Option<Class> {
        if number == self.default.number {
            return Some(self.default.clone());
        }
        let others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        let (resources, _) = others.numbers.iter().find(|(_, known)| **known == number)?;
        Some(Class { number, resources: Arc::clone(resources) })
    }

    fn other(&self, resources: &Resources) -> Class {
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((resources, &number)) = others.numbers.get_key_value(resources) {
            return Class { number, resources: Arc::clone(resources) };
        }
        if others.numbers.len() >= REMEMBERED {
            others.numbers.retain(|resources, _| Arc::strong_count(resources) > 1);
        }
        others.last += 1;
        let (number, resources) = (ResourceClass(others.last), Arc::new(resources.clone()));
        others.numbers.insert(Arc::clone(&resources), number);
        Class { number, resources }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpu(millicores: u32) -> Resources {
        Resources::builder().cpu(millicores).build().unwrap()
    }

    #[test]
    fn equal_resources_are_one_class_and_the_default_is_the_first() {
        let classes = Classes::new(cpu(1));
        assert_eq!(classes.of(None).number, ResourceClass::default());
        assert_eq!(classes.of(Some(&cpu(1))).number, ResourceClass::default());
        let two = classes.of(Some(&cpu(2))).number;
        assert_ne!(two, ResourceClass::default());
        assert_eq!(classes.of(Some(&cpu(2))).number, two);
        assert_ne!(classes.of(Some(&cpu(3))).number, two);
        assert_eq!(*classes.get(two).unwrap().resources, cpu(2));
    }

    #[test]
    fn a_million_resources_do_not_add_up_and_those_in_use_keep_their_number() {
        let classes = Classes::new(Resources::default());
        let used = classes.of(Some(&cpu(1)));
        for millicores in 2..10_000 {
            classes.of(Some(&cpu(millicores)));
        }
        assert!(classes.others.lock().unwrap().numbers.len() <= REMEMBERED);
        assert_eq!(classes.of(Some(&cpu(1))).number, used.number);
    }
}
