//! What a runner is to have.

use std::{collections::BTreeMap, fmt};

/// What a runner is to have: CPU, memory, GPUs, and what else a backend knows by name.
///
/// A pool has a default ([`PoolBuilder::resources`](crate::PoolBuilder::resources)), and a call or child may ask for
/// others. A pool serves work only on a runner that was booted for *equal* resources, so use few different ones. What a backend
/// makes of them is its own business: pods get requests and limits, while
/// [`ProcessBackend`](super::ProcessBackend) and [`LocalBackend`](super::LocalBackend) ignore them.
///
/// Values are checked when they are built, so that every `Resources` is one that a backend can use.
///
/// # Examples
///
/// ```
/// use flame_actor::backend::Resources;
///
/// let large = Resources::builder().cpu(2_500).memory(4 << 30).gpus(1).other("node", "spot").build()?;
/// assert_eq!((large.cpu(), large.memory(), large.gpus()), (Some(2_500), Some(4 << 30), Some(1)));
/// assert_eq!(large.to_string(), "cpu 2500m, memory 4294967296 B, gpus 1, node spot");
///
/// let wrong = Resources::builder().cpu(0).other("", "spot").build().unwrap_err();
/// assert_eq!(wrong.problems().len(), 2);
/// # Ok::<(), flame_actor::backend::InvalidResources>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Resources {
    cpu: Option<u32>,
    memory: Option<u64>,
    gpus: Option<u32>,
    others: BTreeMap<String, String>,
}

impl Resources {
    /// The most CPU, in millicores.
    pub const MAX_CPU: u32 = 1_000_000;
    /// The most further values.
    pub const MAX_OTHERS: usize = 32;
    /// The longest name or text of a further value, in bytes.
    pub const MAX_TEXT: usize = 253;

    /// Resources of which nothing is said yet.
    pub fn builder() -> ResourcesBuilder {
        ResourcesBuilder::default()
    }

    /// CPU in millicores: 1000 is one core. `None` leaves it to the backend.
    #[must_use]
    pub fn cpu(&self) -> Option<u32> {
        self.cpu
    }

    /// Memory in bytes. `None` leaves it to the backend.
    #[must_use]
    pub fn memory(&self) -> Option<u64> {
        self.memory
    }

    /// GPUs. `None` leaves it to the backend.
    #[must_use]
    pub fn gpus(&self) -> Option<u32> {
        self.gpus
    }

    /// The further values, by name in alphabetical order.
    pub fn others(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.others.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// One of the further values.
    #[must_use]
    pub fn other(&self, name: &str) -> Option<&str> {
        self.others.get(name).map(String::as_str)
    }

    /// Whether nothing is said at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = [
            self.cpu.map(|cpu| format!("cpu {cpu}m")),
            self.memory.map(|memory| format!("memory {memory} B")),
            self.gpus.map(|gpus| format!("gpus {gpus}")),
        ];
        let others = self.others().map(|(name, value)| format!("{name} {value}"));
        let all: Vec<String> = known.into_iter().flatten().chain(others).collect();
        f.write_str(if all.is_empty() { "the backend's own" } else { "" })?;
        f.write_str(&all.join(", "))
    }
}

/// Says what [`Resources`] are; [`build`](ResourcesBuilder::build) checks them.
#[derive(Debug, Clone, Default)]
#[must_use = "build() makes the resources"]
pub struct ResourcesBuilder {
    resources: Resources,
}

impl ResourcesBuilder {
    /// CPU in millicores, 1 to [`Resources::MAX_CPU`]: 1000 is one core.
    pub fn cpu(mut self, millicores: u32) -> Self {
        self.resources.cpu = Some(millicores);
        self
    }

    /// Memory in bytes, at least 1 MiB: a runner that has less cannot even boot.
    pub fn memory(mut self, bytes: u64) -> Self {
        self.resources.memory = Some(bytes);
        self
    }

    /// GPUs; 0 says that there must be none.
    pub fn gpus(mut self, gpus: u32) -> Self {
        self.resources.gpus = Some(gpus);
        self
    }

    /// A value that the backend knows by name. Both are 1 to [`Resources::MAX_TEXT`] visible ASCII characters. A later value of the same
    /// name replaces an earlier one.
    pub fn other(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.resources.others.insert(name.into(), value.into());
        self
    }

    /// Checks the values.
    ///
    /// # Errors
    ///
    /// [`InvalidResources`] has all that is wrong.
    pub fn build(self) -> Result<Resources, InvalidResources> {
        const LEAST_MEMORY: u64 = 1 << 20;
        let Resources { cpu, memory, others, .. } = &self.resources;
        let mut problems = Vec::new();
        if let Some(cpu) = cpu.filter(|cpu| !(1..=Resources::MAX_CPU).contains(cpu)) {
            problems.push(format!("cpu is {cpu} millicores, and must be 1 to {}", Resources::MAX_CPU));
        }
        if let Some(memory) = memory.filter(|&memory| memory < LEAST_MEMORY) {
            problems.push(format!("memory is {memory} bytes, and must be at least {LEAST_MEMORY}"));
        }
        if others.len() > Resources::MAX_OTHERS {
            let (count, most) = (others.len(), Resources::MAX_OTHERS);
            problems.push(format!("there are {count} further values, and may be {most}"));
        }
        for text in others.iter().flat_map(|(name, value)| [name, value]).filter(|text| !is_plain(text)) {
            let (text, most) = (text.chars().take(80).collect::<String>(), Resources::MAX_TEXT);
            problems.push(format!("{text:?} must be 1 to {most} visible ASCII characters"));
        }
        if problems.is_empty() { Ok(self.resources) } else { Err(InvalidResources { problems }) }
    }
}

fn is_plain(text: &str) -> bool {
    (1..=Resources::MAX_TEXT).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Resources are out of bounds; whoever wrote them must mend them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the resources are wrong: {}", problems.join("; "))]
pub struct InvalidResources {
    problems: Vec<String>,
}

impl InvalidResources {
    /// All that is wrong, at least one thing.
    #[must_use]
    pub fn problems(&self) -> &[String] {
        &self.problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_error_lists_all_that_is_wrong_with_resources() {
        let wrong = Resources::builder().cpu(0).memory(12).other("a b", "").build().unwrap_err();
        assert_eq!(wrong.problems().len(), 4, "{wrong}");
        assert!(Resources::builder().cpu(Resources::MAX_CPU + 1).build().is_err());
        let many = (0..=Resources::MAX_OTHERS).fold(Resources::builder(), |b, n| b.other(n.to_string(), "x"));
        assert_eq!(many.build().unwrap_err().problems().len(), 1);
    }

    #[test]
    fn equal_resources_are_equal_however_they_were_written() {
        let one = Resources::builder().gpus(1).other("a", "1").other("b", "2").build();
        let other = Resources::builder().other("b", "0").other("b", "2").other("a", "1").gpus(1).build();
        assert_eq!(one, other);
        assert!(Resources::default().is_empty() && Resources::builder().build() == Ok(Resources::default()));
    }
}
