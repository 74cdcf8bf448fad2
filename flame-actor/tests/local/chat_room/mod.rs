//! The documentation's chat room: an actor written for actix alone, before and after it was made remote.

mod after;
mod before;

use actix::prelude::*;

use crate::support::{pool, soon};

const PAGE: &str = include_str!("../../../docs/chat_room.md");

/// The code block of the page in this language.
fn block(language: &str) -> &'static str {
    let (_, rest) = PAGE.split_once(&format!("```{language}\n")).expect("the page has such a block");
    rest.split_once("```").expect("the block ends").0
}

/// Makes the changes of a unified diff.
fn apply(before: &str, diff: &str) -> String {
    let mut old = before.lines();
    let (mut new, mut taken) = (Vec::new(), 0);
    for line in diff.lines() {
        if let Some(range) = line.strip_prefix("@@ -") {
            let start = range.split([',', ' ']).next().and_then(|start| start.parse::<usize>().ok()).unwrap();
            new.extend(old.by_ref().take(start - 1 - taken));
            taken = start - 1;
            continue;
        }
        let (sign, text) = line.split_at(1);
        if sign != "+" {
            assert_eq!(old.next(), Some(text), "the diff is of another text");
            taken += 1;
        }
        if sign != "-" {
            new.push(text);
        }
    }
    new.extend(old);
    new.join("\n") + "\n"
}

#[test]
fn the_documented_diff_makes_the_actor_remote() {
    let after = apply(include_str!("before.rs"), block("diff"));
    assert_eq!(after, include_str!("after.rs"));
}

#[test]
fn the_diff_touches_only_derives_attributes_and_imports() {
    let added = block("diff").lines().filter_map(|line| line.strip_prefix('+'));
    for line in added {
        let line = line.trim_start();
        assert!(line.starts_with("#[") || line.starts_with("use "), "{line}");
    }
    let count = block("diff").lines().filter(|line| line.starts_with('+')).count();
    assert!(PAGE.contains(&format!("{count} lines")), "the page says how many: {count}");
}

/// Hears, in either room.
struct Member(tokio::sync::mpsc::UnboundedSender<(String, String)>);

impl Actor for Member {
    type Context = Context<Self>;
}

macro_rules! hears {
    ($room:ident) => {
        impl Handler<$room::Line> for Member {
            type Result = ();
            fn handle(&mut self, line: $room::Line, _: &mut Context<Self>) {
                let _ = self.0.send((line.name, line.text));
            }
        }
    };
}

hears!(before);
hears!(after);

/// One evening, in a room of either kind, wherever it is.
macro_rules! evening {
    ($kind:ident, $room:expr) => {{
        use $kind::{Join, Leave, Line, Look, NameTaken, Say};
        let room = $room;
        let (heard, mut hears) = tokio::sync::mpsc::unbounded_channel();
        let member: Recipient<Line> = Member(heard).start().recipient();
        let line = |name: &str, text: &str| Line { name: name.to_owned(), text: text.to_owned() };
        let join = |name: &str| Join { name: name.to_owned(), member: member.clone() };
        for n in 0..3 {
            assert_eq!(soon(room.send(Say(line("eve", &format!("line {n}"))))).await.unwrap(), 0);
        }
        let last = soon(room.send(join("ann"))).await.unwrap().unwrap();
        assert_eq!(last, [line("eve", "line 1"), line("eve", "line 2")]);
        assert_eq!(soon(room.send(join("ann"))).await.unwrap(), Err(NameTaken("ann".to_owned())));
        assert_eq!(soon(room.send(Say(line("eve", "hello")))).await.unwrap(), 1);
        assert_eq!(soon(hears.recv()).await.unwrap(), ("eve".to_owned(), "hello".to_owned()));
        let there = soon(room.send(Look)).await.unwrap();
        assert_eq!(there, ("rust".to_owned(), vec!["ann".to_owned()]));
        soon(room.send(Leave("ann".to_owned()))).await.unwrap();
        assert_eq!(soon(room.send(Look)).await.unwrap().1, Vec::<String>::new());
    }};
}

#[actix::test]
async fn the_actor_is_the_same_before_and_after_at_home_and_on_a_runner() {
    evening!(before, before::Room::new("rust", 2).start());
    evening!(after, after::Room::new("rust", 2).start());
    let pool = pool("rooms");
    evening!(after, pool.place_child(after::Room::new("rust", 2)).await.unwrap());
}
